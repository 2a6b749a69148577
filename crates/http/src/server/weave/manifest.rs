//! Manifests: a JSON file that gives ids to paths, so that many items look like one site.

use std::collections::BTreeMap;

use protocol::Id;
use serde::Deserialize;

/// The content type of a manifest.
pub(super) const KIND: &str = "application/x.arweave-manifest+json";

/// A manifest, as far as it says where paths lead.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    #[serde(default)]
    index: Option<Index>,
    #[serde(default)]
    fallback: Option<Target>,
    #[serde(default)]
    paths: BTreeMap<String, Target>,
}

#[derive(Debug, Deserialize)]
struct Index {
    path: Option<String>,
    id: Option<Id>,
}

#[derive(Debug, Deserialize)]
struct Target {
    id: Id,
}

impl Manifest {
    pub(super) fn read(json: &[u8]) -> Option<Manifest> {
        // A list would be read as the fields in their order.
        json.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(json).ok()).flatten()
    }

    /// Where a path leads: nothing to the index, anything else to what has that path, or else to the fallback.
    pub(super) fn resolve(&self, path: &str) -> Option<Id> {
        let of_path = |path: &str| self.paths.get(path).map(|target| target.id);
        let found = match (path, &self.index) {
            ("", Some(index)) => index.id.or_else(|| of_path(index.path.as_deref()?)),
            ("", None) => None,
            (path, _) => of_path(path).or_else(|| of_path(path.trim_end_matches('/'))),
        };
        found.or(self.fallback.as_ref().map(|target| target.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, path: &str, expected: Option<u8>) {
        let id = |n: u8| Id([n; 32]).to_string();
        let json = json.replace("$1", &id(1)).replace("$2", &id(2)).replace("$3", &id(3));
        let manifest = Manifest::read(json.as_bytes()).expect("a manifest");
        assert_eq!(manifest.resolve(path), expected.map(|n| Id([n; 32])), "{path}");
    }

    const SITE: &str = r#"{"manifest": "arweave/paths", "version": "0.1.0", "index": {"path": "index.html"},
        "paths": {"index.html": {"id": "$1"}, "deep/a.txt": {"id": "$2"}}}"#;

    #[test]
    fn a_path_leads_to_its_item_and_nothing_to_the_index() {
        check(SITE, "", Some(1));
        check(SITE, "deep/a.txt", Some(2));
        check(SITE, "deep/a.txt/", Some(2));
        check(SITE, "missing.js", None);
    }

    #[test]
    fn an_index_may_be_an_id_and_a_fallback_takes_the_rest() {
        let app = r#"{"version": "0.2.0", "index": {"id": "$1"}, "fallback": {"id": "$3"}, "paths": {}}"#;
        check(app, "", Some(1));
        check(app, "missing.js", Some(3));
        check(r#"{"paths": {}, "fallback": {"id": "$3"}}"#, "", Some(3));
    }

    #[test]
    fn what_is_no_manifest_is_not_read() {
        for json in ["", "[]", r#"{"paths": {"a": {"id": "short"}}}"#, r#"{"paths": 1}"#] {
            assert!(Manifest::read(json.as_bytes()).is_none(), "{json}");
        }
    }
}
