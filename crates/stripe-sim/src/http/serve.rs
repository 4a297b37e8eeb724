//! Real sockets, so that a dropped answer is a closed connection; or none, for tests that decide what happens when.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::Sim;
use super::faults::Dropped;

impl Sim {
    /// Answers on `listener` until `stop`, then lets the answers under way finish.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, _)) => {
                    connections.spawn(converse(socket, self.router(), stop.clone()));
                }
                Err(error) => {
                    tracing::debug!(%error, "could not accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
        connections.close();
        connections.wait().await;
    }
}

/// A simulator that is called instead of connected to. Clones share everything.
#[derive(Debug, Clone)]
pub struct InProcess(Router);

impl Sim {
    /// The same simulator, without a socket.
    #[must_use]
    pub fn in_process(&self) -> InProcess {
        InProcess(self.router())
    }
}

impl InProcess {
    /// The answer to one request, whole.
    ///
    /// # Errors
    /// Where a connection would have broken off.
    pub async fn answer(&self, request: http::Request<()>) -> Result<http::Response<Bytes>, axum::Error> {
        let answer = match self.0.clone().oneshot(request.map(|()| Body::empty())).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let (parts, body) = answer.into_parts();
        Ok(http::Response::from_parts(parts, to_bytes(body, usize::MAX).await?))
    }
}

async fn converse(socket: TcpStream, router: Router, stop: CancellationToken) {
    // Small answers should leave at once; a socket that refuses is only slower.
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move {
            let response = router.oneshot(request.map(Body::new)).await?;
            if response.extensions().get::<Dropped>().is_some() {
                return Err(Closed::OnPurpose);
            }
            Ok(response)
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("the fault script closed the connection")]
    OnPurpose,
    #[error(transparent)]
    Never(#[from] std::convert::Infallible),
}
