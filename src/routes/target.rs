//! Reads `[[target]]` and `[target_defaults]`: the banks.
//!
//! This file decides what a bank's entry may say and what it leaves to the defaults. It must not
//! know how a bank is called.

mod dialect;
mod headers;
mod maintenance;
mod tuning;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

pub(super) use tuning::Defaults;

use super::client::parse_target_id;
use super::grammar;
use super::grants::Granted;
use super::origin;
use super::page::{At, Wrong};
use super::reader::{Reader, shorten};
use super::reference;
use super::table::{Dialect, Origin, Paths, Probe, Scheme, Target, TargetStatus, TargetTls};
use crate::fault::Name;
use crate::ids::TargetId;

/// Most addresses of one bank.
const UPSTREAMS_MAX: usize = 16;

/// What is shared by many targets is stored once.
#[derive(Default)]
pub(super) struct Shared {
    tls: HashSet<Arc<TargetTls>>,
}

/// A `[[target]]` that has been read: its claim to an id, which counts even where the rest of it
/// is wrong, and the target itself where nothing is.
pub(super) struct Entry {
    pub(super) id: At<TargetId>,
    pub(super) target: Option<Target>,
}

/// Reads every `[[target]]` of a file. The targets count only where no error was reported.
pub(super) fn read_all(root: &Reader<'_>, defaults: &Defaults, shared: &mut Shared) -> Vec<Entry> {
    root.tables("target", &reference::TARGET)
        .iter()
        .filter_map(|section| {
            section.require("id", "\"IIDX00001\"");
            let id = section.parse("id", |id| {
                let granted = section.page.granted.as_ref();
                if granted.is_none_or(|granted| granted.may_claim(id)) {
                    return parse_target_id(id);
                }
                let what = format!("the id `{}` is not granted to this file", shorten(id));
                Err(Wrong::new(what).right("one that fits `ids` of its `[[included]]`"))
            });
            let target = read(section, id.as_ref(), defaults, shared);
            id.map(|id| Entry { id, target })
        })
        .collect()
}

fn read(
    section: &Reader<'_>,
    id: Option<&At<TargetId>>,
    defaults: &Defaults,
    shared: &mut Shared,
) -> Option<Target> {
    let name = section.parse("name", grammar::parse_name).map(|name| name.value);
    let (dialect, translation) = dialect::read(section);
    let reach = Reach::read(section, defaults);
    let allow_private_addresses = reach.allow_private_addresses;
    section.require("upstream", "\"https://bank.example:443\"");
    let upstream = read_upstream(section, "upstream", &reach);
    let auth_upstream = read_auth_upstream(section, &dialect, &reach);
    let base_path = section.parse("base_path", grammar::parse_base_path);
    let base_path = base_path.map_or_else(|| Arc::from(""), |path: At<Name>| path.value);
    let mut paths = read_paths(section, &base_path, dialect::default_paths(&dialect));
    paths.revoke = paths.revoke.filter(|_| dialect.revokes_tokens());
    paths.username = paths.username.filter(|_| dialect.checks_usernames());
    dialect::check_audience(section, &dialect, &paths);
    let tls = read_tls(section, defaults, &upstream);
    let headers = headers::read(section);
    let tuning = tuning::Tuning::read(section, defaults);
    let probe = read_probe(section);
    tuning.check_width(section, defaults, probe.as_ref());
    let status = read_status(section);
    Some(Target {
        id: id?.value.clone(),
        source: Arc::clone(&section.page.file),
        name,
        dialect,
        translation,
        upstream,
        auth_upstream,
        base_path,
        paths,
        tls: shared.tls(tls),
        http: tuning.http,
        reuse: tuning.reuse,
        headers,
        timeouts: tuning.timeouts,
        limit: tuning.limit,
        concurrency: tuning.concurrency,
        breaker: tuning.breaker,
        retry_after_max: tuning.retry_after_max,
        resolve_every: tuning.resolve_every,
        probe,
        maintenance: maintenance::read(section),
        idle_connections_max: tuning.idle_connections_max,
        response_bytes_max: tuning.response_bytes_max,
        allow_private_addresses,
        status,
    })
}

/// Where the calls of a target may go.
struct Reach<'d> {
    insecure_plain_upstream: bool,
    allow_private_addresses: bool,
    /// The gateway's own addresses, where nobody's calls may go.
    own: &'d [SocketAddr],
}

impl<'d> Reach<'d> {
    fn read(section: &Reader<'_>, defaults: &'d Defaults) -> Self {
        let granted = section.page.granted.as_ref();
        let flag = |key, of: fn(&Granted) -> bool| {
            let wanted = section.flag(key);
            if wanted && !granted.is_none_or(of) {
                let what = format!("`{key}` is not granted to this file");
                let right = format!("`{key} = true` in an `[[included]]` of the operator's file");
                section.page.error(section.key_span(key), Wrong::new(what).right(right));
            }
            wanted
        };
        Self {
            insecure_plain_upstream: flag("insecure_plain_upstream", |granted| {
                granted.insecure_plain_upstream
            }),
            allow_private_addresses: flag("allow_private_addresses", |granted| {
                granted.allow_private_addresses
            }),
            own: &defaults.own,
        }
    }

    fn check(&self, origin: &Origin) -> Result<(), Wrong> {
        if origin.scheme == Scheme::Http && !self.insecure_plain_upstream {
            return Err(Wrong::new(format!("`{origin}` is reached without TLS"))
                .right("`https://`, or `insecure_plain_upstream = true`"));
        }
        if origin::is_own(origin, self.own) {
            return Err(Wrong::new(format!("`{origin}` is the gateway itself"))
                .right("the address of the bank"));
        }
        if origin::is_private(origin) && !self.allow_private_addresses {
            return Err(Wrong::new(format!("`{origin}` is a private address"))
                .right("`allow_private_addresses = true`, if the bank is meant to be there"));
        }
        Ok(())
    }
}

/// Oxlin alone has its authorization server on another host.
fn read_auth_upstream(section: &Reader<'_>, dialect: &Dialect, reach: &Reach<'_>) -> Vec<Origin> {
    if section.has("auth_upstream") && !matches!(dialect, Dialect::Oxlin(_)) {
        let what = format!("`auth_upstream` has no use: the dialect is `{}`", dialect.as_str());
        section
            .page
            .error(section.key_span("auth_upstream"), Wrong::new(what).right("take it out"));
    }
    read_upstream(section, "auth_upstream", reach)
}

fn read_upstream(section: &Reader<'_>, key: &'static str, reach: &Reach<'_>) -> Vec<Origin> {
    let texts = section.text_or_texts(key);
    if section.has(key) && !(1..=UPSTREAMS_MAX).contains(&texts.len()) {
        let what = format!("`{key}` has {} addresses", texts.len());
        let right = format!("1 to {UPSTREAMS_MAX}");
        section.page.error(section.key_span(key), Wrong::new(what).right(right));
    }
    let mut upstream: Vec<Origin> = Vec::new();
    for text in &texts {
        if text.value.contains('@') {
            section.page.mask(text.span);
        }
    }
    // Each is compared with all before it: that there are too many has been said.
    for text in texts.into_iter().take(UPSTREAMS_MAX) {
        let parsed = section.parsed(text, |text| {
            let origin = origin::parse_origin(text)?;
            reach.check(&origin)?;
            Ok(origin)
        });
        let Some(origin) = parsed.map(|origin| origin.value) else { continue };
        if upstream.contains(&origin) {
            let what = format!("the upstream `{origin}` is listed twice");
            section.page.error(text.span, Wrong::new(what).right("take one out"));
        }
        upstream.push(origin);
    }
    upstream
}

fn read_paths(
    section: &Reader<'_>,
    base_path: &str,
    [token, revoke, username]: [&str; 3],
) -> Paths {
    let written = section.table("paths", &reference::PATHS);
    let path = |key, below: &str| match &written {
        Some(paths) if paths.is_false(key) => None,
        Some(paths) if paths.has(key) => {
            paths.parse(key, grammar::parse_path).map(|path| path.value)
        }
        _ => Some(Arc::from(format!("{base_path}{below}"))),
    };
    let paths = Paths {
        token: path("token", token),
        revoke: path("revoke", revoke),
        username: path("username", username),
    };
    let written_false =
        |paths: &Reader<'_>| ["token", "revoke", "username"].iter().all(|key| paths.is_false(key));
    if let Some(written) = written.filter(written_false) {
        let what = "a bank without any call can't be called";
        let right = "a path for at least one of `token`, `revoke` and `username`";
        written.page.error(written.span, Wrong::new(what).right(right));
    }
    paths
}

fn read_tls(section: &Reader<'_>, defaults: &Defaults, upstream: &[Origin]) -> TargetTls {
    let plain = !upstream.is_empty() && upstream.iter().all(|o| o.scheme == Scheme::Http);
    let Some(written) = section.table("tls", &reference::TARGET_TLS) else {
        return if plain { TargetTls::default() } else { defaults.tls.clone() };
    };
    if plain {
        let what = "`tls` has no use: every upstream is `http://`";
        written.page.error(section.key_span("tls"), Wrong::new(what).right("take it out"));
    }
    let mut tls = tuning::read_tls(&written);
    tls.server_name =
        written.parse("server_name", origin::parse_server_name).map(|name| name.value);
    tls.ca = tls.ca.or_else(|| defaults.tls.ca.clone());
    tls.cert_optional |= defaults.tls.cert_optional;
    // A certificate and its key come together: a default's key never meets another certificate.
    if !written.has("cert") && !written.has("key") {
        tls.cert.clone_from(&defaults.tls.cert);
        tls.key.clone_from(&defaults.tls.key);
    }
    tls
}

fn read_probe(section: &Reader<'_>) -> Option<Probe> {
    let written = section.table("probe", &reference::PROBE)?;
    Some(Probe {
        after: written.time_or_default("after"),
        path: written.parse("path", grammar::parse_path).map(|path| path.value),
    })
}

fn read_status(section: &Reader<'_>) -> TargetStatus {
    let retry_after: Duration = section.time_or_default("maintenance_retry_after");
    match section.choice("status") {
        Some("onboarding") => TargetStatus::Onboarding,
        Some("maintenance") => TargetStatus::Maintenance(retry_after),
        Some("suspended") => TargetStatus::Suspended,
        _ => TargetStatus::Active,
    }
}

impl Shared {
    fn tls(&mut self, tls: TargetTls) -> Arc<TargetTls> {
        if let Some(known) = self.tls.get(&tls) {
            return Arc::clone(known);
        }
        let tls = Arc::new(tls);
        self.tls.insert(Arc::clone(&tls));
        tls
    }
}

/// A number that the reference keeps within 1 and `u32::MAX`.
fn non_zero(count: u64) -> NonZeroU32 {
    u32::try_from(count).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}
