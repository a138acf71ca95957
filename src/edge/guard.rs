//! The guard: stands between the socket and the HTTP/1.x library, and lets only well-formed heads
//! through.
//!
//! It decides nothing itself: [`crate::framing`] does. It holds back a head until it is whole and
//! good, so the library never sees a request that two parsers could read in two ways, and the
//! gateway can answer a bad one in the contract's own words. It must not know what requests mean.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::progress::{Phase, Progress};
use crate::fault::Fault;
use crate::framing::{HeadLimits, Scan, empty_lines};

/// How much is read from the socket at once: a whole TLS record.
const SCRATCH_BYTES: usize = 16 * 1024;
/// How much a connection's own buffer may keep between two requests.
const KEPT_BYTES: usize = 2 * 1024;
/// How many empty lines before a request line are ignored.
const EMPTY_LINES_MAX: usize = 4;

/// A buffer that all connections of a worker read into, one at a time. Idle connections are many,
/// so they hold none of their own.
#[derive(Debug, Clone)]
pub(super) struct Scratch(Rc<RefCell<Box<[u8]>>>);

impl Scratch {
    pub(super) fn new() -> Self {
        Self(Rc::new(RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice())))
    }

    /// Lends it.
    pub(super) fn with<T>(&self, lend: impl FnOnce(&mut [u8]) -> T) -> T {
        lend(&mut self.0.borrow_mut())
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
    /// Empty lines that were ignored before the head that comes.
    empty_lines: usize,
    /// Whether the peer has ended its side.
    ended: bool,
    /// What ended the connection. No byte after it is looked at again: a scan that has failed
    /// must not be asked once more.
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
            empty_lines: 0,
            ended: false,
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
        self.skip_empty_lines();
        if self.body_left == 0 {
            let waiting = self.buffer.get(self.start..).unwrap_or_default();
            if waiting.is_empty() {
                return Ok(());
            }
            let Some(head) = self.scan.read(waiting, &self.limits)? else { return Ok(()) };
            (self.scan, self.empty_lines) = (Scan::default(), 0);
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

    /// Drops the empty lines that a client may have sent behind its last body, as far as they are
    /// few (RFC 9112 section 2.2): no head has begun with them.
    fn skip_empty_lines(&mut self) {
        if self.body_left == 0 && self.released == 0 && self.scan.is_fresh() {
            let most = EMPTY_LINES_MAX - self.empty_lines;
            let skipped = empty_lines(self.waiting(), most);
            self.start += skipped;
            self.empty_lines += skipped / 2;
        }
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
        loop {
            let Poll::Ready(filled) = self.poll_fill(cx) else { return Poll::Pending };
            if !filled.is_ok_and(|count| count > 0) {
                return Poll::Ready(false);
            }
            if !self.waiting().is_empty() {
                self.progress.enter(Phase::Head, Instant::now());
                return Poll::Ready(true);
            }
        }
    }

    /// Reads what the socket has, without empty lines before a head. `Ok(0)` is the end: also
    /// without TLS's own word for it, as the head says how long a request is.
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
        drop(scratch);
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => {
                self.skip_empty_lines();
                self.ended = count == 0;
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.ended = true;
                Poll::Ready(Ok(0))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    /// The peer has ended its side. Who is owed an answer to a whole request gets it first: the
    /// library would take the end for the client's departure.
    fn poll_end(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.body_left == 0 && self.progress.owes() {
            self.progress.half_close(cx);
            return Poll::Pending;
        }
        self.progress.owed.note_peer_end();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> hyper::rt::Read for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.progress.begin_reading();
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
                    self.progress.wait(cx);
                    return Poll::Pending;
                }
                self.progress.refuse(self.doomed.clone());
                return Poll::Ready(Ok(()));
            }
            if self.released > 0 {
                continue;
            }
            if self.ended {
                return self.poll_end(cx);
            }
            let was_empty = self.waiting().is_empty();
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return self.poll_end(cx),
                Poll::Ready(Ok(_)) if self.waiting().is_empty() => {}
                Poll::Ready(Ok(_)) if was_empty && self.body_left == 0 => {
                    self.progress.enter(Phase::Head, Instant::now());
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let head_is_late = !self.waiting().is_empty() && self.body_left == 0;
                    self.progress.note_part_of_a_head(head_is_late);
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
        self.progress.begin_writing();
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        if flushed.is_ready() {
            self.progress.end_writing();
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
        self.progress.begin_writing();
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }
}
