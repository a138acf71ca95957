//! The guard: stands between the socket and the HTTP/1.x library, and lets only well-formed heads
//! through.
//!
//! It decides nothing itself: [`crate::framing`] does. It holds back a head until it is whole and
//! good, so the library never sees a request that two parsers could read in two ways, and the
//! gateway can answer a bad one in the contract's own words. It must not know what requests mean.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::cut::Cut;
use super::flights::Owed;
use crate::fault::Fault;
use crate::framing::{HeadLimits, Scan};

/// How much is read from the socket at once: a whole TLS record.
const SCRATCH_BYTES: usize = 16 * 1024;
/// How much a connection's own buffer may keep between two requests.
const KEPT_BYTES: usize = 2 * 1024;

/// A buffer that all connections of a worker read into, one at a time. Idle connections are many,
/// so they hold none of their own.
#[derive(Debug, Clone)]
pub(super) struct Scratch(Rc<RefCell<Box<[u8]>>>);

impl Scratch {
    pub(super) fn new() -> Self {
        Self(Rc::new(RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice())))
    }
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of a head.
    Head,
    /// An exchange is under way; its own deadlines hold.
    Busy,
}

/// What the guard, the driver of the connection and its exchanges tell each other.
#[derive(Debug)]
pub(super) struct Progress {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// Set when the deadline moved closer than the one that the driver last saw.
    hurry: Cell<bool>,
    in_flight: Cell<u32>,
    /// Whether a part of a head waits for the rest.
    head_begun: Cell<bool>,
    fault: RefCell<Option<Fault>>,
    /// Whether bytes of an answer may still be on their way to the socket.
    unwritten: Cell<bool>,
    /// Whoever waits for the answers under way to be gone.
    waits: RefCell<Option<Waker>>,
    /// HTTP/2 streams whose answer is not at its end.
    streams: Cell<u32>,
    /// Answers that the HTTP/2 library gave by itself.
    bare_answers: Cell<u32>,
    /// Whether an answer went out to its end since this was last asked.
    ended: Cell<bool>,
    cut: Cell<Option<Cut>>,
    pub(super) owed: Owed,
}

impl Progress {
    pub(super) fn new(now: Instant) -> Rc<Self> {
        Rc::new(Self {
            phase: Cell::new(Phase::Idle),
            since: Cell::new(now),
            hurry: Cell::new(false),
            in_flight: Cell::new(0),
            head_begun: Cell::new(false),
            fault: RefCell::new(None),
            unwritten: Cell::new(false),
            waits: RefCell::new(None),
            streams: Cell::new(0),
            bare_answers: Cell::new(0),
            ended: Cell::new(false),
            cut: Cell::new(None),
            owed: Owed::default(),
        })
    }

    /// What the connection waits for, and since when.
    pub(super) fn phase(&self) -> (Phase, Instant) {
        let phase = if self.in_flight.get() > 0 { Phase::Busy } else { self.phase.get() };
        (phase, self.since.get())
    }

    /// Whether the driver has to look at its timer again.
    pub(super) fn take_hurry(&self) -> bool {
        self.hurry.replace(false)
    }

    /// An exchange begins.
    pub(super) fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// An exchange ended; the connection may be idle from now on.
    pub(super) fn end(&self, now: Instant) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        // The next head may have begun while this exchange was under way: its time starts now.
        let begun = self.in_flight.get() == 0 && self.head_begun.get();
        self.enter(if begun { Phase::Head } else { Phase::Idle }, now);
        self.hurry.set(self.hurry.get() || begun);
        self.wake();
    }

    /// Whether an answer is owed, or not all of it is written. A last word would get between its
    /// bytes.
    pub(super) fn owes(&self) -> bool {
        self.in_flight.get() > 0 || self.unwritten.get()
    }

    /// Whether an answer is done and its client has not taken all of it: bytes wait for the socket,
    /// or a stream waits for its window.
    pub(super) fn is_untaken(&self) -> bool {
        self.unwritten.get() || self.streams.get() > self.in_flight.get()
    }

    /// So many HTTP/2 streams wait for their answer's end.
    pub(super) fn set_streams(&self, streams: usize) {
        self.streams.set(u32::try_from(streams).unwrap_or(u32::MAX));
    }

    /// An answer went out to its end.
    pub(super) fn note_end(&self) {
        self.ended.set(true);
        self.owed.settle();
    }

    /// Whether one did since this was last asked.
    pub(super) fn take_end(&self) -> bool {
        self.ended.take()
    }

    /// The library answered by itself.
    pub(super) fn add_bare_answers(&self, count: u32) {
        self.bare_answers.set(self.bare_answers.get() + count);
    }

    /// How often it did so since this was last asked.
    pub(super) fn take_bare_answers(&self) -> u32 {
        self.bare_answers.take()
    }

    /// The connection is to end, for this.
    pub(super) fn cut(&self, cut: Cut) {
        self.cut.set(Some(cut));
    }

    /// Why it was cut, if it was.
    pub(super) fn take_cut(&self) -> Option<Cut> {
        self.cut.take()
    }

    fn wake(&self) {
        if let Some(waker) = self.waits.take() {
            waker.wake();
        }
    }

    /// The fault that ended the connection, for the driver to answer.
    pub(super) fn take_fault(&self) -> Option<Fault> {
        self.fault.borrow_mut().take()
    }

    fn enter(&self, phase: Phase, now: Instant) {
        self.phase.set(phase);
        self.since.set(now);
    }
}

/// A socket whose incoming heads are checked. Outgoing bytes pass.
#[derive(Debug)]
pub(super) struct Guard<S> {
    socket: S,
    scratch: Scratch,
    limits: HeadLimits,
    progress: Rc<Progress>,
    /// Bytes that were read and not yet given to the library; those before `start` were.
    buffer: Vec<u8>,
    start: usize,
    /// How many bytes from `start` are free to go.
    released: usize,
    /// Bytes of the current body that are still to come.
    body_left: u64,
    scan: Scan,
    /// What ended the connection: a scan that has failed must not be asked once more.
    doomed: Option<Fault>,
}

impl<S> Guard<S> {
    pub(super) fn new(
        socket: S,
        scratch: Scratch,
        limits: HeadLimits,
        progress: Rc<Progress>,
    ) -> Self {
        Self {
            socket,
            scratch,
            limits,
            progress,
            buffer: Vec::new(),
            start: 0,
            released: 0,
            body_left: 0,
            scan: Scan::default(),
            doomed: None,
        }
    }

    /// The socket, to say a last word on.
    pub(super) fn into_socket(self) -> S {
        self.socket
    }

    fn waiting(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Frees bytes for the library, as far as they are known to be good.
    fn release(&mut self) -> Result<(), Fault> {
        if self.body_left == 0 {
            let waiting = self.buffer.get(self.start..).unwrap_or_default();
            if waiting.is_empty() {
                return Ok(());
            }
            let Some(head) = self.scan.read(waiting, &self.limits)? else { return Ok(()) };
            self.scan = Scan::default();
            self.released = head.bytes;
            self.body_left = head.body_bytes;
        }
        let spare = (self.waiting().len() - self.released) as u64;
        let body = spare.min(self.body_left);
        self.body_left -= body;
        // `body` is at most the length of a buffer.
        self.released += usize::try_from(body).unwrap_or(0);
        Ok(())
    }

    /// Takes back what the library read and did not use; it is read again before all else.
    pub(super) fn give_back(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.buffer.splice(..self.start, bytes.iter().copied());
            self.start = 0;
            self.released += bytes.len();
        }
    }

    fn give(&mut self, cursor: &mut ReadBufCursor<'_>) {
        let count = self.released.min(cursor.remaining());
        let end = self.start + count;
        cursor.put_slice(self.buffer.get(self.start..end).unwrap_or_default());
        self.start = end;
        self.released -= count;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            if self.buffer.capacity() > KEPT_BYTES {
                self.buffer = Vec::new();
            }
        }
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Waits for the first byte of a request; false at the end of the connection.
    pub(super) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if !self.waiting().is_empty() {
            // A part of a head is here, so whoever sent it is not idle: a connection that came to
            // rest with it would rest again at once, and for ever.
            self.progress.enter(Phase::Head, Instant::now());
            return Poll::Ready(true);
        }
        let Poll::Ready(filled) = self.poll_fill(cx) else { return Poll::Pending };
        let has_come = filled.is_ok_and(|count| count > 0);
        if has_come {
            self.progress.enter(Phase::Head, Instant::now());
        }
        Poll::Ready(has_come)
    }

    /// Reads what the socket has. `Ok(0)` is the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let mut scratch = self.scratch.0.borrow_mut();
        let mut into = ReadBuf::new(&mut scratch);
        let polled = Pin::new(&mut self.socket).poll_read(cx, &mut into);
        let count = into.filled().len();
        self.buffer.extend_from_slice(into.filled());
        polled.map_ok(|()| count)
    }
}

impl<S: AsyncRead + Unpin> hyper::rt::Read for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.progress.head_begun.set(false);
        loop {
            if self.released > 0 {
                self.give(&mut cursor);
                return Poll::Ready(Ok(()));
            }
            if self.doomed.is_none() {
                self.doomed = self.release().err();
            }
            if self.doomed.is_some() {
                if self.progress.owes() {
                    // A pipelined request is bad; the one before it gets its answer first.
                    self.progress.waits.replace(Some(cx.waker().clone()));
                    return Poll::Pending;
                }
                self.progress.fault.replace(self.doomed.clone());
                return Poll::Ready(Ok(()));
            }
            if self.released > 0 {
                continue;
            }
            let was_empty = self.waiting().is_empty();
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) => {
                    self.progress.owed.note_peer_end();
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(_)) if was_empty && self.body_left == 0 => {
                    self.progress.enter(Phase::Head, Instant::now());
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let head_is_late = !self.waiting().is_empty() && self.body_left == 0;
                    self.progress.hurry.set(self.progress.hurry.get() || head_is_late);
                    self.progress.head_begun.set(head_is_late);
                    if head_is_late && self.progress.phase().0 == Phase::Idle {
                        // It came with the last request, and the exchange ended before anybody
                        // looked for it: its time starts now.
                        self.progress.enter(Phase::Head, Instant::now());
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> hyper::rt::Write for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.progress.unwritten.set(true);
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        if flushed.is_ready() && self.progress.unwritten.replace(false) {
            self.progress.note_end();
            self.progress.wake();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.progress.unwritten.set(true);
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }
}
