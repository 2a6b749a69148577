//! Coverage as a page: every file with its lines, in one document that needs nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::coverage::FileCoverage;
use super::source::Source;

const STYLE: &str = "\
body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1d2329;background:#fff}
table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:left}th{border-bottom:1px solid #ccc}
td.n{text-align:right;font-variant-numeric:tabular-nums}summary{cursor:pointer;font-weight:600;margin-top:1rem}
pre{margin:.5rem 0;overflow-x:auto;background:#f6f8fa;padding:.5rem 0}pre span{display:block;padding:0 .8rem}
pre i{display:inline-block;width:4rem;color:#8a939c;font-style:normal}pre b{display:inline-block;width:4rem;font-weight:400;color:#8a939c}
.run{background:#e6f4ea}.not{background:#fde8e8}
@media(prefers-color-scheme:dark){body{color:#dde3e9;background:#14181c}pre{background:#1b2127}
.run{background:#16301f}.not{background:#3a1c1e}}";

/// The page.
pub fn page(files: &[FileCoverage], sources: &[Source]) -> String {
    let texts: BTreeMap<&str, &str> =
        sources.iter().map(|source| (source.name.as_str(), source.text.as_str())).collect();
    let mut out = String::new();
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Coverage</title>\n<style>{STYLE}</style>\n\
         <h1>Coverage</h1>\n<table>\n<tr><th>file<th>lines<th>handlers<th>not run\n"
    );
    for (at, file) in files.iter().enumerate() {
        let _ = writeln!(
            out,
            "<tr><td><a href=\"#f{at}\">{}</a><td class=\"n\">{}<td class=\"n\">{}<td>{}",
            escape(&file.file),
            share(file.lines_run()),
            share(file.handlers_run()),
            escape(&file.missing())
        );
    }
    out.push_str("</table>\n");
    for (at, file) in files.iter().enumerate() {
        let _ = writeln!(out, "<details open id=\"f{at}\"><summary>{}</summary>", escape(&file.file));
        if !file.handlers.is_empty() {
            out.push_str("<table>\n<tr><th>handler<th>line<th>run\n");
            for (line, name, count) in &file.handlers {
                let _ =
                    writeln!(out, "<tr><td>{}<td class=\"n\">{line}<td class=\"n\">{count}", escape(name));
            }
            out.push_str("</table>\n");
        }
        out.push_str("<pre>");
        let text = texts.get(file.file.as_str()).copied().unwrap_or_default();
        for (number, line) in (1..).zip(text.lines()) {
            let (class, count) = match file.lines.get(&number) {
                None => ("", String::new()),
                Some(0) => (" class=\"not\"", "0".to_owned()),
                Some(count) => (" class=\"run\"", count.to_string()),
            };
            let _ = write!(out, "<span{class}><i>{number}</i><b>{count}</b>{}</span>", escape(line));
        }
        out.push_str("</pre></details>\n");
    }
    out.push_str("</html>\n");
    out
}

fn share((run, all): (usize, usize)) -> String {
    match all {
        0 => "–".to_owned(),
        all => format!("{run} of {all}"),
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_what_was_run_and_what_was_not() {
        let file = FileCoverage {
            file: "src/a<b>.lua".to_owned(),
            lines: [(1, 3), (3, 0)].into(),
            handlers: vec![(1, "Inc & Dec".to_owned(), 3)],
        };
        let text = "local a = 1 < 2\n\nreturn a".to_owned();
        let page = page(&[file], &[Source { name: "src/a<b>.lua".to_owned(), text }]);
        assert!(page.contains("<td class=\"n\">1 of 2<td class=\"n\">1 of 1<td>3"), "{page}");
        assert!(page.contains("<span class=\"run\"><i>1</i><b>3</b>local a = 1 &lt; 2</span>"), "{page}");
        assert!(page.contains("<span><i>2</i><b></b></span>"), "{page}");
        assert!(page.contains("<span class=\"not\"><i>3</i><b>0</b>return a</span>"), "{page}");
        assert!(page.contains("Inc &amp; Dec") && !page.contains("a<b>"), "{page}");
    }
}
