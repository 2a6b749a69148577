//! `pirn accounts`

use clap::Args;
use protocol::Address;
use serde::Serialize;

use crate::error::Result;
use crate::ui::{Ui, table};

/// List the public test accounts that `pirn dev` funds
#[derive(Debug, Args)]
pub struct Accounts {}

/// An account, as programs get it.
#[derive(Serialize)]
pub struct Shown {
    /// Its place in the list.
    pub index: usize,
    /// What people call it.
    pub name: &'static str,
    /// What sort of key it has.
    pub kind: &'static str,
    /// Its address.
    pub address: Address,
}

/// All accounts, as programs get them.
pub fn shown() -> Vec<Shown> {
    let shown = |account: node::Account| Shown {
        index: account.index,
        name: account.name,
        kind: account.kind.name(),
        address: account.wallet().address(),
    };
    node::accounts().into_iter().map(shown).collect()
}

impl Accounts {
    /// They are in the binary, so this asks nobody.
    pub fn run(self, ui: Ui) -> Result {
        let accounts = shown();
        let row = |account: &Shown| {
            vec![
                account.index.to_string(),
                account.name.to_owned(),
                account.kind.to_owned(),
                account.address.to_string(),
            ]
        };
        let rows: Vec<_> = accounts.iter().map(row).collect();
        ui.answer(table(&rows), &accounts);
        ui.note("public test keys, the same on every machine: never send them real money");
        Ok(())
    }
}
