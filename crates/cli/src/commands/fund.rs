//! `pirn fund`

use clap::Args;
use protocol::Address;
use serde::Serialize;

use crate::error::{Failure, Result};
use crate::network::{Where, account};
use crate::ui::Ui;

/// Give an address AR out of nothing, on a development network
#[derive(Debug, Args)]
pub struct Fund {
    /// An address, or the number or name of a test account.
    address: String,
    /// How many AR.
    ar: u64,
    #[command(flatten)]
    at: Where,
}

#[derive(Serialize)]
struct Funded {
    address: Address,
    balance_winston: String,
}

/// Winston in an AR.
const WINSTON: u128 = 1_000_000_000_000;

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
        let balance = self.at.clients()?.gateway.mint(address, u128::from(self.ar) * WINSTON).await?;
        let text = format!("{address} has {}.{:012} AR", balance / WINSTON, balance % WINSTON);
        ui.answer(text, &Funded { address, balance_winston: balance.to_string() });
        Ok(())
    }
}
