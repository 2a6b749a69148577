//! The public accounts of development networks: the same on every machine, with keys that everybody has.

use protocol::Wallet;

/// A public account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its place in the list.
    pub index: usize,
    /// What people call it.
    pub name: &'static str,
    /// What sort of key it has.
    pub kind: AccountKind,
    /// The key, private part included.
    pub jwk: &'static str,
}

/// What sort of key an account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountKind {
    /// RSA-4096, as Arweave wallets have it.
    Arweave,
    /// Ed25519.
    Ed25519,
    /// secp256k1, as Ethereum wallets have it.
    Ethereum,
}

impl AccountKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            AccountKind::Arweave => "arweave",
            AccountKind::Ed25519 => "ed25519",
            AccountKind::Ethereum => "ethereum",
        }
    }
}

impl Account {
    /// The account as a wallet.
    pub fn wallet(&self) -> Wallet {
        Wallet::from_jwk(self.jwk).expect("a test of protocol reads every account")
    }
}

macro_rules! account {
    ($name:literal, $kind:ident, $file:literal) => {
        ($name, AccountKind::$kind, include_str!(concat!("../accounts/", $file, ".json")))
    };
}

const ACCOUNTS: [(&str, AccountKind, &str); 20] = [
    account!("ada", Arweave, "rsa-0"),
    account!("ben", Arweave, "rsa-1"),
    account!("cleo", Arweave, "rsa-2"),
    account!("dan", Arweave, "rsa-3"),
    account!("eve", Arweave, "rsa-4"),
    account!("finn", Arweave, "rsa-5"),
    account!("gia", Arweave, "rsa-6"),
    account!("hal", Arweave, "rsa-7"),
    account!("ida", Arweave, "rsa-8"),
    account!("jon", Arweave, "rsa-9"),
    account!("kim", Ed25519, "ed25519-0"),
    account!("leo", Ed25519, "ed25519-1"),
    account!("mia", Ed25519, "ed25519-2"),
    account!("ned", Ed25519, "ed25519-3"),
    account!("ola", Ed25519, "ed25519-4"),
    account!("pia", Ethereum, "secp256k1-0"),
    account!("quin", Ethereum, "secp256k1-1"),
    account!("ray", Ethereum, "secp256k1-2"),
    account!("sue", Ethereum, "secp256k1-3"),
    account!("tom", Ethereum, "secp256k1-4"),
];

/// The public accounts, in their order: ten for Arweave, five each with Ed25519 and secp256k1.
pub fn accounts() -> Vec<Account> {
    let account = |(index, (name, kind, jwk))| Account { index, name, kind, jwk };
    ACCOUNTS.into_iter().enumerate().map(account).collect()
}
