//! Webhooks: rows on the disk, and who may change them when.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::{Batch, Order, Space};
use tokio::sync::{Semaphore, watch};
use unit::{
    DeadDelivery, Error, Hook, HookState, HookWish, Kind, Novelty, Page, Place, Result, Start, checked_key,
};

use crate::{Gauges, Options, Ports, Reads, internal, lock, sign};

/// Id → [`Row`] as JSON.
const HOOKS: Space = Space("apps.hook");
/// Id, leaf, index → [`DeadDelivery`] as JSON.
pub(crate) const DEAD: Space = Space("apps.dead");
/// Bytes of a URL.
const URL_BYTES_MAX: usize = 2048;

/// All that is kept of a webhook.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub hook: Hook,
    /// `whsec_…`, which nobody is told again.
    pub secret: String,
    /// Where it goes on.
    pub leaf: u64,
    pub index: u64,
    /// Dead letters that are kept.
    pub dead: u64,
    /// The `Idempotency-Key` that it was made with, and a hash of the wish.
    #[serde(default)]
    pub key: Option<(String, String)>,
}

impl Row {
    pub fn next(&self) -> Place {
        Place { leaf: self.leaf, index: self.index }
    }

    /// Everything before a place is done.
    pub fn move_to(&mut self, next: Place) {
        (self.leaf, self.index) = (next.leaf, next.index);
        self.hook.next = next.to_string();
    }
}

/// A webhook of this run.
pub(crate) struct Live {
    pub row: Mutex<Row>,
    /// Changes when somebody else decides where it goes on: whoever delivers for an older number stops.
    pub generation: watch::Sender<u64>,
    /// Nothing of it is written any more. Changes under the lock of the row.
    is_removed: AtomicBool,
    /// Held while a dead letter of it is posted again.
    retrying: tokio::sync::Mutex<()>,
}

/// All webhooks.
pub(crate) struct Hooks {
    pub ports: Ports,
    pub options: Options,
    pub reads: Arc<Reads>,
    pub permits: Semaphore,
    live: Mutex<BTreeMap<String, Arc<Live>>>,
    /// Held while one is made: two of one key are one.
    making: tokio::sync::Mutex<()>,
    pub stopping: watch::Sender<bool>,
}

impl Hooks {
    pub fn open(ports: Ports, options: Options, reads: Arc<Reads>) -> Result<Arc<Hooks>> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let rows = ports.store.scan(HOOKS, all, Order::Ascending, usize::MAX / 2).map_err(internal)?;
        let mut live = BTreeMap::new();
        for (_, row) in rows {
            let row: Row = serde_json::from_slice(&row).map_err(|error| Error::internal(&error))?;
            live.insert(row.hook.id.clone(), Arc::new(Live::new(row)));
        }
        let hooks = Arc::new(Hooks {
            permits: Semaphore::new(options.posts_max.max(1)),
            live: Mutex::new(live),
            making: tokio::sync::Mutex::default(),
            stopping: watch::Sender::new(false),
            ports,
            options,
            reads,
        });
        for live in lock(&hooks.live).values() {
            if lock(&live.row).hook.state == HookState::Active {
                hooks.run(live);
            }
        }
        Ok(hooks)
    }

    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    pub fn gauges(&self) -> Gauges {
        let mut gauges = Gauges::default();
        for live in lock(&self.live).values() {
            let row = lock(&live.row);
            match row.hook.state {
                HookState::Active => gauges.hooks_active += 1,
                HookState::Paused => gauges.hooks_paused += 1,
                HookState::Ended => {}
            }
            gauges.delivered += row.hook.delivered;
            gauges.given_up += row.hook.given_up;
        }
        gauges
    }

    pub async fn create(self: &Arc<Self>, wish: HookWish, key: Option<String>) -> Result<(Hook, Novelty)> {
        let _making = self.making.lock().await;
        let wished = serde_json::to_vec(&wish).map_err(|error| Error::internal(&error))?;
        let key =
            key.map(|key| checked_key(&key).map(|()| (key, hex(&Sha256::digest(&wished))))).transpose()?;
        if let Some(made) = key.as_ref().and_then(|key| self.made_with(key)) {
            return made.map(|hook| (hook, Novelty::Repeat));
        }
        self.check(&wish)?;
        let max = self.options.hooks_max;
        if lock(&self.live).len() >= max {
            let busy = Kind::Busy { retry_after: std::time::Duration::from_secs(60) };
            return Err(Error::new(busy, format!("this node has {max} webhooks, and that is the most"))
                .with_hint("remove one that has ended; whoever runs the node sets apps.hooks_max"));
        }
        self.ports.scheduler.process(wish.process).await?;
        let from = wish.from.as_deref().unwrap_or("now").parse::<Start>()?;
        let (next, _) = self.reads.place(wish.process, from).await?;
        let secret = match wish.secret {
            Some(secret) => secret,
            None => sign::write_secret(&(self.ports.fresh)()),
        };
        let now = self.ports.clock.now().0;
        let longest = now.saturating_add(self.options.hook_ms);
        let hook = Hook {
            id: hex(&(self.ports.fresh)()[..16]),
            process: wish.process,
            url: wish.url,
            filter: wish.filter,
            secret: None,
            created: now,
            expires: wish.expires.unwrap_or(longest),
            budget: wish.budget,
            state: HookState::Active,
            why: None,
            next: next.to_string(),
            delivered: 0,
            given_up: 0,
            forgotten: 0,
            last_error: None,
        };
        let row = Row { hook: hook.clone(), secret, leaf: next.leaf, index: next.index, dead: 0, key };
        let mut batch = Batch::new();
        put(&mut batch, &row)?;
        self.ports.store.append(batch).await.map_err(internal)?;
        let hook = Hook { secret: Some(row.secret.clone()), ..hook };
        let live = Arc::new(Live::new(row));
        lock(&self.live).insert(hook.id.clone(), Arc::clone(&live));
        self.run(&live);
        Ok((hook, Novelty::First))
    }

    /// What is wrong with a wish, if something is.
    fn check(&self, wish: &HookWish) -> Result<()> {
        wish.filter.check()?;
        if wish.url.len() > URL_BYTES_MAX {
            return Err(Error::invalid(format!("the URL is longer than {URL_BYTES_MAX} bytes")));
        }
        self.ports.courier.check(&wish.url)?;
        if let Some(secret) = &wish.secret {
            sign::read_secret(secret)?;
        }
        if wish.budget == Some(0) {
            return Err(
                Error::invalid("a budget of 0 delivers nothing").with_hint("ask for one message at least")
            );
        }
        let now = self.ports.clock.now().0;
        let longest = now.saturating_add(self.options.hook_ms);
        match wish.expires {
            Some(expires) if expires <= now => {
                Err(Error::invalid(format!("it would have ended at {expires}, and it is {now} now")))
            }
            Some(expires) if expires > longest => {
                Err(Error::refused(format!("a webhook of this node ends at {longest} at the latest"))
                    .with_hint("make it again then; whoever runs the node sets apps.hook_ms"))
            }
            _ => Ok(()),
        }
    }

    /// The webhook that was made with a key.
    fn made_with(&self, (key, wished): &(String, String)) -> Option<Result<Hook>> {
        let live: Vec<_> = lock(&self.live).values().cloned().collect();
        live.iter().find_map(|live| {
            let row = lock(&live.row);
            let (own, wish) = row.key.as_ref().filter(|(own, _)| own == key)?;
            if wish != wished {
                return Some(Err(Error::new(
                    Kind::Conflict,
                    format!("the Idempotency-Key {own:?} made another webhook, {}", row.hook.id),
                )
                .with_hint("take a new key for a new wish")));
            }
            // Whoever lost the first answer has no other way to learn it.
            Some(Ok(Hook { secret: Some(row.secret.clone()), ..row.hook.clone() }))
        })
    }

    pub fn list(&self, after: Option<String>, limit: usize) -> Page<Hook> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let live = lock(&self.live);
        let listed = live.range((from, Bound::Unbounded)).take(limit.saturating_add(1));
        Page::cut(listed.map(|(_, live)| lock(&live.row).hook.clone()).collect(), limit)
    }

    pub fn get(&self, id: &str) -> Result<Hook> {
        Ok(lock(&self.live(id)?.row).hook.clone())
    }

    fn live(&self, id: &str) -> Result<Arc<Live>> {
        lock(&self.live).get(id).cloned().ok_or_else(|| unknown(id))
    }

    pub async fn remove(&self, id: &str) -> Result<()> {
        let live = self.live(id)?;
        let appended = {
            let _row = lock(&live.row);
            live.is_removed.store(true, Ordering::Relaxed);
            live.generation.send_modify(|generation| *generation += 1);
            let mut batch = Batch::new();
            for (key, _) in self.dead_rows(id, None, usize::MAX / 2)? {
                batch.delete(DEAD, key);
            }
            batch.delete(HOOKS, id.as_bytes().to_vec());
            self.ports.store.append(batch)
        };
        appended.await.map_err(internal)?;
        lock(&self.live).remove(id);
        Ok(())
    }

    pub async fn replay(self: &Arc<Self>, id: &str, from: Start) -> Result<Hook> {
        let live = self.live(id)?;
        let hook = lock(&live.row).hook.clone();
        let now = self.ports.clock.now().0;
        let done = hook.delivered + hook.given_up;
        if hook.expires <= now || hook.budget.is_some_and(|budget| done >= budget) {
            return Err(Error::refused(format!(
                "the webhook {id} is over: its time or its budget is used up"
            ))
            .with_hint("make a new one with from=PLACE"));
        }
        let (next, is_beyond) = self.reads.place(hook.process, from).await?;
        if is_beyond {
            return Err(Error::invalid("that place is beyond what the process has sent")
                .with_hint("GET …/messages shows the places"));
        }
        let (hook, appended) = {
            let mut row = lock(&live.row);
            live.is_there(id)?;
            row.move_to(next);
            row.hook.state = HookState::Active;
            row.hook.why = None;
            live.generation.send_modify(|generation| *generation += 1);
            let mut batch = Batch::new();
            put(&mut batch, &row)?;
            (row.hook.clone(), self.ports.store.append(batch))
        };
        appended.await.map_err(internal)?;
        self.run(&live);
        Ok(hook)
    }

    pub fn dead(&self, id: &str, after: Option<Place>, limit: usize) -> Result<Page<DeadDelivery>> {
        self.live(id)?;
        let rows = self.dead_rows(id, after, limit.saturating_add(1))?;
        let read = |(_, row): (Bytes, Bytes)| serde_json::from_slice(&row);
        let letters: std::result::Result<_, _> = rows.into_iter().map(read).collect();
        Ok(Page::cut(letters.map_err(|error: serde_json::Error| Error::internal(&error))?, limit))
    }

    pub fn dead_rows(&self, id: &str, after: Option<Place>, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        let (first, last) = (dead_key(id, Place::default()), dead_key(id, LAST));
        let lower = after.map(|after| dead_key(id, after));
        let lower = lower.as_deref().map_or(Bound::Included(&first[..]), Bound::Excluded);
        let range = (lower, Bound::Included(&last[..]));
        self.ports.store.scan(DEAD, range, Order::Ascending, limit).map_err(internal)
    }

    pub async fn retry(&self, id: &str, place: Place) -> Result<()> {
        let live = self.live(id)?;
        let _retrying = live.retrying.lock().await;
        let key = dead_key(id, place);
        let none = || {
            Error::not_found(format!("the webhook {id} has no dead letter {place}"))
                .with_hint(format!("`pirn webhooks dead {id}` lists them"))
        };
        let row = self.ports.store.get(DEAD, &key).map_err(internal)?.ok_or_else(none)?;
        let mut letter: DeadDelivery =
            serde_json::from_slice(&row).map_err(|error| Error::internal(&error))?;
        let failed = self.post_again(&live, place).await?;
        let appended = {
            let mut row = lock(&live.row);
            live.is_there(id)?;
            let mut batch = Batch::new();
            match &failed {
                None => {
                    row.dead = row.dead.saturating_sub(1);
                    row.hook.delivered += 1;
                    row.hook.given_up = row.hook.given_up.saturating_sub(1);
                    batch.delete(DEAD, key);
                    put(&mut batch, &row)?;
                }
                Some(why) => {
                    letter.tries = letter.tries.saturating_add(1);
                    letter.error.clone_from(why);
                    let letter = serde_json::to_vec(&letter).map_err(|error| Error::internal(&error))?;
                    batch.put(DEAD, key, letter);
                }
            }
            self.ports.store.append(batch)
        };
        appended.await.map_err(internal)?;
        match failed {
            None => Ok(()),
            Some(why) => Err(Error::unavailable(format!("the receiver did not take it: {why}"))
                .with_hint("it stays a dead letter; retry it when the receiver is well")),
        }
    }
}

impl Live {
    fn new(row: Row) -> Live {
        Live {
            row: Mutex::new(row),
            generation: watch::Sender::new(0),
            is_removed: AtomicBool::new(false),
            retrying: tokio::sync::Mutex::default(),
        }
    }
}

impl Live {
    /// An error once it is removed: somebody else may have done so meanwhile.
    fn is_there(&self, id: &str) -> Result<()> {
        if self.is_removed.load(Ordering::Relaxed) { Err(unknown(id)) } else { Ok(()) }
    }
}

fn unknown(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::not_found(format!("there is no webhook {shown:?}")).with_hint("`pirn webhooks` lists them")
}

impl Reads {
    pub(crate) async fn place(&self, process: protocol::ProcessId, from: Start) -> Result<(Place, bool)> {
        self.record.place(process, from).await
    }
}

/// Behind every place.
const LAST: Place = Place { leaf: u64::MAX, index: u64::MAX };

pub(crate) fn put(batch: &mut Batch, row: &Row) -> Result<()> {
    let value = serde_json::to_vec(row).map_err(|error| Error::internal(&error))?;
    batch.put(HOOKS, row.hook.id.as_bytes().to_vec(), value);
    Ok(())
}

/// Ids are of one length, so these sort by place.
pub(crate) fn dead_key(id: &str, place: Place) -> Vec<u8> {
    [id.as_bytes(), &place.leaf.to_be_bytes(), &place.index.to_be_bytes()].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
