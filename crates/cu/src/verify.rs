//! What a scheduler elsewhere says, compared with what was signed.
//!
//! The scheduler of this node is trusted: it verified every message before it gave it a slot and signed the assignments
//! itself, a moment ago or before they were written to the log that this program keeps. Whoever could alter that could
//! alter outcomes as well. Every other one is verified, on a thread that may block, a page ahead of the evaluation:
//! that it signed each assignment, and that each message is what its sender signed, for this process. That the slots
//! follow one another and the hash chain holds is checked by `evaluate`, whoever says it.
//!
//! JSON has no room for all that a data item can say: data that is no text comes changed, and an anchor that is no text
//! does not come at all. What may be such an item is taken from the weave, whose word is verified where it is read.

use std::sync::Arc;

use protocol::{Assignment, DataItem, Item, ProcessId, Slot};
use unit::{Code, Error, Kind, Result, Scheduled, Scheduler, SlotRange, Weave};

use crate::cron::Moment;

/// An entry whose assignment is signed.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) scheduled: Scheduled,
    /// Whether its message has to be compared with the weave's.
    pub(crate) is_doubtful: bool,
}

impl Verified {
    /// An entry of the scheduler of this node.
    pub(crate) fn trusted(scheduled: Scheduled) -> Verified {
        Verified { scheduled, is_doubtful: false }
    }
}

/// Verifies entries of one process's schedule, one after the other.
pub(crate) fn entries(process: ProcessId, entries: Vec<Scheduled>) -> Vec<Result<Verified>> {
    entries.into_iter().map(|scheduled| entry(process, scheduled)).collect()
}

/// Verifies one entry.
pub(crate) fn entry(process: ProcessId, scheduled: Scheduled) -> Result<Verified> {
    let assignment = &*scheduled.assignment;
    let slot = assignment.slot;
    let says =
        DataItem::restore(&assignment.item).and_then(|item| Assignment::try_from(item.item().clone()).ok());
    if says.as_ref() != Some(assignment) {
        let what = format!("the assignment of slot {slot} of {process} is not what its scheduler signed");
        return Err(broken(what));
    }
    if assignment.message.is_none() && slot != Slot(0) {
        return Err(broken(format!("slot {slot} of {process} is assigned nothing")));
    }
    let Some(item) = &scheduled.message else { return Ok(Verified { scheduled, is_doubtful: false }) };
    let is_for =
        if slot == Slot(0) { item.id == process.into() } else { item.target == Some(process.into()) };
    if !is_for {
        let what = format!("slot {slot} of {process} has the message {} for somebody else", item.id);
        return Err(broken(what));
    }
    let is_signed = DataItem::restore(item).is_some();
    if !is_signed && !may_be_changed(item) {
        return Err(altered(process, slot, item));
    }
    Ok(Verified { is_doubtful: !is_signed, scheduled })
}

/// Whether an item may have been changed by JSON.
fn may_be_changed(item: &Item) -> bool {
    item.anchor.is_empty() || std::str::from_utf8(&item.data).is_ok_and(|text| text.contains('\u{fffd}'))
}

/// Gets what a scheduler could not show, if what it showed is that.
pub(crate) async fn compare(
    weave: &dyn Weave,
    process: ProcessId,
    slot: Slot,
    shown: &Item,
) -> Result<Arc<Item>> {
    let found = match weave.get(shown.id).await {
        Ok(found) => found.item,
        Err(error) if error.kind == Kind::NotFound => {
            let what = format!(
                "slot {slot} of {process} has the message {}, whose signature cannot be verified from what its \
                 scheduler shows of it",
                shown.id
            );
            let hint = "evaluation goes on as soon as the weave has the message itself";
            return Err(Error::unavailable(what).with_hint(hint));
        }
        Err(error) => return Err(error),
    };
    let is_same = found.id == shown.id
        && found.owner == shown.owner
        && found.target == shown.target
        && found.tags == shown.tags
        && found.text() == shown.text()
        && (shown.anchor.is_empty() || found.anchor == shown.anchor);
    if is_same { Ok(found) } else { Err(altered(process, slot, shown)) }
}

/// The Process item, and the moment of slot 0, from a scheduler that is not trusted.
pub(crate) async fn process(
    scheduler: &dyn Scheduler,
    weave: &dyn Weave,
    process: ProcessId,
    shown: Arc<Item>,
) -> Result<(Arc<Item>, Moment)> {
    let first = SlotRange::Slots { after: None, to: Some(Slot(0)) };
    let page = scheduler.schedule_page(process, first, 1).await?;
    let first = page.items.into_iter().next().ok_or_else(|| unlisted(process, Slot(0)))?;
    if shown.id != process.into() || first.assignment.process != process || first.assignment.slot != Slot(0) {
        return Err(broken(format!("the scheduler answered with another process than {process}")));
    }
    let first = Scheduled { message: Some(shown), ..first };
    let verified = unit::blocking(move || entry(process, first)).await;
    let Verified { scheduled, is_doubtful } = verified??;
    let Scheduled { message, assignment } = scheduled;
    let item = message.expect("it was given one above");
    let item = if is_doubtful { compare(weave, process, Slot(0), &item).await? } else { item };
    let moment = Moment { timestamp: assignment.timestamp.0, height: assignment.block_height.0 };
    Ok((item, moment))
}

fn altered(process: ProcessId, slot: Slot, item: &Item) -> Error {
    broken(format!("slot {slot} of {process} shows message {} otherwise than its sender signed it", item.id))
}

/// A schedule does not show a slot that it has: whoever showed it may know it only later.
pub(crate) fn unlisted(process: ProcessId, slot: Slot) -> Error {
    Error::unavailable(format!("slot {slot} of process {process} cannot be read yet"))
        .with_hint("its scheduler does not list it; it is asked again")
}

fn broken(what: String) -> Error {
    let hint =
        "ask the scheduler itself, without a proxy; if it still says so, nobody can evaluate this process";
    Error::refused(what).with_code(Code::BROKEN_SCHEDULE).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use pirn_http::wire::su::List;
    use serde_json::Value;

    use super::*;

    /// What the reference unit answered to a compute unit once, from slot 0 on.
    fn recorded() -> Vec<Scheduled> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testing/vectors/reference/su");
        let file = std::fs::read_to_string(format!("{folder}/messages_show_anchor.json")).unwrap();
        let file: Value = serde_json::from_str(&file).unwrap();
        let body = file["response"]["body"]["value"].as_str().unwrap();
        serde_json::from_str::<List<'_>>(body).unwrap().read().unwrap().items
    }

    #[test]
    fn assignments_of_the_reference_are_what_it_signed() {
        let process = recorded()[0].assignment.process;
        let verified = entries(process, recorded());
        assert!(verified.len() > 1);
        // Its messages have anchors that are no text, so they are the weave's to show.
        assert!(verified.iter().all(Result::is_ok));
    }

    #[test]
    fn a_word_less_is_not() {
        let process = recorded()[0].assignment.process;
        for at in 0..recorded().len() {
            let mut list = recorded();
            Arc::make_mut(&mut list[at].assignment).item.tags.0.pop();
            assert!(entries(process, list)[at].is_err(), "the assignment of entry {at}");
            let mut list = recorded();
            Arc::make_mut(list[at].message.as_mut().unwrap()).tags.0.pop();
            // It has no anchor, so it could be one that JSON could not say.
            assert!(
                entries(process, list)[at].as_ref().is_ok_and(|entry| entry.is_doubtful),
                "the message of {at}"
            );
        }
    }
}
