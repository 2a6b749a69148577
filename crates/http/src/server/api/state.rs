//! `GET /api/v1/processes/{id}/state/{path}`: what a process has in its memory, as JSON. A process may also be called by a
//! name that the operator gives it; on a development network by its `Name`.
//!
//! A compute unit answers the same at the path that AO-Core nodes have for it: `/{id}~process@1.0/now/cache/{path}`.
//!
//! A Lua process publishes what it wants read by keeping it in the global table `Public`; a node that reads for
//! development reads its other globals as well. The read is a dry run of a fixed expression on a fork of the process,
//! so nothing of it stays; it is the same for aos modules and for our own.
//!
//! The ETag is the slot and a hash of the answer. With `at=SLOT` the answer never changes, and caches may keep it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use protocol::{Id, Json, Outcome, ProcessId, Slot, Tags, tag};
use serde::Deserialize;
use unit::{Compute, DryRun, Error, Query, Scheduled, Scheduler, SlotRange, Sort, TagFilter, Weave};

use crate::server::{Failure, Params};
use crate::wire::event::OutcomeSummary;

/// Where the answer begins in what the process shows.
const MARK: &str = "pirn-state:";
/// Names in a path.
const PARTS_MAX: usize = 16;
/// Bytes of a path.
const PATH_BYTES_MAX: usize = 1024;

/// What reads of processes need.
#[derive(Clone)]
pub struct Reads {
    /// Knows the processes and their slots.
    pub scheduler: Arc<dyn Scheduler>,
    /// Has their memories.
    pub compute: Arc<dyn Compute>,
    /// Which globals are read.
    pub globals: Globals,
    /// What processes are called.
    pub names: Names,
}

/// What processes are called, beside their ids.
#[derive(Clone, Default)]
pub struct Names {
    /// As the operator says.
    pub given: BTreeMap<String, ProcessId>,
    /// Where the newest process with a `Name` is looked for, if no other has it. Anybody may call a process anything, so
    /// this is for development networks.
    pub said: Option<Arc<dyn Weave>>,
}

impl Names {
    /// The process that an id or a name means.
    async fn resolve(&self, text: &str) -> Result<ProcessId, Error> {
        let not_an_id = match text.parse::<Id>() {
            Ok(id) => return Ok(id.into()),
            Err(error) => error,
        };
        if let Some(process) = self.given.get(text) {
            return Ok(*process);
        }
        let Some(weave) = &self.said else {
            return Err(Error::invalid(format!("{text:?} is no process: {not_an_id}"))
                .with_hint("give its id, or a name that the operator put under `names`"));
        };
        let filter = |name: &str, value: &str| {
            let values = vec![value.to_owned()];
            TagFilter { name: name.to_owned(), values, negated: false }
        };
        let tags = vec![filter("Name", text), filter(tag::TYPE, "Process")];
        let query = Query { tags, sort: Sort::Descending, limit: 1, ..Query::default() };
        let found = weave.query(query).await?.items;
        let newest = found.first().ok_or_else(|| {
            Error::not_found(format!("there is no process with the Name {text:?}"))
                .with_hint("`names` in the configuration gives others names")
        })?;
        Ok(newest.item.id.into())
    }
}

/// Which globals of a process are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Globals {
    /// Those in its table `Public`.
    Published,
    /// All, where `Public` does not have it: for development.
    All,
}

/// What the routes need.
pub(super) struct Server {
    pub reads: Option<Arc<Reads>>,
}

/// Everything that a process publishes.
pub(super) async fn all(
    State(server): State<Arc<Server>>,
    Path(process): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    Ok(server.read(&process, ("", Form::Json), &params, &headers).await?)
}

/// One value.
pub(super) async fn one(
    State(server): State<Arc<Server>>,
    Path((process, path)): Path<(String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    Ok(server.read(&process, (&path, Form::Json), &params, &headers).await?)
}

/// Ends the name of a process in a path of AO-Core.
const DEVICE: &str = "~process@1.0";
/// Where a process of AO-Core keeps what it publishes.
const CACHE: &str = "cache";
/// Asks an AO-Core node for JSON.
const AS_JSON: &str = "serialize~json@1.0";

/// One value, at the path that AO-Core nodes have for it. Without the suffix that asks for JSON, text comes as it is.
pub(in crate::server) async fn at_device(
    reads: &Option<Arc<Reads>>,
    (process, path): (&str, &str),
    params: &Params,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let process = process.strip_suffix(DEVICE).ok_or_else(|| {
        Error::not_found(format!("{process:?} is no process as AO-Core calls it"))
            .with_hint("what a process publishes is at /{id}~process@1.0/now/cache/{path}")
    })?;
    let path = path.trim_end_matches('/');
    let (path, is_json) = match path.strip_suffix(AS_JSON) {
        Some(rest) if rest.is_empty() || rest.ends_with('/') => (rest, true),
        _ => (path, false),
    };
    let path = match path.strip_prefix(CACHE) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    };
    let server = Server { reads: reads.clone() };
    let form = if is_json { Form::Json } else { Form::Plain };
    server.read(process, (path, form), params, headers).await
}

/// How a text is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As JSON, like everything else.
    Json,
    /// As it is.
    Plain,
}

impl Server {
    async fn read(
        &self,
        process: &str,
        (path, form): (&str, Form),
        params: &Params,
        headers: &HeaderMap,
    ) -> Result<Response, Error> {
        let none = || {
            Error::not_found("this node has no compute unit and no scheduler to read a process with")
                .with_hint("ask a node that has both")
        };
        let reads = self.reads.as_ref().ok_or_else(none)?;
        let process = reads.names.resolve(process).await?;
        let parts = parts_of(path)?;
        let at = params.number("at")?;
        let entry = reads.entry(process, at.map(Slot)).await?;
        let (slot, assignment) = (entry.assignment.slot, entry.assignment.id());
        let known =
            headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
        let message = reads.message(process, &parts).await?;
        let outcome = reads.compute.dry_run(process, message, at.map(|_| assignment)).await?;
        let body = value_of(&outcome, process, path, reads.globals)?;

        let text = (form == Form::Plain).then(|| serde_json::from_str::<String>(&body).ok()).flatten();
        let (body, kind) = match text {
            Some(text) => (text, "text/plain; charset=utf-8"),
            None => (body, "application/json"),
        };
        let hash = blake3::hash(body.as_bytes()).to_hex();
        let tag = format!("\"{slot}-{}\"", &hash[..16]);
        let unchanged = known.split(',').any(|known| known.trim() == tag || known.trim() == "*");
        let mut response = match unchanged {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response(),
        };
        let caching = match at {
            Some(_) => "public, max-age=31536000, immutable",
            None => "no-cache",
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, HeaderValue::from_str(&tag).expect("a tag is digits and quotes"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert("pirn-slot", HeaderValue::from(slot.0));
        Ok(response)
    }
}

impl Reads {
    /// The entry of a slot, or the newest.
    async fn entry(&self, process: ProcessId, slot: Option<Slot>) -> Result<Scheduled, Error> {
        let newest = self.scheduler.latest(process).await?;
        let Some(slot) = slot.filter(|slot| *slot != newest.assignment.slot) else { return Ok(newest) };
        let range = SlotRange::Slots { after: slot.0.checked_sub(1).map(Slot), to: Some(slot) };
        let page = self.scheduler.schedule_page(process, range, 1).await?;
        page.items.into_iter().find(|entry| entry.assignment.slot == slot).ok_or_else(|| {
            Error::not_found(format!("slot {slot} of {process} is not scheduled yet"))
                .with_code(unit::Code::NOT_SCHEDULED)
                .with_hint(format!("the newest is {}", newest.assignment.slot))
        })
    }

    /// The dry run that reads: an Eval, as if the owner had sent it.
    async fn message(&self, process: ProcessId, parts: &[&str]) -> Result<DryRun, Error> {
        let record = self.scheduler.process(process).await?;
        let owner = match record.item.tags.first(tag::FROM_PROCESS) {
            Some(spawner) => spawner.to_owned(),
            None => record.item.address().to_string(),
        };
        Ok(DryRun {
            id: None,
            signature: None,
            data: Some(Json::string(&script(parts, self.globals))),
            owner,
            target: None,
            anchor: None,
            forwarded_by: None,
            tags: Tags::from_iter([(tag::ACTION, "Eval")]),
            timestamp: None,
            block_height: None,
        })
    }
}

fn parts_of(path: &str) -> Result<Vec<&str>, Error> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.len() > PARTS_MAX || path.len() > PATH_BYTES_MAX {
        return Err(Error::invalid(format!(
            "a path has at most {PARTS_MAX} names and {PATH_BYTES_MAX} bytes"
        )));
    }
    Ok(parts)
}

/// The expression that reads. It names nothing of the process but what it reads, and calls nothing of it.
fn script(parts: &[&str], globals: Globals) -> String {
    let mut path = String::new();
    for part in parts {
        path.push('"');
        // Whatever the name is, it is a string and nothing else.
        part.bytes().for_each(|byte| write!(path, "\\{byte:03}").expect("a String takes everything"));
        path.push_str("\",");
    }
    let all = globals == Globals::All;
    format!(
        r#"(function()
  local path, all = {{{path}}}, {all}
  local json = require("json")
  local function step(from, key)
    if type(from) ~= "table" then return nil end
    local value = rawget(from, key)
    if value == nil and tonumber(key) then value = rawget(from, tonumber(key)) end
    return value
  end
  local function walk(from)
    for _, key in ipairs(path) do
      from = step(from, key)
      if from == nil then return nil end
    end
    return from
  end
  local public = rawget(_G, "Public")
  local value = walk(public)
  if value == nil and all and #path > 0 then value = walk(_G) end
  local answer = {{ found = value ~= nil, publishes = type(public) == "table" }}
  if value ~= nil then
    local ok, said = pcall(json.encode, value)
    if ok then answer.value = said else answer.why = tostring(said) end
  end
  return "{MARK}" .. json.encode(answer)
end)()"#
    )
}

/// What the expression answered.
#[derive(Deserialize)]
struct Read {
    found: bool,
    publishes: bool,
    /// JSON.
    value: Option<String>,
    why: Option<String>,
}

fn value_of(outcome: &Outcome, process: ProcessId, path: &str, globals: Globals) -> Result<String, Error> {
    let summary = outcome.output.to::<serde_json::Value>().ok();
    let shown = summary.as_ref().and_then(whole_output).unwrap_or_default();
    let read = shown.find(MARK).and_then(|at| {
        let mut values = serde_json::Deserializer::from_str(&shown[at + MARK.len()..]).into_iter::<Read>();
        values.next()?.ok()
    });
    let Some(read) = read else {
        let said = OutcomeSummary::of(outcome);
        let said = said.error.or(said.output).unwrap_or_default();
        let said: String = said.chars().take(200).collect();
        return Err(Error::refused(format!("{process} does not answer reads: {said:?}")).with_hint(
            "only Lua processes are read, with the owner they were spawned with; a dry run asks any other",
        ));
    };
    if let Some(value) = read.value {
        return Ok(value);
    }
    if let (true, Some(why)) = (read.found, read.why) {
        let why: String = why.chars().take(200).collect();
        return Err(Error::refused(format!("{path:?} of {process} is no JSON: {why}"))
            .with_hint("functions, cycles and lists with holes are not: read a part of it"));
    }
    let what = match path {
        "" => format!("{process} publishes nothing"),
        path => format!("{process} has nothing at {path:?} that is read here"),
    };
    let hint = match (globals, read.publishes) {
        (Globals::All, _) => "a path is names of globals and keys with slashes between; case matters",
        (_, true) => "what is read is in its table Public; case matters",
        (_, false) => "a process publishes what it keeps in its global table Public",
    };
    Err(Error::not_found(what).with_hint(hint))
}

/// All of what an output shows, as modules of aos write it.
fn whole_output(output: &serde_json::Value) -> Option<&str> {
    let data = output.get("data").unwrap_or(output);
    data.as_str().or_else(|| data.get("output")?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_its_string() {
        let script = script(&["a\"]..os", "]]"], Globals::All);
        assert!(script.contains(r#"{"\097\034\093\046\046\111\115","\093\093",}"#), "{script}");
    }

    #[test]
    fn a_path_has_bounds() {
        assert_eq!(parts_of("/a//b/").unwrap(), ["a", "b"]);
        assert!(parts_of(&"a/".repeat(17)).is_err());
        assert!(parts_of(&"a".repeat(1025)).is_err());
    }

    fn read(output: &str, globals: Globals) -> Result<String, Error> {
        let outcome =
            Outcome { error: None, output: Json::parse(output).unwrap(), ..Outcome::failed("", 0, 1) };
        value_of(&outcome, ProcessId(Id([1; 32])), "Count", globals)
    }

    #[test]
    fn an_answer_is_the_value_or_says_why_not() {
        let said = |answer: &str| serde_json::json!({"data": format!("hi\n{MARK}{answer}\n")}).to_string();
        let found = said(r#"{"found":true,"publishes":true,"value":"5"}"#);
        assert_eq!(read(&found, Globals::Published).unwrap(), "5");
        let nested = serde_json::json!({"data": {"output": format!("{MARK}{{\"found\":true,\"publishes\":false,\"value\":\"[]\"}}")}});
        assert_eq!(read(&nested.to_string(), Globals::All).unwrap(), "[]");
        for (answer, globals, kind, hint) in [
            (
                r#"{"found":false,"publishes":false}"#,
                Globals::Published,
                unit::Kind::NotFound,
                "keeps in its global",
            ),
            (
                r#"{"found":false,"publishes":true}"#,
                Globals::Published,
                unit::Kind::NotFound,
                "in its table Public",
            ),
            (r#"{"found":false,"publishes":true}"#, Globals::All, unit::Kind::NotFound, "names of globals"),
            (
                r#"{"found":true,"publishes":true,"why":"a function"}"#,
                Globals::All,
                unit::Kind::Refused,
                "functions",
            ),
        ] {
            let error = read(&said(answer), globals).unwrap_err();
            assert_eq!(error.kind, kind, "{answer}");
            assert!(error.hint.unwrap().contains(hint), "{answer}");
        }
        assert_eq!(read("\"\"", Globals::All).unwrap_err().kind, unit::Kind::Refused);
    }
}
