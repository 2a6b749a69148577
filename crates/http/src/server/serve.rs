//! A listening socket and what answers on it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tower::ServiceExt as _;
use unit::{Code, Error, Kind};

use super::watched::{Activity, Answering, Watched};
use super::{Context, Options};
use crate::wire::error::{CODE, Refusal};

/// A server that is running. Dropped, it accepts no more and lets what is being answered finish.
#[derive(Debug)]
pub struct Serving {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

/// Answers what comes in at `listener`, until it is stopped. How many connections there are at once, and how long each
/// may take for what, is in the `options` of `context`.
pub fn serve(listener: TcpListener, router: Router, context: &Context) -> Serving {
    let (stop, stopped) = watch::channel(false);
    let server = Arc::new(Server {
        router,
        options: context.options.clone(),
        open: Mutex::default(),
        refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
    });
    Serving { task: tokio::spawn(server.accept(listener, stopped)), stop }
}

impl Serving {
    /// Accepts no more, and leaves what is being answered to itself.
    pub fn close(self) {
        let _ = self.stop.send(true);
    }

    /// Accepts no more, lets what is being answered finish for at most `within`, then cuts.
    pub async fn stop(self, within: Duration) {
        let _ = self.stop.send(true);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(within, self.task).await.is_err() {
            // The connections are the task's and end with it.
            abort.abort();
        }
    }
}

/// Connections beyond the bound that are told so at the same time; more are closed without a word.
const REFUSALS_MAX: usize = 64;
/// How long a connection that is refused has to read why.
const REFUSAL_WITHIN: Duration = Duration::from_secs(1);
/// How long to wait when the operating system has no more sockets.
const NO_SOCKETS_PAUSE: Duration = Duration::from_millis(100);

struct Server {
    router: Router,
    options: Options,
    /// Open connections by address.
    open: Mutex<BTreeMap<IpAddr, usize>>,
    refusals: Arc<Semaphore>,
}

impl Server {
    async fn accept(self: Arc<Self>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        loop {
            // The sender gone means the same as its word.
            let accepted = tokio::select! {
                biased;
                _ = stopped.changed() => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Answers are small and complete: waiting for more to send only delays them.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "could not set TCP_NODELAY");
                    }
                    match self.admit(peer.ip()) {
                        Ok(open) => {
                            connections.spawn(Arc::clone(&self).connection(
                                stream,
                                peer,
                                open,
                                stopped.clone(),
                            ));
                        }
                        Err(error) => self.refuse(stream, error),
                    }
                }
                // Whoever connected is gone again.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "could not accept connections, will try again");
                    tokio::time::sleep(NO_SOCKETS_PAUSE).await;
                }
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    /// A place for one more connection.
    fn admit(self: &Arc<Self>, ip: IpAddr) -> Result<Open, Error> {
        let ip = ip.to_canonical();
        let mut open = self.open();
        let all: usize = open.values().sum();
        let of_ip = open.get(&ip).copied().unwrap_or_default();
        let Options { connections_max, connections_per_address_max, .. } = self.options;
        let reached = if all >= connections_max {
            Some(("http.connections_max", connections_max))
        } else if !ip.is_loopback() && of_ip >= connections_per_address_max {
            Some(("http.connections_per_address_max", connections_per_address_max))
        } else {
            None
        };
        if let Some((name, max)) = reached {
            let retry_after = Duration::from_secs(1);
            let error =
                Error::new(Kind::Busy { retry_after }, format!("too many connections: {max} are open"));
            return Err(error.with_hint(format!(
                "close idle connections, or try again in 1 s; whoever runs the node sets {name}"
            )));
        }
        open.insert(ip, of_ip + 1);
        Ok(Open { server: Arc::clone(self), ip })
    }

    fn open(&self) -> std::sync::MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells one connection too many why it is closed.
    fn refuse(&self, mut stream: TcpStream, error: Error) {
        tracing::warn!(%error, "a connection is refused");
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        let body = serde_json::to_string(&Refusal::from(&error)).unwrap_or_default();
        let head = format!(
            "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 1\r\n{CODE}: {}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            Code::BUSY,
            body.len()
        );
        tokio::spawn(async move {
            let _permit = permit;
            let told = async {
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(body.as_bytes()).await?;
                stream.shutdown().await?;
                // A socket that is closed with something unread takes back what was written.
                let mut unread = [0; 4096];
                while stream.read(&mut unread).await? > 0 {}
                std::io::Result::Ok(())
            };
            let _ = tokio::time::timeout(REFUSAL_WITHIN, told).await;
        });
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        open: Open,
        mut stopped: watch::Receiver<bool>,
    ) {
        let _open = open;
        let activity = Arc::new(Activity::new());
        let router = self.router.clone();
        let answers = Arc::clone(&activity);
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let answering = Answering::begin(&answers);
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let router = router.clone();
            async move {
                let response = router.oneshot(request).await;
                response.map(|response| answering.until_sent(response))
            }
        });
        let mut connection = std::pin::pin!(
            hyper::server::conn::http1::Builder::new()
                .half_close(false)
                .serve_connection(TokioIo::new(Watched::new(stream, Arc::clone(&activity))), service)
        );
        let mut stopping = std::pin::pin!(async move { drop(stopped.changed().await) }.fuse());
        let mut look =
            std::pin::pin!(tokio::time::sleep_until(activity.next_look(&self.options, Instant::now())));
        loop {
            tokio::select! {
                biased;
                done = connection.as_mut() => {
                    if let Err(error) = done {
                        tracing::debug!(%error, %peer, "a connection ended early");
                    }
                    return;
                }
                () = &mut stopping => connection.as_mut().graceful_shutdown(),
                () = &mut look => if let Some(overdue) = activity.overdue(&self.options, Instant::now()) {
                    tracing::debug!(%peer, why = overdue.why(), "a connection is cut");
                    return;
                },
            }
            look.as_mut().reset(activity.next_look(&self.options, Instant::now()));
        }
    }
}

/// A place among the open connections.
struct Open {
    server: Arc<Server>,
    ip: IpAddr,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.server.open();
        match open.get_mut(&self.ip) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&self.ip);
            }
        }
    }
}

/// Whether it is only the connection to be accepted that failed.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
