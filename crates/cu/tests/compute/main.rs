//! The compute unit against a scheduler and a weave in memory, with a runtime that is not WebAssembly.

extern crate pirn_cu as cu;

mod attest;
mod cron;
mod defects;
mod drive;
mod evaluation;
mod lies;
mod past;
mod published;
mod refusals;
mod suite;
mod world;
