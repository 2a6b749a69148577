//! `docs/config.md` lists every option with its default and what its field says of it.

mod person;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use serde_json::Value;
use syn::{Attribute, Expr, ExprLit, Fields, Item, Lit, Meta, Type};

use person::Person;

/// Where the types of other crates are declared, by how the configuration names them.
const DECLARED: &[(&str, &str)] = &[
    ("store::Options", "crates/store/src/disk.rs"),
    ("weave::Options", "crates/weave/src/options.rs"),
    ("crate::outward::Options", "crates/node/src/outward.rs"),
    ("settlement::Options", "crates/settlement/src/options.rs"),
    ("archive::Options", "crates/archive/src/fallback.rs"),
    ("witness::Options", "crates/witness/src/lib.rs"),
    ("pirn_http::client::GatewaysOptions", "crates/http/src/client/gateways.rs"),
    ("pirn_http::server::weave::Options", "crates/http/src/server/weave/mod.rs"),
    ("pirn_http::server::bundler::Options", "crates/http/src/server/bundler.rs"),
    ("mu::Options", "crates/mu/src/options.rs"),
    ("su::Options", "crates/su/src/options.rs"),
    ("cu::Options", "crates/cu/src/options.rs"),
    ("CheckpointOptions", "crates/cu/src/published/mod.rs"),
    ("runtime_wasm::Options", "crates/runtime/wasm/src/lib.rs"),
    ("crate::vitals::Options", "crates/node/src/vitals.rs"),
    ("crate::access::Options", "crates/node/src/access.rs"),
    ("apps::Options", "crates/apps/src/options.rs"),
    ("crate::applications::Webhooks", "crates/node/src/applications.rs"),
    ("crate::desk::Options", "crates/node/src/desk.rs"),
    ("pirn_http::server::limits::Options", "crates/http/src/server/limits.rs"),
    ("pirn_http::server::Options", "crates/http/src/server/mod.rs"),
    ("pirn_http::client::Options", "crates/http/src/client/transport.rs"),
    ("unit::EventsOptions", "crates/unit/src/events.rs"),
    ("bundler::Options", "crates/http/src/server/bundler.rs"),
    ("graphql::Options", "crates/http/src/server/graphql.rs"),
];
/// What depends on the computer, and is not the same on every page.
const OF_THE_COMPUTER: &[&str] = &[];

/// A field of a struct: what is said of it, and its type as it is written.
struct Field {
    doc: String,
    of: String,
}

/// The structs of the files, as they are read.
#[derive(Default)]
struct Sources(BTreeMap<(PathBuf, String), BTreeMap<String, Field>>);

impl Sources {
    /// The fields of a struct in a file.
    fn fields(&mut self, file: &Path, name: &str) -> Option<&BTreeMap<String, Field>> {
        let key = (file.to_owned(), name.to_owned());
        if !self.0.contains_key(&key) {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            let parsed = syn::parse_file(&text).unwrap();
            let found = parsed.items.iter().find_map(|item| match item {
                Item::Struct(found) if found.ident == name => Some(&found.fields),
                _ => None,
            })?;
            let Fields::Named(fields) = found else { return None };
            let field = |field: &syn::Field| {
                let of = Field { doc: doc(&field.attrs), of: path(&field.ty) };
                (field.ident.as_ref().unwrap().to_string(), of)
            };
            self.0.insert(key.clone(), fields.named.iter().map(field).collect());
        }
        self.0.get(&key)
    }

    /// What the fields on the way to a key say; the last is the key's own.
    fn said(&mut self, key: &str) -> Option<String> {
        let (mut file, mut name) = (PathBuf::from("crates/node/src/config.rs"), "Config".to_owned());
        let mut said = String::new();
        for part in key.split('.') {
            // A choice with content, such as `mining.interval`, is said at its field.
            let Some(fields) = self.fields(&file, &name) else { break };
            // What is not a section's own is of the options that it embeds.
            if !fields.contains_key(part)
                && let Some(embedded) = fields.get("embedded")
            {
                let of = embedded.of.clone();
                let (_, declared) = DECLARED.iter().find(|(known, _)| *known == of)?;
                (file, name) = (PathBuf::from(declared), of.rsplit("::").next()?.to_owned());
            }
            let field = self.fields(&file, &name)?.get(part)?;
            // Fields that need no words of their own have their section's.
            if !field.doc.is_empty() {
                said = field.doc.clone();
            }
            let of = field.of.trim_start_matches("Option<").trim_end_matches('>').to_owned();
            if let Some((_, declared)) = DECLARED.iter().find(|(known, _)| *known == of) {
                file = PathBuf::from(declared);
            }
            name = of.rsplit("::").next().unwrap().to_owned();
        }
        Some(said)
    }
}

fn doc(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    };
    attributes.iter().filter_map(line).collect::<Vec<_>>().join(" ")
}

/// A type as it is written, without what is inside of brackets except for `Option`.
fn path(of: &Type) -> String {
    let Type::Path(of) = of else { return String::new() };
    let names: Vec<String> = of.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    if names == ["Option"]
        && let syn::PathArguments::AngleBracketed(inside) = &of.path.segments[0].arguments
        && let Some(syn::GenericArgument::Type(inside)) = inside.args.first()
    {
        return path(inside);
    }
    names.join("::")
}

/// `UPDATE_EXPECT=1 cargo test -p pirn-cli` writes it.
#[test]
fn the_page_of_options_is_what_their_fields_say() {
    let person = Person::new();
    let settings = person.answer(&["config", "show"]);
    let mut sources = Sources::default();
    let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for setting in settings.as_array().unwrap() {
        let text = |name: &str| match &setting[name] {
            Value::String(text) => text.replace('|', "\\|"),
            _ => String::new(),
        };
        let key = text("key");
        if key.starts_with("context.") {
            continue;
        }
        let said = sources.said(&key).unwrap_or_default();
        assert!(!said.is_empty(), "nothing says what {key} is: look at DECLARED");
        let said = said.replace('|', "\\|").replace("[`", "`").replace("`]", "`");
        let value = match (OF_THE_COMPUTER.contains(&key.as_str()), text("value")) {
            (true, _) => "of the computer".to_owned(),
            (false, value) if value.is_empty() => "none".to_owned(),
            (false, value) => format!("`{value}`"),
        };
        let section = key.rsplit_once('.').map_or("", |(section, _)| section.split('.').next().unwrap());
        sections.entry(section.to_owned()).or_default().push(format!("| `{key}` | {value} | {said} |"));
    }
    let mut page = String::from(
        "# Configuration\n\nWritten by the test `crates/cli/tests/config_doc.rs` from the options' own fields.\n\
         Defaults are those of `pirn node`; `pirn config show --dev` has those of `pirn dev`.\n\
         Later wins: default, `pirn.toml` (or `--config FILE`), environment (`PIRN__SU__PAGE_MAX=100` is `su.page_max`), flag.\n\
         `pirn config check` says whether a file can be used.\n",
    );
    for (section, rows) in &sections {
        let heading = if section.is_empty() { "At the top".to_owned() } else { format!("`[{section}]`") };
        writeln!(page, "\n## {heading}\n\n| option | default | |\n|---|---|---|\n{}", rows.join("\n"))
            .unwrap();
    }
    expect_file!["../../../docs/config.md"].assert_eq(&page);
}
