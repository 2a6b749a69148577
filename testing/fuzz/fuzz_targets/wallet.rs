//! A JWK, and ids in text: an operator's files may be anybody's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{Id, Wallet};

fuzz_target!(|text: &str| {
    if let Ok(wallet) = Wallet::from_jwk(text) {
        let again = Wallet::from_jwk(&wallet.to_jwk()).expect("a wallet is read as it was written");
        assert_eq!(again.owner(), wallet.owner());
    }
    if let Ok(id) = text.parse::<Id>() {
        assert_eq!(id.to_string(), text);
    }
});
