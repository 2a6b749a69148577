//! `pirn tx`, `pirn item`, `pirn block`, and a chain that is reorganised under them.

mod person;

use person::Person;

#[test]
fn items_transactions_and_blocks_are_shown_with_their_signatures_checked() {
    let person = Person::new();
    person.network("test");
    person.text(&["mine", "--when", "manual"]);
    let process = person.text(&["spawn"]);
    person.text(&["mine"]);
    let item = person.answer(&["item", &process]);
    assert_eq!((&item["signature_valid"], &item["block"]["confirmations"]), (&true.into(), &1.into()));
    let bundle = item["bundle"].as_str().unwrap().to_owned();
    let said = person.text(&["item", &process]);
    for line in ["signature", "valid, Arweave (RSA 4096)", "Data-Protocol  ao", &bundle] {
        assert!(said.contains(line), "{line}: {said}");
    }

    let tx = person.answer(&["tx", &bundle]);
    assert_eq!((&tx["signature_valid"], &tx["data"]), (&true.into(), &"as-signed".into()));
    assert!(tx["items"].as_array().unwrap().iter().any(|item| item["id"] == process.as_str()), "{tx}");
    let said = person.text(&["tx", &bundle]);
    assert!(
        said.contains("valid, RSA 4096") && said.contains("ao Process") && said.contains(&process),
        "{said}"
    );
    assert!(person.refused(&["tx", &process], 1).contains(&format!("`pirn item {process}`")));
    assert!(person.refused(&["item", &bundle], 1).contains(&format!("`pirn tx {bundle}`")));
    let nobody = "A".repeat(43);
    assert!(person.refused(&["tx", &nobody], 1).starts_with("error[P0001]"));
    assert!(person.refused(&["item", &nobody], 1).starts_with("error[P0001]"));

    let (height, hash) = (item["block"]["height"].to_string(), item["block"]["hash"].as_str().unwrap());
    let block = person.answer(&["block", &height]);
    assert_eq!(block["hash"], hash);
    assert_eq!(person.answer(&["block", hash]), block);
    assert_eq!(person.answer(&["block"]), block);
    assert!(block["txs"].as_array().unwrap().contains(&bundle.as_str().into()), "{block}");
    assert!(person.text(&["block", &height]).contains(&bundle));
    assert!(person.text(&["block", "0"]).contains("transactions  none"));
    assert!(person.refused(&["block", "999"], 1).starts_with("error[P0001]"));
    assert!(person.refused(&["block", "latest"], 2).contains("named by its height"));

    let done = person.answer(&["reorganise"]);
    assert_eq!((&done["orphaned"][0], done["dropped"].as_array().unwrap().len()), (&hash.into(), 0));
    assert!(person.text(&["item", &process]).contains("none yet: it waits for one"));
    assert!(person.refused(&["block", hash], 1).starts_with("error[P0001]"));
    assert!(person.refused(&["tx", &bundle], 1).starts_with("error[P0001]"));
    person.text(&["mine"]);
    assert_eq!(person.answer(&["item", &process])["block"]["confirmations"], 1);
    assert!(person.refused(&["reorganise", "1000"], 1).contains("weave.reorganise_max"));
}
