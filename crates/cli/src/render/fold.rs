//! Tables that are deeper than a person reads at once.

/// Levels of a table that are shown.
const DEPTH_MAX: usize = 3;

/// A table as aos and our library write it, one entry on a line, without what is deeper than a few levels. None where
/// nothing is, or where the text is something else.
pub fn fold(text: &str) -> Option<String> {
    let mut depth = 0_usize;
    let mut hidden = 0_usize;
    let mut lines: Vec<String> = Vec::new();
    let mut is_folded = false;
    for line in text.lines() {
        let plain = super::safe(line, super::Paint { colours: false });
        let plain = plain.trim();
        if plain.starts_with('}') {
            depth = depth.checked_sub(1)?;
            if depth == DEPTH_MAX {
                let end = if plain.ends_with(',') { "}," } else { "}" };
                let opened = lines.last_mut()?;
                opened.push_str(&format!(" … {hidden} lines {end}"));
                hidden = 0;
                continue;
            }
        } else if lines.is_empty() && plain != "{" {
            return None;
        }
        if depth > DEPTH_MAX {
            hidden += 1;
        } else {
            lines.push(line.to_owned());
        }
        if plain.ends_with('{') {
            depth += 1;
            is_folded |= depth > DEPTH_MAX;
        }
    }
    (is_folded && depth == 0).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deep_is_folded_and_all_else_is_as_it_is() {
        let deep = "{\n   a = {\n     b = {\n       c = {\n         d = {\n           e = 1\n        }\n      },\n       \
                    f = 2\n    }\n  },\n   list = {\n    1,\n    { 3, 4 }\n   }\n}";
        let folded = "{\n   a = {\n     b = {\n       c = { … 3 lines },\n       f = 2\n    }\n  },\n   list = {\n    \
                      1,\n    { 3, 4 }\n   }\n}";
        assert_eq!(fold(deep).as_deref(), Some(folded));
        let coloured = deep.replace("c = ", "\u{1b}[31mc\u{1b}[0m = ");
        assert_eq!(fold(&coloured), Some(folded.replace("c = ", "\u{1b}[31mc\u{1b}[0m = ")));
        for as_it_is in [
            "",
            "text",
            "{\n  a = {\n  }\n}",
            "{ 1 }",
            "}\n{",
            "{\n{\n{\n{\n{\n}",
            "a {\n{\n{\n{\n}\n}\n}\n}",
        ] {
            assert_eq!(fold(as_it_is), None, "{as_it_is}");
        }
    }
}
