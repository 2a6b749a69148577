//! The public test accounts of development networks are good wallets.

use std::path::Path;

use protocol::{SignatureType, Wallet};

#[track_caller]
fn check(kind: &str, count: usize, signature_type: SignatureType) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node/accounts");
    for n in 0..count {
        let file = format!("{kind}-{n}.json");
        let text = std::fs::read_to_string(folder.join(&file)).unwrap();
        let wallet = Wallet::from_jwk(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(wallet.signature_type(), signature_type);
        let signature = wallet.sign(b"a test");
        protocol::crypto::verify(signature_type, wallet.owner(), b"a test", &signature).unwrap();
        let mut written: serde_json::Value = serde_json::from_str(&wallet.to_jwk()).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(&text).unwrap(), "{file}");
        written["d"] = serde_json::Value::from("AQAB");
        assert!(Wallet::from_jwk(&written.to_string()).is_err(), "{file} with another private key");
    }
}

#[test]
fn ten_arweave_wallets() {
    check("rsa", 10, SignatureType::Arweave);
}

#[test]
fn five_ed25519_wallets() {
    check("ed25519", 5, SignatureType::Ed25519);
}

#[test]
fn five_secp256k1_wallets() {
    check("secp256k1", 5, SignatureType::Ethereum);
}
