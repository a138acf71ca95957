//! What a simulated server remembers of its callers.
//!
//! This file decides what is kept of a request, and for how long. It must not know how requests
//! are read or answered.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::{Party, Reply};
use crate::ids::Fingerprint;
use crate::sim::lock;

/// A request as it was received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Received {
    /// The how-many-eth connection it came on, from 1.
    pub connection: u64,
    /// The client certificate that the connection was opened with.
    #[serde(serialize_with = "as_text")]
    pub certificate: Option<Fingerprint>,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// The method.
    pub method: String,
    /// The request target: path and query.
    pub path: String,
    /// The fields in order, with names as they were written.
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(serialize_with = "as_lossy_text")]
    pub body: Bytes,
}

impl Received {
    /// The value of a field, if there is exactly one.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.header_all(name).as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Every value of a field.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        let named = |(present, _): &&(String, String)| present.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, value)| value.as_str()).collect()
    }
}

fn as_text<S: Serializer>(
    certificate: &Option<Fingerprint>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match certificate {
        Some(certificate) => serializer.collect_str(certificate),
        None => serializer.serialize_none(),
    }
}

fn as_lossy_text<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}

/// What the connections of a server share: who answers, and the journal.
pub(super) struct House {
    party: Arc<dyn Party>,
    journal: Mutex<VecDeque<Received>>,
    journal_max: usize,
    connections: AtomicU64,
}

impl House {
    pub(super) fn new(party: Arc<dyn Party>, journal_max: usize) -> Self {
        let (journal, connections) = (Mutex::default(), AtomicU64::new(0));
        Self { party, journal, journal_max, connections }
    }

    /// Writes the request down, then has it answered.
    pub(super) fn answer(&self, request: Received) -> Reply {
        let reply = self.party.answer(&request);
        if self.journal_max > 0 {
            let mut journal = lock(&self.journal);
            if journal.len() == self.journal_max {
                journal.pop_front();
            }
            journal.push_back(request);
        }
        reply
    }

    /// Counts a connection and gives it its number.
    pub(super) fn number_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn requests(&self) -> Vec<Received> {
        lock(&self.journal).iter().cloned().collect()
    }

    pub(super) fn clear(&self) {
        lock(&self.journal).clear();
    }

    /// Forgets the journal and the party's state.
    pub(super) fn reset(&self) {
        self.clear();
        self.party.reset();
    }
}

/// One open connection, as far as its requests are concerned.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) certificate: Option<Fingerprint>,
    pub(super) house: Arc<House>,
}
