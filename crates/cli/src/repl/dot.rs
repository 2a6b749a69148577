//! Commands that begin with a dot. They have the names of aos's, and some more.

use std::path::Path;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use protocol::{DataItem, Draft};
use unit::{Code, Messenger as _};

use super::complete::Found;
use super::edit::Editor;
use super::load;
use super::session::Session;
use crate::bundle::Bundle;
use crate::commands::{Shown, anchor};
use crate::error::{Context as _, Failure, Result};
use crate::evaluate::Script;
use crate::render::Typed;
use crate::ui::{plain, table};

/// Whether there is another line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is.
    Next,
    /// The person leaves.
    Leave,
}

/// Name, what it takes, what it does. In the order of `.help`.
const COMMANDS: [(&str, &str, &str); 28] = [
    ("load", "FILE", "evaluate a file, with the files that it requires"),
    ("load-blueprint", "NAME", "evaluate one of the scripts that are part of Pirn"),
    ("blueprints", "", "list those"),
    ("editor", "", "collect lines for one script"),
    ("done", "", "evaluate what was collected"),
    ("print", "", "show what was collected"),
    ("delete", "", "take its last line back"),
    ("cancel", "", "forget it"),
    ("pad", "", "write a script in $EDITOR"),
    ("dry", "on|off", "evaluate without sending; nothing is saved"),
    ("dryrun", "", "the same, on or off in turn"),
    ("inbox", "", "the newest messages in the process's Inbox"),
    ("handlers", "", "what the process does with which messages, how often, at what cost, and how it failed"),
    ("whoami", "", "who you are to the process, and whom it trusts"),
    ("live", "", "show what the process prints for others, as it happens"),
    ("pause", "", "do not"),
    ("monitor", "", "have the process's cron run"),
    ("unmonitor", "", "have it run no longer"),
    ("cron", "", "when its cron is due, when it last was, and what came of it"),
    ("tick", "", "move a development network's clock to when the next cron is due"),
    ("more", "", "the next lines of a long answer, or all of a folded one"),
    ("json", "", "the last outcome, all of it"),
    ("prompt", "", "what the process wants before the line"),
    ("update", "", "why there is nothing to update"),
    ("help", "", "this list"),
    ("exit", "", "leave; Ctrl-D does too"),
    ("quit", "", "the same"),
    ("clear", "", "an empty screen"),
];

/// Completes a command, or what it takes.
pub fn complete(before: &str) -> Found {
    let Some((name, given)) = before[1..].split_once(' ') else {
        let fits = COMMANDS.iter().filter(|(name, ..)| name.starts_with(&before[1..]));
        let found =
            fits.map(|(name, takes, about)| (1, (*name).to_owned(), (*about).to_owned(), !takes.is_empty()));
        return found.collect();
    };
    let start = before.len() - given.len();
    let all = |words: Vec<String>| {
        let fits = words.into_iter().filter(|word| word.starts_with(given));
        fits.map(|word| (start, word, String::new(), false)).collect()
    };
    match name {
        "load" => files(given).into_iter().map(|file| (start, file, String::new(), false)).collect(),
        "load-blueprint" => all(load::blueprint_names().map(str::to_owned).collect()),
        "dry" => all(vec!["on".to_owned(), "off".to_owned()]),
        _ => Vec::new(),
    }
}

/// Lua files and folders that begin as given.
fn files(given: &str) -> Vec<String> {
    let (folder, prefix) = given.rsplit_once('/').map_or(("", given), |(folder, prefix)| (folder, prefix));
    let place = match (folder, given.starts_with('/')) {
        ("", true) => "/",
        ("", false) => ".",
        (folder, _) => folder,
    };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let mut found: Vec<String> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.path().is_dir();
        let wanted = is_folder || name.ends_with(".lua");
        if wanted && name.starts_with(prefix) && (!name.starts_with('.') || prefix.starts_with('.')) {
            let before = &given[..given.len() - prefix.len()];
            found.push(format!("{before}{name}{}", if is_folder { "/" } else { "" }));
        }
    }
    found.sort();
    found
}

/// Does what a line with a dot says.
pub async fn run(session: &mut Session, editor: Option<&mut Editor>, line: &str) -> Result<Step> {
    let (name, given) = line.trim()[1..].split_once(char::is_whitespace).unwrap_or((&line.trim()[1..], ""));
    let given = given.trim();
    let shared = session.shared.clone();
    match name {
        "exit" | "quit" => return Ok(Step::Leave),
        "help" => help(session),
        "clear" => session.ui.note("\u{1b}[2J\u{1b}[H"),
        "load" => load_file(session, given).await?,
        "load-blueprint" => evaluate(session, load::blueprint(given)?).await?,
        "blueprints" => session.show(&table(&load::blueprints())),
        "editor" => {
            shared.collecting.store(true, Ordering::Relaxed);
            session.collected.clear();
            session.ui.note("lines are collected; `.done` evaluates them, `.cancel` forgets them");
        }
        "done" | "print" | "delete" | "cancel" => {
            return Err(Failure::usage(format!("`.{name}` belongs to `.editor`, which is not open")));
        }
        "pad" => pad(session, editor).await?,
        "dry" | "dryrun" => switch_dry(session, name, given)?,
        "live" | "pause" => {
            shared.live.store(name == "live", Ordering::Relaxed);
            session.ui.note(match name {
                "live" => "what the process prints for others is shown as it happens",
                _ => "nothing is shown but answers; `.live` ends that",
            });
        }
        "inbox" => {
            let rows = shared.inbox().await?;
            listed(session, rows, &["", "from", "action", "data"], "the inbox is empty");
        }
        "handlers" => {
            let (rows, looked_at) = shared.handlers().await?;
            listed(session, rows, &super::handlers::HEAD, "there are no handlers");
            session.ui.note(session.shared.paint.dim(&looked_at));
        }
        "cron" => {
            let rows = shared.crons().await?;
            listed(
                session,
                rows,
                &["every", "next", "last", "failed", "it said"],
                "the process has no timer and no cron",
            );
        }
        "tick" => {
            let by = shared.tick().await?;
            session
                .ui
                .note(format_args!("the clock went on by {by}; a cron that nobody monitors stays away"));
        }
        "whoami" => whoami(session).await,
        "monitor" | "unmonitor" => monitor(session, name).await?,
        "more" => match session.more.is_empty() {
            true => session.ui.note("there is no more"),
            false => {
                let rest = session.more.join("\n");
                session.show_all(&rest);
            }
        },
        "json" => match &session.last {
            None => session.ui.note("nothing was evaluated yet"),
            Some(outcome) => {
                let shown = Shown::of(outcome);
                let text = serde_json::to_string_pretty(&shown).expect("outcomes are JSON");
                session.ui.answer(plain(&text), &shown);
            }
        },
        "prompt" => session.show(&shared.prompt()),
        "update" => session.ui.note(
            "a process keeps the module that it was spawned with; spawn another one to have a newer library",
        ),
        _ => {
            let names: Vec<String> = COMMANDS.iter().map(|(name, ..)| (*name).to_owned()).collect();
            let failure = Failure::usage(format!("there is no command .{name}"));
            return Err(match node::nearest(name, &names) {
                Some(near) => failure.hint(format!("did you mean .{near}?")),
                None => failure.hint("`.help` lists them"),
            });
        }
    }
    Ok(Step::Next)
}

/// A line while a script is collected.
pub async fn collect(session: &mut Session, editor: Option<&mut Editor>, line: &str) -> Result {
    match line.trim() {
        ".done" => {
            let script = end(session);
            if let Some(editor) = editor {
                editor.remember(&script);
            }
            let origin = Typed(script.clone());
            session.evaluate(Script { text: &script, file: None }, &origin).await?;
        }
        ".cancel" => {
            end(session);
        }
        ".delete" => {
            session.collected.pop();
        }
        ".print" => {
            let text = session.collected.join("\n");
            session.show(&text);
        }
        _ => session.collected.push(line.to_owned()),
    }
    Ok(())
}

fn end(session: &mut Session) -> String {
    session.shared.collecting.store(false, Ordering::Relaxed);
    std::mem::take(&mut session.collected).join("\n")
}

fn help(session: &mut Session) {
    let row =
        |(name, takes, about): &(&str, &str, &str)| vec![format!(".{name} {takes}"), (*about).to_owned()];
    let rows: Vec<Vec<String>> = COMMANDS.iter().map(row).collect();
    let keys = "Tab completes · Ctrl-R searches the history · Alt-Enter begins a new line\n\
                Ctrl-C cancels the line · Ctrl-D leaves";
    session.show(&format!("{}\n{keys}", table(&rows)));
}

fn listed(session: &mut Session, rows: Vec<Vec<String>>, head: &[&str], none: &str) {
    if rows.is_empty() {
        session.ui.note(none);
        return;
    }
    if session.ui.json {
        session.ui.answer("", &rows);
        return;
    }
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    session.show(&table(&rows));
}

async fn load_file(session: &mut Session, given: &str) -> Result {
    if given.is_empty() {
        return Err(Failure::usage("`.load` needs a file").hint(".load src/main.lua"));
    }
    evaluate(session, Bundle::read_here(Path::new(given))?).await
}

/// Evaluates files, as `.load` and `--load` do.
pub async fn evaluate(session: &mut Session, files: Bundle) -> Result {
    for doubt in files.doubts() {
        session.ui.note(format_args!("{} {doubt}", session.shared.paint.yellow("warning:")));
    }
    let text = files.text();
    session.evaluate(Script { text: &text, file: None }, &files).await
}

fn switch_dry(session: &Session, name: &str, given: &str) -> Result {
    let dry = &session.shared.dry;
    let on = match (name, given) {
        (_, "on") => true,
        (_, "off") => false,
        ("dryrun", "") | ("dry", "") => !dry.load(Ordering::Relaxed),
        _ => return Err(Failure::usage(format!("`.{name}` takes on or off")).hint(".dry on")),
    };
    dry.store(on, Ordering::Relaxed);
    session.ui.note(match on {
        true => "from now on nothing is sent and nothing is saved; `.dry off` ends that",
        false => "from now on scripts are sent",
    });
    Ok(())
}

async fn whoami(session: &mut Session) {
    let row = |name: &str, value: &str| vec![name.to_owned(), value.to_owned()];
    let mut rows =
        vec![row("wallet", &session.address()), row("process", &session.shared.process.to_string())];
    let evaluates = match session.trusted {
        Some(true) => "yes",
        Some(false) => "no: what you send lands in its inbox",
        None => "not known",
    };
    rows.push(row("evaluates for you", evaluates));
    rows.push(row("owner", session.facts.owner.as_deref().unwrap_or("not known")));
    for (name, values) in &session.facts.tags {
        for value in values {
            rows.push(row(&name.to_lowercase(), value));
        }
    }
    let messenger = match &session.authority {
        Some(authority) => match session.facts.trusts(authority) {
            Some(true) => format!("{authority}, which the process trusts"),
            Some(false) => format!("{authority}, which the process does not trust"),
            None => authority.clone(),
        },
        None => "does not say who it is".to_owned(),
    };
    rows.push(row("messenger", &messenger));
    let value: Vec<_> = rows.iter().map(|row| serde_json::json!({"name": row[0], "value": row[1]})).collect();
    match session.ui.json {
        true => session.ui.answer("", &value),
        false => session.show(&plain(&table(&rows))),
    }
}

async fn monitor(session: &Session, name: &str) -> Result {
    let process = session.shared.process;
    // As aoconnect makes them: no tags, or it would be a message.
    let draft = Draft {
        target: Some(process.0),
        anchor: Some(anchor()),
        data: Bytes::from_static(b" "),
        ..Draft::default()
    };
    let item = DataItem::sign(session.wallet(), draft).context(Code::WALLET, "could not sign")?;
    let mu = &session.shared.clients.mu;
    match name {
        "monitor" => {
            mu.monitor(item).await?;
            session.ui.note("the messenger runs the process's cron from now on");
        }
        _ => {
            mu.unmonitor(item).await?;
            session.ui.note("the messenger runs the process's cron no longer");
        }
    }
    Ok(())
}

/// A script from the person's own editor.
#[expect(clippy::disallowed_methods, reason = "EDITOR is a convention of the terminal")]
async fn pad(session: &mut Session, editor: Option<&mut Editor>) -> Result {
    let Some(line) = editor else {
        return Err(Failure::usage("`.pad` needs a terminal"));
    };
    let named =
        ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
    let named = named.unwrap_or_else(|| "vi".to_owned());
    // The variable may have options in it, and nothing else.
    let mut words = named.split_whitespace();
    let command = words.next().unwrap_or("vi");
    let folder = tempfile::tempdir().context(Code::FILE, "could not make a temporary folder")?;
    let file = folder.path().join("pad.lua");
    std::fs::write(&file, "").context(Code::FILE, format!("could not write {}", file.display()))?;
    let status = line.lend(|| std::process::Command::new(command).args(words).arg(&file).status());
    let status = status.context(Code::FILE, format!("could not start {command}"))?;
    let text =
        std::fs::read_to_string(&file).context(Code::FILE, format!("could not read {}", file.display()))?;
    if !status.success() || text.trim().is_empty() {
        session.ui.note("nothing was evaluated");
        return Ok(());
    }
    line.remember(text.trim_end());
    let origin = Typed(text.clone());
    session.evaluate(Script { text: &text, file: None }, &origin).await
}
