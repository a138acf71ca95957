//! The pages of the admin listener that are about change: how it stands, what a reload would
//! change, and the reload itself.
//!
//! This file decides paths, statuses and how long is waited. It must not know how reloads are made.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Admin;
use super::page::Pages;
use crate::edge::hub::Hub;
use crate::edge::reload::{Cause, Outcome, Report, Task, Unasked};
use crate::edge::standing::Now;
use crate::edge::unix_now;

/// How long who asked is left waiting. The reload itself goes on.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// `/reload` and `/diff`.
pub(super) fn router() -> Router<Admin> {
    Router::new().route("/reload", get(show).post(reload)).route("/diff", get(plan))
}

/// How it stands to its files.
async fn show(State(Admin { hub, pages }): State<Admin>) -> Response {
    pages.make(move || standing(&hub)).await
}

fn standing(hub: &Hub) -> Json<Value> {
    let Now { good_at, aside, waiting, papers } = &*hub.standing.now();
    let now = unix_now();
    let certificates: Vec<_> = papers
        .ending_first()
        .into_iter()
        .map(|(paper, end)| {
            json!({
                "file": paper.file.display().to_string(),
                "role": paper.role,
                "serial": paper.serial,
                "until": paper.end(),
                "seconds_left": end.saturating_sub(now),
            })
        })
        .collect();
    Json(json!({
        "config": hub.reloader.get().map(|reloader| reloader.config.display().to_string()),
        "generation": hub.standing.generation(),
        "good_for_seconds": now.saturating_sub(*good_at),
        "reloads": hub.standing.reloads(),
        "set_aside": aside,
        "needs_new_process": waiting,
        "certificates": certificates,
    }))
}

async fn reload(State(Admin { hub, pages }): State<Admin>) -> Response {
    ask(&hub, &pages, Task::Reload).await
}

async fn plan(State(Admin { hub, pages }): State<Admin>) -> Response {
    ask(&hub, &pages, Task::Plan).await
}

async fn ask(hub: &Hub, pages: &Pages, task: Task) -> Response {
    let refuse = |status: StatusCode, text: &'static str| (status, text).into_response();
    let Some(reloader) = hub.reloader.get() else {
        return refuse(StatusCode::CONFLICT, "this gateway's table is in no file\n");
    };
    let busy = "too many reloads are waiting\n";
    let Some(_place) = pages.reload() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, busy);
    };
    let answer = match reloader.ask(task, Cause::Admin) {
        Ok(answer) => answer,
        Err(Unasked::Busy) => return refuse(StatusCode::SERVICE_UNAVAILABLE, busy),
        Err(Unasked::Leaving) => {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "the gateway is leaving\n");
        }
    };
    match timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Ok(report)) => answer_of(&report),
        Ok(Err(_)) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the gateway is leaving\n"),
        Err(_) => refuse(StatusCode::GATEWAY_TIMEOUT, "the reload is still under way\n"),
    }
}

/// 422 for what is broken as a whole; a bank that was set aside is told in a good answer.
fn answer_of(report: &Report) -> Response {
    let status = match report.outcome {
        Outcome::Applied | Outcome::Partial | Outcome::Unchanged => StatusCode::OK,
        Outcome::Refused => StatusCode::UNPROCESSABLE_ENTITY,
    };
    (status, Json(report)).into_response()
}
