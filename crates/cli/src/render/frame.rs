//! Where an error is: from what a process says of it to lines of the text that the person wrote.

use std::fmt::Write as _;

use crate::bundle::Bundle;

/// Lines of source around the one that is meant.
const AROUND: usize = 1;
/// Calls that are shown below an error.
const CALLS_MAX: usize = 10;

/// A line of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the person would name it; `None` for what was typed.
    pub file: Option<String>,
    /// From 1.
    pub line: usize,
    /// The whole text of that file.
    pub text: String,
}

/// What was sent, by the names and lines that a process gives it.
pub trait Origin: Send + Sync {
    /// The place that a process calls `source`, `line`. `None` where it is none of what was sent.
    fn place(&self, source: &str, line: usize) -> Option<Place>;
}

/// A script that was typed, or came on the command line. Processes call it `aos`.
pub struct Typed(pub String);

impl Origin for Typed {
    fn place(&self, source: &str, line: usize) -> Option<Place> {
        (source == "aos").then(|| Place { file: None, line, text: self.0.clone() })
    }
}

impl Origin for Bundle {
    fn place(&self, source: &str, line: usize) -> Option<Place> {
        // Lua cuts the beginning of a long name off.
        let end = source.strip_prefix("...").filter(|end| !end.is_empty());
        let is_it = |name: &str| name == source || end.is_some_and(|end| name.ends_with(end));
        let found = self.sources.iter().find(|known| is_it(&known.name))?;
        Some(Place { file: Some(found.name.clone()), line, text: found.text.clone() })
    }
}

/// An error as a process reports it.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What went wrong, without the place.
    pub what: String,
    /// Where, in the process's words.
    at: Option<(String, usize)>,
    /// Which calls led there, innermost first: place and description.
    calls: Vec<(String, usize, String)>,
    /// What the process says besides, such as the handler.
    about: Option<String>,
}

impl Place {
    /// Its line with its neighbours, and a caret at what the words are about.
    pub fn show(&self, what: &str) -> Option<String> {
        Trouble { what: what.to_owned(), at: None, calls: Vec::new(), about: None }.frame(self)
    }
}

/// Reads the report of an error; `text` has no colours.
pub fn read(text: &str) -> Trouble {
    // aos says what it was doing and who called whom first, and the error itself at the end.
    let (before, error) = text.rsplit_once("error:\n").unwrap_or(("", text));
    let mut rest = error.trim();
    let mut at = None;
    // The innermost place is the last; the ones before are where libraries passed the error on.
    while let Some((source, line, more)) = position(rest) {
        at = Some((source.to_owned(), line));
        rest = more.trim_start();
    }
    let mut calls = Vec::new();
    let mut about = None;
    for line in before.lines() {
        match line.strip_prefix('\t').and_then(position) {
            Some((source, number, call)) => calls.push((source.to_owned(), number, call.trim().to_owned())),
            None if line.starts_with("Error") => about = Some(line.trim().to_owned()),
            None => {}
        }
    }
    let what = if rest.is_empty() { "it gave no reason".to_owned() } else { rest.to_owned() };
    Trouble { what, at, calls, about }
}

/// `[string "NAME"]:LINE: rest`, or `NAME:LINE: rest`.
fn position(text: &str) -> Option<(&str, usize, &str)> {
    let (source, rest) = match text.strip_prefix("[string \"") {
        Some(rest) => rest.split_once("\"]:")?,
        None => {
            // The first `:LINE:` on the line ends the name.
            let line = text.lines().next()?;
            let at = line.match_indices(':').map(|(at, _)| at).find(|at| {
                let digits = line[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
                digits > 0 && line[at + 1 + digits..].starts_with(':')
            })?;
            let name = &line[..at];
            // A sentence that happens to have a number in it names no file.
            if name.is_empty() || name.contains(": ") || (name.contains(' ') && !name.ends_with(".lua")) {
                return None;
            }
            (name, &text[at + 1..])
        }
    };
    let (line, rest) = rest.split_once(':')?;
    Some((source, line.parse().ok()?, rest))
}

impl Trouble {
    /// The place in the person's own text, its neighbours, and a caret; then who called.
    pub fn show(&self, origin: &dyn Origin) -> Option<String> {
        let mut out = String::new();
        if let Some(about) = &self.about {
            let _ = writeln!(out, "  = {about}");
        }
        let place = self.at.as_ref().and_then(|(source, line)| origin.place(source, *line));
        let shown = place.as_ref().and_then(|place| self.frame(place));
        match (&shown, &self.at) {
            (Some(shown), _) => out.push_str(shown),
            // Somewhere else: text that was sent before, or the process's own library.
            (None, Some((source, line))) => {
                let _ = writeln!(out, "  at {source}:{line}");
            }
            (None, None) => {}
        }
        let outer = self.calls.iter().skip_while(|(source, line, _)| {
            self.at.as_ref().is_some_and(|(at, number)| at == source && number == line)
        });
        for (source, line, call) in outer.take(CALLS_MAX) {
            // Only the person's own text: a library's lines help nobody.
            let at = match origin.place(source, *line) {
                Some(Place { file: Some(file), line, .. }) => format!("{file}:{line}"),
                Some(Place { line, .. }) => format!("line {line}"),
                None => continue,
            };
            let _ = writeln!(out, "  called at {at} {call}");
        }
        let out = out.trim_end().to_owned();
        (!out.is_empty()).then_some(out)
    }

    /// Three lines of source and a caret, as compilers show them. `None` where the line cannot be the one.
    fn frame(&self, place: &Place) -> Option<String> {
        let lines: Vec<&str> = place.text.lines().collect();
        // Lua counts a last line that is empty.
        let number = place.line.min(lines.len().max(1));
        if place.line > lines.len() + 1 || number == 0 {
            return None;
        }
        let line = lines.get(number - 1).copied().unwrap_or_default();
        let column = match (column(line, &self.what), &place.file) {
            (Some(column), _) => column,
            // What is named is not on that line: the function was sent earlier, and its text is not known.
            (None, None) if named(&self.what).is_some() => return None,
            (None, _) => line.len() - line.trim_start().len(),
        };
        let (first, last) = (number.saturating_sub(AROUND).max(1), (number + AROUND).min(lines.len()));
        let width = last.to_string().len();
        let mut out = String::new();
        let name = place.file.as_deref().unwrap_or("line ");
        let colon = if place.file.is_some() { ":" } else { "" };
        let shown_column = line.get(..column).map_or(0, |before| before.chars().count()) + 1;
        let _ = writeln!(out, "  {:width$} ╭─ {name}{colon}{number}:{shown_column}", "");
        for at in first..=last.max(first) {
            let text = lines.get(at - 1).copied().unwrap_or_default();
            let _ = writeln!(out, "  {at:>width$} │ {}", cut(text));
            if at == number {
                // Tabs stay tabs, so that the caret is below what it means.
                let before = line.get(..column).unwrap_or_default();
                let gap: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
                let _ = writeln!(out, "  {:>width$} │ {gap}^", "");
            }
        }
        Some(out)
    }
}

/// Long lines are cut: a script may be one.
fn cut(line: &str) -> String {
    const MAX: usize = 160;
    match line.char_indices().nth(MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

/// The name that an error is about: `(local 'x')`, `near 'y'`.
fn named(what: &str) -> Option<&str> {
    let start = what
        .rfind("near '")
        .map(|at| at + 6)
        .or_else(|| what.rfind(" '").filter(|_| what.ends_with("')")).map(|at| at + 2))?;
    let end = what.rfind('\'').filter(|end| *end > start)?;
    Some(&what[start..end])
}

/// Where in the line it is, in bytes.
fn column(line: &str, what: &str) -> Option<usize> {
    if what.ends_with("near <eof>") {
        return Some(line.trim_end().len());
    }
    let name = named(what)?;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word = name.chars().all(is_word);
    let after = |at: usize| line[at + name.len()..].chars().next();
    let whole = |at: &usize| {
        let before = line[..*at].chars().next_back();
        !word || !(before.is_some_and(is_word) || after(*at).is_some_and(is_word))
    };
    let found: Vec<usize> = line.match_indices(name).map(|(at, _)| at).filter(whole).collect();
    // Of several, the one that is used as the error says.
    let used = |at: &usize| match after(*at) {
        Some('.' | ':' | '[') => what.contains("attempt to index"),
        Some('(' | '{' | '"') => what.contains("attempt to call"),
        _ => false,
    };
    // A compiler stops at the last such sign on the line more often than at the first.
    let otherwise = if what.contains(" near '") { found.last() } else { found.first() };
    found.iter().copied().find(used).or(otherwise.copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, origin: &dyn Origin, what: &str, shown: Option<&str>) {
        let trouble = read(text);
        assert_eq!(trouble.what, what);
        assert_eq!(trouble.show(origin).as_deref(), shown);
    }

    fn typed(text: &str) -> Typed {
        Typed(text.to_owned())
    }

    #[test]
    fn our_library_and_aos_say_the_same_place() {
        let expect = Some("    ╭─ line 1:16\n  1 │ local x = nil; x.y = 1\n    │                ^");
        let script = typed("local x = nil; x.y = 1");
        for text in [
            "\n\t[string \"aos\"]:1: in local 'run'\n\nerror:\n[string \"aos\"]:1: attempt to index a nil value (local 'x')",
            "\n\nerror:\n[string \".handlers\"]:723: [string \"aos\"]:1: attempt to index a nil value (local 'x')",
        ] {
            check(text, &script, "attempt to index a nil value (local 'x')", expect);
        }
    }

    #[test]
    fn syntax_errors_point_at_the_token() {
        let what = "unexpected symbol near '='";
        let shown = "    ╭─ line 1:5\n  1 │ x = = 1\n    │     ^";
        check("[string \"aos\"]:1: unexpected symbol near '='", &typed("x = = 1"), what, Some(shown));
        let shown = "    ╭─ line 2:6\n  1 │ for i = 1, 2 do\n  2 │ print\n    │      ^";
        let text = "[string \"aos\"]:2: 'end' expected near <eof>";
        check(text, &typed("for i = 1, 2 do\nprint"), "'end' expected near <eof>", Some(shown));
    }

    #[test]
    fn what_was_sent_before_is_not_blamed_on_this_line() {
        let text = "error:\n[string \"aos\"]:1: attempt to index a nil value (local 'q')";
        check(text, &typed("f()"), "attempt to index a nil value (local 'q')", Some("  at aos:1"));
        let text = "error:\n[string \"aos\"]:9: boom";
        check(text, &typed("f()"), "boom", Some("  at aos:9"));
    }

    #[test]
    fn handlers_and_callers_are_named() {
        let text = "Error in handler Inc, message with Action = Inc\n\t[string \"aos\"]:2: in local 'f'\n\t[string \"aos\"]:4: in local 'run'\n\nerror:\n[string \"aos\"]:2: boom";
        let shown = "  = Error in handler Inc, message with Action = Inc\n    ╭─ line 2:3\n  1 │ local function f()\n  2 │   error('boom')\n    │   ^\n  3 │ end\n  called at line 4 in local 'run'";
        check(text, &typed("local function f()\n  error('boom')\nend\nf()"), "boom", Some(shown));
    }

    #[test]
    fn errors_of_other_forms_pass_through() {
        check("out of gas", &typed("x"), "out of gas", None);
        check("", &typed("x"), "it gave no reason", None);
        check("error:\n{\n    code = 3\n}", &typed("x"), "{\n    code = 3\n}", None);
        check("at 10:30: late", &typed("x"), "at 10:30: late", None);
        let text = "[string \"aos\"]:99999999999999999999: x";
        check(text, &typed("x"), text, None);
    }
}
