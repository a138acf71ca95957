//! The walk of a native call, from the point where it parts from that of a consent call.
//!
//! The order is the same; only the header rules stand behind the credentials and the media type,
//! because these systems answer 401 and 406 first (DIALECTS 4.3). Read [`walk`] from the top.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, request};

use super::{
    Banks, Entropy, RequestBody, Setting, Survey, check_target_is_open, read_body, start_trace,
};
use crate::answer::Answer;
use crate::callers::Caller;
use crate::contract::{AuthorizationPolicy, Credentials, NativeRules, Operation};
use crate::dialect::native::{self, NativeAsked};
use crate::fault::{Fault, Name};
use crate::ids::CorrelationId;
use crate::limiter::{Admitted, admit_target};
use crate::oauth::form::Form;
use crate::record::Record;
use crate::routes::{Api, NativeTarget};
use crate::snapshot::{Route, Snapshot};
use crate::trace_context;

/// A native call whose caller is known and admitted.
pub(super) struct Call<'s, 'h> {
    pub(super) api: &'s Api,
    pub(super) operation: &'s Operation,
    pub(super) rules: &'s NativeRules,
    pub(super) caller: &'s Arc<Caller>,
    pub(super) admitted: Admitted,
    /// The path below the mount.
    pub(super) below: &'h str,
    pub(super) correlation: &'h CorrelationId,
    pub(super) survey: Survey,
}

/// Walks on. Where the client's `redirect_uri` is trusted, a fault becomes a redirect there.
pub(super) async fn walk<'s, B: Banks, E: Entropy>(
    setting: &mut Setting<'s, '_, B, E>,
    call: Call<'s, '_>,
    head: &request::Parts,
    body: impl RequestBody,
    record: &mut Record<'s>,
) -> Result<Answer, Fault> {
    let query = read_query(&call, head)?;
    let redirect_uri = trusted_redirect(&call, &query)?;
    let walked = cross(setting, &call, &query, head, body, record).await;
    match (walked, redirect_uri) {
        (Err(fault), Some(uri)) => {
            let answer = Answer::of_redirect(&fault, uri, query.value("state"));
            record.fault = Some(fault);
            Ok(answer)
        }
        (walked, _) => walked,
    }
}

async fn cross<'s, B: Banks, E: Entropy>(
    setting: &mut Setting<'s, '_, B, E>,
    call: &Call<'s, '_>,
    query: &Form<'_>,
    head: &request::Parts,
    body: impl RequestBody,
    record: &mut Record<'s>,
) -> Result<Answer, Fault> {
    let Call { api, operation, rules, caller, below, .. } = *call;
    let (hub, headers) = (setting.hub, &head.headers);

    // route: as the mount says; then the narrow limit and the shared one
    let route = find_route(hub, call, query, head)?;
    record.route = Some(route);
    check_target_agrees(operation, route, headers)?;
    check_target_is_open(caller, operation, route, &setting.entropy)?;
    let pair = caller.target_gate.as_deref().map(|gate| (gate, &route.target.id));
    let (permit, shadow) = admit_target(&call.admitted, pair, route.gate.as_deref())?;
    record.shadow = shadow.scope();

    // head: credentials, media types, then every field
    let credentials = check_authorization(call, head)?;
    call.survey.check_dpop(operation)?;
    operation.head.accept(headers)?;
    let kind = rules.media(headers)?;
    let mut wrong = operation.head.broken_fields(headers);
    rules.check_path(below, &mut wrong);
    rules.check_query(query, &mut wrong);
    tell_first(rules, &mut wrong)?;

    // body: read bounded, and checked; its bytes stay as they are
    let bytes: Bytes = read_body(hub, body).await?;
    record.bytes_in = bytes.len() as u64;
    rules.check_body(&bytes, kind, credentials, &mut wrong)?;
    tell_first(rules, &mut wrong)?;
    match wrong.len() {
        0 => {}
        1 => return Err(wrong.swap_remove(0)),
        _ => return Err(Fault::Several(wrong.into())),
    }
    rules.check_claims(query, &bytes, kind, &|id| caller.client.goes_by(id))?;

    // forward, and back
    call.survey.check_loop(headers)?;
    let (trace, traceparent) = start_trace(&mut setting.entropy);
    record.trace = Some(trace);
    record.caller_trace = trace_context::caller_trace_id(headers);
    let request = native::request(&NativeAsked {
        api,
        operation,
        rules,
        target: &route.target,
        below,
        query: head.uri.query().filter(|_| super::passes_query(api, operation)),
        headers,
        client: &caller.wire_id,
        target_id: &route.wire_id,
        correlation: call.correlation,
        body: &bytes,
        traceparent,
    });
    let (answer, trail) = setting.banks.forward(&permit, route, request).await;
    record.trail = trail;
    native::answer(rules, answer?, route.target.response_bytes_max)
}

/// The first of what is wrong, unless the operation tells all at once.
fn tell_first(rules: &NativeRules, wrong: &mut Vec<Fault>) -> Result<(), Fault> {
    if rules.reports_all || wrong.is_empty() { Ok(()) } else { Err(wrong.swap_remove(0)) }
}

fn read_query<'h>(call: &Call<'_, '_>, head: &'h request::Parts) -> Result<Form<'h>, Fault> {
    let passes = super::passes_query(call.api, call.operation);
    let text = head.uri.query().filter(|_| passes).unwrap_or_default();
    Form::parse_plain(text.as_bytes()).map_err(|fault| match fault {
        Fault::FormMalformed(_) => {
            Fault::ParameterMalformed("query".into(), "query is malformed".into())
        }
        fault => fault,
    })
}

/// RFC 6749 section 4.1.2.1: without a known client and a registered URI, the authorization server
/// "MUST NOT automatically redirect the user-agent to the invalid redirection URI".
fn trusted_redirect<'s>(call: &Call<'s, '_>, query: &Form<'_>) -> Result<Option<&'s Name>, Fault> {
    if !call.rules.redirects_errors {
        return Ok(None);
    }
    let value = |name: &str| query.value(name).ok_or_else(|| Fault::ParameterMissing(name.into()));
    let client = &call.caller.client;
    if !client.goes_by(value("client_id")?) {
        return Err(Fault::FormClientMismatch);
    }
    let uri = value("redirect_uri")?;
    let known = client.redirect_uris.iter().find(|known| ***known == *uri);
    known.ok_or(Fault::RedirectUntrusted).map(Some)
}

fn find_route<'s>(
    hub: &'s Snapshot,
    call: &Call<'s, '_>,
    query: &Form<'_>,
    head: &request::Parts,
) -> Result<&'s Arc<Route>, Fault> {
    let implied = || call.caller.client.implied_target().and_then(|id| hub.route(id.as_str()));
    match &call.api.native_target {
        None => Err(Fault::Internal("a native mount without a target")),
        Some(NativeTarget::Fixed(id)) => {
            hub.route(id.as_str()).ok_or(Fault::Internal("the mount's target"))
        }
        Some(NativeTarget::Query(name)) => match query.value(name) {
            Some(id) => hub.route(id).ok_or_else(|| {
                Fault::ParameterMalformed(name.clone(), format!("{name} is unknown").into())
            }),
            None => implied().ok_or_else(|| Fault::ParameterMissing(name.clone())),
        },
        Some(NativeTarget::Header(header)) => {
            let name = || Name::from(header.as_str());
            let unknown =
                || Fault::HeaderMalformed(name(), format!("{} is unknown", header.as_str()).into());
            let mut values = head.headers.get_all(header).iter();
            match (values.next(), values.next()) {
                (None, _) => implied().ok_or_else(|| Fault::HeaderMissing(name())),
                (Some(value), None) => {
                    value.to_str().ok().and_then(|id| hub.route(id)).ok_or_else(unknown)
                }
                (Some(_), Some(_)) => Err(unknown()),
            }
        }
    }
}

/// The hub writes which target is meant; a client that says so, too, says the same.
fn check_target_agrees(
    operation: &Operation,
    route: &Route,
    headers: &HeaderMap,
) -> Result<(), Fault> {
    match operation.head.target_id(headers)? {
        Some(named) if named != route.target.id.as_str() => Err(Fault::TargetUnknown),
        Some(_) | None => Ok(()),
    }
}

fn check_authorization(call: &Call<'_, '_>, head: &request::Parts) -> Result<Credentials, Fault> {
    if call.rules.takes_authorization() {
        return call.rules.authorization(&head.headers);
    }
    match call.api.authorization {
        AuthorizationPolicy::Forward => Ok(Credentials::None),
        policy => {
            call.operation.head.authorization(&head.headers, policy).map(|()| Credentials::None)
        }
    }
}
