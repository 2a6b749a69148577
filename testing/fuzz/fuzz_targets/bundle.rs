//! A bundle from a stranger: what is read is written as it came.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::ans104;

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(entries) = ans104::bundle_index(&bytes) {
        for entry in entries {
            let _ = ans104::parse_entry(&bytes, entry);
        }
    }
    if let Ok(items) = ans104::parse_bundle(bytes.clone()) {
        assert_eq!(ans104::bundle(&items), bytes);
    }
});
