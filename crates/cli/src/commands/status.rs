//! `pirn status`

use clap::Args;
use pirn_http::client::{Messenger, Options, Scheduler, Transport};
use serde::Serialize;
use unit::{Code, HeldQuery, Recovery as _};

use crate::commands::node::units_table;
use crate::error::{Failure, Result};
use crate::registry::{Entry, Registry};
use crate::ui::{Ui, table};

/// Show the development networks that run on this computer. Exits with 1 if there is none
#[derive(Debug, Args)]
pub struct Status {}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    entry: Entry,
    ports: Vec<u16>,
    /// Whether its messenger answers.
    answers: bool,
    /// For which processes nothing is scheduled; none where its scheduler does not say.
    held: Option<Holds>,
}

/// Processes for which nothing is scheduled until the operator says so.
#[derive(Serialize)]
struct Holds {
    /// How many of those that are known, counted up to `HELD_MAX`.
    processes: usize,
    /// Whether there are more.
    has_more: bool,
    /// Whether those that are not known are held as well.
    all: bool,
}

/// Up to how many processes that are held are counted.
const HELD_MAX: usize = 100;

impl Status {
    /// Asks each whether it answers.
    pub async fn run(self, ui: Ui) -> Result {
        let transport = Transport::new(Options::default())?;
        let mut networks = Vec::new();
        for found in Registry::open()?.running() {
            let entry = found.entry;
            let answers = match entry.network.urls.get("mu") {
                Some(url) => Messenger::new(url, transport.clone()).info().await.is_ok(),
                None => false,
            };
            let held = match entry.network.urls.get("su") {
                Some(url) if answers => holds(&Scheduler::new(url, transport.clone())).await,
                _ => None,
            };
            networks.push(Shown { ports: entry.ports(), entry, answers, held });
        }
        if networks.is_empty() {
            return Err(Failure::new(
                Code::NO_NETWORK,
                "no development network of yours runs on this computer",
            )
            .hint("`pirn dev` starts one; `pirn dev --detach` leaves it in the background"));
        }
        let text: Vec<String> = networks.iter().map(text).collect();
        ui.answer(text.join("\n\n"), &networks);
        Ok(())
    }
}

async fn holds(scheduler: &Scheduler) -> Option<Holds> {
    let query = HeldQuery { only: None, after: None, limit: HELD_MAX };
    let state = scheduler.recovery(query).await.ok()?;
    Some(Holds { processes: state.held.len(), has_more: state.has_next, all: state.general.is_some() })
}

fn text(shown: &Shown) -> String {
    let entry = &shown.entry;
    let answers = if shown.answers { "answers" } else { "does not answer" };
    let temporary = "temporary".to_owned();
    let state = entry.state.as_ref().map_or(temporary, |state| state.display().to_string());
    let mut rows =
        vec![vec!["Folder".to_owned(), entry.folder.display().to_string()], vec!["State".to_owned(), state]];
    if let Some(log) = &entry.log {
        rows.push(vec!["Log".to_owned(), log.display().to_string()]);
    }
    if let Some(held) = shown.held.as_ref().and_then(held_text) {
        rows.push(vec!["Held".to_owned(), held]);
    }
    format!(
        "pirn {} (pid {}), started {}, {answers}\n\n{}\n\n{}",
        entry.version,
        entry.pid,
        entry.ago(),
        units_table(&entry.network),
        table(&rows)
    )
}

/// What is held, and what ends it; none if nothing is.
fn held_text(held: &Holds) -> Option<String> {
    let n = format!("{}{}", held.processes, if held.has_more { " or more" } else { "" });
    let processes = if n == "1" { "process" } else { "processes" };
    let what = match (held.processes, held.all) {
        (0, false) => return None,
        (_, false) => format!("no slot for {n} {processes}"),
        (_, true) => format!("no slot for {n} {processes}, nor for any that is not known"),
    };
    let ends = if held.all { "--all" } else { "PROCESS" };
    Some(format!("{what}: `pirn recover` says why, `pirn recover confirm {ends} --wallet SU` ends it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_told_with_what_ends_it() {
        let text = |processes, has_more, all| held_text(&Holds { processes, has_more, all });
        assert_eq!(text(0, false, false), None);
        let one = "no slot for 1 process: `pirn recover` says why, `pirn recover confirm PROCESS --wallet SU` ends it";
        assert_eq!(text(1, false, false).as_deref(), Some(one));
        let all = "no slot for 100 or more processes, nor for any that is not known: `pirn recover` says why, \
                   `pirn recover confirm --all --wallet SU` ends it";
        assert_eq!(text(100, true, true).as_deref(), Some(all));
    }
}
