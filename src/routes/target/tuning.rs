//! Reads what a target may leave to `[target_defaults]`: TLS files, deadlines, limits, the
//! breaker.
//!
//! This file decides how a target's own value and a default go together. It must not know where
//! the bank is.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use super::non_zero;
use crate::routes::client::read_quota;
use crate::routes::grants::WIDE;
use crate::routes::page::{At, Wrong};
use crate::routes::reader::{Reader, default_count, default_time};
use crate::routes::reference::{self, ShortTime};
use crate::routes::table::{Breaker, Probe, Quota, Reuse, TargetTls, Timeouts, UpstreamHttp};

/// `[target_defaults]`: what a target falls back to, itself filled from the reference.
#[derive(Debug)]
pub(in crate::routes) struct Defaults {
    pub(super) tls: TargetTls,
    tuning: Tuning,
    /// The gateway's own addresses, where no target may be.
    pub(in crate::routes) own: Vec<SocketAddr>,
}

/// Deadlines, limits and the breaker of one bank.
#[derive(Debug, Clone)]
pub(super) struct Tuning {
    pub(super) http: UpstreamHttp,
    pub(super) reuse: Reuse,
    pub(super) timeouts: Timeouts,
    pub(super) limit: Option<Quota>,
    pub(super) concurrency: NonZeroU32,
    pub(super) breaker: Breaker,
    pub(super) retry_after_max: Duration,
    pub(super) resolve_every: Duration,
    pub(super) idle_connections_max: usize,
    pub(super) response_bytes_max: usize,
}

impl Defaults {
    /// Reads `[target_defaults]`.
    pub(in crate::routes) fn read(root: &Reader<'_>) -> Self {
        let built_in = Self::built_in();
        let Some(section) = root.table("target_defaults", &reference::TARGET_DEFAULTS) else {
            return built_in;
        };
        let tls = section.table("tls", &reference::TARGET_TLS).map(|tls| {
            if tls.has("server_name") {
                let what = "`server_name` can't be a default: it is one bank's name";
                let right = "put it into the target's own `tls`";
                tls.page.error(tls.key_span("server_name"), Wrong::new(what).right(right));
            }
            read_tls(&tls)
        });
        let tuning = Tuning::read(&section, &built_in);
        Self { tls: tls.unwrap_or_default(), tuning, own: Vec::new() }
    }

    /// The reference's own defaults.
    fn built_in() -> Self {
        let time = |key| default_time(&reference::TIMEOUTS, key);
        let count = |key| default_count(&reference::TARGET, key);
        Self {
            tls: TargetTls::default(),
            own: Vec::new(),
            tuning: Tuning {
                http: UpstreamHttp::Http1,
                reuse: Reuse::Idle,
                timeouts: Timeouts {
                    connect: time("connect"),
                    first_byte: time("first_byte"),
                    total: time("total"),
                    idle: time("idle"),
                },
                limit: None,
                concurrency: non_zero(count("concurrency")),
                breaker: Breaker {
                    failures: non_zero(default_count(&reference::BREAKER, "failures")),
                    open_for: default_time(&reference::BREAKER, "open_for"),
                },
                retry_after_max: default_time(&reference::TARGET, "retry_after_max"),
                resolve_every: default_time(&reference::TARGET, "resolve_every"),
                idle_connections_max: size(count("idle_connections_max")),
                response_bytes_max: size(count("response_bytes_max")),
            },
        }
    }
}

impl Tuning {
    /// Reads the keys that `[[target]]` and `[target_defaults]` share.
    pub(super) fn read(section: &Reader<'_>, defaults: &Defaults) -> Self {
        let fallback = &defaults.tuning;
        let count = |key| section.count(key).map(|count| count.value);
        let time = |key| section.time(key).map(|time| time.value);
        Self {
            http: match section.choice("http") {
                Some("1.1") => UpstreamHttp::Http1,
                Some("2") => UpstreamHttp::Http2,
                _ => fallback.http,
            },
            reuse: match section.choice("reuse") {
                Some("idle") => Reuse::Idle,
                Some("never") => Reuse::Never,
                _ => fallback.reuse,
            },
            timeouts: read_timeouts(section, fallback.timeouts),
            limit: read_quota(section, "limit").or(fallback.limit),
            concurrency: count("concurrency").map_or(fallback.concurrency, non_zero),
            breaker: read_breaker(section, fallback.breaker),
            retry_after_max: time("retry_after_max").unwrap_or(fallback.retry_after_max),
            resolve_every: time("resolve_every").unwrap_or(fallback.resolve_every),
            idle_connections_max: count("idle_connections_max")
                .map_or(fallback.idle_connections_max, size),
            response_bytes_max: count("response_bytes_max")
                .map_or(fallback.response_bytes_max, size),
        }
    }
}

impl Tuning {
    /// Reports what an included file may not take of what all banks share: descriptors, memory,
    /// and time. What the operator's `[target_defaults]` say is never too much.
    pub(super) fn check_width(
        &self,
        section: &Reader<'_>,
        defaults: &Defaults,
        probe: Option<&Probe>,
    ) {
        if section.page.granted.as_ref().is_none_or(|granted| granted.wide_limits) {
            return;
        }
        let fallback = &defaults.tuning;
        let often = probe.is_some_and(|probe| probe.after < WIDE.probe_after);
        for (key, too_wide, right) in [
            (
                "concurrency",
                self.concurrency.get() > WIDE.concurrency.max(fallback.concurrency.get()),
                "at most 1024",
            ),
            (
                "timeouts",
                self.timeouts.total > WIDE.total.max(fallback.timeouts.total),
                "a `total` of at most 60s",
            ),
            (
                "idle_connections_max",
                self.idle_connections_max
                    > WIDE.idle_connections.max(fallback.idle_connections_max),
                "at most 256",
            ),
            (
                "response_bytes_max",
                self.response_bytes_max > WIDE.response_bytes.max(fallback.response_bytes_max),
                "at most 8 MiB",
            ),
            ("probe", often, "an `after` of at least 5s"),
        ] {
            if too_wide {
                let what = format!("`{key}` is more than is granted to this file");
                let right = format!("{right}, or `wide_limits = true` in an `[[included]]`");
                section.page.error(section.key_span(key), Wrong::new(what).right(right));
            }
        }
    }
}

/// Reads the files of `tls`; a target's own `server_name` is the caller's.
pub(super) fn read_tls(section: &Reader<'_>) -> TargetTls {
    let tls = TargetTls {
        ca: section.file("ca"),
        cert: section.file("cert"),
        key: section.file("key"),
        cert_optional: section.flag("cert_optional"),
        server_name: None,
    };
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if section.has(one) && !section.has(other) {
            let what = format!("`tls` has `{one}` without `{other}`");
            let right = format!("add `{other} = \"certs/….pem\"`");
            section.page.error(section.key_span(one), Wrong::new(what).right(right));
        }
    }
    tls
}

/// Reads `timeouts`. A deadline that the table does not name itself gives way to the `total` that
/// it does name; two that it names must agree.
fn read_timeouts(section: &Reader<'_>, fallback: Timeouts) -> Timeouts {
    let Some(written) = section.table("timeouts", &reference::TIMEOUTS) else { return fallback };
    let total = written.time("total").map_or(fallback.total, |total| total.value);
    let within = |time: Option<At<Duration>>, key: &str, fallback: Duration| {
        let Some(time) = time else { return fallback.min(total) };
        if time.value > total {
            let total = ShortTime(total);
            let what = format!("`{key}` is longer than `total`, which is {total}");
            let right = format!("at most {total}, or a longer `total`");
            written.page.error(time.span, Wrong::new(what).right(right));
        }
        time.value
    };
    Timeouts {
        connect: within(written.time("connect"), "connect", fallback.connect),
        first_byte: within(written.time("first_byte"), "first_byte", fallback.first_byte),
        total,
        idle: written.time("idle").map_or(fallback.idle, |idle| idle.value),
    }
}

fn read_breaker(section: &Reader<'_>, fallback: Breaker) -> Breaker {
    let Some(written) = section.table("breaker", &reference::BREAKER) else { return fallback };
    let failures = written.count("failures").map(|count| count.value);
    Breaker {
        failures: failures.map_or(fallback.failures, non_zero),
        open_for: written.time("open_for").map_or(fallback.open_for, |time| time.value),
    }
}

fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
