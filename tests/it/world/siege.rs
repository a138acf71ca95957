//! A siege: the program in a process of its own, attacked while well-behaved clients go on calling.
//!
//! This file decides what every attack is measured by (the common criterion): the process lives and
//! says nothing of a panic, its neighbours see no error and wait less than a second, the next good
//! request is answered within a second, connections and memory are back where they were. It must
//! not know what the attack is.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use corgate::sim::bank::Bank;
use corgate::sim::client::Client;
use http::Request;
use tempfile::TempDir;

use super::{Caller, Notes, Serving, Setup, client_id, now, tell, tls_of, until, wait};
use crate::ask::{Ask, Http};
use crate::h2::Frames;
use crate::wire::{PATIENCE, Wire};

/// The client that attacks is 1; this one is its neighbour.
const NEIGHBOUR: usize = 2;
/// How long a neighbour may wait for an answer, all but the slowest of a hundred.
const NEIGHBOUR_WAITS: Duration = Duration::from_secs(1);
/// How soon the next good request is answered.
const SOON: Duration = Duration::from_secs(1);
/// How much more memory an attack may take while it lasts.
const MORE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How much of it may stay: a tenth of what there was, and what an allocator keeps for later.
const KEPT_BYTES_MAX: u64 = 12 * 1024 * 1024;

/// A gateway under attack.
pub(crate) struct Siege {
    pub(crate) bank: Bank,
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    notes: Notes,
    folder: TempDir,
}

/// A well-behaved client that calls without pause until it is told to stop.
struct Neighbour {
    stop: Arc<AtomicBool>,
    calls: JoinHandle<Vec<Duration>>,
}

impl Siege {
    pub(crate) fn start(setup: Setup) -> Self {
        Self::start_with(setup, "unlimited")
    }

    /// One that has so many descriptors.
    pub(crate) fn start_with(setup: Setup, descriptors: &str) -> Self {
        super::notes::listen();
        let folder = tempfile::tempdir().unwrap();
        let setup = setup.and_client(NEIGHBOUR, "targets = [\"*\"]");
        let bank = setup.write(folder.path());
        let limit = match descriptors {
            "unlimited" => String::new(),
            number => format!("ulimit -n {number}; "),
        };
        let errors = fs::File::create(folder.path().join("stderr")).unwrap();
        let child = Command::new("sh")
            .args(["-c", &format!("{limit}exec \"$0\" --log-format json run --config routes.toml")])
            .arg(env!("CARGO_BIN_EXE_corgate"))
            .current_dir(folder.path())
            .stderr(errors)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let said = || fs::read_to_string(folder.path().join("stderr")).unwrap();
        let Serving { address, admin, .. } = until("it serves", || Serving::all(&said()).pop());
        let ready = || {
            let request = Request::get("/readyz").body(Bytes::new()).unwrap();
            let answer = wait(Client::plain(admin).call(request)).ok()?;
            (answer.status() == 200).then_some(())
        };
        until("it is ready", ready);
        Self { bank, child, address, admin, notes: Notes::default(), folder }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client of its own connection, that attacks.
    pub(crate) fn client(&self, http: Http) -> Caller {
        self.caller(http, 1)
    }

    /// The same, of another client.
    pub(crate) fn caller(&self, http: Http, number: usize) -> Caller {
        let client = Client::tls(self.address, tls_of(number)).timeout(PATIENCE);
        let client = if http == Http::Two { client.http2() } else { client };
        Caller { client, notes: self.notes.clone() }
    }

    /// A connection to write any bytes on.
    pub(crate) fn wire(&self) -> Wire {
        let client = Client::tls(self.address, tls_of(1));
        Wire::new(wait(client.raw()).expect("no connection"), self.notes.clone())
    }

    /// A connection to write any frames on.
    pub(crate) fn frames(&self) -> Frames {
        Frames::open_at(self.address, &self.notes)
    }

    /// One counter or gauge of `/metrics`; 0 where it is not there.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        self.metrics().lines().find_map(value).unwrap_or(0)
    }

    /// All of `/metrics`.
    pub(crate) fn metrics(&self) -> String {
        let mut client = Client::plain(self.admin).timeout(PATIENCE);
        let answer = wait(client.call(Request::get("/metrics").body(Bytes::new()).unwrap()));
        let answer = answer.expect("the admin listener does not answer");
        String::from_utf8(answer.body().to_vec()).unwrap()
    }

    /// Waits until a counter or gauge has this value.
    #[track_caller]
    pub(crate) fn counts(&self, series: &str, count: u64) {
        until(&format!("{series} = {count}"), || (self.metric(series) == count).then_some(()));
    }

    /// What the process holds in memory.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it died");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// How much processor time it has used.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = |at: usize| fields.split(' ').nth(at).unwrap().parse::<u64>().unwrap();
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// Attacks, and holds the gateway to the common criterion.
    #[track_caller]
    pub(crate) fn withstands(&self, attack: impl FnOnce()) {
        self.withstands_with(MORE_BYTES_MAX, attack);
    }

    /// The same, with another bound for memory during the attack.
    #[track_caller]
    pub(crate) fn withstands_with(&self, more_bytes_max: u64, attack: impl FnOnce()) {
        let neighbours = [self.neighbour(Http::One), self.neighbour(Http::Two)];
        self.warm(neighbours.len());
        let before = self.resident();
        let most = self.watch_memory();
        attack();
        let started = now();
        self.caller(Http::One, 1).call(Ask::token()).good();
        assert!(started.elapsed() < SOON, "the next call took {:?}", started.elapsed());
        let most = most.finish();
        let more = most.saturating_sub(before);
        assert!(more <= more_bytes_max, "{before} bytes became {most}");
        for neighbour in neighbours {
            neighbour.finish();
        }
        self.counts("corgate_connections_open", 0);
        let kept = before + before / 10 + KEPT_BYTES_MAX;
        // An allocator gives pages back when it is asked for some, so calls go on.
        let mut client = self.caller(Http::One, 1);
        until("the memory is back", || {
            client.call(Ask::token()).good();
            (self.resident() <= kept).then_some(())
        });
    }

    /// The neighbours have been served, so that what is made once is made.
    fn warm(&self, neighbours: usize) {
        until("the neighbours are served", || {
            (self.bank.requests().len() >= 50 * neighbours).then_some(())
        });
    }

    fn neighbour(&self, http: Http) -> Neighbour {
        let mut caller = self.caller(http, NEIGHBOUR);
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let calls = std::thread::spawn(move || {
            let mut waited = Vec::new();
            while !told.load(Ordering::Relaxed) {
                let started = now();
                caller.call(Ask::token().client(&client_id(NEIGHBOUR))).good();
                waited.push(started.elapsed());
                std::thread::sleep(Duration::from_millis(4));
            }
            waited
        });
        Neighbour { stop, calls }
    }

    fn watch_memory(&self) -> Watcher {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, file) = (stop.clone(), format!("/proc/{}/statm", self.child.id()));
        let most = std::thread::spawn(move || {
            let mut most = 0;
            while !told.load(Ordering::Relaxed) {
                let statm = fs::read_to_string(&file).unwrap_or_default();
                let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
                most = most.max(pages.unwrap_or(0) * 4096);
                std::thread::sleep(Duration::from_millis(10));
            }
            most
        });
        Watcher { stop, most }
    }
}

/// Looks at the memory of a process until it is told to stop.
struct Watcher {
    stop: Arc<AtomicBool>,
    most: JoinHandle<u64>,
}

impl Watcher {
    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.most.join().unwrap()
    }
}

impl Neighbour {
    /// It saw no error, and hardly ever waited.
    #[track_caller]
    fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        let mut waited = self.calls.join().expect("a neighbour saw an error");
        waited.sort();
        let slowest = waited[(waited.len() * 99 / 100).min(waited.len() - 1)];
        assert!(slowest < NEIGHBOUR_WAITS, "a neighbour waited {slowest:?}");
    }
}

impl Drop for Siege {
    fn drop(&mut self) {
        let told = tell(self.child.id(), "TERM");
        let left = std::thread::panicking() || !told;
        if left {
            let _ = self.child.kill();
        }
        let ended = self.child.wait().unwrap();
        let errors = fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default();
        if left {
            eprintln!("{errors}");
            return;
        }
        assert!(ended.success(), "it ended with {ended}:\n{errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        let log = fs::read_to_string(self.folder.path().join("access.log")).unwrap();
        self.notes.check_lines(&log);
        self.notes.check_silence("the access log", &log);
        self.notes.check_silence("the diagnostic log", &errors);
    }
}
