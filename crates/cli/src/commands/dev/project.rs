//! The project of the folder where a network was started: its processes are there, and follow their files.

use pirn_http::wire::info::Network;
use tokio::sync::watch;

use crate::commands::up::load::{Loaded, Loader};
use crate::commands::up::watch::Watcher;
use crate::commands::up::{round, row};
use crate::error::Result;
use crate::network::{Signer, Where};
use crate::project::Project;
use crate::ui::{Ui, table};

/// Brings the processes up and keeps them so, also when the network was put back to a snapshot or to its beginning.
/// Never ends: a network without a project is one as well.
pub async fn keep(network: &Network, mut replaced: watch::Receiver<u64>, left_alone: bool, ui: Ui) {
    if !left_alone && let Err(failure) = try_keep(network, &mut replaced, ui).await {
        match ui.json {
            true => tracing::error!(code = %failure.code, "{}", failure.what),
            false => ui.failed(&failure),
        }
    }
    std::future::pending().await
}

async fn try_keep(network: &Network, replaced: &mut watch::Receiver<u64>, ui: Ui) -> Result {
    let here = std::env::current_dir().unwrap_or_default();
    let Some(project) = Project::find(&here)? else { return Ok(()) };
    let url = |part: &str| network.urls.get(part).cloned();
    let at = Where { port: None, gateway: url("gateway"), mu: url("mu"), su: url("su"), cu: url("cu") };
    let signer = Signer { wallet: Some("0".to_owned()) };
    let mut loader = Loader::open(&at, &signer, project).await?;
    let mut watcher = Watcher::new()?;
    let told = |_: &str, came: &Result<Loaded>| match came {
        Ok(loaded) if ui.json => tracing::info!(name = %loaded.name, process = %loaded.process, "loaded"),
        Ok(loaded) => {
            loaded.doubts.iter().for_each(|doubt| ui.note(format!("warning: {doubt}")));
            ui.note(format!("  {}", table(&[row(loaded)])));
        }
        Err(failure) if ui.json => tracing::error!(code = %failure.code, "{}", failure.what),
        Err(failure) => ui.failed(failure),
    };
    loop {
        round(&mut loader, &[], &mut watcher, false, &told).await;
        tokio::select! {
            biased;
            Ok(()) = replaced.changed() => {}
            () = watcher.changed() => {}
        }
    }
}
