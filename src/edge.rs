//! The edge: the only floor that names tokio, hyper, tower, rustls and pingora.
//!
//! [`start`] brings a table to life in this process: sockets, workers, the admin listener, the
//! access log. [`chassis`] does the same inside of pingora's server, which carries the process.

mod access_log;
mod admin;
mod body;
pub mod chassis;
mod clients;
mod clock;
mod connection;
mod counted;
mod flights;
mod forward;
mod gateway;
mod guard;
mod held;
mod hub;
mod local;
mod meters;
mod metrics;
mod sockets;
pub mod tls;
mod watch;
mod worker;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use access_log::LogCounters;
use hub::Hub;
pub use hub::Stage;
use rustls::ServerConfig;
use sockets::Bound;

use crate::routes::RouteTable;
use crate::snapshot::Snapshot;

/// How long a gateway whose drain is over still says 503 to those who ask.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why a gateway did not start.
#[derive(Debug)]
pub struct StartError {
    what: String,
    cause: String,
}

impl StartError {
    fn new(what: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self { what: what.into(), cause: cause.to_string() }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.cause)
    }
}

impl std::error::Error for StartError {}

/// A gateway that serves.
#[derive(Debug)]
pub struct Running {
    /// Where it listens, in the order of `gateway.listen`.
    pub addresses: Vec<SocketAddr>,
    /// Where the admin listener is.
    pub admin: SocketAddr,
    hub: Arc<Hub>,
    workers: Vec<JoinHandle<()>>,
    admin_thread: Option<admin::AdminThread>,
    log_thread: Option<JoinHandle<()>>,
    drain_timeout: Duration,
}

/// Starts a gateway in this process. Ports may be 0.
///
/// # Errors
/// [`StartError`] says what could not be opened or bound.
pub fn start(table: RouteTable) -> Result<Running, StartError> {
    let bound = Bound::bind(&table.gateway, None)?;
    start_on(table, bound)
}

/// Starts a gateway on sockets that are bound already.
pub(crate) fn start_on(table: RouteTable, bound: Bound) -> Result<Running, StartError> {
    for switch in table.insecure_switches() {
        tracing::warn!("insecure: {switch}");
    }
    let tls = edge_tls(&table)?;
    let counters = Arc::new(LogCounters::default());
    let (log, log_thread) = match &table.gateway.access_log {
        None => (None, None),
        Some(log) => {
            let (sender, thread) = access_log::start(log, counters.clone())
                .map_err(|error| StartError::new("the access log can't be opened", error))?;
            (Some(sender), Some(thread))
        }
    };
    let drain_timeout = table.gateway.drain_timeout;
    let Bound { addresses, ears, admin, admin_address } = bound;
    let hub = Hub::new(Snapshot::build(table, None), tls, log, counters, ears.len());
    let hub = Arc::new(hub);
    warn_of_broken_tls(&hub);
    let mut workers = Vec::new();
    for (number, ears) in ears.into_iter().enumerate() {
        let worker = worker::spawn(number, hub.clone(), ears);
        workers.push(worker.map_err(|error| StartError::new("a worker can't start", error))?);
    }
    let admin_thread = admin::spawn(hub.clone(), admin)
        .map_err(|error| StartError::new("the admin listener can't start", error))?;
    tracing::info!(?addresses, admin = %admin_address, workers = workers.len(), "serving");
    Ok(Running {
        addresses,
        admin: admin_address,
        hub,
        workers,
        admin_thread: Some(admin_thread),
        log_thread,
        drain_timeout,
    })
}

fn edge_tls(table: &RouteTable) -> Result<Option<Arc<ServerConfig>>, StartError> {
    let Some(tls) = &table.gateway.tls else { return Ok(None) };
    let config = tls::edge_config(tls)
        .map_err(|error| StartError::new("the edge's TLS can't be set up", error))?;
    Ok(Some(Arc::new(config)))
}

/// Reads every bank's certificates once, so that a broken one is known before its first call. It
/// stops nobody else: that bank alone is answered with an error.
fn warn_of_broken_tls(hub: &Hub) {
    for route in hub.snapshot.load().routes() {
        let https = |origin: &crate::routes::Origin| origin.scheme == crate::routes::Scheme::Https;
        if route.target.upstream.iter().any(https)
            && let Err(error) = hub.configs.get(&route.target)
        {
            tracing::error!(target_id = %route.target.id, %error, "this target can't be called");
        }
    }
}

impl Running {
    /// Drains and stops: accepts nothing new and finishes what is open; when the table's
    /// `drain_timeout` is over, refuses what still comes and soon cuts what is left.
    pub fn stop(mut self) {
        self.drain();
    }

    /// How it stands to new work.
    pub fn stage(&self) -> Stage {
        self.hub.stage()
    }

    /// Refuses all new requests at once, while open connections stay: the last stage of a drain.
    pub fn refuse(&self) {
        self.hub.advance(Stage::Refusing);
    }

    fn drain(&mut self) {
        self.hub.advance(Stage::Leaving);
        self.wait_for_workers(self.drain_timeout);
        self.hub.advance(Stage::Refusing);
        self.wait_for_workers(LAST_WORDS);
        self.hub.advance(Stage::Over);
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
        if let Some(admin) = self.admin_thread.take() {
            admin.stop();
        }
    }

    /// Waits until all workers are done, but no longer than `most`.
    fn wait_for_workers(&self, most: Duration) {
        let end = now() + most;
        while now() < end && !self.workers.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the last access line is on the disk. The log's thread ends when nobody can send
    /// to it any more.
    fn finish_log(&mut self) {
        if let (Some(thread), Some(hub)) = (self.log_thread.take(), Arc::get_mut(&mut self.hub)) {
            hub.log = None;
            if thread.join().is_err() {
                tracing::error!("the access log's thread panicked");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.workers.is_empty() {
            self.drain();
        }
        self.finish_log();
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge is where time is read")]
fn now() -> Instant {
    Instant::now()
}

/// So many workers as the table says, or one for each core.
fn worker_count(gateway: &crate::routes::Gateway) -> io::Result<usize> {
    match gateway.workers {
        Some(workers) => Ok(workers.get() as usize),
        None => std::thread::available_parallelism().map(std::num::NonZero::get),
    }
}
