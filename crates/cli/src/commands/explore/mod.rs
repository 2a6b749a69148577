//! `pirn tx`, `pirn item` and `pirn block`: what an explorer shows, from any gateway, with the signatures checked here.

pub mod block;
pub mod item;
pub mod tx;

use pirn_http::client::{Explorer, Options, Sight, Transport};
use protocol::{Id, Tag, Tags};
use serde::Serialize;

use crate::error::Result;
use crate::network::Where;
use crate::ui::{moment, plain, table};

/// Bytes of data that are fetched to be checked.
const DATA_MAX: u64 = 64 << 20;
/// Rows of a list that people see; programs see all that was asked for.
const ROWS: usize = 20;
/// Characters of a tag's value that people see.
const VALUE_MAX: usize = 100;

fn explorer(at: &Where) -> Result<Explorer> {
    let url = at.clients()?.urls["gateway"].clone();
    Ok(Explorer::new(&url, Transport::new(Options::default())?))
}

/// Where something stands in the chain.
#[derive(Serialize)]
struct Standing {
    height: u64,
    hash: String,
    /// Seconds.
    timestamp: u64,
    /// 1 in the newest block.
    confirmations: u64,
}

impl Standing {
    async fn of(explorer: &Explorer, sight: &Sight) -> Result<Option<Standing>> {
        let Some(block) = &sight.block else { return Ok(None) };
        let confirmations = (explorer.height().await? + 1).saturating_sub(block.height);
        let (height, hash, timestamp) = (block.height, block.id.clone(), block.timestamp);
        Ok(Some(Standing { height, hash, timestamp, confirmations }))
    }

    fn rows(standing: Option<&Standing>) -> Vec<Vec<String>> {
        let Some(Standing { height, hash, timestamp, confirmations }) = standing else {
            return vec![row("block", "none yet: it waits for one")];
        };
        vec![
            row("block", format!("{height}  {hash}")),
            row("time", moment(timestamp.saturating_mul(1000))),
            row("confirmations", confirmations),
        ]
    }
}

/// Something in a list.
#[derive(Serialize)]
struct Listed {
    id: Id,
    from: protocol::Address,
    bytes: u64,
    what: String,
}

impl Listed {
    fn of(sight: &Sight) -> Listed {
        let bytes = u64::try_from(sight.data.size.0).unwrap_or(u64::MAX);
        Listed { id: sight.id, from: sight.owner.address, bytes, what: what(&sight.tags) }
    }

    /// A list as people see it, with a note of what is left out.
    fn table(listed: &[Listed], more: bool) -> String {
        let head = ["", "id", "bytes", "from", "what"].map(str::to_owned).to_vec();
        let row = |one: &Listed| {
            vec![
                String::new(),
                one.id.to_string(),
                one.bytes.to_string(),
                one.from.to_string(),
                one.what.clone(),
            ]
        };
        let rows: Vec<_> = std::iter::once(head).chain(listed.iter().take(ROWS).map(row)).collect();
        let mut text = table(&rows);
        if listed.len() > ROWS || more {
            let count = format!("{}{}", listed.len(), if more { " or more" } else { "" });
            text.push_str(&format!("\n  {ROWS} of {count} are shown; --json lists {}", listed.len()));
        }
        text
    }
}

/// In a word or two what something is, by its tags.
fn what(tags: &Tags) -> String {
    let first = |name| tags.first(name).filter(|value| !value.is_empty());
    let text = if first(protocol::tag::BUNDLE_FORMAT) == Some("binary") {
        "bundle".to_owned()
    } else if tags.has(protocol::tag::DATA_PROTOCOL, protocol::tag::AO) {
        let kind = first(protocol::tag::TYPE).unwrap_or_default();
        format!("ao {kind} {}", first(protocol::tag::ACTION).unwrap_or_default())
    } else {
        first(protocol::tag::CONTENT_TYPE).or_else(|| first("App-Name")).unwrap_or_default().to_owned()
    };
    shown(text.trim())
}

/// A stranger's text, on one line and not too long.
fn shown(text: &str) -> String {
    let text = plain(text).replace(['\n', '\r', '\t'], " ");
    match text.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

fn row(name: &str, value: impl ToString) -> Vec<String> {
    vec![name.to_owned(), value.to_string()]
}

/// The tags, one on a line, under a heading.
fn tags_of(tags: &[Tag]) -> String {
    let rows: Vec<_> =
        tags.iter().map(|tag| vec![String::new(), shown(&tag.name), shown(&tag.value)]).collect();
    if rows.is_empty() { "tags  none".to_owned() } else { format!("tags\n{}", table(&rows)) }
}

/// Winston as AR, as short as it is exact.
fn ar(winston: u128) -> String {
    const AR: u128 = 1_000_000_000_000;
    let text = format!("{}.{:012}", winston / AR, winston % AR);
    format!("{} AR", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A size for people, exact.
fn bytes(size: u64) -> String {
    match size {
        1 => "1 byte".to_owned(),
        _ => format!("{size} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        assert_eq!(ar(0), "0 AR");
        assert_eq!(ar(1), "0.000000000001 AR");
        assert_eq!(ar(2_500_000_000_000), "2.5 AR");
        assert_eq!(ar(u128::MAX), "340282366920938463463374607.431768211455 AR");
    }

    #[test]
    fn what_strangers_say_is_one_line_of_bounded_length() {
        assert_eq!(shown("a\nb\u{1b}[31mc"), "a bc");
        let long = shown(&"ü".repeat(200));
        assert!(long.starts_with("üü") && long.ends_with("… (400 bytes)"), "{long}");
    }
}
