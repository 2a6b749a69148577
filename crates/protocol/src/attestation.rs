//! Attestations: a compute unit's signed word of what came of an evaluation.
//!
//! Every evaluation is a [`Leaf`], and the leaves of a process are an append-only [`history`](crate::history): slot 0,
//! the crons after it, slot 1, and so on. Two compute units that evaluate the same log have equal leaves, byte for
//! byte. A unit signs a leaf together with the root of the history that it is in ([`Attestation`]): two statements of
//! one unit that differ about one evaluation prove, to anybody, that it lied.
//!
//! No released unit of the legacy network attests; these shapes are our own. The statement is a data item like any
//! other, so that it can be kept on the weave.

use bytes::Bytes;

use crate::ans104::{self, DataItem};
use crate::history::{self, Digest};
use crate::id::{Address, Id, ProcessId};
use crate::item::Draft;
use crate::outcome::Outcome;
use crate::schedule::{Epoch, Slot, Timestamp};
use crate::tag::{self, Tags};
use crate::{Json, Wallet};

/// In how many slots there is one whose leaf says the state root: slots 255, 511, 767 ... of every process.
pub const STATE_ROOT_EVERY: u64 = 256;

/// What the `Type` of a statement is.
pub const OUTCOME_ATTESTATION: &str = "Outcome-Attestation";

/// The first byte of a leaf.
const VERSION: u8 = 1;

/// One evaluation, in the history of its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Of which process.
    pub process: ProcessId,
    /// Of its assignment; always 0.
    pub epoch: Epoch,
    /// Its slot; for a cron, the slot before it.
    pub slot: Slot,
    /// Which cron, if it is one's.
    pub cron: Option<Due>,
    /// The assignment that has the slot.
    pub assignment: Id,
    /// The [hash](outcome_digest) of the outcome.
    pub outcome: Digest,
    /// What it cost, in units of `Compute-Limit`.
    pub gas: u64,
    /// Version of the gas schedule that counted it.
    pub gas_schedule: u32,
    /// The root of the state after it, in every [`STATE_ROOT_EVERY`]th slot.
    pub state_root: Option<Digest>,
}

/// A cron's evaluation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When it was due.
    pub timestamp: Timestamp,
    /// Which: `0-10-minutes`.
    pub name: String,
}

/// A leaf, its place in a history, and the signed statement of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// What was evaluated.
    pub leaf: Leaf,
    /// Its place.
    pub index: u64,
    /// Leaves of the history.
    pub size: u64,
    /// The root of these.
    pub root: Digest,
    /// The root of the state after it, if it was asked for and is not in the leaf.
    pub state_root: Option<Digest>,
    /// Proves that the leaf is in its place.
    pub path: Vec<Digest>,
    /// All of the above but the path, signed.
    pub statement: DataItem,
}

/// Why something is no attestation. One lowercase phrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnAttestation(pub String);

/// Whether the leaf of that slot says the state root.
pub fn has_state_root(slot: Slot) -> bool {
    slot.0 % STATE_ROOT_EVERY == STATE_ROOT_EVERY - 1
}

/// The hash of what an outcome says: SHA-256 of a version, the number of messages, each as it was said, the same of
/// assignments and spawns, the output, the error if there is one, and the gas of the wire. Numbers are 8 bytes, the
/// highest first; before whatever has a length stands the length. What the gas schedule counted is in the [`Leaf`].
pub fn outcome_digest(outcome: &Outcome) -> Digest {
    use sha2::Digest as _;
    fn text(hash: &mut sha2::Sha256, json: &Json) {
        hash.update((json.get().len() as u64).to_be_bytes());
        hash.update(json.get());
    }
    let mut hash = sha2::Sha256::new_with_prefix([VERSION]);
    for list in [&outcome.messages, &outcome.assignments, &outcome.spawns] {
        hash.update((list.len() as u64).to_be_bytes());
        list.iter().for_each(|json| text(&mut hash, json));
    }
    text(&mut hash, &outcome.output);
    hash.update([u8::from(outcome.error.is_some())]);
    outcome.error.iter().for_each(|json| text(&mut hash, json));
    hash.update(outcome.gas_used.to_be_bytes());
    Digest(hash.finalize().into())
}

impl Leaf {
    /// Its bytes: a version; process, epoch, slot, assignment, outcome, gas, gas schedule (4 bytes); whether there is a
    /// state root, and it; whether it is a cron's, when that was due, the length of its name (2 bytes), and it.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(self.process.0.0);
        bytes.extend(self.epoch.0.to_be_bytes());
        bytes.extend(self.slot.0.to_be_bytes());
        bytes.extend(self.assignment.0);
        bytes.extend(self.outcome.0);
        bytes.extend(self.gas.to_be_bytes());
        bytes.extend(self.gas_schedule.to_be_bytes());
        bytes.push(u8::from(self.state_root.is_some()));
        bytes.extend(self.state_root.iter().flat_map(|root| root.0));
        bytes.push(u8::from(self.cron.is_some()));
        if let Some(Due { timestamp, name }) = &self.cron {
            // It is part of a tag's value, which is shorter.
            let name = &name.as_bytes()[..name.len().min(usize::from(u16::MAX))];
            bytes.extend(timestamp.0.to_be_bytes());
            bytes.extend((name.len() as u16).to_be_bytes());
            bytes.extend(name);
        }
        bytes
    }

    /// A leaf from exactly its bytes.
    pub fn decode(bytes: &[u8]) -> Option<Leaf> {
        let mut rest = bytes;
        let [VERSION] = take(&mut rest)? else { return None };
        let process = Id(take(&mut rest)?).into();
        let epoch = Epoch(number(&mut rest)?);
        let slot = Slot(number(&mut rest)?);
        let assignment = Id(take(&mut rest)?);
        let outcome = Digest(take(&mut rest)?);
        let gas = number(&mut rest)?;
        let gas_schedule = u32::from_be_bytes(take(&mut rest)?);
        let state_root = match take(&mut rest)? {
            [0] => None,
            [1] => Some(Digest(take(&mut rest)?)),
            _ => return None,
        };
        let cron = match take(&mut rest)? {
            [0] => None,
            [1] => {
                let timestamp = Timestamp(number(&mut rest)?);
                let length = usize::from(u16::from_be_bytes(take(&mut rest)?));
                let name = rest.split_off(..length)?;
                Some(Due { timestamp, name: std::str::from_utf8(name).ok()?.to_owned() })
            }
            _ => return None,
        };
        let leaf = Leaf { process, epoch, slot, cron, assignment, outcome, gas, gas_schedule, state_root };
        rest.is_empty().then_some(leaf)
    }

    /// Its hash in the history.
    pub fn digest(&self) -> Digest {
        history::leaf(&self.encode())
    }
}

impl Attestation {
    /// Signs a leaf and its place in a history.
    pub fn sign(
        wallet: &Wallet,
        leaf: Leaf,
        place: (u64, u64, Digest),
        path: Vec<Digest>,
        state_root: Option<Digest>,
    ) -> Result<Attestation, ans104::Error> {
        let (index, size, root) = place;
        let mut tags = Tags::default();
        tags.push(tag::DATA_PROTOCOL, tag::AO);
        tags.push(tag::VARIANT, tag::AO_TN_1);
        tags.push(tag::TYPE, OUTCOME_ATTESTATION);
        tags.push(tag::PROCESS, leaf.process);
        tags.push(tag::NONCE, leaf.slot);
        tags.push(tag::LEAF_INDEX, index);
        tags.push(tag::TREE_SIZE, size);
        tags.push(tag::TREE_ROOT, root);
        if let Some(root) = state_root {
            tags.push(tag::STATE_ROOT, root);
        }
        let draft = Draft { target: None, anchor: None, tags, data: Bytes::from(leaf.encode()) };
        let statement = DataItem::sign(wallet, draft)?;
        Ok(Attestation { leaf, index, size, root, state_root, path, statement })
    }

    /// Reads a statement, and checks everything: that it is signed, that it says what it says of the leaf that it has,
    /// and that `path` proves the leaf's place. [`Attestation::signer`] says whose word it is.
    pub fn read(statement: DataItem, path: Vec<Digest>) -> Result<Attestation, NotAnAttestation> {
        fn value<T: std::str::FromStr>(item: &DataItem, name: &str) -> Result<Option<T>, NotAnAttestation> {
            let value = item.tags.first(name);
            let wrong = |_| NotAnAttestation(format!("its {name} tag is malformed"));
            value.map(|value| value.parse().map_err(wrong)).transpose()
        }
        fn need<T: std::str::FromStr>(item: &DataItem, name: &str) -> Result<T, NotAnAttestation> {
            value(item, name)?.ok_or_else(|| NotAnAttestation(format!("it has no {name} tag")))
        }
        let wrong = |why: &str| NotAnAttestation(why.to_owned());
        if statement.tags.first(tag::TYPE) != Some(OUTCOME_ATTESTATION) {
            return Err(wrong("its Type is another"));
        }
        statement.verify().map_err(|error| NotAnAttestation(error.to_string()))?;
        let leaf = Leaf::decode(&statement.data).ok_or_else(|| wrong("its data is no leaf"))?;
        let said: (ProcessId, u64) = (need(&statement, tag::PROCESS)?, need(&statement, tag::NONCE)?);
        if said != (leaf.process, leaf.slot.0) {
            return Err(wrong("its tags name another process or slot than its leaf"));
        }
        let (index, size) = (need(&statement, tag::LEAF_INDEX)?, need(&statement, tag::TREE_SIZE)?);
        let root = need(&statement, tag::TREE_ROOT)?;
        let state_root = value(&statement, tag::STATE_ROOT)?;
        if !history::is_included(leaf.digest(), index, size, &path, root) {
            return Err(wrong("the path does not prove that its leaf is where it says"));
        }
        Ok(Attestation { leaf, index, size, root, state_root, path, statement })
    }

    /// Who says so.
    pub fn signer(&self) -> Address {
        self.statement.address()
    }

    /// Whether the two prove that their common signer lied: they are about one evaluation, and differ.
    pub fn contradicts(&self, other: &Attestation) -> bool {
        let place = |of: &Attestation| {
            (of.signer(), of.leaf.process, of.leaf.epoch, of.leaf.slot, of.leaf.cron.clone())
        };
        let differ = match (self.state_root, other.state_root) {
            (Some(one), Some(another)) => one != another,
            _ => false,
        };
        place(self) == place(other) && (self.leaf != other.leaf || differ)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_be_bytes)
}
