//! Tags in Avro: what is legal although we would not write it, and what is not.

use protocol::Tags;
use protocol::ans104::tags::{decode, encode};

/// `name=value` of each tag, or what is wrong.
#[track_caller]
fn check(bytes: &[u8], expect: &str) {
    let said = match decode(bytes) {
        Ok(tags) => tags.iter().map(|tag| format!("{}={};", tag.name, tag.value)).collect(),
        Err(error) => error.to_string(),
    };
    assert_eq!(said, expect);
}

#[test]
fn tags_come_in_blocks_of_any_number() {
    check(b"", "");
    check(b"\x00", "");
    check(b"\x02\x02a\x02b\x00", "a=b;");
    check(b"\x02\x02a\x02b\x02\x02c\x00\x00", "a=b;c=;");
    // A negative count is followed by the block's size.
    check(b"\x01\x08\x02a\x02b\x00", "a=b;");
    check(b"\x01\x08\x02a\x02b\x02\x00\x02c\x00", "a=b;=c;");
    // A number may be longer than it has to be.
    check(b"\x82\x80\x00\x02a\x02b\x00", "a=b;");
    check(b"\x02\x02\xff\x02b\x00", "\u{fffd}=b;");
}

#[test]
fn tags_that_are_cut_short_or_lie_are_refused() {
    check(b"\x02", "not a data item: the tags are cut short at byte 1");
    check(b"\x02\x02a\x02b", "not a data item: the tags are cut short at byte 5");
    check(b"\x02\x02a\x04b", "not a data item: the tags are cut short at byte 5");
    check(b"\x02\x01a\x02b\x00", "not a data item: a tag has a negative length at byte 1");
    check(b"\x02\x02a\x02b\x00\x00", "not a data item: bytes after the last tag at byte 6");
    check(
        b"\x01\x06\x02a\x02b\x00",
        "not a data item: a block of tags has another size than it says at byte 6",
    );
    check(
        b"\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "not a data item: a tag has a negative length at byte 1",
    );
    check(
        b"\x02\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "not a data item: a tag's name has more than 1024 bytes at byte 1",
    );
    check(
        b"\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        "not a data item: a number in the tags has more than 64 bits at byte 10",
    );
    check(b"\x82\x02", "not a data item: more than 128 tags at byte 2");
    // The smallest number there is.
    check(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", "not a data item: more than 128 tags at byte 11");
}

#[test]
fn the_limits_are_the_same_for_reading_and_writing() {
    let tags = |count: usize, name: usize, value: usize| -> Tags {
        std::iter::repeat_n(("n".repeat(name), "v".repeat(value)), count).collect()
    };
    for fits in [tags(128, 1, 1), tags(1, 1, 3072), tags(1, 1024, 3061), tags(0, 0, 0), tags(1, 0, 0)] {
        let bytes = encode(&fits).unwrap();
        assert_eq!(decode(&bytes), Ok(fits));
    }
    for too_much in [tags(129, 1, 1), tags(1, 1, 3073), tags(1, 1025, 1), tags(2, 1000, 1100)] {
        assert!(encode(&too_much).is_err());
    }
    assert_eq!(encode(&tags(1, 1024, 3066)).unwrap().len(), 4096);
    assert!(encode(&tags(1, 1024, 3067)).is_err());
    check(&[0; 4097], "not a data item: more than 4096 bytes of tags at byte 4096");
}
