//! Reads recorded vectors.
#![allow(dead_code, reason = "every test file uses a part")]

use std::path::Path;

use serde::{Deserialize, de::DeserializeOwned};
use sha2::Digest as _;

/// Bytes, written as base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct B64(pub Vec<u8>);

impl<'de> Deserialize<'de> for B64 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<B64, D::Error> {
        Ok(B64(read(&String::deserialize(deserializer)?)))
    }
}

/// The bytes of base64url.
pub fn read(text: &str) -> Vec<u8> {
    protocol::id::from_base64url(text).unwrap_or_else(|| panic!("{text:?} is not base64url"))
}

/// A file of `testing/vectors`.
pub fn load<T: DeserializeOwned>(file: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testing/vectors").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256, in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}
