//! Transactions and chunks on their way in.

use std::sync::Arc;

use bytes::Bytes;
use protocol::merkle::{self, BadChunk};
use protocol::{Address, Id, Transaction};
use store::{Batch, Order};
use tracing::debug;
use unit::{BlockHash, Kind, NewChunk, Posted};

use crate::core::{Core, aside, keys_between};
use crate::keys::{CHUNK, PROOF, Place, ROOT, ROOT_USER, RootKey, UNPACK};
use crate::record::{Account, Head, Source, What};
use crate::upload::{Terms, is_bundle, put};
use crate::validate::{self, Around, Chunked};
use crate::{Error, unpack, upload};

/// Takes a transaction in. When this returns, it survives a crash.
pub(crate) async fn transaction(core: &Arc<Core>, tx: Transaction) -> unit::Result<Posted> {
    if let Some(posted) = known(core, tx.id).await? {
        return Ok(posted);
    }
    let (inline_max, data_max) = (core.options.inline_bytes_max, core.options.data_bytes_max);
    let (tx, checked) = aside(core, move |_| {
        let checked = validate::alone(&tx, inline_max, data_max);
        Ok((tx, checked))
    })
    .await?;
    let chunked = checked?;
    let (id, data_size) = (tx.id, tx.data_size);
    let tags = tx.tags();
    // Counting chunks that are here, and adding some, is one step.
    let counting = core.chunks.lock().await;
    let data = place_data(&tx, chunked)?;
    let unpack_it = is_bundle(&tags) && data_size > 0;
    let started = 'start: {
        let (received, received_at) = core.now();
        let mut state = core.state();
        if state.flight.has(id) || core.head(id)?.is_some() {
            break 'start None;
        }
        if state.pending.len() >= core.options.pending_transactions_max {
            let error = unit::Error::unavailable("too many transactions wait for a block");
            return Err(error.with_hint("have a block mined"));
        }
        let target = Id::from_slice(&tx.target).map(Address);
        let around = Around {
            account: core.account(tx.address())?,
            pending_cost: state.pending.spent(tx.address()),
            price: core.price(data_size, target)?,
            anchor_is_recent: BlockHash::of(&tx.last_tx).is_some_and(|hash| state.recent.contains(&hash)),
            anchor_is_pending: validate::anchor_id(&tx).is_some_and(|id| state.pending.has(id)),
        };
        validate::within(&tx, &around)?;
        let place = Place::of(state.next);
        let terms = Terms::of(tx.address(), Id::from_slice(&tx.target), &tags);
        let (mut batch, source) = data;
        let cost = tx.quantity + tx.reward;
        let address = tx.address();
        let what = What::Transaction(Box::new(Transaction { data: Bytes::new(), ..tx }));
        let head = Head { place, received, received_at, data_size, source, parent: None, what };
        put(&mut batch, id, &head, &terms);
        if unpack_it {
            batch.put(UNPACK, id.as_bytes().to_vec(), Vec::new());
        }
        state.next += 1;
        state.pending.add(id, address, cost);
        Some((state.flight.start([id]), core.store.append(batch)))
    };
    let Some((ticket, appended)) = started else {
        upload::known(core, id).await?;
        return Ok(Posted::Known);
    };
    if let Err(error) = core.land(ticket, appended).await {
        core.state().pending.remove(id);
        return Err(error.into());
    }
    drop(counting);
    debug!(transaction = %id, "kept a transaction");
    core.work.notify_one();
    if unpack_it {
        unpack::now_or_soon(core, id, data_size).await?;
    }
    Ok(Posted::Accepted)
}

/// Whether it is here already; answers no sooner than that it is durable.
async fn known(core: &Core, id: Id) -> Result<Option<Posted>, Error> {
    if !core.state().flight.has(id) && core.head(id)?.is_none() {
        return Ok(None);
    }
    upload::known(core, id).await?;
    Ok(Some(Posted::Known))
}

/// Where the data of a transaction will be, and the writes that put there what came along.
fn place_data(tx: &Transaction, chunked: Option<Chunked>) -> Result<(Batch, Source), Error> {
    let mut batch = Batch::new();
    if tx.data_size == 0 && tx.data.is_empty() {
        return Ok((batch, Source::Own));
    }
    let root = match &chunked {
        Some(chunked) => chunked.tree.root,
        None => tx.data_root[..].try_into().map_err(|_| Error::Damaged("a data root"))?,
    };
    let data = RootKey { root, size: tx.data_size.max(tx.data.len() as u64) };
    batch.put(ROOT_USER, data.user(tx.id).to_vec(), Vec::new());
    let Some(chunked) = chunked else { return Ok((batch, Source::Chunks { root })) };
    for ((range, leaf), proof) in chunked.chunks.iter().zip(&chunked.leaves).zip(chunked.tree.proofs) {
        if range.is_empty() {
            continue;
        }
        let bytes = tx.data.slice(range.start as usize..range.end as usize);
        batch.put(CHUNK, data.chunk(leaf.end).to_vec(), bytes);
        batch.put(PROOF, data.chunk(leaf.end).to_vec(), proof);
    }
    batch.put(ROOT, data.key().to_vec(), data.size.to_be_bytes().to_vec());
    Ok((batch, Source::Chunks { root }))
}

/// Takes a chunk in. With the last chunk, the data is complete.
pub(crate) async fn chunk(core: &Arc<Core>, chunk: NewChunk) -> unit::Result<()> {
    let data = RootKey { root: chunk.data_root, size: chunk.data_size };
    let end = check(&chunk)?;
    let users = users(core, data)?;
    if users.is_empty() {
        return Err(refused(
            "data_root_not_found",
            "post the transaction with this data_root and data_size first",
        ));
    }
    let counting = core.chunks.lock().await;
    if core.store.get(CHUNK, &data.chunk(end)).map_err(Error::from)?.is_some() {
        return Ok(());
    }
    let here = core.bytes_here(data)? + chunk.data.len() as u64;
    let mut batch = Batch::new();
    batch.put(CHUNK, data.chunk(end).to_vec(), chunk.data);
    batch.put(PROOF, data.chunk(end).to_vec(), chunk.data_path);
    batch.put(ROOT, data.key().to_vec(), here.to_be_bytes().to_vec());
    core.store.append(batch).await.map_err(Error::from)?;
    drop(counting);
    if here >= data.size {
        for id in self::users(core, data)? {
            if core
                .head(id)?
                .and_then(|head| head.item(Bytes::new()))
                .is_some_and(|item| is_bundle(&item.tags))
            {
                unpack::now_or_soon(core, id, data.size).await?;
            }
        }
    }
    Ok(())
}

/// The transactions that have this data.
pub(crate) fn users(core: &Core, data: RootKey) -> Result<Vec<Id>, Error> {
    let (first, last) = (data.user(Id([0; 32])), data.user(Id([0xff; 32])));
    let users =
        core.store.scan(ROOT_USER, keys_between(&first, &last), Order::Ascending, crate::core::PAGE)?;
    Ok(users.iter().filter_map(|(key, _)| Id::from_slice(key.get(40..)?)).collect())
}

/// Checks what a node checks of a chunk; where it ends.
fn check(chunk: &NewChunk) -> unit::Result<u64> {
    if chunk.data.len() as u64 > merkle::CHUNK_MAX {
        return Err(refused("chunk_too_big", "a chunk has at most 262144 bytes"));
    }
    if chunk.data_path.len() as u64 > merkle::CHUNK_MAX {
        return Err(refused("data_path_too_big", "a proof has at most 262144 bytes"));
    }
    let NewChunk { data_root, data_size, data_path, offset, data } = chunk;
    match merkle::check_chunk(data_root, *data_size, *offset, data_path, data) {
        Ok(proven) => Ok(proven.range.end),
        Err(bad @ BadChunk::Costly) => Err(refused("chunk_proof_ratio_not_attractive", &bad.to_string())),
        Err(bad) => Err(refused("invalid_proof", &bad.to_string())),
    }
}

fn refused(word: &str, hint: &str) -> unit::Error {
    unit::Error::new(Kind::Invalid, word).with_code(unit::Code::TRANSACTION).with_hint(hint)
}

impl Core {
    /// What a transaction must offer: so much for every byte, of its data rounded up to chunks and of itself.
    pub(crate) fn price(&self, bytes: u64, target: Option<Address>) -> Result<u128, Error> {
        /// What every transaction takes beside its data.
        const OVERHEAD: u128 = 3210;
        let bytes = u128::from(bytes.div_ceil(merkle::CHUNK_MAX)) * u128::from(merkle::CHUNK_MAX);
        let price = (bytes + OVERHEAD) * u128::from(self.options.winston_per_byte);
        let is_new = match target {
            Some(target) => self.account(target)? == Account::default(),
            None => false,
        };
        Ok(price + if is_new { u128::from(self.options.new_wallet_winston) } else { 0 })
    }
}
