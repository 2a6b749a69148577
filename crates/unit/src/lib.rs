//! The four contracts of an ao computer.
//!
//! A message enters through a [`Messenger`], which has a [`Scheduler`] give it a place in its process's schedule,
//! asks a [`Compute`] what it does there, and sends on whatever it says. The [`Weave`] remembers everything.
//!
//! A *unit* implements one. *HTTP* carries one. A *policy* wraps one. A *fault* wraps one. A *node* chooses which.

mod arweave;
mod blocking;
mod clock;
mod code;
mod codes;
mod compute;
mod control;
mod desk;
mod error;
mod events;
#[cfg(feature = "fakes")]
pub mod fakes;
mod messenger;
mod network;
mod page;
mod recovery;
mod scheduler;
mod subscriptions;
#[cfg(feature = "suite")]
pub mod suite;
mod uploads;
mod weave;
#[cfg(feature = "suite")]
mod compute_suite;
#[cfg(feature = "suite")]
mod messenger_suite;
#[cfg(feature = "suite")]
mod weave_suite;

pub use arweave::{
    Arweave, Block, BlockAt, BlockHash, BlockHead, Chunk, Entry, ItemOffsets, NewChunk, NodeInfo, Posted,
    Reorganised, UploadReceipt,
};
pub use blocking::{BlockHere, block_here, blocking, blocks_here};
pub use clock::Clock;
pub use code::{Code, Explanation, NotACode};
pub use compute::{
    Compute, Cursor, DryRun, Evaluated, Evaluation, History, OutcomeQuery, PublishedCheckpoint, StateAt,
    no_attestations,
};
pub use control::{AccountState, ClockMove, ClockState, Control, MiningMode, ReorganisedState, SnapshotInfo};
pub use desk::{Desk, Wish, Wished, checked_key};
pub use error::{Error, Kind, Result};
pub use events::{
    Event, EventId, EventKind, Events, EventsOptions, Happened, Heard, Listener, Missed, Told, told_text,
};
pub use messenger::{
    CatchUp, CronTally, DeadLetter, Messenger, Monitored, MonitoredQuery, OutboxEntry, OutboxQuery, Receipt,
    TickFailure, Trace, TraceKind, TraceQuery, TraceRelation,
};
pub use network::{GatewayHealth, Network, Whereabouts};
pub use page::{Page, Sort};
pub use recovery::{
    Adopted, HeldProcess, HeldQuery, Hold, Order, Ordered, Problem, Recovery, RecoveryState, Restoring, Tail,
    Why,
};
pub use scheduler::{
    AssignRequest, Novelty, Placed, ProcessRecord, ProcessTimers, Scheduled, Scheduler, SlotRange,
    TimerState, TimersQuery,
};
pub use subscriptions::{
    Answered, Courier, DeadDelivery, Filter, Followed, Follower, Hook, HookState, HookWish, Outgoing, Parcel,
    Place, Said, SaidTag, Start, Subscriptions,
};
pub use uploads::{UploadStage, UploadState, Uploads};
pub use weave::{BlockRef, Found, Piece, Query, TagFilter, Tip, Weave, WordFilter, Words};
