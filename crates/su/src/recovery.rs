//! The contract of recovery, carried out: what is shown is verified and adopted, what the operator orders is done.

use std::collections::BTreeMap;

use async_trait::async_trait;
use protocol::{Assignment, DataItem, Id, Process, ProcessId};
use unit::{Adopted, HeldQuery, Order, Ordered, Recovery, RecoveryState, Result, Why};

use crate::adopt::Source;
use crate::ledger::lock;
use crate::restore::Restorer;
use crate::{Error, SchedulerUnit};

/// Processes of one page of those that are held.
const PAGE_MAX: usize = 1000;
/// Milliseconds for which an order to read the weave is good.
const ORDER_MS: u64 = 10 * 60_000;

impl SchedulerUnit {
    /// Holds every process: what is known here may be behind what others saw. For a state that was brought back.
    pub async fn hold_all(&self, why: Why) -> Result<(), Error> {
        self.ledger.hold_all(why).await.map(drop)
    }

    /// How many processes are held, counted up to `max`; and whether all are that are not known here.
    pub fn held(&self, max: u64) -> (u64, bool) {
        // A store that cannot be read shows elsewhere.
        let n = self.ledger.count_held(max).unwrap_or_default();
        (n, self.ledger.holds.general().is_some())
    }

    pub(crate) fn restorer(&self) -> Restorer {
        Restorer { ledger: self.ledger.clone(), weave: self.weave.clone() }
    }

    /// Says better why a process is not known, if that is because it was forgotten: whoever asks tries again later,
    /// rather than elsewhere or never.
    pub(crate) async fn explain(&self, error: Error) -> Error {
        let Error::UnknownProcess { process } = error else { return error };
        let Some(hold) = self.ledger.holds.general() else { return error };
        match self.weave.get(process.into()).await {
            Ok(found) if self.is_ours(&found.item) => Error::Held { process, hold },
            _ => error,
        }
    }

    fn is_ours(&self, item: &protocol::Item) -> bool {
        Process::try_from(item).is_ok_and(|process| process.scheduler == self.ledger.address)
    }

    async fn adopt_shown(&self, shown: Vec<DataItem>) -> Result<Adopted, Error> {
        self.ledger.begin(&*self.weave).await?;
        let mut all = Adopted::default();
        let mut processes: BTreeMap<ProcessId, Vec<(DataItem, Assignment)>> = BTreeMap::new();
        let mut given: BTreeMap<Id, DataItem> = BTreeMap::new();
        let mut items = 0;
        for item in shown {
            // Somebody else's assignments are not looked at any further: what is left had to be signed by us.
            match Assignment::try_from(item.item().clone()) {
                Ok(assignment) if item.kind() == Some("Assignment") => {
                    match item.address() == self.ledger.address {
                        true => processes.entry(assignment.process).or_default().push((item, assignment)),
                        false => all.passed_over += 1,
                    }
                }
                _ => {
                    items += 1;
                    given.insert(item.id, item);
                }
            }
        }
        let restorer = self.restorer();
        let mut used = std::collections::BTreeSet::new();
        for (process, assignments) in processes {
            let mut seen = Vec::with_capacity(assignments.len());
            for (signed, assignment) in assignments {
                self.verify(&signed).await?;
                let id = assignment.message.unwrap_or_else(|| process.into());
                if let Some(message) = given.get(&id) {
                    self.verify(message).await?;
                    used.insert(id);
                }
                seen.push(restorer.resolve(signed, assignment, &given, Source::Peer).await?);
            }
            let adopted = self.ledger.adopt(process, seen, Source::Peer).await?;
            let followed = restorer.follow(process).await?;
            all.adopted += adopted.adopted + followed.adopted;
            all.known += adopted.known;
            all.kept += adopted.kept.saturating_sub(followed.adopted);
            all.void += adopted.void + followed.void;
        }
        all.passed_over += items - used.len() as u64;
        Ok(all)
    }

    async fn obey(&self, order: DataItem) -> Result<Ordered, Error> {
        if order.address() != self.ledger.address {
            let (by, ours) = (order.address(), self.ledger.address);
            return Err(Error::NotTheOperator { id: order.id, by, ours });
        }
        self.verify(&order).await?;
        let said = Order::read(order.item()).map_err(Error::Order)?;
        self.ledger.begin(&*self.weave).await?;
        match said {
            Order::Confirm { process: Some(process), at, since, tail } => {
                self.ledger.confirm(process, at, since, tail).await
            }
            Order::Confirm { process: None, since, tail, .. } => self.ledger.confirm_all(since, tail).await,
            Order::Restore { process, now } => {
                if self.ledger.clock.now().0.abs_diff(now.0) > ORDER_MS {
                    let what = format!("the order {} was signed too long ago, or by another clock", order.id);
                    return Err(Error::Order(unit::Error::invalid(what).with_hint("sign it again")));
                }
                self.ledger.holds.want(process);
                Ok(Ordered { released: 0, restoring: true })
            }
        }
    }
}

#[async_trait]
impl Recovery for SchedulerUnit {
    async fn recovery(&self, query: HeldQuery) -> Result<RecoveryState> {
        let limit = query.limit.clamp(1, PAGE_MAX);
        let (held, has_next) = self.ledger.held(HeldQuery { limit, ..query }).await?;
        let restoring = lock(&self.ledger.holds.restoring).clone();
        let general = self.ledger.holds.general();
        Ok(RecoveryState { scheduler: self.ledger.address, general, restoring, held, has_next })
    }

    async fn adopt(&self, shown: Vec<DataItem>) -> Result<Adopted> {
        Ok(self.adopt_shown(shown).await?)
    }

    async fn order(&self, order: DataItem) -> Result<Ordered> {
        Ok(self.obey(order).await?)
    }
}
