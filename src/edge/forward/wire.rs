//! A connection to a bank that carries one exchange at a time, in HTTP/1.1.
//!
//! This file decides when bytes are written and read, and what a broken connection means for a
//! request on it. It is polled by the exchange itself: there is no task beside it, and so nobody to
//! wake. It must not know what a request means; what an answer is, `framing` decides.

use std::future::poll_fn;
use std::io::{self, BufRead as _, Read, Write};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use rustls::ClientConnection;
use socket2::SockRef;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

use super::recorded::Recorded;
use crate::fault::Fault;
use crate::framing::answer::{AnswerReader, Received};
use crate::wiped::grow;

/// What is asked of the kernel at once; a bank's usual answer fits.
const READ_BYTES: usize = 4096;

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    /// What came and was not yet read.
    buffer: BytesMut,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

#[derive(Debug)]
struct Tls {
    /// It knows what of its bytes is whole; the session does not tell.
    socket: Recorded,
    session: ClientConnection,
    /// What ended it, told when all that came before was read.
    broken: Option<io::Error>,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Sending<'b> {
    bytes: &'b [u8],
    /// So many were given to the socket or to the session.
    given: usize,
    /// Whether the bank may have seen any of it.
    seen: bool,
    over: bool,
}

impl<'b> Sending<'b> {
    pub(super) const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, given: 0, seen: false, over: false }
    }
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The connection was dead before it took a byte of the request.
    Untouched,
    /// The bank may have seen the request.
    Lost(Fault),
}

impl Wire {
    /// Over a plain socket.
    pub(super) fn plain(socket: TcpStream) -> Self {
        Self { stream: Stream::Plain(socket), buffer: BytesMut::new() }
    }

    /// Over a session whose handshake is done.
    pub(super) fn tls(recorded: Recorded, session: ClientConnection) -> Self {
        let tls = Tls { socket: recorded, session, broken: None };
        Self { stream: Stream::Tls(Box::new(tls)), buffer: BytesMut::new() }
    }

    /// Moves to the runtime of the thread that calls.
    ///
    /// # Errors
    /// The socket could not be moved; it is closed.
    pub(super) fn settle(self) -> io::Result<Self> {
        let move_over = |socket: TcpStream| TcpStream::from_std(socket.into_std()?);
        let stream = match self.stream {
            Stream::Plain(socket) => Stream::Plain(move_over(socket)?),
            Stream::Tls(tls) => {
                let Tls { socket: Recorded { socket, records }, session, broken } = *tls;
                let socket = Recorded { socket: move_over(socket)?, records };
                Stream::Tls(Box::new(Tls { socket, session, broken }))
            }
        };
        Ok(Self { stream, buffer: self.buffer })
    }

    /// Whether nothing at all came in since the last answer: no end of stream, no byte that belongs
    /// to no answer, no part of a TLS record. With `look` the kernel is asked, too, because the
    /// runtime's word may be old.
    pub(super) fn is_silent(&mut self, look: bool) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        let came = match &mut self.stream {
            Stream::Plain(socket) => {
                Pin::new(socket).poll_read(cx, &mut ReadBuf::new(&mut [0])).is_ready()
            }
            // A new session ticket may have come, which says nothing.
            Stream::Tls(tls) => {
                tls.poll_read(cx, &mut self.buffer).is_ready() || !tls.socket.records.are_whole()
            }
        };
        !came && (!look || !hears(self.socket()))
    }

    /// What is wrong with a fresh connection on which nothing was asked yet: the bank has spoken,
    /// or ended it. What is half of a record is a session ticket on its way.
    pub(super) fn unfit(&mut self) -> Option<Fault> {
        let cx = &mut Context::from_waker(Waker::noop());
        let read = match &mut self.stream {
            Stream::Plain(socket) => SockRef::from(&*socket).peek(&mut [MaybeUninit::uninit()]),
            Stream::Tls(tls) => blocking(tls.poll_read(cx, &mut self.buffer)),
        };
        match read {
            // What comes before the request is no answer to it.
            Ok(1..) => Some(Fault::ResponseMalformed("an answer to nothing")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Ok(0) | Err(_) => Some(Fault::ConnectionLost),
        }
    }

    /// Says that no more will come, before it is closed in good order (RFC 8446 section 6.1): else
    /// a bank can't tell the end from a cut. It waits for nothing; what was not taken of a request
    /// stays behind.
    pub(super) fn take_leave(&mut self) {
        if let Stream::Tls(tls) = &mut self.stream
            && tls.broken.is_none()
            && !tls.session.wants_write()
        {
            tls.session.send_close_notify();
            // Not by way of the runtime, which may have ended. A bank that has gone needs no word.
            let _ = tls.session.write_tls(&mut &*SockRef::from(&tls.socket.socket));
        }
    }

    /// Sends a request and reads until the answer's head is there; small answers are then whole.
    ///
    /// # Errors
    /// [`Broken`]; the connection must not be used again.
    pub(super) async fn send(
        &mut self,
        sending: &mut Sending<'_>,
        reader: &mut AnswerReader,
    ) -> Result<Option<Received>, Broken> {
        let whole = poll_fn(|cx| self.poll_exchange(cx, sending, reader, true)).await?;
        Ok(whole.map(|received| self.judge(received, sending)))
    }

    /// Reads the rest of an answer.
    ///
    /// # Errors
    /// The fault; the connection must not be used again.
    pub(super) async fn finish(
        &mut self,
        sending: &mut Sending<'_>,
        reader: &mut AnswerReader,
    ) -> Result<Received, Fault> {
        match poll_fn(|cx| self.poll_exchange(cx, sending, reader, false)).await {
            Ok(Some(received)) => Ok(self.judge(received, sending)),
            Ok(None) | Err(Broken::Untouched) => Err(Fault::ConnectionLost),
            Err(Broken::Lost(fault)) => Err(fault),
        }
    }

    /// A connection is used again only if all was sent and no byte came behind the answer, not even
    /// of a record that is not whole.
    fn judge(&mut self, received: Received, sending: &Sending<'_>) -> Received {
        let whole = match &self.stream {
            Stream::Plain(_) => true,
            Stream::Tls(tls) => tls.socket.records.are_whole(),
        };
        let clean = sending.over && self.buffer.is_empty() && whole;
        // The body lies in the same memory: a connection that rests must not hold on to it.
        self.buffer = BytesMut::new();
        Received { reusable: received.reusable && clean, ..received }
    }

    fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        sending: &mut Sending<'_>,
        reader: &mut AnswerReader,
        head_is_enough: bool,
    ) -> Poll<Result<Option<Received>, Broken>> {
        if !sending.over {
            match self.stream.poll_send(cx, sending) {
                Poll::Ready(Err(_)) if !sending.seen => return Poll::Ready(Err(Broken::Untouched)),
                // A bank may refuse early and close: its answer is read all the same.
                Poll::Ready(Err(_)) | Poll::Pending => {}
                Poll::Ready(Ok(())) => sending.over = true,
            }
        }
        loop {
            let received = reader.read(&mut self.buffer).map_err(Broken::Lost)?;
            if received.is_some() || (head_is_enough && reader.status().is_some()) {
                return Poll::Ready(Ok(received));
            }
            match ready!(self.poll_read(cx)) {
                // The socket's error may have been told to the writer, and this be no proper end.
                Ok(0) if !sending.over && reader.status().is_some() => {
                    return Poll::Ready(Err(Broken::Lost(Fault::ResponseTruncated)));
                }
                Ok(0) => {
                    let ended = reader.end(&mut self.buffer);
                    return Poll::Ready(ended.map(Some).map_err(Broken::Lost));
                }
                Ok(_) => {}
                Err(_) if reader.status().is_none() => {
                    return Poll::Ready(Err(Broken::Lost(Fault::ConnectionLost)));
                }
                Err(_) => return Poll::Ready(Err(Broken::Lost(Fault::ResponseTruncated))),
            }
        }
    }

    /// Reads what is there into the buffer; 0 is the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(socket) => {
                // Room for an announced body was made at once: not one byte more is needed.
                if self.buffer.len() == self.buffer.capacity() {
                    grow(&mut self.buffer, READ_BYTES);
                }
                pin!(socket.read_buf(&mut self.buffer)).poll(cx)
            }
            Stream::Tls(tls) => tls.poll_read(cx, &mut self.buffer),
        }
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &tls.socket.socket,
        }
    }
}

impl Stream {
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        sending: &mut Sending<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => {
                while let Some(rest) = sending.bytes.get(sending.given..).filter(|r| !r.is_empty())
                {
                    let written = ready!(Pin::new(&mut *socket).poll_write(cx, rest))?;
                    if written == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    sending.given += written;
                    sending.seen = true;
                }
                Poll::Ready(Ok(()))
            }
            Self::Tls(tls) => tls.poll_send(cx, sending),
        }
    }
}

impl Tls {
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        sending: &mut Sending<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(rest) = sending.bytes.get(sending.given..).filter(|r| !r.is_empty()) {
                sending.given += self.session.writer().write(rest)?;
            }
            while self.session.wants_write() {
                let mut socket = Socket { socket: &mut self.socket, cx };
                match self.session.write_tls(&mut socket) {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Ok(_) => sending.seen = true,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Poll::Pending;
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            if sending.given == sending.bytes.len() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut reader = self.session.reader();
            match reader.fill_buf() {
                Ok(plain) => {
                    let length = plain.len();
                    grow(buffer, length);
                    buffer.extend_from_slice(plain);
                    reader.consume(length);
                    return Poll::Ready(Ok(length));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            if let Some(error) = self.broken.take() {
                return Poll::Ready(Err(error));
            }
            match self.session.read_tls(&mut Socket { socket: &mut self.socket, cx }) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
            if let Err(error) = self.session.process_new_packets() {
                // What came before it is good. The alert is a courtesy: the connection is over.
                let _ = self.session.write_tls(&mut Socket { socket: &mut self.socket, cx });
                self.broken = Some(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }
}

/// A socket as the TLS session sees it: one that would block says so.
struct Socket<'s, 'c, 'w> {
    socket: &'s mut Recorded,
    cx: &'c mut Context<'w>,
}

impl Read for Socket<'_, '_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut into = ReadBuf::new(into);
        match Pin::new(&mut *self.socket).poll_read(self.cx, &mut into) {
            Poll::Ready(done) => done.map(|()| into.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Socket<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.socket).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        // One record is one piece, and a plain write costs the kernel less.
        if let [piece] = pieces {
            return self.write(piece);
        }
        blocking(Pin::new(&mut *self.socket).poll_write_vectored(self.cx, pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn blocking(written: Poll<io::Result<usize>>) -> io::Result<usize> {
    match written {
        Poll::Ready(written) => written,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// Whether the kernel has anything for this socket. One byte is looked at, not taken.
fn hears(socket: &TcpStream) -> bool {
    let peeked = SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]);
    !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests;
