//! HTTP/2 of a simulated server, on hyper.
//!
//! This file decides how answers, whole or broken, travel on a stream. It must not know why an
//! answer is broken.

use std::future::{Future as _, pending};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

use super::journal::Connection;
use super::{Delivery, Received};

/// Answers streams until the connection ends, or an answer is a reset.
///
/// `handle` is the connection's socket: hyper keeps the stream itself.
pub(super) async fn serve<S>(
    stream: S,
    handle: socket2::Socket,
    connection: Connection,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (reset, mut resets) = mpsc::channel(1);
    let service = service_fn(move |request: Request<Incoming>| {
        let (connection, reset) = (connection.clone(), reset.clone());
        async move { answer(request, &connection, reset).await }
    });
    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let conversation = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = conversation => ended.map_err(io::Error::other),
        _ = resets.recv() => handle.set_linger(Some(Duration::ZERO)),
    }
}

async fn answer(
    request: Request<Incoming>,
    connection: &Connection,
    reset: mpsc::Sender<()>,
) -> io::Result<Response<Pieces>> {
    let request = receive(request, connection).await?;
    let reply = connection.house.answer(request);
    sleep(reply.wait).await;
    let whole = Pieces { rest: reply.answer.body.clone(), pace: None, truncated: false };
    let body = match reply.delivery {
        Delivery::Whole | Delivery::Surplus(_) | Delivery::ThenClosed | Delivery::Preceded(_) => {
            whole
        }
        Delivery::Drip(pause) => Pieces { pace: Some((pause, Box::pin(sleep(pause)))), ..whole },
        Delivery::Truncated => Pieces { truncated: true, ..whole },
        Delivery::Replaced(_) => return Err(io::ErrorKind::InvalidData.into()),
        Delivery::ResetMidHead | Delivery::Reset => {
            // Full means that another stream has asked for it: then it is on its way.
            let _ = reset.try_send(());
            pending().await
        }
        Delivery::Never => pending().await,
    };
    let mut response = Response::new(body);
    *response.status_mut() = reply.answer.status;
    for (name, value) in &reply.answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
        let value = HeaderValue::from_str(value).map_err(io::Error::other)?;
        response.headers_mut().append(name, value);
    }
    Ok(response)
}

async fn receive(request: Request<Incoming>, connection: &Connection) -> io::Result<Received> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers: Vec<(String, String)> =
        head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    if let Some(authority) = head.uri.authority() {
        headers.insert(0, (":authority".to_owned(), authority.to_string()));
    }
    Ok(Received {
        connection: connection.number,
        certificate: connection.certificate,
        version: format!("{:?}", head.version),
        method: head.method.to_string(),
        path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers,
        body,
    })
}

/// A body that may come slowly, and may break off.
struct Pieces {
    rest: Bytes,
    pace: Option<(Duration, Pin<Box<Sleep>>)>,
    truncated: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let broken = std::mem::take(&mut this.truncated);
            return Poll::Ready(broken.then(|| Err(io::ErrorKind::UnexpectedEof.into())));
        }
        let piece = match &mut this.pace {
            None => std::mem::take(&mut this.rest),
            Some((pause, next)) => {
                ready!(next.as_mut().poll(context));
                *next = Box::pin(sleep(*pause));
                this.rest.split_to(1)
            }
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && !self.truncated
    }

    fn size_hint(&self) -> SizeHint {
        if self.truncated {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
