//! The part of the table that belongs to the process: listeners, TLS, limits, the access log.
//!
//! This file decides what a loaded `[gateway]` holds. It must not know TOML.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// Most listening sockets of a process that can hand them over: one for each worker and listener,
/// and the admin listener's.
pub const SOCKETS_MAX: usize = 4_096;

/// `[gateway]`: what belongs to the process, not to a party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The listening sockets.
    pub listen: Vec<Listen>,
    /// The admin listener.
    pub admin: Admin,
    /// Names besides addresses and `localhost` that the admin listener is asked by; in lower case.
    pub admin_hosts: Vec<String>,
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
    /// How long everything goes on after `/readyz` says 503, before nothing new is accepted.
    pub drain_delay: Duration,
    /// How long a connection may be quiet in a drain before it is closed.
    pub drain_quiet: Duration,
    /// The private folder of the upgrade socket; without it there is no upgrade.
    pub run_dir: Option<PathBuf>,
    /// The private folder of what has to live longer than the process. Without it, whose a token is
    /// does not; the last good files of banks are then within `run_dir`.
    pub state_dir: Option<PathBuf>,
    /// How changed files are found out.
    pub watch: Watch,
}

impl Gateway {
    /// Every address that it listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let listen = self.listen.iter().map(|listen| listen.address);
        listen.chain([self.admin.address]).collect()
    }

    /// The private folder where a bank's file is kept as it was when it was good; none without
    /// `state_dir` and `run_dir`.
    pub fn state_dir(&self) -> Option<PathBuf> {
        let within = || self.run_dir.as_ref().map(|folder| folder.join("state"));
        self.state_dir.clone().or_else(within)
    }

    /// What a running process makes of this one: its sockets, threads and log stay as they are in
    /// `running`, and so does what would mean something else on those sockets.
    #[must_use]
    pub fn taken_up_by(&self, running: &Self) -> Self {
        let mut gateway = self.clone();
        gateway.listen.clone_from(&running.listen);
        gateway.admin = running.admin;
        gateway.workers = running.workers;
        gateway.access_log.clone_from(&running.access_log);
        gateway.run_dir.clone_from(&running.run_dir);
        gateway.state_dir.clone_from(&running.state_dir);
        if self.listen != running.listen {
            // Whether a header is believed was weighed against the new listeners, not these.
            gateway.insecure_header_identity = running.insecure_header_identity;
            match (&mut gateway.tls, &running.tls) {
                (Some(tls), Some(old)) => tls.client_auth = old.client_auth,
                (tls, old) => tls.clone_from(old),
            }
        }
        gateway
    }
}

/// Whether the files of the table are looked at for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Only when a reload is asked for.
    Off,
    /// So often; a change that stood still since the last look is taken up.
    Every(Duration),
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
    /// Whether a revocation list counts that is past its `nextUpdate`. If not, nobody of its CA is
    /// let in.
    pub accepts_expired_crl: bool,
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
    /// How long a client may leave answers untaken.
    pub answer_timeout: Duration,
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
    /// Open connections with one client certificate.
    pub connections_per_certificate_max: usize,
    /// TLS handshakes under way in one worker.
    pub handshakes_max: usize,
    /// Connections in one worker whose TLS handshake has not begun.
    pub handshakes_pending_max: usize,
    /// HTTP/2 streams open at once on a connection.
    pub h2_streams_max: u32,
    /// HTTP/2 streams reset by the peer before their answer, over a connection's life.
    pub h2_resets_max: u32,
    /// HTTP/2 frames that carry no request, beyond what requests and time earn.
    pub h2_frames_max: u32,
    /// Bytes of large answers that a connection over HTTP/2 was given and has not taken.
    pub h2_untaken_bytes_max: usize,
    /// Bytes of requests under way and of answers that wait, of all clients together.
    pub buffered_bytes_max: usize,
    /// The same of one client.
    pub client_buffered_bytes_max: usize,
}

/// `[gateway.access_log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// The file, appended to; `None` is standard output.
    pub path: Option<PathBuf>,
    /// Most bytes that wait for the disk before lines are dropped and counted.
    pub buffer_bytes_max: usize,
}
