use protocol::Tags;

use super::*;

fn address(byte: u8) -> Address {
    Address(Id([byte; 32]))
}

#[track_caller]
fn check(own: &[(&str, &str)], module: &[(&str, &str)], expected: Option<(bool, Mode, &[u8])>) {
    let tags = |tags: &[(&str, &str)]| tags.iter().copied().collect::<Tags>();
    let rules = Rules::of(&tags(own), &tags(module), address(1));
    let seen = rules.map(|rules| (rules.is_extended, rules.mode, rules.attestors));
    let expected = expected
        .map(|(is_extended, mode, who)| (is_extended, mode, who.iter().map(|byte| address(*byte)).collect()));
    assert_eq!(seen, expected);
}

#[test]
fn the_extension_is_asked_for_by_process_or_module_or_comes_with_the_format() {
    let extended = [("Extension", "WeaveDrive")];
    check(&[], &[("Module-Format", "wasm32-unknown-emscripten4")], None);
    check(&extended, &[], Some((true, Mode::Assignments, &[1])));
    check(&[], &extended, Some((true, Mode::Assignments, &[1])));
    check(&[], &[("Module-Format", ALWAYS)], Some((false, Mode::Assignments, &[1])));
}

#[test]
fn the_process_says_how_before_its_module_and_the_last_attestor_counts() {
    let (two, three) = (address(2).to_string(), address(3).to_string());
    let own = [("Extension", "WeaveDrive"), ("Attestor", &*two), ("Attestor", &*three)];
    check(&own, &[(AVAILABILITY, "Individual")], Some((true, Mode::Individual, &[1, 3])));
    let own = [("Extension", "WeaveDrive"), (AVAILABILITY, "Library"), ("Attestor", "nobody")];
    check(&own, &[(AVAILABILITY, "Individual")], Some((true, Mode::Library, &[1])));
    let own = [("Extension", "WeaveDrive"), (AVAILABILITY, "individual")];
    check(&own, &[], Some((true, Mode::Unknown("individual".to_owned()), &[1])));
}

#[test]
fn a_path_is_a_kind_and_a_name() {
    let id = Id([7; 32]);
    assert_eq!(Path::read(&format!("/data/{id}")), Some(Path::Data(id)));
    assert_eq!(Path::read(&format!("/tx/{id}/owner")), Some(Path::Transaction(id)));
    assert_eq!(Path::read("/block/12"), Some(Path::Block(Height(12))));
    let none = [
        "",
        "/",
        "/data",
        "/data/",
        "/data/x",
        "data/x",
        "/block/-1",
        "/block/99999999999999999999",
        "/headers/1",
    ];
    for path in none {
        assert_eq!(Path::read(path), None, "{path}");
    }
}

#[test]
fn what_is_kept_of_an_open_is_the_answer() {
    let id = Id([7; 32]);
    let cases = [
        (Path::Data(id), Opened::NotAvailable),
        (Path::Data(id), Opened::Data { id, size: 1 << 40 }),
        (Path::Block(Height(1)), Opened::Text(Bytes::from_static(b"{}"))),
    ];
    for (path, opened) in cases {
        assert_eq!(decode(&path, &encode(&opened)), Some(opened));
    }
    for bytes in [&[][..], &[0, 0], &[1, 2], &[9]] {
        assert_eq!(decode(&Path::Data(id), &Bytes::copy_from_slice(bytes)), None);
    }
}

#[test]
fn the_cache_keeps_what_was_used_last() {
    let cache = Cache::default();
    let half = (CACHE_BYTES_MAX / 2) as u64;
    let piece = |start: u64| Piece { total: 1 << 30, start, bytes: Bytes::from(vec![1; half as usize]) };
    let id = Id([7; 32]);
    let start_of = |at: u64| cache.get(id, at).map(|piece| piece.start);
    cache.put(id, &piece(0));
    cache.put(id, &piece(half));
    assert_eq!(start_of(half - 1), Some(0));
    cache.put(id, &piece(2 * half));
    assert_eq!(start_of(half), None);
    assert_eq!(start_of(5), Some(0));
    assert_eq!(cache.get(Id([8; 32]), 5), None);
}
