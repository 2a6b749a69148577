//! Who may use the controls of a development network: this computer's programs, and the web pages that it serves itself.

use std::collections::BTreeSet;
use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use reqwest::Url;
use unit::{Code, Error, Kind};

use super::{PREFIX, as_problem};
use crate::server::Failure;

/// Whom the controls of a development network obey.
///
/// A developer has web pages open, and any of them can send requests to this computer. So what moves the clock, makes
/// blocks or puts the network back (`/api/v1/dev`, and `/mine`, `/mint` and `/reset` of the gateway) is refused:
///
/// - to a page from elsewhere: its browser says so in `Origin`. A page of this computer (`http://localhost:5173`) may.
/// - to what a page loads without being allowed to read it, such as an image: its browser says so in `Sec-Fetch-Site`.
/// - under a name that is not this computer's, in `Host`. Otherwise whoever owns a name could let it lead here, and his
///   page would be of the same origin as the network.
///
/// A request with neither `Origin` nor `Sec-Fetch-Site` is no browser's, whatever its method: every browser puts `Origin`
/// on each POST, PUT and DELETE, and `Sec-Fetch-Site` on whatever it sends to this computer. Programs of the command line
/// send neither, and who can run programs here needs no network to do harm. So these are obeyed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    origins: BTreeSet<String>,
    hosts: BTreeSet<String>,
    any_address: bool,
}

impl Guard {
    /// Lets pages of these origins in as well, and requests under these names. `any_address`: the network can be reached
    /// from other computers, so any address may be its own; a name still has to be listed. What is no origin is refused.
    pub fn new(origins: &[String], hosts: &[String], any_address: bool) -> Result<Guard, Error> {
        let read = |origin: &String| {
            let wrong = || {
                Error::invalid(format!("{origin:?} is no origin of web pages")).with_hint(
                    "an origin is like https://app.example or http://app.example:8080, without a path",
                )
            };
            let url = Url::parse(origin).map_err(|_| wrong())?;
            let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
            (bare && url.has_host()).then(|| normal(origin)).ok_or_else(wrong)
        };
        Ok(Guard {
            origins: origins.iter().map(read).collect::<Result<_, _>>()?,
            hosts: hosts.iter().map(|host| name_of(host).unwrap_or_else(|| host.clone())).collect(),
            any_address,
        })
    }

    fn check(&self, host: Option<&str>, headers: &HeaderMap) -> Result<(), Error> {
        if let Some(host) = host
            && !self.knows_host(host)
        {
            let shown = shown(&name_of(host).unwrap_or_else(|| host.to_owned()));
            return Err(refused(format!(
                "the controls of this network are not for requests to {shown}, which is no name of this computer"
            ))
            .with_hint(format!(
                "use 127.0.0.1 or localhost; or start the network with dev.hosts = [{shown}] in pirn.toml"
            )));
        }
        let mut origins = headers.get_all(header::ORIGIN).iter().peekable();
        if origins.peek().is_none() {
            return match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
                None | Some(b"none" | b"same-origin") => Ok(()),
                Some(_) => Err(refused("the controls of this network are not for what web pages load".to_owned())
                    .with_hint("call it with fetch, from a page of this computer or of an origin in dev.origins of pirn.toml")),
            };
        }
        for origin in origins {
            let text = origin.to_str().unwrap_or_default();
            if !self.knows_origin(text) {
                let shown = shown(text);
                let hint = format!("start the network with dev.origins = [{shown}] in pirn.toml to allow it");
                return Err(refused(format!(
                    "the controls of this network are not for web pages from {shown}"
                ))
                .with_hint(hint));
            }
        }
        Ok(())
    }

    fn knows_host(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else { return false };
        let address = name.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        is_here(&name, address) || self.hosts.contains(&name) || (self.any_address && address.is_some())
    }

    fn knows_origin(&self, origin: &str) -> bool {
        if self.origins.contains(&normal(origin)) {
            return true;
        }
        let Ok(url) = Url::parse(origin) else { return false };
        let name = url.host_str().unwrap_or_default().trim_end_matches('.');
        let address = name.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        matches!(url.scheme(), "http" | "https") && is_here(name, address)
    }
}

/// The name in a `Host`, without its port.
fn name_of(host: &str) -> Option<String> {
    let authority = host.parse::<Authority>().ok()?;
    Some(authority.host().trim_end_matches('.').to_ascii_lowercase())
}

fn is_here(name: &str, address: Option<IpAddr>) -> bool {
    match address {
        Some(address) => address.to_canonical().is_loopback(),
        // What ends so is this computer in every browser: RFC 6761.
        None => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// An origin as browsers write it; of schemes that are not the web's, as it is.
fn normal(origin: &str) -> String {
    match Url::parse(origin).map(|url| url.origin()) {
        Ok(origin) if origin.is_tuple() => origin.ascii_serialization(),
        _ => origin.trim_end_matches('/').to_ascii_lowercase(),
    }
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(100).collect::<String>())
}

fn refused(what: String) -> Error {
    Error::new(Kind::Forbidden, what).with_code(Code::NOT_FROM_HERE)
}

/// Whether a path is that of a control.
fn controls(path: &str) -> bool {
    let of =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let api = path.strip_prefix(PREFIX).unwrap_or_default();
    let below =
        |root: &str| api.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    // Webhooks post from this computer, and what is signed here is signed with its keys.
    below("/dev")
        || below("/webhooks")
        || matches!(api.trim_end_matches('/'), "/messages" | "/processes")
        || ["/mine", "/mint", "/reset"].into_iter().any(of)
}

/// Lets requests to controls through if they are from here. Of the permissions that everybody else gets, only pages that
/// may use the controls keep any: browsers let no other page read the answers.
pub(in crate::server) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !controls(path) {
        return next.run(request).await;
    }
    let is_api = path.starts_with(PREFIX);
    let authority = request.uri().authority().map(Authority::as_str);
    let said = request.headers().get_all(header::HOST).iter();
    let hosts = said.map(|host| host.to_str().unwrap_or_default()).chain(authority);
    let hosts: Vec<_> = hosts.map(Some).collect();
    let hosts = if hosts.is_empty() { vec![None] } else { hosts };
    let checked = hosts.into_iter().try_for_each(|host| guard.check(host, request.headers()));
    if let Err(error) = checked {
        let response = Failure::from(error).into_response();
        return vary(if is_api { as_problem(response) } else { response });
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    match origin {
        Some(origin) => drop(headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)),
        None => {
            let permissions: Vec<HeaderName> =
                headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
            for name in permissions {
                headers.remove(name);
            }
        }
    }
    vary(response)
}

/// Tells caches that the answer is for that origin only.
fn vary(mut response: Response) -> Response {
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin, Sec-Fetch-Site"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[track_caller]
    fn check(guard: &Guard, host: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let pairs = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        guard.check(Some(host), &HeaderMap::from_iter(pairs)).is_ok()
    }

    #[test]
    fn pages_of_this_computer_and_programs_are_from_here() {
        let guard = Guard::default();
        for origin in [
            "http://localhost:5173",
            "https://app.localhost",
            "http://127.0.0.1:4000",
            "http://127.8.9.1",
            "http://[::1]:3000",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(
                check(&guard, "localhost:4002", &[("origin", origin), ("sec-fetch-site", "cross-site")]),
                "{origin}"
            );
        }
        for origin in [
            "null",
            "",
            "https://evil.example",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "http://notlocalhost",
            "http://evil.example#localhost",
            "http://localhost@evil.example",
            "http://192.168.1.5",
            "http://0.0.0.0",
            "file://",
            "file://localhost",
            "chrome-extension://abcdefgh",
        ] {
            assert!(!check(&guard, "localhost:4002", &[("origin", origin)]), "{origin}");
            assert!(
                !check(&guard, "localhost:4002", &[("origin", origin), ("sec-fetch-site", "same-origin")]),
                "{origin}"
            );
        }
        for (site, from_here) in
            [("none", true), ("same-origin", true), ("same-site", false), ("cross-site", false), ("", false)]
        {
            assert_eq!(check(&guard, "127.0.0.1:4002", &[("sec-fetch-site", site)]), from_here, "{site}");
        }
        let two = [("origin", "http://localhost"), ("origin", "https://evil.example")];
        let mut headers = HeaderMap::new();
        for (name, value) in two {
            headers.append(name, HeaderValue::from_static(value));
        }
        assert!(guard.check(None, &headers).is_err(), "all of them count");
    }

    #[test]
    fn only_names_of_this_computer_lead_to_the_controls() {
        let guard = Guard::default();
        for host in
            ["localhost", "LOCALHOST:4002", "localhost.:4002", "pirn.localhost", "127.0.0.1:1", "[::1]:4002"]
        {
            assert!(check(&guard, host, &[]), "{host}");
        }
        let elsewhere = [
            "evil.example:4002",
            "localhost.evil.example",
            "192.168.1.5:4002",
            "0.0.0.0:4002",
            "",
            "a b",
            "x@localhost.evil.example",
        ];
        for host in elsewhere {
            assert!(!check(&guard, host, &[]), "{host}");
        }
        assert!(guard.check(None, &HeaderMap::new()).is_ok(), "no browser leaves it out");
        let open = Guard::new(&[], &list(&["devbox.local", "Other.local.:4002"]), true).unwrap();
        for (host, known) in [
            ("192.168.1.5:4002", true),
            ("DevBox.local:4002", true),
            ("other.local", true),
            ("evil.example", false),
        ] {
            assert_eq!(check(&open, host, &[]), known, "{host}");
        }
        assert!(
            !check(&open, "192.168.1.5", &[("origin", "http://192.168.1.5")]),
            "a page there is from elsewhere"
        );
    }

    #[test]
    fn origins_that_are_listed_may_and_what_is_no_origin_is_refused() {
        let guard = Guard::new(
            &list(&["https://App.example/", "http://app.example:80", "chrome-extension://abc"]),
            &[],
            false,
        );
        let guard = guard.unwrap();
        for (origin, known) in [
            ("https://app.example", true),
            ("http://app.example", true),
            ("chrome-extension://abc", true),
            ("https://app.example:8443", false),
            ("https://other.example", false),
        ] {
            assert_eq!(check(&guard, "localhost", &[("origin", origin)]), known, "{origin}");
        }
        for wrong in ["app.example", "*", "null", "https://app.example/path", "https://", "mailto:x"] {
            assert!(Guard::new(&list(&[wrong]), &[], false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn controls_are_told_by_their_paths() {
        for (path, is) in [
            ("/api/v1/dev", true),
            ("/api/v1/dev/clock", true),
            ("/api/v1/device", false),
            ("/api/v1/events", false),
            ("/mine", true),
            ("/mine/3", true),
            ("/mint/x/1", true),
            ("/reset", true),
            ("/minerals", false),
            ("/tx", false),
        ] {
            assert_eq!(controls(path), is, "{path}");
        }
    }
}
