//! A conversation with one process: what it knows, and what it does with a script.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::{Id, Item, Outcome, ProcessId, Wallet, tag};
use unit::{Code, Messenger as _, Scheduler as _, Weave as _};

use crate::commands::Shown;
use crate::error::{Failure, Result};
use crate::evaluate::{Script, carry, dry, sign};
use crate::network::Clients;
use crate::render::{self, Origin, Paint};
use crate::ui::Ui;

/// Lines of an answer that a terminal is shown at once; `.more` shows the next.
const SHOWN_LINES: usize = 100;
/// Messages of this session that are remembered, to tell their outcomes from others'.
const OWN_MAX: usize = 1_000;

/// What the line editor, completion, the live inbox and the session have in common.
pub struct Shared {
    /// The network.
    pub clients: Clients,
    /// With whom.
    pub process: ProcessId,
    /// How text is painted.
    pub paint: Paint,
    /// The line before the cursor.
    prompt: Mutex<String>,
    /// As whom the process is asked what it has.
    reader: Mutex<String>,
    /// Outcomes seen; the process may have other names after each.
    generation: AtomicU64,
    /// Bytes of memory that the process had after the newest of them; 0 where it is not known.
    held: AtomicU64,
    /// Messages that this session sent.
    own: Mutex<VecDeque<Id>>,
    /// Whether news are shown.
    pub live: AtomicBool,
    /// Whether scripts are evaluated without being sent.
    pub dry: AtomicBool,
    /// Whether lines are collected for one script.
    pub collecting: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nobody leaves a half-made value behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The line before the cursor, as the process last wanted it.
    pub fn prompt(&self) -> String {
        lock(&self.prompt).clone()
    }

    /// Whose eyes the process is read with.
    pub fn reader(&self) -> String {
        lock(&self.reader).clone()
    }

    /// How many outcomes were seen.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Whether this session sent that message.
    pub fn is_own(&self, message: Id) -> bool {
        lock(&self.own).contains(&message)
    }

    /// Bytes of memory that the process had after the newest outcome.
    fn held(&self) -> Option<u64> {
        Some(self.held.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// Takes note of an outcome of the process.
    pub fn saw(&self, outcome: &Outcome) {
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.held.store(outcome.memory_bytes, Ordering::Relaxed);
        if let Some(prompt) = render::prompt(outcome, self.paint) {
            *lock(&self.prompt) = prompt;
        }
    }

    fn sent(&self, message: Id) {
        let mut own = lock(&self.own);
        if own.len() >= OWN_MAX {
            own.pop_front();
        }
        own.push_back(message);
    }
}

/// What is known of a process from its item.
#[derive(Debug, Default, Clone)]
pub struct Facts {
    /// Who may evaluate.
    pub owner: Option<String>,
    /// The tags that matter, by name.
    pub tags: Vec<(&'static str, Vec<String>)>,
}

impl Facts {
    fn of(item: &Item) -> Facts {
        let names = ["Name", tag::VARIANT, tag::MODULE, tag::SCHEDULER, tag::AUTHORITY];
        let all = |name: &'static str| (name, item.tags.all(name).map(str::to_owned).collect());
        // A process that another one spawned belongs to that one.
        let owner = item.tags.first("From-Process").map(str::to_owned);
        Facts {
            owner: Some(owner.unwrap_or_else(|| item.address().to_string())),
            tags: names.map(all).into(),
        }
    }

    /// Whether the process believes what a messenger of that address brings. `None` where its tags are not known.
    pub fn trusts(&self, authority: &str) -> Option<bool> {
        let (_, authorities) = self.tags.iter().find(|(name, _)| *name == tag::AUTHORITY)?;
        Some(authorities.iter().any(|value| value.split(',').any(|one| one.trim() == authority)))
    }
}

/// One conversation.
pub struct Session {
    /// What others may see of it.
    pub shared: Arc<Shared>,
    /// How people are told.
    pub ui: Ui,
    /// Whether a person sits at a terminal.
    pub interactive: bool,
    /// What is known of the process.
    pub facts: Facts,
    /// The messenger unit's wallet, where it says it.
    pub authority: Option<String>,
    /// Whether the process evaluates what this wallet sends.
    pub trusted: Option<bool>,
    wallet: Wallet,
    /// The newest outcome, for `.json`.
    pub last: Option<Arc<Outcome>>,
    /// Lines that were not shown yet.
    pub more: Vec<String>,
    /// Lines of a script that is being collected.
    pub collected: Vec<String>,
}

impl Session {
    /// Gets to know the process. Nothing is sent to it.
    pub async fn open(
        clients: Clients,
        wallet: Wallet,
        process: ProcessId,
        ui: Ui,
        interactive: bool,
    ) -> Result<Session> {
        let address = wallet.address().to_string();
        let short: String = process.to_string().chars().take(8).collect();
        let shared = Shared {
            clients,
            process,
            paint: crate::ui::paint(),
            prompt: Mutex::new(format!("{short}> ")),
            reader: Mutex::new(address.clone()),
            generation: AtomicU64::new(0),
            held: AtomicU64::new(0),
            own: Mutex::default(),
            live: AtomicBool::new(interactive),
            dry: AtomicBool::new(false),
            collecting: AtomicBool::new(false),
        };
        let shared = Arc::new(shared);
        let mut session = Session {
            shared,
            ui,
            interactive,
            facts: Facts::default(),
            authority: None,
            trusted: None,
            wallet,
            last: None,
            more: Vec::new(),
            collected: Vec::new(),
        };
        session.meet(&address).await?;
        Ok(session)
    }

    async fn meet(&mut self, address: &str) -> Result {
        let shared = self.shared.clone();
        match shared.evaluates_for(address).await {
            Ok((trusted, prompt)) => {
                self.trusted = Some(trusted);
                self.take_prompt(prompt.filter(|_| trusted));
            }
            // It has no time for dry runs now, or never; scripts can be sent all the same.
            Err(failure) if [Code::BUSY, Code::FORBIDDEN, Code::REFUSED].contains(&failure.code) => {
                self.ui.note(format_args!("the process could not be looked at: {}", failure.what));
            }
            Err(failure) => return Err(failure),
        }
        self.facts = self.facts_of_process().await;
        self.authority = shared.clients.mu.address().await.ok().map(|address| address.to_string());
        let Some(owner) = self.facts.owner.clone().filter(|_| self.trusted == Some(false)) else {
            return Ok(());
        };
        if owner != address
            && let Ok((true, prompt)) = shared.evaluates_for(&owner).await
        {
            *lock(&shared.reader) = owner;
            self.take_prompt(prompt);
        }
        Ok(())
    }

    fn take_prompt(&self, prompt: Option<String>) {
        if let Some(prompt) = prompt {
            *lock(&self.shared.prompt) = prompt;
        }
    }

    /// From its scheduler, or else from the weave; nothing where neither knows it.
    async fn facts_of_process(&self) -> Facts {
        let Clients { su, gateway, .. } = &self.shared.clients;
        if let Ok(record) = su.process(self.shared.process).await {
            return Facts::of(&record.item);
        }
        let found = gateway.get(self.shared.process.0).await;
        found.map(|found| Facts::of(&found.item)).unwrap_or_default()
    }

    /// Why what is sent will not be believed, before it is sent.
    pub fn warnings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let paint = self.shared.paint;
        let process = self.shared.process;
        if self.trusted == Some(false) {
            let owner = match &self.facts.owner {
                Some(owner) => format!("; it belongs to {owner}"),
                None => String::new(),
            };
            let what = format!("{process} does not evaluate what {} sends{owner}", self.wallet.address());
            lines.push(format!("{} {what}", paint.yellow("warning:")));
            lines.push("hint: --wallet FILE says who you are; `.dry on` looks without sending".to_owned());
        }
        let brought = self.authority.as_ref().and_then(|it| Some((it, self.facts.trusts(it)?)));
        if let Some((authority, false)) = brought {
            let what = format!("{process} does not trust what this messenger brings from other processes");
            lines.push(format!("{} {what}", paint.yellow("warning:")));
            lines.push(format!(
                "hint: spawn it with the tag Authority={authority}; `.whoami` shows whom it trusts"
            ));
        }
        lines
    }

    /// The address that signs.
    pub fn address(&self) -> String {
        self.wallet.address().to_string()
    }

    /// The wallet that signs.
    pub fn wallet(&self) -> &Wallet {
        &self.wallet
    }

    /// Evaluates a script and shows what came of it.
    pub async fn evaluate(&mut self, script: Script<'_>, origin: &dyn Origin) -> Result {
        let shared = self.shared.clone();
        let is_dry = shared.dry.load(Ordering::Relaxed);
        let done = if is_dry {
            let reader = shared.reader();
            let run = dry(&shared.clients, shared.process, &reader, script);
            self.unless_cancelled(run, None).await?
        } else {
            let item = sign(&self.wallet, shared.process, script)?;
            shared.sent(item.id);
            let id = item.id;
            self.unless_cancelled(carry(&shared.clients, shared.process, item), Some(id)).await?
        };
        let outcome = &done.outcome;
        let held = shared.held();
        if !is_dry {
            shared.saw(outcome);
        }
        self.last = Some(outcome.clone());
        let failure = render::failure(outcome, origin);
        if self.ui.json {
            self.ui.answer("", &Shown::of(outcome));
        } else if failure.is_none() {
            self.show(&render::output(outcome, shared.paint));
        }
        let saved = if is_dry { " · dry run: nothing was saved" } else { "" };
        let cost = format!("{}{saved}", done.cost.show(outcome, held));
        match failure {
            // The failure is what is read last.
            Some(failure) => {
                self.ui.note(shared.paint.dim(&cost));
                Err(failure)
            }
            None => {
                self.ui.note(shared.paint.dim(&cost));
                Ok(())
            }
        }
    }

    /// Ctrl-C ends the waiting, not the session.
    async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T>>,
        sent: Option<Id>,
    ) -> Result<T> {
        if !self.interactive {
            return work.await;
        }
        tokio::select! {
            biased;
            done = work => done,
            _ = tokio::signal::ctrl_c() => {
                let failure = Failure::new(Code::BUSY, "no longer waiting for the answer");
                Err(match sent {
                    Some(id) => failure.hint(format!("the message may be evaluated all the same: {id}")),
                    None => failure.hint("nothing was sent"),
                })
            }
        }
    }

    /// Shows an answer; a terminal gets the beginning of a long one, and of deep tables what is above.
    pub fn show(&mut self, text: &str) {
        if !self.interactive {
            if !text.is_empty() {
                self.ui.answer(text, &text);
            }
            return;
        }
        let Some(folded) = render::fold(text) else { return self.show_all(text) };
        self.show_all(&folded);
        self.ui.note(self.shared.paint.dim("deep tables are folded: `.more` shows all"));
        self.more = text.lines().map(str::to_owned).collect();
    }

    /// Shows an answer as it is; a terminal gets the beginning of a long one.
    pub fn show_all(&mut self, text: &str) {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let rest = lines.split_off(lines.len().min(SHOWN_LINES));
        if !lines.is_empty() {
            self.ui.answer(lines.join("\n"), &text);
        }
        if !rest.is_empty() {
            let note = format!("{} more lines: `.more`", rest.len());
            self.ui.note(self.shared.paint.dim(&note));
        }
        self.more = rest;
    }
}
