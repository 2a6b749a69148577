//! Which files are tests.

use std::path::{Path, PathBuf};

use unit::Code;

use crate::error::{Failure, Result};

/// Folders are looked into so deep.
const DEPTH_MAX: usize = 32;

/// Files at most.
const FILES_MAX: usize = 10_000;

/// The test files of `paths`: files as they are, and whatever ends in `_test.lua` or `_spec.lua` in folders. Without paths,
/// those of `base`. In the order of their names.
pub fn find(base: &Path, paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let own = [PathBuf::from(".")];
    for path in if paths.is_empty() { &own[..] } else { paths } {
        let full = base.join(path);
        if full.is_file() {
            files.push(full);
        } else if full.is_dir() {
            look(&full, 0, &mut files)?;
        } else {
            return Err(Failure {
                exit: 2,
                ..Failure::new(Code::FILE, format!("there is no {}", path.display()))
            }
            .hint("name test files, or folders with files that end in _test.lua"));
        }
    }
    let mut files: Vec<PathBuf> = files.iter().map(|file| tidy(file)).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// Without `.` in the middle.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

fn look(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Failure::new(Code::FILE, format!("could not list {}: {error}", folder.display())))?;
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name.starts_with('.') || name == "node_modules" || name == "target" {
            continue;
        }
        if path.is_dir() {
            if depth < DEPTH_MAX && !entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                look(&path, depth + 1, files)?;
            }
        } else if (name.ends_with("_test.lua") || name.ends_with("_spec.lua")) && files.len() < FILES_MAX {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for path in
            ["a_test.lua", "test/b_test.lua", "test/deep/c_spec.lua", "src/a.lua", "node_modules/d_test.lua"]
        {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let names = |paths: &[&str]| {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            let found = find(folder.path(), &paths).map_err(|failure| failure.what)?;
            let relative = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
            Ok::<_, String>(found.iter().map(relative).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["a_test.lua", "test/b_test.lua", "test/deep/c_spec.lua"]);
        assert_eq!(
            names(&["test", "src/a.lua", "test/b_test.lua"]).unwrap(),
            ["src/a.lua", "test/b_test.lua", "test/deep/c_spec.lua"]
        );
        assert_eq!(names(&["nowhere"]).unwrap_err(), "there is no nowhere");
    }
}
