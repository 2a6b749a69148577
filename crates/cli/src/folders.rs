//! The folders of the person: where configuration and state are kept between runs, as the XDG convention has it.

use std::path::PathBuf;

use etcetera::BaseStrategy as _;
use unit::Code;

use crate::error::{Context as _, Result};

/// What is chosen by hand and worth keeping: `~/.config/pirn`.
pub fn config() -> Result<PathBuf> {
    Ok(base()?.config_dir().join("pirn"))
}

/// What programs note between runs: `~/.local/state/pirn`.
pub fn state() -> Result<PathBuf> {
    let base = base()?;
    Ok(base.state_dir().unwrap_or_else(|| base.data_dir()).join("pirn"))
}

/// What belongs to the person: `~/.local/share/pirn`.
pub fn data() -> Result<PathBuf> {
    Ok(base()?.data_dir().join("pirn"))
}

fn base() -> Result<etcetera::base_strategy::Xdg> {
    etcetera::base_strategy::Xdg::new().context(Code::FILE, "this user has no home folder")
}
