//! The whole of an Arweave node, gateway and bundler, as `http` serves it. Only the embedded weave implements it.

use async_trait::async_trait;

use crate::Weave;

/// A weave that is a node of its own: it takes in transactions and chunks, mines, and has wallets.
#[async_trait]
pub trait Arweave: Weave {}
