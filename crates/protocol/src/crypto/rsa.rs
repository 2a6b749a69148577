//! RSA-PSS with SHA-256, by AWS-LC.
//!
//! Arweave's clients salt with 0, 32 or as many bytes as fit, so verification finds the salt's length in the
//! signature. The safe bindings cannot; hence the foreign calls here, and nowhere else in the crate.
#![expect(unsafe_code, reason = "the safe bindings verify only salts of 32 bytes")]

use std::ptr::{self, NonNull};

use aws_lc_sys as aws;
use sha2::{Digest as _, Sha256};

/// The public exponent of every Arweave key.
const EXPONENT: [u8; 3] = [1, 0, 1];
/// How long our own salts are: what WebCrypto's wallets use.
pub(super) const SALT: i32 = 32;

/// Checks `signature` by the key of modulus `n` over `message`.
pub(super) fn verify(n: &[u8], message: &[u8], signature: &[u8]) -> Result<(), &'static str> {
    let key = Key::public(n).ok_or("the owner is no RSA modulus")?;
    let digest = Sha256::digest(message);
    // SAFETY: the key is alive, and the lengths are those of the slices, which are only read.
    let valid = unsafe {
        aws::RSA_verify_pss_mgf1(
            key.0.as_ptr(),
            digest.as_ptr(),
            digest.len(),
            aws::EVP_sha256(),
            ptr::null(),
            aws::RSA_PSS_SALTLEN_AUTO,
            signature.as_ptr(),
            signature.len(),
        )
    };
    forget_errors();
    if valid == 1 { Ok(()) } else { Err("the RSA signature does not match") }
}

/// The numbers of a private key, big-endian: as in a JWK, in its order.
#[derive(Clone, Default)]
pub(super) struct Parts {
    pub n: Vec<u8>,
    pub e: Vec<u8>,
    pub d: Vec<u8>,
    pub p: Vec<u8>,
    pub q: Vec<u8>,
    pub dp: Vec<u8>,
    pub dq: Vec<u8>,
    pub qi: Vec<u8>,
}

/// A key of AWS-LC's.
pub(super) struct Key(NonNull<aws::RSA>);

// SAFETY: AWS-LC keys may be used by several threads as long as none changes them. After construction none
// does: signing takes the key's own lock around its blinding values.
unsafe impl Send for Key {}
// SAFETY: as above.
unsafe impl Sync for Key {}

impl Key {
    /// A key of 4096 bits with the exponent of all others. Takes seconds.
    pub(super) fn generate() -> Key {
        let e = Number::of(&EXPONENT).expect("memory for a number");
        // SAFETY: a new key is given to nobody else, and freed by `Key` whatever comes.
        unsafe {
            let key = Key(NonNull::new(aws::RSA_new()).expect("memory for a key"));
            let made = aws::RSA_generate_key_ex(key.0.as_ptr(), 4096, e.0.as_ptr(), ptr::null_mut());
            assert_eq!(made, 1, "AWS-LC makes RSA keys of 4096 bits");
            key
        }
    }

    /// A private key, if the numbers belong together.
    pub(super) fn private(parts: &Parts) -> Option<Key> {
        let Parts { n, e, d, p, q, dp, dq, qi } = parts;
        let [n, e, d, p, q, dp, dq, qi] = [n, e, d, p, q, dp, dq, qi].map(|bytes| Number::of(bytes));
        let (n, e, d, p, q, dp, dq, qi) = (n?, e?, d?, p?, q?, dp?, dq?, qi?);
        // SAFETY: the numbers are alive during the call, which copies them; null is looked for.
        let key = unsafe {
            Key(NonNull::new(aws::RSA_new_private_key(
                n.0.as_ptr(),
                e.0.as_ptr(),
                d.0.as_ptr(),
                p.0.as_ptr(),
                q.0.as_ptr(),
                dp.0.as_ptr(),
                dq.0.as_ptr(),
                qi.0.as_ptr(),
            ))?)
        };
        // SAFETY: the key is alive.
        let good = unsafe { aws::RSA_check_key(key.0.as_ptr()) } == 1;
        forget_errors();
        good.then_some(key)
    }

    fn public(n: &[u8]) -> Option<Key> {
        let (n, e) = (Number::of(n)?, Number::of(&EXPONENT)?);
        // SAFETY: the numbers are alive during the call, which copies them; null is looked for.
        let key = unsafe { aws::RSA_new_public_key(n.0.as_ptr(), e.0.as_ptr()) };
        forget_errors();
        NonNull::new(key).map(Key)
    }

    /// The numbers of a private key.
    pub(super) fn parts(&self) -> Parts {
        let key = self.0.as_ptr();
        // SAFETY: the key is alive and private, so it has all its numbers; they are its own and copied at once.
        unsafe {
            Parts {
                n: bytes_of(aws::RSA_get0_n(key)),
                e: bytes_of(aws::RSA_get0_e(key)),
                d: bytes_of(aws::RSA_get0_d(key)),
                p: bytes_of(aws::RSA_get0_p(key)),
                q: bytes_of(aws::RSA_get0_q(key)),
                dp: bytes_of(aws::RSA_get0_dmp1(key)),
                dq: bytes_of(aws::RSA_get0_dmq1(key)),
                qi: bytes_of(aws::RSA_get0_iqmp(key)),
            }
        }
    }

    /// Signs with a salt of so many bytes.
    pub(super) fn sign(&self, message: &[u8], salt: i32) -> Vec<u8> {
        let digest = Sha256::digest(message);
        // SAFETY: the key is alive; AWS-LC writes at most `signature.len()` bytes into `signature`.
        unsafe {
            let mut signature = vec![0; aws::RSA_size(self.0.as_ptr()) as usize];
            let mut len = 0;
            let signed = aws::RSA_sign_pss_mgf1(
                self.0.as_ptr(),
                &mut len,
                signature.as_mut_ptr(),
                signature.len(),
                digest.as_ptr(),
                digest.len(),
                aws::EVP_sha256(),
                ptr::null(),
                salt,
            );
            assert_eq!(signed, 1, "a checked private key signs");
            signature.truncate(len);
            signature
        }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the key is ours and not used again.
        unsafe { aws::RSA_free(self.0.as_ptr()) }
    }
}

/// A number of AWS-LC's.
struct Number(NonNull<aws::BIGNUM>);

impl Number {
    fn of(big_endian: &[u8]) -> Option<Number> {
        // SAFETY: the slice is only read, within its length.
        let number = unsafe { aws::BN_bin2bn(big_endian.as_ptr(), big_endian.len(), ptr::null_mut()) };
        NonNull::new(number).map(Number)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: the number is ours and not used again. Private ones are wiped.
        unsafe { aws::BN_clear_free(self.0.as_ptr()) }
    }
}

/// The bytes of a number, big-endian without leading zeros.
///
/// # Safety
/// `number` is alive.
unsafe fn bytes_of(number: *const aws::BIGNUM) -> Vec<u8> {
    // SAFETY: the caller's word; AWS-LC writes exactly as many bytes as it says first.
    unsafe {
        let mut bytes = vec![0; aws::BN_num_bytes(number) as usize];
        let len = aws::BN_bn2bin(number, bytes.as_mut_ptr());
        bytes.truncate(len);
        bytes
    }
}

/// A refused key or signature leaves a note in AWS-LC's queue of this thread, which nobody would read.
fn forget_errors() {
    // SAFETY: touches only this thread's queue.
    unsafe { aws::ERR_clear_error() }
}
