//! What goes into a machine: one message, and the environment it is evaluated in. Encoding `JSON-1`.
//!
//! Key order and absence are part of the contract: modules hash and print what they receive
//! (`protocol/04-cu.md` section 4.6).

use protocol::{Json, Tags};
use serde::Serialize;

/// One message, as the guest sees it. A `None` is a key that is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the names are the wire's; the table in the protocol document says each")]
pub struct Input {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Text, or for a dry run whatever JSON the client sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `Some(None)` is `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(rename = "Forwarded-By", skip_serializing_if = "Option::is_none")]
    pub forwarded_by: Option<String>,
    pub tags: Tags,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<u64>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    #[serde(rename = "Block-Height", skip_serializing_if = "Option::is_none")]
    pub block_height: Option<u64>,
    #[serde(rename = "Hash-Chain", skip_serializing_if = "Option::is_none")]
    pub hash_chain: Option<String>,
    pub cron: bool,
    #[serde(rename = "Read-Only")]
    pub read_only: bool,
}

impl Input {
    /// The `JSON-1` text.
    pub fn to_json(&self) -> String {
        let mut text = Vec::with_capacity(self.length());
        serde_json::to_writer(&mut text, self).expect("an input is always JSON");
        String::from_utf8(text).expect("JSON is text")
    }

    /// About how long the text will be, so that it need not be moved while it grows.
    fn length(&self) -> usize {
        let texts = [&self.signature, &self.owner, &self.target, &self.from, &self.forwarded_by];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let data = self.data.as_ref().map_or(0, |data| data.get().len());
        let tags: usize = self.tags.iter().map(|tag| tag.name.len() + tag.value.len() + 24).sum();
        texts + data + tags + 512
    }
}

/// The process and the module of an evaluation, the second argument of `handle`. Encoded once per process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    json: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Named<'a> {
    id: &'a str,
    owner: &'a str,
    tags: &'a Tags,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Both<'a> {
    process: Named<'a>,
    module: Named<'a>,
}

impl Environment {
    /// The environment of a process: id, owner and tags of it and of its module.
    pub fn new(process: (&str, &str, &Tags), module: (&str, &str, &Tags)) -> Environment {
        let named = |(id, owner, tags)| Named { id, owner, tags };
        let both = Both { process: named(process), module: named(module) };
        Environment { json: serde_json::to_string(&both).expect("an environment is always JSON") }
    }

    /// An environment that somebody else encoded.
    pub fn from_json(json: impl Into<String>) -> Environment {
        Environment { json: json.into() }
    }

    /// The `JSON-1` text.
    pub fn to_json(&self) -> &str {
        &self.json
    }
}
