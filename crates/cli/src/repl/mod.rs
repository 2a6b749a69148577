//! `pirn repl`: a conversation with a process.
//!
//! A client of the public interface like any other. On a terminal a person is served by [`edit`]; from a pipe
//! another program is. Both go through [`session`], which evaluates, and [`dot`], which does what aos's dot commands do.

mod complete;
mod cron;
mod dot;
mod edit;
mod handlers;
mod highlight;
mod inbox;
mod load;
mod lua;
mod names;
mod session;

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use protocol::{ProcessId, Wallet};
use reedline::ExternalPrinter;
use tokio::task::block_in_place;
use unit::Code;

use self::dot::Step;
use self::edit::{Editor, Read};
use self::session::Session;
use crate::bundle::Bundle;
use crate::error::{Context as _, Failure, Result};
use crate::evaluate::Script;
use crate::network::Clients;
use crate::render::Typed;
use crate::ui::Ui;

/// Bytes of one script from a pipe. A process would not take a larger message.
const SCRIPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Talks to a process until the input ends; `files` are evaluated first.
pub async fn run(clients: Clients, wallet: Wallet, process: ProcessId, files: &[PathBuf], ui: Ui) -> Result {
    let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut session = Session::open(clients, wallet, process, ui, interactive).await?;
    for line in session.warnings() {
        ui.note(line);
    }
    for file in files {
        let done = match Bundle::read_here(file) {
            Ok(files) => dot::evaluate(&mut session, files).await,
            Err(failure) => Err(failure),
        };
        match done {
            Err(failure) if interactive => ui.failed(&failure),
            done => done?,
        }
    }
    match interactive {
        true => converse(session).await,
        false => read_through(session).await,
    }
}

/// With a person, until they leave. What fails is told, and the next line may do better.
async fn converse(mut session: Session) -> Result {
    let ui = session.ui;
    let printer = ExternalPrinter::new(inbox::WAITING_MAX);
    let news = tokio::spawn(inbox::follow(session.shared.clone(), printer.sender()));
    let mut editor = Editor::open(session.shared.clone(), printer)?;
    ui.note(session.shared.paint.dim("`.help` lists the commands; Ctrl-D leaves"));
    loop {
        let line = match block_in_place(|| editor.read())? {
            Read::Line(line) => line,
            Read::Cancelled => continue,
            Read::End => break,
        };
        match step(&mut session, Some(&mut editor), &line).await {
            Ok(Step::Next) => {}
            Ok(Step::Leave) => break,
            Err(failure) => ui.failed(&failure),
        }
    }
    news.abort();
    Ok(())
}

/// From a pipe: scripts as they would be typed. The first that fails ends it.
async fn read_through(mut session: Session) -> Result {
    let compiler = lua::Compiler;
    let mut script = String::new();
    loop {
        let mut line = Vec::new();
        let read = block_in_place(|| std::io::stdin().lock().read_until(b'\n', &mut line));
        let ended = read.context(Code::FILE, "could not read stdin")? == 0;
        let line = String::from_utf8_lossy(&line);
        let is_whole = script.is_empty() && (line.starts_with('.') || is_collecting(&session));
        script.push_str(&line);
        if script.len() > SCRIPT_BYTES_MAX {
            let what = format!("a script on stdin has over {SCRIPT_BYTES_MAX} bytes");
            return Err(Failure::new(Code::TOO_LARGE, what).hint("upload data to the weave and send its id"));
        }
        if !ended && !is_whole && compiler.is_unfinished(&script) {
            continue;
        }
        let whole = std::mem::take(&mut script);
        let whole = whole.strip_suffix('\n').unwrap_or(&whole);
        let whole = whole.strip_suffix('\r').unwrap_or(whole);
        if step(&mut session, None, whole).await? == Step::Leave || ended {
            break;
        }
    }
    if is_collecting(&session) {
        return Err(
            Failure::usage("stdin ended inside `.editor`").hint("`.done` evaluates what was collected")
        );
    }
    Ok(())
}

fn is_collecting(session: &Session) -> bool {
    session.shared.collecting.load(std::sync::atomic::Ordering::Relaxed)
}

/// One line, or several that belong together.
async fn step(session: &mut Session, editor: Option<&mut Editor>, line: &str) -> Result<Step> {
    if is_collecting(session) {
        dot::collect(session, editor, line).await?;
        return Ok(Step::Next);
    }
    if line.starts_with('.') {
        return dot::run(session, editor, line).await;
    }
    if line.trim().is_empty() {
        return Ok(Step::Next);
    }
    let origin = Typed(line.to_owned());
    session.evaluate(Script { text: line, file: None }, &origin).await?;
    Ok(Step::Next)
}
