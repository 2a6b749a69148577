//! Signs for applications that have no wallet: with the public accounts of a development network, or with wallets that
//! an operator names for that.
//!
//! What has an `Idempotency-Key` is written down, signed, before it is sent: whoever asks again with that key has the
//! same bytes sent again, and a message that is sent twice has one slot.

use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Address, DataItem, Draft, Tags, Wallet, tag};
use serde::{Deserialize, Serialize};
use store::{Batch, Order, Space, Store};
use tokio::sync::Mutex;
use unit::{Clock, Error, Kind, Messenger, Novelty, Receipt, Result, SaidTag, Wish, Wished, checked_key};

use crate::modules::lua_module;
use crate::{accounts, applications, keys};

/// Key → when (8 bytes), a hash of the wish (32), the item's id (32), its bytes until it is sent.
const KEYS: Space = Space("desk.key");
/// When (8 bytes), key → nothing.
const AGES: Space = Space("desk.age");
/// Bytes before an item in a row.
const HEAD: usize = 72;

/// Signing for applications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Files with JWKs that sign for applications; each is named by its file's name without `.json`. A development
    /// network has the public accounts. Without any, nothing is signed.
    pub wallets: Vec<PathBuf>,
    /// A file with the token that applications send as `Authorization: Bearer TOKEN`. Whoever has it speaks with these
    /// wallets. None: on a development network everybody may, elsewhere nobody.
    pub token_file: Option<PathBuf>,
    /// Idempotency keys that are remembered; the oldest are forgotten.
    pub keys_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { wallets: Vec::new(), token_file: None, keys_max: 100_000 }
    }
}

/// The desk.
pub(crate) struct Desk {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    messenger: Arc<dyn Messenger>,
    wallets: Vec<(String, Wallet)>,
    scheduler: Address,
    authority: Address,
    keys_max: usize,
    /// How many keys are remembered. Held while one is looked up and written down.
    kept: Mutex<usize>,
}

/// What signs and for which network.
pub(crate) struct Ports {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub messenger: Arc<dyn Messenger>,
    pub scheduler: Address,
    pub authority: Address,
}

impl Desk {
    /// The desk of a node; none if nobody signs.
    pub fn open(
        ports: Ports,
        options: &Options,
        development: bool,
    ) -> std::result::Result<Option<Arc<Desk>>, crate::Error> {
        let mut wallets = Vec::new();
        for path in &options.wallets {
            let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
            wallets.push((name.unwrap_or_default(), keys::read(path)?));
        }
        if development {
            wallets.extend(accounts().iter().map(|account| (account.name.to_owned(), account.wallet())));
        }
        if wallets.is_empty() {
            return Ok(None);
        }
        let all = (Bound::Unbounded, Bound::Unbounded);
        let kept = ports.store.scan(AGES, all, Order::Ascending, usize::MAX / 2);
        let kept = kept.map_err(|error| crate::Error::part("desk")(Error::internal(&error)))?.len();
        let Ports { store, clock, messenger, scheduler, authority } = ports;
        let (keys_max, kept) = (options.keys_max.max(1), Mutex::new(kept));
        Ok(Some(Arc::new(Desk { store, clock, messenger, wallets, scheduler, authority, keys_max, kept })))
    }

    async fn sign(&self, wish: &Wish) -> Result<DataItem> {
        let mut signers = self.wallets.iter();
        let signer = match &wish.signer {
            None => signers.next(),
            Some(name) => signers.find(|(own, wallet)| own == name || wallet.address().to_string() == *name),
        };
        let (_, wallet) = signer.cloned().ok_or_else(|| {
            let shown: String = wish.signer.iter().flat_map(|name| name.chars()).take(64).collect();
            let names: Vec<_> = self.wallets.iter().map(|(name, _)| name.as_str()).collect();
            Error::invalid(format!("nobody called {shown:?} signs here"))
                .with_hint(format!("{} do", names.join(", ")))
        })?;
        let draft = self.draft(wish)?;
        let signed = unit::blocking(move || DataItem::sign(&wallet, draft)).await?;
        signed.map_err(|error| Error::invalid(format!("it cannot be signed: {error}")))
    }

    fn draft(&self, wish: &Wish) -> Result<Draft> {
        let mut tags = Tags::default();
        for SaidTag { name, value } in &wish.tags {
            if [tag::DATA_PROTOCOL, tag::VARIANT, tag::TYPE].contains(&name.as_str()) {
                return Err(Error::invalid(format!("the tag {name} is the protocol's, and is added"))
                    .with_hint("leave it out"));
            }
            tags.push(name.as_str(), value);
        }
        let kind = match wish.what {
            Wished::Message(_) => "Message",
            Wished::Process(_) => "Process",
        };
        tags.push(tag::DATA_PROTOCOL, tag::AO);
        tags.push(tag::VARIANT, tag::AO_TN_1);
        tags.push(tag::TYPE, kind);
        let target = match wish.what {
            Wished::Message(process) => Some(process.into()),
            Wished::Process(module) => {
                let module = module.map_or(lua_module().id, |module| module.0);
                let own = [
                    (tag::MODULE, module.to_string()),
                    (tag::SCHEDULER, self.scheduler.to_string()),
                    (tag::AUTHORITY, self.authority.to_string()),
                ];
                for (name, value) in own {
                    if tags.first(name).is_none() {
                        tags.push(name, value);
                    }
                }
                None
            }
        };
        let data = if wish.data.is_empty() { " " } else { &wish.data };
        let data = Bytes::copy_from_slice(data.as_bytes());
        // What is wished twice without a key is two messages.
        Ok(Draft { target, anchor: Some(applications::fresh()), tags, data })
    }

    /// What a key stands for, which is written down if it is new: the item, and its bytes if it may still be unsent.
    async fn keyed(&self, wish: &Wish, key: &str) -> Result<Kept> {
        checked_key(key)?;
        let wished = serde_json::to_vec(wish).map_err(|error| Error::internal(&error))?;
        let wished = Address::of_owner(&wished).0.0;
        let mut kept = self.kept.lock().await;
        if let Some(row) = self.store.get(KEYS, key.as_bytes()).map_err(internal)? {
            let known = Kept::read(&row).ok_or_else(|| {
                Error::new(Kind::Internal, "an idempotency key is not stored as this version stores it")
            })?;
            if known.wished != wished {
                return Err(Error::new(Kind::Conflict, "that Idempotency-Key was used for something else")
                    .with_hint("take a new key for a new wish; the same key is for sending the same again"));
            }
            return Ok(Kept { novelty: Novelty::Repeat, ..known });
        }
        let item = self.sign(wish).await?;
        let at = self.clock.now().0.to_be_bytes();
        let new = Kept { at, wished, id: item.id, bytes: item.bytes().clone(), novelty: Novelty::First };
        let mut batch = Batch::new();
        batch.put(KEYS, key.as_bytes().to_vec(), new.write());
        batch.put(AGES, [&at[..], key.as_bytes()].concat(), Bytes::new());
        let all = (Bound::Unbounded, Bound::Unbounded);
        let over = (*kept + 1).saturating_sub(self.keys_max);
        for (age, _) in self.store.scan(AGES, all, Order::Ascending, over).map_err(internal)? {
            batch.delete(KEYS, age.slice(8..)).delete(AGES, age);
            *kept = kept.saturating_sub(1);
        }
        self.store.append(batch).await.map_err(internal)?;
        *kept += 1;
        Ok(new)
    }
}

/// What is kept of a key.
struct Kept {
    at: [u8; 8],
    wished: [u8; 32],
    id: protocol::Id,
    /// Empty once it is sent.
    bytes: Bytes,
    novelty: Novelty,
}

impl Kept {
    fn write(&self) -> Vec<u8> {
        [&self.at[..], &self.wished, &self.id.0, &self.bytes].concat()
    }

    fn read(row: &Bytes) -> Option<Kept> {
        Some(Kept {
            at: row.get(..8)?.try_into().ok()?,
            wished: row.get(8..40)?.try_into().ok()?,
            id: protocol::Id(row.get(40..HEAD)?.try_into().ok()?),
            bytes: row.slice(HEAD..),
            novelty: Novelty::Repeat,
        })
    }
}

#[async_trait]
impl unit::Desk for Desk {
    async fn write(&self, wish: Wish, key: Option<String>) -> Result<Receipt> {
        let Some(key) = key else {
            let item = self.sign(&wish).await?;
            return self.messenger.send(item).await;
        };
        let kept = self.keyed(&wish, &key).await?;
        if kept.bytes.is_empty() {
            return Ok(Receipt { id: kept.id, novelty: Novelty::Repeat });
        }
        let item = DataItem::parse_trusted(kept.bytes.clone()).map_err(|error| Error::internal(&error))?;
        self.messenger.send(item).await?;
        // It has its slot: the bytes are no longer needed to answer.
        let sent = Kept { bytes: Bytes::new(), ..kept };
        let mut batch = Batch::new();
        batch.put(KEYS, key.into_bytes(), sent.write());
        self.store.append(batch).await.map_err(internal)?;
        Ok(Receipt { id: sent.id, novelty: sent.novelty })
    }
}

fn internal(error: store::Error) -> Error {
    Error::internal(&error).with_code(unit::Code::STORE).with_hint_if(error.hint())
}
