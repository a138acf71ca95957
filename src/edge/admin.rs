//! The admin listener: health, readiness, metrics and the state of the banks, for the operator.
//!
//! It runs on a thread of its own, so that a scrape never waits for a worker nor a worker for it.
//! It must not be reachable from where clients are; the table refuses a public address.

mod change;
mod condition;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::hub::{Hub, Stage};
use super::reload::Aside;
use super::{metrics, now};
use crate::breaker::Position;
use crate::snapshot::Route;

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

/// Starts it.
///
/// # Errors
/// The thread or its runtime can't be made.
pub(super) fn spawn(hub: Arc<Hub>, listener: TcpListener) -> io::Result<AdminThread> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let (told, mut telling) = oneshot::channel::<()>();
            let served = axum::serve(listener, router(hub)).with_graceful_shutdown(async move {
                let _ = stopped.await;
                drop(told);
            });
            // What is under way is answered, but not for ever.
            let late = async {
                let _ = (&mut telling).await;
                tokio::time::sleep(PARTING).await;
            };
            tokio::select! {
                served = async { served.await } => served,
                () = late => Ok(()),
            }
        });
        if let Err(error) = served {
            tracing::error!(%error, "the admin listener failed");
        }
    })?;
    Ok(AdminThread { stop, thread })
}

fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .route("/banks", get(list_banks))
        .route("/banks/{id}", get(show_bank))
        .merge(change::router())
        .with_state(hub)
}

/// Ready is: loaded, listening, not leaving. No single bank can make it unready.
async fn readyz(State(hub): State<Arc<Hub>>) -> Response {
    match hub.stage() {
        Stage::Serving => (StatusCode::OK, "ready\n").into_response(),
        Stage::Unready | Stage::Leaving | Stage::Refusing | Stage::Over => {
            (StatusCode::SERVICE_UNAVAILABLE, "leaving\n").into_response()
        }
    }
}

async fn show_metrics(State(hub): State<Arc<Hub>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics::render(&hub)).into_response()
}

async fn list_banks(State(hub): State<Arc<Hub>>) -> Json<Value> {
    let snapshot = hub.snapshot.load();
    let mut routes: Vec<_> = snapshot.routes().collect();
    routes.sort_by(|one, other| one.target.id.cmp(&other.target.id));
    let aside = &hub.standing.now().aside;
    Json(Value::Array(routes.into_iter().map(|route| describe(route, aside)).collect()))
}

async fn show_bank(State(hub): State<Arc<Hub>>, Path(id): Path<String>) -> Response {
    match hub.snapshot.load().route(&id) {
        Some(route) => Json(describe(route, &hub.standing.now().aside)).into_response(),
        None => (StatusCode::NOT_FOUND, "no such target\n").into_response(),
    }
}

/// A bank as the operator sees it. Header values and keys are not in it.
fn describe(route: &Route, aside: &[Aside]) -> Value {
    let target = &route.target;
    let is_of = |aside: &&Aside| aside.targets.iter().any(|id| *id == target.id.as_str());
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let capabilities: serde_json::Map<_, _> = target
        .capabilities()
        .into_iter()
        .map(|(name, served)| (name.to_owned(), json!(served)))
        .collect();
    let upstream: Vec<_> = target.upstream.iter().map(ToString::to_string).collect();
    let mut described = json!({
        "id": target.id.as_str(),
        "name": target.name.as_deref(),
        "dialect": target.dialect.as_str(),
        "status": target.status.as_str(),
        // Why it is served by an older entry, or with older certificates, than its files have.
        "quarantined": aside.iter().find(is_of).map(|aside| &aside.problems),
        "upstream": upstream,
        "capabilities": capabilities,
        "breaker": position_name(route.breaker.position(now())),
        "in_flight": route.places.taken(),
        "concurrency": target.concurrency.get(),
        "calls": load(&route.tally.calls),
        "client_errors": load(&route.tally.client_errors),
        "provider_errors": load(&route.tally.provider_errors),
        "platform_errors": load(&route.tally.platform_errors),
    });
    condition::add(route, &mut described);
    described
}

pub(super) const fn position_name(position: Position) -> &'static str {
    match position {
        Position::Closed => "closed",
        Position::Open => "open",
        Position::HalfOpen => "half_open",
    }
}
