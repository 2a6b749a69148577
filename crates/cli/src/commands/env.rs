//! `pirn env`

use clap::Args;

use crate::error::Result;
use crate::network::Where;
use crate::ui::Ui;

/// Print what points aoconnect, aos and other clients at a network: eval "$(pirn env)"
#[derive(Debug, Args)]
pub struct Env {
    #[command(flatten)]
    at: Where,
}

impl Env {
    /// Asks the network what it is, so that what is printed is true.
    pub async fn run(self, ui: Ui) -> Result {
        let clients = self.at.clients()?;
        let network = clients.network().await?;
        // Units that do not know their network are where they were asked to be.
        let known = |part: &str| network.urls.get(part).or_else(|| clients.urls.get(part));
        let url = |part: &str| known(part).cloned().unwrap_or_default();
        let address = |unit: &str| network.addresses.get(unit).map(ToString::to_string).unwrap_or_default();
        let gateway = url("gateway");
        let variables = [
            ("GATEWAY_URL", gateway.clone()),
            ("GRAPHQL_URL", format!("{gateway}/graphql")),
            ("ARWEAVE_GRAPHQL", format!("{gateway}/graphql")),
            ("UPLOADER_URL", url("bundler")),
            ("MU_URL", url("mu")),
            ("SU_URL", url("su")),
            ("CU_URL", url("cu")),
            ("SCHEDULER", address("su")),
            ("AUTHORITY", network.authority.map(|authority| authority.to_string()).unwrap_or_default()),
        ];
        let known = variables.iter().filter(|(_, value)| !value.is_empty());
        let text: Vec<String> =
            known.clone().map(|(name, value)| format!("export {name}='{value}'")).collect();
        let json: std::collections::BTreeMap<_, _> =
            known.map(|(name, value)| (*name, value.clone())).collect();
        ui.answer(text.join("\n"), &json);
        Ok(())
    }
}
