//! The metrics of the banks, one series a bank.
//!
//! This file decides what is told of a bank in numbers. Only of banks that were called or looked
//! at: a table may hold a hundred thousand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Written;
use crate::breaker::Position;
use crate::dialect::Host;
use crate::edge::now;
use crate::snapshot::{Route, Snapshot, Tally};

/// One bank's counter: its name, its help, and how to read it.
type Column = (&'static str, &'static str, fn(&Tally) -> &AtomicU64);

const COLUMNS: [Column; 8] = [
    ("target_calls", "Calls that were for a bank.", |tally| &tally.calls),
    ("target_client_errors", "Its answers that were the client's fault.", |t| &t.client_errors),
    ("target_provider_errors", "Calls that the bank failed.", |tally| &tally.provider_errors),
    ("target_platform_errors", "Calls that the hub failed.", |tally| &tally.platform_errors),
    ("target_dials", "Connections that were dialled, well or not.", |tally| &tally.dials),
    ("target_taken_over", "Idle connections taken over from another worker.", |tally| {
        &tally.taken_over
    }),
    ("target_probes", "Looks at a bank while nobody called.", |tally| &tally.probes),
    ("target_probes_failed", "Those of them that failed.", |tally| &tally.probes_failed),
];

/// One bank's gauge: its name, its help, and how to find it.
type Gauge = (&'static str, &'static str, fn(&Route, Instant) -> i64);

const GAUGES: [Gauge; 4] = [
    (
        "target_breaker",
        "Whether calls to a bank are stopped: 0 closed, 1 half open, 2 open.",
        |route, now| match route.breaker.position(now) {
            Position::Closed => 0,
            Position::HalfOpen => 1,
            Position::Open => 2,
        },
    ),
    ("target_in_flight", "Calls that a bank has now.", |route, _| route.places.taken().into()),
    (
        "target_wait_seconds",
        "How long a bank still wants to be left alone, by its own Retry-After.",
        |route, now| seconds(route.patience.wait(now).unwrap_or_default()),
    ),
    ("target_ejected", "Addresses of a bank that are left out while another is up.", |route, _| {
        let views = [Host::Main, Host::Auth].map(|host| route.endpoints(host).views());
        let ejected = views.iter().flatten().filter(|endpoint| endpoint.ejected).count();
        i64::try_from(ejected).unwrap_or(i64::MAX)
    }),
];

/// Whole seconds, rounded up.
fn seconds(wait: Duration) -> i64 {
    i64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX)
}

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> Written {
    let known = |route: &&Arc<Route>| {
        [&route.tally.calls, &route.tally.probes]
            .iter()
            .any(|count| count.load(Ordering::Relaxed) > 0)
    };
    let mut routes: Vec<_> = snapshot.routes().filter(known).collect();
    routes.sort_by(|one, other| one.target.id.cmp(&other.target.id));
    for (name, help, counter) in COLUMNS {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for route in &routes {
            let count = counter(&route.tally).load(Ordering::Relaxed);
            let labels = [("target", route.target.id.as_str())];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
    }
    let now = now();
    for (name, help, gauge) in GAUGES {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for route in &routes {
            let labels = [("target", route.target.id.as_str())];
            ConstGauge::new(gauge(route, now)).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
