//! The controls of a development network: its clock, its blocks, its snapshots.
//!
//! # Time that is moved
//!
//! Moving the clock goes from one thing that is due to the next: a block at an interval, a second in which a cron of a
//! monitored process is due, a moment of a timer. At each the clock stands, what is due is done, and so is everything that follows from it,
//! before the clock moves on. So the same network, moved by the same time, does the same in the same order, and an hour
//! takes as long as what happens in it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use protocol::{ProcessId, Timestamp};
use unit::{
    AccountState, Arweave as _, Clock as _, ClockMove, ClockState, Control, Error, Kind, MiningMode,
    ReorganisedState, Result, Scheduler as _, SnapshotInfo, Tip, Weave as _,
};
use weave::Mining;

use crate::assemble::{Inner, Running};
use crate::clock::{Time, VirtualClock};
use crate::roles::Units;
use crate::snapshots::{Meta, Snapshots};

/// Things that are due on the way of one move of the clock.
const STEPS_MAX: usize = 100_000;
/// How long a network may take to come to rest between two of them.
const REST_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at whether it rests.
const LOOK: Duration = Duration::from_millis(1);

/// The controls of a node, as long as it is there.
pub(crate) struct Controls(pub Weak<Inner>);

impl Controls {
    fn inner(&self) -> Result<Arc<Inner>> {
        self.0.upgrade().ok_or_else(gone)
    }
}

fn gone() -> Error {
    Error::unavailable("the network is stopping").with_code(unit::Code::STOPPING)
}

/// Does something to its end, whether or not whoever asked is still there.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await.map_err(|panic| Error::internal(&panic))?
}

/// Does something that blocks on the disk.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| Error::internal(&panic))?
}

fn of_node(error: crate::Error) -> Error {
    Error::internal(&error).with_code(error.code())
}

#[async_trait]
impl Control for Controls {
    async fn clock(&self) -> Result<ClockState> {
        Ok(self.inner()?.clock_that_moves()?.state())
    }

    async fn move_clock(&self, how: ClockMove) -> Result<ClockState> {
        let inner = self.inner()?;
        to_its_end(async move {
            let running = inner.running.lock().await;
            let units = &running.as_ref().ok_or_else(gone)?.units;
            let clock = inner.clock_that_moves()?;
            let now = clock.now();
            match how {
                ClockMove::Freeze => clock.freeze().map_err(of_node)?,
                ClockMove::Resume => clock.resume().map_err(of_node)?,
                ClockMove::Set(at) if at < now => {
                    let error = Error::invalid(format!("the clock shows {now}, which is after {at}"));
                    return Err(error.with_hint("time goes back only with a snapshot, to when it was made"));
                }
                ClockMove::Set(at) => advance(units, &clock, at).await?,
                ClockMove::Advance(ms) => {
                    let to = now.0.checked_add(ms).filter(|to| *to < 1 << 53);
                    let to = to.ok_or_else(|| Error::invalid(format!("{ms} ms are beyond all calendars")))?;
                    advance(units, &clock, Timestamp(to)).await?;
                }
            }
            Ok(clock.state())
        })
        .await
    }

    async fn mining(&self) -> Result<MiningMode> {
        let inner = self.inner()?;
        let running = inner.running.lock().await;
        Ok(mode_of(weave(&running.as_ref().ok_or_else(gone)?.units)?.mining()))
    }

    async fn set_mining(&self, mode: MiningMode) -> Result<MiningMode> {
        let mining = match mode {
            MiningMode::Auto => Mining::Auto,
            MiningMode::Manual => Mining::Manual,
            MiningMode::Interval { interval_ms: 0 } => {
                return Err(Error::invalid("an interval of 0 ms is none")
                    .with_hint("give milliseconds, or the mode auto or manual"));
            }
            MiningMode::Interval { interval_ms } => Mining::Interval(interval_ms),
        };
        let inner = self.inner()?;
        to_its_end(async move {
            let running = inner.running.lock().await;
            weave(&running.as_ref().ok_or_else(gone)?.units)?.set_mining(mining).await;
            Ok(mode)
        })
        .await
    }

    async fn mine(&self, blocks: u64) -> Result<Tip> {
        let inner = self.inner()?;
        to_its_end(async move {
            let running = inner.running.lock().await;
            mine(&running.as_ref().ok_or_else(gone)?.units, blocks).await
        })
        .await
    }

    async fn reorganise(&self, blocks: u64) -> Result<ReorganisedState> {
        let inner = self.inner()?;
        to_its_end(async move {
            let running = inner.running.lock().await;
            let units = &running.as_ref().ok_or_else(gone)?.units;
            let done = weave(units)?.reorganise(blocks).await?;
            if let Some(su) = &units.su {
                su.refresh_height().await?;
            }
            Ok(ReorganisedState {
                height: done.tip.height.0,
                timestamp: done.tip.timestamp.0,
                orphaned: done.orphaned.iter().map(ToString::to_string).collect(),
                dropped: done.dropped,
            })
        })
        .await
    }

    async fn accounts(&self) -> Result<Vec<AccountState>> {
        let inner = self.inner()?;
        let running = inner.running.lock().await;
        let weave = weave(&running.as_ref().ok_or_else(gone)?.units)?;
        let mut accounts = Vec::new();
        for account in crate::accounts() {
            let address = account.wallet().address();
            accounts.push(AccountState {
                index: account.index,
                name: account.name.to_owned(),
                kind: account.kind.name().to_owned(),
                address,
                balance_winston: weave.balance(address).await?.to_string(),
            });
        }
        Ok(accounts)
    }

    async fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        let snapshots = Snapshots::of(self.inner()?.folder());
        on_disk(move || snapshots.list()).await
    }

    async fn save_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        let (inner, name) = (self.inner()?, name.to_owned());
        to_its_end(async move {
            let running = inner.running.lock().await;
            let Running { units, common, .. } = running.as_ref().ok_or_else(gone)?;
            // With its checkpoints, evaluation goes on from there instead of from the beginning.
            if let Some(cu) = &units.cu {
                cu.rest().await;
            }
            let clock = inner.clock_that_moves()?;
            let height = weave(units)?.tip().await?.height.0;
            let meta = Meta::of(clock.time(), clock.now(), height);
            let (snapshots, store) = (Snapshots::of(inner.folder()), common.store.clone());
            on_disk(move || snapshots.save(&name, &store, &meta)).await
        })
        .await
    }

    async fn restore_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        let (inner, name) = (self.inner()?, name.to_owned());
        to_its_end(async move {
            let snapshots = Snapshots::of(inner.folder());
            let meta = snapshots.meta(&name)?;
            inner.replace(Some(name.clone()), meta.time).await?;
            let listed = on_disk(move || snapshots.list()).await?;
            listed.into_iter().find(|info| info.name == name).ok_or_else(|| {
                Error::not_found(format!("the snapshot {name:?} was removed while it was restored"))
            })
        })
        .await
    }

    async fn remove_snapshot(&self, name: &str) -> Result<()> {
        let (inner, name) = (self.inner()?, name.to_owned());
        to_its_end(async move {
            // Not while one is being restored.
            let _running = inner.running.lock().await;
            let snapshots = Snapshots::of(inner.folder());
            on_disk(move || snapshots.remove(&name)).await
        })
        .await
    }

    async fn reset(&self) -> Result<()> {
        let inner = self.inner()?;
        to_its_end(async move {
            let now = crate::clock::SystemClock.now().0;
            let time =
                if inner.starts_still() { Time::Still { at: now } } else { Time::Running { ahead_ms: 0 } };
            inner.replace(None, time).await
        })
        .await
    }
}

impl Inner {
    fn clock_that_moves(&self) -> Result<Arc<VirtualClock>> {
        self.moved.clone().ok_or_else(|| Error::not_found("this network has no clock that can be moved"))
    }

    /// Puts the state of a snapshot, or an empty one, in the place of what is there, and goes on with that on the same
    /// ports.
    async fn replace(self: &Arc<Self>, name: Option<String>, time: Time) -> Result<()> {
        let clock = self.clock_that_moves()?;
        let mut running = self.running.lock().await;
        let before = running.take().ok_or_else(gone)?;
        let mining = before.units.weave.as_ref().map(|weave| weave.mining());
        let why = match &name {
            Some(name) => format!("the network goes back to the snapshot {name}"),
            None => "the network goes back to its beginning".to_owned(),
        };
        before.end(&why, None).await;
        let snapshots = Snapshots::of(self.folder());
        // If this fails, what was there before is there still, and goes on.
        let restored = on_disk(move || snapshots.restore(name.as_deref())).await;
        let clock_set = if restored.is_ok() { clock.set(time).map_err(of_node) } else { Ok(()) };
        let after = Running::start(self).await.map_err(|error| {
            of_node(error).with_hint("stop the network and start it again: the state is in its folder")
        })?;
        if let (Some(weave), Some(mining)) = (&after.units.weave, mining) {
            weave.set_mining(mining).await;
        }
        *running = Some(after);
        self.replaced.send_modify(|times| *times += 1);
        restored.and(clock_set)
    }
}

fn weave(units: &Units) -> Result<&Arc<weave::EmbeddedWeave>> {
    units.weave.as_ref().ok_or_else(|| Error::not_found("this node has no weave of its own"))
}

fn mode_of(mining: Mining) -> MiningMode {
    match mining {
        Mining::Auto => MiningMode::Auto,
        Mining::Manual => MiningMode::Manual,
        Mining::Interval(interval_ms) => MiningMode::Interval { interval_ms },
    }
}

/// Makes blocks, and sees to it that the next assignment says so.
async fn mine(units: &Units, blocks: u64) -> Result<Tip> {
    let head = weave(units)?.mine(blocks).await?;
    if let Some(su) = &units.su {
        su.refresh_height().await?;
    }
    Ok(Tip { timestamp: head.timestamp, height: head.height })
}

/// Moves the clock on to a millisecond after `target`, by way of what is due until then. If it ran, it runs on.
async fn advance(units: &Units, clock: &VirtualClock, target: Timestamp) -> Result<()> {
    let before = clock.time();
    clock.step(clock.now().0);
    let walked = walk(units, clock, target).await;
    // However far it came.
    let kept = match before {
        Time::Running { .. } => clock.resume(),
        Time::Still { .. } => clock.freeze(),
    };
    walked.and(kept.map_err(of_node))
}

async fn walk(units: &Units, clock: &VirtualClock, target: Timestamp) -> Result<()> {
    rest(units).await?;
    let mut crons = Crons::default();
    let interval = match units.weave.as_ref().map(|weave| weave.mining()) {
        Some(Mining::Interval(ms)) => Some(ms.max(1)),
        _ => None,
    };
    let mut block_due = None;
    if let (Some(ms), Some(weave)) = (interval, &units.weave) {
        let tip = weave.tip().await?;
        block_due = Some(tip.timestamp.0.saturating_add(ms).max(clock.now().0 + 1));
    }
    for _ in 0..STEPS_MAX {
        let cron_due = crons.next_due(units, clock.now()).await?;
        let tick_due = next_tick(units, clock.now())?;
        let due = cron_due.into_iter().chain(tick_due).chain(block_due).min().unwrap_or(u64::MAX);
        let is_last = due > target.0;
        // A millisecond later: what is due at a moment is done when the moment is over.
        clock.step(due.min(target.0) + 1);
        if let (Some(at), Some(ms)) = (block_due, interval)
            && at <= due.min(target.0)
        {
            mine(units, 1).await?;
            block_due = Some(at.saturating_add(ms));
        }
        // A block that was made for what waited may be newer than what the scheduler has heard: ticks wait for it.
        if let Some(su) = &units.su {
            su.refresh_height().await.map_err(Error::from)?;
            su.give_ticks().await.map_err(Error::from)?;
        }
        if let Some(mu) = &units.mu {
            mu.look_at_crons().await?;
        }
        rest(units).await?;
        if is_last {
            return Ok(());
        }
    }
    let now = clock.now();
    Err(Error::refused(format!("{STEPS_MAX} things were due before {target}; the clock shows {now}"))
        .with_hint("move it again, in smaller steps"))
}

/// The crons of monitored processes, as far as they were looked up.
#[derive(Default)]
struct Crons(BTreeMap<ProcessId, Option<(cu::cron::Crons, Timestamp)>>);

impl Crons {
    /// The end of the next second in which a cron is due.
    async fn next_due(&mut self, units: &Units, now: Timestamp) -> Result<Option<u64>> {
        let (Some(mu), Some(su)) = (&units.mu, &units.su) else { return Ok(None) };
        let mut next: Option<u64> = None;
        for process in mu.monitored_processes() {
            let known = match self.0.entry(process) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(crons_of(su, process).await?),
            };
            let due = known.as_ref().and_then(|(crons, origin)| crons.next_due(*origin, now));
            next = due.map(|due| due.0).into_iter().chain(next).min();
        }
        Ok(next)
    }
}

/// When a timer is due next. What has been due and could not be given is no reason to stand still.
fn next_tick(units: &Units, now: Timestamp) -> Result<Option<u64>> {
    let Some(su) = &units.su else { return Ok(None) };
    Ok(su.next_tick().map_err(Error::from)?.map(|due| due.0).filter(|due| *due >= now.0))
}

/// The crons of a process and its origin; none of one that another scheduler has, which follows that one's time.
async fn crons_of(
    su: &su::SchedulerUnit,
    process: ProcessId,
) -> Result<Option<(cu::cron::Crons, Timestamp)>> {
    match su.process(process).await {
        Ok(record) => Ok(cu::cron::Crons::parse(&record.item.tags).ok().zip(Some(record.timestamp))),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until nothing is under way: what was sent is delivered, evaluated and settled, and what follows from it too.
async fn rest(units: &Units) -> Result<()> {
    let waiting = || {
        let messages = units.mu.as_ref().map_or(0, |mu| {
            let gauges = mu.gauges();
            gauges.outbox.saturating_sub(gauges.retrying)
        });
        messages as u64 + units.su.as_ref().map_or(0, |su| su.unsettled() + su.ticks_untold())
    };
    let rests = async {
        while waiting() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(REST_WITHIN, rests).await.map_err(|_| {
        let within = REST_WITHIN.as_secs();
        Error::unavailable(format!("the network does not come to rest within {within} s: {} wait", waiting()))
            .with_hint("processes that answer one another for ever leave no moment at which time could move")
    })
}
