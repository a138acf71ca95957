//! The wait for a ClientHello, which costs a socket and nothing else.
//!
//! This file decides nothing: [`crate::framing::hello`] does. The bytes stay in the kernel until
//! the message is whole, so that somebody who is silent, or drips, holds no buffer and no place.

use std::io;

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::guard::Scratch;
use crate::framing::hello::{HELLO_BYTES_MAX, Hello, client_hello};

/// Waits until the first message of a TLS client is whole.
///
/// # Errors
/// The connection ended, or the message is too large.
pub(super) async fn wait_for_hello(socket: &TcpStream, scratch: &Scratch) -> io::Result<()> {
    loop {
        let ready = socket.ready(Interest::READABLE).await?;
        match socket.try_io(Interest::READABLE, || look(socket, scratch)) {
            // Nothing more comes.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && ready.is_read_closed() => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            looked => return looked,
        }
    }
}

/// Looks at what has come without taking it. While it is not all, nothing is ready: the kernel
/// wakes us when there is more.
fn look(socket: &TcpStream, scratch: &Scratch) -> io::Result<()> {
    scratch.with(|buffer| {
        let most = buffer.len().min(HELLO_BYTES_MAX);
        let buffer = buffer.get_mut(..most).unwrap_or_default();
        let (count, _) = recv(socket, &mut *buffer, RecvFlags::PEEK)?;
        match client_hello(buffer.get(..count).unwrap_or_default()) {
            Hello::Whole => Ok(()),
            Hello::Partial => Err(io::ErrorKind::WouldBlock.into()),
            Hello::TooLarge => Err(io::ErrorKind::InvalidData.into()),
        }
    })
}
