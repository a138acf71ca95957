//! The edge: the only floor that names tokio, hyper, tower, rustls and pingora.
//!
//! [`start`] brings a table to life in this process: sockets, workers, the admin listener, the
//! access log. [`chassis`] does the same inside of pingora's server, which carries the process.

mod access_log;
mod admin;
mod admission;
mod asked;
mod body;
mod buffered;
pub mod chassis;
mod checked;
mod clients;
mod clock;
mod commons;
mod connection;
mod counted;
mod cut;
mod doors;
mod estate;
mod flights;
mod forward;
mod gateway;
mod given;
mod guard;
mod guests;
mod handover;
mod hands;
mod handshakes;
mod held;
mod hello;
mod housekeeping;
mod hub;
mod journal;
mod last_good;
mod line_queue;
mod local;
mod local_failure;
mod meters;
mod metrics;
pub mod names;
mod notify;
mod plug;
pub mod process_log;
mod progress;
mod reload;
mod reusable;
mod run_dir;
pub mod signals;
mod sockets;
mod standing;
mod stay;
mod successor;
mod supervised;
mod tls;
mod untaken;
mod watch;
mod worker;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use access_log::LogCounters;
pub use checked::{Checked, check};
use estate::Estate;
pub use given::{Given, load};
use housekeeping::Housekeeping;
use hub::Hub;
pub use hub::Stage;
use reload::{ReloadThread, Texts};
use sockets::Bound;
use standing::Now;
use tls::{EdgeSide, Shelf};
use tokio::signal::unix::Signal;

use crate::deadline::later;
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
    /// Copies of the listening sockets.
    estate: Arc<Estate>,
    admin_thread: Option<admin::AdminThread>,
    log_thread: Option<JoinHandle<()>>,
    reload_thread: Option<ReloadThread>,
    _journal: Option<journal::Kept>,
    /// It ends with this.
    _housekeeping: Housekeeping,
}

/// Starts a gateway in this process. Ports may be 0.
///
/// # Errors
/// [`StartError`] says what could not be opened or bound.
pub fn start(given: impl Into<Given>) -> Result<Running, StartError> {
    start_with(given.into(), Arc::default())
}

/// Starts a gateway that uses, and leaves, these sockets.
fn start_with(given: Given, estate: Arc<Estate>) -> Result<Running, StartError> {
    let bound = Bound::bind(&given.table.gateway, &estate)?;
    let Given { table, aside, config, names, good, included, predecessor } = given;
    for switch in table.insecure_switches() {
        tracing::warn!("insecure: {switch}");
    }
    let shelf = Shelf::new(unix_now());
    let tls = edge_tls(&table, &shelf)?;
    let counters = Arc::new(LogCounters::default());
    let (log, log_thread) = match &table.gateway.access_log {
        None => (None, None),
        Some(log) => {
            let (sender, thread) = access_log::start(log, counters.clone())
                .map_err(|error| StartError::new("the access log can't be opened", error))?;
            (Some(sender), Some(thread))
        }
    };
    let Bound { addresses, ears, admin, admin_address } = bound;
    let (snapshot, journal) = journal::open(Snapshot::build(table, None))?;
    let hub = Arc::new(Hub::new(snapshot, tls, log, counters, names, ears.len()));
    let _ = hub.commons.own.set(addresses.iter().copied().chain([admin_address]).collect());
    if let Some(predecessor) = predecessor {
        hub.flights.set_predecessor(predecessor);
    }
    read_banks_tls(&hub, &shelf);
    stand(&hub, aside);
    let reload_thread = match &config {
        None => None,
        Some(config) => Some(
            reload::spawn(hub.clone(), config, Texts { good, included })
                .map_err(|error| StartError::new("the reload thread can't start", error))?,
        ),
    };
    let mut workers = Vec::new();
    for (number, ears) in ears.into_iter().enumerate() {
        let worker = worker::spawn(number, hub.clone(), ears);
        workers.push(worker.map_err(|error| StartError::new("a worker can't start", error))?);
    }
    let admin_thread = admin::spawn(hub.clone(), admin)
        .map_err(|error| StartError::new("the admin listener can't start", error))?;
    let housekeeping = housekeeping::spawn(&hub)
        .map_err(|error| StartError::new("the housekeeping thread can't start", error))?;
    let process = std::process::id();
    let workers_count = workers.len();
    tracing::info!(process, ?addresses, admin = %admin_address, workers = workers_count, "serving");
    Ok(Running {
        addresses,
        admin: admin_address,
        hub,
        workers,
        estate,
        admin_thread: Some(admin_thread),
        log_thread,
        reload_thread,
        _journal: journal,
        _housekeeping: housekeeping,
    })
}

fn edge_tls(table: &RouteTable, shelf: &Shelf) -> Result<Option<Arc<EdgeSide>>, StartError> {
    let Some(tls) = &table.gateway.tls else { return Ok(None) };
    let side = EdgeSide::build(tls, shelf, None, None)
        .map_err(|error| StartError::new("the edge's TLS can't be set up", error))?;
    side.tell(None);
    Ok(Some(side))
}

/// Reads every bank's certificates once, so that a broken one is known before its first call. It
/// stops nobody else: that bank alone is answered with an error.
fn read_banks_tls(hub: &Hub, shelf: &Shelf) {
    let snapshot = hub.snapshot.load();
    let staged = hub.configs.stage(snapshot.table.targets.values(), shelf, None);
    for target in snapshot.table.targets.values() {
        if let Some(error) =
            clients::setting(target).and_then(|setting| staged.broken.get(&setting))
        {
            tracing::error!(target_id = %target.id, %error, "this target can't be called");
        }
    }
    hub.configs.replace(staged);
}

/// Notes what the first generation is made of.
fn stand(hub: &Hub, aside: Vec<reload::Aside>) {
    let mut papers = hub.configs.papers();
    if let Some(side) = Option::as_ref(&hub.tls.load()) {
        papers.append(&side.papers);
    }
    let now = unix_now();
    let ended = |paper: &&tls::Paper| paper.not_after.is_some_and(|end| end < now);
    for paper in papers.iter().filter(ended) {
        let (file, role, until) = (paper.file.display(), paper.role, paper.end());
        tracing::error!(%file, role, until, "its time is over");
    }
    hub.standing.set_now(Now { good_at: now, aside, waiting: Vec::new(), papers });
    hub.standing.take_up();
}

impl Running {
    /// Drains and stops: accepts nothing new and finishes what is open; when the table's
    /// `drain_timeout` is over, refuses what still comes and soon cuts what is left.
    pub fn stop(mut self) {
        self.drain();
    }

    /// What reloads it at each SIGHUP; nothing where its table is in no file.
    fn hangups(&self, hangups: Signal) -> Option<impl Future<Output = ()> + Send + use<>> {
        let reloader = self.hub.reloader.get().cloned()?;
        let hub = self.hub.clone();
        Some(reload::reload_on_hangup(reloader, hangups, move || hub.stage().is_leaving()))
    }

    /// What opens the access log anew at each SIGUSR1; nothing where there is none.
    fn reopens(&self, mut asked: Signal) -> Option<impl Future<Output = ()> + Send + use<>> {
        let log = self.hub.log.clone()?;
        Some(async move {
            while asked.recv().await.is_some() {
                tracing::info!("the access log is opened anew");
                log.reopen();
            }
        })
    }

    /// How it stands to new work.
    pub fn stage(&self) -> Stage {
        self.hub.stage()
    }

    /// Refuses all new requests at once, while open connections stay: the last stage of a drain.
    pub fn refuse(&self) {
        self.hub.advance(Stage::Refusing);
    }

    /// The sockets are somebody else's too, who serves: there is no hurry to tell anybody.
    fn is_succeeded(&self) -> bool {
        self.estate.is_succeeded()
    }

    /// How often each worker has tidied up.
    fn rounds(&self) -> Vec<u64> {
        self.hub.meters.each(|worker| &worker.rounds)
    }

    /// Whether another process serves on our sockets: then nothing may be done to them either.
    fn share_sockets(&self, shared: bool) {
        self.hub.handed_over.store(shared, Ordering::Release);
        self.estate.set_succeeded(shared);
    }

    fn drain(&mut self) {
        let (delay, drain_timeout) = {
            let gateway = &self.hub.snapshot.load().table.gateway;
            (gateway.drain_delay, gateway.drain_timeout)
        };
        if !self.is_succeeded() {
            self.hub.advance(Stage::Unready);
            // What has failed is nothing to be sent on to: whoever waits there waits for nobody.
            let delay = if self.hub.has_failed() { Duration::ZERO } else { delay };
            std::thread::sleep(delay);
        } else if let Some(admin) = self.admin_thread.take() {
            // Who asks for the state of things has to reach the one that stays.
            admin.stop();
        }
        // Reloads go on to the end: who is out is out.
        self.estate.close();
        self.hub.advance(Stage::Leaving);
        self.wait_for_workers(drain_timeout);
        self.hub.advance(Stage::Refusing);
        self.wait_for_workers(LAST_WORDS);
        self.hub.advance(Stage::Over);
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
        if let Some(reload) = self.reload_thread.take() {
            reload.stop();
        }
        if let Some(admin) = self.admin_thread.take() {
            admin.stop();
        }
    }

    /// Waits until all workers are done, but no longer than `most`.
    fn wait_for_workers(&self, most: Duration) {
        let end = later(now(), most);
        while now() < end && !self.workers.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the last access line is on the disk, but not for a disk that hangs or a pipe
    /// that nobody reads. The workers are gone; whoever else still has the hub, such as a reload
    /// that hangs, is not waited for.
    fn finish_log(&mut self) {
        let (Some(thread), Some(log)) = (self.log_thread.take(), &self.hub.log) else { return };
        log.end(thread);
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

/// The time of day, in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the edge is where time is read")]
fn unix_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}

/// So many workers as the table says, or one for each core.
fn worker_count(gateway: &crate::routes::Gateway) -> io::Result<usize> {
    match gateway.workers {
        Some(workers) => Ok(workers.get() as usize),
        None => std::thread::available_parallelism().map(std::num::NonZero::get),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{MemorySources, load};

    #[test]
    fn the_log_is_finished_also_when_somebody_keeps_the_hub() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let text = format!(
            "[gateway]\ninsecure_plain_listen = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\n\
             workers = 1\ninsecure_header_identity = true\n[gateway.access_log]\npath = {path:?}\n\
             [[api]]\ncontract = 'blink-fi'\nbase_path = '/v'\n"
        );
        let sources = MemorySources::default().file("routes.toml", &text);
        let table = load("routes.toml".as_ref(), &sources).unwrap().table;
        let running = start(table).unwrap();
        // As a reload that hangs does.
        let kept = running.hub.clone();
        let lines = access_log::LogBuffer::new(kept.log.clone());
        lines.line(|out| out.extend_from_slice(b"last\n"));
        lines.flush();
        running.stop();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!(count(&kept.log_counters.written), 1);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "last\n");
        // Nobody writes any more.
        lines.line(|out| out.extend_from_slice(b"too late\n"));
        lines.flush();
        assert_eq!(count(&kept.log_counters.dropped), 1);
    }
}
