//! The wallets that units sign with.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use protocol::Wallet;

use crate::{Config, Error};

/// A wallet for each unit.
pub(crate) struct Keys {
    pub mu: Wallet,
    pub su: Wallet,
    pub cu: Wallet,
}

impl Keys {
    /// The wallets that the configuration names, else those in `state`, made there if need be.
    pub fn open(config: &Config, state: &Path) -> Result<Keys, Error> {
        let of = |name: &str, own: &Option<std::path::PathBuf>| match own.as_ref().or(config.wallet.as_ref())
        {
            Some(file) => read(file),
            None => kept(&state.join("keys"), name),
        };
        let wallets = &config.wallets;
        Ok(Keys { mu: of("mu", &wallets.mu)?, su: of("su", &wallets.su)?, cu: of("cu", &wallets.cu)? })
    }
}

/// The wallet in a file.
pub(crate) fn read(path: &Path) -> Result<Wallet, Error> {
    let file = |what| move |source| Error::File { what, path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(file("read the wallet"))?;
    let mode = fs::metadata(path).map_err(file("look at the wallet"))?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others on this computer can read the wallet: chmod 600 it");
    }
    Wallet::from_jwk(&text).map_err(|source| Error::Wallet { path: path.to_owned(), source })
}

/// The key that this node made earlier, or a new one, which only its user may read.
fn kept(folder: &Path, name: &str) -> Result<Wallet, Error> {
    let path = folder.join(format!("{name}.json"));
    if path.exists() {
        return read(&path);
    }
    let wallet = Wallet::generate_ed25519();
    let file = |what, path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { what, path, source }
    };
    fs::create_dir_all(folder).map_err(file("make", folder))?;
    // Written beside and renamed: half a key would be the end of every process that trusts it.
    let unfinished = folder.join(format!("{name}.new"));
    let mut out = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(file("write", &unfinished))?;
    out.write_all(wallet.to_jwk().as_bytes()).map_err(file("write", &unfinished))?;
    out.sync_all().map_err(file("write", &unfinished))?;
    fs::rename(&unfinished, &path).map_err(file("write", &path))?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(file("write", folder))?;
    Ok(wallet)
}
