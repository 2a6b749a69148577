//! The repository's chores, and the checks that need to see all of it at once.

pub mod floors;
pub mod lua;
pub mod node;
pub mod test;
pub mod tidy;

use std::path::Path;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root")
}
