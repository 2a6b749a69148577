//! The weave of a node: the embedded one, and the network that it settles on, if there is one.

use std::path::PathBuf;
use std::sync::Arc;

use pirn_http::client::{Gateway, GatewayOptions, Gateways, Receipts, Transport};
use protocol::{Address, Wallet};
use serde::{Deserialize, Deserializer, Serialize};
use settlement::Settlement;
use unit::Weave;
use weave::EmbeddedWeave;

use crate::roles::Common;
use crate::{Config, Error, Role, keys};

/// The weave of a node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Base URLs of gateways of the network on which this node settles, the preferred one first; one may be written
    /// without brackets. Empty: nothing leaves this node, or goes to `remote.gateway` at once.
    #[serde(deserialize_with = "one_or_many")]
    pub gateway: Vec<String>,
    /// URL of the GraphQL of the first of them, where that is another.
    pub graphql: Option<String>,
    /// Base URL of a bundler of that network, which takes items of any kind of key. Used where there is no
    /// `settlement_wallet`.
    pub uploader: Option<String>,
    /// Address of the key with which that bundler signs its receipts. Named, an item counts as posted only with such a
    /// receipt; not named, a receipt is checked by the key that it names, and a bundler that signs none is believed
    /// until the item is looked for on the network.
    pub uploader_address: Option<Address>,
    /// A file with the JWK of a wallet of that network, RSA or secp256k1. It signs and pays for bundles.
    pub settlement_wallet: Option<PathBuf>,
    /// The embedded weave.
    #[serde(flatten)]
    pub embedded: weave::Options,
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::One(url) => vec![url],
        Either::Many(urls) => urls,
    })
}

impl Options {
    /// What single values cannot say: what is wrong, and what to do.
    pub(crate) fn check(&self) -> std::result::Result<(), (&'static str, &'static str)> {
        let pays = self.uploader.is_some() || self.settlement_wallet.is_some();
        match (self.gateway.is_empty(), pays) {
            (true, true) => Err((
                "there is a bundler or a wallet to settle with, and no network",
                "name its gateways: weave.gateway",
            )),
            (false, false) => Err((
                "there is a network to settle on, and nobody who pays",
                "name a wallet that can pay (weave.settlement_wallet), or a bundler (weave.uploader)",
            )),
            _ => Ok(()),
        }
    }
}

/// Settlement on the network that the configuration names; none if it names none.
pub(crate) async fn open(
    config: &Config,
    common: &Common,
    beside: Option<Arc<EmbeddedWeave>>,
) -> std::result::Result<Option<Arc<Settlement>>, Error> {
    let options = &config.weave;
    if options.gateway.is_empty() {
        return Ok(None);
    }
    let gateways = gateways(options, &common.transport);
    let wallet: Option<Wallet> = options.settlement_wallet.as_deref().map(keys::read).transpose()?;
    let ports = settlement::Ports {
        store: common.store.clone(),
        network: Arc::new(Gateways::new(gateways, config.gateways.clone())),
        beside: beside.map(|weave| weave as Arc<dyn Weave>),
        clock: common.clock.clone(),
        wallet,
    };
    let opened = Settlement::open(ports, config.settlement.clone()).await;
    opened.map(Some).map_err(|error| Error::part("settlement")(error.into()))
}

fn gateways(options: &Options, transport: &Transport) -> Vec<Gateway> {
    let gateway = |(i, url): (usize, &String)| {
        let of = GatewayOptions {
            gateway: url.clone(),
            graphql: options.graphql.clone().filter(|_| i == 0),
            uploader: options.uploader.clone().unwrap_or_else(|| url.clone()),
            receipts: options.uploader_address.map_or(Receipts::Checked, Receipts::SignedBy),
            ..GatewayOptions::default()
        };
        Gateway::new(of, transport.clone())
    };
    options.gateway.iter().enumerate().map(gateway).collect()
}

/// Whether this node has a weave to speak of.
pub(crate) fn has_weave(config: &Config) -> bool {
    config.has(Role::Gateway) || config.remote.gateway.is_some() || !config.weave.gateway.is_empty()
}
