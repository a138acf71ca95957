//! Answers: what a client gets, whoever made it.
//!
//! This file decides the marks that every answer carries (CONTRACT 4.3): exactly one
//! `X-Correlation-ID`, `X-CorAPI-Source`, `no-store`; and how a fault looks. It must not know how
//! answers are sent.

mod native;
mod wait;

pub use wait::asked_wait;

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, PRAGMA, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::contract::FaultStyle;
use crate::fault::{Fault, Limited, Name};
use crate::ids::CorrelationId;
use crate::oauth::{ErrorCode, is_description};

/// The correlation header, in and out.
pub const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// Who made the answer (SIX custom headers: `PLATFORM` or `PROVIDER`).
pub const X_CORAPI_SOURCE: HeaderName = HeaderName::from_static("x-corapi-source");
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// RFC 6750 section 3.1.
const BEARER_INVALID: &str = "Bearer realm=\"corgate\", error=\"invalid_token\"";

/// Who made an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The hub.
    Platform,
    /// The bank.
    Provider,
}

impl Source {
    /// The value of `X-CorAPI-Source`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "PLATFORM",
            Self::Provider => "PROVIDER",
        }
    }
}

/// A whole answer, ready to be sent.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Every field but those that belong to the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Who made it.
    pub source: Source,
    /// Whether the connection ends with it.
    pub close: bool,
}

/// How an api wants its faults told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner<'a> {
    /// The statuses that the operation's contract lists, where `strict_statuses` is on.
    pub statuses: Option<&'a [u16]>,
    /// `error_uri`.
    pub error_uri: Option<&'a Name>,
    /// The words of a native contract.
    pub native: Option<&'a FaultStyle>,
}

impl Answer {
    /// The bank's answer: its status and body, and the fields that `keep` holds.
    pub const fn of_provider(status: StatusCode, keep: HeaderMap, body: Bytes) -> Self {
        Self { status, headers: keep, body, source: Source::Provider, close: false }
    }

    /// A good answer of the hub's own: JSON with status 200.
    pub fn of_platform(body: Bytes) -> Self {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8"));
        Self { status: StatusCode::OK, headers, body, source: Source::Platform, close: false }
    }

    /// A bank's error, said in the contract's words: the JSON of RFC 6749 section 5.2. The
    /// description may be the bank's; what RFC 6749 forbids in one is left out of it.
    pub fn of_refusal(
        status: StatusCode,
        error: ErrorCode,
        description: &str,
        uri: Option<&str>,
    ) -> Self {
        let mut json = serde_json::Map::new();
        json.insert("error".to_owned(), error.as_str().into());
        let description: String =
            description.chars().filter(|c| is_description(c.encode_utf8(&mut [0; 4]))).collect();
        if !description.is_empty() {
            json.insert("error_description".to_owned(), description.into());
        }
        if let Some(uri) = uri {
            json.insert("error_uri".to_owned(), uri.into());
        }
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(BEARER_INVALID));
        }
        let body = Bytes::from(serde_json::Value::Object(json).to_string());
        Self { status, headers, body, source: Source::Provider, close: false }
    }

    /// The answer for a fault, in the JSON of RFC 6749 section 5.2.
    pub fn of_fault(fault: &Fault, manner: Manner<'_>) -> Self {
        let row = fault.row();
        let code = manner.statuses.map_or(row.status, |listed| strict_status(row.status, listed));
        // Every status in the table is between 400 and 599.
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8"));
        add_fault_fields(&mut headers, fault, status);
        Self {
            status,
            headers,
            body: error_body(fault, manner.error_uri),
            source: Source::Platform,
            close: fault.closes_connection(),
        }
    }

    /// Puts the marks on: the last thing that happens to every answer.
    pub fn mark(&mut self, correlation: &CorrelationId) {
        let headers = &mut self.headers;
        headers.insert(X_CORRELATION_ID, correlation.header_value().clone());
        headers.insert(X_CORAPI_SOURCE, HeaderValue::from_static(self.source.as_str()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    }

    /// Says `Connection: close` where the answer ends the connection. HTTP/1.x only.
    pub fn announce_close(&mut self) {
        if self.close {
            self.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// CONTRACT decision 5: a 5xx that the contract does not list becomes one that it does.
fn strict_status(status: u16, listed: &[u16]) -> u16 {
    if status < 500 || listed.contains(&status) {
        status
    } else if listed.contains(&502) {
        502
    } else {
        500
    }
}

fn add_fault_fields(headers: &mut HeaderMap, fault: &Fault, status: StatusCode) {
    if let Some(challenge) = fault.challenge() {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(wait) = fault.retry_after() {
        // Under strict statuses a 503 may have become a 502: the hint stays useful.
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    if let Some(error) = fault.proxy_status() {
        insert_text(headers, PROXY_STATUS, &format!("corgate; error={error}"));
    }
    match fault {
        Fault::RateLimited(limited) => add_limit_fields(headers, limited),
        Fault::MethodRefused(allow) => insert_text(headers, ALLOW, allow),
        // RFC 9110 section 15.5.16: what would have been acceptable. Not for a wrong media type.
        Fault::CodingRefused if status == StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        _ => {}
    }
}

/// draft-ietf-httpapi-ratelimit-headers: `"client";q=100;w=2` and `"client";r=0;t=1`.
fn add_limit_fields(headers: &mut HeaderMap, limited: &Limited) {
    let Limited { scope, quota, window_s, wait } = *limited;
    let name = scope.as_str();
    insert_text(headers, RATELIMIT_POLICY, &format!("\"{name}\";q={quota};w={window_s}"));
    insert_text(headers, RATELIMIT, &format!("\"{name}\";r=0;t={}", whole_seconds(wait)));
}

/// Seconds, rounded up, at least one: what `Retry-After` and `RateLimit` can say.
pub fn whole_seconds(duration: Duration) -> u64 {
    let partial = u64::from(duration.subsec_nanos() > 0);
    (duration.as_secs() + partial).max(1)
}

fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

fn error_body(fault: &Fault, error_uri: Option<&Name>) -> Bytes {
    // Codes and sentences hold no character that JSON escapes (`oauth::is_description`), and an
    // error_uri is checked when the table is loaded.
    let (error, sentence) = (fault.row().error.as_str(), fault.sentence());
    let uri = error_uri.map_or(String::new(), |uri| format!(",\"error_uri\":\"{uri}\""));
    Bytes::from(format!("{{\"error\":\"{error}\",\"error_description\":\"{sentence}\"{uri}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::LimitScope;

    fn text<'a>(answer: &'a Answer, name: &str) -> &'a str {
        answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn a_fault_is_told_in_oauth_json_with_every_mark() {
        let mut answer = Answer::of_fault(&Fault::ClientUnknown, Manner::default());
        answer.mark(&CorrelationId::fresh(uuid::Uuid::from_u128(7)));
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.body,
            r#"{"error":"invalid_client","error_description":"client authentication failed"}"#
        );
        assert_eq!(text(&answer, "www-authenticate"), "tls_client_auth realm=\"corgate\"");
        assert_eq!(text(&answer, "x-corapi-source"), "PLATFORM");
        assert_eq!(text(&answer, "cache-control"), "no-store");
        assert_eq!(text(&answer, "pragma"), "no-cache");
        assert_eq!(text(&answer, "content-type"), "application/json;charset=UTF-8");
        assert_eq!(answer.headers.get_all(X_CORRELATION_ID).iter().count(), 1);
    }

    #[test]
    fn a_limit_tells_how_long_to_wait_in_three_fields() {
        let limited = Limited {
            scope: LimitScope::ClientTarget,
            quota: 100,
            window_s: 60,
            wait: Duration::from_millis(1200),
        };
        let answer = Answer::of_fault(&Fault::RateLimited(limited), Manner::default());
        assert_eq!(text(&answer, "retry-after"), "2");
        assert_eq!(text(&answer, "ratelimit-policy"), "\"client-target\";q=100;w=60");
        assert_eq!(text(&answer, "ratelimit"), "\"client-target\";r=0;t=2");
    }

    #[test]
    fn strict_statuses_keep_to_the_contracts_list() {
        let token = [200, 400, 401, 403, 406, 415, 500, 502, 504];
        let username = [200, 400, 401, 403, 404, 500];
        for (status, in_token, in_username) in
            [(503, 502, 500), (502, 502, 500), (504, 504, 500), (500, 500, 500), (429, 429, 429)]
        {
            assert_eq!(strict_status(status, &token), in_token);
            assert_eq!(strict_status(status, &username), in_username);
        }
    }

    #[test]
    fn an_error_uri_stands_where_one_is_configured() {
        let uri: Name = "https://hub.example/errors".into();
        let manner = Manner { error_uri: Some(&uri), ..Manner::default() };
        let answer = Answer::of_fault(&Fault::QueryRefused, manner);
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(json["error_uri"], "https://hub.example/errors");
    }

    #[test]
    fn seconds_round_up_and_are_never_zero() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
    }
}
