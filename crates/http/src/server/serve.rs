//! A listening socket and what answers on it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that is running.
#[derive(Debug)]
pub struct Serving {
    task: JoinHandle<std::io::Result<()>>,
    stop: oneshot::Sender<()>,
}

/// Answers what comes in at `listener`, until it is stopped.
pub fn serve(listener: TcpListener, router: Router) -> Serving {
    let (stop, stopped) = oneshot::channel();
    // Answers are small and complete: waiting for more to send only delays them.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY");
        }
    });
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        // The sender gone means the same.
        let _ = stopped.await;
    });
    Serving { task: tokio::spawn(server.into_future()), stop }
}

impl Serving {
    /// Accepts no more, lets what is being answered finish for at most `within`, then cuts.
    pub async fn stop(self, within: Duration) {
        let _ = self.stop.send(());
        let abort = self.task.abort_handle();
        if tokio::time::timeout(within, self.task).await.is_err() {
            abort.abort();
        }
    }
}
