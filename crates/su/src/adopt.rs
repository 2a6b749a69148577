//! What this scheduler signed once and does not know any more is shown to it, by the weave or by anyone who saw it, and
//! becomes part of its schedules again: the same bytes, in the same slots.
//!
//! Nobody else can have signed it, so nothing is to be decided about it but whether it follows what is known. If it
//! cannot follow yet, it is kept: it shows how far the schedule once was. If it contradicts what is known, it is kept as
//! evidence, and nothing more is scheduled for that process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::{Assignment, DataItem, Epoch, HashChain, Id, Item, ProcessId, Slot};
use store::{Appended, Batch};
use tracing::{error, warn};
use unit::{Adopted, Why};

use crate::Error;
use crate::assign::Head;
use crate::confirm::POSTED;
use crate::entry::{Entry, UNSETTLED, pair};
use crate::held::{EVIDENCE, SHOWN, shown_key};
use crate::ledger::{Ledger, lock};
use crate::timers::may_concern;

/// An assignment that was shown, with what it assigns.
pub(crate) struct Seen {
    pub(crate) signed: DataItem,
    pub(crate) assignment: Assignment,
    /// The message, where it was delivered with the wish for the slot.
    pub(crate) message: Option<DataItem>,
    /// What the message says, to recognise it when another messenger pushes it.
    pub(crate) item: Option<Arc<Item>>,
    /// Whether there is no knowing what has the slot.
    pub(crate) lacks_message: bool,
}

/// Who shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The weave, which therefore need not be sent it.
    Weave,
    /// Anybody.
    Peer,
}

/// How an assignment stands to what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    /// It is known.
    Known,
    /// It follows the newest one that is known.
    Next,
    /// It comes later.
    Beyond,
    /// It is of an epoch that was ended before it.
    Void,
    /// It cannot be in one schedule with this assignment.
    Contradicts(Id),
}

/// Decides how an assignment stands to a schedule that has `head`, goes on in `epoch`, and has `known` in its slot.
fn judge(head: Option<&Head>, epoch: Epoch, known: Option<(Id, Epoch)>, shown: &Assignment) -> Judgement {
    if let Some((id, known_epoch)) = known {
        return match id == shown.id() {
            true => Judgement::Known,
            false if shown.epoch < known_epoch => Judgement::Void,
            false => Judgement::Contradicts(id),
        };
    }
    if shown.epoch < epoch {
        return Judgement::Void;
    }
    let Some(head) = head else {
        let is_first = shown.slot == Slot(0);
        return match is_first {
            true if shown.hash_chain == HashChain::start(shown.process) && shown.message.is_none() => {
                Judgement::Next
            }
            // Nothing of it can be believed.
            true => Judgement::Contradicts(shown.id()),
            false => Judgement::Beyond,
        };
    };
    if shown.slot != head.slot.next() {
        return Judgement::Beyond;
    }
    let follows = shown.hash_chain == head.hash_chain.after(head.assignment)
        && shown.timestamp > head.timestamp
        && shown.message.is_some();
    if follows { Judgement::Next } else { Judgement::Contradicts(head.assignment) }
}

impl Ledger {
    /// Takes in assignments of one process, in the order of their slots.
    pub(crate) async fn adopt(
        self: &Arc<Self>,
        process: ProcessId,
        mut seen: Vec<Seen>,
        source: Source,
    ) -> Result<Adopted, Error> {
        seen.sort_by_key(|seen| seen.assignment.slot);
        let mut end = self.end_of(process).await?;
        let mut adopted = Adopted::default();
        let mut written: Option<Appended> = None;
        let durable = |written: &mut Option<Appended>| {
            let written = written.take();
            async move {
                match written {
                    Some(written) => written.await.map_err(|_| Error::Poisoned),
                    None => Ok(()),
                }
            }
        };
        for seen in seen {
            let head = end.head();
            let slot = seen.assignment.slot;
            let known = match head {
                Some(head) if slot <= head.slot => {
                    durable(&mut written).await?;
                    self.entry(process, slot)?
                }
                _ => None,
            };
            let known = known.map(|entry| (entry.assignment.id, entry.scheduled.assignment.epoch));
            let waiting = self.waiting_at(process, slot)?;
            // Of two that were shown for a slot, what the later epoch has counts.
            if let Some((other, _)) = &waiting
                && known.is_none()
                && other.id() != seen.signed.id
                && other.epoch == seen.assignment.epoch
            {
                durable(&mut written).await?;
                return Err(self.contradicted(process, other.id(), seen).await?);
            }
            let judged = judge(head.as_ref(), end.epoch(), known, &seen.assignment);
            match judged {
                Judgement::Known => {
                    adopted.known += 1;
                    if let Some((_, key)) = waiting {
                        let mut batch = Batch::new();
                        batch.delete(SHOWN, key);
                        written = Some(self.store.append(batch));
                    }
                }
                Judgement::Void => {
                    adopted.void += 1;
                    let mut batch = Batch::new();
                    let key = shown_key(process, slot, seen.signed.id);
                    batch.put(EVIDENCE, key.clone(), seen.entry().encode());
                    batch.delete(SHOWN, key);
                    written = Some(self.store.append(batch));
                }
                Judgement::Next if !seen.lacks_message => {
                    self.hold_since_shown(process).await?;
                    let duplicate = self.duplicate_seen(&seen, &mut end)?;
                    let item = seen.item.clone();
                    let entry = seen.entry();
                    let mut batch = entry.batch(duplicate);
                    if item.as_deref().is_some_and(may_concern) {
                        // Its first timer looks at slot 0.
                        durable(&mut written).await?;
                    }
                    self.timers_seen(item.as_deref(), &mut end, &entry, &mut batch)?;
                    if let Some((_, key)) = waiting {
                        batch.delete(SHOWN, key);
                    }
                    let place = pair(process.0, slot.0);
                    match source {
                        Source::Weave => {
                            batch.delete(UNSETTLED, place.clone());
                            if self.options.settle_depth() > 0 {
                                batch.put(POSTED, place, self.clock.now().0.to_be_bytes().to_vec());
                                self.unconfirmed.fetch_add(1, Ordering::AcqRel);
                            }
                        }
                        Source::Peer => {
                            lock(&self.ages).add(entry.scheduled.assignment.timestamp);
                            self.unsettled.send_modify(|waiting| *waiting += 1);
                        }
                    }
                    written = Some(self.store.append(batch));
                    end.follow(&entry.scheduled.assignment);
                    adopted.adopted += 1;
                }
                Judgement::Next | Judgement::Beyond => {
                    adopted.kept += 1;
                    durable(&mut written).await?;
                    self.hold_since_shown(process).await?;
                    let key = shown_key(process, slot, seen.signed.id);
                    let mut batch = Batch::new();
                    if let Some((other, of)) = waiting {
                        if other.epoch > seen.assignment.epoch {
                            continue;
                        }
                        // Without its message, what was shown with it is not forgotten.
                        if seen.lacks_message && other.id() == seen.signed.id {
                            continue;
                        }
                        batch.delete(SHOWN, of);
                    }
                    batch.put(SHOWN, key, seen.entry().encode());
                    written = Some(self.store.append(batch));
                }
                Judgement::Contradicts(with) => {
                    durable(&mut written).await?;
                    return Err(self.contradicted(process, with, seen).await?);
                }
            }
        }
        durable(&mut written).await?;
        if adopted.adopted > 0 {
            self.settle.notify_one();
        }
        Ok(adopted)
    }

    /// What was shown for a slot, and waits, with its key.
    fn waiting_at(
        &self,
        process: ProcessId,
        slot: Slot,
    ) -> Result<Option<(Arc<Assignment>, bytes::Bytes)>, Error> {
        let Some((key, bytes)) = self.shown_in(process, slot)? else { return Ok(None) };
        let entry = Entry::decode(process, slot, &bytes)?;
        Ok(Some((entry.scheduled.assignment, key)))
    }

    /// A ledger that did not know what it signed is not the whole truth.
    async fn hold_since_shown(&self, process: ProcessId) -> Result<(), Error> {
        if self.hold_of(process)?.is_some() {
            return Ok(());
        }
        match self.holds.general() {
            Some(_) => {
                warn!(%process, "a slot was shown that was forgotten, after the tail was confirmed");
                self.hold_one(process, Why::Shown).await?
            }
            None => {
                warn!(%process, "a slot was shown that was forgotten: nothing is scheduled (`pirn recover`)");
                self.hold_all(Why::Shown).await?
            }
        };
        Ok(())
    }

    /// Keeps the evidence, and holds the process. Answers with what to say.
    async fn contradicted(&self, process: ProcessId, with: Id, seen: Seen) -> Result<Error, Error> {
        let (slot, shown) = (seen.assignment.slot, seen.signed.id);
        let mut batch = Batch::new();
        batch.put(EVIDENCE, shown_key(process, slot, shown), seen.entry().encode());
        self.store.append(batch).await?;
        if self.hold_of(process)?.is_none_or(|hold| hold.why != Why::Contradiction) {
            self.hold_one(process, Why::Contradiction).await?;
            error!(%process, %slot, %shown, %with, "two assignments of this scheduler contradict each other");
        }
        Ok(Error::Contradiction { process, slot, with, shown })
    }
}

impl Seen {
    fn entry(self) -> Entry {
        Entry::new(self.message, self.signed, self.assignment)
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Draft, Height, Timestamp, Wallet};

    use super::*;
    use crate::assign::{Plan, assign};

    const PROCESS: ProcessId = ProcessId(Id([1; 32]));

    fn signed(plan: Plan) -> Assignment {
        let signed = DataItem::sign(&Wallet::ed25519_from_seed([1; 32]), plan.draft()).unwrap();
        plan.signed(signed.item().clone())
    }

    /// The assignment after `head`, of a message of that number.
    fn next(head: Option<&Head>, message: u8, epoch: u64) -> Assignment {
        let now = Timestamp(1000 + u64::from(message));
        signed(assign(PROCESS, head, Id([message; 32]), vec![], now, Height(1)).in_epoch(Epoch(epoch)))
    }

    #[test]
    fn what_follows_is_adopted_and_what_contradicts_is_not() {
        let first = next(None, 1, 0);
        let head = Head::from(&first);
        let second = next(Some(&head), 2, 0);
        let third = next(Some(&Head::from(&second)), 3, 0);
        let other = next(Some(&head), 9, 0);
        let (zero, one) = (Epoch(0), Epoch(1));
        let known = |assignment: &Assignment| Some((assignment.id(), assignment.epoch));
        for (head, epoch, known, shown, expected) in [
            (None, zero, None, &first, Judgement::Next),
            (None, zero, None, &second, Judgement::Beyond),
            (Some(&head), zero, known(&first), &first, Judgement::Known),
            (Some(&head), zero, None, &second, Judgement::Next),
            (Some(&head), zero, None, &other, Judgement::Next),
            (Some(&head), zero, None, &third, Judgement::Beyond),
            (Some(&Head::from(&second)), zero, known(&second), &other, Judgement::Contradicts(second.id())),
            // Its chain goes over another one.
            (Some(&Head::from(&other)), zero, None, &third, Judgement::Contradicts(other.id())),
            // An epoch was opened after the head.
            (Some(&head), one, None, &second, Judgement::Void),
            (Some(&head), one, None, &third, Judgement::Void),
            (Some(&head), zero, None, &next(Some(&head), 2, 1), Judgement::Next),
            (Some(&head), zero, known(&next(None, 1, 1)), &first, Judgement::Void),
        ] {
            assert_eq!(judge(head, epoch, known, shown), expected, "{shown:?}");
        }
        // The process itself has slot 0, and no message has.
        let mut message = assign(PROCESS, Some(&head), Id([1; 32]), vec![], Timestamp(1), Height(1)).draft();
        message.tags.0.iter_mut().filter(|tag| tag.name == "Nonce").for_each(|tag| tag.value = "0".into());
        let signed = DataItem::sign(&Wallet::ed25519_from_seed([1; 32]), Draft { ..message }).unwrap();
        let shown = Assignment::try_from(signed.item().clone()).unwrap();
        assert_eq!(judge(None, zero, None, &shown), Judgement::Contradicts(shown.id()));
    }
}
