//! Where the configuration comes from: defaults, then `pirn.toml`, then the environment, then flags. Later wins.

use std::path::{Path, PathBuf};

use figment::providers::{Env, Format as _, Serialized, Toml};
use figment::value::{Dict, Value};
use figment::{Figment, Provider as _, Source};
use serde::Serialize;
use unit::Code;

use crate::{Config, Error};

/// What the environment's variables begin with: `PIRN__SU__PAGE_MAX=100`.
const PREFIX: &str = "PIRN__";
/// The file that is read if it is there and no other is named.
const FILE: &str = "pirn.toml";

/// What flags say, as `section.key` and a value. They win.
#[derive(Debug, Default)]
pub struct Overrides(Vec<(String, Value)>);

impl Overrides {
    /// Says a value.
    pub fn set(&mut self, key: &str, value: impl Serialize) -> &mut Overrides {
        // A value that cannot be written down would be a bug of a flag; extraction then names the key.
        let value = Value::serialize(value).unwrap_or(Value::from(""));
        self.0.push((key.to_owned(), value));
        self
    }

    /// Says a value, if there is one.
    pub fn set_some(&mut self, key: &str, value: Option<impl Serialize>) -> &mut Overrides {
        if let Some(value) = value {
            self.set(key, value);
        }
        self
    }
}

/// A configuration and where its values come from.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    figment: Figment,
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// `section.key`.
    pub key: String,
    /// As TOML says it; empty where nothing is chosen.
    pub value: String,
    /// `default`, a file, the environment, or a flag.
    pub source: String,
}

/// Reads the configuration on top of `defaults`. `file` must exist; without it `pirn.toml` is read if it is there.
pub fn load(defaults: Config, file: Option<&Path>, flags: Overrides) -> Result<Loaded, Error> {
    let known = Value::serialize(&defaults).map_err(|error| unusable(&error))?;
    let mut figment = Figment::from(Serialized::defaults(defaults));
    if let Some(file) = file
        && !file.is_file()
    {
        return Err(Error::Config {
            code: Code::FILE,
            what: format!("there is no configuration file {}", file.display()),
            hint: Some("name one that exists with --config, or leave it out for ./pirn.toml".to_owned()),
        });
    }
    figment = figment.merge(OfNode(Toml::file(file.unwrap_or(Path::new(FILE)))));
    figment = figment.merge(Env::prefixed(PREFIX).split("__"));
    for (key, value) in flags.0 {
        figment = figment.merge(Flag(key, value));
    }
    refuse_unknown(&figment, &known)?;
    let config: Config = figment.extract().map_err(|error| unusable(&error))?;
    check(&config)?;
    Ok(Loaded { config, figment })
}

impl Loaded {
    /// Every value, with where it comes from.
    pub fn settings(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        for dict in self.figment.data().unwrap_or_default().values() {
            walk(dict, "", &mut |key, value| {
                settings.push(Setting {
                    key: key.to_owned(),
                    value: written(value),
                    source: source_of(&self.figment, key),
                });
            });
        }
        settings
    }
}

/// The sections of the file that are a project's and no node's: whoever runs projects reads them.
const OF_PROJECTS: &[&str] = &["processes", "feeds"];

/// The file, without what is not about a node.
struct OfNode<P>(P);

impl<P: figment::Provider> figment::Provider for OfNode<P> {
    fn metadata(&self) -> figment::Metadata {
        self.0.metadata()
    }

    fn data(&self) -> Result<figment::value::Map<figment::Profile, Dict>, figment::Error> {
        let mut data = self.0.data()?;
        for dict in data.values_mut() {
            dict.retain(|key, _| !OF_PROJECTS.contains(&key.as_str()));
        }
        Ok(data)
    }
}

/// A flag, as a source that says so.
struct Flag(String, Value);

impl figment::Provider for Flag {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named("flag")
    }

    fn data(&self) -> Result<figment::value::Map<figment::Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(&self.0, self.1.clone());
        Ok(figment::Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}

/// Calls `visit` with every leaf.
fn walk(dict: &Dict, above: &str, visit: &mut dyn FnMut(&str, &Value)) {
    for (name, value) in dict {
        let key = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => walk(inner, &key, visit),
            leaf => visit(&key, leaf),
        }
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, c) => format!("{:?}", c.to_string()),
        Value::Bool(_, truth) => truth.to_string(),
        Value::Num(_, number) => number
            .to_u128()
            .map(|number| number.to_string())
            .or_else(|| number.to_i128().map(|number| number.to_string()))
            .or_else(|| number.to_f64().map(|number| number.to_string()))
            .unwrap_or_default(),
        Value::Empty(..) => String::new(),
        Value::Dict(_, dict) => {
            let entries: Vec<_> =
                dict.iter().map(|(key, value)| format!("{key} = {}", written(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(_, list) => format!("[{}]", list.iter().map(written).collect::<Vec<_>>().join(", ")),
    }
}

fn source_of(figment: &Figment, key: &str) -> String {
    let Some(metadata) = figment.find_metadata(key) else { return "default".to_owned() };
    match &metadata.source {
        Some(Source::File(path)) => path.display().to_string(),
        _ if metadata.name == "flag" => "flag".to_owned(),
        _ if metadata.name.contains("environment") => {
            format!("environment {PREFIX}{}", key.to_uppercase().replace('.', "__"))
        }
        _ => "default".to_owned(),
    }
}

/// Refuses what nobody asks for, and names what may have been meant.
fn refuse_unknown(figment: &Figment, known: &Value) -> Result<(), Error> {
    let mut unknown = None;
    for dict in figment.data().map_err(|error| unusable(&error))?.values() {
        walk(dict, "", &mut |key, _| {
            if unknown.is_none() && !is_known(known, key) {
                unknown = Some(key.to_owned());
            }
        });
    }
    let Some(key) = unknown else { return Ok(()) };
    let mut names = Vec::new();
    if let Value::Dict(_, dict) = known {
        sections(dict, "", &mut names);
    }
    let hint = match nearest(&key, &names) {
        Some(near) => format!("did you mean {near}? `pirn config show` lists every option"),
        None => "`pirn config show` lists every option".to_owned(),
    };
    Err(Error::Config {
        code: Code::UNKNOWN_OPTION,
        what: format!("there is no option {key} (from {})", source_of(figment, &key)),
        hint: Some(hint),
    })
}

/// Whether a key leads to a value, or into one that is a choice with content rather than a section.
fn is_known(known: &Value, key: &str) -> bool {
    let mut at = known;
    for part in key.split('.') {
        match at {
            Value::Dict(_, dict) => match dict.get(part) {
                Some(inner) => at = inner,
                None => return false,
            },
            _ => return true,
        }
    }
    true
}

/// The names of all options and sections.
fn sections(dict: &Dict, above: &str, names: &mut Vec<String>) {
    for (name, value) in dict {
        let key = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        if let Value::Dict(_, inner) = value {
            sections(inner, &key, names);
        }
        names.push(key);
    }
}

/// The name that takes the fewest changes to get to, if they are few.
pub fn nearest<'a>(key: &str, names: &'a [String]) -> Option<&'a str> {
    let best = names.iter().map(|name| (distance(key, name), name)).min()?;
    (best.0 <= key.len().div_ceil(2)).then_some(best.1.as_str())
}

/// How many characters must be added, removed or replaced.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn unusable(error: &figment::Error) -> Error {
    Error::Config { code: Code::CONFIG, what: error.to_string().replace('\n', "; "), hint: None }
}

/// What single values cannot say.
fn check(config: &Config) -> Result<(), Error> {
    use crate::Role::*;
    let refuse = |what: &str, hint: &str| {
        Err(Error::Config { code: Code::CONFIG, what: what.to_owned(), hint: Some(hint.to_owned()) })
    };
    if config.roles.is_empty() {
        return refuse("roles is empty", "choose some of gateway, bundler, mu, su, cu");
    }
    if config.has(Bundler) && !config.has(Gateway) {
        return refuse("a bundler is not without the gateway", "add gateway to roles, or leave bundler out");
    }
    if let Err((what, hint)) = config.weave.check() {
        return refuse(what, hint);
    }
    if !crate::outward::has_weave(config) {
        return refuse(
            "there is no weave",
            "add gateway to roles, or say where one is: weave.gateway, or remote.gateway",
        );
    }
    if config.has(Mu) && !config.has(Cu) && config.remote.cu.is_none() {
        return refuse(
            "the messenger unit has no compute unit",
            "add cu to roles, or say where it is: remote.cu",
        );
    }
    if (config.has(Mu) || config.has(Cu)) && !config.has(Su) && config.remote.su.is_none() {
        return refuse("there is no scheduler unit", "add su to roles, or say where it is: remote.su");
    }
    let dev = &config.dev;
    if !config.development && *dev != crate::Development::default() {
        return refuse(
            "the options of dev are for development networks, and this is none",
            "leave them out, or start `pirn dev`: what they make cannot be verified by others",
        );
    }
    if let Err(error) = config.guard() {
        return refuse(&format!("dev.origins: {}", error.what), error.hint.as_deref().unwrap_or_default());
    }
    let whole = config.has(Gateway) && config.has(Su);
    if *dev != crate::Development::default() && !whole {
        return refuse("the options of dev need the gateway and su here", "add both to roles");
    }
    let mut roles = config.roles.clone();
    roles.sort();
    if let Some(twice) = roles.windows(2).find(|pair| pair[0] == pair[1]) {
        return refuse(&format!("roles names {} twice", twice[0].name()), "name each once");
    }
    Ok(())
}

/// A path as it is meant: from where the program was started.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(toml: &str, flags: &[(&str, &str)], shown: &[&str], expect: Expect) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pirn.toml");
        std::fs::write(&file, toml).unwrap();
        let mut overrides = Overrides::default();
        for (key, value) in flags {
            overrides.set(key, value.parse::<u64>().unwrap());
        }
        let said = match load(Config::default(), Some(&file), overrides) {
            Ok(loaded) => loaded
                .settings()
                .into_iter()
                .filter(|setting| shown.contains(&setting.key.as_str()))
                .map(|Setting { key, value, source }| format!("{key} = {value} ({source})\n"))
                .collect(),
            Err(error) => format!("{error}\n{}\n", error.hint().unwrap_or_default()),
        };
        expect.assert_eq(&said.replace(&*folder.path().display().to_string(), "FOLDER"));
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        check(
            "ports.su = 7003\n[su]\npage_max = 7\nwaiting_max = 8\n",
            &[("su.page_max", "9")],
            &["ports.mu", "ports.su", "su.page_max", "su.waiting_max"],
            expect![[r#"
                ports.mu = 4002 (default)
                ports.su = 7003 (FOLDER/pirn.toml)
                su.page_max = 9 (flag)
                su.waiting_max = 8 (FOLDER/pirn.toml)
            "#]],
        );
    }

    #[test]
    fn an_unknown_option_is_refused_and_the_nearest_named() {
        check(
            "[su]\npage_maks = 7\n",
            &[],
            &[],
            expect![[r#"
            there is no option su.page_maks (from FOLDER/pirn.toml)
            did you mean su.page_max? `pirn config show` lists every option
        "#]],
        );
        check(
            "[zoo]\nx = 7\n",
            &[],
            &[],
            expect![[r#"
            there is no option zoo.x (from FOLDER/pirn.toml)
            `pirn config show` lists every option
        "#]],
        );
    }

    #[test]
    fn a_node_that_lacks_a_part_is_refused() {
        check(
            "roles = [\"mu\", \"su\"]\nremote.gateway = \"http://x\"\n",
            &[],
            &[],
            expect![[r#"
            the messenger unit has no compute unit
            add cu to roles, or say where it is: remote.cu
        "#]],
        );
        check(
            "roles = [\"cu\"]\nremote.su = \"http://x\"\n",
            &[],
            &[],
            expect![[r#"
            there is no weave
            add gateway to roles, or say where one is: weave.gateway, or remote.gateway
        "#]],
        );
    }

    #[test]
    fn what_cannot_be_verified_is_for_development_networks() {
        check(
            "[dev]\nmodules = [\"aos.wasm\"]\n",
            &[],
            &[],
            expect![[r#"
            the options of dev are for development networks, and this is none
            leave them out, or start `pirn dev`: what they make cannot be verified by others
        "#]],
        );
    }

    #[test]
    fn what_a_project_says_is_not_the_nodes_business() {
        check(
            "[processes.counter]\nsource = \"src/counter.lua\"\n[su]\npage_max = 7\n",
            &[],
            &["su.page_max", "processes.counter.source"],
            expect![[r#"
                su.page_max = 7 (FOLDER/pirn.toml)
            "#]],
        );
    }

    #[test]
    fn a_choice_with_content_is_no_section() {
        check(
            "[weave]\nmining = { interval = 500 }\n",
            &[],
            &["weave.mining.interval"],
            expect![[r#"
            weave.mining.interval = 500 (FOLDER/pirn.toml)
        "#]],
        );
    }
}
