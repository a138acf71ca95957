//! The table that the gateway runs on: every value parsed, every reference resolved.
//!
//! This file decides what a loaded table holds. It must not know TOML.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::contract::{AuthorizationPolicy, Contract};
use crate::fault::Name;
use crate::ids::{ClientId, Fingerprint, TargetId};
use crate::oauth::Call;

/// A whole table: what one gateway process serves.
#[derive(Debug)]
pub struct RouteTable {
    /// Listeners, deadlines and limits of the process.
    pub gateway: Gateway,
    /// The mounted contracts.
    pub apis: Vec<Api>,
    /// Every client, by id.
    pub clients: HashMap<ClientId, Arc<Client>>,
    /// Which client a certificate belongs to. A certificate belongs to one client.
    pub certificates: HashMap<Fingerprint, Arc<Client>>,
    /// Every target, by id.
    pub targets: HashMap<TargetId, Arc<Target>>,
}

/// `[gateway]`: what belongs to the process, not to a party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The listening sockets.
    pub listen: Vec<Listen>,
    /// The admin listener.
    pub admin: Admin,
    /// Worker threads; `None` is one for each core.
    pub workers: Option<NonZeroU32>,
    /// `[gateway.tls]`; absent only when every listener is insecure.
    pub tls: Option<EdgeTls>,
    /// `[gateway.limits]`.
    pub limits: EdgeLimits,
    /// `[gateway.access_log]`; `None` writes none.
    pub access_log: Option<AccessLog>,
    /// `insecure_header_identity`: believe `X-CorAPI-Client-ID` where there is no certificate.
    pub insecure_header_identity: bool,
    /// How long a drain may take before what is left is cut.
    pub drain_timeout: Duration,
}

/// One listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// Where to listen.
    pub address: SocketAddr,
    /// Whether it speaks TLS (`listen`) or plain HTTP (`insecure_plain_listen`).
    pub tls: bool,
}

/// The admin listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens; loopback unless `insecure_public_admin`.
    pub address: SocketAddr,
}

/// What client certificates a TLS listener asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// No handshake without one.
    #[default]
    Required,
    /// A caller without one is refused by the walk, in the contract's words.
    Optional,
}

/// `[gateway.tls]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeTls {
    /// PEM file: the edge's certificate chain.
    pub cert: PathBuf,
    /// PEM file: its private key.
    pub key: PathBuf,
    /// PEM file: the CAs that client certificates chain to.
    pub client_ca: PathBuf,
    /// PEM files: certificate revocation lists of those CAs.
    pub client_crl: Vec<PathBuf>,
    /// Whether a client certificate is required.
    pub client_auth: ClientAuth,
}

/// `[gateway.limits]`: a limit on everything a stranger can send, hold or delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeLimits {
    /// TLS handshake, from accept to finished.
    pub handshake_timeout: Duration,
    /// The whole head, from its first byte.
    pub head_timeout: Duration,
    /// The whole body, from the end of the head.
    pub body_timeout: Duration,
    /// A connection without a request.
    pub idle_timeout: Duration,
    /// A connection's whole life; then it is closed between two requests.
    pub connection_age_max: Duration,
    /// Request line and header section, in bytes.
    pub head_bytes_max: usize,
    /// Header lines.
    pub head_fields_max: usize,
    /// Request target, in bytes.
    pub uri_bytes_max: usize,
    /// Body, in bytes.
    pub body_bytes_max: usize,
    /// Open connections, all listeners together.
    pub connections_max: usize,
    /// Open connections from one address.
    pub connections_per_address_max: usize,
    /// TLS handshakes under way in one worker.
    pub handshakes_max: usize,
    /// HTTP/2 streams open at once on a connection.
    pub h2_streams_max: u32,
    /// HTTP/2 streams reset by the peer before their answer, over a connection's life.
    pub h2_resets_max: u32,
}

/// `[gateway.access_log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// The file, appended to; `None` is standard output.
    pub path: Option<PathBuf>,
    /// Most bytes that wait for the disk before lines are dropped and counted.
    pub buffer_bytes_max: usize,
}

/// What happens to a query string on an operation that declares none (CONTRACT row 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueryPolicy {
    /// 400 `invalid_request`.
    #[default]
    Refuse,
    /// Accept the call, forward it without the query.
    Drop,
}

/// `[[api]]`: a contract mounted under a base path.
#[derive(Debug)]
pub struct Api {
    /// The rules.
    pub contract: Arc<Contract>,
    /// Empty, or starting with `/` and not ending with one.
    pub base_path: Name,
    /// CONTRACT row 3.
    pub query: QueryPolicy,
    /// CONTRACT row 19.
    pub authorization: AuthorizationPolicy,
    /// Keep to the statuses that the contract lists (CONTRACT decision 5).
    pub strict_statuses: bool,
    /// Refuse a 200 token answer without `access_token` and `token_type`.
    pub validate_token_response: bool,
    /// `error_uri` of the gateway's own errors.
    pub error_uri: Option<Name>,
}

/// A rate: so many calls a period, so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Calls a period.
    pub rate: NonZeroU32,
    /// The period: a second, a minute or an hour.
    pub period: Duration,
    /// How many may come at once.
    pub burst: NonZeroU32,
    /// Counted and logged, not enforced.
    pub shadow: bool,
}

/// Whether a client may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientStatus {
    /// It may.
    #[default]
    Active,
    /// Only operations that are open to the suspended.
    Suspended,
}

/// The targets that a client may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetSet {
    /// `["*"]`.
    All,
    /// Those named.
    Only(HashSet<TargetId>),
}

impl TargetSet {
    /// Whether the client may call `target`.
    pub fn allows(&self, target: &TargetId) -> bool {
        match self {
            Self::All => true,
            Self::Only(targets) => targets.contains(target),
        }
    }
}

/// `[[client]]`: a third party that calls us.
#[derive(Debug, PartialEq, Eq)]
pub struct Client {
    /// Its OAuth client id.
    pub id: ClientId,
    /// A name for people.
    pub name: Option<Name>,
    /// The certificates it may present; two during a roll-over.
    pub certificates: Vec<Fingerprint>,
    /// Where it may go.
    pub targets: TargetSet,
    /// The target of a call that names none.
    pub default_target: Option<TargetId>,
    /// Whether it may call.
    pub status: ClientStatus,
    /// All its calls together.
    pub limit: Option<Quota>,
    /// Its calls to each target.
    pub target_limit: Option<Quota>,
    /// `username_on_refresh = "optional"` (CONTRACT decision 7).
    pub username_on_refresh_optional: bool,
}

impl Client {
    /// The target of a call that names none: the default, or the only one there is.
    pub fn implied_target(&self) -> Option<&TargetId> {
        self.default_target.as_ref().or_else(|| match &self.targets {
            TargetSet::Only(targets) if targets.len() == 1 => targets.iter().next(),
            TargetSet::Only(_) | TargetSet::All => None,
        })
    }
}

/// The language that a bank speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The seed's own: bLink 2.0.15.1-fi.
    Blink,
}

impl Dialect {
    /// The name in `routes.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blink => "blink",
        }
    }
}

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
    /// The name to ask for (SNI) and to find in the bank's certificate; `None` is the host.
    pub server_name: Option<Name>,
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
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// Its id, the value of `X-CorAPI-Target-ID`.
    pub id: TargetId,
    /// A name for people.
    pub name: Option<Name>,
    /// The language it speaks.
    pub dialect: Dialect,
    /// Where it is; at least one.
    pub upstream: Vec<Origin>,
    /// Its paths.
    pub paths: Paths,
    /// TLS towards it.
    pub tls: Arc<TargetTls>,
    /// HTTP towards it.
    pub http: UpstreamHttp,
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
    /// Idle connections that each worker keeps to it.
    pub idle_connections_max: usize,
    /// Most bytes of an answer's body.
    pub response_bytes_max: usize,
    /// Whether its name may resolve to loopback, link-local or private addresses.
    pub allow_private_addresses: bool,
    /// Whether it is open to clients.
    pub status: TargetStatus,
}

impl RouteTable {
    /// stub
    pub fn insecure_switches(&self) -> Vec<String> {
        Vec::new()
    }
}
