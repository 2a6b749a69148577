//! The network that a command speaks to: units at URLs, near or far, over the same HTTP as everybody's.

use std::path::{Path, PathBuf};

use clap::Args;
use pirn_http::client::{Compute, Gateway, GatewayOptions, Messenger, Options, Scheduler, Transport};
use pirn_http::wire::info::Network;
use protocol::{Address, Wallet};

use unit::Code;

use crate::error::{Context as _, Failure, Result};

/// Where the units are. The default is a `pirn dev` on its default ports.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Network")]
pub struct Where {
    /// First port of a network on this computer: gateway, bundler, MU, SU and CU follow one another.
    #[arg(long, value_name = "N", default_value_t = 4000)]
    pub port: u16,
    /// Base URL of the gateway.
    #[arg(long, value_name = "URL", env = "GATEWAY_URL")]
    pub gateway: Option<String>,
    /// Base URL of the messenger unit.
    #[arg(long, value_name = "URL", env = "MU_URL")]
    pub mu: Option<String>,
    /// Base URL of the scheduler unit.
    #[arg(long, value_name = "URL", env = "SU_URL")]
    pub su: Option<String>,
    /// Base URL of the compute unit.
    #[arg(long, value_name = "URL", env = "CU_URL")]
    pub cu: Option<String>,
}

/// Who signs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Wallet")]
pub struct Signer {
    /// A wallet to sign with: a JWK file, or the number or name of a public test account.
    #[arg(long, value_name = "FILE|ACCOUNT", default_value = "0", env = "PIRN_WALLET")]
    pub wallet: String,
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
}

impl Where {
    fn at(&self, given: &Option<String>, offset: u16) -> String {
        let own = || format!("http://127.0.0.1:{}", self.port.saturating_add(offset));
        given.as_deref().map(|url| url.trim_end_matches('/').to_owned()).unwrap_or_else(own)
    }

    /// Base URL of the messenger unit.
    pub fn mu_url(&self) -> String {
        self.at(&self.mu, 2)
    }

    /// Clients for the units there. Speaks to none of them yet.
    pub fn clients(&self) -> Result<Clients> {
        let transport = Transport::new(Options::default())?;
        let gateway = self.at(&self.gateway, 0);
        let options = GatewayOptions { uploader: gateway.clone(), gateway, ..GatewayOptions::default() };
        Ok(Clients {
            mu: Messenger::new(&self.mu_url(), transport.clone()),
            su: Scheduler::new(&self.at(&self.su, 3), transport.clone()),
            cu: Compute::new(&self.at(&self.cu, 4), transport.clone()),
            gateway: Gateway::new(options, transport),
        })
    }
}

impl Clients {
    /// What the messenger unit says of its network.
    pub async fn network(&self) -> Result<Network> {
        let url = self.mu.url();
        let info = self.mu.info().await.map_err(|error| {
            Failure::new(Code::NO_NETWORK, format!("no network answers at {url}: {}", error.what))
                .hint("`pirn dev` starts one; --port N or --mu URL say where another is")
        })?;
        Ok(info.network.unwrap_or_default())
    }

    /// The wallet of the scheduler unit and the one of the messenger unit.
    pub async fn addresses(&self) -> Result<(Address, Address)> {
        let scheduler = unit::Scheduler::address(&self.su).await?;
        let authority = unit::Messenger::address(&self.mu).await?;
        Ok((scheduler, authority))
    }
}

impl Signer {
    /// The wallet.
    pub fn wallet(&self) -> Result<Wallet> {
        if let Some(account) = account(&self.wallet) {
            return Ok(account.wallet());
        }
        read_wallet(&PathBuf::from(&self.wallet))
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
