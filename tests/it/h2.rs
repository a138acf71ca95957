//! HTTP/2 below what a client library offers: bodies that come in pieces or never, and frames that
//! no library would send.
//!
//! This file decides how they are written. It must not know what is answered.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use corgate::sim::client::Client;
use http::{Request, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::answer::{Answer, Correlation};
use crate::ask::Ask;
use crate::wire::Wire;
use crate::world::{Notes, World, client_config, tls_of, wait};

/// A body whose length nobody knows, in pieces; it ends when the sender is dropped.
pub(crate) struct Pieces(mpsc::UnboundedReceiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// A connection that carries many calls at once.
#[derive(Clone)]
pub(crate) struct Streams {
    sender: http2::SendRequest<Pieces>,
    notes: Notes,
}

impl Streams {
    pub(crate) fn open(world: &World) -> Self {
        let mut config = client_config(1);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let address = world.address(0);
        let sender = wait(async {
            let tcp = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            let stream = TokioIo::new(connector.connect(name, tcp).await.unwrap());
            let (sender, driver) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(driver);
            sender
        });
        Self { sender, notes: world.notes().clone() }
    }

    /// Begins a call. The body is what the returned sender is given; no length is declared.
    pub(crate) fn begin(&self, ask: &Ask) -> (mpsc::UnboundedSender<Bytes>, Pending) {
        self.notes.learn_ask(ask);
        let (pieces, body) = mpsc::unbounded_channel();
        let mut request: Request<Pieces> = ask.request().map(|_| Pieces(body));
        let uri = format!("https://localhost{}", ask.target);
        *request.uri_mut() = uri.parse::<Uri>().unwrap();
        let mut sender = self.sender.clone();
        let work = async move {
            sender.ready().await?;
            let (head, body) = sender.send_request(request).await?.into_parts();
            Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
        };
        let work = crate::world::runtime().spawn(work);
        (pieces, Pending { work, ask: ask.clone(), notes: self.notes.clone() })
    }

    /// Begins a call with its whole body.
    pub(crate) fn begin_whole(&self, ask: &Ask) -> Pending {
        let (pieces, pending) = self.begin(ask);
        // A call that was refused by its head takes no body any more.
        let _ = pieces.send(Bytes::from(ask.body.clone()));
        pending
    }
}

impl Streams {
    /// An answer that is not checked for anything.
    pub(crate) fn raw_answer(&self, ask: &Ask) -> Response<Bytes> {
        wait(self.begin_whole(ask).work).unwrap().expect("no answer")
    }
}

/// A call that has begun.
pub(crate) struct Pending {
    work: tokio::task::JoinHandle<hyper::Result<Response<Bytes>>>,
    ask: Ask,
    notes: Notes,
}

impl Pending {
    /// Its answer.
    #[track_caller]
    pub(crate) fn answer(self) -> Answer {
        let response = wait(self.work).unwrap().expect("no answer");
        let sent = Correlation::Sent(self.ask.correlation());
        Answer::take(response, &sent, &self.notes)
    }

    /// Gives it up: the stream is reset.
    pub(crate) fn abort(self) {
        self.work.abort();
        let _ = wait(self.work);
    }
}

/// The kinds of frames that tests look for (RFC 9113 section 6).
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const GOAWAY: u8 = 7;

/// A connection on which frames are written by hand.
pub(crate) struct Frames {
    wire: Wire,
    unread: Vec<u8>,
}

impl Frames {
    pub(crate) fn open(world: &World) -> Self {
        Self::open_as(world, 1)
    }

    pub(crate) fn open_as(world: &World, number: usize) -> Self {
        Self::begin_as(world.address(0), world.notes(), number)
    }

    pub(crate) fn open_at(address: SocketAddr, notes: &Notes) -> Self {
        Self::begin_as(address, notes, 1)
    }

    fn begin_as(address: SocketAddr, notes: &Notes, number: usize) -> Self {
        let client = Client::tls(address, tls_of(number)).http2();
        let mut wire = Wire::new(wait(client.raw()).unwrap(), notes.clone());
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut frames = Self { wire, unread: Vec::new() };
        frames.send(4, 0, 0, b"");
        frames
    }

    /// Writes one frame.
    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.wire.send([&head, payload].concat());
    }

    /// Writes the same bytes many times, in large writes, until the gateway takes no more.
    pub(crate) fn flood(&mut self, frame: &[u8], times: usize) {
        let many = frame.repeat(times.min(1_000));
        for _ in 0..times.div_ceil(1_000) {
            self.wire.send(&many);
        }
    }

    /// Ends the sending side: TLS says so, and the socket.
    pub(crate) fn finish(&mut self) {
        self.wire.finish();
    }

    /// Nothing more is said on it, and the gateway has closed it.
    pub(crate) fn ends(mut self) -> Option<Vec<u8>> {
        let mut farewell = None;
        while let Some((_, payload)) = self.next(&[GOAWAY]) {
            farewell = Some(payload);
        }
        farewell
    }

    /// Writes a request without a body.
    pub(crate) fn request(&mut self, stream: u32, fields: &[(&str, &str)]) {
        // END_STREAM and END_HEADERS.
        self.head(stream, 5, fields);
    }

    /// Writes a head whose body is to come.
    pub(crate) fn begin(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.head(stream, 4, fields);
    }

    /// Each field a literal that is not indexed.
    fn head(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0);
            for text in [name, value] {
                assert!(text.len() < 127, "one length octet");
                block.push(u8::try_from(text.len()).unwrap());
                block.extend_from_slice(text.as_bytes());
            }
        }
        self.send(HEADERS, flags, stream, &block);
    }

    /// Writes a request with its body.
    pub(crate) fn ask(&mut self, stream: u32, ask: &Ask) {
        self.open_call(stream, ask);
        self.send(0, 1, stream, &ask.body);
    }

    /// Writes the head of a request whose body is to come.
    pub(crate) fn open_call(&mut self, stream: u32, ask: &Ask) {
        let own = ["POST", "https", "localhost", &ask.target];
        let pseudo = [":method", ":scheme", ":authority", ":path"].into_iter().zip(own);
        let mut block = Vec::new();
        let fields = ask.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        for (name, value) in pseudo.map(|(name, value)| (name, value.as_bytes())).chain(fields) {
            block.push(0);
            for text in [name.to_ascii_lowercase().as_bytes(), value] {
                assert!(text.len() < 127, "one length octet");
                block.push(u8::try_from(text.len()).unwrap());
                block.extend_from_slice(text);
            }
        }
        self.send(HEADERS, 4, stream, &block);
    }

    /// The next frame of one of these kinds; `None` at the connection's end.
    pub(crate) fn next(&mut self, kinds: &[u8]) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(&[a, b, c, kind, ..]) = self.unread.first_chunk::<9>() {
                let end = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
                if self.unread.len() >= end {
                    let frame: Vec<u8> = self.unread.drain(..end).collect();
                    if kinds.contains(&kind) {
                        return Some((kind, frame[9..].to_vec()));
                    }
                    continue;
                }
            }
            let more = self.wire.bytes();
            if more.is_empty() {
                return None;
            }
            self.unread.extend(more);
        }
    }
}
