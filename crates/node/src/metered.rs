//! A contract that is measured and traced: each call has a span, a time and, if it fails, a count by kind.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use protocol::{Address, Attestation, DataItem, Digest, Id, Outcome, ProcessId, Timestamp};
use tracing::Instrument as _;
use unit::{
    Adopted, AssignRequest, Compute, DryRun, Error, Evaluated, Evaluation, History, Kind, Messenger,
    Monitored, MonitoredQuery, OutboxEntry, OutboxQuery, OutcomeQuery, Page, Placed, ProcessRecord,
    ProcessTimers, PublishedCheckpoint, Receipt, RecoveryState, Result, Scheduled, Scheduler, SlotRange,
    StateAt, TimersQuery, Tip, Trace, TraceQuery,
};

/// Measures what passes through it, and changes nothing.
pub(crate) struct Metered<T: ?Sized>(pub Arc<T>);

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::NotFound => "not-found",
        Kind::Invalid => "invalid",
        Kind::TooLarge => "too-large",
        Kind::Refused => "refused",
        Kind::Forbidden => "forbidden",
        Kind::Conflict => "conflict",
        Kind::Busy { .. } => "busy",
        Kind::Unavailable => "unavailable",
        Kind::Internal => "internal",
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where time is measured")]
fn start() -> Instant {
    Instant::now()
}

/// Awaits a call within its span, and records it.
macro_rules! measure {
    ($unit:literal, $verb:literal, $call:expr $(, $field:ident = $value:expr)*) => {{
        let span = tracing::debug_span!($verb, unit = $unit $(, $field = %$value)*);
        let started = start();
        let answer: Result<_, Error> = $call.instrument(span).await;
        metrics::histogram!(concat!("pirn_", $unit, "_", $verb, "_seconds")).record(started.elapsed());
        if let Err(error) = &answer {
            let kind = kind_name(error.kind);
            metrics::counter!(concat!("pirn_", $unit, "_", $verb, "_failed_total"), "kind" => kind).increment(1);
        }
        answer
    }};
}

#[async_trait]
impl<T: Scheduler + ?Sized> Scheduler for Metered<T> {
    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        let message = item.id;
        measure!("su", "schedule", self.0.schedule(item), message = message)
    }

    async fn assign(&self, request: AssignRequest) -> Result<Placed> {
        let (process, message) = (request.process, request.message);
        measure!("su", "assign", self.0.assign(request), process = process, message = message)
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        measure!("su", "find", self.0.find(process, id), message = id)
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        measure!("su", "schedule_page", self.0.schedule_page(process, range, limit), process = process)
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        measure!("su", "latest", self.0.latest(process), process = process)
    }

    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        measure!("su", "process", self.0.process(process), process = process)
    }

    async fn timers(&self, query: TimersQuery) -> Result<Page<ProcessTimers>> {
        self.0.timers(query).await
    }

    async fn standing_of(&self, process: ProcessId) -> Result<RecoveryState> {
        self.0.standing_of(process).await
    }

    async fn show(&self, process: ProcessId, shown: Vec<DataItem>) -> Result<Adopted> {
        self.0.show(process, shown).await
    }

    async fn now(&self) -> Result<Tip> {
        self.0.now().await
    }

    async fn address(&self) -> Result<Address> {
        self.0.address().await
    }
}

#[async_trait]
impl<T: Compute + ?Sized> Compute for Metered<T> {
    async fn result(&self, process: ProcessId, message: Id) -> Result<Arc<Outcome>> {
        measure!("cu", "result", self.0.result(process, message), process = process, message = message)
    }

    async fn results(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        measure!("cu", "results", self.0.results(process, query), process = process)
    }

    async fn cron(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        measure!("cu", "cron", self.0.cron(process, query), process = process)
    }

    async fn dry_run(&self, process: ProcessId, message: DryRun, at: Option<Id>) -> Result<Outcome> {
        measure!("cu", "dry_run", self.0.dry_run(process, message, at), process = process)
    }

    async fn state(&self, process: ProcessId, to: Option<Timestamp>) -> Result<StateAt> {
        measure!("cu", "state", self.0.state(process, to), process = process)
    }

    async fn address(&self) -> Result<Address> {
        self.0.address().await
    }

    async fn attest(&self, process: ProcessId, of: Evaluation, with_state: bool) -> Result<Attestation> {
        measure!("cu", "attest", self.0.attest(process, of, with_state), process = process)
    }

    async fn publish_checkpoint(&self, process: ProcessId) -> Result<PublishedCheckpoint> {
        measure!("cu", "publish_checkpoint", self.0.publish_checkpoint(process), process = process)
    }

    async fn history(&self, process: ProcessId, from: u64, limit: usize) -> Result<History> {
        measure!("cu", "history", self.0.history(process, from, limit), process = process)
    }

    async fn consistency(&self, process: ProcessId, from: u64, to: u64) -> Result<Vec<Digest>> {
        measure!("cu", "consistency", self.0.consistency(process, from, to), process = process)
    }
}

#[async_trait]
impl<T: Messenger + ?Sized> Messenger for Metered<T> {
    async fn send(&self, item: DataItem) -> Result<Receipt> {
        let message = item.id;
        measure!("mu", "send", self.0.send(item), message = message)
    }

    async fn assign(&self, request: AssignRequest) -> Result<Receipt> {
        let (process, message) = (request.process, request.message);
        measure!("mu", "assign", self.0.assign(request), process = process, message = message)
    }

    async fn monitor(&self, request: DataItem) -> Result<()> {
        measure!("mu", "monitor", self.0.monitor(request))
    }

    async fn unmonitor(&self, request: DataItem) -> Result<()> {
        measure!("mu", "unmonitor", self.0.unmonitor(request))
    }

    async fn push(&self, process: ProcessId, message: Id, index: Option<usize>) -> Result<()> {
        measure!("mu", "push", self.0.push(process, message, index), process = process, message = message)
    }

    async fn traces(&self, query: TraceQuery) -> Result<Page<Trace>> {
        measure!("mu", "traces", self.0.traces(query))
    }

    async fn monitored(&self, query: MonitoredQuery) -> Result<Page<Monitored>> {
        measure!("mu", "monitored", self.0.monitored(query))
    }

    async fn outbox(&self, query: OutboxQuery) -> Result<Page<OutboxEntry>> {
        measure!("mu", "outbox", self.0.outbox(query))
    }

    async fn retry(&self, number: u64) -> Result<()> {
        measure!("mu", "retry", self.0.retry(number))
    }

    async fn address(&self) -> Result<Address> {
        self.0.address().await
    }
}
