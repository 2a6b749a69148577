//! A node under load is stopped, interrupted and backed up: what it acknowledged is there, in the same slots.

mod person;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use pirn_http::client::{Messenger, Options, Scheduler, Transport};
use protocol::{DataItem, Draft, Id, ProcessId, Slot, Tags, Wallet};
use serde_json::Value;
use tokio::runtime::Runtime;
use unit::{Messenger as _, Scheduler as _};

use person::Person;

/// A node with its own state folder.
struct Node {
    child: Child,
    urls: Value,
    stderr: BufReader<ChildStderr>,
}

impl Node {
    fn start(person: &Person, state: &str) -> Node {
        let mut command = person.command(&["node", "--port", "0", "--state", state, "--json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Node { child, urls: ready["urls"].clone(), stderr }
    }

    fn url(&self, part: &str) -> String {
        self.urls[part].as_str().unwrap().to_owned()
    }

    fn scheduler(&self) -> Scheduler {
        Scheduler::new(&self.url("su"), Transport::new(Options::default()).unwrap())
    }

    fn signal(&self, name: &str) {
        let told = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// How it ended, and what it said on stderr until then.
    fn ended(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }

    #[track_caller]
    fn stop(self) {
        self.signal("-TERM");
        let (status, said) = self.ended();
        assert!(status.success(), "{said}");
        assert!(!said.contains("not everything ended in time"), "{said}");
    }
}

fn sign(wallet: &Wallet, target: Option<Id>, tags: &[(&str, &str)], data: String) -> DataItem {
    let ours = [("Data-Protocol", "ao"), ("Variant", "ao.TN.1")];
    let tags = Tags::from_iter(tags.iter().chain(&ours).copied());
    DataItem::sign(wallet, Draft { target, tags, data: data.into(), ..Draft::default() }).unwrap()
}

/// What a node acknowledged: items with their slots, and items that it will see to a slot.
#[derive(Clone, Default)]
struct Acknowledged {
    placed: Vec<(Id, Slot)>,
    sent: Vec<Id>,
}

impl Acknowledged {
    /// All of it is there, in the same slots.
    fn check(&self, process: ProcessId, node: &Node) {
        let su = node.scheduler();
        Runtime::new().unwrap().block_on(async {
            for (id, slot) in &self.placed {
                let found = su.find(Some(process), *id).await.unwrap_or_else(|error| panic!("{id}: {error}"));
                assert_eq!(found.assignment.slot, *slot, "{id}");
            }
            for id in &self.sent {
                // The messenger goes on where it was.
                let mut found = su.find(Some(process), *id).await;
                for _ in 0..1200 {
                    if found.is_ok() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    found = su.find(Some(process), *id).await;
                }
                found.unwrap_or_else(|error| panic!("{id} was sent: {error}"));
            }
        });
    }
}

/// Messages to one process, from several at once, until it is told to end or nobody answers.
struct Load {
    process: ProcessId,
    ends: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    workers: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(node: &Node) -> Load {
        let wallet = Wallet::generate_ed25519();
        let runtime = Runtime::new().unwrap();
        let su = node.scheduler();
        let ours = runtime.block_on(su.address()).unwrap().to_string();
        // Its module is nowhere: this is about slots.
        let tags = [("Type", "Process"), ("Module", &*ours), ("Scheduler", &*ours)];
        let process = sign(&wallet, None, &tags, String::new());
        let id: ProcessId = process.id.into();
        runtime.block_on(su.schedule(process)).unwrap();
        let (ends, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Acknowledged>>::default());
        let worker = |worker: usize| {
            let (su, wallet) = (node.scheduler(), wallet.clone());
            let mu = Messenger::new(&node.url("mu"), Transport::new(Options::default()).unwrap());
            let (ends, acknowledged) = (ends.clone(), acknowledged.clone());
            let work = async move {
                for n in 0.. {
                    if ends.load(Ordering::SeqCst) {
                        return;
                    }
                    let item = sign(&wallet, Some(id.0), &[("Type", "Message")], format!("{n} of {worker}"));
                    let message = item.id;
                    let done = match worker % 2 {
                        0 => su.schedule(item).await.map(|placed| Some(placed.entry.assignment.slot)),
                        _ => mu.send(item).await.map(|_| None),
                    };
                    let Ok(slot) = done else { return };
                    let mut acknowledged = acknowledged.lock().unwrap();
                    match slot {
                        Some(slot) => acknowledged.placed.push((message, slot)),
                        None => acknowledged.sent.push(message),
                    }
                }
            };
            std::thread::spawn(move || Runtime::new().unwrap().block_on(work))
        };
        let workers = (0..4).map(worker).collect();
        Load { process: id, ends, acknowledged, workers }
    }

    /// Waits until so many more of both sorts are acknowledged.
    fn wait_for(&self, more: usize) {
        let (before, mut now) = (self.so_far(), self.so_far());
        while now.placed.len() < before.placed.len() + more || now.sent.len() < before.sent.len() + more {
            assert!(self.workers.iter().all(|worker| !worker.is_finished()), "somebody is refused");
            std::thread::sleep(Duration::from_millis(5));
            now = self.so_far();
        }
    }

    /// What is acknowledged so far.
    fn so_far(&self) -> Acknowledged {
        self.acknowledged.lock().unwrap().clone()
    }

    fn end(self) -> Acknowledged {
        self.ends.store(true, Ordering::SeqCst);
        self.workers.into_iter().for_each(|worker| worker.join().unwrap());
        std::mem::take(&mut *self.acknowledged.lock().unwrap())
    }
}

#[test]
fn a_stop_under_load_ends_within_its_bound_and_loses_nothing() {
    let person = Person::new();
    let node = Node::start(&person, "state");
    let load = Load::start(&node);
    let process = load.process;
    load.wait_for(60);
    node.stop();
    let acknowledged = load.end();
    let node = Node::start(&person, "state");
    acknowledged.check(process, &node);
    node.stop();
}

#[test]
fn a_second_interrupt_ends_at_once() {
    let person = Person::new();
    // Twenty minutes for an answer to finish: without the second interrupt this test would take that long.
    person.write("pirn.toml", "stop_ms = 3600000\n[http]\nbody_ms = 3600000\nbody_pause_ms = 3600000\n");
    let mut node = Node::start(&person, "state");
    let address = node.url("mu").trim_start_matches("http://").to_owned();
    let mut unfinished = TcpStream::connect(&address).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/octet-stream\r\n\
         Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"
    );
    unfinished.write_all(head.as_bytes()).unwrap();
    // It asks for the body, so it is answering.
    let mut asked = [0; 12];
    unfinished.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100");
    node.signal("-INT");
    let mut stopping = String::new();
    while !stopping.contains("STOPPING") {
        // What it takes in no more, it says so, or does not answer at all.
        let answers = TcpStream::connect(&address).and_then(|mut other| {
            other.set_read_timeout(Some(Duration::from_millis(500)))?;
            other.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            let mut said = String::new();
            other.read_to_string(&mut said).map(|_| said)
        });
        if !answers.is_ok_and(|said| said.starts_with("HTTP/1.1 200")) {
            stopping.push_str("STOPPING");
        }
    }
    assert!(node.child.try_wait().unwrap().is_none(), "it waits for what it is answering");
    node.signal("-INT");
    let (status, said) = node.ended();
    assert!(status.success(), "{said}");
    drop(unfinished);
}

#[test]
fn a_node_under_load_is_backed_up_lost_and_restored_elsewhere() {
    let person = Person::new();
    let node = Node::start(&person, "state");
    let load = Load::start(&node);
    load.wait_for(40);
    let first = person.answer(&["backup", "--state", "state", "--to", "backup", "--verify"]);
    assert_eq!(
        (&first["bytes_copied"], &first["verified"]),
        (&first["bytes"], &Value::Bool(true)),
        "{first}"
    );
    assert_eq!(first["files"], 3, "the keys of three units");
    load.wait_for(40);
    let before = load.so_far();
    let second = person.answer(&["backup", "--state", "state", "--to", "backup"]);
    load.wait_for(20);
    let address = |node: &Node| Runtime::new().unwrap().block_on(node.scheduler().address()).unwrap();
    let scheduler = address(&node);
    node.signal("-KILL");
    node.ended();
    let process = load.process;
    load.end();
    std::fs::remove_dir_all(person.folder().join("state")).unwrap();

    let checked = person.answer(&["backup", "--to", "backup", "--verify"]);
    assert_eq!(checked["bytes"], second["bytes"]);
    person.write("elsewhere/file", "mine");
    let restore = ["restore", "--from", "backup", "--state", "elsewhere"];
    let forced = [&restore[..], &["--force"]].concat();
    let said = person.refused(&restore, 2);
    assert!(said.starts_with("error[P0006]: elsewhere is not empty") && said.contains("`--force`"), "{said}");
    assert_eq!(person.answer(&forced)["bytes"], second["bytes"]);
    let node = Node::start(&person, "elsewhere");
    assert_eq!(address(&node), scheduler, "the same keys");
    before.check(process, &node);
    // Nobody takes the folder from under a node.
    assert!(person.refused(&forced, 1).starts_with("error[P0034]"));
    node.stop();

    // One byte of the backup changes: nothing is restored, and nothing is lost.
    let objects = std::fs::read_dir(person.folder().join("backup/objects")).unwrap().flatten();
    let path = objects.max_by_key(|entry| entry.metadata().unwrap().len()).unwrap().path();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for command in [&["backup", "--to", "backup", "--verify"][..], &forced] {
        let said = person.refused(command, 1);
        assert!(said.starts_with("error[P0024]: the backup "), "{said}");
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(said.contains(name) && said.contains(" at byte "), "{said}");
        assert!(said.contains("hint: take another backup"), "{said}");
    }
    let node = Node::start(&person, "elsewhere");
    before.check(process, &node);
    node.stop();
}
