//! bLink 2.0.15.1-fi: the hub's own language, so nothing is translated and the bytes pass, but for
//! those of a form that two servers could read in two ways.
//!
//! This file decides which fields travel in either direction (CONTRACT 4.3 and 4.7). Both lists
//! name what passes, so that nothing else can. It must not know sockets.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LANGUAGE, CONTENT_TYPE,
    RETRY_AFTER, USER_AGENT, VIA, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::reply::members::without_mark;
use super::request::{form, path};
use super::{Asked, Heard, Host, Oddity, ProviderAnswer, ProviderRequest, Turn};
use crate::answer::{Answer, X_CORRELATION_ID};
use crate::contract::{AuthorizationPolicy, X_CORAPI_CLIENT_ID, X_CORAPI_TARGET_ID};
use crate::fault::Fault;
use crate::framing::fields::Fields;
use crate::oauth::Call;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What a field about the person is called where the contract does not name it, and what a client
/// is told of a bad one.
const PSU: &str = "X-PSU-*";
const PSU_REFUSAL: &str = "an X-PSU header must be one value of at most 1024 ASCII characters";
/// Longest such value, in bytes.
const PSU_BYTES_MAX: usize = 1024;
/// Room for every field that is set here and the bank's own configured ones.
const FIELDS: usize = 24;

/// A bank's fields that pass. Everything else stays behind: hop-by-hop fields, cookies, the names
/// of its software, and what corgate writes itself.
const ANSWER_FIELDS: [HeaderName; 3] = [CONTENT_TYPE, CONTENT_LANGUAGE, RETRY_AFTER];
/// Room for those, and for the marks that every answer gets.
const ANSWER_ROOM: usize = 10;

pub(super) fn open(asked: &Asked<'_>) -> Result<Turn, Fault> {
    let path = path(asked)?;
    let mut headers = Fields::with_capacity(FIELDS);
    let mut pass = |name: HeaderName| {
        if let Some(value) = asked.headers.get(&name) {
            headers.append(name, value.clone());
        }
    };
    pass(CONTENT_TYPE);
    pass(USER_AGENT);
    if asked.head.wants_bearer() || asked.authorization == AuthorizationPolicy::Forward {
        pass(AUTHORIZATION);
    }
    copy_psu_fields(asked, &mut headers)?;
    // None of these was copied above, so none has to be looked for.
    headers.append(X_CORAPI_CLIENT_ID, asked.client.clone());
    headers.append(X_CORAPI_TARGET_ID, asked.target_id.clone());
    headers.append(X_CORRELATION_ID, asked.correlation.header_value().clone());
    if let Some(name) = asked.head.own_correlation() {
        headers.append(name.clone(), asked.correlation.header_value().clone());
    }
    headers.append(ACCEPT, HeaderValue::from_static("application/json"));
    headers.append(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.append(VIA, super::VIA_US);
    headers.append(TRACEPARENT, asked.traceparent.clone());
    for (name, value) in &asked.target.headers {
        headers.insert(name.clone(), value.clone());
    }
    let request = ProviderRequest {
        host: Host::Main,
        method: Method::POST,
        path: path.clone(),
        headers,
        correlation: [Some(&X_CORRELATION_ID), asked.head.own_correlation()].into(),
        body: if asked.form.is_plain() {
            asked.body.clone()
        } else {
            // Not all servers read these bytes in the same way (decision 10).
            form(asked.form.pairs()).into()
        },
    };
    Ok(Turn::Ask(0, request))
}

pub(super) fn hear(asked: &Asked<'_>, answer: ProviderAnswer) -> Result<Turn, Fault> {
    if answer.status.is_redirection() {
        return Err(Fault::ResponseMalformed("redirect"));
    }
    if !(200..600).contains(&answer.status.as_u16()) {
        return Err(Fault::ResponseMalformed("status"));
    }
    let mut keep = HeaderMap::with_capacity(ANSWER_ROOM);
    // Each of them stands once in an answer; of two, a client is given the first.
    for name in ANSWER_FIELDS {
        if let Some(value) = answer.headers.get(&name) {
            keep.insert(name, value.clone());
        }
    }
    // A challenge belongs to a refusal, and there may be several (RFC 9110 section 11.6.1).
    if answer.status.is_client_error() {
        for value in answer.headers.get_all(&WWW_AUTHENTICATE) {
            keep.append(WWW_AUTHENTICATE, value.clone());
        }
    }
    let oddity = odd_correlation(asked, &answer).or_else(|| odd_token_answer(asked.call, &answer));
    let answer = Answer::of_provider(answer.status, keep, answer.body);
    Ok(Turn::Done(Heard { answer, oddity }))
}

/// `X-PSU-*` tells the bank about the person; optional, so a client may strike it out by naming it
/// in `Connection` (RFC 9110 section 7.6.1). Those that the contract declares were checked by it;
/// the others are held to what every bank reads in one way (row 31).
fn copy_psu_fields(asked: &Asked<'_>, to: &mut Fields) -> Result<(), Fault> {
    let nominates = asked.headers.contains_key(CONNECTION);
    for (name, value) in asked.headers {
        let is_psu = name.as_str().starts_with("x-psu-");
        if is_psu && !(nominates && is_nominated(asked.headers, name)) {
            let is_good =
                asked.head.declares_psu(name) || (is_plain(value) && is_once(asked.headers, name));
            if !is_good {
                return Err(Fault::HeaderMalformed(PSU.into(), PSU_REFUSAL.into()));
            }
            to.append(name.clone(), value.clone());
        }
    }
    Ok(())
}

/// No octets that each server takes for characters of another set (RFC 9110 section 5.5), and no
/// more than a person's field has.
fn is_plain(value: &HeaderValue) -> bool {
    value.len() <= PSU_BYTES_MAX && value.as_bytes().iter().all(|byte| matches!(byte, 0x20..=0x7E))
}

fn is_once(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_none()
}

fn is_nominated(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
    })
}

/// CONTRACT C3: whatever the bank answers in that header is replaced; a mismatch is recorded.
fn odd_correlation(asked: &Asked<'_>, answer: &ProviderAnswer) -> Option<Oddity> {
    let echoed = answer.headers.get(&X_CORRELATION_ID)?;
    (echoed != asked.correlation.header_value()).then_some(Oddity::Correlation)
}

/// The two members that RFC 6749 section 5.1 requires of a token answer. Only their presence is
/// looked at: the values are secrets.
#[derive(serde::Deserialize)]
struct TokenAnswer {
    #[expect(dead_code, reason = "only its presence matters")]
    access_token: serde::de::IgnoredAny,
    #[expect(dead_code, reason = "only its presence matters")]
    token_type: serde::de::IgnoredAny,
}

fn odd_token_answer(call: Call, answer: &ProviderAnswer) -> Option<Oddity> {
    let is_token_answer = call == Call::Token && answer.status == http::StatusCode::OK;
    // One look for UTF-8 at all of it costs less than one at each of its strings. What is not UTF-8
    // somewhere else still has both members.
    let is_odd = |body: &[u8]| match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str::<TokenAnswer>(text).is_err(),
        Err(_) => serde_json::from_slice::<TokenAnswer>(body).is_err(),
    };
    (is_token_answer && is_odd(without_mark(&answer.body))).then_some(Oddity::TokenAnswer)
}
