//! What a node does for applications: streams and webhooks of what processes send, and a desk that signs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pirn_http::client::{Courier, Targets};
use pirn_http::server::Door;
use protocol::{ProcessId, Wallet};
use serde::{Deserialize, Serialize};
use unit::{Code, Compute, Scheduler};

use crate::clock::SystemClock;
use crate::roles::Common;
use crate::{Config, Error};

/// Webhooks: who may make them, and where they lead. Their bounds are in `apps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// A file with the token that makers of webhooks send as `Authorization: Bearer TOKEN`. None: on a development
    /// network everybody may make webhooks, elsewhere nobody.
    pub token_file: Option<PathBuf>,
    /// Where they may lead: `public` addresses only, this computer as well (`loopback`), or `any`. None: loopback on
    /// a development network, public elsewhere.
    pub targets: Option<Targets>,
    /// Milliseconds that a receiver may take to answer.
    pub post_ms: u64,
}

impl Default for Webhooks {
    fn default() -> Webhooks {
        Webhooks { token_file: None, targets: None, post_ms: 15_000 }
    }
}

/// The door that a token opens; without one, open on a development network and closed elsewhere.
pub(crate) fn door(config: &Config, token_file: Option<&Path>) -> Result<Door, Error> {
    let Some(path) = token_file else {
        return Ok(if config.development { Door::Open } else { Door::Closed });
    };
    let text = std::fs::read_to_string(path);
    let text =
        text.map_err(|source| Error::File { what: "read the token", path: path.to_owned(), source })?;
    let empty = || {
        let source =
            std::io::Error::new(std::io::ErrorKind::InvalidData, "it is empty: put a long random text in it");
        Error::File { what: "use the token in", path: path.to_owned(), source }
    };
    let token = Some(text.trim()).filter(|token| !token.is_empty()).ok_or_else(empty)?;
    Ok(Door::Token(token.into()))
}

/// The names that the configuration gives to processes.
pub(crate) fn names(config: &Config) -> Result<BTreeMap<String, ProcessId>, Error> {
    let read = |text: &String| {
        let named = text.split_once('=').and_then(|(name, id)| Some((name.to_owned(), id.parse().ok()?)));
        // What is an id is read as an id, and a slash would be the end of it.
        let named = named.filter(|(name, _)| {
            !name.is_empty() && !name.contains('/') && name.parse::<ProcessId>().is_err()
        });
        named.ok_or_else(|| Error::Config {
            code: Code::CONFIG,
            what: format!("names: {text:?} is not NAME=ID"),
            hint: Some("the id is that of a process, 43 characters; a name has no slash in it".to_owned()),
        })
    };
    config.names.iter().map(read).collect()
}

/// 32 bytes that nobody can guess: the hash of a key that nobody has ever seen.
pub(crate) fn fresh() -> [u8; 32] {
    Wallet::generate_ed25519().address().0.0
}

/// Streams and webhooks.
pub(crate) fn open(
    config: &Config,
    common: &Common,
    scheduler: Arc<dyn Scheduler>,
    compute: Arc<dyn Compute>,
) -> Result<Arc<apps::Apps>, Error> {
    let options = &config.webhooks;
    let targets = if config.development { Targets::Loopback } else { Targets::Public };
    let targets = options.targets.unwrap_or(targets);
    let courier = Courier::new(targets, Duration::from_millis(options.post_ms.max(1)));
    let ports = apps::Ports {
        store: common.store.clone(),
        compute,
        scheduler,
        clock: common.clock.clone(),
        wall: Arc::new(SystemClock),
        events: common.events.clone(),
        is_told: true,
        courier: Arc::new(courier.map_err(Error::part("webhooks"))?),
        fresh: Arc::new(fresh),
    };
    apps::Apps::open(ports, config.apps.clone()).map_err(Error::part("webhooks"))
}

/// What says on `/metrics` how much there is to do.
pub(crate) fn metrics(apps: Arc<apps::Apps>) -> Box<dyn Fn() + Send + Sync> {
    Box::new(move || {
        let say = |name: &'static str, value: u64| ::metrics::gauge!(name).set(value as f64);
        let gauges = apps.gauges();
        say("pirn_apps_streams", gauges.streams as u64);
        say("pirn_apps_followed", gauges.followed as u64);
        say("pirn_apps_webhooks", gauges.hooks_active as u64);
        say("pirn_apps_webhooks_paused", gauges.hooks_paused as u64);
        say("pirn_apps_webhook_delivered", gauges.delivered);
        say("pirn_apps_webhook_given_up", gauges.given_up);
    })
}
