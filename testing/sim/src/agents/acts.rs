//! What people do with agents in a day, and what they try.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::cast::{Cast, Person};
use crate::world::World;

/// Steps of a day: the ticks of an agent.
pub const STEP: Duration = Duration::from_secs(15 * 60);

/// What the bot may spend, and what it was given.
pub const DCA: [u64; 2] = [60_000, 200_000];
/// What the watcher may spend, and what it was given.
pub const WATCHER: [u64; 2] = [20_000, 100_000];

const HOUR_MS: u64 = 3_600_000;

/// Tells each agent what it is to do, and gives it its money.
pub async fn configure(cast: &Cast, began: u64) {
    use Person::{Ada, Ben, Cleo, Dan, Eve};
    let id = |name: &str| cast.of(name).to_string();
    let (gold, coin) = (id("gold"), id("coin"));
    let all = [Dan, Eve, Cleo].map(|who| who.address().to_string()).join(",");
    let feeders = [("Feeders", all.as_str()), ("Quorum", "2")];
    let fed = [&feeders[..], &[("Max-Age", "7200000")]].concat();
    let pair = [("Base", gold.as_str()), ("Quote", coin.as_str()), ("Lot", "10")];
    let loan = [("Collateral", gold.as_str()), ("Debt", coin.as_str())];
    let [amm, book, lending] = ["amm", "order-book", "lending"].map(id);
    let [budget, watched] = [DCA[0], WATCHER[0]].map(|budget| budget.to_string());
    let (closes, invalid) = ((began + 12 * HOUR_MS).to_string(), (began + 72 * HOUR_MS).to_string());
    let plan = |fields: &[&[(&str, &str)]]| -> Vec<(String, String)> {
        fields.concat().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let dca = [("Pay-Token", &*coin), ("Buy-Token", &*gold), ("Pool", &*amm), ("Amount", "1000")];
    let maker = [("Book", book.as_str()), ("Lots", "20"), ("Most-Base", "9000"), ("Spread", "100")];
    let watch = [("Lending", lending.as_str()), ("Each", "5000"), ("Budget", watched.as_str())];
    let market = [("Token", coin.as_str()), ("Question", "Does gold rise?")];
    let times = [("Closes", closes.as_str()), ("Invalid-After", invalid.as_str())];
    let notes = [("Token", coin.as_str()), ("Ledger", gold.as_str()), ("Price", "10"), ("Period", "3600000")];
    for (name, fields, is_done) in [
        ("amm", plan(&[&[("Token-A", &coin), ("Token-B", &gold)]]), "Pair"),
        ("dca", plan(&[&dca, &[("Budget", &budget), ("Slippage", "500")]]), "Plan"),
        ("order-book", plan(&[&pair, &[("Fee", "10")]]), "Market"),
        ("market-maker", plan(&[&maker, &pair, &fed]), "Plan"),
        ("rfq", plan(&[&pair, &[("Life", "1200000")], &fed]), "Plan"),
        ("lending", plan(&[&loan, &[("Lot", "10")], &fed]), "Terms"),
        ("watcher", plan(&[&watch, &loan]), "Plan"),
        ("prediction", plan(&[&market, &times, &feeders]), "Market"),
        ("notifier", plan(&[&notes]), "Plan"),
    ] {
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        cast.send(Ada, name, &[&[("Action", "Configure")], &fields[..]].concat()).await;
        cast.until(name, is_done).await;
    }
    let provide = [("X-Action", "Provide")];
    cast.transfer("coin", Ada, "amm", 400_000, &provide).await;
    cast.transfer("gold", Ada, "amm", 4000, &provide).await;
    cast.transfer("coin", Ada, "dca", DCA[1], &[]).await;
    cast.transfer("coin", Ada, "market-maker", 500_000, &[]).await;
    cast.transfer("gold", Ada, "market-maker", 5000, &[]).await;
    cast.transfer("coin", Ada, "rfq", 500_000, &[]).await;
    cast.transfer("gold", Ada, "rfq", 5000, &[]).await;
    cast.transfer("coin", Ada, "lending", 500_000, &[("X-Action", "Fund")]).await;
    cast.transfer("coin", Ada, "watcher", WATCHER[1], &[]).await;
    cast.transfer("coin", Ben, "notifier", 100, &[("X-Action", "Subscribe"), ("X-Watch", &amm)]).await;
    cast.transfer("coin", Cleo, "prediction", 5000, &[("X-Action", "Mint")]).await;
    cast.until("amm", "Till.held[Pair.a] and Till.held[Pair.b]").await;
    cast.send(Ada, "amm", &[("Action", "Provide")]).await;
    cast.until("amm", "Reserves.a ~= '0'").await;
}

/// A quote that somebody may take.
#[derive(Deserialize)]
struct Quote {
    id: String,
    account: String,
    take: String,
    take_quantity: String,
}

/// One quarter of an hour of a day of `steps`: feeders speak, two people do something.
pub async fn step(cast: &Cast, world: &World, n: u64, steps: u64, price: &mut u64) {
    use Person::{Ben, Cleo, Dan, Eve};
    // It falls for the first half of the day and more, so that somebody is liquidated.
    let most = if n < steps * 5 / 8 { 101 } else { 121 };
    *price = (*price + world.below(most)).saturating_sub(60).max(400);
    let said = price.to_string();
    for process in ["market-maker", "rfq", "lending"] {
        for who in [Dan, Eve] {
            cast.feed(who, process, "price", &said).await;
        }
    }
    if n == 0 {
        cast.transfer("gold", Dan, "lending", 100, &[("X-Action", "Collateral")]).await;
    }
    if n == 1 {
        cast.send(Dan, "lending", &[("Action", "Borrow"), ("Quantity", &(6 * *price).to_string())]).await;
    }
    // Again and again, as feeders do: one that is down hears nothing.
    if n >= steps * 17 / 32 && n.is_multiple_of(4) {
        for who in [Dan, Eve] {
            cast.feed(who, "prediction", "outcome", "yes").await;
        }
    }
    for _ in 0..2 {
        let who = if world.below(2) == 0 { Ben } else { Cleo };
        act(cast, world, who, *price).await;
    }
    if world.faults.both_messengers {
        cast.push_again().await;
    }
}

async fn act(cast: &Cast, world: &World, who: Person, price: u64) {
    use Person::{Ben, Cleo};
    let between = |low: u64, high: u64| low + world.below(high - low + 1);
    let some = |words: &[&'static str]| words[world.below(words.len() as u64) as usize];
    let text = |n: u64| n.to_string();
    let kind = || some(&["ioc", "limit"]);
    match world.below(14) {
        0 => {
            let least = text(between(0, 100));
            let swap = [("X-Action", "Swap"), ("X-Min-Output", least.as_str())];
            cast.transfer("coin", who, "amm", between(0, 20_000), &swap).await;
        }
        1 => {
            let swap = [("X-Action", "Swap"), ("X-Min-Output", "1")];
            cast.transfer("gold", who, "amm", between(0, 200), &swap).await;
        }
        2 => {
            let (lots, at) = (between(1, 9), text(price + 50));
            let order = [("X-Action", "Order"), ("X-Side", "buy"), ("X-Price", &at), ("X-Type", kind())];
            cast.transfer("coin", who, "order-book", lots * (price + 50), &order).await;
        }
        3 => {
            let at = text(price.saturating_sub(50).max(1));
            let order = [("X-Action", "Order"), ("X-Side", "sell"), ("X-Price", &at), ("X-Type", kind())];
            cast.transfer("gold", who, "order-book", between(1, 90), &order).await;
        }
        4 => drop(cast.send(who, "order-book", &[("Action", "Cancel-All")]).await),
        5 => {
            cast.transfer("gold", who, "lending", between(1, 100), &[("X-Action", "Collateral")]).await;
        }
        6 => {
            let quantity = text(between(1, 5000));
            cast.send(who, "lending", &[("Action", "Borrow"), ("Quantity", &quantity)]).await;
        }
        7 => {
            let watched = cast.of(some(&["amm", "market-maker"])).to_string();
            let subscribe = [("X-Action", "Subscribe"), ("X-Watch", watched.as_str())];
            cast.transfer("coin", who, "notifier", between(0, 30), &subscribe).await;
        }
        8 => cast.transfer("coin", who, "prediction", between(0, 3000), &[("X-Action", "Mint")]).await,
        9 => {
            let (quantity, to) = (text(between(1, 900)), if world.below(2) == 0 { Ben } else { Cleo });
            let (outcome, to) = (some(&["yes", "no"]), to.address().to_string());
            let fields = [("Outcome", outcome), ("Quantity", &quantity), ("Recipient", &to)];
            cast.send(who, "prediction", &[&[("Action", "Move")], &fields[..]].concat()).await;
        }
        10 => {
            let quantity = text(between(1, 300));
            cast.send(who, "prediction", &[("Action", "Merge"), ("Quantity", &quantity)]).await;
        }
        11 => {
            let (side, lots) = (some(&["buy", "sell"]), text(between(1, 20)));
            cast.send(who, "rfq", &[("Action", "Request-Quote"), ("Side", side), ("Lots", &lots)]).await;
            tokio::time::sleep(Duration::from_secs(120)).await;
            accept(cast).await;
        }
        // What none of them may fall for.
        12 => {
            let all = ["amm", "order-book", "rfq", "lending", "prediction", "notifier", "dca"];
            let what = some(&["Swap", "Order", "Mint", "Fund", "Subscribe"]);
            let sender = who.address().to_string();
            let forged = [
                ("Action", "Credit-Notice"),
                ("Sender", sender.as_str()),
                ("Quantity", "1000000"),
                ("X-Action", what),
                ("X-Min-Output", "1"),
                ("X-Side", "buy"),
                ("X-Price", "1000"),
            ];
            cast.send(who, some(&all), &forged).await;
        }
        _ => drop(cast.send(who, some(&["dca", "market-maker", "watcher"]), &[("Action", "Tick")]).await),
    }
}

/// Those who asked for a quote take what they were offered.
async fn accept(cast: &Cast) {
    let Some(quotes) = cast.look::<serde_json::Value>("rfq", "Quotes").await else { return };
    // An empty table of Lua is a list.
    let quotes: BTreeMap<String, Quote> = serde_json::from_value(quotes).unwrap_or_default();
    for quote in quotes.values() {
        let owner =
            [Person::Ben, Person::Cleo].into_iter().find(|who| who.address().to_string() == quote.account);
        let token = super::cast::TOKENS.into_iter().find(|name| cast.of(name).to_string() == quote.take);
        let (Some(owner), Some(token), Ok(quantity)) = (owner, token, quote.take_quantity.parse()) else {
            continue;
        };
        cast.transfer(token, owner, "rfq", quantity, &[("X-Action", "Accept"), ("X-Quote", &quote.id)]).await;
    }
}

/// The day is over: orders are taken back, and the market's winners redeem.
pub async fn end(cast: &Cast) {
    cast.send(Person::Ada, "market-maker", &[("Action", "Stop")]).await;
    for who in [Person::Ben, Person::Cleo] {
        cast.send(who, "order-book", &[("Action", "Cancel-All")]).await;
        cast.send(who, "prediction", &[("Action", "Redeem")]).await;
    }
}
