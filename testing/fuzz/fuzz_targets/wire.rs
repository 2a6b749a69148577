//! What other units and clients say in JSON, each shape by the first byte; a schedule with its signatures restored.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pirn_http::wire::{cu, graphql, mu, su, transaction};
use protocol::DataItem;
use serde::de::DeserializeOwned;

fn shape<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

fn entry(entry: &unit::Scheduled) {
    let _ = DataItem::restore(&entry.assignment.item);
    if let Some(item) = &entry.message
        && let Some(restored) = DataItem::restore(item)
    {
        // What a signature is over is all that was said, whatever was said beside it.
        assert_eq!((restored.id, &restored.data, &restored.tags), (item.id, &item.data, &item.tags));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, body)) = bytes.split_first() else { return };
    match which {
        b'l' => {
            if let Ok(list) = serde_json::from_slice::<su::List<'_>>(body)
                && let Ok(page) = list.read()
            {
                page.items.iter().for_each(entry);
            }
        }
        b'n' => {
            if let Ok(node) = serde_json::from_slice::<su::Node<'_>>(body)
                && let Ok(scheduled) = node.read()
            {
                entry(&scheduled);
            }
        }
        b'p' => drop(serde_json::from_slice::<su::ProcessShape<'_>>(body).map(su::ProcessShape::read)),
        b'r' => drop(serde_json::from_slice::<cu::Results<'_>>(body).map(cu::Results::read)),
        b'd' => drop(cu::read_dry_run(body)),
        b'c' => {
            if let Ok(cursor) = std::str::from_utf8(body).map_err(drop).and_then(|text| cu::decode_cursor(text).map_err(drop)) {
                assert_eq!(cu::decode_cursor(&cu::encode_cursor(&cursor)), Ok(cursor));
            }
        }
        b't' => drop(shape::<mu::Traces>(body).map(mu::Traces::read)),
        b'x' => drop(shape::<transaction::TransactionShape>(body).map(transaction::TransactionShape::read)),
        b'k' => drop(shape::<transaction::NewChunkShape>(body).map(transaction::NewChunkShape::read)),
        b'g' => {
            let found = shape::<graphql::Response<graphql::Transactions>>(body).map(graphql::Response::read);
            for edge in found.and_then(Result::ok).into_iter().flat_map(|found| found.transactions.edges) {
                let _ = edge.node.read(edge.cursor);
            }
        }
        _ => {}
    }
});
