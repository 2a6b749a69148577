//! The same program and the same items, here and through the units of a node: the same outcomes, byte for byte.

use std::sync::Arc;

use bytes::Bytes;
use pirn_sandbox::{Fate, Modules, Options, Sandbox, Signer};
use protocol::{DataItem, Draft, Module, Outcome, ProcessId, Tags, Wallet, tag};
use runtime_wasm::WasmRuntime;
use store::{MemoryBlobs, MemoryStore};
use unit::fakes::FakeClock;
use unit::{
    Compute as _, DryRun, Events, EventsOptions, Messenger as _, Scheduler as _, SlotRange, Weave as _,
};
use weave::{EmbeddedWeave, Mining};

const START: u64 = 1_767_225_600_000;

/// Shows everything that it is given, passes it on, spawns and answers.
const PROGRAM: &str = r#"
local json = require("json")
Handlers.prepend("show", function() return "continue" end, function(m)
  local seen = {}
  for k, v in pairs(m) do if type(v) ~= "function" then seen[k] = v end end
  print(json.encode(seen))
  print(json.encode(ao.env))
end)
Handlers.add("pass", "Pass", function(m)
  Send({ Target = m.To, Action = "Passed", Data = m.Data, Quantity = 5 })
end)
Handlers.add("passed", "Passed", function(m)
  Total = (Total or 0) + tonumber(m.Quantity)
  m.reply({ Action = "Thanks", Data = { Total, math.random(1000), os.time() } })
end)
Handlers.add("fail", "Fail", function() Total = 99 error("on purpose") end)
"#;

fn wallet(seed: u8) -> Wallet {
    Wallet::ed25519_from_seed([seed; 32])
}

fn sign(
    by: &Wallet,
    target: Option<ProcessId>,
    n: u8,
    own: &[(&str, &str)],
    kind: &str,
    data: &str,
) -> DataItem {
    let mut tags: Tags = own.iter().copied().collect();
    tags.push(tag::DATA_PROTOCOL, tag::AO);
    tags.push(tag::VARIANT, tag::AO_TN_1);
    tags.push(tag::TYPE, kind);
    let data = Bytes::copy_from_slice(data.as_bytes());
    DataItem::sign(by, Draft { target: target.map(Into::into), anchor: Some([n; 32]), tags, data }).unwrap()
}

/// The units of a node over memory, at a clock that stands still.
struct Units {
    weave: Arc<EmbeddedWeave>,
    su: Arc<su::SchedulerUnit>,
    mu: Arc<mu::MessengerUnit>,
    cu: Arc<cu::ComputeUnit>,
}

async fn units(clock: Arc<FakeClock>) -> Units {
    let store = Arc::new(MemoryStore::new());
    let events = Events::new(1, clock.clone(), EventsOptions::default());
    let ports = weave::Ports { store: store.clone(), clock: clock.clone(), events: events.clone() };
    let options = weave::Options { mining: Mining::Manual, ..weave::Options::default() };
    let weave = EmbeddedWeave::open(ports, options).await.unwrap();
    let ports = su::Ports {
        store: store.clone(),
        weave: weave.clone(),
        clock: clock.clone(),
        wallet: wallet(1),
        events: events.clone(),
    };
    let su = su::SchedulerUnit::open(ports, su::Options::default()).await.unwrap();
    let ports = cu::Ports {
        store: store.clone(),
        blobs: Arc::new(MemoryBlobs::default()),
        scheduler: su.clone(),
        own_scheduler: Some(su.clone()),
        weave: weave.clone(),
        clock: clock.clone(),
        events: events.clone(),
        wallet: wallet(3),
        runtimes: vec![Arc::new(WasmRuntime::new(runtime_wasm::Options::default()).unwrap())],
    };
    let cu = cu::ComputeUnit::open(ports, cu::Options::default()).await.unwrap();
    let ports = mu::Ports {
        store,
        scheduler: su.clone(),
        compute: cu.clone(),
        weave: weave.clone(),
        clock,
        events,
        wallet: wallet(2),
    };
    let mu = mu::MessengerUnit::open(ports, mu::Options::default()).await.unwrap();
    Units { weave, su, mu, cu }
}

impl Units {
    /// Sends an item, and waits until nothing follows from it any more.
    async fn send(&self, item: DataItem) {
        self.mu.send(item).await.unwrap();
        while !self.mu.pending(0, 1).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    /// All outcomes of a process, in the order of its slots.
    async fn outcomes(&self, process: ProcessId) -> Vec<Outcome> {
        let range = SlotRange::Slots { after: None, to: None };
        let page = self.su.schedule_page(process, range, 100).await.unwrap();
        let mut outcomes = Vec::new();
        for entry in page.items {
            outcomes.push((*self.cu.result(process, entry.assignment.id()).await.unwrap()).clone());
        }
        outcomes
    }
}

fn outcomes(net: &Sandbox, process: ProcessId) -> Vec<Outcome> {
    let of = |letter: &Arc<pirn_sandbox::Letter>| match &letter.fate {
        Fate::Evaluated { process: of, slot, outcome, .. } if *of == process => {
            Some((*slot, (**outcome).clone()))
        }
        _ => None,
    };
    let mut outcomes: Vec<_> = net.letters().iter().filter_map(of).collect();
    outcomes.sort_by_key(|(slot, _)| *slot);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_sees_here_what_it_sees_on_a_node() {
    let clock = FakeClock::at(START);
    let units = units(clock.clone()).await;
    let tip = units.weave.tip().await.unwrap();
    let draft = Draft {
        tags: Tags::from_iter(runtime_lua::TAGS),
        data: Bytes::from_static(runtime_lua::MODULE),
        ..Draft::default()
    };
    let module = DataItem::sign(&wallet(9), draft).unwrap();
    units.weave.upload(module.clone()).await.unwrap();

    let modules = Modules::new(WasmRuntime::new(runtime_wasm::Options::default()).unwrap()).unwrap();
    modules.load(Module::try_from(module.item()).unwrap()).unwrap();
    let options = Options { start_ms: START, start_height: tip.height.0, ..Options::default() };
    let (su, mu) = (Signer::Wallet(wallet(1)), Signer::Wallet(wallet(2)));
    let mut net = Sandbox::of(modules, su, mu, options);

    let (module, scheduler) = (module.id.to_string(), wallet(1).address().to_string());
    let authority = wallet(2).address().to_string();
    let tags =
        [("Module", &*module), ("Scheduler", &*scheduler), ("Authority", &*authority), ("Name", "echo")];
    let ada = wallet(7);
    let a = sign(&ada, None, 1, &tags, "Process", " ");
    let b = sign(&ada, None, 2, &tags, "Process", "hello");
    let (pa, pb) = (ProcessId(a.id), ProcessId(b.id));
    let to = pb.to_string();
    let mut items = vec![a, b];
    for (n, process) in [(3, pa), (4, pb)] {
        items.push(sign(&ada, Some(process), n, &[("Action", "Eval")], "Message", PROGRAM));
    }
    let pass = [("Action", "Pass"), ("To", &*to), ("X-Note", "ü")];
    items.push(sign(&ada, Some(pa), 5, &pass, "Message", "one"));
    items.push(sign(&ada, Some(pb), 6, &[("Action", "Fail"), ("Owner", "me")], "Message", ""));
    items.push(sign(&wallet(8), Some(pa), 7, &pass, "Message", "two"));
    items.push(sign(&ada, Some(pb), 8, &[("Action", "Eval")], "Message", "return { Total, #Inbox, ao.id }"));
    for (n, item) in items.into_iter().enumerate() {
        // Time passes in both.
        clock.set(START + 7000 * n as u64);
        let now = net.now().0;
        net.advance(START + 7000 * n as u64 - now).unwrap();
        units.send(item.clone()).await;
        net.post_item(item.shared()).unwrap();
        net.run().unwrap();
    }
    for process in [pa, pb] {
        let (there, here) = (units.outcomes(process).await, outcomes(&net, process));
        assert_eq!(there.len(), here.len());
        assert!(there.len() >= 6, "{there:?}");
        for (slot, (there, here)) in there.iter().zip(&here).enumerate() {
            assert_eq!(there, here, "slot {slot} of {process}");
        }
        let dry = DryRun {
            id: None,
            signature: None,
            data: Some(protocol::Json::string("return { Total, os.time() }")),
            owner: ada.address().to_string(),
            target: None,
            anchor: None,
            forwarded_by: None,
            tags: Tags::from_iter([("Action", "Eval")]),
            timestamp: None,
            block_height: None,
        };
        let there = units.cu.dry_run(process, dry.clone(), None).await.unwrap();
        assert_eq!(there, net.dry(process, dry).unwrap());
        let state = units.cu.state(process, None).await.unwrap();
        assert!(state.memory[..] == net.memory(process).unwrap().to_dense()[..], "the memories differ");
    }
}
