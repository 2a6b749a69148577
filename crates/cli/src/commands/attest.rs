//! `pirn attest`

use std::path::{Path, PathBuf};

use clap::Args;
use pirn_http::wire::attestation::AttestationShape;
use protocol::attestation::outcome_digest;
use protocol::history::is_consistent;
use protocol::{Attestation, ProcessId};
use unit::{Code, Compute as _, Evaluation};

use super::parse_process;
use super::result::find;
use crate::error::{Context as _, Failure, Result};
use crate::network::{Clients, Where};
use crate::ui::Ui;

/// Have a compute unit sign what came of a message, and check its word
///
/// The answer says the outcome's hash, what it cost, and its place in the append-only history of the process's
/// evaluations. With --json it can be kept: two answers of one unit that differ about one evaluation prove that it lied.
#[derive(Debug, Args)]
pub struct Attest {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    process: ProcessId,
    /// A slot, a message id or an assignment id. Default: the newest message.
    #[arg(allow_hyphen_values = true)]
    which: Option<String>,
    /// With the root of the state after it. Takes a replay, unless it is in the history already (slots 255, 511 ...).
    #[arg(long)]
    state_root: bool,
    /// Check too that the history only grew since this earlier answer (--json) of the same unit.
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    #[command(flatten)]
    at: Where,
}

impl Attest {
    /// Asks, checks, and shows.
    pub async fn run(self, ui: Ui) -> Result {
        let earlier = self.since.as_deref().map(read).transpose()?;
        let clients = self.at.clients()?;
        let id = find(&clients, self.process, self.which.as_deref()).await?;
        let now = clients.cu.attest(self.process, Evaluation::Message(id), self.state_root).await?;
        let outcome = clients.cu.result(self.process, id).await?;
        if outcome_digest(&outcome) != now.leaf.outcome {
            let what = format!("the unit signs another outcome of {id} than it answers with");
            return Err(Failure::new(Code::NOT_ATTESTED, what).hint("keep its word: --json"));
        }
        let mut lines = lines_of(&now);
        if let Some(earlier) = &earlier {
            compare(&clients, earlier, &now).await?;
            lines.push(format!("continues     the history of {} evaluations of then", earlier.size));
        }
        ui.answer(lines.join("\n"), &AttestationShape::from(&now));
        Ok(())
    }
}

fn lines_of(attestation: &Attestation) -> Vec<String> {
    let leaf = &attestation.leaf;
    let mut lines = vec![
        format!("slot          {} of {}", leaf.slot, leaf.process),
        format!("assignment    {}", leaf.assignment),
        format!("outcome       {}", leaf.outcome),
        format!("gas           {} (schedule {})", leaf.gas, leaf.gas_schedule),
    ];
    if let Some(root) = leaf.state_root.or(attestation.state_root) {
        lines.push(format!("state root    {root}"));
    }
    lines.push(format!(
        "history       {} of {}, root {}",
        attestation.index, attestation.size, attestation.root
    ));
    lines.push(format!("signed by     {}", attestation.signer()));
    lines
}

/// An answer that was kept.
fn read(path: &Path) -> Result<Attestation> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).context(Code::FILE, format!("could not read {shown}"))?;
    let shape = serde_json::from_str::<AttestationShape>(&text);
    let shape = shape.context(Code::NOT_ATTESTED, format!("{shown} is no answer of `pirn attest --json`"))?;
    Ok(shape.read()?)
}

/// Whether the unit still stands by what it said.
async fn compare(clients: &Clients, earlier: &Attestation, now: &Attestation) -> Result<()> {
    let process = now.leaf.process;
    if (earlier.signer(), earlier.leaf.process) != (now.signer(), process) {
        let what = format!(
            "the earlier answer is of process {} and signed by {}",
            earlier.leaf.process,
            earlier.signer()
        );
        return Err(
            Failure::new(Code::NOT_ATTESTED, what).hint("compare answers of one unit about one process")
        );
    }
    let broken =
        |what: String| Failure::new(Code::NOT_ATTESTED, what).hint("keep both answers: they prove it");
    if earlier.contradicts(now) {
        return Err(broken(format!("the unit said otherwise of slot {} before", now.leaf.slot)));
    }
    if earlier.size > now.size {
        let what = format!("the history had {} evaluations and has {} now", earlier.size, now.size);
        return Err(broken(what));
    }
    let path = match earlier.size == now.size {
        true => Vec::new(),
        false => clients.cu.consistency(process, earlier.size, now.size).await?,
    };
    match is_consistent((earlier.size, earlier.root), (now.size, now.root), &path) {
        true => Ok(()),
        false => {
            Err(broken(format!("the history of now does not continue that of {} evaluations", earlier.size)))
        }
    }
}
