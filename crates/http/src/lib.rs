//! HTTP: the one crate that speaks it. The shapes of the wire, servers that carry a unit over it, and clients that are
//! a unit at the other end of it.
//!
//! A server asks a contract of `unit` and writes down what it says; it decides nothing. A client is that contract
//! again: what a unit answers or refuses is the same whether it is here or there.
//!
//! # Deviations
//!
//! The reference units answer many of a client's mistakes with 500 or with a page of HTML. Here a client's mistake is
//! a 4xx with `{"error": "..."}`, and nothing is ever HTML.

pub mod wire;
pub mod server;
pub mod client;
