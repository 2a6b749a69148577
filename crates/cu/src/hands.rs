//! The threads that evaluate, and which of them lets others go first.
//!
//! Evaluations are plain threads, more of them than there are cores, and the operating system shares the cores among
//! them. It would give each the same; but one message of a thousand steps shall not wait for three endless loops. So an
//! evaluation that has had the processor for [`SLICE`] steps back: its thread goes on with what nobody else needs.
//! None of this is seen by the machine: the same outcomes come earlier or later.
//!
//! A thread that stepped back cannot come forward again, as the operating system allows that to nobody but
//! administrators: it ends after its message, and another one takes its place.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use unit::{Error, Kind, Result};

/// How long a message may take before others go first: a hundred times what most take. Cron ticks that are caught up
/// with count as one.
const SLICE: Duration = Duration::from_millis(10);
/// How often somebody looks, while anything is evaluated.
const LOOK: Duration = Duration::from_millis(3);
/// Threads that are kept while they have nothing to do.
const IDLE_MAX: usize = 16;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that evaluate.
pub(crate) struct Hands(Arc<Inner>);

struct Inner {
    start: Instant,
    state: Mutex<State>,
    /// Somebody has begun to work.
    begun: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<mpsc::Sender<Job>>,
    /// Who works, by a number of their own.
    working: BTreeMap<u64, Arc<Hand>>,
    next: u64,
    is_watched: bool,
}

/// A thread at work.
struct Hand {
    thread: Pid,
    start: Instant,
    /// When its message began, microseconds after `start`.
    since: AtomicU64,
    is_behind: AtomicBool,
}

thread_local! {
    /// This thread, if it is one of these at work.
    static CURRENT: RefCell<Option<Arc<Hand>>> = const { RefCell::new(None) };
}

/// The message on this thread is done, and another begins. Whether the thread has stepped back meanwhile: the next
/// message had better have another one.
pub(crate) fn next_message() -> bool {
    CURRENT.with_borrow(|hand| {
        hand.as_ref().is_some_and(|hand| {
            hand.since.store(micros(hand.start), Ordering::Relaxed);
            hand.is_behind.load(Ordering::Relaxed)
        })
    })
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

impl Hands {
    /// No threads yet.
    #[expect(
        clippy::disallowed_methods,
        reason = "which thread goes first is nothing that an outcome depends on"
    )]
    pub fn new() -> Hands {
        Hands(Arc::new(Inner { start: Instant::now(), state: Mutex::default(), begun: Condvar::new() }))
    }

    /// Does `work` on a thread of its own, which steps back if it takes long. It is not cancelled with the future.
    ///
    /// A panic in it is [`Kind::Internal`]; [`Kind::Unavailable`] if there is no thread to be had.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        if unit::blocks_here() {
            return unit::blocking(work).await;
        }
        let (tell, told) = oneshot::channel();
        let handle = Handle::current();
        self.give(Box::new(move || {
            let _entered = handle.enter();
            drop(tell.send(catch_unwind(AssertUnwindSafe(work))));
        }))?;
        match told.await {
            Ok(Ok(done)) => Ok(done),
            _ => Err(Error::new(Kind::Internal, "a panic during an evaluation")),
        }
    }

    fn give(&self, mut job: Job) -> Result<()> {
        // One that ended in the meantime takes nothing.
        loop {
            let idle = lock(&self.0).idle.pop();
            let Some(idle) = idle else { break };
            match idle.send(job) {
                Ok(()) => return Ok(()),
                Err(mpsc::SendError(back)) => job = back,
            }
        }
        let inner = Arc::downgrade(&self.0);
        let thread = std::thread::Builder::new().name("pirn-evaluates".to_owned());
        let started = thread.spawn(move || work(&inner, job));
        started.map_err(|error| Error::unavailable(format!("a thread to evaluate on: {error}")))?;
        self.watch()
    }

    /// Has somebody look at who works.
    fn watch(&self) -> Result<()> {
        let mut state = lock(&self.0);
        if state.is_watched {
            return Ok(());
        }
        let inner = Arc::downgrade(&self.0);
        let thread = std::thread::Builder::new().name("pirn-watches".to_owned());
        let started = thread.spawn(move || watch(&inner));
        started.map_err(|error| Error::unavailable(format!("a thread to watch evaluations: {error}")))?;
        state.is_watched = true;
        Ok(())
    }
}

/// Works until there is nothing more to do here.
fn work(inner: &Weak<Inner>, mut job: Job) {
    loop {
        let Some(hands) = inner.upgrade() else { return job() };
        let hand = Arc::new(Hand {
            thread: rustix::thread::gettid(),
            start: hands.start,
            since: AtomicU64::new(micros(hands.start)),
            is_behind: AtomicBool::new(false),
        });
        let number = {
            let mut state = lock(&hands);
            state.next += 1;
            let number = state.next;
            state.working.insert(number, Arc::clone(&hand));
            number
        };
        hands.begun.notify_one();
        CURRENT.set(Some(Arc::clone(&hand)));
        job();
        CURRENT.set(None);
        let more = {
            let mut state = lock(&hands);
            state.working.remove(&number);
            // Under the lock: whoever is no longer at work is not sent back.
            if hand.is_behind.load(Ordering::Relaxed) || state.idle.len() >= IDLE_MAX {
                return;
            }
            let (give, more) = mpsc::channel();
            state.idle.push(give);
            more
        };
        drop(hands);
        let Ok(next) = more.recv() else { return };
        job = next;
    }
}

/// Sends those back who have worked on one message for long, as long as there is anybody.
fn watch(inner: &Weak<Inner>) {
    while let Some(hands) = inner.upgrade() {
        let mut state = lock(&hands);
        if state.working.is_empty() {
            let waited = hands.begun.wait_timeout(state, Duration::from_secs(1));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let now = micros(hands.start);
        for hand in state.working.values() {
            let worked = now.saturating_sub(hand.since.load(Ordering::Relaxed));
            if u128::from(worked) > SLICE.as_micros() && !hand.is_behind.swap(true, Ordering::Relaxed) {
                step_back(hand.thread);
            }
        }
        drop(state);
        drop(hands);
        std::thread::sleep(LOOK);
    }
}

/// Has a thread run only where nobody else wants to, from now on and at once: not after the slice of some milliseconds that the
/// lowest priority would still have. Should that not be allowed, it stays where it is.
#[expect(unsafe_code, reason = "a call of the operating system that no library of ours has")]
fn step_back(thread: Pid) {
    let nothing = libc::sched_param { sched_priority: 0 };
    // SAFETY: the structure outlives the call, which reads nothing else of our memory.
    unsafe { libc::sched_setscheduler(thread.as_raw_nonzero().get(), libc::SCHED_IDLE, &raw const nothing) };
}

fn lock(inner: &Inner) -> MutexGuard<'_, State> {
    inner.state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[expect(unsafe_code, reason = "a call of the operating system that no library of ours has")]
mod tests {
    use super::*;

    /// How the operating system shares the processor with this thread.
    fn policy() -> i32 {
        // SAFETY: it reads no memory of ours.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_takes_long_steps_back_and_is_not_seen_again() {
        let hands = Hands::new();
        let usual = policy();
        let (thread, behind, is_behind) = hands
            .run(|| {
                while policy() != libc::SCHED_IDLE {
                    std::thread::yield_now();
                }
                (rustix::thread::gettid(), policy(), next_message())
            })
            .await
            .unwrap();
        assert_eq!((behind, is_behind), (libc::SCHED_IDLE, true));
        for _ in 0..20 {
            let (next, was) = hands.run(|| (rustix::thread::gettid(), policy())).await.unwrap();
            assert!(next != thread && was == usual, "{next:?} {was}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_panic_is_an_error_and_others_go_on() {
        let hands = Hands::new();
        let error = hands.run(|| assert_eq!(1, 2)).await.unwrap_err();
        assert_eq!(error.kind, Kind::Internal);
        let all = (0..100).map(|n| hands.run(move || n)).collect::<Vec<_>>();
        let done = futures::future::try_join_all(all).await.unwrap();
        assert_eq!(done, (0..100).collect::<Vec<_>>());
        assert!(lock(&hands.0).idle.len() <= IDLE_MAX);
    }
}
