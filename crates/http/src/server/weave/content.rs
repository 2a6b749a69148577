//! Data by id: what a browser, a wasm loader or a unit reads.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use protocol::id::base64url;
use protocol::{Id, tag};
use serde_json::json as json_value;
use sha2::{Digest as _, Sha256};
use unit::{Entry, Kind};

use super::manifest::{self, Manifest};
use super::{Answer, Server, Shared, absent, read_id, waiting};
use crate::server::json;

/// The data of something, whatever it is.
pub(super) async fn raw(
    State(server): Shared,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    match entry(&server, &id).await? {
        Ok(entry) => send(&server, entry, &method, &headers).await,
        Err(answer) => Ok(answer),
    }
}

/// The data of something, or the index of a manifest.
pub(super) async fn resolved(
    State(server): Shared,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let entry = match entry(&server, &id).await? {
        Ok(entry) => entry,
        Err(answer) => return Ok(answer),
    };
    if !is_manifest(&entry) {
        return send(&server, entry, &method, &headers).await;
    }
    // In a browser the links of a page begin at the last slash.
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        let place = HeaderValue::try_from(format!("/{id}/")).expect("an id is ASCII");
        return Ok((StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, place)]).into_response());
    }
    within(&server, entry, "", &method, &headers).await
}

/// The same, with a slash at the end.
pub(super) async fn resolved_root(
    State(server): Shared,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    match entry(&server, &id).await? {
        Ok(entry) if is_manifest(&entry) => within(&server, entry, "", &method, &headers).await,
        Ok(entry) => send(&server, entry, &method, &headers).await,
        Err(answer) => Ok(answer),
    }
}

/// What a manifest has under a path.
pub(super) async fn resolved_path(
    State(server): Shared,
    Path((id, path)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    match entry(&server, &id).await? {
        Ok(entry) if is_manifest(&entry) => within(&server, entry, &path, &method, &headers).await,
        Ok(_) => Ok(json(
            StatusCode::NOT_FOUND,
            &json_value!({"status": 404, "error": format!("{id} is not a manifest: it has no paths")}),
        )),
        Err(answer) => Ok(answer),
    }
}

/// The data of a transaction with its content type, as `/tx/{id}/data.{extension}` gives it.
pub(super) async fn whole(server: &Arc<Server>, id: Id, method: &Method, headers: &HeaderMap) -> Answer {
    let entry = server.weave.entry(id).await?;
    send(server, entry, method, headers).await
}

async fn within(
    server: &Arc<Server>,
    site: Entry,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Answer {
    let (id, size) = (site.found.item.id, site.data_size);
    let unreadable = |why: &str| {
        let error = format!("the manifest {id} cannot be read: {why}");
        json(StatusCode::NOT_FOUND, &json_value!({"status": 404, "error": error}))
    };
    if size > server.options.manifest_bytes_max {
        return Ok(unreadable("it is too large"));
    }
    let data = server.weave.data(id, 0..size).await?;
    let Some(manifest) = Manifest::read(&data) else { return Ok(unreadable("it is not JSON with paths")) };
    let missing = || {
        json(StatusCode::NOT_FOUND, &json_value!({"status": 404, "error": "Data not found in the manifest"}))
    };
    let Some(target) = manifest.resolve(path) else { return Ok(missing()) };
    match server.weave.entry(target).await {
        Ok(entry) => send(server, entry, method, headers).await,
        Err(error) if error.kind == Kind::NotFound => Ok(missing()),
        Err(error) => Err(error.into()),
    }
}

fn is_manifest(entry: &Entry) -> bool {
    entry.found.item.tags.first(tag::CONTENT_TYPE).is_some_and(|kind| kind.starts_with(manifest::KIND))
}

/// What is named, or the answer where it is not there.
async fn entry(server: &Server, id: &str) -> Result<Result<Entry, Response>, crate::server::Failure> {
    let nothing = || json(StatusCode::NOT_FOUND, &json_value!({"status": 404, "error": "Not Found"}));
    let Some(id) = read_id(id) else { return Ok(Err(nothing())) };
    match server.weave.entry(id).await {
        Ok(entry) => Ok(Ok(entry)),
        Err(error) if error.kind == Kind::NotFound => Ok(Err(nothing())),
        Err(error) => Err(error.into()),
    }
}

/// The header in which gateways say the SHA-256 of what they serve: clients compare that of several.
const DIGEST: &str = "x-ar-io-digest";

/// Sends data, or the part that is asked for, piece by piece.
async fn send(server: &Arc<Server>, entry: Entry, method: &Method, headers: &HeaderMap) -> Answer {
    let id = entry.found.item.id;
    let size = entry.data_size;
    let etag = HeaderValue::try_from(format!("\"{id}\"")).expect("an id is ASCII");
    let has_etag = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let matches = |list: &str| {
        let tags = list.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
        tags.into_iter().any(|tag| tag == "*" || tag == etag.to_str().expect("an id is ASCII"))
    };
    if has_etag(header::IF_NONE_MATCH).is_some_and(matches) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let wanted = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let wanted = wanted.filter(|_| has_etag(header::IF_RANGE).is_none_or(matches));
    let (status, range) = match wanted.and_then(|range| read_range(range, size)) {
        None => (StatusCode::OK, 0..size),
        Some(Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(None) => {
            let all = HeaderValue::try_from(format!("bytes */{size}")).expect("a number is ASCII");
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, all)]).into_response());
        }
    };
    let len = range.end - range.start;
    let is_head = method == Method::HEAD;
    let is_digested = status == StatusCode::OK && size <= server.options.digest_bytes_max;
    // Nothing of the data is enough to know whether it is there.
    let piece = match (is_digested, is_head) {
        (true, _) => size,
        (false, true) => 0,
        (false, false) => server.options.piece_bytes,
    };
    let end = range.end.min(range.start.saturating_add(piece));
    let mut digest = None;
    let body = match server.weave.data(id, range.start..end).await.inspect(|data| {
        digest = is_digested.then(|| base64url(Sha256::digest(data)));
    }) {
        Ok(_) if is_head => Body::empty(),
        Ok(first) if end == range.end => Body::from(first),
        Ok(first) => pieces(server.clone(), id, first, end..range.end),
        Err(error) if error.kind == Kind::NotFound && entry.block.is_none() => return Ok(waiting()),
        Err(error) if error.kind == Kind::NotFound => return Ok(absent()),
        Err(error) => return Err(error.into()),
    };
    let kind =
        entry.found.item.tags.first(tag::CONTENT_TYPE).and_then(|kind| HeaderValue::try_from(kind).ok());
    let kind = kind.filter(|kind| !kind.is_empty());
    let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, kind);
    own.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    own.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    own.insert(header::ETAG, etag);
    if let Some(digest) = digest {
        own.insert(DIGEST, HeaderValue::try_from(digest).expect("base64url is ASCII"));
    }
    if is_head && !entry.found.base_layer {
        put_offsets(server, id, own).await?;
    }
    // Under an id there is never anything else.
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        own.insert(header::CONTENT_RANGE, HeaderValue::try_from(part).expect("numbers are ASCII"));
    }
    Ok(response)
}

/// Says where in which transaction an item lies, for whoever reads its head there and checks its signature.
async fn put_offsets(server: &Server, id: Id, headers: &mut HeaderMap) -> Result<(), crate::server::Failure> {
    let offsets = server.weave.item_offsets(id).await?;
    let Some((root, start)) = offsets.root else { return Ok(()) };
    let root = HeaderValue::try_from(root.to_string()).expect("an id is ASCII");
    headers.insert("x-ar-io-root-transaction-id", root);
    headers.insert("x-ar-io-data-item-offset", start.into());
    headers.insert("x-ar-io-data-item-data-offset", (start + offsets.data_start).into());
    headers.insert("x-ar-io-data-item-size", offsets.size.into());
    Ok(())
}

/// The rest of an answer, read as it is sent.
fn pieces(server: Arc<Server>, id: Id, first: bytes::Bytes, rest: Range<u64>) -> Body {
    let rest = stream::try_unfold(rest, move |rest| {
        let server = server.clone();
        async move {
            if rest.is_empty() {
                return Ok(None);
            }
            let end = rest.end.min(rest.start.saturating_add(server.options.piece_bytes));
            let piece = server.weave.data(id, rest.start..end).await?;
            Ok::<_, unit::Error>(Some((piece, end..rest.end)))
        }
    });
    let first = stream::once(async { Ok(first) });
    Body::from_stream(futures::StreamExt::chain(first, rest))
}

/// Reads a `Range` of `size` bytes. `None`: not one that we serve, so it is as if there were none. `Some(None)`: there
/// is nothing in it.
fn read_range(text: &str, size: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    let range = match (first.is_empty(), last.is_empty()) {
        // The last so many.
        (true, false) => size.saturating_sub(last.parse().ok()?)..size,
        (false, true) => first.parse().ok()?..size,
        (false, false) => {
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
        (true, true) => return None,
    };
    Some((range.start < range.end).then_some(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Option<Range<u64>>>) {
        assert_eq!(read_range(text, 10), expected, "{text}");
    }

    #[test]
    fn a_range_is_cut_to_what_there_is() {
        check("bytes=0-3", Some(Some(0..4)));
        check("bytes=4-", Some(Some(4..10)));
        check("bytes=-3", Some(Some(7..10)));
        check("bytes=-30", Some(Some(0..10)));
        check("bytes=8-99", Some(Some(8..10)));
        check("bytes=9-18446744073709551615", Some(Some(9..10)));
    }

    #[test]
    fn a_range_beyond_the_end_has_nothing() {
        check("bytes=10-", Some(None));
        check("bytes=10-20", Some(None));
        check("bytes=-0", Some(None));
    }

    #[test]
    fn other_ranges_are_as_if_there_were_none() {
        for text in [
            "items=0-3",
            "bytes=3-1",
            "bytes=-",
            "bytes=a-b",
            "bytes=0-1,4-5",
            "",
            "bytes=99999999999999999999-",
        ] {
            check(text, None);
        }
    }
}
