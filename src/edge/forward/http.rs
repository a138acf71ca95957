//! The innermost service: one request to the bank, one whole answer back.
//!
//! This file decides which connection carries a request, and when it may be sent again: only when
//! no byte of it was written. It must not know what a request means.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::USER_AGENT;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::timeout;
use tower::Service;

use super::dial::{Dialer, Dialled};
use super::pool::{Pool, Shared, Taken};
use super::{Fate, Outbound, whole};
use crate::answer::X_CORRELATION_ID;
use crate::dialect::{Host, ProviderAnswer, ProviderRequest};
use crate::edge::now;
use crate::endpoints::{Endpoints, Order};
use crate::fault::{Fault, Name};
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
    /// Whether this bank was seen to answer with the correlation id that it was given.
    echoes: Cell<bool>,
}

impl Exchange {
    pub(super) fn new(route: Arc<Route>, host: Host, dialer: Rc<Dialer>, pool: Rc<Pool>) -> Self {
        // An address without a proper name was refused when the table was loaded; should one slip
        // through, its calls are answered with an internal error.
        let authorities = route.target.origins(host).iter().map_while(authority).collect();
        let (endpoints, echoes) = (route.endpoints(host).clone(), Cell::new(false));
        Self(Rc::new(Line { route, host, endpoints, dialer, pool, authorities, echoes }))
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
    None,
    Same,
    Other,
}

type Sent = Result<Response<Incoming>, Unsent>;

/// Why there is no response.
enum Unsent {
    /// There was no connection, or it died before it took the request; here it is back, untouched.
    Untouched(Box<Request<Full<Bytes>>>, Fault),
    /// It may have been sent.
    Lost(Fault),
}

impl Line {
    /// Tries the addresses in their order, until one of them takes the request.
    async fn exchange(&self, outbound: Outbound) -> Result<ProviderAnswer, Fault> {
        let fate = &*outbound.fate;
        let mut request = into_http(outbound.request)?;
        let endpoints = &self.endpoints;
        let order = if endpoints.are_several() { endpoints.order(now()) } else { Order::ONE };
        let mut last = Fault::ConnectFailed;
        for endpoint in order.iter() {
            let _visit = endpoints.visit(endpoint);
            match self.ask(endpoint, request, fate).await {
                Ok(answer) => return Ok(answer),
                Err(Unsent::Lost(fault)) => return Err(fault),
                Err(Unsent::Untouched(untouched, fault)) => {
                    if endpoints.are_several() {
                        endpoints.unreached(endpoint, now());
                    }
                    (request, last) = (*untouched, fault);
                }
            }
        }
        Err(last)
    }

    /// Asks at one address: over an idle connection, a neighbour's, or a new one.
    async fn ask(
        &self,
        endpoint: usize,
        mut request: Request<Full<Bytes>>,
        fate: &Fate,
    ) -> Result<ProviderAnswer, Unsent> {
        match self.route.target.http {
            UpstreamHttp::Http1 => {
                while let Some(taken) = self.idle(endpoint) {
                    fate.note(|trail| trail.reused = true);
                    fate.send();
                    match self.over_single(taken, request, fate).await {
                        Err(Unsent::Untouched(untouched, _)) => request = *untouched,
                        sent => return sent,
                    }
                }
            }
            UpstreamHttp::Http2 => {
                if let Some(shared) = self.pool.shared(endpoint) {
                    fate.note(|trail| trail.reused = true);
                    fate.send();
                    match self.over_shared(shared, request, fate).await {
                        Err(Unsent::Untouched(untouched, _)) => request = *untouched,
                        sent => return sent,
                    }
                }
            }
        }
        // Boxed, so that the room that a handshake needs is not every exchange's.
        let dialled = match Box::pin(self.dialer.dial(endpoint, fate)).await {
            Ok(dialled) => dialled,
            Err(fault) => return Err(Unsent::Untouched(Box::new(request), fault)),
        };
        fate.note(|trail| trail.reused = false);
        fate.send();
        match dialled {
            Dialled::Single(single) => self.over_single(Taken::own(single), request, fate).await,
            Dialled::Shared(shared) => {
                self.pool.share(shared.clone());
                self.over_shared(shared, request, fate).await
            }
        }
    }

    async fn look(&self, endpoint: usize, path: Option<Name>) -> Result<bool, Fault> {
        let fate = Fate::default();
        let Some(path) = path else {
            match self.dialer.dial(endpoint, &fate).await? {
                Dialled::Single(single) => self.pool.keep(Taken::own(single)),
                Dialled::Shared(shared) => self.pool.share(shared),
            }
            return Ok(false);
        };
        let mut headers = HeaderMap::new();
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
        let answer = self.ask(endpoint, into_http(request)?, &fate).await.map_err(|unsent| {
            let (Unsent::Lost(fault) | Unsent::Untouched(_, fault)) = unsent;
            fault
        })?;
        if answer.status.is_server_error() { Err(Fault::ProviderFailed) } else { Ok(true) }
    }

    fn idle(&self, endpoint: usize) -> Option<Taken> {
        let taken = self.pool.take(endpoint).or_else(|| self.pool.borrow(endpoint))?;
        if taken.is_borrowed() {
            self.route.tally.borrowed.fetch_add(1, Ordering::Relaxed);
        }
        Some(taken)
    }

    async fn over_single(
        &self,
        mut taken: Taken,
        mut request: Request<Full<Bytes>>,
        fate: &Fate,
    ) -> Result<ProviderAnswer, Unsent> {
        let endpoint = taken.connection.endpoint;
        fate.note(|trail| trail.endpoint = Some(endpoint));
        self.address(&mut request, endpoint, false).map_err(Unsent::Lost)?;
        let asked = request.headers().get(X_CORRELATION_ID).cloned();
        let sending = taken.connection.sender.try_send_request(request);
        let sent: Sent = self.first_byte(sending).await;
        let answer = self.whole(sent?, fate).await.map_err(Unsent::Lost)?;
        match self.echo(asked.as_ref(), &answer) {
            Echo::None | Echo::Same => self.pool.keep(taken),
            // An answer under another id may be one too many: whatever follows on this
            // connection could be somebody else's. Where the bank is known to echo and the
            // connection was used before, this one already is.
            Echo::Other if self.echoes.get() && fate.trail.get().reused => {
                return Err(Unsent::Lost(Fault::ResponseMalformed("another call's answer")));
            }
            Echo::Other => {}
        }
        Ok(answer)
    }

    /// How the answer's correlation id stands to the request's.
    fn echo(&self, asked: Option<&HeaderValue>, answer: &ProviderAnswer) -> Echo {
        match (asked, answer.headers.get(X_CORRELATION_ID)) {
            (Some(asked), Some(echoed)) if asked == echoed => {
                self.echoes.set(true);
                Echo::Same
            }
            (Some(_), Some(_)) => Echo::Other,
            (None, _) | (_, None) => Echo::None,
        }
    }

    async fn over_shared(
        &self,
        mut shared: Shared,
        mut request: Request<Full<Bytes>>,
        fate: &Fate,
    ) -> Result<ProviderAnswer, Unsent> {
        fate.note(|trail| trail.endpoint = Some(shared.endpoint));
        self.address(&mut request, shared.endpoint, true).map_err(Unsent::Lost)?;
        let sending = shared.sender.try_send_request(request);
        let sent: Sent = self.first_byte(sending).await;
        if matches!(sent, Err(Unsent::Lost(_))) {
            // Its path may have died without a word; the next call dials anew.
            self.pool.unshare(shared.endpoint);
        }
        self.whole(sent?, fate).await.map_err(Unsent::Lost)
    }

    async fn first_byte<F>(&self, sending: F) -> Sent
    where
        F: Future<
            Output = Result<
                Response<Incoming>,
                hyper::client::conn::TrySendError<Request<Full<Bytes>>>,
            >,
        >,
    {
        match timeout(self.route.target.timeouts.first_byte, sending).await {
            Err(_) => Err(Unsent::Lost(Fault::ResponseTimeout)),
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut error)) => Err(match error.take_message() {
                Some(request) => Unsent::Untouched(Box::new(request), Fault::ConnectionLost),
                None => Unsent::Lost(head_fault(error.error())),
            }),
        }
    }

    async fn whole(
        &self,
        response: Response<Incoming>,
        fate: &Fate,
    ) -> Result<ProviderAnswer, Fault> {
        whole::read(response, self.route.target.response_bytes_max, fate).await
    }

    /// Puts the origin's name on the request: `Host` in HTTP/1.1, `:authority` in HTTP/2.
    fn address(
        &self,
        request: &mut Request<Full<Bytes>>,
        endpoint: usize,
        in_uri: bool,
    ) -> Result<(), Fault> {
        let named = self.authorities.get(endpoint).ok_or(Fault::Internal("target host"))?;
        if in_uri {
            let mut parts = request.uri().clone().into_parts();
            let scheme =
                self.route.target.origins(self.host).get(endpoint).map(|origin| origin.scheme);
            parts.scheme = Some(match scheme {
                Some(Scheme::Https) => http::uri::Scheme::HTTPS,
                Some(Scheme::Http) | None => http::uri::Scheme::HTTP,
            });
            parts.authority = Some(named.0.clone());
            let uri = http::Uri::from_parts(parts).map_err(|_| Fault::Internal("target path"))?;
            *request.uri_mut() = uri;
        } else {
            request.headers_mut().insert(http::header::HOST, named.1.clone());
        }
        Ok(())
    }
}

fn into_http(request: ProviderRequest) -> Result<Request<Full<Bytes>>, Fault> {
    let mut http = Request::new(Full::new(request.body));
    *http.method_mut() = request.method;
    // Checked when the table was loaded.
    *http.uri_mut() = request.path.parse().map_err(|_| Fault::Internal("target path"))?;
    *http.headers_mut() = request.headers;
    Ok(http)
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
