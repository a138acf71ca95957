//! A world: one gateway, its simulated banks and its clients, for one test.
//!
//! This file decides how a world ends: the gateway is stopped, and then its access log, metrics and
//! status pages are searched for every secret of the test, and the log for a line for each answer.
//! It must not know what a test is about.

mod bank;
mod foreign;
mod notes;
mod pki;
mod program;
mod setup;
mod siege;

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use corgate::edge::Running;
use corgate::sim::bank::Bank;
use corgate::sim::client::{CallError, Client};
use http::Request;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle};

pub(crate) use self::bank::{Stub, bank, bank_with, closed_port, listening};
pub(crate) use self::foreign::{FOREIGN, Foreign, is_foreign, parameter};
pub(crate) use self::notes::Notes;
pub(crate) use self::pki::{
    client_config, client_config_of, client_id, entry, identity, pki, tls_of,
};
pub(crate) use self::program::{Program, Serving, tell};
pub(crate) use self::setup::Setup;
pub(crate) use self::siege::Siege;
use crate::answer::{Answer, Correlation};
use crate::ask::{Ask, Http};
use crate::wire::{PATIENCE, Wire};

/// The runtime that all clients of all worlds live on.
pub(crate) fn runtime() -> &'static Handle {
    static HANDLE: OnceLock<Handle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(pending::<()>()));
        handle
    })
}

/// Waits for a client's work. Tests are plain functions.
pub(crate) fn wait<F: Future>(work: F) -> F::Output {
    runtime().block_on(work)
}

/// Waits until something is so, and fails when it never is.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < end, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The time, to measure how long something took.
#[expect(clippy::disallowed_methods, reason = "tests measure")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// One gateway and its bank.
pub(crate) struct World {
    /// The bank [`crate::ask::BANK`].
    pub(crate) bank: Bank,
    notes: Notes,
    running: Option<Running>,
    folder: TempDir,
}

impl World {
    /// A world with nothing special about it.
    pub(crate) fn new() -> Self {
        Setup::new().start()
    }

    /// Where the gateway's listeners are, in the order of the table, TLS first.
    pub(crate) fn address(&self, number: usize) -> SocketAddr {
        self.running().addresses[number]
    }

    /// Stops the gateway before the world's end, as a signal would.
    pub(crate) fn stop(&mut self) {
        self.running.take().expect("stopped twice").stop();
    }

    /// The same, while the test goes on.
    pub(crate) fn stop_meanwhile(&mut self) -> std::thread::JoinHandle<()> {
        let running = self.running.take().expect("stopped twice");
        std::thread::spawn(move || running.stop())
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("stopped")
    }

    pub(crate) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// A client of its own connection, with the certificate of [`client_id`] `number`.
    pub(crate) fn client(&self, http: Http, number: usize) -> Caller {
        self.client_with(http, Client::tls(self.address(0), tls_of(number)))
    }

    /// A client that is set up by the test.
    pub(crate) fn client_with(&self, http: Http, client: Client) -> Caller {
        let client = if http == Http::Two { client.http2() } else { client };
        Caller { client: client.timeout(PATIENCE), notes: self.notes.clone() }
    }

    /// One call on a connection of its own.
    #[track_caller]
    pub(crate) fn call(&self, http: Http, ask: Ask) -> Answer {
        self.client(http, 1).call(ask)
    }

    /// A connection to write any bytes on.
    pub(crate) fn wire(&self) -> Wire {
        self.wire_of(1)
    }

    /// The same, of another client.
    pub(crate) fn wire_of(&self, number: usize) -> Wire {
        let client = Client::tls(self.address(0), tls_of(number));
        Wire::new(wait(client.raw()).expect("no connection"), self.notes.clone())
    }

    /// The bank has received so many requests, no more and no less.
    #[track_caller]
    pub(crate) fn bank_heard(&self, count: usize) {
        assert_eq!(self.bank.requests().len(), count, "{:#?}", self.bank.requests());
    }

    /// What the admin listener answers.
    pub(crate) fn admin(&self, path: &str) -> (u16, String) {
        let mut client = Client::plain(self.running().admin).timeout(PATIENCE);
        let request = Request::get(path).body(Bytes::new()).unwrap();
        let answer = wait(client.call(request)).expect("the admin listener does not answer");
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        (answer.status().as_u16(), text)
    }

    /// A file of the world: `routes.toml`, `edge.pem`, …
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes a file as careful people do: a new one takes the old one's name.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let new = self.file(&format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.file(name)).unwrap();
    }

    /// Changes a text in `routes.toml`, which must be there.
    #[track_caller]
    pub(crate) fn rewrite(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.file("routes.toml")).unwrap();
        assert!(text.contains(from), "no {from} in {text}");
        self.write("routes.toml", &text.replace(from, to));
    }

    /// Asks the admin listener for a reload.
    pub(crate) fn reload(&self) -> (u16, Value) {
        let request = Request::post("/reload").header("X-Corgate-Admin", "1");
        self.ask_admin(request.body(Bytes::new()).unwrap())
    }

    /// Asks it for a page of JSON.
    pub(crate) fn page_of(&self, path: &str) -> (u16, Value) {
        self.ask_admin(Request::get(path).body(Bytes::new()).unwrap())
    }

    fn ask_admin(&self, request: Request<Bytes>) -> (u16, Value) {
        let mut client = Client::plain(self.running().admin).timeout(PATIENCE);
        let answer = wait(client.call(request)).expect("the admin listener does not answer");
        let json = serde_json::from_slice(answer.body()).unwrap_or_default();
        (answer.status().as_u16(), json)
    }

    /// The same, or nothing where the test has stopped the gateway already.
    fn page(&self, path: &str) -> String {
        self.running.as_ref().map_or_else(String::new, |_| self.admin(path).1)
    }

    /// One counter or gauge of `/metrics`; 0 where it is not there.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let (_, text) = self.admin("/metrics");
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value).unwrap_or(0)
    }

    /// Waits until a counter or gauge has this value: some are counted behind the answer.
    #[track_caller]
    pub(crate) fn counts(&self, series: &str, count: u64) {
        let what = format!("{series} = {count}");
        until(&what, || (self.metric(series) == count).then_some(()));
    }

    /// Waits until a counter has come so far.
    #[track_caller]
    pub(crate) fn counts_at_least(&self, series: &str, count: u64) {
        let what = format!("{series} >= {count}");
        until(&what, || (self.metric(series) >= count).then_some(()));
    }

    /// The access lines so far. A worker hands them out at its ticks.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).expect("no JSON")).collect()
    }

    /// The first access line that is as a test wants it.
    #[track_caller]
    pub(crate) fn line(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        until("the access line", || self.lines().into_iter().find(&wanted))
    }

    /// The access line of an answer.
    #[track_caller]
    pub(crate) fn line_of(&self, answer: &Answer) -> Value {
        self.line(|line| line["correlation_id"] == answer.correlation().as_str())
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("access log:\n{}", std::fs::read_to_string(self.log_path()).unwrap());
            return;
        }
        let pages = ["/metrics", "/banks"].map(|path| (path, self.page(path)));
        drop(self.running.take());
        let log = std::fs::read_to_string(self.log_path()).unwrap();
        self.notes.check_lines(&log);
        self.notes.check_silence("the access log", &log);
        for (path, page) in pages {
            self.notes.check_silence(path, &page);
        }
        notes::check_tracing(&self.notes);
    }
}

/// A client with one connection.
pub(crate) struct Caller {
    client: Client,
    notes: Notes,
}

impl Caller {
    /// Makes a call that must be answered.
    #[track_caller]
    pub(crate) fn call(&mut self, ask: Ask) -> Answer {
        self.try_call(ask).expect("no answer")
    }

    /// Makes a call that may not be answered.
    #[track_caller]
    pub(crate) fn try_call(&mut self, ask: Ask) -> Result<Answer, CallError> {
        self.notes.learn_ask(&ask);
        let response = wait(self.client.call(ask.request()))?;
        let sent = Correlation::Sent(ask.correlation());
        Ok(Answer::take(response, &sent, &self.notes))
    }

    /// Makes a call meanwhile; joining the thread gives its answer.
    pub(crate) fn call_meanwhile(mut self, ask: Ask) -> std::thread::JoinHandle<Answer> {
        std::thread::spawn(move || self.call(ask))
    }

    /// Makes a call and hangs up after `after`, answered or not.
    pub(crate) fn call_and_leave(mut self, ask: Ask, after: Duration) {
        self.notes.learn_ask(&ask);
        self.client = self.client.timeout(after);
        drop(wait(self.client.call(ask.request())));
    }

    /// Ends the connection; the next call opens another.
    pub(crate) fn close(&mut self) {
        self.client.close();
    }
}
