//! A small HTTPS client, for the demo and the tests: it calls the gateway as a third party does.
//!
//! This file decides how a call is made and what can go wrong with it. It must not know what is
//! asked, or what a good answer is.

mod raw;
mod tls;

pub use raw::RawStream;
pub use tls::ClientTls;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// How long a call may take, connecting included, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug)]
pub enum CallError {
    /// No TCP connection.
    Connect(io::Error),
    /// No TLS connection. Over TLS 1.3 a refused client certificate shows later, as `Lost`.
    Handshake(io::Error),
    /// The connection ended, or what came was no HTTP.
    Lost(hyper::Error),
    /// The request can't be sent as it is.
    Request(http::Error),
    /// Nothing came in time.
    Timeout,
}

impl CallError {
    /// Whether the other side broke TLS off with an alert, in the handshake or right after it.
    pub fn is_tls_refusal(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if matches!(tls, Some(rustls::Error::AlertReceived(_))) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "no connection: {error}"),
            Self::Handshake(error) => write!(f, "no TLS connection: {error}"),
            Self::Lost(error) => write!(f, "no answer: {error}"),
            Self::Request(error) => write!(f, "no request: {error}"),
            Self::Timeout => f.write_str("no answer in time"),
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) | Self::Handshake(error) => Some(error),
            Self::Lost(error) => Some(error),
            Self::Request(error) => Some(error),
            Self::Timeout => None,
        }
    }
}

impl From<hyper::Error> for CallError {
    fn from(error: hyper::Error) -> Self {
        Self::Lost(error)
    }
}

/// A client of one server. It keeps one connection and opens the next when that has ended.
pub struct Client {
    address: SocketAddr,
    tls: Option<ClientTls>,
    http2: bool,
    timeout: Duration,
    open: Option<Sender>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    /// A client that speaks plain HTTP/1.1.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None, http2: false, timeout: TIMEOUT, open: None }
    }

    /// A client that speaks HTTP/1.1 over TLS.
    pub fn tls(address: SocketAddr, tls: ClientTls) -> Self {
        Self { tls: Some(tls), ..Self::plain(address) }
    }

    /// Speaks HTTP/2: by ALPN over TLS, by prior knowledge over plain TCP.
    #[must_use]
    pub fn http2(self) -> Self {
        Self { http2: true, ..self }
    }

    /// How long a call may take.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Makes a call. Nothing is ever sent twice; after an error the connection is given up.
    ///
    /// The request's URI may be a path alone; `Host` is `localhost` unless the request says more.
    ///
    /// # Errors
    /// [`CallError`] when there is no whole answer.
    pub async fn call(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
        let limit = self.timeout;
        let called = tokio::time::timeout(limit, self.exchange(request)).await;
        called.unwrap_or(Err(CallError::Timeout))
    }

    /// Closes the connection: the next call opens a new one.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Opens a connection of its own for bytes that no client would send.
    ///
    /// # Errors
    /// [`CallError::Connect`] and [`CallError::Handshake`].
    pub async fn raw(&self) -> Result<RawStream, CallError> {
        let tcp = connect(self.address).await?;
        match &self.tls {
            None => Ok(RawStream::new(tcp)),
            Some(tls) => Ok(RawStream::new(tls.connect(tcp, self.http2).await?)),
        }
    }

    async fn exchange(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
        let request = self.address_request(request.map(Full::new))?;
        let mut sender = match self.open.take() {
            Some(sender) if sender.is_open() => sender,
            _ => self.connect().await?,
        };
        let answer = match &mut sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        self.open = Some(sender);
        Ok(Response::from_parts(head, body))
    }

    /// HTTP/1.1 wants a path and `Host`; HTTP/2 wants a whole URI.
    fn address_request(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Request<Full<Bytes>>, CallError> {
        let authority = Authority::try_from(format!("localhost:{}", self.address.port()))
            .map_err(|error| CallError::Request(error.into()))?;
        if self.http2 {
            let mut parts = request.uri().clone().into_parts();
            parts.scheme = Some(if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
            parts.authority = Some(parts.authority.unwrap_or(authority));
            let uri = Uri::from_parts(parts).map_err(|error| CallError::Request(error.into()))?;
            *request.uri_mut() = uri;
        } else if !request.headers().contains_key(HOST) {
            let host = HeaderValue::from_str(authority.as_str())
                .map_err(|error| CallError::Request(error.into()))?;
            request.headers_mut().insert(HOST, host);
        }
        Ok(request)
    }

    async fn connect(&self) -> Result<Sender, CallError> {
        let tcp = connect(self.address).await?;
        match &self.tls {
            None => self.begin(tcp).await,
            Some(tls) => self.begin(tls.connect(tcp, self.http2).await?).await,
        }
    }

    async fn begin<S>(&self, stream: S) -> Result<Sender, CallError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(stream);
        // How the connection ended shows in the call; the driver's own error says it once more.
        if self.http2 {
            let (sender, driver) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(async move { drop(driver.await) });
            Ok(Sender::Http2(sender))
        } else {
            let (sender, driver) = http1::handshake(stream).await?;
            tokio::spawn(async move { drop(driver.await) });
            Ok(Sender::Http1(sender))
        }
    }
}

impl Sender {
    fn is_open(&self) -> bool {
        match self {
            Self::Http1(sender) => !sender.is_closed(),
            Self::Http2(sender) => !sender.is_closed(),
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, CallError> {
    let stream = TcpStream::connect(address).await.map_err(CallError::Connect)?;
    stream.set_nodelay(true).map_err(CallError::Connect)?;
    Ok(stream)
}
