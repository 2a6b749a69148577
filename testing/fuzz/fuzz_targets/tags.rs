//! Encoded tags: within the limits, and written again they say the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::ans104::tags;

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = tags::decode(bytes) else { return };
    assert!(read.0.len() <= tags::MAX_TAGS);
    // Replacement characters are longer than what they replace: such tags may not fit any more.
    if let Ok(written) = tags::encode(&read) {
        assert_eq!(tags::decode(&written), Ok(read));
    }
});
