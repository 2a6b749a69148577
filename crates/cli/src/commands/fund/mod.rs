//! `pirn fund`

mod amount;
mod token;

use clap::Args;
use protocol::{Address, ProcessId};
use serde::Serialize;

use self::amount::Amount;
use crate::commands::parse_process;
use crate::error::{Failure, Result};
use crate::network::{Signer, Where, account};
use crate::ui::Ui;

/// Give an address AR out of nothing, on a development network; or some of a token
#[derive(Debug, Args)]
pub struct Fund {
    /// An address, or the number or name of a test account.
    #[arg(allow_hyphen_values = true)]
    address: String,
    /// How many AR, or of the token: `10`, `0.5`.
    amount: Amount,
    /// The process of a token with the interface of the token blueprint. Its owner mints; anybody else gives from what
    /// they have.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    token: Option<ProcessId>,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    at: Where,
}

#[derive(Serialize)]
struct Funded {
    address: Address,
    balance_winston: String,
}

/// Digits of an AR after the point.
const AR_DIGITS: usize = 12;

impl Fund {
    /// Mints, and says what the balance is now.
    pub async fn run(self, ui: Ui) -> Result {
        let address = match account(&self.address) {
            Some(account) => account.wallet().address(),
            None => self
                .address
                .parse()
                .map_err(|error| Failure::usage(error).hint("`pirn accounts` lists the test accounts"))?,
        };
        let clients = self.at.clients()?;
        if let Some(process) = self.token {
            return token::fund(&clients, &self.signer.wallet()?, process, address, &self.amount, ui).await;
        }
        let units = self.amount.units(AR_DIGITS)?;
        let winston: u128 = units
            .parse()
            .map_err(|_| Failure::usage(format!("{} AR are more than there can be", self.amount)))?;
        let balance = clients.gateway.mint(address, winston).await?;
        let text = format!("{address} has {} AR", Amount::of_units(&balance.to_string(), AR_DIGITS));
        ui.answer(text, &Funded { address, balance_winston: balance.to_string() });
        Ok(())
    }
}
