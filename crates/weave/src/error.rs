//! Why the weave could not do something.

/// Why the weave could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error("the weave's store failed")]
    Store(#[from] store::Error),
    /// A record is not what was written.
    #[error("the weave's record of {0} cannot be read")]
    Damaged(&'static str),
    /// A query is too broad.
    #[error("the query would look at more than {0} entries of the index")]
    TooBroad(u64),
    /// Too much at once.
    #[error("{what} has {size} bytes; at most {max} are read at once")]
    TooLarge {
        /// What.
        what: protocol::Id,
        /// How large it is.
        size: u64,
        /// How large it may be.
        max: u64,
    },
    /// The wallet of the weave cannot be used.
    #[error(transparent)]
    Wallet(#[from] protocol::crypto::BadWallet),
    /// It was made before undoing was thought of.
    #[error("block {0} cannot be replaced: what it changed in wallets was not kept")]
    NoUndo(protocol::Height),
    /// Whoever sent it first was told that it failed.
    #[error("{0} was sent before, and could not be kept")]
    Lost(protocol::Id),
    /// A task was stopped in the middle.
    #[error("the weave is stopping")]
    Stopping,
}

impl From<Error> for unit::Error {
    fn from(error: Error) -> unit::Error {
        match &error {
            Error::Stopping => unit::Error::unavailable(error.to_string()).with_code(unit::Code::STOPPING),
            Error::Store(source) => {
                let told = match source {
                    store::Error::Poisoned => unit::Error::unavailable(error.to_string()),
                    _ => unit::Error::internal(&error),
                };
                told.with_code(unit::Code::STORE).with_hint_if(source.hint())
            }
            Error::Damaged(_) => unit::Error::internal(&error).with_code(unit::Code::STORE),
            Error::TooBroad(_) => unit::Error::invalid(error.to_string())
                .with_hint("ask for an owner, a recipient or a rarer tag"),
            Error::NoUndo(_) => {
                unit::Error::invalid(error.to_string()).with_hint("replace fewer blocks, or mine a few first")
            }
            Error::TooLarge { .. } => unit::Error::new(unit::Kind::TooLarge, error.to_string())
                .with_hint("ask for ranges of its data"),
            _ => unit::Error::internal(&error),
        }
    }
}
