//! `pirn fund`: AR out of nothing, and tokens from who may give them.

mod person;

use person::Person;

#[test]
fn ar_comes_out_of_nothing_also_in_parts() {
    let person = Person::new();
    person.network("test");
    let wallet = "wallet.json";
    person.text(&["wallet", "new", wallet, "--type", "ed25519"]);
    let address = person.text(&["wallet", "address", "--wallet", wallet]);
    assert_eq!(person.answer(&["fund", &address, "0.5"])["balance_winston"], "500000000000");
    assert_eq!(person.text(&["fund", &address, "2"]), format!("{address} has 2.5 AR"));
    assert!(person.refused(&["fund", &address, "-1"], 2).starts_with("error[P0027]"));
    assert!(person.refused(&["fund", &address, "0.0000000000001"], 2).contains("more than 12 digits"));
}

#[test]
fn a_token_is_minted_by_its_owner_and_given_by_who_has_it() {
    let person = Person::new();
    person.network("test");
    let token = person.text(&["spawn"]);
    let blueprint = concat!(env!("CARGO_MANIFEST_DIR"), "/../../processes/blueprints/token.lua");
    person.text(&["eval", &token, &format!("@{blueprint}")]);
    let minted = person.answer(&["fund", "ben", "1.5", &token]);
    assert_eq!((&minted["by"], &minted["balance"]), (&"Mint".into(), &"1500000000000".into()));
    let given = person.answer(&["fund", "2", "0.5", &token, "--wallet", "ben"]);
    assert_eq!((&given["by"], &given["balance"]), (&"Transfer".into(), &"500000000000".into()));

    let said = person.refused(&["fund", "ada", "7", &token, "--wallet", "ben"], 1);
    assert!(
        said.starts_with("error[P0005]: ") && said.contains("who has 1: Insufficient Balance!"),
        "{said}"
    );
    assert!(said.contains("hint: the owner of the token mints"), "{said}");
    let plain = person.text(&["spawn"]);
    let said = person.refused(&["fund", "ada", "7", &plain], 1);
    assert!(said.contains("does not answer Info as a token does"), "{said}");
}
