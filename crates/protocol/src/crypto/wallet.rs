//! Wallets: private keys, and the JWKs they are kept in.

use std::sync::Arc;

use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use secp256k1::{PublicKey, SecretKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{SignatureType, ethereum, rsa};
use crate::id::{Address, base64url, from_base64url};

/// A private key: Arweave RSA (JWK), Ed25519 or secp256k1. Cheap to clone.
#[derive(Clone)]
pub struct Wallet(Arc<Inner>);

struct Inner {
    key: Key,
    owner: Vec<u8>,
}

enum Key {
    Rsa(rsa::Key),
    Ed25519 { pair: Ed25519KeyPair, seed: [u8; 32] },
    Secp256k1(SecretKey),
}

/// Why a key cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the wallet: {0}")]
pub struct BadWallet(pub &'static str);

impl Wallet {
    /// Reads a wallet: a JWK of kty RSA (as Arweave wallets are), OKP/Ed25519 or EC/secp256k1.
    pub fn from_jwk(json: &str) -> Result<Wallet, BadWallet> {
        let jwk: Jwk = serde_json::from_str(json).map_err(|_| BadWallet("it is not a JWK"))?;
        match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Wallet::from_rsa_jwk(&jwk),
            ("OKP", Some("Ed25519")) => {
                let wallet = Wallet::ed25519_from_seed(number32(&jwk.d)?);
                jwk.agrees(&jwk.x, wallet.owner())?;
                Ok(wallet)
            }
            ("EC", Some("secp256k1")) => {
                let wallet = Wallet::secp256k1_from_secret(number32(&jwk.d)?)?;
                jwk.agrees(&jwk.x, &wallet.owner()[1..33])?;
                jwk.agrees(&jwk.y, &wallet.owner()[33..])?;
                Ok(wallet)
            }
            _ => Err(BadWallet("its kty is neither RSA, nor OKP with Ed25519, nor EC with secp256k1")),
        }
    }

    fn from_rsa_jwk(jwk: &Jwk) -> Result<Wallet, BadWallet> {
        let parts = rsa::Parts {
            n: number(&jwk.n)?,
            e: number(&jwk.e)?,
            d: number(&jwk.d)?,
            p: number(&jwk.p)?,
            q: number(&jwk.q)?,
            dp: number(&jwk.dp)?,
            dq: number(&jwk.dq)?,
            qi: number(&jwk.qi)?,
        };
        if parts.n.len() != SignatureType::Arweave.owner_len() || parts.n[0] & 0x80 == 0 {
            return Err(BadWallet("an Arweave key has 4096 bits"));
        }
        if parts.e != [1, 0, 1] {
            return Err(BadWallet("an Arweave key has the exponent 65537 (AQAB)"));
        }
        let key =
            rsa::Key::private(&parts).ok_or(BadWallet("the numbers of the RSA key do not fit together"))?;
        Ok(Wallet::new(Key::Rsa(key), parts.n))
    }

    /// The wallet as a JWK, private parts included.
    pub fn to_jwk(&self) -> String {
        let text = |bytes: &[u8]| Some(base64url(bytes));
        let owner = self.owner();
        let jwk = match &self.0.key {
            Key::Rsa(key) => {
                let parts = key.parts();
                Jwk {
                    kty: "RSA".to_owned(),
                    n: text(&parts.n),
                    e: text(&parts.e),
                    d: text(&parts.d),
                    p: text(&parts.p),
                    q: text(&parts.q),
                    dp: text(&parts.dp),
                    dq: text(&parts.dq),
                    qi: text(&parts.qi),
                    ..Jwk::default()
                }
            }
            Key::Ed25519 { seed, .. } => Jwk {
                kty: "OKP".to_owned(),
                crv: Some("Ed25519".to_owned()),
                x: text(owner),
                d: text(seed),
                ..Jwk::default()
            },
            Key::Secp256k1(key) => Jwk {
                kty: "EC".to_owned(),
                crv: Some("secp256k1".to_owned()),
                x: text(&owner[1..33]),
                y: text(&owner[33..]),
                d: text(&key.secret_bytes()),
                ..Jwk::default()
            },
        };
        serde_json::to_string(&jwk).expect("a JWK is JSON")
    }

    /// A new Ed25519 key. Uses the operating system's randomness.
    pub fn generate_ed25519() -> Wallet {
        Wallet::ed25519_from_seed(random())
    }

    /// A new secp256k1 key.
    pub fn generate_secp256k1() -> Wallet {
        // Nearly all of 32 bytes are keys; the loop is for the one in 2^127 that is not.
        loop {
            if let Ok(wallet) = Wallet::secp256k1_from_secret(random()) {
                return wallet;
            }
        }
    }

    /// A new RSA-4096 key. Takes seconds.
    pub fn generate_rsa() -> Wallet {
        let key = rsa::Key::generate();
        let owner = key.parts().n;
        Wallet::new(Key::Rsa(key), owner)
    }

    /// The Ed25519 key of a 32-byte seed.
    pub fn ed25519_from_seed(seed: [u8; 32]) -> Wallet {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("every 32 bytes are a seed");
        let owner = pair.public_key().as_ref().to_vec();
        Wallet::new(Key::Ed25519 { pair, seed }, owner)
    }

    /// The secp256k1 key of a 32-byte number.
    pub fn secp256k1_from_secret(secret: [u8; 32]) -> Result<Wallet, BadWallet> {
        let key =
            SecretKey::from_byte_array(secret).map_err(|_| BadWallet("the secp256k1 key is out of range"))?;
        let owner = PublicKey::from_secret_key(&ethereum::CURVE, &key).serialize_uncompressed().to_vec();
        Ok(Wallet::new(Key::Secp256k1(key), owner))
    }

    fn new(key: Key, owner: Vec<u8>) -> Wallet {
        Wallet(Arc::new(Inner { key, owner }))
    }

    /// How items signed by it say so: Arweave, Ed25519 or Ethereum.
    pub fn signature_type(&self) -> SignatureType {
        match self.0.key {
            Key::Rsa(_) => SignatureType::Arweave,
            Key::Ed25519 { .. } => SignatureType::Ed25519,
            Key::Secp256k1(_) => SignatureType::Ethereum,
        }
    }

    /// The public key as data items carry it.
    pub fn owner(&self) -> &[u8] {
        &self.0.owner
    }

    /// SHA-256 of the owner.
    pub fn address(&self) -> Address {
        Address::of_owner(self.owner())
    }

    /// Signs `message` (for a data item: its deep hash). Ed25519 and secp256k1 give the same signature every time;
    /// RSA is salted, and takes milliseconds.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.0.key {
            Key::Rsa(key) => key.sign(message, rsa::SALT),
            Key::Ed25519 { pair, .. } => pair.sign(message).as_ref().to_vec(),
            Key::Secp256k1(key) => ethereum::sign(key, message),
        }
    }

    /// Signs `message` so that the signature is always the same: RSA without a salt, as bundlers' receipts are.
    pub fn sign_unsalted(&self, message: &[u8]) -> Vec<u8> {
        match &self.0.key {
            Key::Rsa(key) => key.sign(message, 0),
            _ => self.sign(message),
        }
    }

    /// Signs what a transaction signs, if the base layer knows this kind of key.
    pub(crate) fn sign_for_weave(&self, message: &[u8]) -> Option<Vec<u8>> {
        match &self.0.key {
            Key::Rsa(key) => Some(key.sign(message, rsa::SALT)),
            Key::Ed25519 { .. } => None,
            Key::Secp256k1(key) => Some(ethereum::sign_digest(key, Sha256::digest(message).into()).to_vec()),
        }
    }
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wallet({})", self.address())
    }
}

/// A JSON Web Key: what our three kinds have of it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Jwk {
    kty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dq: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qi: Option<String>,
}

impl Jwk {
    /// The public part is optional, but must not contradict the private one.
    fn agrees(&self, public: &Option<String>, derived: &[u8]) -> Result<(), BadWallet> {
        match public {
            Some(text) if from_base64url(text).as_deref() != Some(derived) => {
                Err(BadWallet("its public key is not that of its private key"))
            }
            _ => Ok(()),
        }
    }
}

fn number(text: &Option<String>) -> Result<Vec<u8>, BadWallet> {
    let text = text.as_ref().ok_or(BadWallet("a part of the private key is missing"))?;
    from_base64url(text).ok_or(BadWallet("a part of it is not base64url"))
}

fn number32(text: &Option<String>) -> Result<[u8; 32], BadWallet> {
    number(text)?.try_into().map_err(|_| BadWallet("its private key has not 32 bytes"))
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}
