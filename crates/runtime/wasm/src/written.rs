//! Which pages of a committed memory were written since somebody looked at them.

use crate::region::Run;

/// Runs of pages, ascending and apart. Nothing is noted until the first [`begin`](Written::begin).
#[derive(Default)]
pub(crate) struct Written(Option<Vec<Run>>);

impl Written {
    /// What was written since this was called last, and counts from here; `None` the first time.
    pub(crate) fn begin(&mut self) -> Option<Vec<Run>> {
        self.0.replace(Vec::new())
    }

    /// A commit wrote these.
    pub(crate) fn note(&mut self, written: &[Run]) {
        let Some(known) = &mut self.0 else { return };
        let mut all = [known, written].concat();
        all.sort_unstable();
        known.clear();
        for (start, end) in all {
            match known.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => known.push((start, end)),
            }
        }
    }
}
