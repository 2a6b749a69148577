//! Funding with a token: minted by its owner, or given by anybody who has some.

use std::time::Duration;

use protocol::{Address, Outcome, ProcessId, Tag, Wallet, tag};
use serde::{Deserialize, Serialize};
use unit::{Code, Compute as _, Scheduler as _};

use super::amount::Amount;
use crate::commands::check;
use crate::commands::dry::dry_run;
use crate::commands::send::send;
use crate::error::{Failure, Result};
use crate::network::Clients;
use crate::ui::Ui;

/// How often the balance is looked at after a mint, which is a message that the process sends to itself.
const LOOKS_MAX: u32 = 200;
/// How long between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Serialize)]
struct Funded {
    address: Address,
    token: ProcessId,
    /// `Mint` or `Transfer`.
    by: &'static str,
    /// In the smallest unit.
    balance: String,
    ticker: String,
}

/// Gives, and says what the balance is now.
pub async fn fund(
    clients: &Clients,
    wallet: &Wallet,
    token: ProcessId,
    address: Address,
    amount: &Amount,
    ui: Ui,
) -> Result {
    let caller = wallet.address();
    let info = answer(&dry_run(clients, token, caller, &[Tag::new(tag::ACTION, "Info")], "").await?);
    let digits = info.tag("Denomination").and_then(|digits| digits.parse::<usize>().ok());
    let Some(digits) = digits.filter(|digits| *digits <= 76) else {
        let what = format!("{token} does not answer Info as a token does");
        return Err(Failure::new(Code::REFUSED, what)
            .hint("a token answers with Ticker and Denomination, as `processes/blueprints/token.lua` does"));
    };
    let ticker = info.tag("Ticker").unwrap_or_default();
    let units = amount.units(digits)?;
    let before = balance(clients, token, address).await?;
    let spawned = clients.su.find(Some(token), token.0).await?.message;
    let owner = spawned.is_some_and(|process| process.address() == caller);
    let (by, now) = match owner {
        true => ("Mint", mint(clients, wallet, token, address, &units, &before).await?),
        false => {
            let has = balance(clients, token, caller).await?;
            let said = transfer(clients, wallet, token, address, &units).await?;
            if let Some(problem) = said {
                let has = Amount::of_units(&has, digits);
                let what =
                    format!("{token} does not give {amount} {ticker} of {caller}, who has {has}: {problem}");
                return Err(Failure::new(Code::FORBIDDEN, what)
                    .hint("the owner of the token mints: sign with that wallet, --wallet FILE")
                    .hint("or sign with a wallet that has enough"));
            }
            ("Transfer", balance(clients, token, address).await?)
        }
    };
    let text = format!("{address} has {} {ticker}", Amount::of_units(&now, digits));
    ui.answer(text, &Funded { address, token, by, balance: now, ticker });
    Ok(())
}

/// The owner has the process tell itself to mint: nobody else may. The balance afterwards.
async fn mint(
    clients: &Clients,
    wallet: &Wallet,
    token: ProcessId,
    address: Address,
    units: &str,
    before: &str,
) -> Result<String> {
    let code =
        format!("Send({{ Target = ao.id, Action = 'Mint', Quantity = '{units}', Recipient = '{address}' }})");
    let message = send(clients, wallet, token, &[Tag::new(tag::ACTION, "Eval")], &code).await?;
    check(&*clients.cu.result(token, message.0).await?)?;
    for _ in 0..LOOKS_MAX {
        let now = balance(clients, token, address).await?;
        if now != before {
            return Ok(now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(Failure::new(Code::PROCESS_FAILED, format!("{token} was told to mint and did not"))
        .hint(format!("`pirn trace {message}` shows what came of it"))
        .hint("a token without a Mint handler cannot: load `processes/blueprints/token.lua`, or transfer"))
}

/// Transfers what the wallet has. Some problem, if the token says one.
async fn transfer(
    clients: &Clients,
    wallet: &Wallet,
    token: ProcessId,
    address: Address,
    units: &str,
) -> Result<Option<String>> {
    let tags =
        [Tag::new(tag::ACTION, "Transfer"), Tag::new("Recipient", address), Tag::new("Quantity", units)];
    let message = send(clients, wallet, token, &tags, " ").await?;
    let outcome = clients.cu.result(token, message.0).await?;
    check(&outcome)?;
    let said = answer(&outcome);
    let moved =
        said.tag(tag::ACTION).is_some_and(|action| ["Debit-Notice", "Credit-Notice"].contains(&&*action));
    Ok((!moved).then(|| said.tag("Error").or(said.data).unwrap_or_else(|| "it does not say why".to_owned())))
}

async fn balance(clients: &Clients, token: ProcessId, of: Address) -> Result<String> {
    let tags = [Tag::new(tag::ACTION, "Balance"), Tag::new("Recipient", of), Tag::new("Target", of)];
    let said = answer(&dry_run(clients, token, of, &tags, "").await?);
    Ok(said.tag("Balance").or(said.data).unwrap_or_else(|| "0".to_owned()))
}

/// What a process answers with: the first message that it sends.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    tags: Vec<Named>,
    data: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    value: serde_json::Value,
}

impl Answer {
    fn tag(&self, name: &str) -> Option<String> {
        let value = &self.tags.iter().find(|tag| tag.name == name)?.value;
        Some(value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned))
    }
}

fn answer(outcome: &Outcome) -> Answer {
    outcome.messages.first().and_then(|message| message.to().ok()).unwrap_or_default()
}
