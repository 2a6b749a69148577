//! Ids: 32 bytes, written as 43 characters of unpadded base64url.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// 32 bytes that name something: an item, a transaction, a process, a wallet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 32]);

/// Text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id: expected 43 base64url characters")]
pub struct NotAnId {
    /// What was given, cut to 64 characters.
    pub text: String,
}

impl Id {
    /// The id of something signed: SHA-256 of its signature.
    pub fn of_signature(signature: &[u8]) -> Id {
        Id(Sha256::digest(signature).into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// An id from exactly 32 bytes, or `None`.
    pub fn from_slice(bytes: &[u8]) -> Option<Id> {
        bytes.try_into().ok().map(Id)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 43];
        let n = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).expect("32 bytes are 43 characters");
        f.pad(std::str::from_utf8(&text[..n]).expect("base64url is ASCII"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Id, NotAnId> {
        let refused = || NotAnId { text: text.chars().take(64).collect() };
        if text.len() != 43 {
            return Err(refused());
        }
        let mut bytes = [0u8; 33];
        let n = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| refused())?;
        Id::from_slice(&bytes[..n]).ok_or_else(refused)
    }
}

impl serde::Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An id that knows what it names.
macro_rules! named_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Id);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                text.parse().map($name)
            }
        }

        impl From<Id> for $name {
            fn from(id: Id) -> Self {
                $name(id)
            }
        }

        impl From<$name> for Id {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

named_id! {
    /// Names a process: the id of its Process item.
    ProcessId
}
named_id! {
    /// Names a module: the id of its Module item or transaction.
    ModuleId
}
named_id! {
    /// Names a message: the id of its item.
    MessageId
}
named_id! {
    /// Names a wallet: SHA-256 of its public key (`owner` bytes), for every kind of key.
    Address
}

impl Address {
    /// The address of a public key.
    pub fn of_owner(owner: &[u8]) -> Address {
        Address(Id(Sha256::digest(owner).into()))
    }
}

/// Unpadded base64url of any bytes, as everywhere on Arweave.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of unpadded base64url; `None` if it is not that.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
