//! What a simulated party answers, and how it misbehaves in doing so.
//!
//! This file decides what can be said. It must not know how it is written on the wire.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

/// A status, fields and a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The fields, in order; framing fields are added by the wire.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// An answer without fields and body.
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Replaces a field, or adds it.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self.with(name, value)
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// How the answer travels. Over HTTP/2, what only HTTP/1.1 can express is a reset stream, or is
/// left out where nothing like it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// As it should.
    Whole,
    /// The head at once, the body byte by byte with this pause.
    Drip(Duration),
    /// A Content-Length above the body's, then the end of the connection.
    Truncated,
    /// More bytes than the answer has.
    Surplus(Bytes),
    /// Whole; then the connection is closed, which the head did not announce.
    ThenClosed,
    /// These bytes first.
    Preceded(Bytes),
    /// These bytes instead of the answer, then the end of the connection.
    Replaced(Bytes),
    /// Half of the head, then a TCP reset.
    ResetMidHead,
    /// A TCP reset instead of an answer.
    Reset,
    /// Nothing, for ever.
    Never,
}

/// An answer, when it comes and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// How long the party thinks.
    pub wait: Duration,
    /// What it says.
    pub answer: Answer,
    /// How it says it.
    pub delivery: Delivery,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { wait: Duration::ZERO, answer, delivery: Delivery::Whole }
    }
}
