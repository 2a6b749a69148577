//! How much one client may ask for: token buckets for addresses, wallets, processes, and all together, apart for
//! what writes, what evaluates and what reads.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use protocol::{Address, DataItem, Id};
use serde::{Deserialize, Serialize};
use unit::{Error, Kind};

use super::Failure;
use super::reply::Left;

/// How much a client may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Whether anything is limited.
    pub enabled: bool,
    /// Whether clients on this computer are limited as well.
    pub loopback: bool,
    /// Clients that are not limited: other units of the same operator.
    pub exempt: Vec<IpAddr>,
    /// A proxy on this computer stands before the node: whoever comes from it is the last of `X-Forwarded-For`.
    pub proxy: bool,
    /// Addresses, wallets or processes of which one kind of bucket remembers each by itself. Those with full buckets
    /// are forgotten; beyond, newcomers share buckets.
    pub keys_max: usize,
    /// Items, assignments, pushes, monitors, uploads.
    pub write: Class,
    /// Whatever may make a process run.
    pub evaluate: Class,
    /// All else.
    pub read: Class,
}

/// The buckets of one class of routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// One for everybody together.
    pub all: Rate,
    /// One for each address; of IPv6, for each network of 64 bits.
    pub ip: Rate,
    /// One for each wallet that signs. Only what is signed is counted.
    pub wallet: Rate,
    /// One for each process that is written to or asked about.
    pub process: Rate,
}

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Requests a minute in the long run; 0 is no limit.
    pub per_minute: u32,
    /// Requests at once.
    pub burst: u32,
}

impl Default for Options {
    fn default() -> Options {
        let rate = |per_minute, burst| Rate { per_minute, burst };
        let none = rate(0, 0);
        Options {
            enabled: true,
            loopback: false,
            exempt: Vec::new(),
            proxy: false,
            keys_max: 100_000,
            write: Class {
                all: rate(60_000, 10_000),
                ip: rate(600, 200),
                wallet: rate(600, 200),
                process: rate(6_000, 2_000),
            },
            evaluate: Class {
                all: rate(30_000, 5_000),
                ip: rate(300, 100),
                wallet: none,
                process: rate(3_000, 1_000),
            },
            read: Class { all: none, ip: rate(6_000, 1_000), wallet: none, process: none },
        }
    }
}

/// The buckets of a node.
pub struct Limits {
    options: Options,
    write: Buckets,
    evaluate: Buckets,
    read: Buckets,
}

/// Tells how long it is since some moment.
type Now = Arc<dyn Fn() -> Duration + Send + Sync>;

impl Limits {
    /// Full buckets. None if nothing is limited.
    pub fn new(options: Options) -> Option<Arc<Limits>> {
        let clock = MonotonicClock;
        let start = clock.now();
        Limits::at(options, Arc::new(move || clock.now().duration_since(start)))
    }

    /// The same by another clock.
    pub fn at(options: Options, now: Now) -> Option<Arc<Limits>> {
        let clock = Ticks(now);
        let buckets = |name, class| Buckets::new(name, class, options.keys_max, &clock);
        let limits = || Limits {
            write: buckets("write", &options.write),
            evaluate: buckets("evaluate", &options.evaluate),
            read: buckets("read", &options.read),
            options: options.clone(),
        };
        options.enabled.then(|| Arc::new(limits()))
    }

    fn of(&self, what: What) -> &Buckets {
        match what {
            What::Write => &self.write,
            What::Evaluate => &self.evaluate,
            What::Read => &self.read,
        }
    }

    /// Who asks, if whoever it is is limited.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let mut peer = peer.to_canonical();
        if self.options.proxy && peer.is_loopback() {
            let said = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
            let last = said.and_then(|list| list.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
            peer = last.map_or(peer, |ip| ip.to_canonical());
        }
        let is_free = (peer.is_loopback() && !self.options.loopback) || self.options.exempt.contains(&peer);
        (!is_free).then_some(peer)
    }
}

/// A class of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Write,
    Evaluate,
    Read,
}

impl What {
    /// What a request does at the unit `part`. None for what watches over the node.
    fn of(part: &str, method: &Method, path: &str) -> Option<What> {
        const WATCHING: [&str; 4] = ["/health", "/healthz", "/readyz", "/metrics"];
        const EVALUATING: [&str; 5] = ["/result/", "/results/", "/cron/", "/dry-run", "/state/"];
        if WATCHING.contains(&path) {
            return None;
        }
        // Reads of a process are dry runs, on every part; attestations evaluate what they attest.
        if path.starts_with("/api/v1/processes/") {
            return Some(What::Evaluate);
        }
        if part == "cu" {
            let evaluates = EVALUATING.iter().any(|start| path.starts_with(start));
            return Some(if evaluates { What::Evaluate } else { What::Read });
        }
        let reads = method == Method::GET || method == Method::HEAD || path == "/graphql";
        Some(if reads { What::Read } else { What::Write })
    }
}

/// The process that a request names; of a scheduler's reads, whatever it names first.
fn named(part: &str, uri: &Uri) -> Option<Id> {
    let query = uri.query().unwrap_or_default().split('&');
    let asked = query.filter_map(|pair| pair.strip_prefix("process-id=")).find_map(|id| id.parse().ok());
    let is_unit = matches!(part, "mu" | "su" | "cu");
    asked.or_else(|| is_unit.then(|| uri.path().split('/').find_map(|part| part.parse().ok())).flatten())
}

/// What the layer needs to know.
#[derive(Clone)]
pub(super) struct Gate {
    pub limits: Arc<Limits>,
    pub part: &'static str,
}

/// Lets a request through if its client, its process and everybody together have asked for less than they may.
pub(super) async fn limit(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let Some(what) = What::of(gate.part, request.method(), request.uri().path()) else {
        return next.run(request).await;
    };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let Some(ip) = peer.and_then(|peer| gate.limits.client(peer, request.headers())) else {
        return next.run(request).await;
    };
    let buckets = gate.limits.of(what);
    let process = named(gate.part, request.uri());
    let left = match buckets.let_in(ip, process) {
        Ok(left) => left,
        Err(failure) => return failure.into_response(),
    };
    request.extensions_mut().insert(Guest(Some((gate.limits, process))));
    let mut response = next.run(request).await;
    if let Some(left) = left.filter(|_| !response.headers().contains_key("ratelimit-limit")) {
        left.write(response.headers_mut());
    }
    response
}

/// Whoever sent a request, as far as there are limits for him, and the process that his request counts for already.
#[derive(Clone, Default)]
pub(super) struct Guest(Option<(Arc<Limits>, Option<Id>)>);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Guest {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Guest, std::convert::Infallible> {
        Ok(parts.extensions.get::<Guest>().cloned().unwrap_or_default())
    }
}

impl Guest {
    /// Counts an item for its signer and for the process it is for.
    pub async fn check_item(&self, item: &DataItem) -> Result<(), Failure> {
        let Some((limits, counted)) = &self.0 else { return Ok(()) };
        if limits.write.wallet.limiter.is_some() {
            // Nobody empties another's bucket: what is forged is refused by whoever gets it, and counts for nobody.
            // The item remembers that it was verified.
            let signed = item.clone();
            let verified = tokio::task::spawn_blocking(move || signed.verify().is_ok()).await;
            if matches!(verified, Ok(true)) {
                limits.write.wallet.take(item.address())?;
            }
        }
        match item.target.filter(|target| Some(*target) != *counted) {
            Some(target) => limits.write.process.take(target).map(|_| ()),
            None => Ok(()),
        }
    }
}

/// The buckets of a class.
struct Buckets {
    all: Bucket<()>,
    ip: Bucket<IpAddr>,
    wallet: Bucket<Address>,
    process: Bucket<Id>,
}

impl Buckets {
    fn new(name: &'static str, class: &Class, keys_max: usize, clock: &Ticks) -> Buckets {
        Buckets {
            all: Bucket::new(name, "all", class.all, keys_max, clock),
            ip: Bucket::new(name, "ip", class.ip, keys_max, clock),
            wallet: Bucket::new(name, "wallet", class.wallet, keys_max, clock),
            process: Bucket::new(name, "process", class.process, keys_max, clock),
        }
    }

    /// What the client has left, if it is limited. Its own bucket comes first: what it is refused takes nothing from
    /// the others.
    fn let_in(&self, ip: IpAddr, process: Option<Id>) -> Result<Option<Left>, Failure> {
        let ip = match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        };
        let left = self.ip.take(ip)?;
        if let Some(process) = process {
            self.process.take(process)?;
        }
        self.all.take(())?;
        Ok(left)
    }
}

type Limiter<K> = RateLimiter<Key<K>, DefaultKeyedStateStore<Key<K>>, Ticks, StateInformationMiddleware>;

/// Buckets for each of one kind.
struct Bucket<K: Hash + Eq + Clone> {
    class: &'static str,
    kind: &'static str,
    rate: Rate,
    keys_max: usize,
    clock: Ticks,
    /// Nanoseconds when full buckets were last forgotten.
    swept: AtomicU64,
    limiter: Option<Limiter<K>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key<K> {
    Own(K),
    /// One of [`SHARED`] that newcomers share when there are too many.
    Shared(u64),
}

/// Buckets that newcomers share when there are too many.
const SHARED: u64 = 1024;
/// Nanoseconds between two times that full buckets are forgotten, and where there is no room for more.
const SWEEP: (u64, u64) = (60_000_000_000, 1_000_000_000);

impl<K: Hash + Eq + Clone + std::fmt::Debug> Bucket<K> {
    fn new(class: &'static str, kind: &'static str, rate: Rate, keys_max: usize, clock: &Ticks) -> Bucket<K> {
        let limiter = NonZeroU32::new(rate.per_minute).map(|per_minute| {
            let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
            let quota = Quota::per_minute(per_minute).allow_burst(burst);
            RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock.clone())
        });
        Bucket { class, kind, rate, keys_max, clock: clock.clone(), swept: AtomicU64::new(0), limiter }
    }

    /// Takes one from a bucket. None if there is no limit.
    fn take(&self, key: K) -> Result<Option<Left>, Failure> {
        let Some(limiter) = &self.limiter else { return Ok(None) };
        let key = if self.has_room(limiter) {
            Key::Own(key)
        } else {
            let mut hasher = DefaultHasher::new();
            key.hash(&mut hasher);
            Key::Shared(hasher.finish() % SHARED)
        };
        let left = |remaining: u32| {
            let missing = u64::from(self.rate.burst.max(1) - remaining.min(self.rate.burst.max(1)));
            let reset = (missing * 60).div_ceil(u64::from(self.rate.per_minute));
            Left { limit: self.rate.burst.max(1).into(), remaining: remaining.into(), reset }
        };
        match limiter.check_key(&key) {
            Ok(snapshot) => Ok(Some(left(snapshot.remaining_burst_capacity()))),
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.clock.now());
                let error = self.refusal(wait);
                Err(Failure::limited(error, left(0)))
            }
        }
    }

    fn refusal(&self, wait: Duration) -> Error {
        let Bucket { class, kind, rate: Rate { per_minute, burst }, .. } = self;
        let of = match *kind {
            "all" => "all clients together".to_owned(),
            "ip" => "this address".to_owned(),
            kind => format!("this {kind}"),
        };
        let what = format!(
            "too many requests: the limit {class}.{kind} allows {of} {per_minute} a minute and {burst} at once"
        );
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        Error::new(Kind::Busy { retry_after: Duration::from_secs(seconds as u64) }, what)
            .with_hint(format!("try again in {seconds} s; whoever runs the node sets limits.{class}.{kind}"))
    }

    /// Whether one more may have a bucket of its own. Full buckets are forgotten now and then: they are as new ones.
    fn has_room(&self, limiter: &Limiter<K>) -> bool {
        let is_full = || limiter.len() >= self.keys_max;
        let (now, swept) = (self.clock.now().as_u64(), self.swept.load(Ordering::Relaxed));
        let pause = if is_full() { SWEEP.1 } else { SWEEP.0 };
        if now.saturating_sub(swept) >= pause
            && self.swept.compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            limiter.retain_recent();
        }
        !is_full()
    }
}

/// A clock for the buckets.
#[derive(Clone)]
struct Ticks(Now);

impl Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from((self.0)())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: &str = "9epRWwTFujbn9uIvJvmGfiltbzdsz_Vta_9vWiudyQI";

    /// What a request is and which process it is counted for.
    #[track_caller]
    fn check(part: &str, request: &str, what: Option<What>, process: Option<&str>) {
        let (method, uri) = request.split_once(' ').unwrap();
        let (method, uri) = (method.parse().unwrap(), uri.replace("P", P).parse::<Uri>().unwrap());
        assert_eq!(What::of(part, &method, uri.path()), what, "{part} {request}");
        assert_eq!(named(part, &uri).map(|id| id.to_string()).as_deref(), process, "{part} {request}");
    }

    #[test]
    fn routes_are_counted_for_what_they_do() {
        check("su", "POST /", Some(What::Write), None);
        check("su", "GET /P", Some(What::Read), Some(P));
        check("mu", "DELETE /monitor/P", Some(What::Write), Some(P));
        check("mu", "POST /?process-id=P&assign=x", Some(What::Write), Some(P));
        check("cu", "GET /result/x?process-id=P", Some(What::Evaluate), Some(P));
        check("cu", "POST /dry-run?process-id=P", Some(What::Evaluate), Some(P));
        check("cu", "GET /api/v1/processes/P/attestations/x?state", Some(What::Evaluate), Some(P));
        check("cu", "GET /api/v1/processes/P/history", Some(What::Evaluate), Some(P));
        check("gateway", "GET /api/v1/processes/P/state/Balances", Some(What::Evaluate), None);
        check("cu", "GET /", Some(What::Read), None);
        check("cu", "GET /readyz", None, None);
        check("gateway", "POST /graphql", Some(What::Read), None);
        check("bundler", "POST /tx", Some(What::Write), None);
    }

    /// Limits of two requests for each address, and a clock that stands.
    fn limits(keys_max: usize) -> Arc<Limits> {
        let mut options = Options { keys_max, ..Options::default() };
        options.read.ip = Rate { per_minute: 60, burst: 2 };
        Limits::at(options, Arc::new(|| Duration::from_secs(100))).unwrap()
    }

    #[test]
    fn a_network_of_64_bits_is_one_client_and_an_address_of_four_bytes_another() {
        let limits = limits(100);
        let ask = |ip: &str| limits.read.let_in(ip.parse().unwrap(), None).is_ok();
        assert_eq!([ask("2001:db8::1"), ask("2001:db8::2"), ask("2001:db8::3")], [true, true, false]);
        assert!(ask("2001:db8:0:1::1") && ask("192.0.2.1") && ask("192.0.2.2"));
    }

    #[test]
    fn beyond_the_bound_newcomers_share_buckets() {
        let limits = limits(10);
        for n in 0..100_000_u32 {
            let _ = limits.read.let_in(IpAddr::V4(n.into()), None);
        }
        let kept = limits.read.ip.limiter.as_ref().unwrap().len();
        assert!(kept <= 10 + SHARED as usize, "{kept}");
    }

    #[test]
    fn whoever_is_on_this_computer_is_free_unless_a_proxy_is() {
        let client = |options: Options, forwarded: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
            let limits = Limits::new(options).unwrap();
            limits.client("::ffff:127.0.0.1".parse().unwrap(), &headers).map(|ip| ip.to_string())
        };
        assert_eq!(client(Options::default(), "192.0.2.1"), None, "anybody can say that");
        let proxy = Options { proxy: true, ..Options::default() };
        assert_eq!(client(proxy.clone(), "198.51.100.7, 192.0.2.1").as_deref(), Some("192.0.2.1"));
        let exempt = Options { exempt: vec!["192.0.2.1".parse().unwrap()], ..proxy };
        assert_eq!(client(exempt, "192.0.2.1"), None);
        let all = Options { loopback: true, ..Options::default() };
        assert_eq!(client(all, "").as_deref(), Some("127.0.0.1"));
        assert!(Limits::new(Options { enabled: false, ..Options::default() }).is_none());
    }
}
