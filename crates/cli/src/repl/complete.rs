//! Completion: names that the process has, commands, files, and in texts the processes of the project here.

use std::sync::Arc;
use std::time::Duration;

use reedline::{Completer, CompletionResult, Span, Suggestion};
use tokio::runtime::Handle;

use super::dot;
use super::lua::{KEYWORDS, Token, tokens};
use super::names::Names;
use super::session::Shared;
use crate::project::Project;

/// Milliseconds that Tab waits for the process. Beyond, what was known before is offered.
const WAIT_MS: u64 = 3_000;
/// Suggestions for one Tab.
const MAX: usize = 500;

/// Completes what is before the cursor.
pub struct Complete {
    shared: Arc<Shared>,
    handle: Handle,
    /// What the process had, and when: the number of outcomes seen until then.
    known: Option<(u64, Names)>,
    /// The processes of the project here: `@` and the name, and the id.
    processes: Names,
}

impl Complete {
    /// Completion for a session; `handle` is where its requests run.
    pub fn new(shared: Arc<Shared>, handle: Handle) -> Complete {
        Complete { shared, handle, known: None, processes: processes_here() }
    }

    /// The names of the process as of its newest outcome that is known here.
    fn names(&mut self) -> &Names {
        let now = self.shared.generation();
        if self.known.as_ref().is_none_or(|(then, _)| *then != now) {
            let wait = Duration::from_millis(WAIT_MS);
            let asked = self.handle.block_on(async { tokio::time::timeout(wait, self.shared.names()).await });
            // A process that cannot be asked now is asked again at the next slot, not at the next key.
            let mut names = match (asked, self.known.take()) {
                (Ok(Ok(names)), _) | (_, Some((_, names))) => names,
                _ => Names::new(),
            };
            names.extend(self.processes.clone());
            self.known = Some((now, names));
        }
        &self.known.as_ref().expect("it was just set").1
    }
}

/// The processes that the project around this folder has spawned. Ids are long; people remember names.
fn processes_here() -> Names {
    let project = std::env::current_dir().ok().and_then(|here| Project::find(&here).ok()?);
    let Some(project) = project else { return Names::new() };
    let notes = project.notes();
    let id = |name: &String| Some((format!("@{name}"), notes.latest(name)?.process.to_string()));
    project.processes.keys().filter_map(id).collect()
}

impl Completer for Complete {
    fn complete(&mut self, line: &str, at: usize) -> CompletionResult {
        let before = line.get(..at).unwrap_or(line);
        let found = if before.starts_with('.') && !before.contains('\n') {
            dot::complete(before)
        } else {
            let word = Word::of(before);
            word.complete(self.names())
        };
        let suggest = |(start, value, description, space): (usize, String, String, bool)| Suggestion {
            value,
            description: (!description.is_empty()).then_some(description),
            span: Span::new(start, at),
            append_whitespace: space,
            ..Suggestion::default()
        };
        CompletionResult::fresh(found.into_iter().take(MAX).map(suggest).collect::<Vec<_>>())
    }
}

/// What is suggested: from which byte on it stands, the text, what it is, and whether a blank follows.
pub type Found = Vec<(usize, String, String, bool)>;

/// What is being typed.
#[derive(Debug, PartialEq, Eq)]
enum Word<'a> {
    /// A name, or names with dots between: where it begins, what is before the last dot or colon, what is after.
    Path { start: usize, table: &'a str, colon: bool, prefix: &'a str },
    /// Inside a text: where it begins, and as much as there is.
    Text { start: usize, prefix: &'a str },
    /// Nothing that could be completed.
    Nothing,
}

impl<'a> Word<'a> {
    fn of(before: &'a str) -> Word<'a> {
        let Some((token, range)) = tokens(before).pop() else {
            return Word::Path { start: 0, table: "", colon: false, prefix: "" };
        };
        if token == Token::Comment {
            return Word::Nothing;
        }
        if token == Token::Text {
            let text = &before[range.clone()];
            let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
            let open = quote.is_some_and(|quote| text.len() == 1 || !text.ends_with(quote));
            return match open {
                true => Word::Text { start: range.start + 1, prefix: &text[1..] },
                false => Word::Nothing,
            };
        }
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':');
        let start = before
            .char_indices()
            .rev()
            .take_while(|(_, c)| is_part(*c))
            .last()
            .map_or(before.len(), |it| it.0);
        let path = &before[start..];
        // `1.5` is a number, `..x` joins texts.
        if path.starts_with(|c: char| c.is_ascii_digit()) {
            return Word::Nothing;
        }
        let (table, prefix) = path.rsplit_once(['.', ':']).unwrap_or(("", path));
        let prefix_start = before.len() - prefix.len();
        let colon = before[..prefix_start].ends_with(':');
        // `a..b` joins two names.
        let table = if before[..prefix_start].ends_with("..") { "" } else { table };
        if table.is_empty() && prefix.len() < path.len() && !before[..prefix_start].ends_with("..") {
            return Word::Nothing;
        }
        Word::Path { start: prefix_start, table, colon, prefix }
    }

    fn complete(&self, names: &Names) -> Found {
        match self {
            Word::Nothing => Vec::new(),
            Word::Text { start, prefix } => {
                let handlers = names.iter().filter_map(|(name, kind)| Some((name.strip_prefix('\'')?, kind)));
                let fits = handlers.filter(|(name, _)| name.starts_with(prefix));
                let mut found: Found =
                    fits.map(|(name, kind)| (*start, name.to_owned(), kind.clone(), false)).collect();
                let processes = names.iter().filter_map(|(name, id)| Some((name.strip_prefix('@')?, id)));
                let fits = processes.filter(|(name, _)| name.starts_with(prefix));
                found.extend(fits.map(|(name, id)| (*start, id.clone(), format!("process {name}"), false)));
                found
            }
            Word::Path { start, table, colon, prefix } => {
                let is_local = |name: &str| !name.contains(['.', ':', '\'', '@']);
                let mut found: Found = Vec::new();
                if table.is_empty() {
                    let words = KEYWORDS.iter().filter(|word| !prefix.is_empty() && word.starts_with(prefix));
                    found.extend(words.map(|word| (*start, (*word).to_owned(), "keyword".to_owned(), false)));
                    let globals = names.iter().filter(|(name, _)| is_local(name) && name.starts_with(prefix));
                    // What begins with _ is asked for by name.
                    let globals = globals.filter(|(name, _)| !name.starts_with('_') || !prefix.is_empty());
                    found.extend(globals.map(|(name, kind)| (*start, name.clone(), kind.clone(), false)));
                } else {
                    let fields = names.iter().filter_map(|(name, kind)| {
                        let field = name.strip_prefix(table)?.strip_prefix('.')?;
                        (is_local(field) && field.starts_with(prefix)).then_some((field, kind))
                    });
                    let fields = fields.filter(|(_, kind)| !*colon || *kind == "function");
                    found.extend(fields.map(|(name, kind)| (*start, name.to_owned(), kind.clone(), false)));
                    let text = *colon && names.get(*table).is_none_or(|kind| kind == "string");
                    let methods =
                        names.iter().filter_map(|(name, kind)| Some((name.strip_prefix(':')?, kind)));
                    let methods = methods.filter(|(name, _)| text && name.starts_with(prefix));
                    found.extend(methods.map(|(name, kind)| (*start, name.to_owned(), kind.clone(), false)));
                }
                found
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, expect: &[&str]) {
        let names: Names = [
            ("Handlers", "table"),
            ("Handlers.add", "function"),
            ("Handlers.append", "function"),
            ("Handlers.list", "table"),
            ("Name", "string"),
            ("_private", "number"),
            (":rep", "method"),
            ("'Transfer", "handler"),
            ("@token", "ID-OF-TOKEN"),
        ]
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .into();
        let found = Word::of(before).complete(&names);
        let whole: Vec<String> =
            found.iter().map(|(start, value, ..)| format!("{}{value}", &before[..*start])).collect();
        assert_eq!(whole, expect);
    }

    #[test]
    fn names_are_completed_where_they_stand() {
        check("Han", &["Handlers"]);
        check("print(Handlers.a", &["print(Handlers.add", "print(Handlers.append"]);
        check("x = Handlers.", &["x = Handlers.add", "x = Handlers.append", "x = Handlers.list"]);
        check("Handlers:l", &[]);
        check("fo", &["for"]);
        check("", &["Handlers", "Name"]);
        check("_p", &["_private"]);
        check("Name:r", &["Name:rep"]);
        check("'a'..Na", &["'a'..Name"]);
        check("Handlers.remove('Tr", &["Handlers.remove('Transfer"]);
        check("Send({ Target = 'to", &["Send({ Target = 'ID-OF-TOKEN"]);
        check("1.", &[]);
        check("-- Han", &[]);
        check("'Han'", &[]);
    }
}
