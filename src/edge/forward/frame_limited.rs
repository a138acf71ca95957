//! A socket to a bank that speaks HTTP/2, its frames counted on their way to and from the library.
//!
//! It decides nothing itself: [`crate::frames`] does. A bank that sends more frames than its
//! answers need is told so (GOAWAY with ENHANCE_YOUR_CALM) and cut. It must not know what frames
//! carry.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::http2::Condition;
use crate::frames::Ledger;

/// Frames that a bank may send at once beside its answers.
const FRAMES_MAX: u32 = 512;

/// A socket and its ledger.
#[derive(Debug)]
pub(super) struct FrameLimited<S> {
    socket: S,
    ledger: Ledger,
    /// When time last brought credit.
    earned: Instant,
    condition: Rc<Condition>,
}

impl<S> FrameLimited<S> {
    pub(super) fn new(socket: S, condition: Rc<Condition>) -> Self {
        let ledger = Ledger::of_server(FRAMES_MAX);
        Self { socket, ledger, earned: Instant::now(), condition }
    }

    /// Whether the bank is beyond its credit, also with what time has brought.
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
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for FrameLimited<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        self.ledger.hear(buffer.filled().get(before..).unwrap_or_default());
        if self.ledger.is_leaving() {
            self.condition.leave();
        }
        if self.ledger.has_settings() {
            self.condition.settle();
        }
        if !self.is_flooded() {
            return Poll::Ready(Ok(()));
        }
        self.condition.flood();
        if let Some(farewell) = self.ledger.farewell() {
            // Whether it can be said is the bank's affair: the connection ends either way.
            let _ = Pin::new(&mut self.socket).poll_write(cx, &farewell);
            let _ = Pin::new(&mut self.socket).poll_flush(cx);
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FrameLimited<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.socket).poll_write(cx, bytes))?;
        self.ledger.say(bytes.get(..count).unwrap_or_default());
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
            self.ledger.say(slice.get(..written).unwrap_or_default());
            left -= written;
        }
        Poll::Ready(Ok(count))
    }
}
