//! Whom a node serves: lists of processes, owners, modules and schedulers, before what its servers carry.
//!
//! What a process of this node sends on passes by here: only what comes from outside is looked at. What is scheduled
//! already can be read by anybody, since others cannot evaluate without it.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::{Address, Attestation, DataItem, Digest, Id, Item, Outcome, ProcessId, Timestamp, tag};
use serde::{Deserialize, Serialize};
use unit::{
    AssignRequest, Compute, DryRun, Error, Evaluated, Evaluation, History, Kind, Messenger, Monitored,
    MonitoredQuery, OutboxEntry, OutboxQuery, OutcomeQuery, Page, Placed, ProcessRecord, ProcessTimers,
    PublishedCheckpoint, Receipt, Result, Scheduled, Scheduler, SlotRange, StateAt, TimersQuery, Tip, Trace,
    TraceQuery,
};

use crate::roles::Contracts;

/// Whom a node serves. Everybody, where a list says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Processes that are written to and evaluated.
    pub processes: List,
    /// Wallets whose processes they are; `deny` also refuses the messages that they sign.
    pub owners: List,
    /// Modules that the processes run.
    pub modules: List,
    /// Schedulers that the processes name.
    pub schedulers: List,
}

/// Ids or addresses. Nobody needs to be on both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct List {
    /// Only these; empty: all.
    pub allow: Vec<Id>,
    /// All but these.
    pub deny: Vec<Id>,
}

impl List {
    fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Refuses what is not served, and says which list says so.
    fn check(&self, name: &str, what: &str, id: Option<Id>) -> Result<()> {
        let said = match id {
            Some(id) if self.deny.contains(&id) => {
                format!("the {what} {id} is on the list access.{name}.deny")
            }
            Some(id) if !self.allow.is_empty() && !self.allow.contains(&id) => {
                format!("the {what} {id} is not on the list access.{name}.allow")
            }
            None if !self.allow.is_empty() => {
                format!("it names no {what}, and only those on the list access.{name}.allow are served")
            }
            _ => return Ok(()),
        };
        Err(Error::new(Kind::Forbidden, format!("this node does not serve it: {said}"))
            .with_hint("whoever runs the node decides that in pirn.toml; another node may serve it"))
    }
}

impl Options {
    fn is_about_processes(&self) -> bool {
        [&self.owners, &self.modules, &self.schedulers].iter().any(|list| !list.is_empty())
    }

    /// What a process says of itself.
    fn check_spawned(&self, process: &Item) -> Result<()> {
        let id = |name| process.tags.first(name).and_then(|value| value.parse().ok());
        self.owners.check("owners", "owner", Some(process.address().0))?;
        self.modules.check("modules", "module", id(tag::MODULE))?;
        self.schedulers.check("schedulers", "scheduler", id(tag::SCHEDULER))
    }
}

/// Puts the lists before the contracts. `scheduler` tells what a process is.
pub(crate) fn guard(
    contracts: Contracts,
    options: &Options,
    scheduler: Option<Arc<dyn Scheduler>>,
) -> Contracts {
    let Some(scheduler) = scheduler.filter(|_| *options != Options::default()) else { return contracts };
    let lists = Arc::new(Lists { options: options.clone(), scheduler });
    let Contracts { scheduler, compute, messenger } = contracts;
    Contracts {
        scheduler: scheduler.map(|unit| Arc::new(Guarded { unit, lists: lists.clone() }) as _),
        compute: compute.map(|unit| Arc::new(Guarded { unit, lists: lists.clone() }) as _),
        messenger: messenger.map(|unit| Arc::new(Guarded { unit, lists: lists.clone() }) as _),
    }
}

struct Lists {
    options: Options,
    scheduler: Arc<dyn Scheduler>,
}

impl Lists {
    async fn check(&self, process: ProcessId) -> Result<()> {
        self.options.processes.check("processes", "process", Some(process.0))?;
        if !self.options.is_about_processes() {
            return Ok(());
        }
        match self.scheduler.process(process).await {
            Ok(record) => self.options.check_spawned(&record.item),
            // Whoever is asked next says better what is wrong with it.
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Invalid) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn check_item(&self, item: &DataItem) -> Result<()> {
        if item.kind() == Some("Process") {
            self.options.processes.check("processes", "process", Some(item.id))?;
            return self.options.check_spawned(item.item());
        }
        let banned = List { allow: Vec::new(), deny: self.options.owners.deny.clone() };
        banned.check("owners", "owner", Some(item.address().0))?;
        match item.target {
            Some(target) => self.check(target.into()).await,
            None => Ok(()),
        }
    }
}

/// A contract behind the lists.
struct Guarded<T: ?Sized> {
    unit: Arc<T>,
    lists: Arc<Lists>,
}

#[async_trait]
impl<T: Scheduler + ?Sized> Scheduler for Guarded<T> {
    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        self.lists.check_item(&item).await?;
        self.unit.schedule(item).await
    }

    async fn assign(&self, request: AssignRequest) -> Result<Placed> {
        self.lists.check(request.process).await?;
        self.unit.assign(request).await
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        self.unit.find(process, id).await
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        self.unit.schedule_page(process, range, limit).await
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        self.unit.latest(process).await
    }

    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        self.unit.process(process).await
    }

    async fn timers(&self, query: TimersQuery) -> Result<Page<ProcessTimers>> {
        self.unit.timers(query).await
    }

    async fn now(&self) -> Result<Tip> {
        self.unit.now().await
    }

    async fn address(&self) -> Result<Address> {
        self.unit.address().await
    }
}

#[async_trait]
impl<T: Compute + ?Sized> Compute for Guarded<T> {
    async fn result(&self, process: ProcessId, message: Id) -> Result<Arc<Outcome>> {
        self.lists.check(process).await?;
        self.unit.result(process, message).await
    }

    async fn results(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        self.lists.check(process).await?;
        self.unit.results(process, query).await
    }

    async fn cron(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        self.lists.check(process).await?;
        self.unit.cron(process, query).await
    }

    async fn dry_run(&self, process: ProcessId, message: DryRun, at: Option<Id>) -> Result<Outcome> {
        self.lists.check(process).await?;
        self.unit.dry_run(process, message, at).await
    }

    async fn state(&self, process: ProcessId, to: Option<Timestamp>) -> Result<StateAt> {
        self.lists.check(process).await?;
        self.unit.state(process, to).await
    }

    async fn address(&self) -> Result<Address> {
        self.unit.address().await
    }

    async fn attest(&self, process: ProcessId, of: Evaluation, with_state: bool) -> Result<Attestation> {
        self.lists.check(process).await?;
        self.unit.attest(process, of, with_state).await
    }

    async fn publish_checkpoint(&self, process: ProcessId) -> Result<PublishedCheckpoint> {
        self.lists.check(process).await?;
        self.unit.publish_checkpoint(process).await
    }

    async fn history(&self, process: ProcessId, from: u64, limit: usize) -> Result<History> {
        self.lists.check(process).await?;
        self.unit.history(process, from, limit).await
    }

    async fn consistency(&self, process: ProcessId, from: u64, to: u64) -> Result<Vec<Digest>> {
        self.lists.check(process).await?;
        self.unit.consistency(process, from, to).await
    }
}

#[async_trait]
impl<T: Messenger + ?Sized> Messenger for Guarded<T> {
    async fn send(&self, item: DataItem) -> Result<Receipt> {
        self.lists.check_item(&item).await?;
        self.unit.send(item).await
    }

    async fn assign(&self, request: AssignRequest) -> Result<Receipt> {
        self.lists.check(request.process).await?;
        self.unit.assign(request).await
    }

    async fn monitor(&self, request: DataItem) -> Result<()> {
        self.lists.check_item(&request).await?;
        self.unit.monitor(request).await
    }

    async fn unmonitor(&self, request: DataItem) -> Result<()> {
        self.unit.unmonitor(request).await
    }

    async fn push(&self, process: ProcessId, message: Id, index: Option<usize>) -> Result<()> {
        self.lists.check(process).await?;
        self.unit.push(process, message, index).await
    }

    async fn traces(&self, query: TraceQuery) -> Result<Page<Trace>> {
        self.unit.traces(query).await
    }

    async fn monitored(&self, query: MonitoredQuery) -> Result<Page<Monitored>> {
        self.unit.monitored(query).await
    }

    async fn outbox(&self, query: OutboxQuery) -> Result<Page<OutboxEntry>> {
        self.unit.outbox(query).await
    }

    async fn retry(&self, number: u64) -> Result<()> {
        self.unit.retry(number).await
    }

    async fn address(&self) -> Result<Address> {
        self.unit.address().await
    }
}

#[cfg(test)]
mod tests {
    use protocol::Wallet;
    use unit::fakes::{FakeClock, FakeScheduler};
    use unit::suite::{message_item, process_item, wallet};

    use super::*;

    /// Sends a process of wallet 1 and then a message of wallet 2 to it, through lists; what is refused, and why.
    async fn check(lists: impl Fn(&DataItem, Address) -> Options, refused: [Option<&str>; 3]) {
        let clock = FakeClock::advancing(1_700_000_000_000, 1);
        let scheduler = FakeScheduler::new(Wallet::ed25519_from_seed([9; 32]), clock);
        let ours = scheduler.address().await.unwrap();
        let process = process_item(&wallet(1), ours, &[]);
        let message = message_item(&wallet(2), process.id.into(), &[], "hi");
        let options = lists(&process, ours);
        let contracts = Contracts { scheduler: Some(scheduler.clone()), compute: None, messenger: None };
        let guarded = guard(contracts, &options, Some(scheduler.clone())).scheduler.unwrap();
        let spawned = guarded.schedule(process.clone()).await;
        scheduler.schedule(process.clone()).await.unwrap();
        let sent = guarded.schedule(message.clone()).await;
        let request = AssignRequest {
            process: process.id.into(),
            message: message.id,
            base_layer: false,
            exclude: Vec::new(),
        };
        let assigned = guarded.assign(request).await;
        for (answer, list) in [spawned, sent, assigned].into_iter().zip(refused) {
            match (answer, list) {
                (Ok(_), None) => {}
                (Err(error), Some(list)) => {
                    assert_eq!(error.kind, Kind::Forbidden);
                    assert!(error.what.contains(list), "{error}");
                }
                (answer, list) => panic!("{answer:?} though the list is {list:?}"),
            }
        }
        assert!(guarded.latest(process.id.into()).await.is_ok(), "whoever has the log can read it");
    }

    fn deny(id: Id) -> List {
        List { allow: Vec::new(), deny: vec![id] }
    }

    fn allow(id: Id) -> List {
        List { allow: vec![id], deny: Vec::new() }
    }

    const OTHER: Id = Id([7; 32]);

    #[tokio::test]
    async fn without_lists_everybody_is_served() {
        check(|_, _| Options::default(), [None; 3]).await;
    }

    #[tokio::test]
    async fn a_refusal_names_the_list() {
        let one = |list: &'static str| [Some(list); 3];
        check(|p, _| Options { processes: deny(p.id), ..Options::default() }, one("access.processes.deny"))
            .await;
        check(
            |_, _| Options { processes: allow(OTHER), ..Options::default() },
            one("access.processes.allow"),
        )
        .await;
        let owner = |_: &DataItem, _| Options { owners: deny(wallet(1).address().0), ..Options::default() };
        check(owner, one("access.owners.deny")).await;
        check(|_, _| Options { modules: allow(OTHER), ..Options::default() }, one("access.modules.allow"))
            .await;
        check(
            |_, su| Options { schedulers: deny(su.0), ..Options::default() },
            one("access.schedulers.deny"),
        )
        .await;
    }

    #[tokio::test]
    async fn whoever_is_on_the_lists_is_served() {
        check(
            |p, su| Options {
                processes: allow(p.id),
                owners: allow(wallet(1).address().0),
                schedulers: allow(su.0),
                modules: deny(OTHER),
            },
            [None; 3],
        )
        .await;
    }

    #[tokio::test]
    async fn the_messages_of_a_banned_wallet_are_refused_and_those_of_others_not() {
        let banned = |_: &DataItem, _| Options { owners: deny(wallet(2).address().0), ..Options::default() };
        check(banned, [None, Some("access.owners.deny"), None]).await;
    }
}
