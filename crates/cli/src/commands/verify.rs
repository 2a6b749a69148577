//! `pirn verify`

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use archive::BundleFile;
use clap::Args;
use protocol::ProcessId;
use runtime_wasm::{Options, WasmRuntime};
use store::{Blobs, DiskBlobs, DiskStore, MemoryBlobs, MemoryStore, Store};
use unit::{Code, Compute, Weave};
use verify::{Finding, Ports, Progress, Report};

use super::parse_process;
use crate::error::{Context as _, Failure, Result};
use crate::folders;
use crate::network::Where;
use crate::ui::Ui;

/// Check a process from the weave alone: every signature, its whole schedule, and every outcome
///
/// The log is read from the gateway, verified, and evaluated again on this computer; each outcome is compared with what
/// the compute unit claims. Nobody is believed. It goes on where it ended the last time.
#[derive(Debug, Args)]
pub struct Verify {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    process: ProcessId,
    /// Read the log from a file that `pirn bundle` wrote; what it lacks, from the gateway.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Compare with no compute unit: check only that the log is whole and signed, and can be evaluated.
    #[arg(long)]
    no_claims: bool,
    /// Begin with slot 0 again.
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    at: Where,
}

impl Verify {
    /// Verifies it. Fails if something does not hold.
    pub async fn run(self, ui: Ui) -> Result {
        let clients = self.at.clients()?;
        let gateway: Arc<dyn Weave> = Arc::new(clients.gateway);
        let (weave, store, blobs): (_, Arc<dyn Store>, Arc<dyn Blobs>) = match &self.file {
            Some(file) => {
                let bytes = std::fs::read(file).context(Code::FILE, file.display())?;
                let weave: Arc<dyn Weave> = Arc::new(BundleFile::read(bytes.into(), Some(gateway))?);
                (weave, Arc::new(MemoryStore::new()), Arc::new(MemoryBlobs::new()))
            }
            None => {
                let folder = folders::state()?.join("verify").join(self.process.to_string());
                if self.again && folder.exists() {
                    std::fs::remove_dir_all(&folder).context(Code::FILE, folder.display())?;
                }
                let of_store = |error: store::Error| Failure::new(Code::STORE, error);
                let store =
                    DiskStore::open(folder.join("log"), store::Options::default()).map_err(of_store)?;
                let blobs = DiskBlobs::open(folder.join("blobs")).map_err(of_store)?;
                (gateway, Arc::new(store), Arc::new(blobs))
            }
        };
        let cache = folders::state()?.join("modules");
        let options = Options { cache: Some(cache), ..Options::default() };
        let runtime = WasmRuntime::new(options).context(Code::DOES_NOT_START, "could not start")?;
        let compute_url = clients.urls.get("cu").cloned().unwrap_or_default();
        let claims: Option<Arc<dyn Compute>> = (!self.no_claims).then(|| Arc::new(clients.cu) as _);
        let ports = Ports {
            weave,
            claims,
            store,
            blobs,
            clock: node::system_clock(),
            runtimes: vec![Arc::new(runtime)],
        };
        let shows = !ui.json && std::io::stderr().is_terminal();
        let began = tokio::time::Instant::now();
        let tell = |progress| {
            if shows {
                show(progress);
            }
        };
        let report = verify::verify(ports, self.process, &tell).await;
        if shows {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
        let report = report?;
        let seconds = began.elapsed().as_secs_f64();
        if let Some(finding) = &report.finding {
            if ui.json {
                ui.answer("", &report);
            }
            return Err(failure(&report, finding));
        }
        let checked = report.slots - report.resumed;
        ui.answer(text(&report, &compute_url), &report);
        ui.note(format!("{checked} slots in {seconds:.1} s, {:.0}/s", checked as f64 / seconds.max(0.001)));
        Ok(())
    }
}

fn show(Progress { slots, of }: Progress) {
    const WIDTH: u64 = 30;
    let done = (slots * WIDTH / of.max(1)) as usize;
    let bar: String = (0..WIDTH as usize).map(|at| if at < done { '█' } else { '░' }).collect();
    let _ = write!(std::io::stderr(), "\r{bar} {slots} of {of} slots");
}

fn text(report: &Report, compute_url: &str) -> String {
    let Report { process, slots, resumed, compared, .. } = report;
    let mut lines = vec![format!("{process} holds: {slots} slots, signed and in one chain")];
    if *resumed > 0 {
        lines.push(format!("  {resumed} of them were checked before (--again checks them again)"));
    }
    if *compared > 0 {
        lines.push(format!("  {compared} outcomes are what {compute_url} claims"));
    }
    if let Some(memory) = &report.memory {
        lines.push(format!("  memory after slot {}: sha256 {memory}", slots.saturating_sub(1)));
    }
    lines.join("\n")
}

fn failure(report: &Report, finding: &Finding) -> Failure {
    let what = format!("{} does not hold: slot {}: {}", report.process, finding.slot, finding.what);
    let mut failure = Failure::new(Code::DOES_NOT_HOLD, what)
        .hint(format!("the {} slots before it hold; --json has everything", finding.slot));
    if let (Some(expected), Some(claimed)) = (&finding.expected, &finding.claimed) {
        let pretty = |value| serde_json::to_string_pretty(value).expect("a value is always JSON");
        let (expected, claimed) = (pretty(expected), pretty(claimed));
        let diff = similar::TextDiff::from_lines(&expected, &claimed);
        let diff = diff.unified_diff().header("what comes of the log", "what is claimed").to_string();
        failure.frame = Some(diff.trim_end().to_owned());
    }
    failure
}
