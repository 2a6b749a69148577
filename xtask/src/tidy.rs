//! What a reader would trip over: huge files, dead links, maps that show what is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path};

use anyhow::Context;

/// The longest file that is read with pleasure.
pub const LINES_MAX: usize = 600;

/// Files that are longer, each with the reason why splitting it would make it worse.
pub const LONG_FILES: &[(&str, &str)] = &[];

/// Parts of paths that exist on one computer only. In pieces, so that this file does not name them.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// The files of the repository, by path from its root.
#[derive(Debug, Default)]
pub struct Tree {
    /// Those that are text, with their text.
    pub texts: BTreeMap<String, String>,
    /// All paths, of folders as well.
    pub paths: BTreeSet<String>,
}

impl Tree {
    /// Reads what is below `root`, except what is built or installed there.
    pub fn read(root: &Path) -> anyhow::Result<Tree> {
        let mut tree = Tree::default();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(root.join(&folder));
            for entry in entries.with_context(|| format!("could not list {folder:?}"))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if matches!(name.as_str(), ".git" | "target" | "node_modules" | ".pirn") {
                    continue;
                }
                let path = format!("{folder}{name}");
                if entry.file_type()?.is_dir() {
                    folders.push(format!("{path}/"));
                } else if let Ok(text) = String::from_utf8(fs::read(entry.path())?) {
                    tree.texts.insert(path.clone(), text);
                }
                tree.paths.insert(path);
            }
        }
        Ok(tree)
    }

    /// Files whose names end so.
    fn ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        all.filter(move |(path, _)| path.ends_with(end))
    }
}

/// Everything that is not tidy, one line each.
pub fn problems(tree: &Tree) -> Vec<String> {
    let checks = [
        unbiased_selects,
        unfinished_code,
        crates_without_an_idea,
        machine_paths,
        dead_paths_in_maps,
        dead_links,
        tests_that_are_not_there,
    ];
    let mut problems: Vec<String> = checks.iter().flat_map(|check| check(tree)).collect();
    problems.extend(long_files(tree, LONG_FILES));
    problems
}

/// `select!` draws its branch at random unless told not to; then no run is like another.
pub fn unbiased_selects(tree: &Tree) -> Vec<String> {
    let biased = |text: &str, at: usize| {
        let open = text[at..].find(['{', '(', '[']).map(|open| at + open + 1);
        open.is_some_and(|open| text[open..].trim_start().starts_with("biased;"))
    };
    find_in_code(tree, &[concat!("select", "!")], |path, text, at, line| {
        (!biased(text, at)).then(|| format!("{path}:{line}: a select that is not `biased;`"))
    })
}

/// Tables of `docs/` whose last column names a file and a test in it: there must be such a test.
pub fn tests_that_are_not_there(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.ending("-defects.md") {
        for (at, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("| ")) {
            let Some(last) = line.trim_end_matches('|').rsplit('|').next() else { continue };
            let words: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
            let [file, test] = words[..] else { continue };
            if !tree.texts.get(file).is_some_and(|text| text.contains(test)) {
                problems.push(format!("{path}:{}: {file} has no {test}", at + 1));
            }
        }
    }
    problems
}

/// Code that panics because it is not written yet.
pub fn unfinished_code(tree: &Tree) -> Vec<String> {
    let marks = [concat!("to", "do!("), concat!("unimple", "mented!(")];
    find_in_code(tree, &marks, |path, _, _, line| Some(format!("{path}:{line}: unfinished code")))
}

/// Each crate says in its first line what it is.
pub fn crates_without_an_idea(tree: &Tree) -> Vec<String> {
    let roots = tree.ending("src/lib.rs").chain(tree.ending("src/main.rs"));
    roots
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| format!("{path} does not begin with `//!` and what the crate is"))
        .collect()
}

/// Paths that only exist where someone works.
pub fn machine_paths(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    // Recorded data is as it was recorded.
    for (path, text) in tree.texts.iter().filter(|(path, _)| !path.starts_with("testing/vectors/")) {
        for (line, text) in (1..).zip(text.lines()) {
            if let Some(found) = MACHINE_PATHS.iter().find(|found| names_path(text, found)) {
                problems.push(format!("{path}:{line}: a path of one computer: {found}"));
            }
        }
    }
    problems
}

/// Whether a line names a path that begins so, not merely one that has it in its middle.
fn names_path(line: &str, path: &str) -> bool {
    let inside = |before: char| before.is_alphanumeric() || "._-*}".contains(before);
    line.match_indices(path).any(|(at, _)| !line[..at].ends_with(inside))
}

/// The maps name files and folders; each must be there.
pub fn dead_paths_in_maps(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for map in ["ARCHITECTURE.md", "README.md", "GLOSSARY.md", "STYLE.md"] {
        let text = tree.texts.get(map).map_or("", String::as_str);
        for (line, text) in (1..).zip(text.lines()) {
            let separators = |c: char| !(c.is_ascii_alphanumeric() || "/._-*".contains(c));
            for path in text.split(separators).filter(|word| is_repository_path(word)) {
                let fixed = path.split('*').next().unwrap_or_default();
                if !exists(tree, fixed.trim_end_matches(['.', '/'])) {
                    problems.push(format!("{map}:{line}: {path} does not exist"));
                }
            }
        }
    }
    problems
}

fn is_repository_path(word: &str) -> bool {
    let top = ["crates/", "testing/", "docs/", "xtask/", "processes/", "explorer/", ".ci/", ".cargo/"];
    top.iter().any(|top| word.starts_with(top))
}

/// Links in Markdown lead to files that are there.
pub fn dead_links(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.ending(".md") {
        let folder = Path::new(path).parent().unwrap_or(Path::new(""));
        let mut code = false;
        for (line, text) in (1..).zip(text.lines()) {
            code ^= text.trim_start().starts_with("```");
            for link in text.split("](").skip(1).filter(|_| !code) {
                let target = link.split([')', '#', ' ']).next().unwrap_or_default();
                let elsewhere = target.is_empty() || target.contains(':');
                if !elsewhere && !resolve(folder, target).is_some_and(|target| exists(tree, &target)) {
                    problems.push(format!("{path}:{line}: the link to {target} leads nowhere"));
                }
            }
        }
    }
    problems
}

/// The path from the root that `target` means in `folder`. None if it leaves the repository.
fn resolve(folder: &Path, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.iter().filter_map(|part| part.to_str()).collect();
    for part in Path::new(target).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => drop(parts.pop()?),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

fn exists(tree: &Tree, path: &str) -> bool {
    let below = format!("{path}/");
    tree.paths.contains(path)
        || tree.paths.range(below.clone()..).next().is_some_and(|next| next.starts_with(&below))
}

/// Files over [`LINES_MAX`] that are not among the `allowed`, and those among them that no longer need to be.
pub fn long_files(tree: &Tree, allowed: &[(&str, &str)]) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.ending(".rs") {
        let lines = text.lines().count();
        let excused = allowed.iter().any(|(allowed, _)| *allowed == path);
        match (lines > LINES_MAX, excused) {
            (true, false) => problems.push(format!("{path} has {lines} lines; at most {LINES_MAX}")),
            (false, true) => problems.push(format!("{path} has only {lines} lines and needs no excuse")),
            _ => {}
        }
    }
    let gone = allowed.iter().filter(|(path, _)| !tree.texts.contains_key(*path));
    problems.extend(gone.map(|(path, _)| format!("{path} is excused and does not exist")));
    problems
}

/// Looks for `words` in the code, comments aside.
fn find_in_code(
    tree: &Tree,
    words: &[&str],
    judge: impl Fn(&str, &str, usize, usize) -> Option<String>,
) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.ending(".rs") {
        for (at, _) in words.iter().flat_map(|word| text.match_indices(word)) {
            let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
            if !text[start..at].contains("//") {
                problems.extend(judge(path, text, at, text[..at].matches('\n').count() + 1));
            }
        }
    }
    problems
}
