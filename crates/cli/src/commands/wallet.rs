//! `pirn wallet`

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use protocol::{Address, Wallet as Key};
use serde::Serialize;

use unit::Code;

use crate::error::{Context as _, Failure, Result};
use crate::network::Signer;
use crate::ui::Ui;

/// Make a wallet, or show the address of one
#[derive(Debug, Args)]
pub struct Wallet {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a new wallet and write it to a file that only you can read
    New {
        /// The file; it must not exist yet.
        file: PathBuf,
        /// What sort of key.
        #[arg(long = "type", value_enum, default_value_t = Kind::Rsa4096)]
        kind: Kind,
    },
    /// Show the address of a wallet
    Address {
        #[command(flatten)]
        signer: Signer,
    },
    /// Show a wallet as a JWK, its private key included
    Show {
        #[command(flatten)]
        signer: Signer,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// What Arweave wallets are.
    Rsa4096,
    /// Small and fast.
    Ed25519,
    /// What Ethereum wallets are.
    Secp256k1,
}

#[derive(Serialize)]
struct Shown {
    address: Address,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

impl Wallet {
    /// Runs the verb.
    pub fn run(self, ui: Ui) -> Result {
        match self.verb {
            Verb::New { file, kind } => {
                let key = match kind {
                    Kind::Rsa4096 => Key::generate_rsa(),
                    Kind::Ed25519 => Key::generate_ed25519(),
                    Kind::Secp256k1 => Key::generate_secp256k1(),
                };
                write_private(&file, &key.to_jwk())?;
                ui.note(format_args!("wrote {}; keep it safe, it is the only copy", file.display()));
                ui.answer(key.address(), &Shown { address: key.address(), file: Some(file) });
            }
            Verb::Address { signer } => {
                let address = signer.wallet()?.address();
                ui.answer(address, &Shown { address, file: None });
            }
            Verb::Show { signer } => {
                let jwk = signer.wallet()?.to_jwk();
                let json: serde_json::Value =
                    serde_json::from_str(&jwk).context(Code::WALLET, "the wallet is not JSON")?;
                ui.answer(&jwk, &json);
            }
        }
        Ok(())
    }
}

fn write_private(file: &Path, jwk: &str) -> Result {
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut opened = opened.map_err(|error| {
        let failure = Failure::new(Code::FILE, format!("could not make {}: {error}", file.display()));
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                failure.hint("an existing wallet is never overwritten: choose another name")
            }
            _ => failure,
        }
    })?;
    opened
        .write_all(jwk.as_bytes())
        .and_then(|()| opened.sync_all())
        .context(Code::FILE, format!("could not write {}", file.display()))
}
