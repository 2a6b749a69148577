//! An Arweave of one's own: a node, a gateway and a bundler in one, kept in the node's store.
//!
//! Data items are verified, can be found at once, and are bundled into a transaction of the next block.
//! Transactions go through all the checks of a real node, anchor, reward and balance included; bundles among them
//! are unpacked, and only what is signed is let in. Blocks are made, not mined: shortly after something waits for
//! one, every so often, or when asked; their hashes are real and chain.
//!
//! It does not speak HTTP: `http` serves it as [`unit::Arweave`].
//!
//! # Deviations from Arweave
//! * Whoever runs it can have ids and addresses answered with something else: `stand_in`. Off unless asked for.
//! * No proof of work or access, no peers, no endowment: fees add up in `reward_pool`.
//! * The price is linear and constant.

mod options;
mod error;
mod codec;
mod keys;
mod record;
mod core;
mod upload;
mod unpack;
mod validate;
mod post;
mod data;
mod query;
mod chain;
mod bundle;
mod mine;
mod reorganise;
mod parts;
mod node;
mod stand_in;

use std::sync::{Arc, Mutex, PoisonError};

use protocol::Wallet;
use store::Store;
use tokio::task::JoinHandle;
use unit::{Clock, Events};

pub use error::Error;
pub use options::{Mining, Options};

use crate::core::Core;

/// The key that signs bundles and receipts. Everyone has it: what it signs proves nothing, and it owns nothing.
const BUNDLER_KEY: &str = include_str!("bundler-key.json");

/// What the weave needs from outside.
pub struct Ports {
    /// Keeps everything.
    pub store: Arc<dyn Store>,
    /// Tells the times of blocks.
    pub clock: Arc<dyn Clock>,
    /// Hears of new blocks.
    pub events: Arc<Events>,
}

/// An Arweave node, gateway and bundler within this process.
pub struct EmbeddedWeave {
    core: Arc<Core>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl EmbeddedWeave {
    /// Opens what an earlier run left in the store, or begins with a first block.
    pub async fn open(ports: Ports, options: Options) -> Result<Arc<EmbeddedWeave>, Error> {
        let load = move || Core::load(ports, options, Wallet::from_jwk(BUNDLER_KEY)?);
        let core = unit::blocking(load).await.map_err(|_| Error::Stopping)??;
        let core = Arc::new(core);
        let tasks =
            vec![tokio::spawn(unpack::resume(Arc::clone(&core))), tokio::spawn(mine::run(Arc::clone(&core)))];
        Ok(Arc::new(EmbeddedWeave { core, tasks: Mutex::new(tasks) }))
    }

    /// When blocks are made.
    pub fn mining(&self) -> Mining {
        *self.core.mode.borrow()
    }

    /// Sets when blocks are made, until the weave stops.
    pub async fn set_mining(&self, mode: Mining) {
        // Nobody may be in the middle of a block when its maker is stopped.
        let _mining = self.core.mining.lock().await;
        self.core.mode.send_replace(mode);
    }

    /// Stops making blocks. What was acknowledged is durable already.
    pub async fn stop(&self) {
        // A block that is being made is either appended as a whole or not at all.
        let _mining = self.core.mining.lock().await;
        self.abort();
    }

    fn abort(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.drain(..).for_each(|task| task.abort());
    }
}

impl Drop for EmbeddedWeave {
    fn drop(&mut self) {
        self.abort();
    }
}
