//! A socket that speaks HTTP/2, its frames counted on their way to and from the library.
//!
//! It decides nothing itself: [`crate::frames`] does. A peer that sends more frames than its
//! requests need is told so (GOAWAY with ENHANCE_YOUR_CALM) and cut. It must not know what frames
//! carry.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::buffered::Buffered;
use super::cut::Cut;
use super::progress::Progress;
use crate::frames::Ledger;

/// A socket and its ledger.
#[derive(Debug)]
pub(super) struct Counted<S> {
    socket: S,
    ledger: Ledger,
    /// When time last brought credit.
    earned: Instant,
    progress: Rc<Progress>,
    buffered: Rc<Buffered>,
}

impl<S> Counted<S> {
    pub(super) fn new(
        socket: S,
        ledger: Ledger,
        opened: Instant,
        progress: Rc<Progress>,
        buffered: Rc<Buffered>,
    ) -> Self {
        Self { socket, ledger, earned: opened, progress, buffered }
    }

    /// Whether the peer is beyond its credit, also with what time has brought.
    fn is_flooded(&mut self) -> bool {
        if !self.ledger.is_overdrawn() {
            return false;
        }
        let now = Instant::now();
        let since = now.saturating_duration_since(self.earned).as_millis();
        self.ledger.earn(u64::try_from(since).unwrap_or(u64::MAX));
        self.earned = now;
        self.ledger.is_overdrawn()
    }

    fn note_streams(&self) -> usize {
        let streams = self.ledger.open_streams();
        self.progress.set_streams(streams);
        self.buffered.set_streams(streams);
        streams
    }

    fn heard(&mut self, bytes: &[u8]) {
        self.ledger.hear(bytes);
        self.progress.owed.set_newest(self.ledger.newest());
        self.note_reset();
        self.note_streams();
    }

    fn note_reset(&mut self) {
        if let Some(stream) = self.ledger.take_reset() {
            self.progress.owed.note_reset(stream);
        }
    }

    fn said(&mut self, bytes: &[u8]) {
        let before = self.ledger.open_streams();
        self.ledger.say(bytes);
        self.note_reset();
        let after = self.note_streams();
        if after < before {
            self.progress.note_end();
            if !self.progress.owed.is_empty() {
                self.progress.owed.settle_before(self.ledger.oldest_open().unwrap_or(u32::MAX));
            }
            if self.progress.is_half_closed() {
                self.progress.wake();
            }
        }
        self.progress.add_bare_answers(self.ledger.take_bare_answers());
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let room = buffer.remaining();
        let read = ready!(Pin::new(&mut self.socket).poll_read(cx, buffer));
        let is_end = buffer.filled().len() == before && room > 0;
        // A stream ends by END_STREAM, so TLS's own word is not missed.
        if !read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
            read?;
        }
        if is_end && self.ledger.owes_answers() {
            // The library would give up all streams: whose request is whole gets its answer first.
            self.progress.half_close(cx);
            return Poll::Pending;
        }
        if is_end {
            self.progress.owed.note_peer_end();
        }
        self.heard(buffer.filled().get(before..).unwrap_or_default());
        if !self.is_flooded() {
            return Poll::Ready(Ok(()));
        }
        self.progress.cut(Cut::Frames);
        if let Some(farewell) = self.ledger.farewell() {
            // Whether it can be said is the peer's affair: the connection ends either way.
            let _ = Pin::new(&mut self.socket).poll_write(cx, &farewell);
            let _ = Pin::new(&mut self.socket).poll_flush(cx);
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.socket).poll_write(cx, bytes))?;
        self.said(bytes.get(..count).unwrap_or_default());
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
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
        let count = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, slices))?;
        let mut left = count;
        for slice in slices {
            let written = left.min(slice.len());
            self.said(slice.get(..written).unwrap_or_default());
            left -= written;
        }
        Poll::Ready(Ok(count))
    }
}
