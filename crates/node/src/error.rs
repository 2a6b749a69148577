//! Why a node does not start.

use std::path::PathBuf;

use unit::Code;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error("{what}")]
    Config {
        /// What to look it up by.
        code: Code,
        /// What is wrong, and where it stands.
        what: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A port is not free.
    #[error("port {port} for the {role} is taken{}", holder.as_ref().map(|by| format!(" by {by}")).unwrap_or_default())]
    PortTaken {
        /// Which.
        port: u16,
        /// For what.
        role: &'static str,
        /// Who has it, if that can be told.
        holder: Option<String>,
    },
    /// The operating system does not let us listen.
    #[error("cannot listen on {address} for the {role}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// For what.
        role: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A file or folder.
    #[error("cannot {what} {}", path.display())]
    File {
        /// The act.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that holds no wallet.
    #[error("{} holds no wallet", path.display())]
    Wallet {
        /// Which.
        path: PathBuf,
        /// Why.
        source: protocol::crypto::BadWallet,
    },
    /// The state folder cannot be opened.
    #[error("cannot open the state in {}", path.display())]
    Store {
        /// Which.
        path: PathBuf,
        /// Why.
        source: store::Error,
    },
    /// The log could not be written while the node ran.
    #[error("the log in {} can no longer be written, so this node accepts nothing more", path.display())]
    StoreFailed {
        /// The state folder.
        path: PathBuf,
        /// Why.
        source: store::Error,
    },
    /// A state folder that a backup would replace.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// Which.
        path: PathBuf,
    },
    /// A backup cannot be made, or is not what was written.
    #[error("{what}")]
    Backup {
        /// What could not be done.
        what: &'static str,
        /// Why.
        source: store::Error,
    },
    /// A part does not start.
    #[error("the {part} does not start")]
    Part {
        /// Which.
        part: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Config { hint, .. } => hint.clone(),
            Error::PortTaken { port, .. } => Some(format!(
                "start on other ports with `--port {}`, or on any free ones with `--port 0`",
                if *port < 60_000 { 5000 + port % 1000 / 100 * 100 } else { 5000 }
            )),
            Error::Backup { source: store::Error::Io { .. }, .. } => Some(
                "see that both folders are the right ones, that this user may use them, and that the disk is not full \
                 (`df`)"
                    .to_owned(),
            ),
            Error::Store { source, .. }
            | Error::StoreFailed { source, .. }
            | Error::Backup { source, .. } => source.hint().map(str::to_owned),
            Error::NotEmpty { .. } => Some(
                "choose an empty folder, or replace what is there, its keys included: `--force`".to_owned(),
            ),
            Error::File { .. } => Some(
                "see that the path is right, and that this user may read and write there (`ls -ld`)"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// What to look it up by.
    pub fn code(&self) -> Code {
        match self {
            Error::Config { code, .. } => *code,
            Error::PortTaken { .. } => Code::PORT_TAKEN,
            Error::Listen { .. } => Code::CANNOT_LISTEN,
            Error::File { .. } => Code::FILE,
            Error::Wallet { .. } => Code::WALLET,
            Error::Store { source: store::Error::InUse { .. }, .. }
            | Error::Backup { source: store::Error::InUse { .. }, .. } => Code::STATE_IN_USE,
            Error::Store { .. } | Error::StoreFailed { .. } | Error::Backup { .. } => Code::STORE,
            Error::NotEmpty { .. } => Code::CONFLICT,
            Error::Part { .. } => Code::DOES_NOT_START,
        }
    }

    /// Whether it is about how the node was asked to start, rather than about what then went wrong.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Error::Config { .. } | Error::PortTaken { .. } | Error::Wallet { .. } | Error::NotEmpty { .. }
        )
    }

    pub(crate) fn part(part: &'static str) -> impl FnOnce(unit::Error) -> Error {
        move |source| Error::Part { part, source: source.into() }
    }
}
