//! What a bank's answer is made into: tokens, an empty 200, a verdict on a username.
//!
//! This file decides what a good answer must have and what of it is passed on; what is none is
//! [`complaint`]'s. It must not know any dialect.

pub(super) mod complaint;
pub(super) mod redact;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::{Asked, Heard, Oddity, ProviderAnswer, Turn};
use crate::answer::{Answer, Source};
use crate::fault::Fault;

/// The JSON object of a good answer.
///
/// # Errors
/// [`Fault::ResponseMalformed`] where it is none, such as a page for people.
pub(super) fn object(answer: &ProviderAnswer) -> Result<Map<String, Value>, Fault> {
    serde_json::from_slice(&answer.body).map_err(|_| Fault::ResponseMalformed("no JSON object"))
}

/// The text of a member; an empty one is as good as none.
pub(super) fn text<'o>(object: &'o Map<String, Value>, name: &str) -> Option<&'o str> {
    object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Tokens for the client (RFC 6749 section 5.1): what bLink has a place for, and nothing else.
/// `presented` is the refresh token of the call, which stays good where no new one came (section
/// 6).
///
/// # Errors
/// [`Fault::ResponseMalformed`] without an access token, or with one that is no Bearer token.
pub(super) fn tokens(
    asked: &Asked<'_>,
    object: &Map<String, Value>,
    presented: Option<&str>,
) -> Result<Turn, Fault> {
    let access = text(object, "access_token");
    let access = access.ok_or(Fault::ResponseMalformed("no access_token"))?;
    // RFC 6749 section 7.1: a token of a type that one does not know must not be used.
    let kind = object.get("token_type");
    let is_bearer = |kind: &Value| kind.as_str().is_some_and(|k| k.eq_ignore_ascii_case("bearer"));
    if kind.is_some_and(|kind| !is_bearer(kind)) {
        return Err(Fault::ResponseMalformed("token_type"));
    }
    let oddity = kind.is_none().then_some(Oddity::TokenAnswer);
    let default_life = asked.target.translation.default_expires_in.map(|life| life.as_secs());
    let mut tokens = Map::new();
    tokens.insert("access_token".to_owned(), access.into());
    tokens.insert("token_type".to_owned(), "bearer".into());
    if let Some(seconds) = object.get("expires_in").and_then(seconds).or(default_life) {
        tokens.insert("expires_in".to_owned(), seconds.into());
    }
    if let Some(refresh) = text(object, "refresh_token").or(presented) {
        tokens.insert("refresh_token".to_owned(), refresh.into());
    }
    if let Some(scope) = text(object, "scope") {
        tokens.insert("scope".to_owned(), scope.into());
    }
    Ok(Turn::Done(Heard { answer: json(&Value::Object(tokens)), oddity }))
}

/// A revocation that was carried out, or of what was no good already (RFC 7009 section 2.2).
pub(super) fn revoked() -> Turn {
    done(Answer::of_provider(StatusCode::OK, HeaderMap::new(), Bytes::new()))
}

/// What the bank makes of a username.
pub(super) fn username(asked: &Asked<'_>, found: &str, folds_case: bool) -> Turn {
    let given = asked.form.value("username").unwrap_or_default();
    let same =
        if folds_case { given.to_lowercase() == found.to_lowercase() } else { given == found };
    done(json(&serde_json::json!({ "valid_username": same })))
}

/// The end.
pub(super) const fn done(answer: Answer) -> Turn {
    Turn::Done(Heard { answer, oddity: None })
}

fn json(value: &Value) -> Answer {
    Answer { source: Source::Provider, ..Answer::of_platform(value.to_string().into()) }
}

/// Whole seconds, as a number or, as some banks write them, as a text.
fn seconds(value: &Value) -> Option<u64> {
    let fraction = || value.as_f64().filter(|n| (0.0..=1e12).contains(n)).map(|n| n as u64);
    value.as_u64().or_else(fraction).or_else(|| value.as_str()?.parse().ok())
}
