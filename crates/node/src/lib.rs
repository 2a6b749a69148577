//! A node: its configuration, and the wiring of parts into something that runs.
//!
//! The four contracts of `unit` are fulfilled here or elsewhere, as [`Config::roles`] says; whoever asks one does not
//! know which. Nothing here prints or exits: that is for the one who starts a node.

mod config;
mod sources;
mod error;
mod accounts;
mod keys;
mod clock;
mod control;
mod snapshots;
mod listen;
mod holder;
mod metered;
mod metrics;
mod vitals;
mod access;
mod applications;
mod desk;
mod assemble;
mod backup;
mod roles;
mod modules;
mod outward;
mod prepare;
mod temporary;

pub use access::Options as AccessOptions;
pub use accounts::{Account, AccountKind, accounts};
pub use assemble::Node;
pub use backup::{Behind, Existing, back_up, restore, verify_backup};
pub use config::{Config, Development, DevelopmentClock, Ports, Remote, Role, Wallets};
pub use error::Error;
pub use modules::{lua_module, module_draft, module_format};
pub use outward::Options as WeaveOptions;
pub use prepare::Preloaded;
pub use sources::{Loaded, Overrides, Setting, load, nearest};
pub use store::BackedUp;
pub use vitals::Options as ReadyOptions;

/// The clock of this computer, for who runs a unit without a node.
pub fn system_clock() -> std::sync::Arc<dyn unit::Clock> {
    std::sync::Arc::new(clock::SystemClock)
}
