//! Reviving: a process is started from a checkpoint on the weave.
//!
//! Candidates are those of trusted owners, the newest first. Each is compared with the schedule before it is fetched
//! and with its own digest and signature after, and whatever does not hold is refused, for the next one; without any
//! left, the process is evaluated from its beginning.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::message::duplicate_key;
use protocol::{Address, Checkpoint, DataItem, Id, Message, ProcessId, Slot, tag};
use runtime::Machine;
use unit::{Code, Error, Query, Result, Scheduled, SlotRange, Sort};

use super::{gzip, place};
use crate::checkpoint::{Position, Until};
use crate::cron::Walk;
use crate::evaluate::follows;
use crate::input::Delivery;
use crate::line::{Line, Shared, Wish, lock};
use crate::subject::{Subject, check_signer};
use crate::verify;

/// A machine that was started from the weave.
pub(crate) struct Revived {
    pub(crate) position: Position,
    pub(crate) machine: Box<dyn Machine>,
}

/// A checkpoint whose tags can be read.
#[derive(Debug, Clone)]
struct Candidate {
    id: Id,
    owner: Address,
    says: Checkpoint,
}

/// Why a candidate is not taken.
enum No {
    /// There is something wrong with it.
    Refused(String),
    /// Somebody does not answer: it may be good.
    Failed(Error),
}

impl From<String> for No {
    fn from(why: String) -> No {
        No::Refused(why)
    }
}

impl From<Error> for No {
    fn from(error: Error) -> No {
        if error.kind.is_transient() { No::Failed(error) } else { No::Refused(error.to_string()) }
    }
}

impl Line {
    /// Starts the process from the newest good checkpoint of somebody trusted, if there is any that will do.
    pub(crate) async fn revive(
        &self,
        shared: &Arc<Shared>,
        subject: &Arc<Subject>,
        until: Until,
    ) -> Result<Option<Revived>> {
        let options = &shared.options.checkpoints;
        let Some(last) = self.last_of_use(until) else { return Ok(None) };
        if !options.start || (subject.crons.is_empty() && last.0 < options.look_beyond) {
            return Ok(None);
        }
        for candidate in self.candidates(shared, subject, until, last).await? {
            let Candidate { id, owner, says } = candidate.clone();
            match self.try_revive(shared, subject, candidate).await {
                Ok(revived) => {
                    shared.published.revived.fetch_add(1, Ordering::Relaxed);
                    let at = place(revived.position.slot, revived.position.last);
                    tracing::info!(process = %self.process, checkpoint = %id, %owner, at, "started from the weave");
                    return Ok(Some(revived));
                }
                Err(No::Failed(error)) => return Err(error),
                Err(No::Refused(why)) => self.refuse(shared, id, &format!("{why} (slot {})", says.slot)),
            }
        }
        Ok(None)
    }

    /// The last slot that a checkpoint may have: what somebody waits for still has to be evaluated.
    fn last_of_use(&self, until: Until) -> Option<Slot> {
        let state = lock(&self.state);
        let goal = state.goal().or(match until {
            Until::Head => None,
            Until::Slot(slot) => Some(slot),
        })?;
        let mut wishes = state.wishes.iter();
        let outcome = wishes.find(|(_, wishes)| wishes.iter().any(|wish| matches!(wish, Wish::Outcome(_))));
        let last = match outcome {
            Some((slot, _)) => Slot(slot.0.checked_sub(1)?),
            None => goal,
        };
        Some(match until {
            Until::Head => last,
            Until::Slot(slot) => last.min(slot),
        })
        // Nothing is won by a checkpoint right after the first message.
        .filter(|last| *last > Slot(0))
    }

    /// The checkpoints of trusted owners that could do, the newest first; the earlier owner first among equals.
    async fn candidates(
        &self,
        shared: &Shared,
        subject: &Subject,
        until: Until,
        last: Slot,
    ) -> Result<Vec<Candidate>> {
        let options = &shared.options.checkpoints;
        let mut owners = options.trusted_owners.clone();
        if owners.is_empty() {
            owners.push(shared.ports.wallet.address());
        }
        let process = self.process.to_string();
        let asked =
            [(tag::PROCESS, process.as_str()), (tag::TYPE, "Checkpoint"), (tag::DATA_PROTOCOL, tag::AO)];
        let limit = options.candidates_max.max(1);
        let query = Query { owners, sort: Sort::Descending, limit, ..Query::tagged(asked) };
        let found = match shared.patiently(|| shared.ports.weave.query(query.clone())).await {
            Ok(found) => found.items,
            Err(error) if error.kind.is_transient() => return Err(error),
            Err(error) => {
                tracing::warn!(process = %self.process, %error, "the weave tells of no checkpoints");
                return Ok(Vec::new());
            }
        };
        let rank = |owner| query.owners.iter().position(|trusted| *trusted == owner);
        let mut candidates = Vec::new();
        for item in found.into_iter().take(limit).map(|found| found.item) {
            let (id, owner) = (item.id, item.address());
            // What the weave adds to the answer is nobody's word.
            let Some(rank) = rank(owner) else { continue };
            match Checkpoint::try_from(&*item) {
                Ok(says) => candidates.push((rank, Candidate { id, owner, says })),
                Err(why) => self.refuse(shared, id, &why.to_string()),
            }
        }
        candidates.retain(|(_, candidate)| {
            let says = &candidate.says;
            let is_tick_beyond =
                says.cron.is_some() && matches!(until, Until::Slot(slot) if slot == says.slot);
            says.slot > Slot(0) && says.slot <= last && !is_tick_beyond
        });
        candidates.retain(|(_, candidate)| {
            let Checkpoint { process, module, .. } = candidate.says;
            let fits = process == self.process && module == subject.module;
            if !fits {
                self.refuse(shared, candidate.id, &format!("it is of process {process} and module {module}"));
            }
            fits
        });
        candidates.sort_by_key(|(rank, candidate)| {
            (std::cmp::Reverse((candidate.says.slot, candidate.says.timestamp)), *rank)
        });
        Ok(candidates.into_iter().map(|(_, candidate)| candidate).collect())
    }

    fn refuse(&self, shared: &Shared, checkpoint: Id, why: &str) {
        shared.published.refused.fetch_add(1, Ordering::Relaxed);
        let code = Code::CHECKPOINT;
        tracing::warn!(process = %self.process, %checkpoint, %code, why, "a checkpoint of the weave is refused");
    }

    async fn try_revive(
        &self,
        shared: &Arc<Shared>,
        subject: &Arc<Subject>,
        candidate: Candidate,
    ) -> Result<Revived, No> {
        let entry = self.entry_at(shared, subject, candidate.says.slot).await?;
        let mut position = Position::at(&entry.assignment);
        compare(&candidate.says, &entry)?;
        if let Some(cron) = &candidate.says.cron {
            position = self.ticked(shared, subject, position, cron, &candidate.says).await?;
        } else if (candidate.says.timestamp, candidate.says.block_height) != position.last {
            let says = place(candidate.says.slot, (candidate.says.timestamp, candidate.says.block_height));
            return Err(No::Refused(format!(
                "it says {says}, which is {}",
                place(position.slot, position.last)
            )));
        }
        let machine = self.restore(shared, subject, candidate).await?;
        self.read_before(shared, subject, &entry).await.map_err(No::Failed)?;
        Ok(Revived { position, machine })
    }

    /// The entry of a slot, signed by the scheduler of this process.
    async fn entry_at(&self, shared: &Shared, subject: &Subject, slot: Slot) -> Result<Scheduled, No> {
        let process = self.process;
        let entry = shared.listed(process, slot).await?;
        let entry = match subject.is_trusted {
            true => entry,
            false => unit::blocking(move || verify::entry(process, entry)).await??.scheduled,
        };
        check_signer(process, subject.scheduler, &entry.assignment)?;
        Ok(entry)
    }

    /// Where the process is after that tick, which has to be the last of its second.
    async fn ticked(
        &self,
        shared: &Shared,
        subject: &Arc<Subject>,
        position: Position,
        cron: &str,
        says: &Checkpoint,
    ) -> Result<Position, No> {
        let wrong =
            || No::Refused(format!("no cron {cron} ticks last at its timestamp, after slot {}", says.slot));
        // Nothing has ticked that is still to come; and nobody's word makes this count seconds without end.
        let is_to_come = says.timestamp > shared.ports.clock.now();
        if is_to_come || says.block_height < position.height || subject.crons.tags(cron).is_none() {
            return Err(wrong());
        }
        let tip = shared.patiently(|| shared.ports.weave.tip()).await?;
        if says.block_height > tip.height {
            return Err(wrong());
        }
        let blocks = self.blocks(shared, position.height, says.block_height).await?;
        // A block is reached up to a second after its own for each block before it.
        let until = says.timestamp.0.saturating_add(1000 * (blocks.len() as u64 + 2));
        let (subject, cron, last) =
            (Arc::clone(subject), cron.to_owned(), (says.timestamp, says.block_height));
        let found = unit::blocking(move || {
            let left = position.moment();
            let walk = Walk::resume(&subject.crons, subject.origin, left, None, &blocks, until);
            let mut walk = walk.ok()?;
            std::iter::from_fn(|| walk.next_step()).find_map(|(progress, ticks)| {
                let tick = ticks.last()?;
                let is_it = tick.cron == cron && (tick.timestamp, tick.height) == last;
                is_it.then_some(Position { ticks: Some(progress), last, ..position })
            })
        });
        found.await?.ok_or_else(wrong)
    }

    /// A machine with the memory of a checkpoint, if its signature and its digest hold.
    async fn restore(
        &self,
        shared: &Shared,
        subject: &Arc<Subject>,
        candidate: Candidate,
    ) -> Result<Box<dyn Machine>, No> {
        let found = shared.patiently(|| shared.ports.weave.get(candidate.id)).await?;
        let (subject, max) = (Arc::clone(subject), shared.options.checkpoints.bytes_max);
        let restored = unit::blocking(move || {
            let item = &found.item;
            if item.data.len() > max {
                return Err(format!(
                    "it has {} bytes, and cu.checkpoints.bytes_max is {max}",
                    item.data.len()
                ));
            }
            let signed = DataItem::restore(item).ok_or("it is not what its owner signed")?;
            let is_same = signed.id == candidate.id
                && signed.address() == candidate.owner
                && Checkpoint::try_from(signed.item()).as_ref() == Ok(&candidate.says);
            if !is_same {
                return Err("the weave gives another item than it told of".to_owned());
            }
            let (memory, sha256) = gzip::unsqueeze(&item.data, subject.limits.memory_bytes)?;
            if sha256 != candidate.says.sha256 {
                return Err("its memory is not what its SHA-256 says".to_owned());
            }
            subject.start(Some(memory)).map_err(|refusal| refusal.to_string())
        });
        Ok(restored.await??)
    }

    /// Reads the schedule up to an entry without evaluating it: what is before a checkpoint decides which messages
    /// after it repeat others, and only the chain from the first slot on shows that the entry is of this schedule.
    async fn read_before(
        &self,
        shared: &Arc<Shared>,
        subject: &Arc<Subject>,
        last: &Scheduled,
    ) -> Result<()> {
        let slot = last.assignment.slot;
        let (process, results) = (self.process, shared.results.clone());
        let head = results.head(process)?;
        if head.is_some_and(|head| head >= slot) {
            return Ok(());
        }
        let mut position: Option<Position> = None;
        while position.is_none_or(|position| position.slot < slot) {
            let after = position.map(|position| position.slot);
            let range = SlotRange::Slots { after, to: Some(slot) };
            let scheduler = &shared.ports.scheduler;
            let page =
                shared.patiently(|| scheduler.schedule_page(process, range, shared.options.page)).await?;
            let (entries, stop) = self.entries_of(shared, subject, page.items).await?;
            if let Some(error) = stop {
                return Err(error);
            }
            if entries.is_empty() {
                return Err(Error::unavailable(format!(
                    "slot {slot} of process {process} cannot be read yet"
                )));
            }
            shared.journal.room().await?;
            let (results, subject) = (results.clone(), Arc::clone(subject));
            let read = entries.len() as u64;
            let passed = unit::blocking(move || {
                for entry in &entries {
                    follows(&subject, position.as_ref(), entry)?;
                    let assignment = &*entry.scheduled.assignment;
                    let is_pushed = entry.delivery == Delivery::Delivered && Message(&entry.item).is_pushed();
                    let content = is_pushed.then(|| duplicate_key(&entry.item, &subject.authorities));
                    results.pass(assignment, entry.item.id, content)?;
                    position = Some(Position::at(assignment));
                }
                Ok::<_, Error>(position)
            });
            position = passed.await??;
            shared.published.read.fetch_add(read, Ordering::Relaxed);
        }
        if position.map(|position| position.assignment) != Some(last.assignment.id()) {
            return Err(changed(process, slot));
        }
        results.begin_after(process, slot, head)
    }
}

/// Whether the tags say what the schedule says.
fn compare(says: &Checkpoint, entry: &Scheduled) -> Result<(), String> {
    let assignment = &*entry.assignment;
    let other = |name: &str, says: String, is: String| {
        format!("its {name} is {says}, and that of slot {} is {is}", assignment.slot)
    };
    if says.ordinate != says.slot.to_string() {
        return Err(other("Ordinate", says.ordinate.clone(), says.slot.to_string()));
    }
    if let Some(id) = says.assignment.filter(|id| *id != assignment.id()) {
        return Err(other("Assignment", id.to_string(), assignment.id().to_string()));
    }
    if let Some(chain) = says.hash_chain.filter(|chain| *chain != assignment.hash_chain) {
        return Err(other("Hash-Chain", chain.to_string(), assignment.hash_chain.to_string()));
    }
    if let Some(epoch) = says.epoch.filter(|epoch| *epoch != assignment.epoch) {
        return Err(other("Epoch", epoch.to_string(), assignment.epoch.to_string()));
    }
    Ok(())
}

fn changed(process: ProcessId, slot: Slot) -> Error {
    Error::refused(format!("the scheduler has two assignments of slot {slot} of process {process}"))
        .with_code(Code::BROKEN_SCHEDULE)
}
