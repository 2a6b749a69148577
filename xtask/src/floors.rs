//! An arrow points to a lower floor.
//!
//! Each package says its floor under `[package.metadata.pirn]`. It may use packages of lower floors only: so parts
//! cannot know one another, and contracts cannot know who fulfils them. Dev-dependencies are free.

use anyhow::Context;
use cargo_metadata::{DependencyKind, MetadataCommand};

/// A package of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name in `Cargo.toml`.
    pub name: String,
    /// Where it stands, if it says so.
    pub floor: Option<u64>,
    /// The packages it uses, our own and others'.
    pub uses: Vec<String>,
}

/// The packages of this workspace, as cargo sees them.
pub fn packages() -> anyhow::Result<Vec<Package>> {
    let mut command = MetadataCommand::new();
    command.manifest_path(crate::root().join("Cargo.toml")).no_deps();
    let metadata = command.exec().context("could not ask cargo for the packages of this workspace")?;
    let package = |package: cargo_metadata::Package| Package {
        floor: package.metadata["pirn"]["floor"].as_u64(),
        uses: package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
            .map(|dependency| dependency.name.clone())
            .collect(),
        name: package.name.to_string(),
    };
    Ok(metadata.packages.into_iter().map(package).collect())
}

/// What breaks the rule, one line each.
pub fn problems(packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for from in packages {
        let Some(floor) = from.floor else {
            problems.push(format!("{} does not say its floor under [package.metadata.pirn]", from.name));
            continue;
        };
        let ours = packages.iter().filter(|to| from.uses.contains(&to.name));
        for (to, below) in ours.filter_map(|to| Some((to, to.floor?))) {
            if below >= floor {
                problems.push(format!("{} (floor {floor}) -> {} (floor {below})", from.name, to.name));
            }
        }
    }
    problems
}
