//! Posts what a webhook wants, one after the other, until each is taken or given up.

use std::sync::Arc;
use std::time::Duration;

use store::Batch;
use unit::{Answered, DeadDelivery, Followed, Follower as _, HookState, Parcel, Place, Result, Said, Start};

use crate::hooks::{DEAD, Hooks, Live, Row, dead_key, put};
use crate::{internal, lock, sign};

/// Milliseconds between two looks whether its time is over, where nothing comes.
const LOOK_MS: u64 = 1000;
/// Milliseconds until it is tried again to follow a process.
const AGAIN_MS: u64 = 2000;
/// Evaluations without anything to post, after which the place is written down all the same.
const MOVED_MAX: u64 = 256;
/// Characters of a reason that are kept.
const ERROR_MAX: usize = 300;

/// What is next.
enum Step {
    /// Go on.
    On,
    /// It is over, paused, or somebody else goes on.
    Stop,
}

impl Hooks {
    /// Delivers, until it is over, paused, removed or replayed, or the node stops.
    pub(crate) fn run(self: &Arc<Self>, live: &Arc<Live>) {
        let (hooks, live) = (Arc::clone(self), Arc::clone(live));
        let mut generation = live.generation.subscribe();
        let mut stopping = self.stopping.subscribe();
        let own = *generation.borrow_and_update();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stops| *stops) => {}
                _ = generation.wait_for(|now| *now != own) => {}
                () = hooks.deliver_all(&live, own) => {}
            }
        });
    }

    async fn deliver_all(&self, live: &Live, own: u64) {
        let mut in_row = 0;
        loop {
            let (process, filter, next) = {
                let row = lock(&live.row);
                (row.hook.process, row.hook.filter.clone(), row.next())
            };
            let mut follower = match self.reads.follow(process, Start::At(next), filter, None).await {
                Ok(follower) => follower,
                Err(error) => {
                    note(live, &error.to_string());
                    tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
                    continue;
                }
            };
            loop {
                if self.is_over(live, own).await {
                    return;
                }
                let look = Duration::from_millis(LOOK_MS);
                let Ok(followed) = tokio::time::timeout(look, follower.next()).await else { continue };
                let step = match followed {
                    Followed::Messages(said) => {
                        let mut step = Step::On;
                        for said in said {
                            step = self.deliver(live, own, &said, &mut in_row).await;
                            if matches!(step, Step::Stop) {
                                break;
                            }
                        }
                        step
                    }
                    Followed::Nothing => self.moved(live, own, follower.position()).await,
                    Followed::Ahead { resumed } => {
                        self.change(live, own, |row, _| row.move_to(resumed)).await
                    }
                    // The node stops, or the record cannot be read: it is tried again from the row.
                    Followed::End(why) => {
                        note(live, &why);
                        tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
                        break;
                    }
                };
                if matches!(step, Step::Stop) {
                    return;
                }
            }
        }
    }

    /// Posts a message until it is taken or given up.
    async fn deliver(&self, live: &Live, own: u64, said: &Said, in_row: &mut u32) -> Step {
        let place = said.what.place();
        let mut tries = 0;
        loop {
            if self.is_over(live, own).await {
                return Step::Stop;
            }
            tries += 1;
            let (failure, wait) = match self.post(live, said).await {
                Ok(Answered { status: 200..=299, .. }) => {
                    *in_row = 0;
                    return self
                        .change(live, own, |row, _| {
                            row.hook.delivered += 1;
                            row.move_to(place.next());
                        })
                        .await;
                }
                Ok(Answered { status: 410, .. }) => {
                    let gone = "the receiver answered 410: it is gone";
                    return self.stop_hook(live, own, HookState::Ended, gone).await;
                }
                Ok(Answered { status, retry_after }) => {
                    (format!("the receiver answered {status}"), retry_after.unwrap_or(0).saturating_mul(1000))
                }
                Err(error) => (error.to_string(), 0),
            };
            note(live, &failure);
            if tries >= self.options.tries_max {
                return self.give_up(live, own, said, (tries, &failure), in_row).await;
            }
            let longest = self.options.retry_longest_ms;
            let wait = self.options.wait_after(tries).max(wait).min(longest);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    /// One post.
    async fn post(&self, live: &Live, said: &Said) -> Result<Answered> {
        let (id, url, secret) = {
            let row = lock(&live.row);
            (row.hook.id.clone(), row.hook.url.clone(), sign::read_secret(&row.secret)?)
        };
        let webhook_id = webhook_id(&id, said.what.place());
        let seconds = self.ports.wall.now().0 / 1000;
        let body = format!(
            r#"{{"type":"ao.message","timestamp":{},"webhook":"{id}","data":{}}}"#,
            said.what.at, said.json
        );
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("webhook-signature", sign::signature(&secret, &webhook_id, seconds, &body)),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-id", webhook_id),
        ];
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(unit::Error::unavailable("the node stops"));
        };
        self.ports.courier.post(Parcel { url, headers, body }).await
    }

    /// Posts a dead letter once more. Answers why it was not taken, if it was not.
    pub(crate) async fn post_again(&self, live: &Live, place: Place) -> Result<Option<String>> {
        let process = lock(&live.row).hook.process;
        let turns = self.reads.record.turns(process, place.leaf, 1).await?;
        let mut said = turns.iter().filter(|turn| turn.leaf == place.leaf).flat_map(|turn| &turn.said);
        let said = said.find(|said| said.what.place() == place).ok_or_else(|| {
            unit::Error::not_found(format!("{process} sent nothing at {place}, as far as its record says"))
        })?;
        Ok(match self.post(live, said).await {
            Ok(Answered { status: 200..=299, .. }) => None,
            Ok(Answered { status, .. }) => Some(format!("the receiver answered {status}")),
            Err(error) => Some(error.to_string()),
        })
    }

    /// Puts a message among the dead letters, and goes on with the next; or pauses, if too many went there in a row.
    async fn give_up(
        &self,
        live: &Live,
        own: u64,
        said: &Said,
        (tries, error): (u32, &str),
        in_row: &mut u32,
    ) -> Step {
        *in_row += 1;
        let place = said.what.place();
        let at = self.ports.clock.now().0;
        let id = lock(&live.row).hook.id.clone();
        let letter = DeadDelivery {
            place: place.to_string(),
            webhook_id: webhook_id(&id, place),
            at,
            tries,
            error: error.chars().take(ERROR_MAX).collect(),
        };
        tracing::warn!(webhook = %id, %place, error, "a webhook gives a message up");
        let oldest = self.dead_rows(&id, None, 1).unwrap_or_default();
        let pauses = *in_row >= self.options.pause_after.max(1);
        let max = self.options.dead_max as u64;
        self.change(live, own, move |row, batch| {
            row.hook.given_up += 1;
            row.move_to(place.next());
            row.dead += 1;
            if row.dead > max
                && let Some((key, _)) = oldest.into_iter().next()
            {
                batch.delete(DEAD, key);
                row.dead -= 1;
                row.hook.forgotten += 1;
            }
            if let Ok(letter) = serde_json::to_vec(&letter) {
                batch.put(DEAD, dead_key(&row.hook.id, place), letter);
            }
            if pauses {
                row.hook.state = HookState::Paused;
                row.hook.why =
                    Some("too many messages in a row were not taken: replay it to go on".to_owned());
            }
        })
        .await;
        if pauses { Step::Stop } else { Step::On }
    }

    /// Whether its time or budget is over. Then that is written down.
    async fn is_over(&self, live: &Live, own: u64) -> bool {
        let now = self.ports.clock.now().0;
        let why = {
            let hook = &lock(&live.row).hook;
            let done = hook.delivered + hook.given_up;
            match hook.budget {
                _ if hook.expires <= now => "its time is over",
                Some(budget) if done >= budget => "its budget is used up",
                _ => return false,
            }
        };
        self.stop_hook(live, own, HookState::Ended, why).await;
        true
    }

    async fn stop_hook(&self, live: &Live, own: u64, state: HookState, why: &str) -> Step {
        self.change(live, own, |row, _| {
            row.hook.state = state;
            row.hook.why = Some(why.to_owned());
        })
        .await;
        Step::Stop
    }

    /// Nothing was to be posted before a place.
    async fn moved(&self, live: &Live, own: u64, next: Place) -> Step {
        if lock(&live.row).leaf + MOVED_MAX > next.leaf {
            return Step::On;
        }
        self.change(live, own, |row, _| row.move_to(next)).await
    }

    /// Changes the row, durably, unless somebody else decides where it goes on by now.
    async fn change(&self, live: &Live, own: u64, how: impl FnOnce(&mut Row, &mut Batch)) -> Step {
        let appended = {
            let mut row = lock(&live.row);
            if *live.generation.borrow() != own {
                return Step::Stop;
            }
            let mut batch = Batch::new();
            how(&mut row, &mut batch);
            if put(&mut batch, &row).is_err() {
                return Step::Stop;
            }
            self.ports.store.append(batch)
        };
        match appended.await.map_err(internal) {
            Ok(()) => Step::On,
            Err(error) => {
                tracing::error!(%error, "the place of a webhook cannot be written down; what it posted is posted again");
                Step::Stop
            }
        }
    }
}

/// The same message of the same webhook always has the same, so that its receiver knows it again.
fn webhook_id(id: &str, place: Place) -> String {
    format!("{id}.{place}")
}

/// How it failed last, in memory.
fn note(live: &Live, why: &str) {
    lock(&live.row).hook.last_error = Some(why.chars().take(ERROR_MAX).collect());
}
