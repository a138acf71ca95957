//! The banks as the operator sees them, one or a page of them.
//!
//! This file decides what is shown of a bank, and that a page has a limit: a table may hold a
//! hundred thousand. Header values and keys are not shown. It must not know how a page is sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::condition;
use crate::breaker::Position;
use crate::edge::hub::Hub;
use crate::edge::now;
use crate::edge::reload::Aside;
use crate::ids::check_party_id;
use crate::snapshot::Route;

/// Most banks on a page, and how many there are when nothing is said.
const LIMIT_MAX: usize = 1_000;
const WRONG: &str = "`/banks` takes `after`, a target's id, and `limit`, 1 to 1000\n";

/// Which page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The id that the page begins behind.
    after: String,
    limit: usize,
}

impl Asked {
    /// Reads a query. Ids have no character that would be encoded.
    ///
    /// # Errors
    /// A sentence that says what is right.
    pub(super) fn parse(query: &str) -> Result<Self, &'static str> {
        let mut asked = Self { after: String::new(), limit: LIMIT_MAX };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("after", id)) => id.clone_into(&mut asked.after),
                Some(("limit", limit)) => {
                    let limit = limit.parse().ok();
                    let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
                    asked.limit = limit.ok_or(WRONG)?;
                }
                _ => return Err(WRONG),
            }
        }
        if !asked.after.is_empty() && check_party_id(&asked.after).is_err() {
            return Err(WRONG);
        }
        Ok(asked)
    }
}

/// A page, with a link to the next one where there is one (RFC 8288).
pub(super) fn list(hub: &Hub, asked: &Asked) -> Response {
    let snapshot = hub.snapshot.load();
    let standing = hub.standing.now();
    let is_later = |route: &&Arc<Route>| route.target.id.as_str() > asked.after.as_str();
    let (routes, more) = first(snapshot.routes().filter(is_later).collect(), asked.limit);
    let aside: HashMap<&str, &Aside> = standing
        .aside
        .iter()
        .rev()
        .flat_map(|aside| aside.targets.iter().map(move |id| (id.as_str(), aside)))
        .collect();
    // One after another: as values they take ten times the room of their text.
    let mut text = String::from("[");
    for (number, route) in routes.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        let aside = aside.get(route.target.id.as_str()).copied();
        text.push_str(&describe(route, aside).to_string());
    }
    text.push(']');
    let mut response = ([(header::CONTENT_TYPE, "application/json")], text).into_response();
    let last = routes.last().filter(|_| more);
    let link = last.map(|last| {
        let (after, limit) = (last.target.id.as_str(), asked.limit);
        HeaderValue::try_from(format!("</banks?after={after}&limit={limit}>; rel=\"next\""))
    });
    if let Some(Ok(link)) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// The first ones by their id, in order, and whether there are more. Not all are sorted for it.
fn first(mut routes: Vec<&Arc<Route>>, limit: usize) -> (Vec<&Arc<Route>>, bool) {
    let by_id = |one: &&Arc<Route>, other: &&Arc<Route>| one.target.id.cmp(&other.target.id);
    let more = routes.len() > limit;
    if more {
        routes.select_nth_unstable_by(limit, by_id);
        routes.truncate(limit);
    }
    routes.sort_unstable_by(by_id);
    (routes, more)
}

/// One bank.
pub(super) fn show(hub: &Hub, id: &str) -> Response {
    let standing = hub.standing.now();
    let is_of = |aside: &&Aside| aside.targets.iter().any(|target| *target == id);
    match hub.snapshot.load().route(id) {
        Some(route) => Json(describe(route, standing.aside.iter().find(is_of))).into_response(),
        None => (StatusCode::NOT_FOUND, "no such target\n").into_response(),
    }
}

/// A bank as the operator sees it. `aside` is why it is served by an older entry, or with older
/// certificates, than its files have.
fn describe(route: &Route, aside: Option<&Aside>) -> Value {
    let target = &route.target;
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
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
        "quarantined": aside.map(|aside| &aside.problems),
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

const fn position_name(position: Position) -> &'static str {
    match position {
        Position::Closed => "closed",
        Position::Open => "open",
        Position::HalfOpen => "half_open",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_asked_for_by_an_id_and_a_limit() {
        let page = |after: &str, limit| Ok(Asked { after: after.to_owned(), limit });
        assert_eq!(Asked::parse(""), page("", LIMIT_MAX));
        assert_eq!(Asked::parse("limit=1"), page("", 1));
        assert_eq!(Asked::parse("after=IIDX00001&limit=1000"), page("IIDX00001", 1_000));
        for wrong in ["limit=0", "limit=1001", "limit=x", "after=a%20b", "page=2", "after"] {
            assert_eq!(Asked::parse(wrong), Err(WRONG), "{wrong}");
        }
    }
}
