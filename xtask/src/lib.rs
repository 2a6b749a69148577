//! The repository's chores, and the checks that need to see all of it at once.

pub mod bench;
pub mod floors;
pub mod lua;
pub mod node;
pub mod test;
pub mod tidy;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The root of the repository: of the one that cargo is run in, also where two share what they build.
pub fn root() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder =
        || std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    FOLDER.get_or_init(|| folder().into()).parent().expect("xtask lies in the root")
}
