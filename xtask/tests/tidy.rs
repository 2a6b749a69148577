//! The repository is tidy, and each check can fail.

use xtask::tidy::{self, LINES_MAX, Tree};

#[test]
fn the_repository_is_tidy() {
    let tree = Tree::read(xtask::root()).unwrap();
    assert!(tree.texts.contains_key("xtask/tests/tidy.rs"), "the tree was not read");
    let problems = tidy::problems(&tree);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn tree(files: &[(&str, &str)]) -> Tree {
    Tree {
        texts: files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect(),
        paths: files.iter().map(|(path, _)| path.to_string()).collect(),
    }
}

#[track_caller]
fn check(problems: fn(&Tree) -> Vec<String>, files: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(problems(&tree(files)), expected);
}

#[test]
fn a_select_says_that_it_is_biased() {
    let select = concat!("fn f() {\n    tokio::select", "! {\n");
    let biased = format!("{select}        biased;\n    }}\n}}");
    let unbiased = format!("{select}        _ = a => {{}}\n    }}\n}}");
    check(tidy::unbiased_selects, &[("a.rs", &biased)], &[]);
    check(tidy::unbiased_selects, &[("a.rs", &unbiased)], &["a.rs:2: a select that is not `biased;`"]);
    let comment = format!("// as in {select}");
    check(tidy::unbiased_selects, &[("a.rs", &comment.replace('\n', " "))], &[]);
}

#[test]
fn unfinished_code_is_named() {
    let unfinished = concat!("fn f() {\n    to", "do!()\n}");
    check(tidy::unfinished_code, &[("a.rs", unfinished)], &["a.rs:2: unfinished code"]);
    check(tidy::unfinished_code, &[("a.rs", "fn f() {}")], &[]);
}

#[test]
fn a_crate_says_what_it_is() {
    let expected = ["a/src/lib.rs does not begin with `//!` and what the crate is"];
    check(tidy::crates_without_an_idea, &[("a/src/lib.rs", "mod b;"), ("a/src/b.rs", "")], &expected);
    check(tidy::crates_without_an_idea, &[("a/src/lib.rs", "//! The words.\n")], &[]);
}

#[test]
fn a_path_of_one_computer_is_named() {
    let root = concat!("/ro", "ot/");
    let named = format!("a: a path of one computer: {root}").replace("a:", "a:2:");
    check(tidy::machine_paths, &[("a", &format!("\n\"{root}x\""))], &[&named]);
    check(tidy::machine_paths, &[("a", &format!("https://example.org{root}"))], &[]);
}

#[test]
fn a_map_shows_what_is_there() {
    let map = |text| [("README.md", text), ("crates/a/src/lib.rs", "")];
    check(tidy::dead_paths_in_maps, &map("`crates/a`, crates/a/src/lib.rs. Also crates/*"), &[]);
    check(tidy::dead_paths_in_maps, &map("\nsee `crates/b`"), &["README.md:2: crates/b does not exist"]);
}

#[test]
fn a_link_leads_somewhere() {
    let links = |text| [("docs/a.md", text), ("b/c.md", "")];
    check(tidy::dead_links, &links("[c](../b/c.md#d) [e](https://example.org) [f](#f) [b](../b)"), &[]);
    check(tidy::dead_links, &links("[b](b/c.md)"), &["docs/a.md:1: the link to b/c.md leads nowhere"]);
    check(tidy::dead_links, &links("[b](../../c)"), &["docs/a.md:1: the link to ../../c leads nowhere"]);
}

#[test]
fn a_long_file_needs_an_excuse_and_a_short_one_none() {
    let long = "\n".repeat(LINES_MAX + 1);
    let files = tree(&[("long.rs", &long), ("short.rs", "")]);
    let named = format!("long.rs has {} lines; at most {LINES_MAX}", LINES_MAX + 1);
    assert_eq!(tidy::long_files(&files, &[]), [named]);
    assert!(tidy::long_files(&files, &[("long.rs", "a table")]).is_empty());
    let excuses = [("long.rs", ""), ("short.rs", ""), ("gone.rs", "")];
    let expected = ["short.rs has only 0 lines and needs no excuse", "gone.rs is excused and does not exist"];
    assert_eq!(tidy::long_files(&files, &excuses), expected);
}

#[test]
fn a_test_that_is_named_is_there() {
    let table = "| the reference | Pirn | test |\n|---|---|---|\n| loses | keeps | `a/tests/b.rs` `nothing_is_lost` |\n";
    let files = [("docs/reference-defects.md", table), ("a/tests/b.rs", "fn nothing_is_lost() {}")];
    check(tidy::tests_that_are_not_there, &files, &[]);
    let files = [("docs/reference-defects.md", table), ("a/tests/b.rs", "fn something_else() {}")];
    let expected = ["docs/reference-defects.md:3: a/tests/b.rs has no nothing_is_lost"];
    check(tidy::tests_that_are_not_there, &files, &expected);
}
