//! What the foreign dialects share: the head of a request, a token answer, an upstream failure.
//!
//! This file decides what reaches a bank that does not speak bLink, and whose fault a plain status
//! is (DIALECTS 2.1, 2.4). It must not know any one dialect.

use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

use super::{Asked, Heard, ProviderAnswer, Turn};
use crate::answer::Answer;
use crate::fault::Fault;
use crate::routes::table::Override;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The fields of every request: none of bLink's, none of the client's.
pub(super) fn head(asked: &Asked<'_>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(USER_AGENT, HeaderValue::from_static("corgate"));
    headers.insert(ACCEPT, JSON);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(TRACEPARENT, asked.traceparent.clone());
    for (name, value) in &asked.target.headers {
        headers.insert(name.clone(), value.clone());
    }
    headers
}

/// The end of a conversation.
pub(super) const fn done(answer: Answer) -> Turn {
    Turn::Done(Heard { answer, oddity: None })
}

/// The contract's token answer, made of a provider's. `kept` is the refresh token that stays good
/// where the answer has none (RFC 6749 section 6).
pub(super) fn token(asked: &Asked<'_>, given: &Value, kept: Option<&str>) -> Result<Answer, Fault> {
    let text = |name| given.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let access = text("access_token").ok_or(Fault::ResponseMalformed("access_token missing"))?;
    if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(Fault::ResponseMalformed("token_type"));
    }
    let mut json = Map::new();
    json.insert("access_token".to_owned(), access.into());
    json.insert("token_type".to_owned(), "bearer".into());
    let seconds = given.get("expires_in").and_then(seconds);
    let configured = asked.target.translation.default_expires_in.map(|life| life.as_secs());
    if let Some(seconds) = seconds.or(configured) {
        json.insert("expires_in".to_owned(), seconds.into());
    }
    if let Some(refresh) = text("refresh_token").or(kept) {
        json.insert("refresh_token".to_owned(), refresh.into());
    }
    if let Some(scope) = text("scope") {
        json.insert("scope".to_owned(), scope.into());
    }
    Ok(provided(&Value::Object(json)))
}

/// A 200 that says in the contract's words what the provider said in its own.
pub(super) fn provided(json: &Value) -> Answer {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, JSON);
    Answer::of_provider(StatusCode::OK, headers, json.to_string().into())
}

fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// The target's own row for an answer: for one of these codes, or for any.
pub(super) fn find_override<'a>(
    asked: &Asked<'a>,
    status: StatusCode,
    codes: &[&str],
) -> Option<&'a Override> {
    let fits = |row: &&Override| {
        row.status == status && row.code.as_deref().is_none_or(|code| codes.contains(&code))
    };
    let mut rows: Vec<_> = asked.target.translation.overrides.iter().filter(fits).collect();
    rows.sort_by_key(|row| row.code.is_none());
    rows.first().copied()
}

/// Whose fault a status is, where the dialect has nothing to add (DIALECTS 2.1).
pub(super) fn fault_of(answer: &ProviderAnswer) -> Fault {
    match answer.status.as_u16() {
        401 => Fault::CredentialsRejected,
        429 | 503 => Fault::ProviderBusy(retry_after(&answer.headers)),
        300..=399 => Fault::ResponseMalformed("redirect"),
        500..=599 => Fault::ProviderFailed,
        _ => Fault::ResponseMalformed("status"),
    }
}

/// RFC 9110 section 10.2.3, in seconds; a date is not worth its parsing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Whether a link may be shown to people.
pub(super) fn is_web_uri(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'<' | b'>');
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(plain))
}

/// A provider's text without the secrets of the call.
pub(super) fn redacted(asked: &Asked<'_>, text: &str) -> String {
    let names = ["code", "refresh_token", "token", "username"];
    let secrets = names.into_iter().filter_map(|name| asked.form.value(name));
    secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]"))
}

/// `application/x-www-form-urlencoded` (RFC 6749 appendix B).
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{}={}", escaped(name), escaped(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        b'*' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
