//! A whole ao network in one value: no sockets, no disk, no clock, no chance that is not asked for.
//!
//! A [`Sandbox`] decides with the same pure parts that the units decide with: the scheduler's [`su::assign`], the
//! messenger's [`mu::outbox`], the compute unit's [`cu::input`], [`cu::cron`] and [`cu::settled`], and the same
//! machines. So a process in it is given, byte for byte, what it is given on a network whose clock says the same
//! *(`tests/units.rs`)*.
//!
//! In reading order: [`Sandbox`] is the network and [`letter`] what was sent in it; `process` is one process along its
//! schedule; `deliver` says what comes next, and [`Faults`] what may go wrong with that; `time` moves the clock;
//! [`Modules`] and [`Signer`] are what it is built with.
//!
//! **Same seed, same calls: same ids, same outcomes.** *(`tests/network.rs`)*
//! **A fork copies no memory of a process**, and goes its own way. *(`tests/network.rs`)*

mod deliver;
mod faults;
pub mod letter;
mod modules;
mod network;
mod options;
mod probe;
mod process;
mod signer;
mod time;

pub use faults::{Chance, Faults};
pub use letter::{Fate, Letter, What};
pub use modules::Modules;
pub use network::{Counters, Sandbox};
pub use options::Options;
pub use probe::{Probe, Probed};
pub use signer::Signer;

/// An owner as processes see it.
pub use cu::input::owner_text;
