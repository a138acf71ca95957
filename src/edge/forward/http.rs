//! The innermost service: one request to the bank, one whole answer back.
//!
//! This file decides what counts as a whole answer, and when a request may be sent again: only
//! when no byte of it was written. It must not know what a request means.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::uri::Authority;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;
use tower::Service;

use super::dial::{Dialer, Dialled};
use super::pool::{Pool, Shared, Single};
use super::{Fate, Outbound};
use crate::answer::X_CORRELATION_ID;
use crate::dialect::{Host, ProviderAnswer, ProviderRequest};
use crate::fault::Fault;
use crate::routes::{Origin, Scheme, Target, UpstreamHttp};

/// The service.
pub(super) struct Exchange(Rc<Line>);

/// What all exchanges of one worker with one bank share.
struct Line {
    target: Arc<Target>,
    host: Host,
    dialer: Dialer,
    pool: Rc<Pool>,
    /// What each of the target's addresses is called in a request, in the target's order.
    authorities: Vec<(Authority, HeaderValue)>,
    /// Whether this bank was seen to answer with the correlation id that it was given.
    echoes: Cell<bool>,
}

impl Exchange {
    pub(super) fn new(target: Arc<Target>, host: Host, dialer: Dialer, pool: Rc<Pool>) -> Self {
        // An address without a proper name was refused when the table was loaded; should one slip
        // through, its calls are answered with an internal error.
        let authorities = target.origins(host).iter().map_while(authority).collect();
        Self(Rc::new(Line { target, host, dialer, pool, authorities, echoes: Cell::new(false) }))
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
    /// The connection died before it took the request; here it is back, untouched.
    Untouched(Box<Request<Full<Bytes>>>),
    /// It may have been sent.
    Lost(Fault),
}

impl Line {
    async fn exchange(&self, outbound: Outbound) -> Result<ProviderAnswer, Fault> {
        let fate = &*outbound.fate;
        let mut request = into_http(outbound.request)?;
        match self.target.http {
            UpstreamHttp::Http1 => {
                while let Some(single) = self.pool.take() {
                    fate.note(|trail| trail.reused = true);
                    fate.send();
                    match self.over_single(single, request, fate).await {
                        Ok(answer) => return Ok(answer),
                        Err(Unsent::Lost(fault)) => return Err(fault),
                        Err(Unsent::Untouched(untouched)) => request = *untouched,
                    }
                }
            }
            UpstreamHttp::Http2 => {
                if let Some(shared) = self.pool.shared() {
                    fate.note(|trail| trail.reused = true);
                    fate.send();
                    match self.over_shared(shared, request, fate).await {
                        Ok(answer) => return Ok(answer),
                        Err(Unsent::Lost(fault)) => return Err(fault),
                        Err(Unsent::Untouched(untouched)) => request = *untouched,
                    }
                }
            }
        }
        // Boxed, so that the room that a handshake needs is not every exchange's.
        let dialled = Box::pin(self.dialer.dial(fate)).await?;
        fate.note(|trail| trail.reused = false);
        fate.send();
        let answered = match dialled {
            Dialled::Single(single) => self.over_single(single, request, fate).await,
            Dialled::Shared(shared) => {
                self.pool.share(shared.clone());
                self.over_shared(shared, request, fate).await
            }
        };
        answered.map_err(|unsent| match unsent {
            Unsent::Untouched(_) => Fault::ConnectionLost,
            Unsent::Lost(fault) => fault,
        })
    }

    async fn over_single(
        &self,
        mut single: Single,
        mut request: Request<Full<Bytes>>,
        fate: &Fate,
    ) -> Result<ProviderAnswer, Unsent> {
        fate.note(|trail| trail.endpoint = Some(single.endpoint));
        self.address(&mut request, single.endpoint, false).map_err(Unsent::Lost)?;
        let asked = request.headers().get(X_CORRELATION_ID).cloned();
        let sending = single.sender.try_send_request(request);
        let sent: Sent = self.first_byte(sending).await;
        let answer = self.whole(sent?, fate).await.map_err(Unsent::Lost)?;
        match self.echo(asked.as_ref(), &answer) {
            Echo::None | Echo::Same => self.pool.keep(single),
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
            self.pool.unshare();
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
        match timeout(self.target.timeouts.first_byte, sending).await {
            Err(_) => Err(Unsent::Lost(Fault::ResponseTimeout)),
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut error)) => Err(match error.take_message() {
                Some(request) => Unsent::Untouched(Box::new(request)),
                None => Unsent::Lost(head_fault(error.error())),
            }),
        }
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
            let scheme = self.target.origins(self.host).get(endpoint).map(|origin| origin.scheme);
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

    /// Reads the answer to its end. Nothing less than all of it is passed on (CONTRACT H20).
    async fn whole(
        &self,
        response: Response<Incoming>,
        fate: &Fate,
    ) -> Result<ProviderAnswer, Fault> {
        let (head, mut body) = response.into_parts();
        fate.note(|trail| trail.status = Some(head.status));
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Fault::ResponseMalformed("101"));
        }
        check_framing(&head.headers)?;
        let bytes_max = self.target.response_bytes_max;
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(Fault::ResponseTooLarge);
        }
        let (mut first, mut more) = (Bytes::new(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| body_fault(&error))?;
            // Trailers are not the answer's fields, and nothing here asked for them.
            let Ok(data) = frame.into_data() else { continue };
            if first.len() + more.len() + data.len() > bytes_max {
                return Err(Fault::ResponseTooLarge);
            }
            // A small answer comes in one piece, which is then not copied.
            if first.is_empty() { first = data } else { more.extend_from_slice(&data) }
        }
        let body = if more.is_empty() { first } else { [first, more.freeze()].concat().into() };
        Ok(ProviderAnswer { status: head.status, headers: head.headers, body })
    }
}

/// An answer has one length. The library believes `Transfer-Encoding` where `Content-Length` stands
/// beside it, and hands a coding that it can't undo through as it is (RFC 9112 section 6.3).
fn check_framing(headers: &http::HeaderMap) -> Result<(), Fault> {
    let mut codings = headers.get_all(http::header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
    if chunked && !headers.contains_key(http::header::CONTENT_LENGTH) {
        Ok(())
    } else {
        Err(Fault::ResponseMalformed("framing"))
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

/// What an error inside the answer's body means.
fn body_fault(error: &hyper::Error) -> Fault {
    if error.is_parse() { Fault::ResponseMalformed("body") } else { Fault::ResponseTruncated }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_two_lengths_or_a_coding_that_nobody_undoes_is_refused() {
        let framing = |fields: &[(&'static str, &'static str)]| {
            let mut headers = http::HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            check_framing(&headers)
        };
        let refused = Err(Fault::ResponseMalformed("framing"));
        assert_eq!(framing(&[("content-length", "5")]), Ok(()));
        assert_eq!(framing(&[("transfer-encoding", "Chunked")]), Ok(()));
        assert_eq!(framing(&[("transfer-encoding", "chunked"), ("content-length", "5")]), refused);
        assert_eq!(framing(&[("transfer-encoding", "gzip")]), refused);
        assert_eq!(framing(&[("transfer-encoding", "gzip, chunked")]), refused);
        let twice = [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert_eq!(framing(&twice), refused);
    }
}
