//! What goes wrong in days: units crash in the middle of something, stop in good order, or stay down for hours; clocks
//! jump, that of the weave too, and so do its blocks; links are cut; a compute unit is slow.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::explain::Look;
use crate::network::Network;
use crate::world::{BEGINNING_MS, Dial, Host, World};

/// How long the clock of the scheduler shows one moment. It looks several times meanwhile.
const STEP: Duration = Duration::from_secs(30);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The clock of the scheduler, which is turned by hand: what it showed is known.
#[derive(Default)]
pub struct Hand {
    looks: Mutex<Vec<Look>>,
    /// How wrong it is, ms, and until when.
    wrong: Mutex<Option<(i64, Instant)>>,
    is_stopped: AtomicBool,
    said: Mutex<Said>,
}

/// What went wrong, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// Jumps of the scheduler's clock, ahead.
    pub ahead: u64,
    /// And back.
    pub behind: u64,
    /// Jumps of the clocks of other units.
    pub others: u64,
    /// Jumps of the weave's, by which blocks have their times.
    pub weave: u64,
    /// Blocks that the weave made all at once, again and again.
    pub blocks: u64,
    /// Units that were stopped in good order.
    pub stops: u64,
    /// Crashes in the middle of something.
    pub doomed: u64,
    /// Units that were down for minutes or hours.
    pub rests: u64,
    /// Minutes for which the scheduler was down in those.
    pub scheduler_down: u64,
    /// Minutes for which a compute unit was slow.
    pub slow: u64,
    /// Links that were cut for minutes.
    pub cuts: u64,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Said { doomed, rests, scheduler_down, stops, ahead, behind, weave, others, blocks, slow, cuts } =
            self;
        writeln!(
            f,
            "{doomed} in the middle of something, {rests} for minutes or hours (the scheduler {scheduler_down} minutes); \
             {stops} stops in good order"
        )?;
        write!(
            f,
            "the scheduler's clock jumped {ahead} times ahead and {behind} times back, the weave's {weave} times, others \
             {others} times; the weave made many blocks at once {blocks} times; a compute unit was slow for {slow} \
             minutes; {cuts} links were cut"
        )
    }
}

impl Hand {
    /// Turns the clock from now on.
    pub async fn turn(self: Arc<Hand>, network: Arc<Network>) {
        let world = &network.world;
        while !self.is_stopped.load(Ordering::Relaxed) {
            let wrong = lock(&self.wrong).filter(|(_, until)| Instant::now() < *until).map_or(0, |it| it.0);
            let at = self.set(world, wrong);
            let (births, was_up) = world.life_of(Host::Su);
            let was_open = was_up && network.scheduler_unit().is_some() && !world.is_stopping(Host::Su);
            tokio::time::sleep(STEP).await;
            let (more_births, is_up) = world.life_of(Host::Su);
            let is_same = births == more_births && !world.is_stopping(Host::Su);
            if was_up || is_up || !is_same {
                lock(&self.looks).push(Look { at, is_sure: was_open && is_up && is_same });
            }
        }
    }

    /// Sets it for the first time, or again.
    pub fn set(&self, world: &World, wrong: i64) -> u64 {
        let right = BEGINNING_MS + world.elapsed().as_millis() as u64;
        let at = right.saturating_add_signed(wrong);
        world.turn(Host::Su, Some(Dial::At(at)));
        at
    }

    /// It stands from the next step on.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// It is right again.
    fn correct(&self) {
        *lock(&self.wrong) = None;
    }

    /// What it showed while the scheduler was up.
    pub fn looks(&self) -> Vec<Look> {
        lock(&self.looks).clone()
    }

    /// What went wrong.
    pub fn said(&self) -> Said {
        *lock(&self.said)
    }
}

/// Whatever goes wrong in days, while it does.
pub struct Storm {
    network: Arc<Network>,
    hand: Arc<Hand>,
    tasks: [JoinHandle<()>; 2],
}

impl Storm {
    /// It begins.
    pub fn begin(network: &Arc<Network>, hand: &Arc<Hand>) -> Storm {
        let (network, hand) = (Arc::clone(network), Arc::clone(hand));
        let tasks = [
            tokio::spawn(trouble(Arc::clone(&network), Arc::clone(&hand))),
            tokio::spawn(Arc::clone(&network).reorganise()),
        ];
        Storm { network, hand, tasks }
    }

    /// It ends: nothing goes wrong any more, and those that are down have come up.
    pub async fn end(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.network.world.calm();
        self.hand.correct();
        self.network.come_up().await;
    }
}

/// Makes trouble for as long as it is let, on the average every twenty minutes.
async fn trouble(network: Arc<Network>, hand: Arc<Hand>) {
    let world = &network.world;
    loop {
        tokio::time::sleep(Duration::from_secs(5 * MINUTE + world.below(30 * MINUTE))).await;
        let some = |hosts: &[Host]| hosts[world.below(hosts.len() as u64) as usize];
        let either = || some(&[Host::Cu0, Host::Cu1]);
        let seconds = |from: u64, to: u64| Duration::from_secs(from + world.below(to - from));
        let mut said = hand.said();
        match world.below(19) {
            // Most of what a unit does is a tick and what follows.
            0..=3 => {
                let who =
                    some(&[Host::Su, Host::Su, Host::Mu0, Host::Mu0, Host::Cu0, Host::Cu1, Host::Weave]);
                world.doom(who, world.below(12));
                said.doomed += 1;
            }
            4 | 5 => {
                let is_long = world.below(12) == 0;
                let time = if is_long { seconds(HOUR, 8 * HOUR) } else { seconds(MINUTE, 20 * MINUTE) };
                down(world, Host::Su, time);
                said.rests += 1;
                said.scheduler_down += time.as_secs() / MINUTE;
            }
            6 => {
                down(world, Host::Mu0, seconds(MINUTE, HOUR));
                said.rests += 1;
            }
            7 => {
                down(world, either(), seconds(MINUTE, 2 * HOUR));
                said.rests += 1;
            }
            8..=10 => {
                let jump = (1 + world.below(3 * HOUR)) as i64 * 1000;
                let is_ahead = world.below(3) == 0;
                *lock(&hand.wrong) =
                    Some((if is_ahead { jump } else { -jump }, Instant::now() + seconds(1, 20 * MINUTE)));
                said.ahead += u64::from(is_ahead);
                said.behind += u64::from(!is_ahead);
            }
            11 => {
                let (who, ms) = (some(&[Host::Mu0, Host::Cu0, Host::Cu1]), world.below(6 * HOUR * 1000));
                jump(world, who, ms as i64 - 3 * HOUR as i64 * 1000, seconds(1, 40 * MINUTE));
                said.others += 1;
            }
            12 => {
                let (one, other) = some_link(world);
                world.cut(one, other, seconds(MINUTE, 15 * MINUTE));
                said.cuts += 1;
            }
            13 | 14 => {
                let who = some(&[Host::Su, Host::Su, Host::Mu0, Host::Cu0, Host::Cu1, Host::Weave]);
                world.rest(who, seconds(1, 10 * MINUTE));
                let network = Arc::clone(&network);
                tokio::spawn(async move { network.stop(who).await });
                said.stops += 1;
            }
            15 | 16 => {
                let ms = world.below(6 * HOUR * 1000);
                jump(world, Host::Weave, ms as i64 - 3 * HOUR as i64 * 1000, seconds(1, 40 * MINUTE));
                said.weave += 1;
            }
            17 => {
                let (network, blocks) = (Arc::clone(&network), 2 + world.below(18));
                tokio::spawn(async move { network.mine(blocks).await });
                said.blocks += 1;
            }
            _ => {
                let time = seconds(HOUR, 5 * HOUR);
                world.slow_down(either(), time);
                said.slow += time.as_secs() / MINUTE;
            }
        }
        *lock(&hand.said) = said;
    }
}

fn some_link(world: &World) -> (Host, Host) {
    const LINKS: [(Host, Host); 6] = [
        (Host::Su, Host::Mu0),
        (Host::Mu0, Host::Su),
        (Host::Mu0, Host::Cu0),
        (Host::Cu0, Host::Su),
        (Host::Cu1, Host::Mu0),
        (Host::Weave, Host::Su),
    ];
    LINKS[world.below(LINKS.len() as u64) as usize]
}

fn down(world: &World, host: Host, time: Duration) {
    world.rest(host, time);
    world.crash(host);
}

fn jump(world: &Arc<World>, host: Host, ms: i64, time: Duration) {
    world.tell(host, host, "has a wrong clock", &"", &format!("{ms} ms for {time:?}"));
    world.turn(host, Some(Dial::Off(ms)));
    let world = Arc::clone(world);
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        world.turn(host, None);
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
