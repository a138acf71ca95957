//! The part of the table that belongs to one bank.
//!
//! This file decides what a loaded `[[target]]` holds. It must not know TOML.

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::{Dialect, Maintenance, Quota, Translation};
use crate::fault::Name;
use crate::ids::TargetId;
use crate::oauth::Call;

/// `http` or `https`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain; only with `insecure_plain_upstream`.
    Http,
    /// TLS.
    Https,
}

/// One address of a bank (RFC 6454's origin: scheme, host, port).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// A DNS name or an IP address, IPv6 without brackets.
    pub host: Name,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// Which HTTP a bank is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UpstreamHttp {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 (by ALPN over TLS, by prior knowledge over plain).
    Http2,
}

/// Whether a connection carries more than one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reuse {
    /// One that is idle, and fit for it, does.
    #[default]
    Idle,
    /// Each call has a connection of its own: nothing on it can be another call's answer.
    Never,
}

impl Reuse {
    /// The name in `routes.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Never => "never",
        }
    }
}

/// The whole path of each call, base path included; `None` where the bank has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The token endpoint.
    pub token: Option<Name>,
    /// The revocation endpoint.
    pub revoke: Option<Name>,
    /// The username validation endpoint.
    pub username: Option<Name>,
}

impl Paths {
    /// The path of a call.
    pub const fn of(&self, call: Call) -> Option<&Name> {
        match call {
            Call::Token => self.token.as_ref(),
            Call::Revoke => self.revoke.as_ref(),
            Call::Username => self.username.as_ref(),
        }
    }
}

/// The hub's side of TLS with a bank.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TargetTls {
    /// PEM file: the CAs that the bank's certificate chains to; `None` is the system's.
    pub ca: Option<PathBuf>,
    /// PEM file: the certificate that the hub shows.
    pub cert: Option<PathBuf>,
    /// PEM file: its private key.
    pub key: Option<PathBuf>,
    /// Whether a bank that does not ask for `cert` is called all the same.
    pub cert_optional: bool,
    /// The name to ask for (SNI) and to find in the bank's certificate; `None` is the host.
    pub server_name: Option<Name>,
}

impl TargetTls {
    /// Whether the bank has to ask for the hub's certificate.
    pub const fn must_be_asked(&self) -> bool {
        self.cert.is_some() && !self.cert_optional
    }
}

/// How long a bank may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Name look-up, TCP and TLS together.
    pub connect: Duration,
    /// From the request's last byte to the answer's head.
    pub first_byte: Duration,
    /// The whole exchange with the bank.
    pub total: Duration,
    /// How long an idle connection is kept; below the bank's own keep-alive.
    pub idle: Duration,
}

/// When to stop calling a bank that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// So many failures in a row open it.
    pub failures: NonZeroU32,
    /// For so long; then one call is let through to see.
    pub open_for: Duration,
}

/// How a bank that nobody calls is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// So long without a call, or after the last look.
    pub after: Duration,
    /// What is asked for with GET; without it, a connection is enough.
    pub path: Option<Name>,
}

/// Whether a bank is open to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetStatus {
    /// Not yet: refused as suspended.
    Onboarding,
    /// Open.
    Active,
    /// Down for a while: 503 with this `Retry-After`.
    Maintenance(Duration),
    /// Closed: only operations that are open to the suspended.
    Suspended,
}

impl TargetStatus {
    /// The name in `routes.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Onboarding => "onboarding",
            Self::Active => "active",
            Self::Maintenance(_) => "maintenance",
            Self::Suspended => "suspended",
        }
    }
}

/// `[[target]]`: a bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its id, the value of `X-CorAPI-Target-ID`.
    pub id: TargetId,
    /// The file that defines it, as it was named to the loader: who may change this entry.
    pub source: Arc<Path>,
    /// A name for people.
    pub name: Option<Name>,
    /// The language it speaks.
    pub dialect: Dialect,
    /// What translating between its language and ours may do.
    pub translation: Translation,
    /// Where it is; at least one.
    pub upstream: Vec<Origin>,
    /// Where its authorization server is, where that is another host than `upstream` (Oxlin);
    /// empty otherwise.
    pub auth_upstream: Vec<Origin>,
    /// What stands before the paths of native calls, and before those that `paths` omits.
    pub base_path: Name,
    /// Its paths.
    pub paths: Paths,
    /// TLS towards it.
    pub tls: Arc<TargetTls>,
    /// HTTP towards it.
    pub http: UpstreamHttp,
    /// Whether its connections carry more than one call.
    pub reuse: Reuse,
    /// Fields added to each request to it. The values may be secrets: marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its deadlines.
    pub timeouts: Timeouts,
    /// Calls to it, from all clients together.
    pub limit: Option<Quota>,
    /// Calls to it at once.
    pub concurrency: NonZeroU32,
    /// When to stop calling it.
    pub breaker: Breaker,
    /// How long its own `Retry-After` is believed at most.
    pub retry_after_max: Duration,
    /// How old what is known of its name's addresses may be.
    pub resolve_every: Duration,
    /// Whether it is looked at while nobody calls it.
    pub probe: Option<Probe>,
    /// When it is closed on purpose.
    pub maintenance: Maintenance,
    /// Idle connections that each worker keeps to it.
    pub idle_connections_max: usize,
    /// Most bytes of an answer's body.
    pub response_bytes_max: usize,
    /// Whether its name may resolve to loopback, link-local or private addresses.
    pub allow_private_addresses: bool,
    /// Whether it is open to clients.
    pub status: TargetStatus,
}

impl Target {
    /// Whether the hub has a use for what it is told at this bank's token calls.
    pub const fn remembers_tokens(&self) -> bool {
        self.translation.assert_username || self.translation.remembers_tokens
    }

    /// The addresses of one of its hosts.
    pub fn origins(&self, host: crate::dialect::Host) -> &[Origin] {
        match host {
            crate::dialect::Host::Auth if !self.auth_upstream.is_empty() => &self.auth_upstream,
            crate::dialect::Host::Auth | crate::dialect::Host::Main => &self.upstream,
        }
    }

    /// What clients can do at this bank: the capability matrix's row (DIALECTS 7).
    pub fn capabilities(&self) -> [(&'static str, bool); 4] {
        let token = self.paths.token.is_some();
        [
            ("authorization_code", token && self.dialect.exchanges_codes()),
            ("refresh_token", token && self.dialect.refreshes_tokens()),
            ("revoke", self.paths.revoke.is_some()),
            ("username", self.paths.username.is_some() || self.translation.assert_username),
        ]
    }
}
