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
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::counted::Counted;
use super::gateway::{Link, note_bare_answer, refuse_head, serve};
use super::guard::{Cut, Guard, Phase, Progress};
use super::local::LocalExecutor;
use super::worker::Worker;
use crate::callers::Peer;
use crate::fault::Fault;
use crate::frames::Ledger;
use crate::framing::HeadLimits;
use crate::ids::Fingerprint;
use crate::routes::EdgeLimits;

/// How long, and how many bytes, a closing connection is read from.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 256 * 1024;
/// HTTP/2 flow control: a stream's window takes the largest form, a connection's several of them.
const H2_STREAM_WINDOW: u32 = 128 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How long a peer may leave an HTTP/2 ping unanswered.
const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves a plain connection.
pub(super) async fn serve_plain(worker: Rc<Worker>, socket: TcpStream, from: SocketAddr) {
    let peer = Peer { fingerprint: None, address: from.ip() };
    let link = link(worker, peer, None);
    let limits = link.worker.hub.snapshot.load().table.gateway.limits.clone();
    serve_http1(link, socket, &limits).await;
}

/// Serves a TLS connection.
pub(super) async fn serve_tls(
    worker: Rc<Worker>,
    socket: TcpStream,
    from: SocketAddr,
    config: Arc<ServerConfig>,
) {
    let limits = worker.hub.snapshot.load().table.gateway.limits.clone();
    let mut handshake = pin!(TlsAcceptor::from(config).accept(socket).into_fallible());
    let shaken = timeout(limits.handshake_timeout, handshake.as_mut()).await;
    worker.end_handshake();
    let stream = match shaken {
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
    let link = link(worker, peer, version);
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
    (Peer { fingerprint, address: from.ip() }, version)
}

fn link(worker: Rc<Worker>, peer: Peer, tls: Option<&'static str>) -> Rc<Link> {
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
    let watch = Watch::new(limits);
    let end = drive(&link, watch, |cx, leave| {
        let mut connection = Pin::new(&mut connection);
        if leave {
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
    let ledger = Ledger::new(limits.h2_frames_max, limits.h2_streams_max);
    let socket = Counted::new(socket, ledger, link.opened, link.progress.clone());
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
    let watch = Watch::new(limits);
    drive(&link, watch, |cx, leave| {
        if leave {
            connection.as_mut().graceful_shutdown();
        }
        let polled = connection.as_mut().poll(cx).map(|_| ());
        for _ in 0..counter.progress.take_bare_answers() {
            note_bare_answer(&counter);
        }
        if counter.resets.get() > resets_max {
            // Rapid reset (CVE-2023-44487): whoever opens streams to close them is shown out.
            counter.progress.cut(Cut::Resets);
            return Poll::Ready(());
        }
        polled
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

/// A connection's deadlines, by what it waits for.
struct Watch {
    idle: Duration,
    head: Duration,
    answer: Duration,
    age_max: Duration,
}

impl Watch {
    const fn new(limits: &EdgeLimits) -> Self {
        Self {
            idle: limits.idle_timeout,
            head: limits.head_timeout,
            answer: limits.answer_timeout,
            age_max: limits.connection_age_max,
        }
    }

    /// When the current wait has to be over.
    fn deadline(&self, link: &Link) -> (Phase, Instant) {
        let (phase, since) = link.progress.phase();
        match phase {
            Phase::Idle => {
                (phase, (since + self.idle).min((link.opened + self.age_max).max(since)))
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
    watch: Watch,
    mut poll_connection: impl FnMut(&mut std::task::Context<'_>, bool) -> Poll<()>,
) -> End {
    let mut timer = pin!(sleep(watch.idle.min(watch.age_max)));
    let mut leaving = pin!(link.worker.hub.leaving());
    let mut left = false;
    let mut untaken_since = None;
    let end = poll_fn(|cx| {
        let leave = !left && leaving.as_mut().poll(cx).is_ready();
        left |= leave;
        if poll_connection(cx, leave).is_ready() {
            return Poll::Ready(End::Closed);
        }
        if link.progress.take_hurry() {
            timer.as_mut().reset(watch.deadline(link).1);
        }
        match (link.progress.is_untaken(), untaken_since) {
            (true, None) => {
                let now = Instant::now();
                untaken_since = Some(now);
                let soonest = timer.deadline().min(now + watch.answer);
                timer.as_mut().reset(soonest);
            }
            (false, Some(_)) => untaken_since = None,
            (true, Some(_)) | (false, None) => {}
        }
        let taken_by = untaken_since.map(|since| since + watch.answer);
        if taken_by.is_some_and(|taken_by| taken_by <= Instant::now()) {
            link.progress.cut(Cut::Untaken);
            return Poll::Ready(End::Cut);
        }
        look_at_timer(link, &watch, taken_by, timer.as_mut(), cx, &mut poll_connection)
    })
    .await;
    if let Some(cut) = link.progress.take_cut() {
        link.worker.meters().count_cut(cut.as_str());
    }
    end
}

fn look_at_timer(
    link: &Link,
    watch: &Watch,
    taken_by: Option<Instant>,
    mut timer: Pin<&mut Sleep>,
    cx: &mut std::task::Context<'_>,
    poll_connection: &mut impl FnMut(&mut std::task::Context<'_>, bool) -> Poll<()>,
) -> Poll<End> {
    while timer.as_mut().poll(cx).is_ready() {
        let (phase, deadline) = match (watch.deadline(link), taken_by) {
            // What still has an answer to take is not idle.
            ((Phase::Idle, _), Some(taken_by)) => (Phase::Idle, taken_by),
            (deadline, _) => deadline,
        };
        if phase == Phase::Busy
            && Instant::now() >= link.opened + watch.age_max
            && poll_connection(cx, true).is_ready()
        {
            // It takes nothing new: HTTP/2 could carry a next stream before the last one ends.
            return Poll::Ready(End::Closed);
        }
        if deadline > Instant::now() {
            timer.as_mut().reset(taken_by.map_or(deadline, |taken_by| taken_by.min(deadline)));
            continue;
        }
        return match phase {
            Phase::Head if link.progress.owes() => Poll::Ready(End::Cut),
            Phase::Head => Poll::Ready(End::HeadLate),
            Phase::Idle | Phase::Busy => {
                // Between two requests there is nothing to lose: say goodbye properly.
                let _ = poll_connection(cx, true);
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
            let answer = refuse_head(link, fault);
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
