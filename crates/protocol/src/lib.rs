//! The words of an ao computer: ids, tags, data items, processes, messages, assignments, outcomes,
//! and their encodings, hashes and signatures.
//!
//! Pure: no clock, no file, no socket; randomness only where a key or a signature needs it.
//! What was signed is kept byte for byte and never encoded again: every hash is over the bytes that came in.
//!
//! Sources: ANS-104 (data items and bundles), Arweave transaction format 2, the ao data protocol `ao.TN.1`.

pub mod id;
pub mod tag;
pub mod item;
pub mod ans104;
pub mod deep_hash;
pub mod crypto;
pub mod merkle;
pub mod transaction;
pub mod process;
pub mod module;
pub mod message;
pub mod assignment;
pub mod schedule;
pub mod outcome;
pub mod history;
pub mod attestation;
pub mod json;
pub mod location;
pub mod checkpoint;
pub mod hex;

pub use ans104::DataItem;
pub use assignment::Assignment;
pub use attestation::{Attestation, Leaf};
pub use checkpoint::Checkpoint;
pub use crypto::{SignatureType, Wallet};
pub use history::Digest;
pub use id::{Address, Id, MessageId, ModuleId, ProcessId};
pub use item::{Draft, Item};
pub use json::Json;
pub use location::SchedulerLocation;
pub use message::Message;
pub use module::Module;
pub use outcome::Outcome;
pub use process::Process;
pub use schedule::{Epoch, HashChain, Height, Slot, Timestamp};
pub use tag::{Tag, Tags};
pub use transaction::Transaction;
