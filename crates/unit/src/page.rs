//! Pages of long answers.

/// A part of a longer list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In the order asked for.
    pub items: Vec<T>,
    /// Whether there is more after the last. Exact.
    pub has_next: bool,
}

impl<T> Page<T> {
    /// A page cut from `limit + 1` items that were asked for.
    pub fn cut(mut items: Vec<T>, limit: usize) -> Page<T> {
        let has_next = items.len() > limit;
        items.truncate(limit);
        Page { items, has_next }
    }

    /// The same page of something else.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), has_next: self.has_next }
    }
}

/// Which end a list starts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}
