//! A connection on which a test writes bytes that no client library would.
//!
//! This file decides how answers are read back from the bytes. It must not know what was sent.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use corgate::sim::client::RawStream;
use http::{HeaderName, HeaderValue, Response};

use crate::answer::{Answer, Correlation};
use crate::world::{Notes, wait};

/// How long a test waits for what must come. Nothing waits so long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An open HTTP/1.1 connection.
pub(crate) struct Wire {
    stream: RawStream,
    unread: Vec<u8>,
    notes: Notes,
}

impl Wire {
    pub(crate) fn new(stream: RawStream, notes: Notes) -> Self {
        Self { stream, unread: Vec::new(), notes }
    }

    /// Writes bytes. A connection that is gone already is no failure: what was answered counts.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.sends(bytes);
    }

    /// Sends, and says whether all of it was taken.
    pub(crate) fn sends(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.notes.learn_request(bytes.as_ref());
        wait(self.stream.send(bytes.as_ref())).is_ok()
    }

    /// Ends the sending side.
    pub(crate) fn finish(&mut self) {
        let _ = wait(self.stream.finish());
    }

    /// The next answer, whole.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        loop {
            if let Some((response, length)) = parse(&self.unread) {
                self.unread.drain(..length);
                return Answer::take(response, &Correlation::Unread, &self.notes);
            }
            let more = wait(self.stream.read(PATIENCE)).expect("no answer");
            assert!(!more.is_empty(), "the connection ended: {:?}", text(&self.unread));
            self.unread.extend(more);
        }
    }

    /// Nothing more comes: the gateway closes.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) {
        assert!(self.unread.is_empty(), "surplus: {:?}", text(&self.unread));
        match wait(self.stream.read(PATIENCE)) {
            Ok(bytes) => assert!(bytes.is_empty(), "surplus: {:?}", text(&bytes)),
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::TimedOut, "still open"),
        }
    }

    /// The next answer is a refusal that says `Connection: close`, and then the gateway closes.
    #[track_caller]
    pub(crate) fn refused_for_good(&mut self, status: u16, error: &str, sentence: &str) -> Answer {
        let answer = self.answer().refused(status, error, sentence).says("connection", "close");
        self.is_closed();
        answer
    }

    /// The next bytes, whatever they are; for connections that speak HTTP/2.
    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        wait(self.stream.read(PATIENCE)).unwrap_or_default()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The answer at the front of `bytes`, and its length; `None` while it is not whole.
fn parse(bytes: &[u8]) -> Option<(Response<Bytes>, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(body_at) = head.parse(bytes).expect("no HTTP") else {
        return None;
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = head.code?.try_into().unwrap();
    for field in head.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).unwrap();
        response.headers_mut().append(name, HeaderValue::from_bytes(field.value).unwrap());
    }
    let length = response.headers().get("content-length").expect("no Content-Length");
    let end = body_at + length.to_str().unwrap().parse::<usize>().unwrap();
    *response.body_mut() = Bytes::copy_from_slice(bytes.get(body_at..end)?);
    Some((response, end))
}
