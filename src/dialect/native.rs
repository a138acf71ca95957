//! No dialect: a native call goes to its target as it came, and the answer comes back as it is.
//!
//! This file decides which fields travel in either direction. Both lists name what passes: what the
//! document declares, and what carries a body. It must not know sockets.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_LANGUAGE, CONTENT_TYPE,
    LOCATION, RETRY_AFTER, USER_AGENT, VIA, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{DPOP_NONCE, Host, ProviderAnswer, ProviderRequest, coding};
use crate::answer::Answer;
use crate::contract::{AuthorizationPolicy, NativeRules, Operation};
use crate::fault::Fault;
use crate::framing::fields::Fields;
use crate::ids::CorrelationId;
use crate::routes::{Api, Target};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Fields of a request that pass without being declared.
const ASKED_FIELDS: [HeaderName; 4] = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT];

/// Fields of an answer that pass without being declared.
const ANSWER_FIELDS: [HeaderName; 5] =
    [CONTENT_TYPE, CONTENT_LANGUAGE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE];

/// A native call that kept its contract.
#[derive(Debug)]
pub struct NativeAsked<'a> {
    /// Where it came in.
    pub api: &'a Api,
    /// The operation.
    pub operation: &'a Operation,
    /// Its rules.
    pub rules: &'a NativeRules,
    /// Where it goes.
    pub target: &'a Target,
    /// The path below the mount.
    pub below: &'a str,
    /// The query that travels on.
    pub query: Option<&'a str>,
    /// The client's fields.
    pub headers: &'a HeaderMap,
    /// The resolved client id, where the document declares a field for it.
    pub client: &'a HeaderValue,
    /// The resolved target id, likewise.
    pub target_id: &'a HeaderValue,
    /// The correlation id, likewise.
    pub correlation: &'a CorrelationId,
    /// The client's body, byte for byte.
    pub body: &'a Bytes,
    /// The trace that starts here.
    pub traceparent: HeaderValue,
}

/// The request to the target.
pub fn request(asked: &NativeAsked<'_>) -> ProviderRequest {
    let target = asked.target;
    let mut headers = Fields::with_capacity(24);
    for name in asked.operation.head.declared().chain(&ASKED_FIELDS) {
        if headers.contains(name) {
            continue;
        }
        for value in asked.headers.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    let forwards = asked.api.authorization == AuthorizationPolicy::Forward;
    if let Some(value) = asked.headers.get(AUTHORIZATION)
        && (asked.rules.takes_authorization() || forwards)
    {
        headers.insert(AUTHORIZATION, value.clone());
    }
    // What the hub asserts, it writes itself, and only where the document has a place for it.
    let correlation = asked.correlation.header_value();
    let values = [correlation, correlation, asked.client, asked.target_id];
    let asserted @ [beside, own, ..] = asked.operation.head.asserted();
    for (name, value) in asserted.into_iter().zip(values) {
        if let Some(name) = name {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(VIA, super::VIA_US);
    headers.insert(TRACEPARENT, asked.traceparent.clone());
    for (name, value) in &target.headers {
        headers.insert(name.clone(), value.clone());
    }
    let path = match asked.query {
        Some(query) => format!("{}{}?{query}", target.base_path, asked.below),
        None => format!("{}{}", target.base_path, asked.below),
    };
    ProviderRequest {
        host: if asked.rules.on_auth_host { Host::Auth } else { Host::Main },
        method: asked.operation.method.clone(),
        path: path.into(),
        headers,
        correlation: [beside, own].into(),
        body: asked.body.clone(),
    }
}

/// The client's answer. A redirect is the client's to follow.
///
/// # Errors
/// [`Fault::ResponseMalformed`] for what is no final answer, or in a coding that nobody decodes;
/// [`Fault::ResponseTooLarge`] where it is over `bytes_max` without its coding.
pub fn answer(
    rules: &NativeRules,
    answer: ProviderAnswer,
    bytes_max: usize,
) -> Result<Answer, Fault> {
    let answer = coding::decoded(answer, bytes_max)?;
    if !(200..600).contains(&answer.status.as_u16()) {
        return Err(Fault::ResponseMalformed("status"));
    }
    let mut keep = HeaderMap::with_capacity(12);
    for name in rules.answer_fields.iter().chain(&ANSWER_FIELDS).chain([&DPOP_NONCE]) {
        if keep.contains_key(name) {
            continue;
        }
        for value in answer.headers.get_all(name) {
            keep.append(name.clone(), value.clone());
        }
    }
    Ok(Answer::of_provider(answer.status, keep, answer.body))
}
