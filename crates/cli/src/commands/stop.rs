//! `pirn stop`

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use unit::Code;

use crate::error::{Failure, Result};
use crate::registry::{Found, Registry};
use crate::ui::Ui;

/// End a development network that runs on this computer, as Ctrl-C would
#[derive(Debug, Args)]
pub struct Stop {
    /// The one that has this port.
    #[arg(long, value_name = "N", conflicts_with_all = ["pid", "all"])]
    port: Option<u16>,
    /// The one with this process number.
    #[arg(long, value_name = "PID", conflicts_with = "all")]
    pid: Option<u32>,
    /// All of them.
    #[arg(long)]
    all: bool,
    /// At once, without letting it finish what is under way. Nothing that was acknowledged is lost.
    #[arg(long)]
    force: bool,
    /// Seconds to wait for its end.
    #[arg(long, value_name = "SECONDS", default_value_t = 40)]
    wait: u64,
}

#[derive(Serialize)]
struct Stopped {
    stopped: Vec<u32>,
}

impl Stop {
    /// Asks it to end, and waits until it has.
    pub async fn run(self, ui: Ui) -> Result {
        let chosen = self.choose(Registry::open()?.running())?;
        for found in &chosen {
            found.ask_to_end(self.force)?;
        }
        let mut stopped = Vec::new();
        for found in chosen {
            let pid = found.entry.pid;
            if !found.ended_within(Duration::from_secs(self.wait)).await {
                return Err(Failure::new(
                    Code::UNAVAILABLE,
                    format!("pid {pid} was asked to end and has not, after {} s", self.wait),
                )
                .hint(format!("end it at once: `pirn stop --pid {pid} --force`")));
            }
            stopped.push(pid);
        }
        let text: Vec<String> = stopped.iter().map(|pid| format!("stopped  pid {pid}")).collect();
        ui.answer(text.join("\n"), &Stopped { stopped });
        Ok(())
    }

    fn choose(&self, running: Vec<Found>) -> Result<Vec<Found>> {
        let all: Vec<String> = running.iter().map(described).collect();
        let meant = |found: &Found| match (self.port, self.pid) {
            (Some(port), _) => found.entry.ports().contains(&port),
            (_, Some(pid)) => found.entry.pid == pid,
            _ => true,
        };
        let chosen: Vec<Found> = running.into_iter().filter(meant).collect();
        let named = self.port.is_some() || self.pid.is_some();
        match chosen.len() {
            0 if all.is_empty() => {
                let what = "no development network of yours runs on this computer";
                Err(Failure::new(Code::NO_NETWORK, what)
                    .hint("a `pirn node` is ended as it was started: with its service manager, or Ctrl-C"))
            }
            0 => {
                let failure = Failure::new(Code::NOT_OURS, "that is no development network of yours");
                Err(all.iter().fold(failure, |failure, other| failure.hint(other)))
            }
            1 => Ok(chosen),
            _ if self.all || named => Ok(chosen),
            several => {
                let what = format!("{several} development networks run on this computer");
                Err(all
                    .iter()
                    .fold(Failure::usage(what), |failure, other| failure.hint(other))
                    .hint("say which: `--port N`, `--pid PID`, or `--all`"))
            }
        }
    }
}

fn described(found: &Found) -> String {
    let ports: Vec<String> = found.entry.ports().iter().map(ToString::to_string).collect();
    let (pid, ago) = (found.entry.pid, found.entry.ago());
    format!("pid {pid}, started {ago} in {}, ports {}", found.entry.folder.display(), ports.join(", "))
}
