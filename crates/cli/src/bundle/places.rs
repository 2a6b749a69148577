//! Where an error is, in the words of the person who wrote the script.

use super::{Bundle, Source};
use crate::error::Failure;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as errors call it.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
    /// Which of the bundle's sources.
    source: usize,
}

/// What Lua puts before the end of a name that is too long for it.
const CUT: &str = "...";
/// Lines shown before and after the one that is meant.
const AROUND: usize = 1;

impl Bundle {
    /// A failure of the script, with the lines that it names.
    pub fn explain(&self, mut failure: Failure) -> Failure {
        for place in self.places(&failure.what.clone()) {
            failure.what += &format!("\n{}", self.excerpt(&place));
        }
        failure
    }

    /// The places that an error names, in their order, each once.
    pub fn places(&self, error: &str) -> Vec<Place> {
        let mut places: Vec<(usize, Place)> = Vec::new();
        for (number, source) in self.sources.iter().enumerate() {
            for (at, line) in mentions(error, source) {
                let known = |(_, place): &(usize, Place)| place.source == number && place.line == line;
                if !places.iter().any(known) {
                    places.push((at, Place { name: source.name.clone(), line, source: number }));
                }
            }
        }
        places.sort_by_key(|(at, _)| *at);
        places.into_iter().map(|(_, place)| place).collect()
    }

    /// The lines around a place, with their numbers and a mark under the one that is meant.
    pub fn excerpt(&self, place: &Place) -> String {
        let text = self.sources.get(place.source).map_or("", |source| source.text.as_str());
        let lines: Vec<&str> = text.lines().collect();
        let first = place.line.saturating_sub(AROUND).max(1);
        let last = (place.line + AROUND).min(lines.len());
        let width = last.to_string().len();
        let mut out = format!("{:width$} ╭─ {}:{}", "", place.name, place.line);
        for number in first..=last {
            let line = lines.get(number - 1).unwrap_or(&"").trim_end().replace('\t', "    ");
            out += format!("\n{number:>width$} │ {line}").trim_end();
            if number == place.line {
                let indent = line.chars().take_while(|c| c.is_whitespace()).count();
                let marks = line.chars().count().saturating_sub(indent).max(1);
                out += &format!("\n{:width$} │ {:indent$}{}", "", "", "^".repeat(marks));
            }
        }
        out
    }
}

/// Where an error names a line of a source: `src/main.lua:12:`.
fn mentions(error: &str, source: &Source) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (colon, _) in error.match_indices(':') {
        let (before, after) = (&error[..colon], &error[colon + 1..]);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let Ok(line) = after[..digits].parse::<usize>() else { continue };
        if line > 0 && line <= source.text.lines().count() && ends_with_name(before, &source.name) {
            found.push((colon, line));
        }
    }
    found
}

/// Whether a text ends with a name, or with the end of it that Lua leaves of a long one.
fn ends_with_name(text: &str, name: &str) -> bool {
    let alone = |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || "_-/.".contains(c));
    if text.strip_suffix(name).is_some_and(alone) {
        return true;
    }
    let cut = text.rfind(CUT).map(|at| &text[at + CUT.len()..]);
    cut.is_some_and(|end| !end.is_empty() && name.len() > end.len() && name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn bundle() -> Bundle {
        let long = format!("src/{}last.lua", "deep/".repeat(20));
        let source = |name: &str| Source {
            module: None,
            path: name.into(),
            name: name.to_owned(),
            text: "local a\n\n  return a.b\nlast".to_owned(),
        };
        Bundle { sources: vec![source("src/a.lua"), source("a.lua"), source(&long)], missing: Vec::new() }
    }

    #[track_caller]
    fn check(error: &str, expect: Expect) {
        let bundle = bundle();
        let shown: Vec<String> = bundle.places(error).iter().map(|place| bundle.excerpt(place)).collect();
        expect.assert_eq(&shown.join("\n"));
    }

    #[test]
    fn the_line_is_shown_between_its_neighbours() {
        check(
            "src/a.lua:3: attempt to index a nil value (local 'a')",
            expect![[r#"
                  ╭─ src/a.lua:3
                2 │
                3 │   return a.b
                  │   ^^^^^^^^^^
                4 │ last"#]],
        );
    }

    #[test]
    fn a_trace_is_shown_in_its_order_and_names_are_whole() {
        check(
            "error in a.lua:1: bad\n[string \"x\"]:2: b/a.lua:1: src/a.lua:4: a.lua:1: a.lua:99: a.lua:x",
            expect![[r#"
                  ╭─ a.lua:1
                1 │ local a
                  │ ^^^^^^^
                2 │
                  ╭─ src/a.lua:4
                3 │   return a.b
                4 │ last
                  │ ^^^^"#]],
        );
    }

    #[test]
    fn a_name_that_lua_cut_is_known() {
        let places = bundle().places("...deep/deep/last.lua:2: bad");
        assert_eq!(places.len(), 1);
        assert!(places[0].name.ends_with("deep/last.lua") && places[0].line == 2);
    }
}
