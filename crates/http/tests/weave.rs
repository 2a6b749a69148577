//! A weave behind HTTP is a weave, and its gateway does right what arlocal does wrong.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Remote, ask, context, remote, running, transport};
use pirn_http::client::{Gateway, GatewayOptions};
use pirn_http::server;
use pirn_http::wire::transaction::TransactionShape;
use protocol::id::base64url;
use protocol::{DataItem, Draft, Id, Tags, Transaction, Wallet, ans104, merkle};
use serde_json::{Value, json};
use store::MemoryStore;
use unit::fakes::FakeClock;
use unit::suite::WeaveGround;
use unit::{Arweave, Weave};
use weave::EmbeddedWeave;

async fn embedded() -> Arc<EmbeddedWeave> {
    let clock = FakeClock::advancing(1_700_000_000_000, 1);
    let ports = weave::Ports { store: Arc::new(MemoryStore::new()), clock, events: unit::Events::silent() };
    let options = weave::Options { mining: weave::Mining::Manual, ..weave::Options::default() };
    EmbeddedWeave::open(ports, options).await.unwrap()
}

fn gateway(weave: &Arc<EmbeddedWeave>) -> axum::Router {
    let options = server::weave::Options { control: true, piece_bytes: 100_000, ..Default::default() };
    server::weave::router(weave.clone(), options, context())
}

async fn world() -> (Remote, Arc<EmbeddedWeave>) {
    let weave = embedded().await;
    (remote(gateway(&weave)).await, weave)
}

async fn far() -> WeaveGround {
    let node = embedded().await;
    let options = GatewayOptions {
        gateway: running(gateway(&node)).await,
        uploader: running(server::bundler::router(node.clone(), Default::default(), context())).await,
        tip_ms: 0,
        ..GatewayOptions::default()
    };
    WeaveGround { weave: Arc::new(Gateway::new(options, transport())), node }
}

#[tokio::test]
async fn an_embedded_weave_is_a_weave() {
    unit::suite::weave(async || {
        let node = embedded().await;
        WeaveGround { weave: node.clone(), node }
    })
    .await;
}

#[tokio::test]
async fn a_weave_behind_http_is_a_weave() {
    unit::suite::weave(far).await;
}

#[tokio::test]
async fn a_gateway_that_gives_other_data_than_was_signed_is_not_believed() {
    let ground = far().await;
    let item = item(1, &[("A", "b")], "honest");
    ground.weave.upload(item.clone()).await.unwrap();
    let liar = axum::Router::new()
        .route("/raw/{id}", axum::routing::get(|| async { "forged" }))
        .fallback_service(server::weave::router(ground.node, Default::default(), context()));
    let options = GatewayOptions { gateway: running(liar).await, ..GatewayOptions::default() };
    let lied_to = Gateway::new(options.clone(), transport());
    assert!(lied_to.get(item.id).await.unwrap_err().what.contains("is not what was signed"));
    let trusting = Gateway::new(GatewayOptions { verify: false, ..options }, transport());
    assert_eq!(trusting.get(item.id).await.unwrap().item.data, "forged");
}

#[tokio::test]
async fn a_transaction_is_read_and_checked_through_a_gateway() {
    let ground = far().await;
    let tx = draft(&*ground.node, "of the base layer").await.sign(&rich(&*ground.node).await).unwrap();
    ground.node.post_transaction(tx.clone()).await.unwrap();
    for _ in 0..2 {
        let found = ground.weave.get(tx.id).await.unwrap();
        assert_eq!((&found.item.data[..], found.base_layer), (&b"of the base layer"[..], true));
        ground.node.mine(1).await.unwrap();
    }
}

#[tokio::test]
async fn data_is_read_piece_by_piece_and_headers_as_they_were_signed() {
    let ground = far().await;
    let data: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    let wallet = rich(&*ground.node).await;
    let tx = draft(&*ground.node, data.clone()).await.sign(&wallet).unwrap();
    ground.node.post_transaction(tx.clone()).await.unwrap();
    ground.node.mine(1).await.unwrap();
    for at in [0, 262_143, 262_144, 699_999] {
        let piece = ground.weave.piece(tx.id, at).await.unwrap();
        let end = piece.start + piece.bytes.len() as u64;
        assert!((piece.start..end).contains(&at) && piece.bytes.len() < 400_000, "{at}");
        assert_eq!((piece.total, &piece.bytes[..]), (700_000, &data[piece.start as usize..end as usize]));
    }
    assert!(ground.weave.piece(tx.id, 700_000).await.unwrap().bytes.is_empty());
    let header: Value = serde_json::from_slice(&ground.weave.transaction_json(tx.id).await.unwrap()).unwrap();
    assert_eq!(header["ownerAddress"], wallet.address().to_string());
    let block: Value =
        serde_json::from_slice(&ground.weave.block_json(protocol::Height(1)).await.unwrap()).unwrap();
    assert_eq!(block["height"], 1);
}

#[tokio::test]
async fn data_that_lies_elsewhere_since_blocks_were_replaced_is_found_again() {
    let ground = far().await;
    let (node, wallet) = (&*ground.node, rich(&*ground.node).await);
    // The first one is forgotten with the block that it names, and the second moves to its place.
    let tip = node.mine(1).await.unwrap().hash;
    let first = draft(node, vec![1; 600_000]).await;
    let first = Transaction { last_tx: Bytes::copy_from_slice(&tip.0), ..first }.sign(&wallet).unwrap();
    let second = draft(node, vec![2; 600_000]).await.sign(&wallet).unwrap();
    for tx in [&first, &second] {
        node.post_transaction(tx.clone()).await.unwrap();
    }
    node.mine(1).await.unwrap();
    let before = node.offset(second.id).await.unwrap();
    assert_eq!(ground.weave.piece(second.id, 5).await.unwrap().bytes[0], 2);
    assert_eq!(node.reorganise(2).await.unwrap().dropped, [first.id]);
    node.mine(1).await.unwrap();
    assert_ne!(node.offset(second.id).await.unwrap(), before);
    assert_eq!(ground.weave.piece(second.id, 5).await.unwrap().bytes[0], 2);
}

/// Changes one letter of every chunk that is told.
async fn forging(request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
    let is_chunk = request.uri().path().starts_with("/chunk/");
    let answer = next.run(request).await;
    if !is_chunk {
        return answer;
    }
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    let mut shape: Value = serde_json::from_slice(&body).unwrap();
    let chunk = shape["chunk"].as_str().unwrap();
    let first = if chunk.starts_with('A') { "B" } else { "A" };
    shape["chunk"] = format!("{first}{}", &chunk[1..]).into();
    axum::response::IntoResponse::into_response(shape.to_string())
}

#[tokio::test]
async fn a_chunk_that_was_not_signed_is_not_read() {
    let node = embedded().await;
    let router = gateway(&node).layer(axum::middleware::from_fn(forging));
    let options = GatewayOptions { gateway: running(router).await, tip_ms: 0, ..GatewayOptions::default() };
    let weave = Gateway::new(options, transport());
    let tx = draft(&*node, vec![7; 600_000]).await.sign(&rich(&*node).await).unwrap();
    node.post_transaction(tx.clone()).await.unwrap();
    node.mine(1).await.unwrap();
    let error = weave.piece(tx.id, 5).await.unwrap_err();
    assert_eq!((error.kind, error.code), (unit::Kind::Unavailable, unit::Code::NOT_AS_SIGNED));
}

fn item(seed: u8, tags: &[(&str, &str)], data: impl Into<Bytes>) -> DataItem {
    let tags: Tags = tags.iter().copied().collect();
    let draft = Draft { tags, anchor: Some([seed; 32]), data: data.into(), ..Draft::default() };
    DataItem::sign(&Wallet::ed25519_from_seed([seed; 32]), draft).unwrap()
}

async fn rich(weave: &dyn Arweave) -> Wallet {
    let wallet = Wallet::from_jwk(include_str!("../../node/accounts/rsa-0.json")).unwrap();
    weave.mint(wallet.address(), 1_000_000_000_000_000).await.unwrap();
    wallet
}

async fn draft(weave: &dyn Arweave, data: impl Into<Bytes>) -> Transaction {
    let data = data.into();
    Transaction {
        last_tx: Bytes::copy_from_slice(&weave.anchor().await.unwrap().0),
        reward: weave.price(data.len() as u64, None).await.unwrap(),
        data,
        ..Transaction::default()
    }
}

fn tags(tags: &[(&str, &str)]) -> Vec<(Bytes, Bytes)> {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    tags.iter().map(|(name, value)| (bytes(name), bytes(value))).collect()
}

async fn post(remote: &Remote, tx: &Transaction) -> (u16, String) {
    let body = serde_json::to_string(&TransactionShape::from(tx)).unwrap();
    ask(remote, "POST /tx", "application/json", body).await
}

async fn graphql(remote: &Remote, query: &str) -> Value {
    let body = json!({ "query": query }).to_string();
    let (_, text) = ask(remote, "POST /graphql", "application/json", body).await;
    serde_json::from_str(&text).unwrap()
}

async fn get(remote: &Remote, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let mut request = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
        .get(format!("{}{path}", remote.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn pending_is_202_and_a_duplicate_is_208() {
    let (remote, weave) = world().await;
    let tx = draft(&*weave, "hello").await.sign(&rich(&*weave).await).unwrap();
    assert_eq!(post(&remote, &tx).await, (200, "OK".to_owned()));
    assert_eq!(post(&remote, &tx).await, (208, "Transaction already processed.".to_owned()));
    for path in ["", "/status", "/data", "/offset"] {
        let answer = ask(&remote, &format!("GET /tx/{}{path}", tx.id), "", "").await;
        assert_eq!(answer, (202, "Pending".to_owned()), "{path}");
    }
    weave.mine(1).await.unwrap();
    assert_eq!(post(&remote, &tx).await.0, 208);
    let (status, text) = ask(&remote, &format!("GET /tx/{}/status", tx.id), "", "").await;
    let said: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (status, &said["block_height"], &said["number_of_confirmations"]),
        (200, &json!(1), &json!(1))
    );
}

#[tokio::test]
async fn a_reward_of_nothing_is_refused_with_a_reason() {
    let (remote, weave) = world().await;
    let tx = Transaction { reward: 0, ..draft(&*weave, "x").await }.sign(&rich(&*weave).await).unwrap();
    let (status, text) = post(&remote, &tx).await;
    assert_eq!(status, 400);
    assert!(
        text.starts_with("Transaction verification failed.") && text.contains("less than the price"),
        "{text}"
    );
}

#[tokio::test]
async fn a_forged_item_of_a_posted_bundle_is_neither_indexed_nor_served() {
    let (remote, weave) = world().await;
    let honest = item(1, &[("Unit", "honest")], "honest payload");
    let mut bytes = item(2, &[("Unit", "forged")], "honest payload").bytes().to_vec();
    *bytes.last_mut().unwrap() = b'D';
    let forged = DataItem::parse(bytes.into()).unwrap();
    let data = ans104::bundle(&[forged.clone(), honest.clone()]);
    let bundle = [("Bundle-Format", "binary"), ("Bundle-Version", "2.0.0")];
    let tx = Transaction { tags: tags(&bundle), ..draft(&*weave, data).await };
    let tx = tx.sign(&rich(&*weave).await).unwrap();
    assert_eq!(post(&remote, &tx).await.0, 200);
    for path in [format!("/{}", forged.id), format!("/raw/{}", forged.id)] {
        assert_eq!(ask(&remote, &format!("GET {path}"), "", "").await.0, 404);
    }
    assert_eq!(
        ask(&remote, &format!("GET /{}", honest.id), "", "").await,
        (200, "honest payload".to_owned())
    );
    let query =
        format!(r#"{{transactions(bundledIn: ["{}"]) {{edges {{node {{id bundledIn {{id}}}}}}}}}}"#, tx.id);
    let expected = json!([{"node": {"id": honest.id, "bundledIn": {"id": tx.id}}}]);
    assert_eq!(graphql(&remote, &query).await["data"]["transactions"]["edges"], expected);
    // Item ids are no transactions.
    assert_eq!(ask(&remote, &format!("GET /tx/{}", honest.id), "", "").await.0, 404);
}

#[tokio::test]
async fn graphql_tells_enough_to_verify_an_item() {
    let (remote, weave) = world().await;
    let item = item(1, &[("Content-Type", "text/plain"), ("Ünit", "✓")], "kept whole");
    weave.upload(item.clone()).await.unwrap();
    let query = "{id anchor signature recipient owner {address key} fee {winston ar} quantity {winston ar} \
        data {size type} tags {name value} block {id timestamp height previous} parent {id} bundledIn {id}}";
    let query = format!(r#"{{transaction(id: "{}") {query}}}"#, item.id);
    let nothing = json!({"winston": "0", "ar": "0.000000000000"});
    let expected = json!({
        "id": item.id,
        "anchor": base64url(&item.anchor),
        "signature": base64url(&item.signature),
        "recipient": "",
        "owner": {"address": item.address(), "key": base64url(&item.owner)},
        "fee": nothing,
        "quantity": nothing,
        "data": {"size": "10", "type": "text/plain"},
        "tags": [{"name": "Content-Type", "value": "text/plain"}, {"name": "Ünit", "value": "✓"}],
        "block": null,
        "parent": null,
        "bundledIn": null,
    });
    assert_eq!(graphql(&remote, &query).await["data"]["transaction"], expected);
    weave.mine(1).await.unwrap();
    let mined = &graphql(&remote, &query).await["data"]["transaction"];
    let head = weave.entry(item.id).await.unwrap().block.unwrap();
    assert_eq!(mined["block"]["id"], json!(head.hash.to_string()));
    assert_eq!(mined["block"]["timestamp"], json!(head.timestamp.0 / 1000));
    assert_eq!(mined["parent"], mined["bundledIn"]);
}

#[tokio::test]
async fn graphql_takes_what_clients_send() {
    let (remote, weave) = world().await;
    for i in 0..3 {
        weave.upload(item(1, &[("Type", "Message"), ("N", &i.to_string())], format!("{i}"))).await.unwrap();
    }
    let owner = item(1, &[], "").address();
    // An empty owner beside another, as the aos command line has it; commas missing; a directive; variables.
    let body = json!({
        "operationName": "Find",
        "query": r#"query Find($owners: [String!]!, $skip: Boolean!, $after: String) {
            transactions(first: 2 owners: $owners tags: [{name: "Type" values: ["Message" "Other"]}] after: $after) {
                pageInfo { hasNextPage } edges { cursor node { id @skip(if: $skip) tags { name value } } } } }"#,
        "variables": {"owners": [owner, ""], "skip": true, "after": null},
    });
    let (status, text) = ask(&remote, "POST /graphql", "application/json", body.to_string()).await;
    let said: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, 200);
    let page = &said["data"]["transactions"];
    assert_eq!(page["pageInfo"]["hasNextPage"], true);
    assert_eq!(
        page["edges"][0]["node"],
        json!({"tags": [{"name": "Type", "value": "Message"}, {"name": "N", "value": "2"}]})
    );

    let (_, text) =
        ask(&remote, "GET /graphql?query=%7Bblocks%7Bedges%7Bnode%7Bheight%7D%7D%7D%7D", "", "").await;
    assert_eq!(text, r#"{"data":{"blocks":{"edges":[{"node":{"height":0}}]}}}"#);
    let nothing = graphql(&remote, r#"{transactions(owners: [""]) {edges {node {id}}}}"#).await;
    assert_eq!(nothing["data"]["transactions"]["edges"], json!([]));
    let exact = r#"{transactions(tags: [{name: "N", values: ["1"], match: EXACT}]) {edges {node {id}}}}"#;
    assert_eq!(graphql(&remote, exact).await["data"]["transactions"]["edges"].as_array().unwrap().len(), 1);
    let wild = r#"{transactions(tags: [{name: "N", values: ["*"], match: WILDCARD},
        {name: "Type", values: ["Mess*e"], match: WILDCARD}, {name: "N", values: ["1"]}]) {edges {node {id}}}}"#;
    assert_eq!(graphql(&remote, wild).await, graphql(&remote, exact).await);
    for title in ["Notes on permanent storage", "Notes on cats"] {
        weave.upload(item(1, &[("Title", title)], "")).await.unwrap();
    }
    for (filter, n) in [
        (r#"values: ["storage", "permanant"], match: FUZZY_AND"#, 1),
        (r#"values: ["storage cats"], match: FUZZY_AND"#, 0),
        (r#"values: ["STORAGE cat"], match: FUZZY_OR"#, 2),
        (r#"values: ["dogs"], match: FUZZY_OR, op: NEQ"#, 5),
        (r#"values: [" - "], match: FUZZY_OR"#, 0),
        (r#"values: [], match: FUZZY_AND"#, 0),
    ] {
        let query =
            format!(r#"{{transactions(tags: [{{name: "Title", {filter}}}]) {{edges {{node {{id}}}}}}}}"#);
        let said = graphql(&remote, &query).await;
        assert_eq!(
            said["data"]["transactions"]["edges"].as_array().map(Vec::len),
            Some(n),
            "{filter}: {said}"
        );
    }
}

#[tokio::test]
async fn graphql_refuses_what_is_wrong_or_too_much() {
    let (remote, _) = world().await;
    let check = async |query: &str, expected: &str| {
        let said = graphql(&remote, query).await;
        let message = said["errors"][0]["message"].as_str().unwrap_or_else(|| panic!("{query}: {said}"));
        assert!(message.contains(expected), "{query}: {message}");
    };
    check("{", "expected").await;
    check("{nope}", "nope").await;
    check(r#"{transactions(after: "garbage") {edges {cursor}}}"#, "invalid cursor").await;
    check(r#"{blocks(after: "garbage") {edges {cursor}}}"#, "invalid cursor").await;
    check("{transactions(first: -1) {edges {cursor}}}", "negative").await;
    check("{transactions(block: {min: -1}) {edges {cursor}}}", "negative").await;
    let words: String = (0..5000).map(|n| format!("word{n} ")).collect();
    let query = format!(
        r#"{{transactions(tags: [{{name: "a", values: ["{words}"], match: FUZZY_OR}}]) {{edges {{cursor}}}}}}"#
    );
    check(&query, "things").await;
    let many: String = (0..100).map(|i| format!("a{i}: transactions {{edges {{cursor}}}} ")).collect();
    check(&format!("{{{many}}}"), "complex").await;
    let deep = format!(
        "{}{}",
        "{__schema {types {fields {type ".to_owned() + &"{ofType ".repeat(20),
        "{name}".to_owned() + &"}".repeat(24)
    );
    check(&deep, "deep").await;
    for body in ["", "[", "{}", "\"\"", "\u{0}"] {
        assert_eq!(ask(&remote, "POST /graphql", "application/json", body).await.0, 400, "{body:?}");
    }
    assert_eq!(ask(&remote, "GET /graphql", "", "").await.0, 400);
}

#[tokio::test]
async fn ranges_etags_and_heads_are_served() {
    let (remote, weave) = world().await;
    let data: Vec<u8> = (0..250_000u32).map(|i| (i % 251) as u8).collect();
    let item = item(1, &[("Content-Type", "application/wasm")], data.clone());
    weave.upload(item.clone()).await.unwrap();
    for path in [format!("/{}", item.id), format!("/raw/{}", item.id)] {
        let whole = get(&remote, &path, &[]).await;
        let header = |response: &reqwest::Response, name: &str| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        assert_eq!(header(&whole, "content-type"), "application/wasm");
        assert_eq!(header(&whole, "content-length"), "250000");
        assert_eq!(header(&whole, "accept-ranges"), "bytes");
        assert_eq!(header(&whole, "access-control-allow-origin"), "*");
        let etag = header(&whole, "etag");
        assert!(whole.bytes().await.unwrap() == data);

        let head = reqwest::Client::new().head(format!("{}{path}", remote.url)).send().await.unwrap();
        assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, "250000".to_owned()));

        let part = get(&remote, &path, &[("range", "bytes=1000-149999")]).await;
        assert_eq!(part.status(), 206);
        assert_eq!(header(&part, "content-range"), "bytes 1000-149999/250000");
        assert!(part.bytes().await.unwrap() == data[1000..150_000]);
        let beyond = get(&remote, &path, &[("range", "bytes=250000-")]).await;
        assert_eq!(
            (beyond.status().as_u16(), header(&beyond, "content-range")),
            (416, "bytes */250000".to_owned())
        );
        assert_eq!(get(&remote, &path, &[("if-none-match", &etag)]).await.status(), 304);
        let changed = get(&remote, &path, &[("range", "bytes=0-1"), ("if-range", "\"other\"")]).await;
        assert_eq!(changed.status(), 200);
    }
}

#[tokio::test]
async fn empty_data_is_200_with_no_bytes() {
    let (remote, weave) = world().await;
    let item = item(1, &[], "");
    weave.upload(item.clone()).await.unwrap();
    let response = get(&remote, &format!("/{}", item.id), &[]).await;
    assert_eq!(
        (response.status().as_u16(), response.headers()["content-length"].to_str().unwrap()),
        (200, "0")
    );
}

#[tokio::test]
async fn a_manifest_leads_to_its_paths_its_index_and_its_fallback() {
    let (remote, weave) = world().await;
    let page = item(1, &[("Content-Type", "text/html")], "<h1>home</h1>");
    let script = item(1, &[("Content-Type", "text/javascript")], "run()");
    let lost = item(1, &[("Content-Type", "text/html")], "lost");
    let manifest = json!({
        "manifest": "arweave/paths", "version": "0.2.0", "index": {"path": "index.html"}, "fallback": {"id": lost.id},
        "paths": {"index.html": {"id": page.id}, "js/app.js": {"id": script.id}},
    });
    let site = item(1, &[("Content-Type", "application/x.arweave-manifest+json")], manifest.to_string());
    for item in [&page, &script, &lost, &site] {
        weave.upload(item.clone()).await.unwrap();
    }
    let text = async |path: &str| ask(&remote, &format!("GET /{path}"), "", "").await;
    assert_eq!(text(&format!("{}", site.id)).await, (200, "<h1>home</h1>".to_owned()));
    assert_eq!(text(&format!("{}/", site.id)).await, (200, "<h1>home</h1>".to_owned()));
    assert_eq!(text(&format!("{}/js/app.js", site.id)).await, (200, "run()".to_owned()));
    assert_eq!(text(&format!("{}/nowhere", site.id)).await, (200, "lost".to_owned()));
    assert_eq!(text(&format!("raw/{}", site.id)).await, (200, manifest.to_string()));
    assert_eq!(text(&format!("{}/js/app.js", page.id)).await.0, 404);
    let browser = get(&remote, &format!("/{}", site.id), &[("accept", "text/html,*/*")]).await;
    assert_eq!(browser.status(), 301);
    assert_eq!(browser.headers()["location"], format!("/{}/", site.id));
}

#[tokio::test]
async fn chunks_are_checked_and_any_byte_finds_its_chunk() {
    let (remote, weave) = world().await;
    // Three equal chunks, of which arlocal keeps one.
    let data = Bytes::from(vec![0; 786_432]);
    let signed = draft(&*weave, data.clone()).await.sign(&rich(&*weave).await).unwrap();
    let tx = Transaction { data: Bytes::new(), ..signed };
    assert_eq!(post(&remote, &tx).await.0, 200);
    let ranges = merkle::cut(data.len() as u64);
    let tree = merkle::tree(&merkle::leaves(&data, &ranges));
    let chunk = |i: usize, bytes: &[u8]| {
        json!({
            "data_root": base64url(tree.root), "data_size": "786432", "data_path": base64url(&tree.proofs[i]),
            "offset": (ranges[i].end - 1).to_string(), "chunk": base64url(bytes),
        })
    };
    let mut wrong = vec![0; 262_144];
    wrong[7] = 1;
    let (status, text) = ask(&remote, "POST /chunk", "application/json", chunk(0, &wrong).to_string()).await;
    let said: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &said["error"]), (400, &json!("invalid_proof")));
    for i in 0..3 {
        let (status, _) =
            ask(&remote, "POST /chunk", "application/json", chunk(i, &data[..262_144]).to_string()).await;
        assert_eq!(status, 200);
    }
    weave.mine(1).await.unwrap();
    let response = get(&remote, &format!("/{}", tx.id), &[]).await;
    assert!(response.bytes().await.unwrap() == data);
    let (_, text) = ask(&remote, &format!("GET /tx/{}/offset", tx.id), "", "").await;
    assert_eq!(text, r#"{"offset":"786432","size":"786432"}"#);
    for offset in [1, 5, 262_144, 262_145, 786_432] {
        let (status, text) = ask(&remote, &format!("GET /chunk/{offset}"), "", "").await;
        let said: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, said["chunk"].as_str().unwrap().len()), (200, 349_526), "{offset}");
    }
    assert_eq!(ask(&remote, "GET /chunk/786433", "", "").await.0, 404);
    assert_eq!(ask(&remote, "GET /chunk/x", "", "").await.0, 400);
}

#[tokio::test]
async fn the_bundler_takes_items_and_gives_signed_receipts() {
    let weave = embedded().await;
    let options = server::bundler::Options { item_bytes_max: 2000, ..Default::default() };
    let bundler = remote(server::bundler::router(weave.clone(), options, context())).await;
    for path in ["/tx", "/tx/arweave", "/v1/tx", "/v1/tx/solana"] {
        let item = item(1, &[], path.to_owned());
        let kind = "application/octet-stream";
        let (status, text) = ask(&bundler, &format!("POST {path}"), kind, item.bytes().clone()).await;
        let receipt: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &receipt["id"]), (200, &json!(item.id)));
        for field in ["timestamp", "winc", "version", "deadlineHeight", "public", "signature", "owner"] {
            assert!(!receipt[field].is_null(), "{field}");
        }
        let again = ask(&bundler, &format!("POST {path}"), kind, item.bytes().clone()).await;
        assert_eq!(again, (200, text), "the same item has the same receipt");
        let (_, text) = ask(&bundler, &format!("GET /tx/{}/status", item.id), "", "").await;
        assert!(text.contains("CONFIRMED"), "{text}");
    }
    let mut forged = item(1, &[], "honest").bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(ask(&bundler, "POST /tx", "", forged).await.0, 400);
    for garbage in [&b""[..], b"{}", &[0xff; 1500]] {
        assert_eq!(ask(&bundler, "POST /tx", "", garbage).await.0, 400);
    }
    assert_eq!(ask(&bundler, "POST /tx", "", vec![0; 2001]).await.0, 413);
    assert_eq!(ask(&bundler, &format!("GET /tx/{}/status", Id([0; 32])), "", "").await.0, 404);
}

#[tokio::test]
async fn a_gateway_takes_items_from_clients_that_know_no_bundler() {
    let (remote, weave) = world().await;
    for path in ["/tx", "/tx/arweave"] {
        let item = item(1, &[], path.to_owned());
        let kind = "application/octet-stream";
        assert_eq!(ask(&remote, &format!("POST {path}"), kind, item.bytes().clone()).await.0, 200);
        weave.get(item.id).await.unwrap();
    }
}

#[tokio::test]
async fn mining_minting_and_resetting_are_for_development_only() {
    let weave = embedded().await;
    let closed = remote(server::weave::router(weave.clone(), Default::default(), context())).await;
    let address = Id([7; 32]);
    for path in ["/mine", "/mine/3", "/reset", &format!("/mint/{address}/5")] {
        assert_eq!(ask(&closed, &format!("GET {path}"), "", "").await.0, 404, "{path}");
    }
    let open = remote(gateway(&weave)).await;
    let (_, text) = ask(&open, "GET /mine/3", "", "").await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["height"], json!(3));
    let most = 10u128.pow(20);
    assert_eq!(ask(&open, &format!("GET /mint/{address}/{most}"), "", "").await, (200, most.to_string()));
    assert_eq!(ask(&open, &format!("GET /wallet/{address}/balance"), "", "").await, (200, most.to_string()));
    assert_eq!(ask(&open, "GET /mine/1000000", "", "").await.0, 400);
    assert_eq!(ask(&open, "GET /reset", "", "").await.0, 200);
    assert_eq!(ask(&open, "GET /height", "", "").await, (200, "0".to_owned()));
}

#[tokio::test]
async fn garbage_is_a_mistake_of_the_client_and_nothing_worse() {
    let (remote, _) = world().await;
    let long = "A".repeat(5000);
    let paths = [
        "/tx/short",
        "/tx/short/status",
        "/price/x",
        "/price/5/x",
        "/wallet/x/balance",
        "/wallet/x/last_tx",
        "/block/height/x",
        "/block/hash/x",
        "/block/height/99",
        "/%00",
        "/%ff%fe/x",
        "/raw/..%2f..",
        "/tx/%20/data",
        "/price/99999999999999999999999999",
        "/mint/x/5",
        "/mine/x",
        "/chunk/-1",
        &format!("/{long}"),
    ];
    for path in paths {
        let (status, text) = ask(&remote, &format!("GET {path}"), "", "").await;
        assert!((400..500).contains(&status), "{path}: {status} {text}");
    }
    for body in ["", "null", "[]", "{}", "{\"format\":2}", "{\"format\":300}", "\u{0}"] {
        for path in ["/tx", "/chunk"] {
            let (status, text) = ask(&remote, &format!("POST {path}"), "application/json", body).await;
            assert_eq!(status, 400, "{path} {body:?}: {text}");
        }
    }
}
