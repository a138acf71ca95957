//! One client connection, from the accepted socket to its end.
//!
//! This file decides how long a connection may take over what, and how it ends: after a last
//! answer, with what the client still sends read away, so that the answer is not lost to a reset
//! (RFC 9112 section 9.6). It must not know what requests mean.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::gateway::{Link, refuse_head, serve};
use super::guard::{Guard, Phase, Progress};
use super::guests::{Stay, seat};
use super::local::LocalExecutor;
use super::tls::EdgeSide;
use super::worker::Worker;
use crate::callers::Peer;
use crate::fault::Fault;
use crate::framing::HeadLimits;
use crate::ids::Fingerprint;
use crate::routes::EdgeLimits;

/// How long, and how many bytes, a closing connection is read from.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 256 * 1024;
/// HTTP/2 flow control: a stream's window takes the largest form, a connection's several of them.
const H2_STREAM_WINDOW: u32 = 128 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How long a connection whose client is out may take to say goodbye.
const PARTING: Duration = Duration::from_millis(300);
/// How long a peer may leave an HTTP/2 ping unanswered.
const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves a plain connection.
pub(super) async fn serve_plain(worker: Rc<Worker>, socket: TcpStream, from: SocketAddr) {
    let peer = Peer { fingerprint: None, ended: false, address: from.ip() };
    let link = link(worker, peer, None, Rc::default());
    let limits = link.worker.hub.snapshot.load().table.gateway.limits.clone();
    serve_http1(link, socket, &limits).await;
}

/// Serves a TLS connection.
pub(super) async fn serve_tls(
    worker: Rc<Worker>,
    socket: TcpStream,
    from: SocketAddr,
    side: Arc<EdgeSide>,
) {
    let limits = worker.hub.snapshot.load().table.gateway.limits.clone();
    let mut handshake = pin!(TlsAcceptor::from(side.config.clone()).accept(socket).into_fallible());
    let shaken = timeout(limits.handshake_timeout, handshake.as_mut()).await;
    worker.end_handshake();
    let mut stream = match shaken {
        Ok(Ok(stream)) => stream,
        failed => {
            // Counted while the socket is still open: who sees it close finds it counted.
            worker.meters().handshakes_failed.fetch_add(1, Ordering::Relaxed);
            drop(failed);
            return;
        }
    };
    let meters = worker.meters();
    meters.handshakes.fetch_add(1, Ordering::Relaxed);
    let (_, session) = stream.get_ref();
    if session.handshake_kind() == Some(HandshakeKind::Resumed) {
        meters.handshakes_resumed.fetch_add(1, Ordering::Relaxed);
    }
    let is_h2 = session.alpn_protocol() == Some(b"h2");
    let (peer, version) = describe(&stream, from);
    let (stay, _seat) = match seat(&worker, session, peer.fingerprint, &side) {
        Ok(seated) => seated,
        Err(why) => {
            worker.hub.standing.count_ended(why, 1);
            let _ = timeout(PARTING, stream.shutdown()).await;
            return;
        }
    };
    let link = link(worker, peer, version, stay);
    if is_h2 {
        serve_http2(link, stream, &limits).await;
    } else {
        serve_http1(link, stream, &limits).await;
    }
}

fn describe(stream: &TlsStream<TcpStream>, from: SocketAddr) -> (Peer, Option<&'static str>) {
    let (_, session) = stream.get_ref();
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    let fingerprint = leaf.map(|der| Fingerprint::of_der(der));
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => Some("1.2"),
        Some(ProtocolVersion::TLSv1_3) => Some("1.3"),
        _ => None,
    };
    (Peer { fingerprint, ended: false, address: from.ip() }, version)
}

fn link(worker: Rc<Worker>, peer: Peer, tls: Option<&'static str>, stay: Rc<Stay>) -> Rc<Link> {
    let (age_max, body_timeout) = {
        let limits = &worker.hub.snapshot.load().table.gateway.limits;
        (limits.connection_age_max, limits.body_timeout)
    };
    let opened = Instant::now();
    Rc::new(Link {
        worker,
        peer_text: peer.address.to_string().into(),
        peer,
        tls,
        stay,
        opened,
        age_max,
        body_timeout,
        progress: Progress::new(opened),
        resets: std::cell::Cell::new(0),
    })
}

async fn serve_http1<S>(link: Rc<Link>, socket: S, limits: &EdgeLimits)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let head_limits = HeadLimits {
        head_bytes_max: limits.head_bytes_max,
        fields_max: limits.head_fields_max,
        uri_bytes_max: limits.uri_bytes_max,
    };
    let scratch = link.worker.scratch.clone();
    let guard = Guard::new(socket, scratch, head_limits, link.progress.clone());
    let server = link.clone();
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // The guard keeps the head's deadline, and can say so; hyper would only hang up.
        .header_read_timeout(None)
        // The guard keeps the limits, too; hyper's own are never reached.
        .max_header_size(limits.head_bytes_max + limits.uri_bytes_max)
        .max_headers(limits.head_fields_max + 8)
        .max_buf_size(limits.head_bytes_max.max(64 * 1024) * 2)
        .serve_connection(guard, service_fn(move |request| serve(&server, request)));
    let watch = Watch::new(&link, limits);
    let end = drive(&link, watch, |cx, goodbye| {
        let mut connection = Pin::new(&mut connection);
        // There is no word for it between two requests: the next answer announces the close.
        if goodbye == Some(Goodbye::Now) {
            connection.as_mut().graceful_shutdown();
        }
        connection.poll_without_shutdown(cx).map(|_| ())
    })
    .await;
    let fault = match end {
        End::Closed => link.progress.take_fault(),
        End::HeadLate => Some(Fault::HeadTimeout),
        End::Cut => return,
    };
    finish(&link, connection.into_parts().io.into_socket(), fault).await;
}

async fn serve_http2<S>(link: Rc<Link>, socket: S, limits: &EdgeLimits)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let server = link.clone();
    let connection = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams_max)
        .max_pending_accept_reset_streams(limits.h2_resets_max as usize)
        .max_local_error_reset_streams(limits.h2_resets_max as usize)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        // Twice the head's own limit, so that it is the walk that refuses, in the contract's words.
        .max_header_list_size(u32::try_from(limits.head_bytes_max * 2).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.idle_timeout / 2)
        .keep_alive_timeout(H2_PING_TIMEOUT)
        .serve_connection(TokioIo::new(socket), service_fn(move |request| serve(&server, request)));
    let mut connection = pin!(connection);
    let resets_max = limits.h2_resets_max;
    let counter = link.clone();
    let watch = Watch::new(&link, limits);
    drive(&link, watch, |cx, goodbye| {
        // GOAWAY twice (RFC 9113 section 6.8): streams on their way are still served.
        if goodbye.is_some() {
            connection.as_mut().graceful_shutdown();
        }
        if counter.resets.get() > resets_max {
            // Rapid reset (CVE-2023-44487): whoever opens streams to close them is shown out.
            return Poll::Ready(());
        }
        connection.as_mut().poll(cx).map(|_| ())
    })
    .await;
}

/// How a connection came to its end.
enum End {
    /// The library is done with it, or the guard refused a head.
    Closed,
    /// A head began and did not end in time.
    HeadLate,
    /// Nothing more to say.
    Cut,
}

/// What a connection is told about its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goodbye {
    /// The gateway leaves: what comes is still served.
    Soon,
    /// It takes nothing new.
    Now,
}

/// A connection's deadlines, by what it waits for.
struct Watch {
    idle: Duration,
    head: Duration,
    age_max: Duration,
    /// How long it may be quiet once the gateway leaves.
    quiet: Duration,
    /// Since when the gateway leaves.
    leaving: Option<Instant>,
}

impl Watch {
    fn new(link: &Link, limits: &EdgeLimits) -> Self {
        Self {
            idle: limits.idle_timeout,
            head: limits.head_timeout,
            age_max: limits.connection_age_max,
            quiet: link.worker.hub.snapshot.load().table.gateway.drain_quiet,
            leaving: None,
        }
    }

    /// When the current wait has to be over.
    fn deadline(&self, link: &Link) -> (Phase, Instant) {
        let (phase, since) = link.progress.phase();
        match phase {
            // Whoever is out had its time; only what is under way is waited for.
            Phase::Idle | Phase::Head if link.stay.is_over() => (Phase::Idle, Instant::now()),
            Phase::Busy if link.stay.is_over() => (phase, Instant::now() + PARTING),
            Phase::Idle => {
                let end = (since + self.idle).min((link.opened + self.age_max).max(since));
                let quiet = self.leaving.map(|leaving| leaving.max(since) + self.quiet);
                (phase, quiet.map_or(end, |quiet| end.min(quiet)))
            }
            Phase::Head => (phase, since + self.head),
            // The exchange has deadlines of its own; look again when it may be over, or when the
            // connection is to take no other one.
            Phase::Busy => {
                let (now, old) = (Instant::now(), link.opened + self.age_max);
                let next = now + self.idle;
                (phase, if old > now { next.min(old) } else { next })
            }
        }
    }
}

/// Polls a connection to its end, with one timer that is only touched when it fires or when a head
/// comes in pieces: a request that arrives whole costs no timer.
async fn drive(
    link: &Rc<Link>,
    mut watch: Watch,
    mut poll_connection: impl FnMut(&mut std::task::Context<'_>, Option<Goodbye>) -> Poll<()>,
) -> End {
    let mut timer = pin!(sleep(watch.idle.min(watch.age_max)));
    let mut leaving = pin!(link.worker.hub.leaving());
    let (mut heard, mut over) = (false, false);
    poll_fn(|cx| {
        if !heard {
            heard = true;
            link.stay.wake(cx.waker());
        }
        let out = !over && link.stay.is_over();
        if out {
            over = true;
            timer.as_mut().reset(Instant::now() + PARTING);
        }
        let leaves = watch.leaving.is_none() && leaving.as_mut().poll(cx).is_ready();
        if leaves {
            watch.leaving = Some(Instant::now());
        }
        let goodbye = if out { Some(Goodbye::Now) } else { leaves.then_some(Goodbye::Soon) };
        if poll_connection(cx, goodbye).is_ready() {
            return Poll::Ready(End::Closed);
        }
        if link.progress.take_hurry() || leaves {
            timer.as_mut().reset(watch.deadline(link).1);
        }
        look_at_timer(link, &watch, timer.as_mut(), cx, &mut poll_connection)
    })
    .await
}

fn look_at_timer(
    link: &Link,
    watch: &Watch,
    mut timer: Pin<&mut Sleep>,
    cx: &mut std::task::Context<'_>,
    poll_connection: &mut impl FnMut(&mut std::task::Context<'_>, Option<Goodbye>) -> Poll<()>,
) -> Poll<End> {
    while timer.as_mut().poll(cx).is_ready() {
        let (phase, deadline) = watch.deadline(link);
        if phase == Phase::Busy
            && Instant::now() >= link.opened + watch.age_max
            && poll_connection(cx, Some(Goodbye::Now)).is_ready()
        {
            // It takes nothing new: HTTP/2 could carry a next stream before the last one ends.
            return Poll::Ready(End::Closed);
        }
        if deadline > Instant::now() {
            timer.as_mut().reset(deadline);
            continue;
        }
        return match phase {
            Phase::Head if link.progress.owes() => Poll::Ready(End::Cut),
            Phase::Head => Poll::Ready(End::HeadLate),
            Phase::Idle | Phase::Busy => {
                // Between two requests there is nothing to lose: say goodbye properly.
                let _ = poll_connection(cx, Some(Goodbye::Now));
                Poll::Ready(if phase == Phase::Idle { End::Closed } else { End::Cut })
            }
        };
    }
    Poll::Pending
}

/// Says a last word, if there is one, and closes.
async fn finish<S>(link: &Link, mut socket: S, fault: Option<Fault>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let farewell = async {
        if let Some(fault) = fault {
            let (answer, _) = refuse_head(link, fault);
            socket.write_all(&render(&answer)).await?;
        }
        socket.shutdown().await?;
        let (mut sink, mut read) = ([0_u8; 4096], 0);
        while read < LINGER_BYTES_MAX {
            match socket.read(&mut sink).await? {
                0 => break,
                count => read += count,
            }
        }
        std::io::Result::Ok(())
    };
    // Whether the client took it is its own affair.
    let _ = timeout(LINGER, farewell).await;
}

/// An answer in HTTP/1.1, for a connection that the library never got a request from.
fn render(answer: &crate::answer::Answer) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let status = answer.status;
    let reason = status.canonical_reason().unwrap_or("Error");
    bytes.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).as_bytes());
    for (name, value) in &answer.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let length = answer.body.len();
    bytes.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
    bytes.extend_from_slice(&answer.body);
    bytes
}
