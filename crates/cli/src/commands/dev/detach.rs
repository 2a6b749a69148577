//! A development network in the background: started, waited for, and left alone.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use unit::Code;

use crate::commands::node::units_table;
use crate::error::{Context as _, Failure, Result};
use crate::registry::Registry;
use crate::ui::Ui;

/// Bytes of a log that are searched for why a network did not start.
const TAIL: usize = 64 * 1024;

/// Starts the same command in a session of its own, and says where everything is as soon as it is ready.
pub async fn start(ui: Ui) -> Result {
    let (log, file) = Registry::open()?.log_file()?;
    let mut arguments: Vec<OsString> =
        std::env::args_os().skip(1).filter(|argument| argument != "--detach").collect();
    if !ui.json {
        arguments.push("--json".into());
    }
    let program = std::env::current_exe().context(Code::DOES_NOT_START, "could not find this program")?;
    let child = Command::new(program)
        .args(arguments)
        .arg("--detached")
        .arg(&log)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(file)
        .spawn()
        .context(Code::DOES_NOT_START, "could not start a network in the background")?;
    let waits = tokio::task::spawn_blocking(move || ready(child, &log));
    let (said, log) = waits.await.context(Code::INTERNAL, "could not wait for the network")??;
    let value: serde_json::Value =
        serde_json::from_str(&said).context(Code::INTERNAL, "the network did not say where it is")?;
    ui.answer(text(&value, &log), &value);
    Ok(())
}

/// What `start` started calls this first: a session of its own, which the end of the terminal does not end.
pub fn leave_terminal() {
    // It fails for who leads a session already, which is as good.
    let _ = rustix::process::setsid();
}

/// The line that the network says when it is ready; or why it is not.
fn ready(mut child: Child, log: &Path) -> Result<(String, String)> {
    let mut said = String::new();
    let stdout = child.stdout.take().expect("it was piped");
    let read = BufReader::new(stdout).read_line(&mut said);
    read.context(Code::INTERNAL, "could not hear from the network")?;
    if !said.is_empty() {
        return Ok((said, log.display().to_string()));
    }
    let status = child.wait().context(Code::INTERNAL, "could not wait for the network")?;
    let failure = failure(log).unwrap_or_else(|| {
        let what = format!("the network ended before it was ready ({status})");
        Failure::new(Code::DOES_NOT_START, what).hint(format!("its log is {}", log.display()))
    });
    let exit = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0);
    Err(Failure { exit: exit.unwrap_or(1), ..failure })
}

/// The failure that ends a log.
fn failure(log: &Path) -> Option<Failure> {
    #[derive(Deserialize)]
    struct Said {
        error: String,
        code: String,
        hints: Vec<String>,
    }
    let bytes = std::fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL)..]);
    let said: Said = text.lines().rev().find_map(|line| serde_json::from_str(line).ok())?;
    let code = said.code.parse().ok()?;
    Some(Failure { hints: said.hints, ..Failure::new(code, said.error) })
}

fn text(ready: &serde_json::Value, log: &str) -> String {
    let network = serde_json::from_value(ready.clone()).unwrap_or_default();
    let units: String = units_table(&network).lines().map(|line| format!("  {line}\n")).collect();
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "  pirn {version} · a whole ao network in the background (pid {})\n\n{units}\n  \
         Log        {log}\n\n  `pirn status` shows it, `pirn stop` ends it",
        ready["pid"]
    )
}
