//! Contexts: named networks with their URLs, the wallet to sign with, and the addresses to trust.
//!
//! `local` is built in. The others are in `contexts.toml` in the configuration folder of the user.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use unit::Code;

use crate::error::{Context as _, Failure, Result};
use crate::folders;

/// The context that is there without being added: a `pirn dev` on its default ports.
pub const LOCAL: &str = "local";
/// Characters of a name.
const NAME_MAX: usize = 64;
/// Bytes of the file; a longer one is not ours.
const FILE_MAX: u64 = 1024 * 1024;

/// A network, and who one is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Context {
    /// Base URL of the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Base URL of the bundler; the gateway's if none is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundler: Option<String>,
    /// Base URL of the messenger unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mu: Option<String>,
    /// Base URL of the scheduler unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub su: Option<String>,
    /// Base URL of the compute unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cu: Option<String>,
    /// A JWK file, or a test account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet: Option<String>,
    /// Whom processes that are spawned there trust. None: the messenger unit's own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Who schedules processes that are spawned there. None: the scheduler unit's own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
}

impl Context {
    /// What it says, by name, in the order in which people read it.
    pub fn values(&self) -> [(&'static str, &Option<String>); 8] {
        [
            ("gateway", &self.gateway),
            ("bundler", &self.bundler),
            ("mu", &self.mu),
            ("su", &self.su),
            ("cu", &self.cu),
            ("wallet", &self.wallet),
            ("authority", &self.authority),
            ("scheduler", &self.scheduler),
        ]
    }

    /// One of its values.
    pub fn value(&self, name: &str) -> Option<&String> {
        self.values().into_iter().find(|(known, _)| *known == name)?.1.as_ref()
    }

    /// The one that is built in.
    pub fn local() -> Context {
        let url = |offset: u16| Some(format!("http://127.0.0.1:{}", 4000 + offset));
        Context {
            gateway: url(0),
            bundler: url(1),
            mu: url(2),
            su: url(3),
            cu: url(4),
            wallet: Some("0".to_owned()),
            authority: None,
            scheduler: None,
        }
    }
}

/// All contexts of the user, and which one is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contexts {
    /// The one in use where no other is named; `local` if none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Those that were added.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads them; there are none before the first is added.
    pub fn read() -> Result<Contexts> {
        let file = file()?;
        let text = match fs::metadata(&file) {
            Ok(about) if about.len() > FILE_MAX => {
                let what = format!("{} has more than {FILE_MAX} bytes", file.display());
                return Err(Failure::new(Code::CONTEXT, what));
            }
            Ok(_) => fs::read_to_string(&file).context(Code::FILE, file.display())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Contexts::default()),
            Err(error) => return Err(Failure::new(Code::FILE, format!("{}: {error}", file.display()))),
        };
        toml::from_str(&text).map_err(|error| {
            let what = format!("{}: {}", file.display(), error.to_string().trim_end().replace('\n', "\n  "));
            Failure::new(Code::CONTEXT, what)
                .hint("correct the file, or remove it and add the contexts again")
        })
    }

    /// Keeps them, as a whole or not at all, for this user only: names of wallets are nobody else's business.
    pub fn write(&self) -> Result {
        let file = file()?;
        let failed = || format!("could not write {}", file.display());
        let folder = file.parent().expect("it is in a folder");
        fs::create_dir_all(folder).context(Code::FILE, failed())?;
        let mut made = tempfile::NamedTempFile::new_in(folder).context(Code::FILE, failed())?;
        let text = toml::to_string_pretty(self).expect("contexts are TOML");
        made.write_all(text.as_bytes()).context(Code::FILE, failed())?;
        made.as_file().sync_all().context(Code::FILE, failed())?;
        made.persist(&file).map(|_| ()).context(Code::FILE, failed())
    }

    /// The context of that name.
    pub fn get(&self, name: &str) -> Result<Context> {
        if let Some(context) = self.contexts.get(name) {
            return Ok(context.clone());
        }
        if name == LOCAL {
            return Ok(Context::local());
        }
        let failure =
            Failure { exit: 2, ..Failure::new(Code::CONTEXT, format!("there is no context {name}")) };
        let names: Vec<String> = self.names();
        Err(match node::nearest(name, &names) {
            Some(near) => failure.hint(format!("did you mean {near}? `pirn context ls` lists them")),
            None => failure.hint(format!("`pirn context add {name} --mu URL …` makes it")),
        })
    }

    /// Their names, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.contexts.keys().cloned().collect();
        names.insert(0, LOCAL.to_owned());
        names
    }

    /// Which one is in use, and who says so: the flag, the environment, or `pirn context use`.
    pub fn chosen(&self, flag: Option<&str>, environment: Option<&str>) -> Result<Chosen> {
        let (name, by) = match (flag, environment, self.current.as_deref()) {
            (Some(name), _, _) => (name, By::Flag),
            (None, Some(name), _) => (name, By::Environment),
            (None, None, Some(name)) => (name, By::Use),
            (None, None, None) => (LOCAL, By::Default),
        };
        Ok(Chosen { name: name.to_owned(), by, context: self.get(name)? })
    }
}

/// Who chose a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// `--context`: it wins over variables for single parts.
    Flag,
    /// `PIRN_CONTEXT`.
    Environment,
    /// `pirn context use`.
    Use,
    /// Nobody: `local`.
    Default,
}

/// The context of this run.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// What it is called.
    pub name: String,
    /// Who chose it.
    pub by: By,
    /// What it says.
    pub context: Context,
}

/// A value and where it comes from, for people: `flag`, `environment MU_URL`, `context test`, `default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The value.
    pub value: String,
    /// Where it comes from.
    pub source: String,
}

impl Chosen {
    /// A value: what a flag says; or `--context`; or the variable of the environment; or the context in use.
    /// None if nobody says it.
    pub fn say(&self, name: &str, flag: Option<&str>, variable: (&str, Option<String>)) -> Option<Said> {
        let said =
            |value: &str, source: &str| Some(Said { value: value.to_owned(), source: source.to_owned() });
        let context = self.context.value(name);
        let of_context = || match self.name == LOCAL && self.by == By::Default {
            true => "default".to_owned(),
            false => format!("context {}", self.name),
        };
        match (flag, context, variable) {
            (Some(value), _, _) => said(value, "flag"),
            (None, Some(value), _) if self.by == By::Flag => said(value, &of_context()),
            (None, _, (variable, Some(value))) => said(&value, &format!("environment {variable}")),
            (None, Some(value), _) => said(value, &of_context()),
            (None, None, _) => None,
        }
    }
}

/// What a context may be called.
pub fn parse_name(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match text.len() {
        1..=NAME_MAX if text.chars().all(fine) => Ok(text.to_owned()),
        _ => Err(format!("a name has 1 to {NAME_MAX} letters, digits, dots, dashes or underscores")),
    }
}

/// What `--context` said.
static FLAG: OnceLock<Option<String>> = OnceLock::new();

/// Says once, at the start, which context `--context` names.
pub fn choose(flag: Option<String>) {
    let _ = FLAG.set(flag);
}

/// The context of this run.
pub fn chosen() -> Result<Chosen> {
    let flag = FLAG.get().and_then(|flag| flag.as_deref());
    Contexts::read()?.chosen(flag, variable("PIRN_CONTEXT").as_deref())
}

/// A variable of the environment, if it says something.
#[expect(clippy::disallowed_methods, reason = "what clients of ao read: URLs, the wallet, and the context")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where contexts are kept.
pub fn file() -> Result<PathBuf> {
    Ok(folders::config()?.join("contexts.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts() -> Contexts {
        let test = Context { mu: Some("http://test".to_owned()), ..Context::default() };
        Contexts { current: None, contexts: [("test".to_owned(), test)].into() }
    }

    #[track_caller]
    fn check(flag: Option<&str>, context: [Option<&str>; 3], variable: Option<&str>, expected: &str) {
        let [by_flag, by_environment, by_use] = context;
        let contexts = Contexts { current: by_use.map(ToOwned::to_owned), ..contexts() };
        let chosen = contexts.chosen(by_flag, by_environment).unwrap();
        let said = chosen.say("mu", flag, ("MU_URL", variable.map(ToOwned::to_owned))).unwrap();
        assert_eq!(format!("{} ({})", said.value, said.source), expected);
    }

    #[test]
    fn what_is_nearer_to_the_command_wins() {
        let test = Some("test");
        check(Some("x"), [test, None, None], Some("y"), "x (flag)");
        check(None, [test, None, None], Some("y"), "http://test (context test)");
        check(None, [None, test, None], Some("y"), "y (environment MU_URL)");
        check(None, [None, test, None], None, "http://test (context test)");
        check(None, [None, None, test], None, "http://test (context test)");
        check(None, [Some("local"), None, test], None, "http://127.0.0.1:4002 (context local)");
        check(None, [None, None, None], None, "http://127.0.0.1:4002 (default)");
    }

    #[test]
    fn a_context_that_is_not_there_is_refused_and_the_nearest_named() {
        let failure = contexts().chosen(Some("tset"), None).unwrap_err();
        assert_eq!((failure.exit, failure.code), (2, Code::CONTEXT));
        assert!(failure.hints[0].starts_with("did you mean test?"), "{failure:?}");
    }

    #[test]
    fn the_file_says_what_was_kept_and_nothing_strange() {
        let text = toml::to_string_pretty(&contexts()).unwrap();
        assert_eq!(toml::from_str::<Contexts>(&text).unwrap(), contexts());
        assert!(toml::from_str::<Contexts>("[contexts.a]\nmuu = 'x'").is_err());
        assert!(parse_name("a b").is_err() && parse_name("").is_err() && parse_name("a.b-1").is_ok());
    }
}
