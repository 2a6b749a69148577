//! Signatures of webhooks, as Standard Webhooks has them: HMAC-SHA256 over id, time and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use unit::{Error, Result};

/// What secrets begin with.
const PREFIX: &str = "whsec_";
/// Bytes that a secret has at least, and at most.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// The bytes of a secret, `whsec_` and base64.
pub(crate) fn read_secret(text: &str) -> Result<Vec<u8>> {
    let bytes = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
    bytes.filter(|bytes| SECRET_BYTES.contains(&bytes.len())).ok_or_else(|| {
        Error::invalid("the secret is not whsec_ and the base64 of 24 to 64 bytes")
            .with_hint("leave it out, and the node makes one and says it once")
    })
}

/// A secret as people keep it.
pub(crate) fn write_secret(bytes: &[u8]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(bytes))
}

/// The value of `webhook-signature`.
pub(crate) fn signature(secret: &[u8], id: &str, seconds: u64, body: &str) -> String {
    let signed = format!("{id}.{seconds}.{body}");
    format!("v1,{}", STANDARD.encode(hmac(secret, signed.as_bytes())))
}

/// HMAC-SHA256: RFC 2104, with a key of at most a block.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let keyed = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new_with_prefix(keyed(0x36)).chain_update(message).finalize();
    Sha256::new_with_prefix(keyed(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 4231, cases 1, 2 and 6.
    #[test]
    fn hmac_is_that_of_the_rfc() {
        let one = hmac(&[0x0b; 20], b"Hi There");
        assert_eq!(hex(&one), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        let two = hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&two), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let six = hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(hex(&six), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    #[test]
    fn a_secret_is_read_as_it_is_written_or_refused() {
        let secret = write_secret(&[7; 32]);
        assert_eq!(read_secret(&secret).unwrap(), [7; 32]);
        for text in ["", "whsec_", "whsec_AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "whsec_?"] {
            assert!(read_secret(text).is_err(), "{text}");
        }
        assert!(read_secret(&write_secret(&[7; 65])).is_err());
    }

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let secret = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let said =
            signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(said, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
