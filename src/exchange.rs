//! The walk: one request, from its head to its answer, in one place and in one order.
//!
//! Read `walk` from the top: it is the order of CONTRACT 4.2, and which of two errors wins is
//! decided by nothing else. Each step takes what the step before gave. The sockets are behind two
//! traits, [`RequestBody`] and [`Banks`], so that the whole walk runs without any.

mod correlation;
mod native;
mod open;
mod survey;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, request};

use self::correlation::settle;
pub(crate) use self::correlation::{correlation_for_the_answer, mark};
use self::open::check_target_is_open;
use self::survey::Survey;
use crate::answer::{Answer, Manner};
use crate::callers::{Caller, Peer};
use crate::contract::{Operation, Waivers};
use crate::conversation::{self, Flight, Outcome};
use crate::dialect::{Asked, Heard, Held, Moment, Oddity, ProviderAnswer, ProviderRequest, Recipe};
use crate::fault::Fault;
use crate::ids::CorrelationId;
use crate::limiter::{Permit, admit_client, admit_target};
use crate::oauth::form::Form;
use crate::record::{Record, Trail};
use crate::routes::{Api, NativeTarget, QueryPolicy};
use crate::snapshot::{Route, Snapshot};
use crate::trace_context;

/// The body of a request, not yet read.
pub trait RequestBody {
    /// `Content-Length`, where there is one.
    fn declared_bytes(&self) -> Option<u64>;

    /// Reads the whole body, in time.
    ///
    /// # Errors
    /// [`Fault::BodyTooLarge`] over `bytes_max`, [`Fault::BodyTimeout`], [`Fault::BodyAborted`].
    fn read(self, bytes_max: usize) -> impl Future<Output = Result<Bytes, Fault>>;
}

/// The banks, behind whatever it takes to reach them.
pub trait Banks {
    /// Sends one request and waits for the whole answer.
    fn forward(
        &self,
        permit: &Permit,
        route: &Arc<Route>,
        request: ProviderRequest,
    ) -> impl Future<Output = (Result<ProviderAnswer, Fault>, Trail)>;

    /// Gives the token of the hub's own that a recipe makes: from memory while it is good, else
    /// fetched, once for all who ask at the same time.
    fn held(
        &self,
        permit: &Permit,
        route: &Arc<Route>,
        recipe: Recipe,
    ) -> impl Future<Output = Result<Held, Fault>>;

    /// Forgets a held token that a bank refused: exactly that one, not one fetched since.
    fn evict(&self, held: &Held);

    /// Runs an exchange alone: whoever comes with the same key and question while it is under way
    /// gets its outcome, and so does, for `replay` after its end, who comes later. With another
    /// question it is [`Fault::RefreshDiffers`].
    fn alone(
        &self,
        flight: Flight,
        replay: Duration,
        exchange: impl Future<Output = Outcome>,
    ) -> impl Future<Output = Outcome>;
}

/// Random bits and the wall clock, handed in.
pub trait Entropy {
    /// 128 fresh random bits.
    fn bits(&mut self) -> u128;

    /// Seconds since 1970. Asked only where a bank's dialect signs, or its entry has windows.
    fn unix_seconds(&self) -> u64;
}

/// What a walk is given besides the request.
#[derive(Debug)]
pub struct Setting<'s, 'b, B, E> {
    /// The table and its state.
    pub hub: &'s Snapshot,
    /// The other side of the connection.
    pub peer: &'b Peer,
    /// The way to the banks.
    pub banks: &'b B,
    /// Random bits.
    pub entropy: E,
    /// The time at which the request came.
    pub now: Instant,
    /// Whether the gateway refuses all new work.
    pub refusing: bool,
}

/// Walks one request and gives its answer, whatever happens. The record tells the rest.
pub async fn exchange<'s, B: Banks, E: Entropy>(
    mut setting: Setting<'s, '_, B, E>,
    head: &request::Parts,
    body: impl RequestBody,
    record: &mut Record<'s>,
) -> Answer {
    let mut correlation = correlation_for_the_answer(&head.headers, &mut setting.entropy, record);
    record.correlation = Some(correlation.clone());
    let mut manner = Manner::default();
    let walked = walk(&mut setting, head, body, &mut correlation, record, &mut manner).await;
    let mut answer = walked.unwrap_or_else(|fault| {
        let mut answer = Answer::of_fault(&fault, manner);
        if let Some(style) = manner.native {
            let uri = manner.error_uri;
            answer.say_natively(&fault, style, uri, &correlation, &head.headers);
        }
        record.fault = Some(fault);
        answer
    });
    mark(&mut answer, &correlation, record.operation);
    record.answered(&answer);
    answer
}

async fn walk<'s, B: Banks, E: Entropy>(
    setting: &mut Setting<'s, '_, B, E>,
    head: &request::Parts,
    body: impl RequestBody,
    correlation: &mut CorrelationId,
    record: &mut Record<'s>,
    manner: &mut Manner<'s>,
) -> Result<Answer, Fault> {
    let hub = setting.hub;
    let headers = &head.headers;

    // framing: HTTP/1.x was looked at byte by byte (`framing`); the sizes hold for HTTP/2 too
    let survey = Survey::of(&hub.table.gateway.limits, head)?;

    // operation: method and path -> an operation of a mounted contract
    let (api, below) = hub.api(head.uri.path()).ok_or(Fault::PathUnknown)?;
    manner.native = api.contract.native.as_ref();
    let operation = api.contract.find(&head.method, below)?;
    record.operation = Some(operation);
    *manner = manner_of(api, operation);
    let correlation = settle(operation, headers, correlation, &mut setting.entropy, record);
    if setting.refusing {
        return Err(Fault::Draining);
    }

    // head: the correlation id first, so that every answer can carry it
    survey.check_names(operation, headers)?;
    operation.head.check_correlation_id(headers)?;
    check_query(api, operation, head)?;
    survey.check_expectation(headers)?;

    // identify: certificate -> caller; the header has to agree
    let claimed = operation.head.client_id(headers)?;
    let caller = hub.callers.identify(setting.peer, claimed, operation.open_to_suspended)?;
    record.caller = Some(caller);

    // admit: the client's own limit, before anything else is looked at
    let admitted = admit_client(caller.key, caller.gate.as_deref())?;
    if let Some(rules) = operation.native() {
        let call =
            native::Call { api, operation, rules, caller, admitted, below, correlation, survey };
        // Boxed, so that the room that it needs is not every consent call's.
        return Box::pin(native::walk(setting, call, head, body, record)).await;
    }
    operation.head.fields(headers)?;

    // route: target id -> route; allowed? active? in maintenance?
    let route = find_route(hub, caller, operation, headers)?;
    record.route = Some(route);
    check_target_is_open(caller, operation, route, &setting.entropy)?;

    // admit: the narrow limit, then the shared one; the permit is minted
    let pair = caller.target_gate.as_deref().map(|gate| (gate, &route.target.id));
    let (permit, shadow) = admit_target(&admitted, pair, route.gate.as_deref())?;
    record.shadow = shadow.scope();

    // head: what the body will be and what the client can read
    survey.check_authorization(operation, headers, api.authorization)?;
    survey.check_dpop(operation)?;
    operation.head.media(headers)?;

    // body: read bounded, parse, the contract's rules
    let bytes = read_body(hub, body).await?;
    record.bytes_in = bytes.len() as u64;
    let form = operation.body.check(&bytes, waivers_of(caller))?;
    check_credentials(operation, &form)?;
    check_form_agrees(operation, caller, &form)?;

    // translate: the contract's request -> the bank's
    survey.check_loop(headers)?;
    let (trace, traceparent) = start_trace(&mut setting.entropy);
    record.trace = Some(trace);
    record.caller_trace = trace_context::caller_trace_id(headers);
    let asked = Asked {
        call: operation.call().ok_or(Fault::Internal("neither consent nor native"))?,
        head: &operation.head,
        authorization: api.authorization,
        target: &route.target,
        client_id: &caller.client.id,
        client: &caller.wire_id,
        target_id: &route.wire_id,
        correlation,
        traceparent,
        headers,
        body: &bytes,
        form: &form,
        told: conversation::recall(setting, route, &caller.client.id, headers),
        moment: moment(&mut setting.entropy, route),
    };

    // forward, and translate back: a short conversation; without a permit there is none
    let (heard, trail) = conversation::hold(setting, &permit, route, &asked).await;
    record.trail = trail;
    let Heard { answer, oddity } = heard?;
    record.oddity = oddity;
    if api.validate_token_response && oddity == Some(Oddity::TokenAnswer) {
        return Err(Fault::TokenAnswerInvalid);
    }
    Ok(answer)
}

fn manner_of<'s>(api: &'s Api, operation: &'s Operation) -> Manner<'s> {
    Manner {
        statuses: api.strict_statuses.then_some(operation.statuses.as_slice()),
        error_uri: api.error_uri.as_ref(),
        native: operation.native().map(|rules| &rules.style),
    }
}

/// Whether a query is part of the call, and so travels on.
fn passes_query(api: &Api, operation: &Operation) -> bool {
    let names_target = || matches!(api.native_target, Some(NativeTarget::Query(_)));
    operation.native().is_some_and(|rules| rules.takes_query() || names_target())
}

fn check_query(api: &Api, operation: &Operation, head: &request::Parts) -> Result<(), Fault> {
    match (api.query, head.uri.query()) {
        (_, Some(_)) if passes_query(api, operation) => Ok(()),
        (QueryPolicy::Refuse, Some(_)) => Err(Fault::QueryRefused),
        (QueryPolicy::Refuse, None) | (QueryPolicy::Drop, _) => Ok(()),
    }
}

/// The target that the header names; without the header, the client's default one, or the only
/// one that it may call (CONTRACT 4.1).
fn find_route<'s>(
    hub: &'s Snapshot,
    caller: &Caller,
    operation: &Operation,
    headers: &HeaderMap,
) -> Result<&'s Arc<Route>, Fault> {
    if let Some(named) = operation.head.target_id(headers)? {
        return hub.route(named).ok_or(Fault::TargetUnknown);
    }
    let derived = caller.client.implied_target().and_then(|target| hub.route(target.as_str()));
    derived.ok_or_else(|| {
        let name = operation.head.target_id_name();
        Fault::HeaderMissing(name.cloned().unwrap_or_else(|| "X-CorAPI-Target-ID".into()))
    })
}

async fn read_body(hub: &Snapshot, body: impl RequestBody) -> Result<Bytes, Fault> {
    let bytes_max = hub.table.gateway.limits.body_bytes_max;
    if body.declared_bytes().is_some_and(|declared| declared > bytes_max as u64) {
        return Err(Fault::BodyTooLarge);
    }
    body.read(bytes_max).await
}

fn waivers_of(caller: &Caller) -> Waivers {
    Waivers { username_on_refresh: caller.client.username_on_refresh_optional }
}

/// Row 33: the client authenticates by its certificate and "MUST NOT use more than one
/// authentication method in each request" (RFC 6749 section 2.3); no more than one way to hand over
/// a token either (RFC 6750 section 2).
fn check_credentials(operation: &Operation, form: &Form<'_>) -> Result<(), Fault> {
    let wants_bearer = operation.head.wants_bearer();
    let is_second = |name: &str| match name {
        "client_secret" | "client_assertion" | "client_assertion_type" => true,
        "access_token" => wants_bearer,
        _ => false,
    };
    let second = form.pairs().find(|(name, value)| is_second(name) && !value.is_empty());
    second.map_or(Ok(()), |(name, _)| Err(Fault::SecondCredential(second_name(name))))
}

/// The name as a fault has it, which is never a request's own text.
fn second_name(name: &str) -> &'static str {
    match name {
        "client_secret" => "client_secret",
        "access_token" => "access_token",
        _ => "client_assertion",
    }
}

/// The form's `client_id` is a third claim of the same identity (CONTRACT row 8), whatever the
/// contract of the call says of it: a bank may read it.
fn check_form_agrees(operation: &Operation, caller: &Caller, form: &Form<'_>) -> Result<(), Fault> {
    let name = operation.body.client_id_parameter().map_or("client_id", |name| name);
    match form.value(name) {
        Some(claimed) if claimed != caller.client.id.as_str() => Err(Fault::FormClientMismatch),
        Some(_) | None => Ok(()),
    }
}

fn start_trace(entropy: &mut impl Entropy) -> (trace_context::TraceId, http::HeaderValue) {
    let (trace, parent) = (entropy.bits(), entropy.bits());
    // The low 64 bits of fresh random bits are fresh random bits.
    trace_context::restart(trace, parent as u64)
}

/// Bits and time, for a dialect that signs; the others' calls read no clock.
fn moment(entropy: &mut impl Entropy, route: &Route) -> Option<Moment> {
    let signs = route.target.dialect.signs();
    signs.then(|| {
        let nonce = entropy.bits().to_be_bytes();
        Moment { unix_seconds: entropy.unix_seconds(), nonce }
    })
}

#[cfg(test)]
mod tests;
