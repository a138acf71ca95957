//! Judges an answer against what the step expects.
//!
//! This file decides what counts as the same. It must not know how an answer is printed.

use bytes::Bytes;
use http::Response;
use serde_json::Value;

use super::play::{Call, Outcome};
use super::step::{Answer, Body, Expect};

/// What is wrong with the outcome; nothing if it is as expected.
pub(super) fn judge(call: &Call, outcome: &Outcome, reached: usize) -> Vec<String> {
    match (call.step.expect, outcome) {
        (Expect::NoTls, Err(error)) if error.is_tls_refusal() => Vec::new(),
        (Expect::NoTls, Err(error)) => vec![format!("expected a TLS alert, got: {error}")],
        (Expect::NoTls, Ok(answer)) => vec![format!("expected no TLS, got {}", answer.status())],
        (Expect::Answer(_), Err(error)) => vec![format!("expected an answer, got: {error}")],
        (Expect::Answer(expected), Ok(answer)) => {
            let correlation = call.correlation.as_deref();
            let complaints = [
                differs("the status", &expected.status, &answer.status()),
                wrong_correlation(correlation, answer),
                differs("X-CorAPI-Source", expected.source.as_str(), header(answer, SOURCE)),
                missing_header(&expected, answer),
                wrong_body(expected.body, answer.body()),
                differs("the number of calls that reached a bank", &expected.reached, &reached),
            ];
            complaints.into_iter().flatten().collect()
        }
    }
}

const SOURCE: &str = "X-CorAPI-Source";

/// The one value of a header; something that is no value if it is missing or stands twice.
pub(super) fn header<'a>(answer: &'a Response<Bytes>, name: &str) -> &'a str {
    let mut values = answer.headers().get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().unwrap_or("(not text)"),
        (None, _) => "(missing)",
        (Some(_), Some(_)) => "(more than one)",
    }
}

/// Whether a text is a UUID, as the gateway makes them where it got no correlation id.
pub(super) fn is_fresh(correlation: &str) -> bool {
    correlation.len() == 36 && uuid::Uuid::try_parse(correlation).is_ok()
}

fn differs<T: PartialEq + std::fmt::Display + ?Sized>(
    what: &str,
    expected: &T,
    got: &T,
) -> Option<String> {
    (expected != got).then(|| format!("{what}: expected {expected}, got {got}"))
}

fn wrong_correlation(sent: Option<&str>, answer: &Response<Bytes>) -> Option<String> {
    let got = header(answer, "X-Correlation-ID");
    match sent {
        Some(sent) => differs("X-Correlation-ID", sent, got),
        None if is_fresh(got) => None,
        None => Some(format!("X-Correlation-ID: expected a fresh UUID, got {got}")),
    }
}

fn missing_header(expected: &Answer, answer: &Response<Bytes>) -> Option<String> {
    let name = expected.header.filter(|name| !answer.headers().contains_key(*name))?;
    Some(format!("expected a {name} header"))
}

fn wrong_body(expected: Body, body: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    match expected {
        Body::Empty => (!body.is_empty()).then(|| "expected no body".to_owned()),
        Body::Tokens => {
            let complete = text("access_token").is_some() && text("refresh_token").is_some();
            (!complete).then(|| "expected an access token and a refresh token".to_owned())
        }
        Body::AccessToken => {
            let alone = text("access_token").is_some() && text("refresh_token").is_none();
            (!alone).then(|| "expected an access token alone".to_owned())
        }
        Body::ValidUsername(valid) => {
            let got = json.get("valid_username").and_then(Value::as_bool);
            (got != Some(valid)).then(|| format!("expected valid_username to be {valid}"))
        }
        Body::Error(error) => differs("error", error, text("error").unwrap_or("(missing)")),
    }
}
