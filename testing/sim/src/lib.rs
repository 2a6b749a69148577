//! A seeded world: the real units, wired through faulty links, on disks that lose what was not synced, on one paused
//! clock, all on one thread. One number decides everything that happens.
//!
//! Three phases. *Storm*: clients send, and whatever can go wrong does. *Calm*: nothing goes wrong any more, and within
//! an hour of the world's own time everything must be settled. *Flood*: a new compute unit that knows nothing but the
//! weave must come to the same outcomes. Then the checkers look at what is left; each is one rule.
//!
//! `cargo xtask sim --seed N` runs a seed again, with `--trace` and everything that happened.

pub mod agents;
pub mod checkers;
pub mod disk;
pub mod faults;
pub mod faulty;
pub mod fickle;
mod layer;
pub mod liars;
pub mod machine;
pub mod mutants;
pub mod network;
pub mod pace;
pub mod run;
pub mod week;
pub mod workload;
pub mod world;

pub use agents::{Day, DayReport, run_day};
pub use liars::Liar;
pub use mutants::Mutant;
pub use run::{Plan, Report, run};
pub use week::{Week, WeekReport, run_week};
