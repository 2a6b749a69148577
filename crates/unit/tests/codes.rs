//! Codes are for ever, and each is explained.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use expect_test::expect_file;
use pirn_unit::{Code, Error, Explanation, Kind};

/// What was given out. Lines are added at the end; none is ever changed or removed.
const GIVEN_OUT: &str = include_str!("codes.txt");

#[test]
fn a_code_never_changes_its_meaning() {
    let now: Vec<String> =
        Explanation::all().iter().map(|known| format!("{} {}", known.code, known.title)).collect();
    let given_out: Vec<&str> = GIVEN_OUT.lines().collect();
    assert_eq!(now, given_out, "a new code gets a line at the end of tests/codes.txt; the others stay");
}

#[test]
fn codes_have_no_gaps_and_each_is_explained() {
    let mut titles = BTreeSet::new();
    for (number, known) in (1..).zip(Explanation::all()) {
        let code = known.code.to_string();
        assert_eq!(code, format!("P{number:04}"));
        assert_eq!(code.parse(), Ok(known.code));
        assert_eq!(known.code.explain().title, known.title);
        assert!(titles.insert(known.title), "{code} has the title of another");
        assert!(known.meaning.ends_with('.'), "{code} is explained in whole sentences");
        assert!(!known.causes.is_empty() && !known.remedies.is_empty(), "{code} says why and what to do");
        assert!(known.title.starts_with(char::is_lowercase) && !known.title.ends_with('.'), "{code}");
    }
}

#[test]
fn what_is_no_code_is_refused() {
    for text in ["", "P", "P0000", "P9999", "Q0001", "+1", "P-1", "P00000000000000000001x"] {
        assert!(text.parse::<Code>().is_err(), "{text:?}");
    }
    assert_eq!("p7".parse(), Ok(Code::BUSY));
}

#[test]
fn every_kind_has_a_code_of_its_own() {
    use Kind::*;
    let busy = Busy { retry_after: std::time::Duration::ZERO };
    let kinds = [NotFound, Invalid, TooLarge, Refused, Forbidden, Conflict, busy, Unavailable, Internal];
    let codes: BTreeSet<Code> = kinds.into_iter().map(|kind| Error::new(kind, "it failed").code).collect();
    assert_eq!(codes.len(), kinds.len());
}

/// `UPDATE_EXPECT=1 cargo test -p pirn-unit` writes it.
#[test]
fn the_page_of_codes_is_what_the_table_says() {
    let mut page = String::from(
        "# Error codes\n\nWritten by the test `crates/unit/tests/codes.rs` from the table in \
         `crates/unit/src/codes.rs`; `pirn explain P0007` prints one.\nA code never changes its meaning. \
         Units say it in the header `Pirn-Error`, commands as `error[P0007]`, and with `--json` as `code`.\n",
    );
    for Explanation { code, title, meaning, causes, remedies } in Explanation::all() {
        writeln!(page, "\n## {code}: {title}\n\n{}\n\nUsually:\n", meaning.replace(". ", ".\n")).unwrap();
        causes.iter().for_each(|cause| writeln!(page, "- {cause}").unwrap());
        writeln!(page, "\nWhat to do:\n").unwrap();
        remedies.iter().for_each(|remedy| writeln!(page, "- {remedy}").unwrap());
    }
    expect_file!["../../../docs/errors.md"].assert_eq(&page);
}
