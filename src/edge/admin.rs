//! The admin listener: health, readiness, metrics and the state of the banks, for the operator.
//!
//! It runs on a thread of its own, so that a scrape never waits for a worker nor a worker for it.
//! This file decides which pages there are, and that the probes (`/livez`, `/readyz`) wait for none
//! of them: a page is made on another thread, a few at a time. It must not be reachable from where
//! clients are; the table refuses a public address.

mod access;
mod banks;
mod change;
mod condition;
mod page;
mod server;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use self::page::{Pages, THREADS_MAX};
use super::hub::{Hub, Stage};
use super::metrics;
use super::supervised::Supervised;

/// How long requests under way may take when the listener stops.
const PARTING: Duration = Duration::from_secs(1);

/// The listener's thread.
#[derive(Debug)]
pub(super) struct AdminThread {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl AdminThread {
    /// Stops it.
    pub(super) fn stop(self) {
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the admin thread panicked");
        }
    }
}

/// What the pages are made from.
#[derive(Debug, Clone)]
struct Admin {
    hub: Arc<Hub>,
    pages: Pages,
}

/// Starts it.
///
/// # Errors
/// The thread or its runtime can't be made.
pub(super) fn spawn(hub: Arc<Hub>, listener: TcpListener) -> io::Result<AdminThread> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS_MAX)
        .build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        // Without it nobody hears whether the process is well, nor can change its table.
        let supervised = Supervised::new(hub.clone(), "admin listener", None);
        let served = LocalSet::new().block_on(&runtime, async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let router = router(Admin { hub: hub.clone(), pages: Pages::default() });
            server::serve(hub, router, listener, stopped).await;
            io::Result::Ok(())
        });
        match served {
            Ok(()) => supervised.end(),
            Err(error) => tracing::error!(%error, "the admin listener failed"),
        }
        // A page that is still being made is not waited for.
        runtime.shutdown_background();
    })?;
    Ok(AdminThread { stop, thread })
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .route("/banks", get(list_banks))
        .route("/banks/{id}", get(show_bank))
        .merge(change::router())
        .with_state(admin)
}

/// Ready is: loaded, listening, not leaving. No single bank can make it unready.
async fn readyz(State(Admin { hub, .. }): State<Admin>) -> Response {
    match hub.stage() {
        Stage::Serving => (StatusCode::OK, "ready\n").into_response(),
        Stage::Unready | Stage::Leaving | Stage::Refusing | Stage::Over => {
            (StatusCode::SERVICE_UNAVAILABLE, "leaving\n").into_response()
        }
    }
}

async fn show_metrics(State(Admin { hub, pages }): State<Admin>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let made = pages.make(move || ([(header::CONTENT_TYPE, kind)], metrics::render(&hub)));
    made.await
}

async fn list_banks(
    State(Admin { hub, pages }): State<Admin>,
    RawQuery(query): RawQuery,
) -> Response {
    match banks::Asked::parse(query.as_deref().unwrap_or_default()) {
        Ok(asked) => pages.make(move || banks::list(&hub, &asked)).await,
        Err(wrong) => (StatusCode::BAD_REQUEST, wrong).into_response(),
    }
}

async fn show_bank(State(Admin { hub, pages }): State<Admin>, Path(id): Path<String>) -> Response {
    pages.make(move || banks::show(&hub, &id)).await
}
