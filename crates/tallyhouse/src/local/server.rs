//! The server's end.

use std::{convert::Infallible, fs::Permissions, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use anyhow::Context;
use axum::{
    Json, Router,
    body::Body,
    extract::{self, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::stream::{self, Stream};
use http::{StatusCode, header};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use warehouse::DuckDb;

use super::{Ask, Told};
use crate::{
    commands::answer,
    updates::{Running, Updates},
};

/// What commands may ask.
#[derive(Clone)]
struct Shared {
    updates: Updates,
    warehouse: Arc<DuckDb>,
}

/// The socket of a server that is starting. Who asks before it serves waits.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listener: UnixListener,
}

impl Socket {
    /// Makes the socket at `path`, for whoever has the warehouse open: one that is there is a dead server's.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(path: PathBuf) -> anyhow::Result<Self> {
        let _none = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path)
            .with_context(|| format!("could not make the socket {}", path.display()))?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))
            .context("could not make the socket private")?;
        Ok(Self { path, listener })
    }
}

/// Answers on the socket until `stop`.
///
/// # Errors
/// When the socket fails.
pub async fn serve(
    socket: Socket,
    updates: Updates,
    warehouse: Arc<DuckDb>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Socket { path, listener } = socket;
    let shared = Shared { updates, warehouse };
    let router = Router::new()
        .route("/query", post(query))
        .route("/status/{connection}", get(status))
        .route("/update/{connection}", post(update))
        .with_state(shared);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    let _gone = std::fs::remove_file(path);
    served.context("the socket failed")
}

async fn query(State(shared): State<Shared>, Json(ask): Json<Ask>) -> Result<Response, Failed> {
    // A query of one command must not wait for another's.
    let reader = shared.warehouse.reader().map_err(anyhow::Error::from)?;
    let answer = answer(&reader, &ask).await?;
    Ok(Json(answer).into_response())
}

async fn status(
    State(shared): State<Shared>,
    extract::Path(connection): extract::Path<String>,
) -> Result<Response, Failed> {
    Ok(Json(shared.updates.standings(&connection).await?).into_response())
}

async fn update(
    State(shared): State<Shared>,
    extract::Path(connection): extract::Path<String>,
) -> Result<Response, Failed> {
    let running = shared.updates.begin(&connection, true).await.map_err(anyhow::Error::from)?;
    let kind = (header::CONTENT_TYPE, "application/x-ndjson");
    Ok(([kind], Body::from_stream(lines(running))).into_response())
}

/// A line now, one for each change, and one for the end.
fn lines(running: Running) -> impl Stream<Item = Result<String, Infallible>> {
    stream::unfold(Some(running), |running| async move {
        let mut running = running?;
        let mut progress = running.progress.clone();
        let told = tokio::select! {
            summary = running.ended() => Told::Ended(Arc::unwrap_or_clone(summary)),
            changed = progress.changed() => match changed {
                Ok(()) => Told::Progress(progress.borrow_and_update().clone()),
                Err(_) => Told::Ended(Arc::unwrap_or_clone(running.ended().await)),
            },
        };
        running.progress = progress;
        let next = matches!(told, Told::Progress(_)).then_some(running);
        let line = serde_json::to_string(&told).unwrap_or_default() + "\n";
        Some((Ok(line), next))
    })
}

/// What a command did not get, in a sentence.
struct Failed(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::UNPROCESSABLE_ENTITY, format!("{:#}", self.0)).into_response()
    }
}
