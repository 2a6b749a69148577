//! What was written is read; what was torn or damaged is told apart.

use proptest::prelude::*;

use super::*;

const SPACE: Space = Space("test");

/// A segment of these writes, each of so many batches of one key, and where its records start.
fn segment(writes: &[usize]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = header(3).to_vec();
    let mut starts = Vec::new();
    let mut footer = Footer::default();
    let mut key = 0_u8;
    for batches in writes {
        let mut writer = Writer::new(3, bytes.len() as u32, &mut footer);
        for _ in 0..*batches {
            starts.push(bytes.len() + writer.bytes.len());
            let mut batch = Batch::new();
            batch.put(SPACE, vec![key], vec![key; 20]);
            writer.batch(&batch, |_| {});
            key += 1;
        }
        let write = writer.finish();
        bytes.extend(write);
    }
    starts.push(bytes.len());
    (bytes, starts)
}

/// The end that a replay finds, and how many changes before it.
fn read(bytes: &[u8]) -> Result<(End, usize), Bad> {
    let mut count = 0;
    replay(3, bytes, |_| count += 1).map(|replayed| (replayed.end, count))
}

#[test]
fn a_write_that_is_cut_off_anywhere_ends_at_its_last_whole_record() {
    let (bytes, starts) = segment(&[1, 3]);
    for length in starts[1]..bytes.len() {
        let whole = starts.iter().rposition(|start| *start <= length).unwrap();
        assert_eq!(read(&bytes[..length]), Ok((End::Open(starts[whole]), whole)), "cut at {length}");
    }
}

#[test]
fn a_hole_in_the_last_write_is_torn_even_if_its_end_is_whole() {
    let (mut bytes, starts) = segment(&[1, 3]);
    bytes[starts[2]..starts[3]].fill(0);
    assert_eq!(read(&bytes), Ok((End::Open(starts[2]), 2)));
}

#[test]
fn a_hole_before_the_last_write_is_damage() {
    for (hole, writes) in [(0, [1, 3]), (1, [2, 1]), (2, [3, 2])] {
        let (mut bytes, starts) = segment(&writes);
        bytes[starts[hole]..starts[hole + 1]].fill(0);
        let found = read(&bytes);
        assert!(matches!(found, Err(Bad::Damaged { at, .. }) if at == starts[hole]), "{found:?}");
    }
}

#[test]
fn zeros_at_the_end_are_torn() {
    let (mut bytes, starts) = segment(&[1, 2]);
    bytes.extend([0; 5000]);
    assert_eq!(read(&bytes), Ok((End::Open(starts[3]), 3)));
}

#[test]
fn a_record_that_belongs_elsewhere_is_none_here() {
    let (bytes, starts) = segment(&[1, 1]);
    let mut moved = bytes[..starts[1]].to_vec();
    moved.extend_from_slice(&bytes[starts[0]..starts[1]]);
    assert_eq!(read(&moved), Ok((End::Open(starts[1]), 1)));
    assert!(matches!(replay(4, &bytes, |_| {}), Err(Bad::Damaged { at: 8, .. })));
}

#[test]
fn a_later_version_is_named() {
    let (mut bytes, _) = segment(&[1]);
    bytes[8] = 3;
    assert!(matches!(read(&bytes), Err(Bad::Damaged { at: 8, .. })), "a flipped bit is no version");
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(read(&bytes), Err(Bad::Version(3)));
}

#[test]
fn what_a_mark_follows_is_damage_and_never_torn() {
    let (mut bytes, starts) = segment(&[1, 3]);
    bytes.extend(mark(3, starts[4] as u32));
    let whole = replay(3, &bytes, |_| {}).unwrap();
    assert_eq!((whole.end, whole.since, whole.marked), (End::Open(bytes.len()), starts[4], true));
    for at in starts[1]..starts[4] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(matches!(read(&flipped), Err(Bad::Damaged { .. })), "flipped at {at}");
    }
    // The mark itself says nothing that could be lost.
    for at in starts[4]..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert_eq!(read(&flipped), Ok((End::Open(starts[4]), 4)), "flipped at {at}");
    }
}

/// The last record and the trailer of a segment whose only footer has these contents.
fn sealed(mut bytes: Vec<u8>, kind: u8, body: &[u8]) -> Vec<u8> {
    let start = bytes.len();
    let mut footer = Footer::default();
    let mut writer = Writer::new(3, start as u32, &mut footer);
    let begun = writer.begin();
    writer.bytes.extend_from_slice(body);
    writer.end(begun, kind);
    bytes.extend(writer.finish());
    let offset = (start as u32).to_le_bytes();
    bytes.extend_from_slice(&offset);
    bytes.extend_from_slice(&crc32c::crc32c(&offset).to_le_bytes());
    bytes.extend_from_slice(SEALED);
    bytes
}

#[test]
fn a_segment_of_the_first_version_is_read() {
    let (mut bytes, _) = segment(&[1, 2]);
    bytes[8] = 1;
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    let changes = replay(3, &bytes, |_| {}).unwrap().footer.changes;
    let start = bytes.len();
    let bytes = sealed(bytes, ONLY_FOOTER, &changes);
    assert_eq!(read(&bytes), Ok((End::Sealed, 3)));
    let footer = &bytes[start..bytes.len() - TRAILER_LEN];
    let (found, before) = read_footer(3, start, footer, None).unwrap();
    let mut count = 0;
    found.changes(|_| count += 1).unwrap();
    assert_eq!((count, before), (3, None));
}

#[test]
fn a_footer_that_says_something_else_than_the_records_is_damage() {
    let (bytes, starts) = segment(&[1, 2]);
    let changes = replay(3, &bytes, |_| {}).unwrap().footer.changes;
    let link = [0; LINK_LEN];
    let whole = sealed(bytes.clone(), FOOTER, &[&link[..], &changes].concat());
    assert_eq!(read(&whole), Ok((End::Sealed, 3)));
    for body in [
        &link[..],
        &[&link[..], &changes[..changes.len() / 3]].concat(),
        &[&[1; LINK_LEN][..], &changes].concat(),
    ] {
        let found = read(&sealed(bytes.clone(), FOOTER, body));
        assert!(matches!(found, Err(Bad::Damaged { at, .. }) if at == starts[3]), "{found:?}");
    }
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let change = (prop::sample::select(vec!["a", "space.b"]), bytes(), prop::option::of(bytes()));
    let batch = prop::collection::vec(change, 0..5).prop_map(|changes| {
        let change = |(space, key, value): (_, Vec<u8>, Option<Vec<u8>>)| {
            (Space(space), key.into(), value.map(bytes::Bytes::from))
        };
        Batch { changes: changes.into_iter().map(change).collect() }
    });
    prop::collection::vec(batch, 0..6)
}

proptest! {
    #[test]
    fn what_was_written_is_read(batches in batches(), sealed: bool, every in 1..4_usize) {
        let mut footer = Footer::default();
        let mut bytes = header(7).to_vec();
        let mut expected = Vec::new();
        for (nth, batch) in batches.iter().enumerate() {
            let before = bytes.len();
            let mut writer = Writer::new(7, before as u32, &mut footer);
            let mut places = Vec::new();
            writer.batch(batch, |place| places.push(place));
            prop_assert_eq!(writer.bytes.len(), record_len(batch));
            if nth % every == 0 {
                writer.footer();
            }
            bytes.extend(writer.finish());
            expected.extend(batch.changes.iter().cloned().zip(places));
        }
        let end = bytes.len();
        if sealed {
            let seal = Writer::new(7, end as u32, &mut footer).seal();
            bytes.extend(seal);
        }

        let mut found = Vec::new();
        let keep = |found: &mut Vec<_>, change: Change<'_>| {
            found.push((change.space.to_owned(), change.key.to_vec(), change.place));
        };
        let ended = replay(7, &bytes, |change| keep(&mut found, change)).unwrap();
        prop_assert_eq!(ended.end, if sealed { End::Sealed } else { End::Open(end) });
        prop_assert_eq!(found.len(), expected.len());
        for ((space, key, place), ((wanted, wanted_key, value), wanted_place)) in found.iter().zip(&expected) {
            prop_assert_eq!((space.as_str(), key.as_slice(), place), (wanted.0, &wanted_key[..], wanted_place));
            let read = place.map(|place| &bytes[place.offset as usize..][..place.length as usize]);
            prop_assert_eq!(read, value.as_deref());
        }
        if sealed {
            let trailer = bytes.len() - TRAILER_LEN;
            let start = footer_start(bytes[trailer..].try_into().unwrap()).unwrap() as usize;
            let (mut footers, mut next) = (Vec::new(), Some((start as u32, None)));
            while let Some((at, crc)) = next {
                let at = at as usize;
                let header = bytes[at..at + RECORD_HEADER_LEN].try_into().unwrap();
                let (footer, before) = read_footer(7, at, &bytes[at..at + footer_len(header)], crc).unwrap();
                footers.push(footer);
                next = before.map(|(at, crc)| (at, Some(crc)));
            }
            let mut summed = Vec::new();
            for footer in footers.iter().rev() {
                footer.changes(|change| keep(&mut summed, change)).unwrap();
            }
            prop_assert_eq!(summed, found);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(tail in prop::collection::vec(any::<u8>(), 0..300), at in 0..300_usize) {
        let _ = replay(3, &tail, |_| {});
        let _ = read_footer(3, at, &tail, None).and_then(|(footer, _)| footer.changes(|_| {}));
        let mut bytes = header(3).to_vec();
        bytes.extend(&tail);
        let _ = replay(3, &bytes, |_| {});
    }

    /// As above, but the checksums are right: what is behind them must hold as well.
    #[test]
    fn any_body_is_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..300), kind in 1..=3_u8) {
        let mut footer = Footer::default();
        let mut writer = Writer::new(3, HEADER_LEN as u32, &mut footer);
        let start = writer.begin();
        writer.bytes.extend_from_slice(&body);
        writer.end(start, kind);
        let record = writer.finish();
        let mut bytes = header(3).to_vec();
        bytes.extend(&record);
        let _ = replay(3, &bytes, |_| {});
        let _ = read_footer(3, HEADER_LEN, &record, None).and_then(|(footer, _)| footer.changes(|_| {}));
    }
}
