//! What a world remembers until its end: its secrets, and the answers that must have a line.
//!
//! This file decides what is a secret: every parameter's value but a few public ones, every
//! `Authorization`, every token that a bank gave out, in clear and as it was encoded. It must not
//! know where secrets may leak to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use memchr::memmem;
use serde_json::Value;

use crate::ask::Ask;

/// Values shorter than this could stand in a log by chance.
const SECRET_BYTES_MIN: usize = 8;
/// Parameters that are no secrets.
const PUBLIC: [&str; 8] = [
    "client_id",
    "grant_type",
    "padding",
    "provider_id",
    "redirect_uri",
    "resource",
    "target",
    "token_type_hint",
];

/// The notes of a world, shared by all that talk in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    secrets: BTreeSet<Vec<u8>>,
    lines: Vec<(String, u16)>,
    faults: Vec<(String, String)>,
}

impl Notes {
    /// This must never be logged.
    pub(crate) fn learn(&self, secret: impl AsRef<[u8]>) {
        let secret = secret.as_ref();
        // A grant's name may be learned from a trailer or a torn form; it is in every manual.
        let is_word = secret == b"authorization_code" || secret == b"refresh_token";
        if secret.len() >= SECRET_BYTES_MIN && !is_word {
            self.0.lock().unwrap().secrets.insert(secret.to_owned());
        }
    }

    pub(crate) fn learn_ask(&self, ask: &Ask) {
        self.learn_form(&ask.body);
        for value in ask.values("Authorization") {
            self.learn(value.split(|byte| *byte == b' ').next_back().unwrap_or_default());
        }
        if let Some((_, query)) = ask.target.split_once('?') {
            self.learn_form(query.as_bytes());
        }
        for name in ["Cookie", "X-Secret"] {
            ask.values(name).into_iter().for_each(|value| self.learn(value));
        }
    }

    /// Learns from bytes that look like a request, however broken.
    pub(crate) fn learn_request(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        text.lines()
            .filter(|line| line.contains('='))
            .for_each(|line| self.learn_form(line.as_bytes()));
    }

    fn learn_form(&self, body: &[u8]) {
        for pair in body.split(|byte| *byte == b'&') {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(at);
            let value = value.get(1..).unwrap_or_default();
            if !PUBLIC.iter().any(|public| public.as_bytes() == name) {
                self.learn(value);
                self.learn(decoded(value));
            }
        }
    }

    pub(crate) fn learn_answer(&self, body: &[u8]) {
        let Ok(json) = serde_json::from_slice::<Value>(body) else { return };
        for name in ["access_token", "refresh_token"] {
            json[name].as_str().into_iter().for_each(|token| self.learn(token));
        }
    }

    /// An answer has its line.
    pub(crate) fn expect_line(&self, correlation: &str, status: u16) {
        self.0.lock().unwrap().lines.push((correlation.to_owned(), status));
    }

    /// And that line names this fault.
    pub(crate) fn expect_fault(&self, correlation: &str, fault: &str) {
        self.0.lock().unwrap().faults.push((correlation.to_owned(), fault.to_owned()));
    }

    /// Each answer has exactly one line with its status, and each line is whole.
    pub(crate) fn check_lines(&self, log: &str) {
        let book = self.0.lock().unwrap();
        let lines: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect();
        let mut found: BTreeMap<(&str, u64), i32> = BTreeMap::new();
        for line in &lines {
            for name in ["time", "correlation_id", "peer", "protocol"] {
                assert!(line[name].is_string(), "no {name}: {line}");
            }
            for name in ["status", "bytes_in", "bytes_out", "duration_us"] {
                assert!(line[name].is_u64(), "no {name}: {line}");
            }
            let id = line["correlation_id"].as_str().unwrap();
            *found.entry((id, line["status"].as_u64().unwrap())).or_default() += 1;
        }
        let mut wanted: BTreeMap<(&str, u64), i32> = BTreeMap::new();
        for (id, status) in &book.lines {
            *wanted.entry((id, u64::from(*status))).or_default() += 1;
        }
        for (key, count) in wanted {
            assert_eq!(found.get(&key), Some(&count), "lines for {key:?} in\n{log}");
        }
        for (id, fault) in &book.faults {
            let named = |line: &&Value| line["correlation_id"] == id.as_str();
            let logged = lines.iter().filter(named).any(|line| line["fault"] == fault.as_str());
            assert!(logged, "no {fault} for {id} in\n{log}");
        }
    }

    /// None of the secrets stands in `text`.
    pub(crate) fn check_silence(&self, place: &str, text: &str) {
        for secret in &self.0.lock().unwrap().secrets {
            let shown = String::from_utf8_lossy(secret);
            assert!(memmem::find(text.as_bytes(), secret).is_none(), "{shown} stands in {place}");
        }
    }
}

/// A percent-encoded value, decoded as far as it can be.
fn decoded(value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = value;
    while let Some((first, tail)) = rest.split_first() {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    bytes
}

/// What the gateway says to its operator, of all worlds of the process.
#[derive(Clone, Default)]
struct Tracing(Arc<Mutex<Vec<u8>>>);

impl io::Write for Tracing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static TRACING: OnceLock<Tracing> = OnceLock::new();

/// Collects what is traced, at every level that corgate has.
pub(super) fn listen() {
    TRACING.get_or_init(|| {
        let sink = Tracing::default();
        let writer = sink.clone();
        tracing_subscriber::fmt()
            .with_env_filter("corgate=trace,info")
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        sink
    });
}

/// No secret was traced.
pub(super) fn check_tracing(notes: &Notes) {
    let text = TRACING.get().expect("nobody listens").0.lock().unwrap().clone();
    notes.check_silence("the diagnostic log", &String::from_utf8_lossy(&text));
}
