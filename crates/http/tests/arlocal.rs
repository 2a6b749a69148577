//! What arlocal was asked, asked of our own gateway: the same status and the same shape, wherever arlocal was right.
//!
//! Transactions in the recording name blocks of that arlocal, so they are signed again, and ids and hashes are
//! translated. Where we differ on purpose, [`DIFFERENT`] says why.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use common::{Remote, context, remote};
use pirn_http::server;
use pirn_http::wire::transaction::{Number, TransactionShape};
use protocol::{Transaction, Wallet};
use serde_json::Value;
use store::MemoryStore;
use unit::Arweave;
use unit::fakes::FakeClock;

/// Recordings that we answer otherwise: our status, and the reason.
const DIFFERENT: &[(u64, u16, &str)] = &[
    (10, 200, "a wallet without transactions has an empty last_tx, not no answer"),
    (15, 200, "a node says OK, and not the transaction again"),
    (16, 202, "pending is 202"),
    (17, 202, "pending is 202"),
    (23, 200, "a node says what was signed, and nothing of its own database"),
    (41, 200, "format is a field"),
    (45, 200, "there is /raw"),
    (46, 206, "ranges are served"),
    (48, 400, "what cannot be an id is a mistake"),
    (51, 200, "preflights are answered with 200"),
    (54, 400, "a transaction without reward is not accepted"),
    (56, 200, "the transfer of 54 was not accepted"),
    (57, 200, "fees differ"),
    (58, 200, "the transfer of 54 was not accepted"),
    (72, 400, "a node has one status for a transaction that it refuses"),
    (74, 400, "a reward of nothing is not accepted"),
    (77, 400, "a node has one status for a transaction that it refuses"),
    (80, 400, "tags have 2048 bytes at most"),
    (81, 208, "a duplicate is 208"),
    (117, 200, "a node says OK, and not the transaction again"),
    (125, 200, "empty data is data"),
    (130, 200, "the bundle is data, whatever is in it; what is forged in it is left out (tests/weave.rs)"),
    (134, 200, "a node says OK, and not the transaction again"),
    (140, 200, "a node says OK, and not the transaction again"),
    (146, 200, "there is /raw"),
    (151, 200, "there is /block/current"),
    (152, 200, "there is /height, and it is a number"),
    (153, 200, "there is /time, and it is a number"),
    (181, 200, "what is wrong with a cursor is said in our own words"),
    (182, 200, "none is none, not ten"),
    (190, 400, "what is wrong with a query is said in our own words"),
    (191, 200, "the engine lists types of its own, too"),
];

/// Recordings that cannot be asked again, or not as they are.
const LEFT_OUT: &[(u64, u64, &str)] = &[
    (22, 22, "the same request as 21"),
    (24, 27, "offsets count from 1 here, so the chunks are elsewhere (tests/weave.rs)"),
    (40, 40, "offsets count from 1 here"),
    (83, 88, "bodies of chunks are not in the recording (tests/weave.rs)"),
    (90, 108, "as above"),
    (110, 114, "as above"),
    (171, 173, "arlocal ignores bundledIn (tests/weave.rs)"),
];

#[tokio::test]
async fn arlocals_answers_are_ours_wherever_they_are_right() {
    let mut replay = Replay::new().await;
    let mut asked = 0;
    for recording in recordings() {
        let seq = recording["seq"].as_u64().unwrap();
        if LEFT_OUT.iter().any(|(first, last, _)| (*first..=*last).contains(&seq)) {
            continue;
        }
        replay.ask(seq, &recording).await;
        asked += 1;
    }
    assert!(asked > 110, "{asked} recordings");
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testing/vectors/arweave/http")
}

fn recordings() -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files
        .retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(|c: char| c.is_ascii_digit()));
    files.sort();
    files.iter().map(|path| serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()).collect()
}

struct Replay {
    remote: Remote,
    weave: Arc<weave::EmbeddedWeave>,
    wallet: Wallet,
    /// The recording's ids and hashes, and ours.
    names: BTreeMap<String, String>,
}

impl Replay {
    async fn new() -> Replay {
        let ports = weave::Ports {
            store: Arc::new(MemoryStore::new()),
            clock: FakeClock::advancing(1_700_000_000_000, 1),
            events: unit::Events::silent(),
        };
        let options = weave::Options { mining: weave::Mining::Manual, ..weave::Options::default() };
        let weave = weave::EmbeddedWeave::open(ports, options).await.unwrap();
        let options = server::weave::Options { control: true, ..server::weave::Options::default() };
        let remote = remote(server::weave::router(weave.clone(), options, context())).await;
        let wallet = std::fs::read_to_string(folder().join("test-wallet.json")).unwrap();
        let wallet = Wallet::from_jwk(&wallet).unwrap();
        Replay { remote, weave, wallet, names: BTreeMap::new() }
    }

    async fn ask(&mut self, seq: u64, recording: &Value) {
        let label = format!("{seq} {}", recording["label"]);
        let request = &recording["request"];
        let path = self.ours(request["path"].as_str().unwrap());
        let method = request["method"].as_str().unwrap();
        let mut sent =
            reqwest::Client::new().request(method.parse().unwrap(), format!("{}{path}", self.remote.url));
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            sent = sent.header(name, value.as_str().unwrap());
        }
        if let Some(body) = request["body"]["text"].as_str() {
            let body = match serde_json::from_str::<TransactionShape>(body) {
                Ok(shape) => self.sign_again(&label, shape).await,
                Err(_) => self.ours(body),
            };
            sent = sent.header("content-type", "application/json").body(body);
        }
        let response = sent.send().await.unwrap();
        let status = response.status().as_u16();
        let said = response.text().await.unwrap();

        let recorded = &recording["response"];
        let different = DIFFERENT.iter().find(|(other, ..)| *other == seq);
        let expected =
            different.map_or(recorded["status"].as_u64().unwrap(), |(_, status, _)| (*status).into());
        assert_eq!(u64::from(status), expected, "{label}: {said}");
        let expected = &recorded["body"];
        if different.is_none() && status < 300 && method != "HEAD" {
            self.compare(&label, expected, &said);
        }
        self.learn(expected, &said);
    }

    /// The same transaction for our weave: its anchor and price, and whatever was wrong with it.
    async fn sign_again(&mut self, label: &str, shape: TransactionShape) -> String {
        if let Some(same) = self.names.get(&format!("posted {}", shape.id)) {
            return same.clone();
        }
        let is_wrong = |what: &str| label.contains(what);
        let mut tx: Transaction = shape.clone().read().unwrap();
        let recorded = tx.id.to_string();
        if !is_wrong("bad anchor") {
            tx.last_tx = self.weave.anchor().await.unwrap().0.to_vec().into();
        }
        if tx.reward > 0 {
            tx.reward = self.weave.price(tx.data_size, None).await.unwrap();
        }
        if let Ok(text) = std::str::from_utf8(&tx.data) {
            tx.data = self.ours(text).into();
        }
        let wallet = if is_wrong("no funds") {
            Wallet::from_jwk(include_str!("../../node/accounts/rsa-9.json")).unwrap()
        } else {
            self.wallet.clone()
        };
        let honest = tx.data.clone();
        tx = tx.sign(&wallet).unwrap();
        if is_wrong("tampered sig") {
            let mut signature = tx.signature.to_vec();
            signature[100] ^= 1;
            tx.signature = signature.into();
            if is_wrong("recomputed id") {
                tx.id = protocol::Id::of_signature(&tx.signature);
            }
        }
        if is_wrong("tampered data") {
            tx.data = [&honest[1..], b"!"].concat().into();
        }
        self.names.insert(recorded.clone(), tx.id.to_string());
        let mut shape = TransactionShape::from(&tx);
        shape.data_size = Number(tx.data_size.into());
        let body = serde_json::to_string(&shape).unwrap();
        self.names.insert(format!("posted {recorded}"), body.clone());
        body
    }

    /// Text with our names in place of the recording's.
    fn ours(&self, text: &str) -> String {
        let names = self.names.iter().filter(|(theirs, _)| !theirs.contains(' '));
        names.fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    }

    /// Notes which of our blocks and cursors stands where the recording's did.
    fn learn(&mut self, theirs: &Value, ours: &str) {
        let Ok(ours) = serde_json::from_str::<Value>(ours) else { return };
        let named = ["current", "indep_hash", "block_indep_hash", "previous_block", "cursor"];
        let mut pairs = vec![(&theirs["json"], &ours)];
        while let Some((theirs, ours)) = pairs.pop() {
            match (theirs, ours) {
                (Value::Object(a), Value::Object(b)) => {
                    for (key, a) in a {
                        let Some(b) = b.get(key) else { continue };
                        if let (true, Some(a), Some(b)) =
                            (named.contains(&key.as_str()), a.as_str(), b.as_str())
                        {
                            self.names.insert(a.to_owned(), b.to_owned());
                        }
                        pairs.push((a, b));
                    }
                }
                (Value::Array(a), Value::Array(b)) => pairs.extend(a.iter().zip(b)),
                _ => {}
            }
        }
    }

    fn compare(&self, label: &str, recorded: &Value, said: &str) {
        if let Some(text) = recorded["text"].as_str() {
            let is_name = text.len() == 64 || text.len() == 43 || text.len() > 500;
            if !is_name {
                assert_eq!(self.ours(text), said, "{label}");
            }
            return;
        }
        let Some(json) = recorded.get("json") else { return };
        let ours: Value = serde_json::from_str(said).unwrap_or_else(|_| panic!("{label}: {said}"));
        check_shape(label, json, &ours);
        let (theirs, our_ids) = (node_ids(json), node_ids(&ours));
        // The order within a block, and what was left out above, are not the recording's.
        if label.contains("gql tag eq") || label.contains("gql tags") || label.contains("duplicate name") {
            let theirs: BTreeSet<_> = theirs.iter().map(|id| self.ours(id)).collect();
            assert_eq!(theirs, our_ids.into_iter().collect(), "{label}");
        }
    }
}

fn node_ids(answer: &Value) -> Vec<String> {
    let edges = answer["data"]["transactions"]["edges"].as_array().into_iter().flatten();
    edges.filter_map(|edge| Some(edge["node"]["id"].as_str()?.to_owned())).collect()
}

/// Everything that the recording has, ours has, and of the same kind. Null and empty lists say nothing about kinds.
#[track_caller]
fn check_shape(at: &str, theirs: &Value, ours: &Value) {
    match (theirs, ours) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(theirs), Value::Object(ours)) => {
            for (key, value) in theirs {
                let there = ours.get(key).unwrap_or_else(|| panic!("{at}.{key} is missing"));
                check_shape(&format!("{at}.{key}"), value, there);
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            if let (Some(theirs), Some(ours)) = (theirs.first(), ours.first()) {
                check_shape(&format!("{at}[0]"), theirs, ours);
            }
        }
        (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_))
        | (Value::Bool(_), Value::Bool(_)) => {}
        _ => panic!("{at} is {ours}, and not as {theirs}"),
    }
}
