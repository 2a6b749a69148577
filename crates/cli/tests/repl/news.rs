//! What others send is seen once, as it happens, whatever breaks off in between.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::World;
use crate::terminal::Terminal;

/// A way to a unit that can be broken off, and that remembers what was asked.
#[derive(Clone, Default)]
struct Way(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Whether it tells no events, as others' units.
    silent: bool,
    /// Whether nothing passes.
    closed: bool,
    asked: String,
    open: Vec<TcpStream>,
}

impl Way {
    /// A way to the unit at `url`; where it begins.
    fn to(url: &str, silent: bool) -> (Way, String) {
        let way = Way::default();
        way.0.lock().unwrap().silent = silent;
        let to = url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let from = format!("http://{}", listener.local_addr().unwrap());
        let passing = way.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (passing, to) = (passing.clone(), to.clone());
                std::thread::spawn(move || passing.pass(client, &to));
            }
        });
        (way, from)
    }

    fn pass(&self, mut client: TcpStream, to: &str) {
        let mut unit = TcpStream::connect(to).unwrap();
        {
            let mut state = self.0.lock().unwrap();
            if state.closed {
                return;
            }
            state.open.extend([client.try_clone().unwrap(), unit.try_clone().unwrap()]);
        }
        let (mut answers, mut back) = (unit.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut answers, &mut back);
            let _ = back.shutdown(Shutdown::Both);
        });
        let mut bytes = [0; 65536];
        while let Ok(count @ 1..) = client.read(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..count]);
            self.0.lock().unwrap().asked.push_str(&text);
            if text.starts_with("GET /api/v1/events") && self.0.lock().unwrap().silent {
                let none = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
                client.write_all(none.as_bytes()).unwrap();
            } else if unit.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = unit.shutdown(Shutdown::Both);
    }

    /// Breaks off what passes, and lets nothing pass; or lets it pass again.
    fn close(&self, closed: bool) {
        let mut state = self.0.lock().unwrap();
        state.closed = closed;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn asked(&self, what: &str) -> bool {
        self.0.lock().unwrap().asked.to_lowercase().contains(what)
    }
}

impl World {
    /// A session that reaches the compute unit that way.
    fn repl_by(&self, from: &str) -> Terminal {
        let mut settings = self.settings();
        settings.iter_mut().filter(|(name, _)| *name == "CU_URL").for_each(|(_, url)| *url = from.to_owned());
        self.repl_in(&settings, &[])
    }

    fn url(&self, name: &str) -> &str {
        &self.urls.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Another person's message.
    #[track_caller]
    fn knock(&self, action: &str) {
        self.done(&["send", &self.process, "--action", action, "--wallet", "1"]);
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) {
        let output = self.pirn(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

#[track_caller]
fn check_each_once(repl: &Terminal, actions: &[&str]) {
    let screen = repl.screen();
    for action in actions {
        assert_eq!(screen.matches(&format!("Action = {action}")).count(), 1, "{action}\n{screen}");
    }
}

#[test]
fn what_happens_while_the_way_is_broken_is_shown_once_when_it_is_not() {
    for silent in [false, true] {
        let world = World::new();
        let (way, from) = Way::to(world.url("CU_URL"), silent);
        let mut repl = world.repl_by(&from);
        world.knock("First");
        repl.wait("Action = First");
        way.close(true);
        world.knock("Second");
        world.knock("Third");
        way.close(false);
        repl.wait("Action = Third");
        world.knock("Fourth");
        repl.wait("Action = Fourth");
        repl.keys("'mine ' .. 'alone'\r");
        repl.wait("\nmine alone");
        world.knock("Fifth");
        repl.wait("Action = Fifth");
        check_each_once(&repl, &["First", "Second", "Third", "Fourth", "Fifth"]);
        assert!(!repl.screen().contains("◂ slot 5 "), "what it sent itself is no news\n{}", repl.screen());
        assert!(way.asked("get /api/v1/events"));
        assert_eq!(way.asked("last-event-id: "), !silent, "it goes on where it was");
    }
}

#[test]
fn a_network_that_went_back_is_followed_from_there() {
    let world = World::new();
    let repl = world.repl(&[]);
    world.knock("First");
    repl.wait("Action = First");
    world.done(&["snapshot", "save", "here"]);
    world.knock("Second");
    world.knock("Third");
    repl.wait("Action = Third");
    world.done(&["snapshot", "restore", "here"]);
    world.knock("Other");
    world.knock("Last");
    repl.wait("Action = Last");
    check_each_once(&repl, &["First", "Second", "Third", "Other", "Last"]);
    assert_eq!(repl.screen().matches("◂ slot 2 ").count(), 2, "there are two histories of it");
}

#[test]
fn news_appear_above_the_line_and_what_was_typed_stays() {
    let world = World::new();
    let mut repl = world.repl(&[]);
    repl.keys("'half a li");
    repl.wait("> 'half a li");
    let sent = world.pirn(&["send", &world.process, "--action", "Knock", "--wallet", "1"]).output().unwrap();
    assert!(sent.status.success(), "{sent:?}");
    repl.wait("Action = Knock");
    repl.wait_for_line(|line| line.ends_with("> 'half a li"));
    let screen = repl.screen();
    let (news, line) = (screen.find("◂ slot 1 ").unwrap(), screen.rfind("'half a li").unwrap());
    assert!(news < line, "{screen}");
    // The prompt counts the inbox.
    repl.wait("[Inbox:2]> 'half a li");
    repl.keys("ne of text'\r");
    repl.wait("\nhalf a line of text");
    repl.keys(".inbox\r");
    repl.wait("Knock");
    repl.keys(".pause\r");
    repl.wait("nothing is shown but answers");
}

#[test]
fn a_cron_is_looked_at_and_made_to_tick() {
    let mut world = World::new();
    let spawn = ["spawn", "--tag", "Cron-Interval=10-minutes", "--tag", "Cron-Tag-Action=Tick"];
    let spawned = world.pirn(&spawn).output().unwrap();
    assert!(spawned.status.success(), "{spawned:?}");
    world.process = String::from_utf8(spawned.stdout).unwrap().trim().to_owned();
    let mut repl = world.repl(&[]);
    repl.keys("Handlers.add('tick', 'Tick', function() print('tick ' .. 'tock') end)\r");
    repl.wait("slot 1 ");
    repl.keys(".cron\r");
    repl.wait("10-minutes  in ");
    repl.wait("not of late");
    repl.keys(".monitor\r");
    repl.wait("from now on");
    repl.keys(".tick\r");
    repl.wait("the clock went on by ");
    repl.wait("◂ cron 0-10-minutes tick tock");
    repl.keys(".cron\r");
    repl.wait("0 of 1");
}
