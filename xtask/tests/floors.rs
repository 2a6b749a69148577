//! The walls between the packages stand.

use xtask::floors::{Package, packages, problems};

#[test]
fn every_arrow_points_to_a_lower_floor() {
    let packages = packages().unwrap();
    assert!(packages.len() > 10, "only {} packages were seen", packages.len());
    let problems = problems(&packages);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn package(name: &str, floor: Option<u64>, uses: &[&str]) -> Package {
    Package { name: name.to_owned(), floor, uses: uses.iter().map(ToString::to_string).collect() }
}

#[track_caller]
fn check(packages: &[Package], expected: &[&str]) {
    assert_eq!(problems(packages), expected);
}

#[test]
fn an_arrow_to_a_lower_floor_is_fine() {
    check(&[package("pirn-mu", Some(2), &["pirn-unit", "bytes"]), package("pirn-unit", Some(1), &[])], &[]);
}

#[test]
fn a_part_that_uses_a_part_is_named() {
    check(
        &[package("pirn-mu", Some(2), &["pirn-su"]), package("pirn-su", Some(2), &[])],
        &["pirn-mu (floor 2) -> pirn-su (floor 2)"],
    );
}

#[test]
fn an_arrow_to_a_higher_floor_is_named() {
    check(
        &[package("pirn-store", Some(0), &["pirn-node"]), package("pirn-node", Some(3), &[])],
        &["pirn-store (floor 0) -> pirn-node (floor 3)"],
    );
}

#[test]
fn a_package_without_a_floor_is_named() {
    check(
        &[package("pirn-new", None, &[])],
        &["pirn-new does not say its floor under [package.metadata.pirn]"],
    );
}
