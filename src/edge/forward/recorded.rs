//! A socket to a bank whose TLS records are followed from their first byte.
//!
//! A bank may send session tickets right behind its handshake (RFC 8446 section 4.6.1), and a
//! segment may end within one: so what is left of a record when the handshake is over is known only
//! to whoever has seen all of them. It decides nothing, and must not know what the bytes are.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::framing::records::Records;

/// The socket.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) socket: TcpStream,
    /// Of what came in.
    pub(super) records: Records,
}

impl Recorded {
    /// A socket on which nothing came yet.
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, records: Records::default() }
    }
}

impl AsyncRead for Recorded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(cx, buffer);
        self.records.follow(buffer.filled().get(before..).unwrap_or_default());
        polled
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
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
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_ticket_behind_the_handshake_that_is_cut_is_known_to_be_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (hub, bank) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut hub, mut bank) = (Recorded::new(hub.unwrap()), bank.unwrap().0);
        // The handshake's last record and half of the one behind it, in one segment.
        bank.write_all(&[22, 3, 3, 0, 2, 7, 7, 23, 3, 3, 0, 9, 1]).await.unwrap();
        hub.read_exact(&mut [0; 13]).await.unwrap();
        assert!(!hub.records.are_whole());
        bank.write_all(&[0; 8]).await.unwrap();
        hub.read_exact(&mut [0; 8]).await.unwrap();
        assert!(hub.records.are_whole());
    }
}
