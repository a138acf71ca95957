//! The record of an exchange: what the access line and the counters say about it.
//!
//! This file decides what may be told, by type: ids from the registry, names from contracts, codes,
//! numbers. There is no field that a token, a code, a username or a secret could get into. It must
//! not know where lines go, and it reads no clock.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::answer::{Answer, Source};
use crate::callers::Caller;
use crate::contract::Operation;
use crate::dialect::Oddity;
use crate::fault::{Fault, LimitScope};
use crate::ids::CorrelationId;
use crate::snapshot::Route;
use crate::trace_context::TraceId;

/// The status that the log gives an exchange whose caller left before the answer (nginx's custom).
pub const STATUS_CLIENT_GONE: u16 = 499;

/// What happened on the way to the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trail {
    /// Which of the target's addresses, counted from 0.
    pub endpoint: Option<usize>,
    /// Whether the connection had been used before.
    pub reused: bool,
    /// Connections that were tried, the good one included.
    pub dials: u32,
    /// From the moment the stack was asked until the answer was whole, or the fault.
    pub duration: Option<Duration>,
    /// The bank's own status.
    pub status: Option<StatusCode>,
}

/// A correlation id that broke its rule: never echoed, forwarded or written, only measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedId {
    /// Its length in bytes.
    pub bytes: usize,
    /// The first four bytes of its SHA-256, to find the same one again.
    pub hash: u32,
}

/// All that is known of one exchange, gathered along the walk.
#[derive(Debug, Default)]
pub struct Record<'s> {
    /// The correlation id that the answer carries.
    pub correlation: Option<CorrelationId>,
    /// Set when the caller's own was refused.
    pub refused_id: Option<RefusedId>,
    /// The operation.
    pub operation: Option<&'s Operation>,
    /// The caller.
    pub caller: Option<&'s Arc<Caller>>,
    /// The route.
    pub route: Option<&'s Arc<Route>>,
    /// The limit that would have refused, but runs in shadow.
    pub shadow: Option<LimitScope>,
    /// The trace that was started for the bank.
    pub trace: Option<TraceId>,
    /// The trace that the caller named.
    pub caller_trace: Option<TraceId>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// The way to the bank.
    pub trail: Trail,
    /// What was odd in the bank's answer.
    pub oddity: Option<Oddity>,
    /// Why the gateway refused.
    pub fault: Option<Fault>,
    /// The answer's status; none when there was no one to answer.
    pub status: Option<StatusCode>,
    /// Who made the answer.
    pub source: Option<Source>,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
}

/// What the connection adds to a line.
#[derive(Debug, Clone, Copy)]
pub struct Connection<'a> {
    /// The caller's address, as text.
    pub peer: &'a str,
    /// `http/1.0`, `http/1.1` or `h2`.
    pub protocol: &'static str,
    /// `1.2`, `1.3`, or none on a plain listener.
    pub tls: Option<&'static str>,
    /// The line's time: RFC 3339 in UTC with milliseconds.
    pub time: &'a str,
    /// The whole exchange, from the head's end to the answer's hand-over.
    pub duration: Duration,
    /// Whether the caller left before its answer.
    pub client_gone: bool,
}

impl Record<'_> {
    /// Notes what the client is sent.
    pub fn answered(&mut self, answer: &Answer) {
        self.status = Some(answer.status);
        self.source = Some(answer.source);
        self.bytes_out = answer.body.len() as u64;
    }

    /// Writes the access line, newline included. README documents it field by field.
    pub fn write_line(&self, connection: &Connection<'_>, out: &mut Vec<u8>) {
        let mut line = Line { out, first: true };
        line.out.push(b'{');
        line.text("time", connection.time);
        line.text("correlation_id", self.correlation.as_ref().map_or("-", CorrelationId::as_str));
        if let Some(refused) = self.refused_id {
            line.number("refused_id_bytes", refused.bytes as u64);
            line.text("refused_id_hash", &format!("{:08x}", refused.hash));
        }
        self.write_parties(&mut line);
        line.text("peer", connection.peer);
        line.text("protocol", connection.protocol);
        line.maybe("tls", connection.tls);
        self.write_outcome(&mut line);
        line.flag("client_gone", connection.client_gone);
        self.write_trail(&mut line);
        line.number("bytes_in", self.bytes_in);
        line.number("bytes_out", self.bytes_out);
        line.number("duration_us", micros(connection.duration));
        line.out.extend_from_slice(b"}\n");
    }

    fn write_parties(&self, line: &mut Line<'_>) {
        line.maybe("operation", self.operation.map(|operation| &*operation.id));
        line.maybe("client", self.caller.map(|caller| caller.client.id.as_str()));
        line.maybe("target", self.route.map(|route| route.target.id.as_str()));
    }

    fn write_outcome(&self, line: &mut Line<'_>) {
        let status = self.status.map_or(STATUS_CLIENT_GONE, |status| status.as_u16());
        line.number("status", u64::from(status));
        line.maybe("source", self.source.map(Source::as_str));
        if let Some(fault) = &self.fault {
            let row = fault.row();
            line.text("fault", row.code);
            line.maybe("detail", fault.detail());
            line.text("origin", row.origin.as_str());
        }
        line.maybe("shadow", self.shadow.map(LimitScope::as_str));
        line.maybe("oddity", self.oddity.map(Oddity::as_str));
    }

    fn write_trail(&self, line: &mut Line<'_>) {
        if let (Some(route), Some(endpoint)) = (self.route, self.trail.endpoint) {
            line.maybe("endpoint", route.origins.get(endpoint).map(|origin| &**origin));
            line.flag("reused", self.trail.reused);
        }
        if self.trail.dials > 0 {
            line.number("dials", u64::from(self.trail.dials));
        }
        if let Some(status) = self.trail.status {
            line.number("provider_status", u64::from(status.as_u16()));
        }
        if let Some(duration) = self.trail.duration {
            line.number("provider_us", micros(duration));
        }
        if let Some(trace) = self.trace {
            line.text("trace_id", trace.as_str());
        }
        if let Some(trace) = self.caller_trace {
            line.text("caller_trace_id", trace.as_str());
        }
    }
}

/// Microseconds, saturating.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Writes the members of one flat JSON object.
struct Line<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl Line<'_> {
    fn name(&mut self, name: &'static str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        // Without an early stop the compiler looks at many bytes at once.
        let plain = text.bytes().fold(true, |all, byte| {
            all & (0x20..=0x7e).contains(&byte) & (byte != b'"') & (byte != b'\\')
        });
        if plain {
            self.out.push(b'"');
            self.out.extend_from_slice(text.as_bytes());
            self.out.push(b'"');
        } else if serde_json::to_writer(&mut *self.out, text).is_err() {
            // Writing to a Vec can't fail; a string can't fail to be JSON.
            self.out.extend_from_slice(b"null");
        }
    }

    fn maybe(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn number(&mut self, name: &'static str, number: u64) {
        self.name(name);
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    fn flag(&mut self, name: &'static str, flag: bool) {
        if flag {
            self.name(name);
            self.out.extend_from_slice(b"true");
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn line(record: &Record<'_>) -> serde_json::Value {
        let connection = Connection {
            peer: "127.0.0.1",
            protocol: "http/1.1",
            tls: Some("1.3"),
            time: "2026-01-02T03:04:05.678Z",
            duration: Duration::from_micros(1234),
            client_gone: false,
        };
        let mut out = Vec::new();
        record.write_line(&connection, &mut out);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_line_is_one_json_object() {
        let correlation = CorrelationId::parse(&HeaderValue::from_static("a\"b\\c")).unwrap();
        let record = Record {
            correlation: Some(correlation),
            fault: Some(Fault::HeaderMissing("User-Agent".into())),
            status: Some(StatusCode::BAD_REQUEST),
            source: Some(Source::Platform),
            ..Record::default()
        };
        let line = line(&record);
        assert_eq!(line["correlation_id"], "a\"b\\c");
        assert_eq!(line["fault"], "header_missing");
        assert_eq!(line["detail"], "User-Agent");
        assert_eq!(line["origin"], "client");
        assert_eq!(line["duration_us"], 1234);
        assert_eq!(line["status"], 400);
    }

    #[test]
    fn an_exchange_without_an_answer_is_a_499() {
        assert_eq!(line(&Record::default())["status"], 499);
    }
}
