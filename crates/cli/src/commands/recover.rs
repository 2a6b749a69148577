//! `pirn recover`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use protocol::{DataItem, ProcessId, Slot, ans104};
use serde::Serialize;
use unit::{
    Code, Compute as _, HeldProcess, HeldQuery, Hold, Messenger as _, Order, Recovery as _, RecoveryState,
    Scheduler as _, SlotRange, Tail,
};

use super::parse_process;
use crate::error::{Context as _, Failure, Result};
use crate::network::{Signer, Where};
use crate::ui::{Ui, moment, table};

/// Processes of one page.
const PAGE: usize = 1000;

/// Show what a scheduler may have forgotten, and let it go on
///
/// A scheduler that lost its disk, or was restored from a backup, schedules nothing until its operator says that what it
/// knows of a process is all that was ever visible. It reads from the weave what it settled there.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Recover {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only this process: its id, or its name in the project here.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    process: Option<ProcessId>,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Have the weave read again, for one process or for all
    Restore(Restore),
    /// Show the scheduler slots that it may have forgotten: a file of `pirn bundle`, or any ANS-104 bundle of assignments
    /// and messages
    Adopt(Adopt),
    /// Say that what is known of a process is all that was visible: it goes on
    Confirm(Confirm),
    /// Have what a process sent pushed again by a messenger that lost its queue
    Push(Push),
}

#[derive(Debug, Args)]
struct Restore {
    /// Only this process.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    process: Option<ProcessId>,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
struct Adopt {
    /// The file.
    file: PathBuf,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
struct Confirm {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process, allow_hyphen_values = true, required_unless_present = "all", conflicts_with = "all")]
    process: Option<ProcessId>,
    /// All processes, also those that the scheduler does not know.
    #[arg(long)]
    all: bool,
    /// Refuse, unless this is the newest slot that is known.
    #[arg(long, value_name = "SLOT", conflicts_with = "all")]
    at: Option<u64>,
    /// More may have been visible, and is given up: what others saw beyond the tail counts no more, and the schedule goes
    /// on in a new epoch. Compute units that evaluated such slots have to begin again with this process.
    #[arg(long)]
    new_epoch: bool,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    network: Where,
}

#[derive(Debug, Args)]
struct Push {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    process: ProcessId,
    /// From this slot on.
    #[arg(long, value_name = "SLOT", default_value_t = 1)]
    from: u64,
    /// Also spawn what was to be spawned. A spawn that was done before is done twice: nobody can tell.
    #[arg(long)]
    spawns: bool,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Default, Serialize)]
struct Pushed {
    slots: u64,
    messages: u64,
    passed_over: u64,
}

impl Recover {
    /// Shows, or does.
    pub async fn run(self, ui: Ui) -> Result {
        match self.action {
            Some(Action::Restore(restore)) => return restore.run(ui).await,
            Some(Action::Adopt(adopt)) => return adopt.run(ui).await,
            Some(Action::Confirm(confirm)) => return confirm.run(ui).await,
            Some(Action::Push(push)) => return push.run(ui).await,
            None => {}
        }
        let su = self.at.clients()?.su;
        let mut state = su.recovery(HeldQuery { only: self.process, after: None, limit: PAGE }).await?;
        while state.has_next {
            let after = state.held.last().map(|held| held.process);
            let more = su.recovery(HeldQuery { only: None, after, limit: PAGE }).await?;
            state.held.extend(more.held);
            state.has_next = more.has_next;
        }
        ui.answer(shown(&state), &state);
        Ok(())
    }
}

fn shown(state: &RecoveryState) -> String {
    let mut rows = vec![vec!["Scheduler".to_owned(), state.scheduler.to_string()]];
    let all = match state.general {
        Some(hold) => format!("held since {}: {}", moment(hold.since.0), hold.why.says()),
        None => "not held".to_owned(),
    };
    rows.push(vec!["All".to_owned(), all]);
    let restoring = &state.restoring;
    if state.general.is_some() || restoring.rounds > 0 {
        let stands = if restoring.running { "being read" } else { "read" };
        let what = format!("{stands}: {} processes, {} slots", restoring.processes, restoring.slots);
        rows.push(vec!["Weave".to_owned(), what]);
    }
    let mut text = table(&rows);
    for problem in &restoring.problems {
        text.push_str(&format!("\nproblem: {}", problem.what));
    }
    for held in &state.held {
        text.push_str(&format!("\n\n{}", one(held)));
    }
    text
}

fn one(held: &HeldProcess) -> String {
    let HeldProcess { process, hold, tail, assignment, epoch, shown, missing } = held;
    let row = |name: &str, what: String| vec![name.to_owned(), what];
    let stands = match hold {
        Some(Hold { why, since }) => format!("held since {}: {}", moment(since.0), why.says()),
        None => "not held".to_owned(),
    };
    let tail = match (tail, assignment) {
        (Some(tail), Some(assignment)) => format!("slot {tail}, assignment {assignment}"),
        _ => "none of its slots is known".to_owned(),
    };
    let mut rows = vec![row("Process", process.to_string()), row("", stands), row("Tail", tail)];
    if *epoch > 0 {
        rows.push(row("Epoch", epoch.to_string()));
    }
    if let Some(shown) = shown {
        let list: Vec<String> = missing.iter().map(Slot::to_string).collect();
        let missing = match list.is_empty() {
            true => "a message up to there is missing".to_owned(),
            false => format!("missing before: {}", list.join(", ")),
        };
        rows.push(row("Shown", format!("slot {shown}; {missing}")));
    }
    table(&rows)
}

impl Restore {
    async fn run(self, ui: Ui) -> Result {
        let su = self.at.clients()?.su;
        let now = su.now().await?.timestamp;
        let order = Order::Restore { process: self.process, now };
        let done = su.order(sign(&self.signer, order)?).await?;
        ui.answer("the weave is being read: `pirn recover` shows how far it is", &done);
        Ok(())
    }
}

impl Adopt {
    async fn run(self, ui: Ui) -> Result {
        let bytes = std::fs::read(&self.file).context(Code::FILE, self.file.display())?;
        let read = ans104::parse_bundle(bytes.into());
        let items = read.context(Code::NOT_AN_ITEM, self.file.display())?;
        // A module is not what anybody has to be shown.
        let items: Vec<DataItem> = items.into_iter().filter(|item| item.kind() != Some("Module")).collect();
        let done = self.at.clients()?.su.adopt(items).await?;
        let text = format!(
            "{} slots adopted, {} known already, {} wait for others, {} given up earlier",
            done.adopted, done.known, done.kept, done.void
        );
        ui.answer(text, &done);
        Ok(())
    }
}

impl Confirm {
    async fn run(self, ui: Ui) -> Result {
        let su = self.network.clients()?.su;
        let state = su.recovery(HeldQuery { only: self.process, after: None, limit: 1 }).await?;
        let not_held = |what: &str| {
            Failure::new(Code::NOT_THE_TAIL, what.to_owned()).hint("`pirn recover` shows what is held")
        };
        let tail = if self.new_epoch { Tail::Ended } else { Tail::Whole };
        let order = match self.process {
            None => {
                let hold = state.general.ok_or_else(|| not_held("there is no hold of all processes"))?;
                Order::Confirm { process: None, at: None, since: hold.since, tail }
            }
            Some(process) => {
                let held = state.held.first();
                let hold = held.and_then(|held| held.hold);
                let hold = hold.ok_or_else(|| not_held("the process is not held"))?;
                // What was looked at is what is confirmed.
                let at = self.at.map(Slot).or(held.and_then(|held| held.tail));
                Order::Confirm { process: Some(process), at, since: hold.since, tail }
            }
        };
        let done = su.order(sign(&self.signer, order)?).await?;
        let text = match (self.process, done.released) {
            (Some(process), _) => format!("{process} goes on"),
            (None, n) => format!("all go on; {n} are known here"),
        };
        ui.answer(text, &done);
        Ok(())
    }
}

impl Push {
    async fn run(self, ui: Ui) -> Result {
        let clients = self.at.clients()?;
        let mut pushed = Pushed::default();
        let mut after = self.from.checked_sub(1).map(Slot);
        loop {
            let range = SlotRange::Slots { after, to: None };
            let page = clients.su.schedule_page(self.process, range, PAGE).await?;
            for entry in &page.items {
                let message = entry.message_id();
                after = Some(entry.assignment.slot);
                let outcome = clients.cu.result(self.process, message).await?;
                let (messages, spawns) = (outcome.messages.len(), outcome.spawns.len());
                if messages + spawns + outcome.assignments.len() == 0 {
                    continue;
                }
                pushed.slots += 1;
                pushed.messages += messages as u64;
                if spawns == 0 || self.spawns {
                    clients.mu.push(self.process, message, None).await?;
                    continue;
                }
                pushed.passed_over += spawns as u64;
                for index in 0..messages {
                    clients.mu.push(self.process, message, Some(index)).await?;
                }
            }
            if !page.has_next {
                break;
            }
        }
        let text = format!("{} messages of {} slots are pushed again", pushed.messages, pushed.slots);
        ui.answer(text, &pushed);
        if pushed.passed_over > 0 {
            ui.note(format!("{} spawns were passed over: --spawns does them as well", pushed.passed_over));
        }
        Ok(())
    }
}

fn sign(signer: &Signer, order: Order) -> Result<DataItem> {
    DataItem::sign(&signer.wallet()?, order.draft()).context(Code::WALLET, "the order cannot be signed")
}
