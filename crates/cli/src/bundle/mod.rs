//! A Lua script of several files as one text that a process can evaluate.
//!
//! Each file is compiled under its own name inside the process. So an error names the file and the line of the person
//! who wrote it, whenever it happens and whoever asks, and no map of lines has to be kept anywhere.

mod places;
mod requires;

use std::fs;
use std::path::{Path, PathBuf};

use unit::Code;

use self::requires::requires;
use crate::error::{Failure, Result};

/// How much may be bundled.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files of a bundle.
    pub files_max: usize,
    /// Bytes of all of them together. A process would not take a larger message.
    pub bytes_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { files_max: 1_000, bytes_max: 8 * 1024 * 1024 }
    }
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name under which it is asked for; none for the file that the bundle begins with.
    pub module: Option<String>,
    /// Where it is.
    pub path: PathBuf,
    /// What errors call it: its path from the folder of the project.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// A module that is asked for and is not among the files. The process may have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What it is called.
    pub module: String,
    /// Who asks for it.
    pub by: String,
    /// Where it was looked for.
    pub tried: Vec<PathBuf>,
}

/// A script: its files, each with what it needs before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The modules in the order in which they were found, then the file that the bundle begins with.
    pub sources: Vec<Source>,
    /// What was not found.
    pub missing: Vec<Missing>,
}

/// Before the files: how one becomes a module. What an earlier bundle left under its name is forgotten.
const BEFORE: &str = "(function()
local function compile(file, text)
  local run, problem = load(text, \"@\" .. file, \"t\")
  return run or error(problem, 0)
end
local function module(name, file, text)
  package.loaded[name], package.preload[name] = nil, compile(file, text)
end
";

impl Bundle {
    /// Reads a file and what it requires: from its own folder, or else from `base`, which is also what names are
    /// relative to. What is found in neither is left to the process.
    pub fn read(entry: &Path, base: &Path, options: &Options) -> Result<Bundle> {
        let text = fs::read(entry).map_err(|error| not_there(entry, &error))?;
        let folder = entry.parent().unwrap_or(Path::new(""));
        let mut reader = Reader { roots: [folder, base], base, options, bytes: 0 };
        let first = reader.source(None, entry.to_owned(), text)?;
        let mut bundle = Bundle { sources: Vec::new(), missing: Vec::new() };
        let mut waiting: Vec<(String, String)> = asked(&first);
        while let Some((module, by)) = waiting.pop() {
            let known = |source: &Source| source.module.as_ref() == Some(&module);
            if bundle.sources.iter().any(known) || bundle.missing.iter().any(|other| other.module == module) {
                continue;
            }
            match reader.find(&module)? {
                Ok(source) => {
                    if bundle.sources.len() + 1 >= options.files_max {
                        let what = format!("{} needs more than {} files", first.name, options.files_max);
                        return Err(Failure::new(Code::TOO_LARGE, what).hint("a smaller script"));
                    }
                    waiting.extend(asked(&source));
                    bundle.sources.push(source);
                }
                Err(tried) => bundle.missing.push(Missing { module, by, tried }),
            }
        }
        bundle.sources.push(first);
        Ok(bundle)
    }

    /// Reads a file and what it requires, with names from the current folder.
    pub fn read_here(entry: &Path) -> Result<Bundle> {
        let here = std::env::current_dir().unwrap_or_default();
        let entry = std::path::absolute(entry).unwrap_or_else(|_| entry.to_owned());
        Bundle::read(&entry, &here, &Options::default())
    }

    /// The text to evaluate. It is an expression; its value is what the first file returns.
    pub fn text(&self) -> String {
        let mut text = BEFORE.to_owned();
        for source in &self.sources {
            let (name, content) = (quoted(&source.name), long(&source.text));
            text += &match &source.module {
                Some(module) => format!("module({}, {name}, {content})\n", quoted(module)),
                None => format!("return compile({name}, {content})()\n"),
            };
        }
        text + "end)()"
    }

    /// What is missing and is not known to be part of a process, one line each.
    pub fn doubts(&self) -> Vec<String> {
        let ours =
            |missing: &&Missing| !missing.module.starts_with('.') && !OF_PROCESS.contains(&&*missing.module);
        let line = |missing: &Missing| {
            let tried: Vec<String> = missing.tried.iter().map(|path| path.display().to_string()).collect();
            let Missing { module, by, .. } = missing;
            format!("{by} requires {module:?}: no {}; it must be in the process", tried.join(", no "))
        };
        self.missing.iter().filter(ours).map(line).collect()
    }
}

/// What every process has, under names without a dot before them.
const OF_PROCESS: &[&str] = &[
    "json",
    "ao",
    "base64",
    "bint",
    "pretty",
    "stringify",
    "string",
    "table",
    "math",
    "os",
    "coroutine",
    "debug",
    "utf8",
];

/// What a source requires, with its name; the first to be looked at is the last.
fn asked(source: &Source) -> Vec<(String, String)> {
    requires(&source.text).into_iter().rev().map(|module| (module, source.name.clone())).collect()
}

struct Reader<'a> {
    roots: [&'a Path; 2],
    base: &'a Path,
    options: &'a Options,
    bytes: usize,
}

impl Reader<'_> {
    /// The file of a module, or where it was looked for.
    fn find(&mut self, module: &str) -> Result<Result<Source, Vec<PathBuf>>> {
        let path = module.replace('.', "/");
        let mut tried: Vec<PathBuf> = Vec::new();
        // `.utils` is part of a process, and nothing leads out of the folders.
        let outside = module.starts_with(['.', '/']) || module.contains("..") || module.is_empty();
        for root in self.roots.iter().filter(|_| !outside) {
            for end in [".lua", "/init.lua"] {
                let file = root.join(format!("{path}{end}"));
                if tried.contains(&file) {
                    continue;
                }
                match fs::read(&file) {
                    Ok(bytes) => return self.source(Some(module.to_owned()), file, bytes).map(Ok),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => tried.push(file),
                    Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => tried.push(file),
                    Err(error) => {
                        let what = format!("could not read {}: {error}", file.display());
                        return Err(Failure::new(Code::FILE, what));
                    }
                }
            }
        }
        Ok(Err(tried))
    }

    fn source(&mut self, module: Option<String>, path: PathBuf, bytes: Vec<u8>) -> Result<Source> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > self.options.bytes_max {
            let what =
                format!("with {} the script has over {} bytes", path.display(), self.options.bytes_max);
            return Err(Failure::new(Code::TOO_LARGE, what).hint("upload data to the weave and send its id"));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            let what = format!("{}:{line} is not UTF-8", path.display());
            Failure::new(Code::FILE, what).hint("save it as UTF-8, or write the bytes as \"\\xFF\"")
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        // As Lua does; the lines keep their numbers.
        let text = if text.starts_with('#') { format!("--{text}") } else { text.to_owned() };
        let near = [self.base, self.roots[0]].into_iter().find_map(|root| path.strip_prefix(root).ok());
        let name = near.or_else(|| path.file_name().map(Path::new)).unwrap_or(&path);
        Ok(Source { module, name: name.display().to_string(), path, text })
    }
}

/// Why the first file cannot be read, and what may have been meant.
fn not_there(entry: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(Code::FILE, format!("could not read {}: {error}", entry.display()));
    let folder = entry.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = fs::read_dir(folder)
        .map(|files| files.flatten().map(|file| file.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    let wanted = entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let failure = match node::nearest(&wanted, &names) {
        Some(near) => failure.hint(format!("did you mean {}?", folder.join(near).display())),
        None => failure,
    };
    let here = std::env::current_dir().unwrap_or_default();
    failure.hint(format!("paths begin at {}", here.display()))
}

/// A text as Lua writes it in quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            c => out.push(c),
        }
    }
    out + "\""
}

/// A text as Lua writes it in long brackets that do not occur in it.
fn long(text: &str) -> String {
    let fits = |level: &usize| !text.contains(&format!("]{}", "=".repeat(*level)));
    let level = (0..).find(fits).expect("some number of signs does not occur");
    let signs = "=".repeat(level);
    // The first line break in brackets does not count.
    format!("[{signs}[\n{text}]{signs}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn read(folder: &Path, entry: &str) -> Result<Bundle> {
        Bundle::read(&folder.join(entry), folder, &Options::default())
    }

    #[test]
    fn modules_are_found_beside_the_file_and_from_the_project_each_once() {
        let folder = folder(&[
            ("src/main.lua", "local a = require('a')\nlocal b = require('lib.b')\nreturn a"),
            ("src/a.lua", "return require('lib.b')"),
            ("lib/b/init.lua", "require('a') return require('json')"),
        ]);
        let bundle = read(folder.path(), "src/main.lua").unwrap();
        let names: Vec<_> =
            bundle.sources.iter().map(|source| (source.module.as_deref(), source.name.as_str())).collect();
        assert_eq!(
            names,
            [(Some("a"), "src/a.lua"), (Some("lib.b"), "lib/b/init.lua"), (None, "src/main.lua")]
        );
        assert_eq!(bundle.missing.len(), 1);
        assert!(bundle.doubts().is_empty(), "every process has json");
    }

    #[test]
    fn what_is_nowhere_is_told_with_where_it_was_looked_for() {
        let folder = folder(&[("main.lua", "require('zoo') require('.utils') require('..etc')")]);
        let doubts = read(folder.path(), "main.lua").unwrap().doubts().join("\n");
        assert!(
            doubts.starts_with("main.lua requires \"zoo\": no ") && doubts.contains("zoo/init.lua"),
            "{doubts}"
        );
        assert!(!doubts.contains("utils") && !doubts.contains("etc"), "{doubts}");
        let failure = read(folder.path(), "mian.lua").unwrap_err();
        assert!(
            failure.hints[0].contains("did you mean") && failure.hints[0].contains("main.lua"),
            "{failure:?}"
        );
    }

    #[test]
    fn any_text_is_carried_and_lines_stay_where_they_are() {
        let text = "#!/usr/bin/lua\nreturn [==[ ]] ]=] ]==] .. \"]\"";
        let folder = folder(&[("a\"b.lua", text)]);
        let bundle = read(folder.path(), "a\"b.lua").unwrap();
        assert_eq!(bundle.sources[0].text, format!("--{text}"));
        let whole = bundle.text();
        assert!(
            whole.contains(&format!("return compile(\"a\\\"b.lua\", [===[\n--{text}]===])()")),
            "{whole}"
        );
    }

    #[test]
    fn what_is_too_much_or_no_text_is_refused() {
        let folder = folder(&[("main.lua", "require('a')"), ("a.lua", "return 'aaaaaaaaaaaaaaaaaaa'")]);
        let read = |options: Options| Bundle::read(&folder.path().join("main.lua"), folder.path(), &options);
        let failure = read(Options { bytes_max: 20, ..Options::default() }).unwrap_err();
        assert_eq!(failure.code, Code::TOO_LARGE);
        let failure = read(Options { files_max: 1, ..Options::default() }).unwrap_err();
        assert_eq!(failure.code, Code::TOO_LARGE);
        fs::write(folder.path().join("a.lua"), b"\n\xff").unwrap();
        let failure = read(Options::default()).unwrap_err();
        assert!(failure.what.ends_with("a.lua:2 is not UTF-8"), "{failure:?}");
    }
}
