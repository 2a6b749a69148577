//! Posts to webhooks: to URLs that strangers name, from inside a network that strangers should not reach.
//!
//! Every address is looked at before it is connected to, those that a name resolves to as well, at every connection: a
//! name that leads elsewhere the second time leads nowhere. No redirect is followed, no answer is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Url, header};
use serde::{Deserialize, Serialize};
use unit::{Answered, Code, Error, Kind, Parcel, Result};

/// Where webhooks may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Targets {
    /// Only to addresses that everybody on the internet can reach.
    Public,
    /// To those, and to this computer: for a development network.
    Loopback,
    /// Anywhere: where every address that this computer reaches may be posted to.
    Any,
}

impl Targets {
    /// Whether an address may be posted to.
    pub fn allow(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Targets::Any => true,
            Targets::Loopback => address.is_loopback() || is_public(address),
            Targets::Public => is_public(address),
        }
    }
}

/// Whether an address is one of the internet: none of the ranges that RFC 6890 and its successors keep for something
/// else, and none that carries one of those inside.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let kept = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a, b & 0xc0) == (100, 64)
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a, b & 0xfe) == (198, 18);
    !kept
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // The internet is 2000::/3; 2001::/23 is for protocols, Teredo among them, and 2002::/16 carries IPv4.
    (a & 0xe000) == 0x2000
        && !(a == 0x2001 && b < 0x0200)
        && !(a == 0x2001 && b == 0x0db8)
        && a != 0x2002
        && !(a == 0x3fff && b < 0x1000)
}

/// Posts to webhooks.
#[derive(Debug, Clone)]
pub struct Courier {
    targets: Targets,
    timeout: Duration,
    plain: reqwest::Client,
    /// Made when it is first needed, as that of [`Transport`](super::Transport).
    secure: Arc<OnceLock<reqwest::Client>>,
}

impl Courier {
    /// Posts to `targets`, each within `timeout`, its answer's head included.
    pub fn new(targets: Targets, timeout: Duration) -> Result<Courier> {
        let plain = builder(targets, timeout).tls_certs_only([]).build();
        let plain = plain.map_err(|error| Error::internal(&error))?;
        Ok(Courier { targets, timeout, plain, secure: Arc::default() })
    }

    fn client(&self, url: &Url) -> Result<&reqwest::Client> {
        if url.scheme() != "https" {
            return Ok(&self.plain);
        }
        if let Some(client) = self.secure.get() {
            return Ok(client);
        }
        let client = builder(self.targets, self.timeout).build().map_err(|error| {
            Error { kind: Kind::Unavailable, ..Error::internal(&error) }
                .with_code(Code::UNREACHABLE)
                .with_hint("https needs the certificates of the system: install ca-certificates")
        })?;
        Ok(self.secure.get_or_init(|| client))
    }

    fn read(&self, text: &str) -> Result<Url> {
        let wrong = |why: &str| {
            let shown: String = text.chars().take(100).collect();
            Error::invalid(format!("{shown:?} cannot be posted to: {why}"))
        };
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("a webhook is http or https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it has a password in it")
                .with_hint("posts are signed: let the receiver check the signature"));
        }
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        if address.is_some_and(|address| !self.targets.allow(address)) {
            return Err(refused(host));
        }
        Ok(url)
    }
}

fn refused(host: &str) -> Error {
    let shown: String = host.chars().take(100).collect();
    Error::new(
        Kind::Forbidden,
        format!("this node does not post to {shown}: it is no address of the internet"),
    )
    .with_hint("whoever runs the node decides that: webhooks.targets = \"loopback\" or \"any\" in pirn.toml")
}

fn builder(targets: Targets, timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(timeout)
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(Resolver(targets)))
        .no_proxy()
        .user_agent(concat!("pirn-webhooks/", env!("CARGO_PKG_VERSION")))
}

/// Resolves names, and leaves out what may not be posted to.
#[derive(Debug)]
struct Resolver(Targets);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let targets = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|found| targets.allow(found.ip())).collect();
            if allowed.is_empty() {
                return Err(Box::from(refused(name.as_str())) as Box<dyn std::error::Error + Send + Sync>);
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[async_trait]
impl unit::Courier for Courier {
    fn check(&self, url: &str) -> Result<()> {
        self.read(url).map(drop)
    }

    async fn post(&self, parcel: Parcel) -> Result<Answered> {
        let url = self.read(&parcel.url)?;
        let mut request = self.client(&url)?.post(url).body(parcel.body);
        for (name, value) in parcel.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.map_err(|error| {
            let mut why = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                why = cause.to_string();
                source = cause.source();
            }
            Error::unavailable(format!("the receiver was not reached: {why}")).with_code(Code::UNREACHABLE)
        })?;
        let said = response.headers().get(header::RETRY_AFTER);
        let retry_after = said.and_then(|said| said.to_str().ok()?.parse().ok());
        Ok(Answered { status: response.status().as_u16(), retry_after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for address in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "198.20.0.1", "2606:4700::1111", "2a00::1"] {
            assert!(Targets::Public.allow(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "100.64.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "fc00::1",
            "fd00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "100::1",
        ] {
            assert!(!Targets::Public.allow(address.parse().unwrap()), "{address}");
        }
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "1.1.1.1"] {
            assert!(Targets::Loopback.allow(address.parse().unwrap()), "{address}");
        }
        assert!(!Targets::Loopback.allow("10.0.0.1".parse().unwrap()));
        assert!(Targets::Any.allow("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_url_is_looked_at_before_anything_is_posted() {
        use unit::Courier as _;
        let courier = Courier::new(Targets::Public, Duration::from_secs(1)).unwrap();
        assert!(courier.check("https://example.com/hook?x=1").is_ok());
        for url in [
            "ftp://example.com",
            "file:///etc/passwd",
            "https://a:b@example.com",
            "http://127.0.0.1:1",
            "http://[::1]/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://017700000001/",
            "nothing",
            "http://",
        ] {
            assert!(courier.check(url).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_leads_nowhere() {
        use unit::Courier as _;
        let courier = Courier::new(Targets::Public, Duration::from_secs(5)).unwrap();
        let url = "http://localhost:1/".to_owned();
        assert!(courier.check(&url).is_ok());
        let error = courier.post(Parcel { url, headers: Vec::new(), body: String::new() }).await.unwrap_err();
        assert!(error.what.contains("no address of the internet"), "{error}");
    }
}
