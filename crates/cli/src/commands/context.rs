//! `pirn context`

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Args, Subcommand};
use pirn_http::client::{Messenger, Options, Transport};
use protocol::Address;
use serde::Serialize;
use unit::Code;

use crate::context::{self, Contexts, LOCAL, parse_name};
use crate::error::{Failure, Result};
use crate::network::account;
use crate::ui::{Ui, table};

/// Keep networks under names: their URLs, the wallet to sign with, the addresses to trust
#[derive(Debug, Args)]
pub struct Context {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, once")]
enum Verb {
    Add(Add),
    /// Use a context from now on, where no other is named
    Use {
        /// Its name; `local` is a `pirn dev` on its default ports.
        #[arg(value_parser = parse_name)]
        name: String,
    },
    /// List all contexts; the one in use has a star
    Ls,
    /// Show a context; the one in use if none is named
    Show {
        /// Its name.
        #[arg(value_parser = parse_name)]
        name: Option<String>,
    },
    /// Remove a context
    Rm {
        /// Its name.
        #[arg(value_parser = parse_name)]
        name: String,
    },
}

/// Add a context, or change what is said of one. A Pirn messenger says itself where its network's other parts are
#[derive(Debug, Args)]
struct Add {
    /// Its name.
    #[arg(value_parser = parse_name)]
    name: String,
    /// Base URL of the gateway.
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    gateway: Option<String>,
    /// Base URL of the bundler; the gateway's if none is said.
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    bundler: Option<String>,
    /// Base URL of the messenger unit.
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    mu: Option<String>,
    /// Base URL of the scheduler unit.
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    su: Option<String>,
    /// Base URL of the compute unit.
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    cu: Option<String>,
    /// A wallet to sign with there: a JWK file, or the number or name of a public test account.
    #[arg(long, value_name = "FILE|ACCOUNT")]
    wallet: Option<String>,
    /// Whom processes that are spawned there trust; the messenger unit's own address if none is said.
    #[arg(long, value_name = "ADDRESS")]
    authority: Option<Address>,
    /// Who schedules processes that are spawned there; the scheduler unit's own address if none is said.
    #[arg(long, value_name = "ADDRESS")]
    scheduler: Option<Address>,
    /// Use it from now on.
    #[arg(long = "use")]
    use_it: bool,
}

/// A context, as programs get it.
#[derive(Serialize)]
struct Shown {
    name: String,
    current: bool,
    #[serde(flatten)]
    context: context::Context,
}

impl Context {
    /// Runs the verb.
    pub async fn run(self, ui: Ui) -> Result {
        let mut contexts = Contexts::read()?;
        match self.verb {
            Verb::Add(add) => {
                refuse_local(&add.name, "changed")?;
                let (name, use_it) = (add.name.clone(), add.use_it);
                let context = add.fill(contexts.contexts.get(&name).cloned().unwrap_or_default()).await?;
                contexts.contexts.insert(name.clone(), context);
                if use_it {
                    contexts.current = Some(name.clone());
                }
                contexts.write()?;
                show(&contexts, &name, ui)
            }
            Verb::Use { name } => {
                contexts.get(&name)?;
                contexts.current = (name != LOCAL).then(|| name.clone());
                contexts.write()?;
                show(&contexts, &name, ui)
            }
            Verb::Show { name: Some(name) } => show(&contexts, &name, ui),
            Verb::Show { name: None } => show(&contexts, &context::chosen()?.name, ui),
            Verb::Rm { name } => {
                refuse_local(&name, "removed")?;
                contexts.get(&name)?;
                contexts.contexts.remove(&name);
                // What was in use before any was chosen is in use again.
                contexts.current = contexts.current.filter(|current| *current != name);
                contexts.write()?;
                ui.answer(format!("removed  {name}"), &serde_json::json!({ "removed": name }));
                Ok(())
            }
            Verb::Ls => {
                let current = context::chosen().map(|chosen| chosen.name).unwrap_or_default();
                let mut shown = Vec::new();
                for name in contexts.names() {
                    shown.push(Shown { context: contexts.get(&name)?, current: name == current, name });
                }
                let row = |shown: &Shown| {
                    let star = if shown.current { "*" } else { "" };
                    let context = &shown.context;
                    let mu = context.mu.clone().unwrap_or_default();
                    vec![star.to_owned(), shown.name.clone(), mu, context.wallet.clone().unwrap_or_default()]
                };
                ui.answer(table(&shown.iter().map(row).collect::<Vec<_>>()), &shown);
                Ok(())
            }
        }
    }
}

fn show(contexts: &Contexts, name: &str, ui: Ui) -> Result {
    let context = contexts.get(name)?;
    let mut rows = vec![vec!["name".to_owned(), name.to_owned()]];
    let said = context.values().into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    rows.extend(said.map(|(name, value)| vec![name.to_owned(), value]));
    let current = contexts.current.as_deref().unwrap_or(LOCAL) == name;
    ui.answer(table(&rows), &Shown { name: name.to_owned(), current, context });
    Ok(())
}

fn refuse_local(name: &str, what: &str) -> Result {
    match name {
        LOCAL => Err(Failure {
            exit: 2,
            ..Failure::new(Code::CONTEXT, format!("`local` is built in and cannot be {what}"))
        }
        .hint("choose another name; --port N says where a network on this computer is")),
        _ => Ok(()),
    }
}

impl Add {
    /// The context as it is now said to be. What no flag says is asked of the messenger.
    async fn fill(self, mut context: context::Context) -> Result<context::Context> {
        let wallet = self.wallet.map(|wallet| match account(&wallet) {
            Some(_) => wallet,
            // It is used from other folders, too.
            None => std::path::absolute(&wallet).map(|path| path.display().to_string()).unwrap_or(wallet),
        });
        if let Some(wallet) = wallet.as_deref().filter(|wallet| account(wallet).is_none()) {
            crate::network::read_wallet(Path::new(wallet))?;
        }
        let [authority, scheduler] =
            [self.authority, self.scheduler].map(|address| address.map(|it| it.to_string()));
        for (place, said) in [
            (&mut context.gateway, self.gateway),
            (&mut context.bundler, self.bundler),
            (&mut context.mu, self.mu),
            (&mut context.su, self.su),
            (&mut context.cu, self.cu),
            (&mut context.wallet, wallet),
            (&mut context.authority, authority),
            (&mut context.scheduler, scheduler),
        ] {
            if said.is_some() {
                *place = said;
            }
        }
        let urls = others(&context).await;
        for (place, part) in [
            (&mut context.gateway, "gateway"),
            (&mut context.bundler, "bundler"),
            (&mut context.su, "su"),
            (&mut context.cu, "cu"),
        ] {
            if place.is_none() {
                *place = urls.get(part).cloned();
            }
        }
        let needed = ["gateway", "mu", "su", "cu"];
        let lacks: Vec<_> = needed.into_iter().filter(|part| context.value(part).is_none()).collect();
        if lacks.is_empty() {
            return Ok(context);
        }
        let flags: Vec<String> = lacks.iter().map(|part| format!("--{part} URL")).collect();
        Err(Failure {
            exit: 2,
            ..Failure::new(Code::CONTEXT, format!("the context would lack {}", lacks.join(", ")))
        }
        .hint(format!("say where they are: {}", flags.join(" ")))
        .hint("a Pirn messenger that can be reached says it itself: `--mu URL` is enough then"))
    }
}

/// Where the messenger says that the other parts are, if it is asked for and can be.
async fn others(context: &context::Context) -> BTreeMap<String, String> {
    let complete = ["gateway", "su", "cu"].into_iter().all(|part| context.value(part).is_some());
    let Some(mu) = context.mu.as_ref().filter(|_| !complete) else { return BTreeMap::new() };
    let Ok(transport) = Transport::new(Options::default()) else { return BTreeMap::new() };
    let info = Messenger::new(mu, transport).info().await;
    info.ok().and_then(|info| info.network).map(|network| network.urls).unwrap_or_default()
}

/// A base URL, without a slash at its end.
fn parse_url(text: &str) -> Result<String, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    match ["http", "https"].contains(&scheme) && !host.is_empty() && !text.contains(char::is_whitespace) {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err("expected a URL such as http://127.0.0.1:4002".to_owned()),
    }
}
