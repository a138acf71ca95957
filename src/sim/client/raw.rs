//! A connection to write anything on: what a smuggler sends, no HTTP library will write.
//!
//! This file decides nothing. It must not know HTTP.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An open connection, TLS or plain.
pub struct RawStream(Box<dyn Stream>);

impl RawStream {
    pub(super) fn new(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self(Box::new(stream))
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// Ends the sending side.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }

    /// What comes next, at most 64 KiB of it; empty at the end of the connection.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes within `wait` ([`io::ErrorKind::TimedOut`]).
    pub async fn read(&mut self, wait: Duration) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(64 * 1024);
        timeout(wait, self.0.read_buf(&mut bytes)).await.map_err(io::Error::from)??;
        Ok(bytes)
    }

    /// All that comes until the connection ends, breaks, or is silent for `quiet`.
    pub async fn read_all(&mut self, quiet: Duration) -> Vec<u8> {
        let mut all = Vec::new();
        while let Ok(bytes) = self.read(quiet).await {
            if bytes.is_empty() {
                break;
            }
            all.extend(bytes);
        }
        all
    }
}
