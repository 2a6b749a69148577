//! `pirn feed`
//!
//! A feeder's life is rounds: send again what is signed and not acknowledged, ask the source, and say what is new. What
//! is signed is on the disk before it is sent, and the same bytes are sent until the messenger has them, so nothing is
//! said twice, whenever this is killed.

mod position;
mod source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use pirn_http::client::{Options, Transport};
use protocol::{DataItem, Draft, MessageId, ProcessId, Tag, Wallet, id};
use serde::{Deserialize, Serialize};
use unit::{Code, Messenger as _, Scheduler as _};

use self::position::{Pending, Position, Said};
use super::{ao_tags, parse_process};
use crate::error::{Context as _, Failure, Result};
use crate::network::{Clients, Signer, Where};
use crate::project::FILE;
use crate::ui::{Ui, span};

/// Bytes of a source's answer.
const ANSWER_MAX: usize = 1024 * 1024;
/// Milliseconds until a source must have answered, all of it.
const ANSWER_MS: u64 = 30_000;
/// Milliseconds between rounds that fail: from the first, twice as many each time.
const WAIT_MS: u64 = 1_000;
/// At most so many.
const WAIT_MS_MAX: u64 = 300_000;
/// Milliseconds between rounds, if nothing else is said; after so many rounds an unchanged value is said again.
const EVERY_MS: u64 = 60_000;
const HEARTBEAT_ROUNDS: u64 = 10;

/// Say in a process what a source outside says: poll JSON over HTTP, sign what is new, and send it until it has arrived
///
/// The message is `Action: Feed` with `Feed-Name`, `Feed-Value`, `Feed-Time` (milliseconds, by the scheduler's clock) and
/// `Feed-Sequence`, which grows. A value that did not change is said again after the heartbeat. Where the feed has got to
/// is in a file: whoever is killed and started again repeats nothing.
#[derive(Debug, Args)]
pub struct Feed {
    /// What the feed is called: its `Feed-Name`, and `[feeds.NAME]` of pirn.toml, if there is one. Flags go before the file.
    name: String,
    /// Where the source is. https, or http on this computer.
    #[arg(long)]
    url: Option<String>,
    /// Where in its JSON the value is: a JSON pointer, such as /data/price
    #[arg(long, value_name = "POINTER", allow_hyphen_values = true)]
    pick: Option<String>,
    /// Which process hears it: its id, or its name in the project here.
    #[arg(long, allow_hyphen_values = true)]
    process: Option<String>,
    /// How often the source is asked: 500ms, 10s, 5m, 1h. 1m if nothing says otherwise.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    every: Option<u64>,
    /// After how long an unchanged value is said again. Ten rounds if nothing says otherwise.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    heartbeat: Option<u64>,
    /// Say a number as a whole one: times ten to the power of this. Digits after that are cut off.
    #[arg(long, value_name = "DIGITS", value_parser = clap::value_parser!(u8).range(0..=30))]
    scale: Option<u8>,
    /// The file that keeps where the feed has got to. `.pirn/feeds/NAME-PROCESS.json` if nothing says otherwise.
    #[arg(long, value_name = "FILE")]
    position: Option<PathBuf>,
    /// Ask the source once, send what is due, and end.
    #[arg(long)]
    once: bool,
    /// Believe a source by http that is elsewhere: whoever is between can say what they like.
    #[arg(long)]
    allow_http: bool,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    at: Where,
}

/// `[feeds.NAME]` of pirn.toml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Section {
    url: Option<String>,
    pick: Option<String>,
    process: Option<String>,
    every: Option<String>,
    heartbeat: Option<String>,
    scale: Option<u8>,
    position: Option<PathBuf>,
    wallet: Option<String>,
}

/// What is asked, how, and who hears it.
struct Plan {
    name: String,
    url: String,
    pointer: String,
    process: ProcessId,
    every: u64,
    heartbeat: u64,
    scale: Option<u8>,
}

/// What a round came to.
#[derive(Serialize)]
struct Told<'a> {
    name: &'a str,
    process: ProcessId,
    #[serde(flatten)]
    said: &'a Said,
    /// None if nothing was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageId>,
}

/// Why a round failed.
enum Trouble {
    /// The next one may do better.
    Passing(Failure),
    /// None will.
    Lasting(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Lasting(failure)
    }
}

impl From<unit::Error> for Trouble {
    fn from(error: unit::Error) -> Trouble {
        match error.kind.is_transient() {
            true => Trouble::Passing(error.into()),
            false => Trouble::Lasting(error.into()),
        }
    }
}

impl Feed {
    /// Feeds until it is ended, or once.
    pub async fn run(mut self, ui: Ui) -> Result {
        let here = std::env::current_dir().context(Code::FILE, "could not tell the current folder")?;
        let section = section(&here, &self.name)?;
        if self.signer.wallet.is_none() {
            self.signer.wallet = section.wallet.clone();
        }
        let plan = self.plan(&section)?;
        let clients = self.at.clients()?;
        let wallet = self.signer.wallet()?;
        let own = || here.join(format!(".pirn/feeds/{}-{}.json", file_name(&plan.name), plan.process));
        let path = self.position.clone().or(section.position.map(|path| here.join(path))).unwrap_or_else(own);
        let position = Position::open(&path, &plan.name, plan.process, wallet.address())?;
        // A redirect could lead anywhere: none is followed.
        let options = Options { answer_bytes_max: ANSWER_MAX, redirects_max: 0, ..Options::default() };
        let source = Transport::new(options)?;
        let mut feeder = Feeder { plan, clients, wallet, position, source, ui };
        let mut failed = 0;
        loop {
            let wait = match feeder.round(self.once).await {
                Ok(()) if self.once => return Ok(()),
                Ok(()) => {
                    failed = 0;
                    feeder.plan.every
                }
                Err(Trouble::Passing(failure)) if !self.once => {
                    let wait = WAIT_MS.saturating_mul(1 << failed).min(WAIT_MS_MAX);
                    failed = (failed + 1).min(30);
                    ui.note(format_args!("{}; trying again in {}", failure.what, span(wait)));
                    wait
                }
                Err(Trouble::Passing(failure) | Trouble::Lasting(failure)) => return Err(failure),
            };
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    /// What the flags say, or else the file.
    fn plan(&self, section: &Section) -> Result<Plan> {
        let missing = |flag: &str| {
            Failure::usage(format!("nothing says the --{flag} of feed {}", self.name))
                .hint(format!("say it, or write it under [feeds.{}] in {FILE}", self.name))
        };
        if self.name.is_empty() || self.name.len() > 64 {
            return Err(Failure::usage("a feed's name has 1 to 64 bytes"));
        }
        let url = self.url.clone().or(section.url.clone()).ok_or_else(|| missing("url"))?;
        let is_believed = source::is_safe(&url) || self.allow_http && url.starts_with("http://");
        if !is_believed {
            return Err(Failure::usage(format!("{url} is neither https nor http on this computer"))
                .hint("--allow-http believes a source by http that is elsewhere"));
        }
        let process = self.process.clone().or(section.process.clone()).ok_or_else(|| missing("process"))?;
        let process = parse_process(&process).map_err(Failure::usage)?;
        let pointer = self.pick.clone().or(section.pick.clone()).unwrap_or_default();
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(Failure::usage(format!("{pointer:?} is no JSON pointer"))
                .hint("it begins with /, as in /data/price"));
        }
        let of_file = |text: &Option<String>| {
            text.as_deref()
                .map(parse_span)
                .transpose()
                .map_err(|why| Failure::usage(format!("{FILE}: {why}")))
        };
        let every = self.every.or(of_file(&section.every)?).unwrap_or(EVERY_MS);
        let heartbeat = self.heartbeat.or(of_file(&section.heartbeat)?);
        let heartbeat = heartbeat.unwrap_or(every.saturating_mul(HEARTBEAT_ROUNDS));
        let scale = self.scale.or(section.scale);
        Ok(Plan { name: self.name.clone(), url, pointer, process, every, heartbeat, scale })
    }
}

/// Everything that a round needs.
struct Feeder {
    plan: Plan,
    clients: Clients,
    wallet: Wallet,
    position: Position,
    source: Transport,
    ui: Ui,
}

impl Feeder {
    /// Sends what waits, asks the source, and says what is new. `tell` also if nothing was.
    async fn round(&mut self, tell: bool) -> Result<(), Trouble> {
        self.deliver().await?;
        let value = self.ask().await.map_err(Trouble::Passing)?;
        let now = self.clients.su.now().await?.timestamp.0;
        let last = self.position.said();
        if let Some(last) = last.filter(|last| !is_due(last, &value, now, self.plan.heartbeat)) {
            if tell {
                let text = format!("{} is still {}, as it said before", self.plan.name, last.value);
                self.ui.answer(
                    text,
                    &Told { name: &self.plan.name, process: self.plan.process, said: last, message: None },
                );
            }
            return Ok(());
        }
        // Also with a file that was lost, a number is larger than those before it; and the clock may have been set back.
        let sequence = last.map_or(now, |last| now.max(last.sequence + 1));
        let said = Said { value, time: now.max(last.map_or(0, |last| last.time)), sequence };
        let item = self.sign(&said)?;
        self.position.begin(Pending { said, item: id::base64url(item.bytes()) })?;
        self.deliver().await
    }

    /// Sends what is signed and has not arrived as far as is known: the same bytes, so that it is there once.
    async fn deliver(&mut self) -> Result<(), Trouble> {
        let Some(pending) = self.position.pending().cloned() else { return Ok(()) };
        let bytes = id::from_base64url(&pending.item);
        let item = bytes.and_then(|bytes| DataItem::parse(bytes.into()).ok());
        let Some(item) = item else {
            self.position.end(false)?;
            return Err(
                Failure::new(Code::FILE, "what was to be sent is damaged in the position file").into()
            );
        };
        match self.clients.mu.send(item).await {
            Ok(receipt) => {
                self.position.end(true)?;
                let (name, said, process) = (&self.plan.name, &pending.said, self.plan.process);
                let text = format!("{name} = {} in {process}: message {}", said.value, receipt.id);
                self.ui.answer(text, &Told { name, process, said, message: Some(MessageId(receipt.id)) });
                Ok(())
            }
            Err(error) if error.kind.is_transient() => Err(Trouble::Passing(error.into())),
            Err(error) => {
                // It would be refused again.
                self.position.end(false)?;
                Err(Trouble::Lasting(error.into()))
            }
        }
    }

    /// What the source says now.
    async fn ask(&self) -> Result<String> {
        let Plan { url, pointer, scale, .. } = &self.plan;
        let limit = Duration::from_millis(ANSWER_MS);
        let body = tokio::time::timeout(limit, self.source.read(url)).await.map_err(|_| {
            Failure::new(Code::UNREACHABLE, format!("{url} did not answer within {}", span(ANSWER_MS)))
        })??;
        let strange = |why: String| Failure::new(Code::STRANGE_ANSWER, format!("{url}: {why}"));
        let text = std::str::from_utf8(&body).map_err(|error| strange(error.to_string()))?;
        let value = source::pick(text, pointer).map_err(strange)?;
        match scale {
            Some(digits) => source::scale(&value, *digits).map_err(strange),
            None => Ok(value),
        }
    }

    fn sign(&self, said: &Said) -> Result<DataItem> {
        let tags = [
            Tag::new(protocol::tag::ACTION, "Feed"),
            Tag::new("Feed-Name", &self.plan.name),
            Tag::new("Feed-Value", &said.value),
            Tag::new("Feed-Time", said.time.to_string()),
            Tag::new("Feed-Sequence", said.sequence.to_string()),
        ];
        let draft = Draft {
            target: Some(self.plan.process.0),
            anchor: Some(super::anchor()),
            tags: ao_tags(&tags, "Message"),
            data: Bytes::from_static(b" "),
        };
        DataItem::sign(&self.wallet, draft).context(Code::WALLET, "could not sign")
    }
}

/// Whether a value is news, or the old one is due again.
fn is_due(last: &Said, value: &str, now: u64, heartbeat: u64) -> bool {
    last.value != value || now.saturating_sub(last.time) >= heartbeat
}

/// `[feeds.NAME]` of the project here, or nothing.
fn section(here: &Path, name: &str) -> Result<Section> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        feeds: BTreeMap<String, Section>,
    }
    let Some(folder) = here.ancestors().find(|folder| folder.join(FILE).is_file()) else {
        return Ok(Section::default());
    };
    let path = folder.join(FILE);
    let text = std::fs::read_to_string(&path).context(Code::FILE, path.display())?;
    let mut file: File = toml::from_str(&text).map_err(|error| {
        let what = format!("{}: {}", path.display(), error.to_string().trim_end());
        Failure { exit: 2, ..Failure::new(Code::CONFIG, what) }
            .hint("a feed has url, pick, process, every, heartbeat, scale, position and wallet")
    })?;
    Ok(file.feeds.remove(name).unwrap_or_default())
}

/// A name as part of a file's.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    name.chars().map(plain).collect()
}

/// Reads `500ms`, `10s`, `5m`, `1h`, `1d`; milliseconds, from one up to a year of them.
fn parse_span(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    let span = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    span.filter(|span| (1..=31_622_400_000).contains(span))
        .ok_or_else(|| format!("{text:?} is no span of time: say 500ms, 10s, 5m, 1h or 1d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_said_when_it_changes_and_after_its_heartbeat() {
        let last = Said { value: "5".to_owned(), time: 1_000, sequence: 1 };
        assert!(is_due(&last, "6", 1_000, 60_000));
        assert!(!is_due(&last, "5", 60_999, 60_000));
        assert!(is_due(&last, "5", 61_000, 60_000));
        // A clock that was set back makes nothing due.
        assert!(!is_due(&last, "5", 0, 60_000));
    }

    #[test]
    fn spans_are_read() {
        assert_eq!(parse_span("500ms"), Ok(500));
        assert_eq!(parse_span("5m"), Ok(300_000));
        for text in ["", "5", "m", "0s", "-1s", "1.5s", "99999999999999999999s", "400d", "1 s"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }
}
