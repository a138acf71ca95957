//! The innermost service: one request to the bank, one whole answer back.
//!
//! This file decides which connection carries a request, and when it may be sent again: only when
//! no byte of it was written. It must not know what a request means.

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
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use tokio::time::{timeout, timeout_at};
use tower::Service;

use super::dial::{Dialer, Dialled};
use super::pool::{Pool, Shared, Single};
use super::wire::{Broken, Sending};
use super::{Fate, Outbound, whole};
use crate::answer::X_CORRELATION_ID;
use crate::deadline::later;
use crate::dialect::{Host, ProviderAnswer, ProviderRequest};
use crate::edge::now;
use crate::endpoints::{Endpoints, Order};
use crate::fault::{Fault, Name};
use crate::framing::answer::{AnswerReader, Received};
use crate::framing::fields::Fields;
use crate::framing::request::write_request;
use crate::routes::{Origin, Scheme, UpstreamHttp};
use crate::snapshot::Route;

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
    /// What each of the target's addresses is called in a request, in the target's order.
    authorities: Vec<(Authority, HeaderValue)>,
}

impl Exchange {
    pub(super) fn new(route: Arc<Route>, host: Host, dialer: Rc<Dialer>, pool: Rc<Pool>) -> Self {
        // An address without a proper name was refused when the table was loaded; should one slip
        // through, its calls are answered with an internal error.
        let authorities = route.target.origins(host).iter().map_while(authority).collect();
        let endpoints = route.endpoints(host).clone();
        Self(Rc::new(Line { route, host, endpoints, dialer, pool, authorities }))
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

/// A correlation id in an answer, beside the request's own.
enum Echo {
    /// The request had none.
    Unasked,
    /// The answer has none.
    Missing,
    Same,
    Other,
}

type Sent = Result<ProviderAnswer, Unsent>;

/// Why there is no answer.
enum Unsent {
    /// There was no connection, or it died before it took a byte of the request.
    Untouched(Fault),
    /// It may have been sent.
    Lost(Fault),
}

impl From<Unsent> for Fault {
    fn from(unsent: Unsent) -> Self {
        let (Unsent::Untouched(fault) | Unsent::Lost(fault)) = unsent;
        fault
    }
}

impl Line {
    /// Tries the addresses in their order, until one of them takes the request.
    async fn exchange(&self, outbound: Outbound) -> Result<ProviderAnswer, Fault> {
        let Outbound { request, fate, mut started } = outbound;
        let endpoints = &self.endpoints;
        let order = if endpoints.are_several() { endpoints.order(now()) } else { Order::ONE };
        let mut last = Fault::ConnectFailed;
        for endpoint in order.iter() {
            let _visit = endpoints.visit(endpoint);
            match self.ask(endpoint, &request, &fate, started).await {
                Ok(answer) => return Ok(answer),
                Err(Unsent::Lost(fault)) => return Err(fault),
                Err(Unsent::Untouched(fault)) => {
                    if endpoints.are_several() {
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
    ) -> Sent {
        match self.route.target.http {
            UpstreamHttp::Http1 => {
                while let Some(single) = self.idle(endpoint, started) {
                    fate.note(|trail| trail.reused = true);
                    match self.over_single(single, request, fate, started).await {
                        Err(Unsent::Untouched(_)) => {}
                        sent => return sent,
                    }
                }
            }
            UpstreamHttp::Http2 => {
                if let Some(shared) = self.pool.shared(endpoint) {
                    fate.note(|trail| trail.reused = true);
                    match Box::pin(self.over_shared(shared, request, fate)).await {
                        Err(Unsent::Untouched(_)) => {}
                        sent => return sent,
                    }
                }
            }
        }
        // Boxed, so that the room that a handshake needs is not every exchange's.
        let dialled =
            Box::pin(self.dialer.dial(endpoint, fate)).await.map_err(Unsent::Untouched)?;
        fate.note(|trail| trail.reused = false);
        match dialled {
            Dialled::Single(single) => self.over_single(single, request, fate, now()).await,
            Dialled::Shared(shared) => {
                self.pool.share(shared.clone());
                Box::pin(self.over_shared(shared, request, fate)).await
            }
        }
    }

    async fn look(&self, endpoint: usize, path: Option<Name>) -> Result<bool, Fault> {
        let fate = Fate::default();
        let Some(path) = path else {
            match self.dialer.dial(endpoint, &fate).await? {
                Dialled::Single(single) => self.pool.keep(single),
                Dialled::Shared(shared) => self.pool.share(shared),
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
            body: Bytes::new(),
        };
        let answer = self.ask(endpoint, &request, &fate, now()).await?;
        if answer.status.is_server_error() { Err(Fault::ProviderFailed) } else { Ok(true) }
    }

    fn idle(&self, endpoint: usize, now: Instant) -> Option<Single> {
        self.pool.take(endpoint, now.into(), self.is_echoing()).or_else(|| {
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
        match self.echo(request.headers.get(&X_CORRELATION_ID), &answer) {
            Echo::Same | Echo::Unasked if reusable => self.pool.keep(single),
            // One that echoes and now does not may have answered something else.
            Echo::Missing if reusable && !self.is_echoing() => self.pool.keep(single),
            // An answer under another id may be one too many: whatever follows on this
            // connection could be somebody else's. Where the bank is known to echo and the
            // connection was used before, this one already is.
            Echo::Other if self.is_echoing() && fate.trail.get().reused => {
                return Err(Unsent::Lost(Fault::ResponseMalformed("another call's answer")));
            }
            // A server that gives up a connection on which it heard nothing may say 408, unasked
            // (RFC 9110 section 15.5.9), while the request is on its way. That is no answer to
            // this call, and as one it would ask the client to send its code again. Nor can it be
            // sent again here: a server need not tell the truth about what it has read.
            Echo::Unasked | Echo::Missing | Echo::Other
                if status == StatusCode::REQUEST_TIMEOUT
                    && !reusable
                    && fate.trail.get().reused =>
            {
                return Err(Unsent::Lost(Fault::ConnectionLost));
            }
            Echo::Same | Echo::Unasked | Echo::Missing | Echo::Other => single.wire.take_leave(),
        }
        Ok(answer)
    }

    /// How the answer's correlation id stands to the request's.
    fn echo(&self, asked: Option<&HeaderValue>, answer: &ProviderAnswer) -> Echo {
        match (asked, answer.headers.get(&X_CORRELATION_ID)) {
            (Some(asked), Some(echoed)) if asked == echoed => {
                // Said once: to write it at each answer would cost the other workers.
                if !self.is_echoing() {
                    self.route.echoes.store(true, Ordering::Relaxed);
                }
                Echo::Same
            }
            (Some(_), Some(_)) => Echo::Other,
            (None, _) => Echo::Unasked,
            (Some(_), None) => Echo::Missing,
        }
    }

    /// Whether this bank was seen to answer with the correlation id that it was given.
    fn is_echoing(&self) -> bool {
        self.route.echoes.load(Ordering::Relaxed)
    }

    async fn over_shared(
        &self,
        mut shared: Shared,
        request: &ProviderRequest,
        fate: &Fate,
    ) -> Sent {
        let endpoint = shared.endpoint;
        fate.note(|trail| trail.endpoint = Some(endpoint));
        let request = self.in_http2(request, endpoint).map_err(Unsent::Lost)?;
        fate.send();
        let sending = shared.sender.try_send_request(request);
        let sent = timeout(self.route.target.timeouts.first_byte, sending).await;
        let lost = match sent {
            Ok(Ok(response)) => {
                let bytes_max = self.route.target.response_bytes_max;
                return whole::read(response, bytes_max, fate).await.map_err(Unsent::Lost);
            }
            Ok(Err(mut error)) => match error.take_message() {
                Some(_) => return Err(Unsent::Untouched(Fault::ConnectionLost)),
                None => head_fault(error.error()),
            },
            Err(_) => Fault::ResponseTimeout,
        };
        // Its path may have died without a word; the next call dials anew.
        self.pool.unshare(endpoint);
        Err(Unsent::Lost(lost))
    }

    fn in_http2(
        &self,
        request: &ProviderRequest,
        endpoint: usize,
    ) -> Result<Request<Full<Bytes>>, Fault> {
        let origin = self.route.target.origins(self.host).get(endpoint);
        let (authority, _) =
            self.authorities.get(endpoint).ok_or(Fault::Internal("target host"))?;
        let scheme = match origin.map(|origin| origin.scheme) {
            Some(Scheme::Https) => http::uri::Scheme::HTTPS,
            Some(Scheme::Http) | None => http::uri::Scheme::HTTP,
        };
        let uri = http::Uri::builder().scheme(scheme).authority(authority.clone());
        let uri = uri.path_and_query(&*request.path).build();
        let mut http = Request::new(Full::new(request.body.clone()));
        *http.method_mut() = request.method.clone();
        *http.uri_mut() = uri.map_err(|_| Fault::Internal("target path"))?;
        *http.headers_mut() = request.headers.to_map();
        Ok(http)
    }
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

/// What an error before the answer's head means.
fn head_fault(error: &hyper::Error) -> Fault {
    if error.is_parse_too_large() {
        Fault::ResponseTooLarge
    } else if error.is_parse() || error.is_parse_status() {
        Fault::ResponseMalformed("head")
    } else {
        Fault::ConnectionLost
    }
}
