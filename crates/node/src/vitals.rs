//! How a node is: gauges of its units for `/metrics`, and what `/readyz` looks at.

use std::sync::Arc;
use std::time::Duration;

use pirn_http::wire::info::Check;
use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Batch, Space, Store};
use tokio::sync::Mutex;
use unit::Clock;

use crate::metrics;
use crate::roles::{Common, Units};

/// `beat` → the time of the newest look whether the disk takes what it is given.
const BEAT: Space = Space("node.beat");

/// Up to how many processes that are held are counted.
const HELD_MAX: u64 = 10_000;

/// Beyond what a node says that it is not ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Milliseconds that the disk may take for a flush.
    pub flush_ms_max: u64,
    /// Milliseconds for which the newest flush stands for the next look: whoever asks often writes no more often.
    pub flush_ms_kept: u64,
    /// Milliseconds for which a scheduled entry may wait for the weave.
    pub settlement_ms_max: u64,
    /// Entries that may wait for the weave.
    pub unsettled_max: u64,
    /// Slots that somebody may wait for.
    pub slots_behind_max: u64,
    /// Milliseconds for which a task of the messenger that did not fail may wait.
    pub outbox_ms_max: u64,
    /// Tasks that may be tried again and again. A few always are: whoever sends to a process whose scheduler is gone
    /// has such a one.
    pub retrying_max: usize,
    /// Milliseconds by which a look at a cron may be late.
    pub cron_late_ms_max: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            flush_ms_max: 5_000,
            flush_ms_kept: 1_000,
            settlement_ms_max: 600_000,
            unsettled_max: 100_000,
            slots_behind_max: 100_000,
            outbox_ms_max: 600_000,
            retrying_max: 10_000,
            cron_late_ms_max: 60_000,
        }
    }
}

/// The units to ask.
pub(crate) struct Vitals {
    su: Option<Arc<su::SchedulerUnit>>,
    cu: Option<Arc<cu::ComputeUnit>>,
    mu: Option<Arc<mu::MessengerUnit>>,
    settlement: Option<Arc<settlement::Settlement>>,
    witness: Option<Arc<witness::Witness>>,
    archive: Option<Arc<archive::Fallback>>,
    disk: Disk,
    options: Options,
}

/// What was seen of a node. What it does not have is not there to be seen.
#[derive(Debug, Default)]
struct Seen {
    /// How long the newest flush took and is ago, or why there was none.
    storage: Option<Result<Flush, String>>,
    settlement: Option<Settlement>,
    held: Option<Held>,
    slots_behind: Option<u64>,
    outbox: Option<Outbox>,
    cron: Option<Cron>,
    ticks: Option<su::Ticks>,
}

#[derive(Debug, Clone, Copy)]
struct Flush {
    ago_ms: u64,
}

#[derive(Debug)]
struct Settlement {
    waiting: u64,
    age_ms: Option<u64>,
}

/// Processes for which nothing is scheduled, and whether that is so of all that are not known.
#[derive(Debug)]
struct Held {
    processes: u64,
    all: bool,
}

#[derive(Debug)]
struct Outbox {
    tasks: usize,
    retrying: usize,
    age_ms: Option<u64>,
}

#[derive(Debug)]
struct Cron {
    monitored: usize,
    late_ms: u64,
    failing: usize,
    ticks: u64,
    caught_up: u64,
    left_out: u64,
}

impl Vitals {
    pub fn of(units: &Units, common: &Common, options: Options) -> Vitals {
        Vitals {
            su: units.su.clone(),
            cu: units.cu.clone(),
            mu: units.mu.clone(),
            settlement: units.settlement.clone(),
            witness: units.witness.clone(),
            archive: units.archive.clone(),
            disk: Disk::new(common.store.clone(), common.clock.clone()),
            options,
        }
    }

    /// The text of `/metrics`.
    pub fn metrics(&self) -> String {
        let say = |name: &'static str, value: u64| ::metrics::gauge!(name).set(value as f64);
        let outward = self.settlement.as_ref().map(|settlement| settlement.status());
        if let Some(unit) = &self.su {
            let there = outward.as_ref().map_or(0, |status| status.posted.entries + status.seen.entries);
            say("pirn_su_unsettled", unsettled(unit, outward.as_ref()));
            say("pirn_su_unconfirmed", unit.unconfirmed() + there);
            let (processes, all) = unit.held(HELD_MAX);
            say("pirn_su_held", processes);
            say("pirn_su_recovering", u64::from(all));
            say("pirn_su_settlement_age_ms", settlement_age_ms(unit, outward.as_ref()).unwrap_or(0));
            let ticks = unit.ticks();
            say("pirn_su_ticks", ticks.given);
            say("pirn_su_ticks_missed", ticks.missed);
            say("pirn_su_ticks_told", ticks.told);
            say("pirn_su_ticks_untold", ticks.untold as u64);
            say("pirn_su_tick_late_ms", ticks.late_ms);
        }
        self.say_outward(outward, &say);
        if let Some(unit) = &self.cu {
            let counters = unit.counters();
            say("pirn_cu_evaluated", counters.evaluated);
            say("pirn_cu_replayed", counters.replayed);
            say("pirn_cu_ticks", counters.ticks);
            say("pirn_cu_duplicates", counters.duplicates);
            say("pirn_cu_machines", counters.machines);
            say("pirn_cu_machines_bytes", counters.machines_bytes);
            say("pirn_cu_woken", counters.woken);
            say("pirn_cu_hibernated", counters.hibernated);
            say("pirn_cu_slots_behind", counters.slots_behind);
            say("pirn_cu_revived", counters.revived);
            say("pirn_cu_passed", counters.passed);
            say("pirn_cu_checkpoints_refused", counters.checkpoints_refused);
            say("pirn_cu_checkpoints_published", counters.checkpoints_published);
            say("pirn_cu_checkpoints_failed", counters.checkpoints_failed);
        }
        if let Some(archive) = &self.archive {
            say("pirn_cu_archive_slots", archive.entries());
            say("pirn_cu_archive_processes", archive.processes());
        }
        if let Some(witness) = &self.witness {
            let counters = witness.counters();
            say("pirn_witness_kept", counters.kept);
            say("pirn_witness_kept_bytes", counters.kept_bytes);
            say("pirn_witness_missed", counters.missed);
            say("pirn_witness_shown", counters.shown);
            say("pirn_witness_contradictions", counters.contradictions);
        }
        if let Some(unit) = &self.mu {
            let gauges = unit.gauges();
            say("pirn_mu_outbox", gauges.outbox as u64);
            say("pirn_mu_loaded", gauges.loaded as u64);
            say("pirn_mu_retrying", gauges.retrying as u64);
            say("pirn_mu_dead", gauges.dead as u64);
            say("pirn_mu_monitored", gauges.monitored as u64);
            say("pirn_mu_cron_late_ms", gauges.cron_late_ms);
            say("pirn_mu_cron_failing", gauges.cron_failing as u64);
            say("pirn_mu_cron_ticks", gauges.cron_ticks);
            say("pirn_mu_cron_ticks_failed", gauges.cron_failed);
            say("pirn_mu_cron_caught_up", gauges.cron_caught_up);
            say("pirn_mu_cron_left_out", gauges.cron_left_out);
            say("pirn_mu_cron_children_refused", gauges.cron_children_refused);
        }
        metrics::render()
    }

    /// Settlement on a network elsewhere; all 0 where there is none.
    fn say_outward(&self, status: Option<settlement::Status>, say: &dyn Fn(&'static str, u64)) {
        let counts =
            status.as_ref().map(|status| (status.waiting, status.signed, status.posted, status.seen));
        let (waiting, signed, posted, seen) = counts.unwrap_or_default();
        say("pirn_settlement_waiting", waiting.items);
        say("pirn_settlement_waiting_bytes", waiting.bytes);
        say("pirn_settlement_signed", signed.items);
        say("pirn_settlement_posted", posted.items);
        say("pirn_settlement_seen", seen.items);
        let down =
            status.as_ref().map_or(0, |status| status.gateways.iter().filter(|it| it.failures > 0).count());
        say("pirn_settlement_gateways_down", down as u64);
        let totals = status.map(|status| status.totals).unwrap_or_default();
        say("pirn_settlement_settled", totals.settled);
        say("pirn_settlement_transactions", totals.transactions);
        say("pirn_settlement_winston", totals.winston);
        say("pirn_settlement_reposted", totals.reposted);
        say("pirn_settlement_reorganised", totals.reorganised);
        say("pirn_settlement_refused", totals.refused);
    }

    /// What readiness depends on.
    pub async fn checks(&self) -> Vec<Check> {
        judge(&self.look().await, &self.options)
    }

    async fn look(&self) -> Seen {
        Seen {
            storage: Some(self.disk.flush(&self.options).await),
            settlement: self.su.as_ref().map(|unit| {
                let outward = self.settlement.as_ref().map(|settlement| settlement.status());
                let outward = outward.as_ref();
                Settlement { waiting: unsettled(unit, outward), age_ms: settlement_age_ms(unit, outward) }
            }),
            held: self.su.as_ref().map(|unit| {
                let (processes, all) = unit.held(HELD_MAX);
                Held { processes, all }
            }),
            slots_behind: self.cu.as_ref().map(|unit| unit.counters().slots_behind),
            outbox: self.mu.as_ref().map(|unit| {
                let gauges = unit.gauges();
                // A store that cannot be read shows in its own check.
                let age_ms = unit.outbox_age_ms().ok().flatten();
                Outbox { tasks: gauges.outbox, retrying: gauges.retrying, age_ms }
            }),
            cron: self.mu.as_ref().map(|unit| {
                let gauges = unit.gauges();
                Cron {
                    monitored: gauges.monitored,
                    late_ms: gauges.cron_late_ms,
                    failing: gauges.cron_failing,
                    ticks: gauges.cron_ticks,
                    caught_up: gauges.cron_caught_up,
                    left_out: gauges.cron_left_out,
                }
            }),
            ticks: self.su.as_ref().map(|unit| unit.ticks()),
        }
    }
}

/// Entries that are durable here and that no weave has taken.
fn unsettled(unit: &su::SchedulerUnit, outward: Option<&settlement::Status>) -> u64 {
    unit.unsettled() + outward.map_or(0, |status| status.waiting.entries + status.signed.entries)
}

/// For how long the oldest of them has waited.
fn settlement_age_ms(unit: &su::SchedulerUnit, outward: Option<&settlement::Status>) -> Option<u64> {
    unit.settlement_age_ms().max(outward.and_then(|status| status.age_ms))
}

/// Whether the disk takes what it is given.
struct Disk {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// The newest flush that was seen. Locked while one is under way: who asks meanwhile hears of that one.
    newest: Mutex<Option<Timestamp>>,
}

impl Disk {
    fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Disk {
        Disk { store, clock, newest: Mutex::new(None) }
    }

    /// Writes, unless something was written a moment ago, and waits until that is durable.
    async fn flush(&self, options: &Options) -> Result<Flush, String> {
        let within = Duration::from_millis(options.flush_ms_max);
        let flush = async {
            let mut newest = self.newest.lock().await;
            let now = self.clock.now();
            if let Some(ago_ms) = newest.map(|newest| now.0.saturating_sub(newest.0))
                && ago_ms < options.flush_ms_kept
            {
                return Ok(Flush { ago_ms });
            }
            let (store, mut batch) = (self.store.clone(), Batch::new());
            batch.put(BEAT, &b"beat"[..], now.0.to_be_bytes().to_vec());
            // A full queue makes whoever appends wait.
            let appended = tokio::task::spawn_blocking(move || store.append(batch)).await;
            let durable = appended.map_err(|error| error.to_string())?;
            durable.await.map_err(|error| error.to_string())?;
            *newest = Some(now);
            Ok(Flush { ago_ms: 0 })
        };
        let late = |_| Err(format!("nothing could be written within {} ms", options.flush_ms_max));
        tokio::time::timeout(within, flush).await.unwrap_or_else(late)
    }
}

/// Decides what is well.
fn judge(seen: &Seen, options: &Options) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut say = |name: &str, ok: bool, age_ms: Option<u64>, what: String, remedy: &str| {
        let reason = if ok { what } else { format!("{what}; {remedy}") };
        checks.push(Check { name: name.to_owned(), ok, reason, age_ms });
    };
    match &seen.storage {
        Some(Ok(flush)) => {
            let what = format!("the newest flush is {} ms ago", flush.ago_ms);
            say("storage", true, Some(flush.ago_ms), what, "");
        }
        Some(Err(why)) => say(
            "storage",
            false,
            None,
            format!("the store takes nothing: {why}"),
            "look for a full or failing disk under the state folder, then start the node again",
        ),
        None => {}
    }
    if let Some(Settlement { waiting, age_ms }) = seen.settlement {
        let ok = waiting < options.unsettled_max && age_ms.unwrap_or(0) <= options.settlement_ms_max;
        let what = match age_ms {
            Some(age) => format!("{waiting} entries wait for the weave, the oldest for {age} ms"),
            None => "nothing waits for the weave".to_owned(),
        };
        let remedy = "see that the bundler or the gateways (remote.bundler, weave.uploader, weave.gateway) answer and take uploads; the log says \
                      why it did not";
        say("settlement", ok, age_ms, what, remedy);
    }
    if let Some(Held { processes, all }) = seen.held {
        let what = match (processes, all) {
            (0, false) => "no process is held".to_owned(),
            (n, false) => format!("{n} processes are held: `pirn recover` says why"),
            (n, true) => format!(
                "this scheduler may have forgotten what it signed: {n} processes are held, and all that it does not know"
            ),
        };
        let remedy = "look with `pirn recover`, show what others have with `pirn recover adopt`, then `pirn recover confirm`";
        say("schedules", !all, None, what, remedy);
    }
    if let Some(behind) = seen.slots_behind {
        let ok = behind < options.slots_behind_max;
        let remedy = "wait until the compute unit has caught up, or have another one answer meanwhile";
        say("evaluation", ok, None, format!("{behind} slots are waited for"), remedy);
    }
    if let Some(Outbox { tasks, retrying, age_ms }) = seen.outbox {
        let ok = retrying < options.retrying_max && age_ms.unwrap_or(0) <= options.outbox_ms_max;
        let oldest = age_ms.map(|age| format!(", the oldest untried waits for {age} ms")).unwrap_or_default();
        let what = format!("{tasks} tasks, {retrying} of them failed and are tried again{oldest}");
        let remedy =
            "see that the scheduler and compute units answer; `pirn trace` says what became of a message";
        say("outbox", ok, age_ms, what, remedy);
    }
    if let Some(Cron { monitored, late_ms, failing, ticks, caught_up, left_out }) = seen.cron {
        let ok = late_ms <= options.cron_late_ms_max;
        let mut what = format!(
            "{monitored} processes are monitored, the look at their cron is {late_ms} ms late, {ticks} ticks since the start"
        );
        if caught_up + left_out > 0 {
            what.push_str(&format!(", {caught_up} of them caught up, {left_out} left out"));
        }
        // One process whose scheduler is gone is no reason to serve nobody.
        if failing > 0 {
            what.push_str(&format!(", {failing} of the processes fail: `pirn cron` says why"));
        }
        let remedy =
            "see whether the compute unit answers; if it does, start the node again: its ticker is stuck";
        say("cron", ok, Some(late_ms), what, remedy);
    }
    if let Some(ticks) = &seen.ticks {
        let ok = ticks.late_ms <= options.cron_late_ms_max
            && (ticks.untold == 0 || !ticks.has_messenger || ticks.error.is_none());
        let pushed = match ticks.has_messenger {
            true => format!("{} wait for the messenger", ticks.untold),
            false => format!("no messenger is named, so {} are not pushed", ticks.untold),
        };
        let error = ticks.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let what = format!(
            "{} ticks were given, {pushed}, what is due is {} ms late{error}",
            ticks.given, ticks.late_ms
        );
        let remedy = "see whether the disk and the messenger answer (remote.mu, where it is elsewhere); each tick is given and pushed once, however late";
        say("ticks", ok, Some(ticks.late_ms), what, remedy);
    }
    checks
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use store::MemoryStore;

    use super::*;

    /// The time that never passes.
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp(1_700_000_000_000)
        }
    }

    fn well() -> Seen {
        Seen {
            storage: Some(Ok(Flush { ago_ms: 3 })),
            settlement: Some(Settlement { waiting: 2, age_ms: Some(1_000) }),
            held: Some(Held { processes: 1, all: false }),
            slots_behind: Some(0),
            outbox: Some(Outbox { tasks: 1, retrying: 1, age_ms: None }),
            cron: Some(cron()),
            ticks: Some(ticks()),
        }
    }

    fn cron() -> Cron {
        Cron { monitored: 1, late_ms: 0, failing: 0, ticks: 9, caught_up: 0, left_out: 0 }
    }

    fn ticks() -> su::Ticks {
        su::Ticks {
            given: 7,
            missed: 0,
            told: 7,
            untold: 0,
            has_messenger: true,
            late_ms: 0,
            newest_late_ms: 3,
            error: None,
        }
    }

    #[track_caller]
    fn check(seen: Seen, expect: Expect) {
        let said = judge(&seen, &Options::default());
        let failing = said.into_iter().filter(|check| !check.ok);
        expect.assert_eq(
            &failing.map(|check| format!("{}: {}\n", check.name, check.reason)).collect::<String>(),
        );
    }

    #[test]
    fn a_node_that_is_well_is_ready() {
        check(well(), expect![[r""]]);
        let names: Vec<_> = judge(&well(), &Options::default()).into_iter().map(|check| check.name).collect();
        assert_eq!(names, ["storage", "settlement", "schedules", "evaluation", "outbox", "cron", "ticks"]);
    }

    #[test]
    fn each_check_can_fail_and_says_what_to_do() {
        check(
            Seen { storage: Some(Err("no space left".to_owned())), ..well() },
            expect![[r#"
            storage: the store takes nothing: no space left; look for a full or failing disk under the state folder, then start the node again
        "#]],
        );
        let old = Settlement { waiting: 2, age_ms: Some(600_001) };
        check(
            Seen { settlement: Some(old), ..well() },
            expect![[r#"
            settlement: 2 entries wait for the weave, the oldest for 600001 ms; see that the bundler or the gateways (remote.bundler, weave.uploader, weave.gateway) answer and take uploads; the log says why it did not
        "#]],
        );
        let many = Settlement { waiting: 100_000, age_ms: Some(1) };
        check(
            Seen { settlement: Some(many), ..well() },
            expect![[r#"
            settlement: 100000 entries wait for the weave, the oldest for 1 ms; see that the bundler or the gateways (remote.bundler, weave.uploader, weave.gateway) answer and take uploads; the log says why it did not
        "#]],
        );
        check(
            Seen { held: Some(Held { processes: 2, all: true }), ..well() },
            expect![[r#"
            schedules: this scheduler may have forgotten what it signed: 2 processes are held, and all that it does not know; look with `pirn recover`, show what others have with `pirn recover adopt`, then `pirn recover confirm`
        "#]],
        );
        check(
            Seen { slots_behind: Some(100_000), ..well() },
            expect![[r#"
            evaluation: 100000 slots are waited for; wait until the compute unit has caught up, or have another one answer meanwhile
        "#]],
        );
        let stuck = Outbox { tasks: 1, retrying: 0, age_ms: Some(600_001) };
        check(
            Seen { outbox: Some(stuck), ..well() },
            expect![[r#"
            outbox: 1 tasks, 0 of them failed and are tried again, the oldest untried waits for 600001 ms; see that the scheduler and compute units answer; `pirn trace` says what became of a message
        "#]],
        );
        let failing = Outbox { tasks: 10_000, retrying: 10_000, age_ms: None };
        check(
            Seen { outbox: Some(failing), ..well() },
            expect![[r#"
            outbox: 10000 tasks, 10000 of them failed and are tried again; see that the scheduler and compute units answer; `pirn trace` says what became of a message
        "#]],
        );
        check(
            Seen { ticks: Some(su::Ticks { late_ms: 60_001, ..ticks() }), ..well() },
            expect![[r#"
            ticks: 7 ticks were given, 0 wait for the messenger, what is due is 60001 ms late; see whether the disk and the messenger answer (remote.mu, where it is elsewhere); each tick is given and pushed once, however late
        "#]],
        );
        let away = su::Ticks { untold: 2, error: Some("it is away".to_owned()), ..ticks() };
        check(
            Seen { ticks: Some(away), ..well() },
            expect![[r#"
            ticks: 7 ticks were given, 2 wait for the messenger, what is due is 0 ms late: it is away; see whether the disk and the messenger answer (remote.mu, where it is elsewhere); each tick is given and pushed once, however late
        "#]],
        );
        check(
            Seen { ticks: Some(su::Ticks { untold: 2, has_messenger: false, ..ticks() }), ..well() },
            expect![[r""]],
        );
        check(
            Seen {
                cron: Some(Cron { late_ms: 60_001, failing: 1, caught_up: 3, left_out: 4, ..cron() }),
                ..well()
            },
            expect![[r#"
            cron: 1 processes are monitored, the look at their cron is 60001 ms late, 9 ticks since the start, 3 of them caught up, 4 left out, 1 of the processes fail: `pirn cron` says why; see whether the compute unit answers; if it does, start the node again: its ticker is stuck
        "#]],
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_does_not_flush_is_not_waited_for_forever() {
        let store = Arc::new(MemoryStore::stepped());
        let disk = Disk::new(store.clone(), Arc::new(Still));
        let said = disk.flush(&Options::default()).await.unwrap_err();
        assert_eq!(said, "nothing could be written within 5000 ms");
        let options = Options::default();
        let (said, ()) = futures::join!(disk.flush(&options), async {
            while store.waiting() < 2 {
                tokio::task::yield_now().await;
            }
            store.sync();
        });
        assert_eq!(said.unwrap().ago_ms, 0);
        assert_eq!(disk.flush(&Options::default()).await.unwrap().ago_ms, 0);
        assert_eq!(store.waiting(), 0, "the flush of a moment ago will do");
    }
}
