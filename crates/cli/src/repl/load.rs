//! Blueprints: scripts that are part of Pirn.

use std::path::PathBuf;

use unit::Code;

use crate::bundle::{Bundle, Source};
use crate::error::{Failure, Result};

/// The scripts, by the names that aos has for them.
const BLUEPRINTS: [(&str, &str); 7] = [
    ("arena", include_str!("../../../../processes/blueprints/arena.lua")),
    ("chatroom", include_str!("../../../../processes/blueprints/chatroom.lua")),
    ("credits", include_str!("../../../../processes/blueprints/credits.lua")),
    ("staking", include_str!("../../../../processes/blueprints/staking.lua")),
    ("subscriptions", include_str!("../../../../processes/blueprints/subscriptions.lua")),
    ("token", include_str!("../../../../processes/blueprints/token.lua")),
    ("voting", include_str!("../../../../processes/blueprints/voting.lua")),
];

/// A blueprint by its name.
pub fn blueprint(name: &str) -> Result<Bundle> {
    let Some((name, text)) = BLUEPRINTS.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = blueprint_names().collect();
        let failure = Failure::new(Code::NOT_FOUND, format!("there is no blueprint {name:?}"));
        return Err(failure.hint(format!("there are {}", names.join(", "))));
    };
    let name = format!("blueprints/{name}.lua");
    let source = Source { module: None, path: PathBuf::from(&name), name, text: (*text).to_owned() };
    Ok(Bundle { sources: vec![source], missing: Vec::new() })
}

/// The names of all blueprints.
pub fn blueprint_names() -> impl Iterator<Item = &'static str> {
    BLUEPRINTS.iter().map(|(name, _)| *name)
}

/// Each blueprint: its name, and its first line.
pub fn blueprints() -> Vec<Vec<String>> {
    let about = |text: &str| text.lines().next().unwrap_or_default().trim_start_matches("--- ").to_owned();
    BLUEPRINTS.iter().map(|(name, text)| vec![(*name).to_owned(), about(text)]).collect()
}
