//! The innermost service: one request to the bank, one whole answer back.
//!
//! This file decides which connection carries a request, and when it may be sent again: only when
//! no byte of it was written. It must not know what a request means.

mod many;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::uri::Authority;
use http::{HeaderValue, Method, StatusCode};
use tokio::time::timeout_at;
use tower::Service;

use super::dial::{Dialer, Dialled};
use super::dials::Dials;
use super::pool::{Pool, Single};
use super::wire::{Broken, Sending};
use super::{Fate, Outbound, Unsent};
use crate::deadline::later;
use crate::dialect::{CorrelationFields, Host, ProviderAnswer, ProviderRequest};
use crate::echoes::{Echo, EchoOperation, Habit, SentId, Strange};
use crate::edge::now;
use crate::endpoints::{Endpoints, Order};
use crate::fault::{Fault, Name};
use crate::framing::answer::{AnswerReader, Received};
use crate::framing::fields::Fields;
use crate::framing::request::write_request;
use crate::ids::ClientKey;
use crate::routes::{Origin, Reuse, Scheme, UpstreamHttp};
use crate::snapshot::Route;
use crate::wiped::Wiped;

/// The service.
#[derive(Clone)]
pub(super) struct Exchange(Rc<Line>);

/// What all exchanges of one worker with one bank share.
struct Line {
    route: Arc<Route>,
    host: Host,
    endpoints: Arc<Endpoints>,
    dialer: Rc<Dialer>,
    pool: Rc<Pool>,
    dials: Rc<Dials>,
    /// Whether the next call in HTTP/2 has a connection to itself.
    wants_alone: Cell<bool>,
    /// What each of the target's addresses is called in a request, in the target's order.
    authorities: Vec<(Authority, HeaderValue)>,
}

impl Exchange {
    pub(super) fn new(route: Arc<Route>, host: Host, dialer: Rc<Dialer>, pool: Rc<Pool>) -> Self {
        // An address without a proper name was refused when the table was loaded; should one slip
        // through, its calls are answered with an internal error.
        let authorities = route.target.origins(host).iter().map_while(authority).collect();
        let endpoints = route.endpoints(host).clone();
        let (dials, wants_alone) = (Rc::default(), Cell::default());
        let line = Line { route, host, endpoints, dialer, pool, dials, wants_alone, authorities };
        Self(Rc::new(line))
    }

    /// Looks whether one of the addresses is well: by a connection, which is then kept, or by what
    /// is answered at `path`. Says whether there was an answer.
    pub(super) fn look(
        &self,
        endpoint: usize,
        path: Option<Name>,
    ) -> impl Future<Output = Result<bool, Fault>> + use<> {
        let line = self.0.clone();
        async move { line.look(endpoint, path).await }
    }
}

impl Service<Outbound> for Exchange {
    type Response = ProviderAnswer;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<ProviderAnswer, Fault>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, outbound: Outbound) -> Self::Future {
        let line = self.0.clone();
        Box::pin(async move { line.exchange(outbound).await })
    }
}

type Sent = Result<ProviderAnswer, Unsent>;

impl Line {
    /// Tries the addresses in their order, until one of them takes the request.
    async fn exchange(&self, outbound: Outbound) -> Result<ProviderAnswer, Fault> {
        let Outbound { request, fate, mut started, client } = outbound;
        let endpoints = &self.endpoints;
        let order = if endpoints.are_several() { endpoints.order(now()) } else { Order::ONE };
        let mut last = Fault::ConnectFailed;
        for endpoint in order.iter() {
            let _visit = endpoints.visit(endpoint);
            match self.ask(endpoint, &request, &fate, started, Some(client)).await {
                Ok(answer) => return Ok(answer),
                Err(Unsent::Lost(fault)) => return Err(fault),
                // The hub's own lack: another address would not help.
                Err(Unsent::Untouched(Fault::LocalFailure)) => return Err(Fault::LocalFailure),
                Err(Unsent::Untouched(fault)) => {
                    // One that is there and has no room is not gone.
                    let full = matches!(fault, Fault::RequestRefused | Fault::TargetBusy(_));
                    if endpoints.are_several() && !full {
                        endpoints.unreached(endpoint, now());
                    }
                    last = fault;
                    started = now();
                }
            }
        }
        Err(last)
    }

    /// Asks at one address: over an idle connection, a neighbour's, or a new one.
    async fn ask(
        &self,
        endpoint: usize,
        request: &ProviderRequest,
        fate: &Fate,
        started: Instant,
        client: Option<ClientKey>,
    ) -> Sent {
        if self.route.target.http == UpstreamHttp::Http2 {
            // Boxed, so that the room that it needs is not every exchange's.
            return Box::pin(self.ask_in_http2(endpoint, request, fate, started, client)).await;
        }
        while let Some(single) = self.idle(endpoint, started, request) {
            fate.note(|trail| trail.reused = true);
            match self.over_single(single, request, fate, started).await {
                Err(Unsent::Untouched(_)) => {}
                sent => return sent,
            }
        }
        // Boxed as well: a handshake needs much room.
        let dialled =
            Box::pin(self.dialer.dial(endpoint, fate)).await.map_err(Unsent::Untouched)?;
        fate.note(|trail| trail.reused = false);
        let Dialled::Single(mut single) = dialled else { return Err(WRONG_HTTP) };
        if let Some(fault) = single.wire.unfit() {
            return Err(Unsent::Untouched(fault));
        }
        self.over_single(single, request, fate, now()).await
    }

    /// Whether a connection carries more than one call.
    fn reuses(&self) -> bool {
        self.route.target.reuse == Reuse::Idle
    }

    async fn look(&self, endpoint: usize, path: Option<Name>) -> Result<bool, Fault> {
        let fate = Fate::default();
        let Some(path) = path else {
            match self.dialer.dial(endpoint, &fate).await? {
                Dialled::Single(single) if self.reuses() => self.pool.keep(single),
                Dialled::Shared(shared) if self.reuses() => self.pool.share(shared),
                Dialled::Single(_) | Dialled::Shared(_) => {}
            }
            return Ok(false);
        };
        let mut headers = Fields::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("corgate-probe"));
        for (name, value) in &self.route.target.headers {
            headers.insert(name.clone(), value.clone());
        }
        let request = ProviderRequest {
            host: self.host,
            method: Method::GET,
            path,
            headers,
            correlation: CorrelationFields::default(),
            body: Bytes::new(),
        };
        let answer = self.ask(endpoint, &request, &fate, now(), None).await?;
        if answer.status.is_server_error() { Err(Fault::ProviderFailed) } else { Ok(true) }
    }

    fn idle(&self, endpoint: usize, now: Instant, request: &ProviderRequest) -> Option<Single> {
        if !self.reuses() {
            return None;
        }
        let echoes = self.habit(request, endpoint).echoes();
        self.pool.take(endpoint, now.into(), echoes).or_else(|| {
            let taken_over = self.pool.take_over(endpoint)?;
            self.route.tally.taken_over.fetch_add(1, Ordering::Relaxed);
            Some(taken_over)
        })
    }

    async fn over_single(
        &self,
        mut single: Single,
        request: &ProviderRequest,
        fate: &Fate,
        started: Instant,
    ) -> Sent {
        fate.note(|trail| trail.endpoint = Some(single.endpoint));
        let named = self.authorities.get(single.endpoint).ok_or(Fault::Internal("target host"));
        let (_, host) = named.map_err(Unsent::Lost)?;
        let ProviderRequest { method, path, headers, body, .. } = request;
        let bytes = write_request(method, path, host, headers, body).map_err(Unsent::Lost)?;
        let bytes = Wiped::from(bytes);
        let id = sent_id(request);
        if let Some(id) = id {
            single.note_sent(id);
        }
        let _under_way = id.map(|id| self.pool.send_under(id));
        let mut sending = Sending::new(&bytes);
        let mut reader = AnswerReader::new(self.route.target.response_bytes_max);
        fate.send();
        let head = single.wire.send(&mut sending, &mut reader);
        let end = later(started, self.route.target.timeouts.first_byte);
        let head = match timeout_at(end.into(), head).await {
            Err(_) => return Err(Unsent::Lost(Fault::ResponseTimeout)),
            Ok(Err(Broken::Untouched)) => return Err(Unsent::Untouched(Fault::ConnectionLost)),
            Ok(Err(Broken::Lost(fault))) => return Err(Unsent::Lost(fault)),
            Ok(Ok(head)) => head,
        };
        let received = match head {
            Some(received) => received,
            None => {
                fate.note(|trail| trail.status = reader.status());
                single.wire.finish(&mut sending, &mut reader).await.map_err(Unsent::Lost)?
            }
        };
        let Received { status, headers, body, reusable } = received;
        fate.note(|trail| trail.status = Some(status));
        let answer = ProviderAnswer { status, headers, body };
        let reused = fate.trail.get().reused;
        let habit = self.habit(request, single.endpoint);
        let on_this = |strange: &Strange| single.sent.iter().any(|sent| strange.has(sent));
        let sent = |strange: &Strange| on_this(strange) || self.pool.were_sent(strange);
        let echo = self.echo((request, single.endpoint), &answer, reused, sent);
        match echo {
            // A server that gives up a connection on which it heard nothing may say 408, unasked
            // (RFC 9110 section 15.5.9), while the request is on its way. That is no answer to
            // this call, and as one it would ask the client to send its code again. Nor can it be
            // sent again here: a server need not tell the truth about what it has read.
            Echo::Unasked | Echo::Missing | Echo::Empty | Echo::Unknown
                if status == StatusCode::REQUEST_TIMEOUT && !reusable && reused =>
            {
                return Err(Unsent::Lost(Fault::ConnectionLost));
            }
            _ => check_echo(echo, habit, reused)?,
        }
        let keeps = match echo {
            Echo::Same | Echo::Unasked => true,
            // One that echoes and now does not may have answered something else.
            Echo::Missing | Echo::Empty => !habit.echoes(),
            // Whatever follows on this connection could be somebody else's.
            Echo::Unknown | Echo::AnotherCalls => false,
        };
        if keeps && reusable && self.reuses() {
            self.pool.keep(single);
        } else {
            single.wire.take_leave();
        }
        Ok(answer)
    }

    /// How the answer's correlation id stands to the request's; what it says of the bank is noted.
    fn echo(
        &self,
        (request, endpoint): (&ProviderRequest, usize),
        answer: &ProviderAnswer,
        reused: bool,
        was_sent: impl FnOnce(&Strange) -> bool,
    ) -> Echo {
        let (operation, echoes) = (self.operation(request, endpoint), &self.route.echoes);
        let gives_back = echoes.habit(operation).echoes();
        let ProviderRequest { correlation, headers, .. } = request;
        let echo = Echo::of(correlation, headers, &answer.headers, was_sent);
        match echo {
            Echo::Same if !gives_back => echoes.note_echo(operation),
            Echo::Unknown if !reused => echoes.note_its_own(operation),
            _ => {}
        }
        echo
    }

    fn operation(&self, request: &ProviderRequest, endpoint: usize) -> EchoOperation {
        let ProviderRequest { method, path, .. } = request;
        EchoOperation::of(method, path, &self.route.target.paths, self.host, endpoint)
    }

    /// What is known of how the bank answers this operation there.
    fn habit(&self, request: &ProviderRequest, endpoint: usize) -> Habit {
        self.route.echoes.habit(self.operation(request, endpoint))
    }
}

/// The id that a request carries.
fn sent_id(request: &ProviderRequest) -> Option<SentId> {
    request.correlation.values_in(&request.headers).next().map(SentId::of)
}

fn authority(origin: &Origin) -> Option<(Authority, HeaderValue)> {
    let default = match origin.scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    let host = &origin.host;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    let text = if origin.port == default { host } else { format!("{host}:{}", origin.port) };
    Some((text.parse().ok()?, HeaderValue::from_str(&text).ok()?))
}

const WRONG_HTTP: Unsent = Unsent::Lost(Fault::Internal("another HTTP than was asked for"));

/// Whether an answer may be given to who asked, by its correlation id. On a connection that was
/// used before, and at a bank that gives ids back, an answer without one may be one too many, to
/// somebody else: so may one under an id that nobody sent, unless the bank is known to make ids up.
fn check_echo(echo: Echo, habit: Habit, reused: bool) -> Result<(), Unsent> {
    let what = match echo {
        Echo::Unasked | Echo::Same => return Ok(()),
        Echo::AnotherCalls => "another call's answer",
        Echo::Missing | Echo::Empty if habit.echoes() && reused => "an answer without its id",
        Echo::Unknown if habit.echoes() && reused && !habit.names_its_own() => {
            "an answer under another id"
        }
        Echo::Missing | Echo::Empty | Echo::Unknown => return Ok(()),
    };
    Err(Unsent::Lost(Fault::ResponseMalformed(what)))
}
