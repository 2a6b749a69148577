//! Clients: a unit's contract, fulfilled by a server somewhere else.

mod su;
mod mu;
mod cu;
mod control;
mod courier;
mod events;
mod explore;
mod gateway;
mod gateways;
mod hooks;
mod network;
mod recovery;
mod routing;
mod transport;

pub use control::Control;
pub use courier::{Courier, Targets};
pub use cu::Compute;
pub use events::{EventStream, EventsWanted, Said};
pub use explore::{Explorer, PAGE as EXPLORER_PAGE, Sight, SightBlock, SightBundle};
pub use gateway::{Gateway, GatewayOptions, Receipts};
pub use gateways::{Gateways, GatewaysOptions};
pub use hooks::Webhooks;
pub use mu::Messenger;
pub use routing::RoutingScheduler;
pub use su::Scheduler;
pub use transport::{Options, Transport};
