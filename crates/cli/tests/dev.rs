//! `pirn dev`: starts, says where it is, refuses what is taken, and leaves nothing behind.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use expect_test::{Expect, expect};
use serde_json::Value;

fn pirn(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pirn"));
    command.args(arguments).env_remove("PIRN_WALLET").env("NO_COLOR", "1");
    // The networks of tests are no business of who runs them.
    command
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .env("XDG_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// A network that is ready.
struct Network {
    child: Child,
    facts: Value,
}

impl Network {
    fn start(arguments: &[&str], temporary: &Path) -> Network {
        Network::run("dev", arguments, temporary)
    }

    fn run(command: &str, arguments: &[&str], temporary: &Path) -> Network {
        let mut command = pirn(&[&[command, "--port", "0", "--json"], arguments].concat());
        let mut child =
            command.env("TMPDIR", temporary).current_dir(temporary).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Network { child, facts: serde_json::from_str(&line).unwrap() }
    }

    fn url(&self, part: &str) -> &str {
        self.facts["urls"][part].as_str().unwrap()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The answer to a GET, status line and headers included.
fn get(url: &str) -> String {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The answer to a POST of JSON.
fn post(url: &str, body: &str) -> String {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[track_caller]
fn check(folder: &Path, arguments: &[&str], code: i32, expect: Expect) {
    let output: Output = pirn(arguments).current_dir(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "stdout is for answers");
    expect.assert_eq(&String::from_utf8_lossy(&output.stderr).replace(folder.to_str().unwrap(), "FOLDER"));
}

#[test]
fn every_unit_answers_when_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&[], folder.path());
    for part in ["gateway", "bundler", "mu", "su", "cu"] {
        let answer = get(&format!("{}/info", network.url(part)));
        assert!(answer.starts_with("HTTP/1.1 200"), "{part}: {answer}");
        let metrics = get(&format!("{}/metrics", network.url(part)));
        assert!(metrics.contains("pirn_resident_bytes"), "{part}: {metrics}");
    }
    assert_eq!(network.facts["authority"], network.facts["addresses"]["mu"]);
    assert_eq!(network.facts["accounts"].as_array().unwrap().len(), 20);
    let ada = network.facts["accounts"][0]["address"].as_str().unwrap();
    let balance = get(&format!("{}/wallet/{ada}/balance", network.url("gateway")));
    assert!(balance.ends_with("1000000000000000"), "{balance}");
}

#[track_caller]
fn check_that_nothing_is_left(signal: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut network = Network::start(&[], folder.path());
    let address = network.url("su").strip_prefix("http://").unwrap().to_owned();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the temporary state");
    network.signal(signal);
    assert!(network.child.wait().unwrap().success());
    assert!(TcpStream::connect(address).is_err(), "the port is free");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left on the disk");
}

#[test]
fn ctrl_c_leaves_no_process_no_port_and_no_file() {
    check_that_nothing_is_left("-INT");
}

#[test]
fn sigterm_leaves_no_process_no_port_and_no_file() {
    check_that_nothing_is_left("-TERM");
}

#[test]
fn a_port_that_is_taken_is_named_with_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let base = port.to_string();
    let output = pirn(&["dev", "--port", &base]).env("TMPDIR", folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with(&format!("error[P0030]: port {port} for the gateway is taken by ")), "{said}");
    assert!(said.contains(&format!("(pid {})", std::process::id())), "{said}");
    assert!(said.contains("hint: "), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was begun");
}

#[test]
fn a_kept_network_is_the_same_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("net");
    let arguments = ["--state", state.to_str().unwrap()];
    let mut first = Network::start(&arguments, folder.path());
    let addresses = first.facts["addresses"].clone();
    let in_use = pirn(&["dev", "--port", "0", "--state", state.to_str().unwrap()]).output().unwrap();
    assert_eq!(in_use.status.code(), Some(1), "{in_use:?}");
    assert!(String::from_utf8_lossy(&in_use.stderr).contains("in use by another"), "{in_use:?}");
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let second = Network::start(&arguments, folder.path());
    assert_eq!(second.facts["addresses"], addresses);
    let key = std::fs::metadata(state.join("keys/su.json")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600);
}

/// Enough of a module to tell its format from.
const MODULE: &[u8] = b"\0asm\x01\0\0\0 invoke_vjj";
/// An id of somebody's choice.
const CHOSEN: &str = "WASM32-D8q2OmZ4Mok00sD2Y_6SYEQ7Hjx-6VZ_jl3g";

#[test]
fn a_module_from_a_file_is_there_under_the_id_of_ones_choice_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("aos.wasm"), MODULE).unwrap();
    let named = format!("aos.wasm={CHOSEN}");
    let network =
        Network::start(&["--state", "net", "--module", &named, "--module", "aos.wasm"], folder.path());
    let modules = network.facts["modules"].as_array().unwrap();
    let real = modules[1]["id"].as_str().unwrap().to_owned();
    assert_eq!((modules[0]["id"].as_str(), modules[0]["item"].as_str()), (Some(CHOSEN), Some(&*real)));
    drop(network);

    let network = Network::start(&["--state", "net"], folder.path());
    assert_eq!(network.facts["modules"], serde_json::json!([]));
    for id in [CHOSEN, &real] {
        let answer = get(&format!("{}/{id}", network.url("gateway")));
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("invoke_vjj"), "{answer}");
        let query = format!("{{transactions(ids:[\"{id}\"]){{edges{{node{{id tags{{name value}}}}}}}}}}");
        let body = serde_json::json!({ "query": query }).to_string();
        let found = post(&format!("{}/graphql", network.url("gateway")), &body);
        assert!(found.contains(id) && found.contains("wasm64-unknown-emscripten"), "{found}");
    }
}

#[test]
fn a_scheduler_that_ours_stands_in_for_is_found_here_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let located = |network: &Network| {
        let query = format!(
            "{{transactions(owners:[\"{CHOSEN}\"],tags:[{{name:\"Type\",values:[\"Scheduler-Location\"]}}])\
             {{edges{{node{{tags{{name value}}}}}}}}}}"
        );
        let body = serde_json::json!({ "query": query }).to_string();
        post(&format!("{}/graphql", network.url("gateway")), &body)
    };
    let network = Network::start(&["--state", "net", "--scheduler", CHOSEN], folder.path());
    let found = located(&network);
    assert!(found.contains(network.url("su")), "{found}");
    drop(network);
    let network = Network::start(&["--state", "net"], folder.path());
    let found = located(&network);
    assert!(found.contains(network.url("su")), "{found}");
    drop(network);
    let network = Network::start(&[], folder.path());
    assert!(located(&network).contains("\"edges\":[]"), "only where it was asked for");
}

#[test]
fn units_find_a_weave_elsewhere_and_a_compute_unit_a_scheduler() {
    let folder = tempfile::tempdir().unwrap();
    let weave = Network::start(&[], folder.path());
    let (units, compute) = (folder.path().join("units"), folder.path().join("compute"));
    for folder in [&units, &compute] {
        std::fs::create_dir(folder).unwrap();
    }
    let remote = format!(
        "remote.gateway = {:?}\nremote.bundler = {:?}\n",
        weave.url("gateway"),
        weave.url("bundler"),
    );
    std::fs::write(units.join("pirn.toml"), &remote).unwrap();
    let units = Network::run("node", &["--roles", "mu,su,cu"], &units);
    // It has said on the other node's weave where its scheduler is.
    let address = units.facts["addresses"]["su"].as_str().unwrap();
    let query = format!(
        "{{transactions(owners:[\"{address}\"],tags:[{{name:\"Type\",values:[\"Scheduler-Location\"]}}])\
         {{edges{{node{{tags{{name value}}}}}}}}}}"
    );
    let found = post(
        &format!("{}/graphql", weave.url("gateway")),
        &serde_json::json!({ "query": query }).to_string(),
    );
    assert!(found.contains(units.url("su")), "{found}");
    let timestamp = get(&format!("{}/timestamp", units.url("su")));
    assert!(timestamp.starts_with("HTTP/1.1 200"), "{timestamp}");

    let remote = format!("{remote}remote.su = {:?}\n", units.url("su"));
    std::fs::write(compute.join("pirn.toml"), remote).unwrap();
    let compute = Network::run("node", &["--roles", "cu"], &compute);
    let unknown = units.facts["authority"].as_str().unwrap();
    let answer = get(&format!("{}/result/{unknown}?process-id={unknown}", compute.url("cu")));
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[test]
fn what_cannot_be_is_said_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    check(
        folder,
        &["dev", "--port", "65533"],
        2,
        expect![[r#"
            error[P0027]: there are no five ports from 65533 on
            hint: 65531 is the last that can be
        "#]],
    );
    check(
        folder,
        &["node", "--config", "nowhere.toml"],
        2,
        expect![[r#"
            error[P0036]: there is no configuration file nowhere.toml
            hint: name one that exists with --config, or leave it out for ./pirn.toml
        "#]],
    );
    check(
        folder,
        &["node", "--roles", "cu"],
        2,
        expect![[r#"
            error[P0032]: there is no weave
            hint: add gateway to roles, or say where one is: weave.gateway, or remote.gateway
        "#]],
    );
    check(
        folder,
        &["dev", "--port", "0", "--module", "nowhere.wasm"],
        1,
        expect![[r#"
            error[P0036]: cannot read the module nowhere.wasm: No such file or directory (os error 2)
            hint: see that the path is right, and that this user may read and write there (`ls -ld`)
        "#]],
    );
    std::fs::write(folder.join("text.wasm"), "no module").unwrap();
    check(
        folder,
        &["dev", "--port", "0", "--module", "text.wasm"],
        2,
        expect![[r#"
            error[P0037]: cannot tell the format of the module text.wasm from its imports
            hint: publish it once the network runs: `pirn module publish FILE --format FORMAT`
        "#]],
    );
    std::fs::write(folder.join("pirn.toml"), "[mu]\ndepth = 4\n").unwrap();
    check(
        folder,
        &["dev"],
        2,
        expect![[r#"
            error[P0033]: there is no option mu.depth (from FOLDER/pirn.toml)
            hint: did you mean mu.depth_max? `pirn config show` lists every option
        "#]],
    );
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = pirn(&["completions", shell]).output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().contains("accounts"), "{shell}");
    }
}

#[test]
fn the_configuration_says_where_each_value_is_from() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pirn.toml"), "ports.su = 7003\n").unwrap();
    let mut command = pirn(&["config", "show", "--json"]);
    let output = command.current_dir(folder.path()).env("PIRN__PORTS__CU", "7004").output().unwrap();
    let settings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of = |key: &str| settings.iter().find(|setting| setting["key"] == key).unwrap().clone();
    assert_eq!(of("ports.mu")["source"], "default");
    assert_eq!(of("ports.su")["value"], "7003");
    assert!(of("ports.su")["source"].as_str().unwrap().ends_with("pirn.toml"));
    assert_eq!(of("ports.cu")["source"], "environment PIRN__PORTS__CU");
}

/// What a command answers, pointed at a network.
#[track_caller]
fn answer(network: &Network, arguments: &[&str]) -> String {
    let mut command = pirn(arguments);
    for (name, part) in [("GATEWAY_URL", "gateway"), ("MU_URL", "mu"), ("SU_URL", "su"), ("CU_URL", "cu")] {
        command.env(name, network.url(part));
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn a_process_of_our_own_lua_needs_nothing_but_the_binary() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&[], folder.path());
    let spawned: Value = serde_json::from_str(&answer(&network, &["spawn", "--json"])).unwrap();
    let process = spawned["process"].as_str().unwrap().to_owned();
    assert_eq!(spawned["module"], network.facts["lua"], "its id is the network's");
    assert_eq!(answer(&network, &["eval", &process, "Count = (Count or 0) + 1; return Count"]), "1");
    assert_eq!(answer(&network, &["eval", &process, "Count = Count + 1; return Count"]), "2");
    let pong = "Handlers.add('ping', 'Ping', function(m) m.reply({ Data = 'pong' }) end)";
    answer(&network, &["eval", &process, pong]);
    let sent = answer(&network, &["send", &process, "--action", "Ping", "--json"]);
    assert!(sent.contains("pong"), "{sent}");
}
