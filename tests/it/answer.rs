//! What a test is answered, and the marks that every answer must carry (CONTRACT 4.3).
//!
//! This file decides what holds for all answers. It must not know what was wrong with a request.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use crate::world::Notes;

/// An answer, its marks checked.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    notes: Notes,
}

/// What the request said in `X-Correlation-ID`, as far as the test knows.
#[derive(Debug)]
pub(crate) enum Correlation<'a> {
    /// These values.
    Sent(Vec<&'a [u8]>),
    /// A head that may be refused before its fields are read.
    Unread,
}

impl Answer {
    /// Takes an answer: checks what every answer must have, and expects its line in the log.
    pub(crate) fn take(response: Response<Bytes>, sent: &Correlation<'_>, notes: &Notes) -> Self {
        let (head, body) = response.into_parts();
        let notes = notes.clone();
        let answer = Self { status: head.status, headers: head.headers, body, notes };
        answer.check_marks();
        answer.check_correlation(sent);
        answer.notes.expect_line(&answer.correlation(), answer.status.as_u16());
        answer.notes.learn_answer(&answer.body);
        answer
    }

    /// The one value of a header; a second line is a failure.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert!(values.len() < 2, "{name} stands {} times: {self:?}", values.len());
        values.first().map(|value| value.to_str().unwrap())
    }

    /// The correlation id that it carries.
    pub(crate) fn correlation(&self) -> String {
        self.header("x-correlation-id").expect("no X-Correlation-ID").to_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Whole seconds in a header.
    pub(crate) fn seconds(&self, name: &str) -> u64 {
        let value = self.header(name).unwrap_or_else(|| panic!("no {name}: {self:?}"));
        value.parse().unwrap_or_else(|_| panic!("{name}: {value}"))
    }

    fn check_marks(&self) {
        assert!(
            matches!(self.header("x-corapi-source"), Some("PLATFORM" | "PROVIDER")),
            "{self:?}"
        );
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(self.header("pragma"), Some("no-cache"), "{self:?}");
        for name in ["server", "set-cookie", "via", "keep-alive", "transfer-encoding", "upgrade"] {
            assert_eq!(self.header(name), None, "{self:?}");
        }
    }

    /// CONTRACT C1 to C5: one good value comes back byte for byte; for all else a fresh UUIDv4.
    fn check_correlation(&self, sent: &Correlation<'_>) {
        let got = self.correlation();
        let Correlation::Sent(sent) = sent else { return };
        let good = |value: &[u8]| {
            (1..=64).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
        };
        match sent.as_slice() {
            // A head that is too large was not read to its end.
            [_] if matches!(self.status.as_u16(), 414 | 431) => {}
            [one] if good(one) => assert_eq!(got.as_bytes(), *one),
            bad => {
                self.is_fresh();
                for value in bad.iter().filter(|value| value.len() >= 8) {
                    self.notes.learn(value);
                    assert!(memchr::memmem::find(&self.body, value).is_none(), "echoed: {self:?}");
                }
            }
        }
    }

    /// Its correlation id is the gateway's own.
    pub(crate) fn is_fresh(&self) {
        let id = uuid::Uuid::parse_str(&self.correlation()).expect("no UUID");
        assert_eq!(id.get_version_num(), 4);
        assert_eq!(id.hyphenated().to_string(), self.correlation());
    }

    /// The bank made it.
    pub(crate) fn provided(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("x-corapi-source"), Some("PROVIDER"), "{self:?}");
        self
    }

    /// The bank made it, and all is well.
    pub(crate) fn good(self) -> Self {
        self.provided(200)
    }

    /// The gateway refused, in exactly these words, with the fields that belong to the status.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, error: &str, sentence: &str) -> Self {
        assert_eq!(self.json(), json!({ "error": error, "error_description": sentence }));
        self.platform(status)
    }

    /// The gateway made it, with the fields that belong to the status.
    #[track_caller]
    pub(crate) fn platform(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("x-corapi-source"), Some("PLATFORM"), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json;charset=UTF-8"));
        let has = |name| self.header(name).is_some();
        assert_eq!(has("www-authenticate"), status == 401, "{self:?}");
        assert_eq!(self.header("allow"), (status == 405).then_some("POST"), "{self:?}");
        assert_eq!(has("ratelimit"), status == 429, "{self:?}");
        assert_eq!(has("ratelimit-policy"), status == 429, "{self:?}");
        if matches!(status, 429 | 503) {
            assert!(self.seconds("retry-after") >= 1, "{self:?}");
        } else if status < 500 {
            assert!(!has("retry-after"), "{self:?}");
        }
        if status != 415 {
            assert!(!has("accept-encoding"), "{self:?}");
        }
        self
    }

    /// The access line says this fault.
    pub(crate) fn logged(self, fault: &str) -> Self {
        self.notes.expect_fault(&self.correlation(), fault);
        self
    }

    /// A header has this value.
    #[track_caller]
    pub(crate) fn says(self, name: &str, value: &str) -> Self {
        assert_eq!(self.header(name), Some(value), "{self:?}");
        self
    }
}
