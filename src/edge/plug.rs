//! A client's socket, which writes in one piece what is small.
//!
//! The libraries above hand over an answer as head and body, or one TLS record as a list of one. A
//! vectored write costs the kernel more than to copy some hundred bytes costs us. It decides
//! nothing, and must not know what the bytes are.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What is small.
const JOINED_BYTES_MAX: usize = 2 * 1024;

/// The socket.
#[derive(Debug)]
pub(super) struct Plug(pub(super) TcpStream);

impl AsyncRead for Plug {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Plug {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = Pin::new(&mut self.0);
        if let [slice] = slices {
            return socket.poll_write(cx, slice);
        }
        let length = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if length > JOINED_BYTES_MAX {
            return socket.poll_write_vectored(cx, slices);
        }
        let mut joined = [0; JOINED_BYTES_MAX];
        let mut rest = &mut joined[..];
        for slice in slices {
            rest.write_all(slice)?;
        }
        socket.poll_write(cx, joined.get(..length).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_is_written_arrives_in_its_order_joined_or_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, mut plug) = (client.unwrap(), Plug(accepted.unwrap().0));
        let (head, body) = (vec![b'h'; 300], vec![b'b'; JOINED_BYTES_MAX]);
        let mut expected = Vec::new();
        for pieces in [vec![&head[..], b"", &body[..190]], vec![&head, &body], vec![&body]] {
            let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            expected.extend(pieces.concat());
            let written = plug.write_vectored(&slices).await.unwrap();
            assert_eq!(written, pieces.concat().len());
        }
        plug.shutdown().await.unwrap();
        let mut came = Vec::new();
        client.read_to_end(&mut came).await.unwrap();
        assert!(came == expected);
    }
}
