//! A weave that is not to be relied on before something lies deep enough: it accepts and forgets, and its newest blocks
//! are replaced by others that do not have everything.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use protocol::{Address, DataItem, Height, Id};
use unit::{BlockRef, Error, Found, Page, Query, Result, Tip, Weave};
use weave::EmbeddedWeave;

use crate::world::{Host, World};

/// Blocks under which nothing is lost any more.
pub const DEEP: u64 = 2;

/// What the chain does not have any more, though a node took it. Outlives every node.
#[derive(Default)]
pub struct Chain(Mutex<State>);

#[derive(Default)]
struct State {
    /// Taken, and perhaps not deep yet.
    recent: BTreeSet<Id>,
    lost: BTreeSet<Id>,
}

/// The embedded weave, on that chain.
pub struct Fickle {
    /// Where it is.
    pub world: Arc<World>,
    /// What it stands on.
    pub chain: Arc<Chain>,
    /// What nodes do with what they have.
    pub weave: Arc<EmbeddedWeave>,
}

impl Chain {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_lost(&self, id: Id) -> bool {
        self.state().lost.contains(&id)
    }
}

impl Fickle {
    /// The newest blocks are replaced: of what is not deep yet, some is in none any more.
    pub async fn reorganise(&self) {
        let recent: Vec<Id> = self.chain.state().recent.iter().copied().collect();
        let mut lost = 0;
        for id in recent {
            let depth = self.weave.confirmations(id).await.ok().flatten();
            let is_deep = depth.is_some_and(|depth| depth >= DEEP);
            let is_lost = !is_deep && self.world.below(2) == 0;
            let mut state = self.chain.state();
            if is_deep {
                state.recent.remove(&id);
            }
            if is_lost {
                state.lost.insert(id);
                lost += 1;
            }
        }
        self.world.tell(Host::Weave, Host::Weave, "replaces its newest blocks", &"", &format!("{lost} lost"));
    }
}

#[async_trait]
impl Weave for Fickle {
    async fn upload(&self, item: DataItem) -> Result<()> {
        if self.world.strikes(self.world.faults.forget_permille) {
            self.world.tell(Host::Weave, Host::Weave, "forgets", &item.id, &"");
            return Ok(());
        }
        let id = item.id;
        self.weave.upload(item).await?;
        let mut state = self.chain.state();
        state.lost.remove(&id);
        state.recent.insert(id);
        Ok(())
    }

    async fn get(&self, id: Id) -> Result<Found> {
        match self.chain.has_lost(id) {
            true => Err(Error::not_found(format!("{id} is not on the weave"))),
            false => self.weave.get(id).await,
        }
    }

    async fn confirmations(&self, id: Id) -> Result<Option<u64>> {
        match self.chain.has_lost(id) {
            true => Err(Error::not_found(format!("{id} is not on the weave"))),
            false => self.weave.confirmations(id).await,
        }
    }

    async fn query(&self, query: Query) -> Result<Page<Found>> {
        let mut page = self.weave.query(query).await?;
        page.items.retain(|found| !self.chain.has_lost(found.item.id));
        Ok(page)
    }

    async fn tip(&self) -> Result<Tip> {
        self.weave.tip().await
    }

    async fn blocks(&self, from: Height, limit: usize) -> Result<Vec<BlockRef>> {
        self.weave.blocks(from, limit).await
    }

    async fn knows_wallet(&self, address: Address) -> Result<bool> {
        self.weave.knows_wallet(address).await
    }
}
