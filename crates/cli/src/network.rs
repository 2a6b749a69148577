//! The network that a command speaks to: units at URLs, near or far, over the same HTTP as everybody's.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use pirn_http::client::{
    Compute, Control, Gateway, GatewayOptions, Messenger, Options, Scheduler, Transport,
};
use pirn_http::wire::info::Network;
use protocol::{Address, Wallet};

use unit::Code;

use crate::context::{self, By, Chosen, Said, variable};
use crate::error::{Context as _, Failure, Result};

/// Where the units are. What no flag says is said by the context: a `pirn dev` on its default ports, unless another
/// one is in use.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Network")]
pub struct Where {
    /// First port of a network on this computer: gateway, bundler, MU, SU and CU follow one another.
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    /// Base URL of the gateway. [env: GATEWAY_URL]
    #[arg(long, value_name = "URL")]
    pub gateway: Option<String>,
    /// Base URL of the messenger unit. [env: MU_URL]
    #[arg(long, value_name = "URL")]
    pub mu: Option<String>,
    /// Base URL of the scheduler unit. [env: SU_URL]
    #[arg(long, value_name = "URL")]
    pub su: Option<String>,
    /// Base URL of the compute unit. [env: CU_URL]
    #[arg(long, value_name = "URL")]
    pub cu: Option<String>,
}

/// Who signs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Wallet")]
pub struct Signer {
    /// A wallet to sign with: a JWK file, or the number or name of a public test account. Without it the context's;
    /// on a network on this computer, test account 0. [env: PIRN_WALLET]
    #[arg(long, value_name = "FILE|ACCOUNT")]
    pub wallet: Option<String>,
}

/// Clients of all units.
pub struct Clients {
    /// The messenger unit.
    pub mu: Messenger,
    /// The scheduler unit.
    pub su: Scheduler,
    /// The compute unit.
    pub cu: Compute,
    /// The weave.
    pub gateway: Gateway,
    /// Where they are, by part.
    pub urls: BTreeMap<String, String>,
    /// Who schedules and who is trusted, where the context says it.
    named: [Option<Address>; 2],
}

/// The parts: their names, the variables that say where they are, and their places after the first port.
const PARTS: [(&str, &str, u16); 4] =
    [("gateway", "GATEWAY_URL", 0), ("mu", "MU_URL", 2), ("su", "SU_URL", 3), ("cu", "CU_URL", 4)];

impl Where {
    /// Where a part is, and who says so.
    fn part(&self, chosen: &Chosen, (part, name, offset): (&str, &str, u16)) -> Result<Said> {
        let flag = match part {
            "gateway" => &self.gateway,
            "mu" => &self.mu,
            "su" => &self.su,
            _ => &self.cu,
        };
        let at = |port: u16| format!("http://127.0.0.1:{}", port.saturating_add(offset));
        let flag = flag.clone().or_else(|| self.port.map(at));
        chosen.say(part, flag.as_deref(), (name, variable(name))).ok_or_else(|| {
            let what = format!("the context {} does not say where the {part} is", chosen.name);
            Failure::new(Code::CONTEXT, what)
                .hint(format!("`pirn context add {} --{part} URL` says it", chosen.name))
        })
    }

    /// The controls of the development network there.
    pub fn control(&self) -> Result<Control> {
        let messenger = self.part(&context::chosen()?, PARTS[1])?.value;
        Ok(Control::new(&messenger, Transport::new(Options::default())?))
    }

    /// Clients for the units there. Speaks to none of them yet.
    pub fn clients(&self) -> Result<Clients> {
        let chosen = context::chosen()?;
        let mut urls = BTreeMap::new();
        for part in PARTS {
            let url = self.part(&chosen, part)?.value.trim_end_matches('/').to_owned();
            urls.insert(part.0.to_owned(), url);
        }
        let transport = Transport::new(Options::default())?;
        let gateway = urls["gateway"].clone();
        // A bundler goes with the gateway that the context names, and with no other.
        let own = chosen.context.gateway.as_ref() == Some(&gateway) && chosen.name != context::LOCAL;
        let uploader = chosen.context.bundler.clone().filter(|_| own).unwrap_or_else(|| gateway.clone());
        let options = GatewayOptions { uploader, gateway, ..GatewayOptions::default() };
        let named = ["scheduler", "authority"].map(|name| chosen.context.value(name));
        let [scheduler, authority] = named.map(|said| said.map(|text| text.parse::<Address>()));
        let parsed = |said: Option<Result<Address, _>>| {
            said.transpose().context(Code::CONTEXT, format!("the context {}", chosen.name))
        };
        Ok(Clients {
            mu: Messenger::new(&urls["mu"], transport.clone()),
            su: Scheduler::new(&urls["su"], transport.clone()),
            cu: Compute::new(&urls["cu"], transport.clone()),
            gateway: Gateway::new(options, transport),
            named: [parsed(scheduler)?, parsed(authority)?],
            urls,
        })
    }
}

/// What commands that speak to a network would use, by name: where the parts are and who signs.
pub fn settings(at: &Where, signer: &Signer) -> Result<Vec<(String, Said)>> {
    let chosen = context::chosen()?;
    let by = match chosen.by {
        By::Flag => "flag",
        By::Environment => "environment PIRN_CONTEXT",
        By::Use => "pirn context use",
        By::Default => "default",
    };
    let mut settings = vec![("name".to_owned(), Said { value: chosen.name.clone(), source: by.to_owned() })];
    for part in PARTS {
        settings.push((part.0.to_owned(), at.part(&chosen, part)?));
    }
    let rest = [
        ("wallet", signer.wallet.as_deref(), "PIRN_WALLET"),
        ("authority", None, ""),
        ("scheduler", None, ""),
    ];
    for (name, flag, name_of_variable) in rest {
        let variable = Some(name_of_variable).filter(|name| !name.is_empty()).and_then(variable);
        settings
            .extend(chosen.say(name, flag, (name_of_variable, variable)).map(|said| (name.to_owned(), said)));
    }
    Ok(settings)
}

impl Clients {
    /// What the messenger unit says of its network.
    pub async fn network(&self) -> Result<Network> {
        let url = self.mu.url();
        let info = self.mu.info().await.map_err(|error| {
            Failure::new(Code::NO_NETWORK, format!("no network answers at {url}: {}", error.what))
                .hint("`pirn dev` starts one; --port N, --mu URL or --context NAME say where another is")
        })?;
        Ok(info.network.unwrap_or_default())
    }

    /// The wallet of the scheduler unit and the one of the messenger unit.
    pub async fn addresses(&self) -> Result<(Address, Address)> {
        let [scheduler, authority] = self.named;
        let scheduler = match scheduler {
            Some(named) => named,
            None => unit::Scheduler::address(&self.su).await?,
        };
        let authority = match authority {
            Some(named) => named,
            None => unit::Messenger::address(&self.mu).await?,
        };
        Ok((scheduler, authority))
    }
}

impl Signer {
    /// The wallet.
    pub fn wallet(&self) -> Result<Wallet> {
        let chosen = context::chosen()?;
        let variable = ("PIRN_WALLET", variable("PIRN_WALLET"));
        let said = chosen.say("wallet", self.wallet.as_deref(), variable).ok_or_else(|| {
            // The test accounts are everybody's: nobody signs with one on a real network by mistake.
            Failure::new(Code::WALLET, format!("the context {} names no wallet", chosen.name)).hint(format!(
                "`pirn context add {} --wallet FILE` names one; or say --wallet FILE",
                chosen.name
            ))
        })?;
        match account(&said.value) {
            Some(account) => Ok(account.wallet()),
            None => read_wallet(Path::new(&said.value)),
        }
    }
}

/// A public test account by its number or name.
pub fn account(which: &str) -> Option<node::Account> {
    let accounts = node::accounts();
    accounts.into_iter().find(|account| account.name == which || account.index.to_string() == which)
}

/// A wallet from a JWK file.
pub fn read_wallet(path: &Path) -> Result<Wallet> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(Code::WALLET, format!("could not read the wallet {}: {error}", path.display()))
            .hint("`pirn wallet new FILE` makes one; `pirn accounts` lists the public test accounts")
    })?;
    Wallet::from_jwk(&text).context(Code::WALLET, path.display())
}
