//! How a bank is, beyond its counts: its addresses, its own wish to be left alone, its windows.
//!
//! This file decides what of that the operator is shown. It must not know how it came about.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use crate::dialect::Host;
use crate::edge::now;
use crate::snapshot::Route;

/// Adds it to what is shown of a bank.
pub(super) fn add(route: &Route, described: &mut Value) {
    let (target, tally) = (&route.target, &route.tally);
    let wait = route.patience.wait(now());
    described["endpoints"] = endpoints(route);
    described["retry_after_s"] = json!(wait.map(|wait| wait.as_millis().div_ceil(1_000)));
    described["clients_waiting"] = json!(route.patience.clients_waiting(now()));
    described["dials"] = json!(tally.dials.load(Ordering::Relaxed));
    described["taken_over"] = json!(tally.taken_over.load(Ordering::Relaxed));
    if target.probe.is_some() {
        described["probes"] = json!(tally.probes.load(Ordering::Relaxed));
        described["probes_failed"] = json!(tally.probes_failed.load(Ordering::Relaxed));
    }
    if !target.maintenance.is_empty() {
        let clock = unix_seconds();
        described["maintenance_until"] = json!(target.maintenance.end(clock).map(moment));
        let next = target.maintenance.next(clock);
        described["next_maintenance"] =
            json!(next.map(|(start, end)| json!({ "start": moment(start), "end": moment(end) })));
    }
}

fn endpoints(route: &Route) -> Value {
    let of_host = |host| {
        let views = route.endpoints(host).views();
        let origins = route.target.origins(host).iter().zip(views);
        origins.map(|(origin, view)| {
            let origin = origin.to_string();
            // One address alone is never chosen nor left out: its calls are the bank's.
            json!({ "origin": origin, "in_flight": view.in_flight, "ejected": view.ejected })
        })
    };
    let auth = (!route.target.auth_upstream.is_empty()).then(|| of_host(Host::Auth));
    let views: Vec<_> = of_host(Host::Main).chain(auth.into_iter().flatten()).collect();
    if views.len() > 1 { Value::Array(views) } else { json!([]) }
}

/// RFC 3339 in UTC.
fn moment(unix_seconds: i64) -> String {
    let moment = DateTime::from_timestamp(unix_seconds, 0).unwrap_or_default();
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[expect(clippy::disallowed_methods, reason = "the edge is where time is read")]
fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
