//! Ports, all of them taken before anything starts.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::{Config, Error, Role, holder};

/// A socket for each role of the node.
pub(crate) struct Listeners(BTreeMap<Role, std::net::TcpListener>);

impl Listeners {
    /// Takes the ports, or none.
    pub async fn bind(config: &Config) -> Result<Listeners, Error> {
        let mut listeners = BTreeMap::new();
        for role in config.roles.iter().copied() {
            let address = SocketAddr::new(config.host, config.ports.of(role));
            let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
                std::io::ErrorKind::AddrInUse => {
                    let (port, role) = (address.port(), role.name());
                    Error::PortTaken { port, role, holder: holder::of_port(port) }
                }
                _ => Error::Listen { address, role: role.name(), source },
            })?;
            let listener = listener.into_std();
            let listener = listener.map_err(|source| Error::Listen { address, role: role.name(), source })?;
            listeners.insert(role, listener);
        }
        Ok(Listeners(listeners))
    }

    /// The base URLs of what listens.
    pub fn urls(&self) -> BTreeMap<String, String> {
        let url = |(role, listener): (&Role, &std::net::TcpListener)| {
            let mut address = listener.local_addr().ok()?;
            // Listening everywhere is reached by the loopback address from here.
            if address.ip().is_unspecified() {
                address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
            }
            Some((role.name().to_owned(), format!("http://{address}")))
        };
        self.0.iter().filter_map(url).collect()
    }

    /// Another handle of the socket of a role. Whoever closes one leaves the port taken.
    pub fn of(&self, role: Role) -> Result<Option<TcpListener>, Error> {
        let Some(listener) = self.0.get(&role) else { return Ok(None) };
        let again = listener.try_clone().and_then(TcpListener::from_std);
        let failed = |source| match listener.local_addr() {
            Ok(address) => Error::Listen { address, role: role.name(), source },
            Err(source) => Error::Listen { address: ([0, 0, 0, 0], 0).into(), role: role.name(), source },
        };
        again.map(Some).map_err(failed)
    }
}
