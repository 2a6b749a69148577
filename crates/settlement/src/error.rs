//! What settlement could not do.

use protocol::Id;

/// Why something could not be settled, or taken in to be settled.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The network refused or could not be reached.
    #[error("{0}")]
    Network(#[from] unit::Error),
    /// What is written down cannot be read.
    #[error("what is written down about {what} cannot be read")]
    Damaged {
        /// About what.
        what: String,
    },
    /// The wallet cannot sign transactions.
    #[error("the settlement wallet cannot sign transactions: it is neither RSA nor secp256k1")]
    Wallet,
    /// Neither a wallet nor a bundler.
    #[error("there is neither a settlement wallet nor a bundler, so nothing can be posted")]
    Neither,
    /// Too much waits.
    #[error("item {id} cannot be kept: {waiting} bytes wait for the network already")]
    Full {
        /// Which.
        id: Id,
        /// How much.
        waiting: u64,
    },
}

impl From<Error> for unit::Error {
    fn from(error: Error) -> unit::Error {
        use std::time::Duration;
        use unit::Kind;
        match error {
            Error::Network(error) => error,
            Error::Full { .. } => {
                let kind = Kind::Busy { retry_after: Duration::from_secs(60) };
                unit::Error::new(kind, error.to_string())
                    .with_hint("see that a gateway answers and takes what is posted: `pirn settlement`")
            }
            Error::Wallet | Error::Neither => unit::Error::refused(error.to_string())
                .with_hint("name an RSA JWK with weave.settlement_wallet, or a bundler with weave.uploader"),
            Error::Store(source) => {
                let hint = source.hint();
                unit::Error::internal(&source).with_code(unit::Code::STORE).with_hint_if(hint)
            }
            Error::Damaged { .. } => unit::Error::new(Kind::Internal, error.to_string()),
        }
    }
}
