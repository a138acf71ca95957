//! One client connection, from the accepted socket to its end.
//!
//! This file decides what a connection holds while it waits, and how it ends: after a last answer,
//! with what the client still sends read away, so that the answer is not lost to a reset (RFC 9112
//! section 9.6). It must not know what requests mean.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
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
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::admission::Pending;
use super::buffered::{Budget, Buffered};
use super::counted::Counted;
use super::cut::Cut;
use super::gateway::{Link, note_bare_answer, refuse_head, serve};
use super::guard::Guard;
use super::guests::seat;
use super::hello::wait_for_hello;
use super::local::LocalExecutor;
use super::plug::Plug;
use super::progress::Progress;
use super::stay::Stay;
use super::tls::{EdgeSide, handshake_with};
use super::untaken::Untaken;
use super::watch::{End, Goodbye, PARTING, Watch, drive};
use super::worker::Worker;
use crate::callers::Peer;
use crate::deadline::later;
use crate::fault::Fault;
use crate::frames::Ledger;
use crate::framing::HeadLimits;
use crate::ids::Fingerprint;
use crate::routes::EdgeLimits;

/// How long, and how many bytes, a closing connection is read from.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long an HTTP/1.x connection is idle before it gives its buffers back.
const REST_AFTER: Duration = Duration::from_secs(5);
/// HTTP/2 flow control: a stream's window takes the largest form, a connection's several of them.
const H2_STREAM_WINDOW: u32 = 128 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How long a peer may leave an HTTP/2 ping unanswered.
const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer that was idle is listened to behind GOAWAY, for streams on their way.
const H2_PARTING: Duration = Duration::from_secs(1);

/// Serves a plain connection.
pub(super) async fn serve_plain(
    worker: Rc<Worker>,
    stay: Rc<Stay>,
    socket: TcpStream,
    from: SocketAddr,
) {
    let peer = Peer { fingerprint: None, ended: false, address: from.ip() };
    let limits = worker.hub.snapshot.load().table.gateway.limits.clone();
    let link = link(worker, peer, None, stay, &limits);
    serve_http1(link, Plug(socket), &limits).await;
}

/// Serves a TLS connection.
pub(super) async fn serve_tls(
    worker: Rc<Worker>,
    stay: Rc<Stay>,
    pending: Pending,
    socket: TcpStream,
    from: SocketAddr,
    side: Arc<EdgeSide>,
) {
    let limits = worker.hub.snapshot.load().table.gateway.limits.clone();
    let end = later(Instant::now(), limits.handshake_timeout);
    let hello = wait_for_hello(&socket, &worker.scratch);
    let hello = unless_over(&stay, Box::pin(timeout_at(end, hello))).await;
    if !matches!(hello, Some(Ok(Ok(())))) {
        return count_failed(&worker, &stay);
    }
    // What a step needs lives in its own box and goes with it: idle connections are many.
    let accept = TlsAcceptor::from(side.config.clone());
    let shaking = shake_hands(&worker, &stay, pending, accept, socket, limits.handshakes_max);
    let shaking = timeout_at(end, handshake_with(from.ip(), shaking));
    let mut shaking = Box::pin(shaking);
    let mut stream = match unless_over(&stay, shaking.as_mut()).await {
        // In a box, too: each step below would have room for it of its own.
        Some(Ok(Some(stream))) => Box::new(stream),
        Some(Ok(None)) => return,
        // Counted while the socket is still open: who sees it close finds it counted.
        Some(Err(_)) | None => return count_failed(&worker, &stay),
    };
    drop(shaking);
    let meters = worker.meters();
    meters.handshakes.fetch_add(1, Ordering::Relaxed);
    let (_, session) = stream.get_ref();
    if session.handshake_kind() == Some(HandshakeKind::Resumed) {
        meters.handshakes_resumed.fetch_add(1, Ordering::Relaxed);
    }
    let is_h2 = session.alpn_protocol() == Some(b"h2");
    let (peer, version) = describe(&stream, from);
    let _seat = match seat(&worker, &stay, session, peer.fingerprint, &side) {
        Ok(seated) => seated,
        Err(why) => {
            worker.hub.standing.count_ended(why, 1);
            let _ = timeout(PARTING, stream.shutdown()).await;
            return;
        }
    };
    if let Some(certificate) = peer.fingerprint
        && worker.identify(&stay, certificate, &limits).is_err()
    {
        worker.meters().connections_refused.fetch_add(1, Ordering::Relaxed);
        let _ = timeout(PARTING, stream.shutdown()).await;
        return;
    }
    let link = link(worker, peer, version, stay, &limits);
    if is_h2 {
        serve_http2(link, stream, &limits).await;
    } else {
        serve_http1(link, stream, &limits).await;
    }
}

/// Shakes hands once there is a place; nothing where it fails.
async fn shake_hands(
    worker: &Worker,
    stay: &Rc<Stay>,
    pending: Pending,
    acceptor: TlsAcceptor,
    socket: TcpStream,
    handshakes_max: usize,
) -> Option<TlsStream<Plug>> {
    let place = worker.handshakes.place(stay, handshakes_max).await;
    drop(pending);
    let shaken = acceptor.accept(Plug(socket)).into_fallible().await;
    drop(place);
    shaken.inspect_err(|_| count_failed(worker, stay)).ok()
}

/// What comes of a step, unless the connection is to end before.
async fn unless_over<F: Future + Unpin>(stay: &Stay, mut step: F) -> Option<F::Output> {
    poll_fn(|cx| {
        stay.wake(cx.waker());
        if stay.is_over() {
            return Poll::Ready(None);
        }
        Pin::new(&mut step).poll(cx).map(Some)
    })
    .await
}

/// A handshake came to nothing, and not because somebody else had no room.
fn count_failed(worker: &Worker, stay: &Stay) {
    if !stay.is_over() {
        worker.meters().handshakes_failed.fetch_add(1, Ordering::Relaxed);
    }
}

fn describe(stream: &TlsStream<Plug>, from: SocketAddr) -> (Peer, Option<&'static str>) {
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

fn link(
    worker: Rc<Worker>,
    peer: Peer,
    tls: Option<&'static str>,
    stay: Rc<Stay>,
    limits: &EdgeLimits,
) -> Rc<Link> {
    let budget = Budget::new(worker.hub.buffered.clone(), stay.account(), limits);
    let opened = Instant::now();
    let progress = Progress::new(opened);
    stay.open(progress.clone());
    Rc::new(Link {
        worker,
        peer_text: peer.address.to_string().into(),
        peer,
        tls,
        stay,
        opened,
        age_max: limits.connection_age_max,
        body_timeout: limits.body_timeout,
        progress,
        resets: std::cell::Cell::new(0),
        untaken: Untaken::new(limits.h2_untaken_bytes_max, budget.clone()),
        buffered: Rc::new(Buffered::new(budget)),
    })
}

/// A connection at work. It is in a box, so that one that rests does not hold its place.
type Served<'l, T> = Pin<Box<dyn Future<Output = T> + 'l>>;

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
    let mut guard = Guard::new(socket, scratch, head_limits, link.progress.clone());
    let mut watch = Watch::new(&link, limits).and_rest(REST_AFTER);
    let (guard, fault) = loop {
        // The library and its buffers are only there while there is something to read.
        if !rest(&link, &mut guard, &watch).await {
            break (guard, None);
        }
        let (end, kept) = serve_requests(&link, guard, limits, &mut watch).await;
        match end {
            End::Resting => guard = kept,
            End::Closed => break (kept, link.progress.take_fault()),
            End::HeadLate => break (kept, Some(Fault::HeadTimeout)),
            End::Cut => return,
        }
    };
    Box::pin(finish(&link, guard.into_socket(), fault)).await;
}

/// Waits for the first byte of a request, for the gateway to leave, or for its client to be out:
/// how a connection ends, the driver knows. False when nothing comes.
async fn rest<S>(link: &Link, guard: &mut Guard<S>, watch: &Watch) -> bool
where
    S: AsyncRead + Unpin,
{
    tokio::select! {
        biased;
        has_come = poll_fn(|cx| {
            link.stay.wake(cx.waker());
            if link.stay.is_over() { Poll::Ready(true) } else { guard.poll_first(cx) }
        }) => has_come,
        () = link.worker.hub.leaving() => true,
        () = sleep_until(watch.idle_end(link)) => false,
    }
}

/// Serves what comes until the connection rests or ends.
fn serve_requests<'l, S>(
    link: &'l Rc<Link>,
    guard: Guard<S>,
    limits: &EdgeLimits,
    watch: &'l mut Watch,
) -> Served<'l, (End, Guard<S>)>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
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
    Box::pin(async move {
        let end = drive(link, watch, |cx, goodbye| {
            let mut connection = Pin::new(&mut connection);
            // There is no word for it between two requests: the next answer announces the close.
            // Nor while an answer is being taken: the library would let go of what is unwritten.
            if goodbye == Some(Goodbye::Now) && !link.progress.is_untaken() {
                connection.as_mut().graceful_shutdown();
            }
            connection.poll_without_shutdown(cx).map(|_| ())
        })
        .await;
        let parts = connection.into_parts();
        let mut guard = parts.io;
        // The library reads whole heads and their bodies, so nothing is left; if it were, it would
        // be read first.
        guard.give_back(&parts.read_buf);
        (end, guard)
    })
}

fn serve_http2<S>(link: Rc<Link>, socket: S, limits: &EdgeLimits) -> Served<'static, ()>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let server = link.clone();
    let ledger = Ledger::new(limits.h2_frames_max, limits.h2_streams_max);
    let (progress, buffered) = (link.progress.clone(), link.buffered.clone());
    let socket = Counted::new(socket, ledger, link.opened, progress, buffered);
    let mut connection = http2::Builder::new(LocalExecutor)
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
    let resets_max = limits.h2_resets_max;
    let mut watch = Watch::new(&link, limits).and_part(H2_PARTING);
    Box::pin(async move {
        drive(&link, &mut watch, |cx, goodbye| {
            let mut connection = Pin::new(&mut connection);
            // GOAWAY twice (RFC 9113 section 6.8): streams on their way are still served.
            if goodbye.is_some() {
                connection.as_mut().graceful_shutdown();
            }
            let polled = connection.as_mut().poll(cx).map(|_| ());
            for _ in 0..link.progress.take_bare_answers() {
                note_bare_answer(&link);
            }
            if link.resets.get() > resets_max {
                // Rapid reset (CVE-2023-44487): whoever opens streams to close them is shown out.
                link.progress.cut(Cut::Resets);
                return Poll::Ready(());
            }
            if link.untaken.is_too_much() {
                link.progress.cut(Cut::Held);
                return Poll::Ready(());
            }
            polled
        })
        .await;
    })
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
