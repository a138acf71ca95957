//! HTTP/1.1 of a simulated server, by hand: it must be able to break every rule on purpose.
//!
//! This file decides how requests are read and how answers, whole or broken, are written. It must
//! not know why an answer is broken.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::server::TlsStream;

use super::journal::Connection;
use super::{Answer, Delivery, Received, Reply};

/// Longest head that is read, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most fields that are read.
const FIELDS_MAX: usize = 128;
/// Longest body that is read, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How much more than it sends a truncated answer promises.
const TRUNCATED_BYTES: usize = 100;

/// A connection whose TCP socket can be reached, to reset it.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Answers requests until one side closes.
pub(super) async fn serve<W: Wire>(mut wire: W, connection: &Connection) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        let request = match read(&mut wire, &mut buffer, connection).await {
            Ok(Some(request)) => request,
            Ok(None) => return wire.shutdown().await,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let refusal = Answer::new(http::StatusCode::BAD_REQUEST);
                wire.write_all(&head(&refusal, 0, false)).await?;
                return wire.shutdown().await;
            }
            Err(error) => return Err(error),
        };
        let keep = keeps_alive(&request);
        let reply = connection.house.answer(request);
        if !deliver(&mut wire, reply, keep).await? {
            return wire.shutdown().await;
        }
    }
}

/// Reads one request; `None` when the peer closed between two.
async fn read<W: Wire>(
    wire: &mut W,
    buffer: &mut BytesMut,
    connection: &Connection,
) -> io::Result<Option<Received>> {
    loop {
        if let Some((mut request, body_at, body_bytes)) = parse(buffer, connection)? {
            while buffer.len() < body_at + body_bytes {
                if wire.read_buf(buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            buffer.advance(body_at);
            request.body = buffer.split_to(body_bytes).freeze();
            return Ok(Some(request));
        }
        if buffer.len() > HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if wire.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// The head at the front of `bytes`, where its body begins and how long that is; `None` while the
/// head is not whole.
fn parse(bytes: &[u8], connection: &Connection) -> io::Result<Option<(Received, usize, usize)>> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(body_at) = head.parse(bytes).map_err(invalid)? else {
        return Ok(None);
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let request = Received {
        connection: connection.number,
        certificate: connection.certificate,
        version: format!("HTTP/1.{}", head.version.unwrap_or_default()),
        method: head.method.unwrap_or_default().to_owned(),
        path: head.path.unwrap_or_default().to_owned(),
        headers: head.headers.iter().map(|f| (f.name.to_owned(), text(f.value))).collect(),
        body: Bytes::new(),
    };
    let body_bytes = body_length(&request).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Some((request, body_at, body_bytes)))
}

/// The length that the request declares. A chunked body is refused: the hub never sends one.
fn body_length(request: &Received) -> Option<usize> {
    if !request.header_all("Transfer-Encoding").is_empty() {
        return None;
    }
    match request.header_all("Content-Length").as_slice() {
        [] => Some(0),
        [length] => length.parse().ok().filter(|length| *length <= BODY_BYTES_MAX),
        _ => None,
    }
}

fn keeps_alive(request: &Received) -> bool {
    let closes = |value: &&str| value.eq_ignore_ascii_case("close");
    request.version == "HTTP/1.1"
        && !request.header_all("Connection").iter().any(|value| closes(&value.trim()))
}

/// Writes the answer in the way the reply says. Hands back whether the connection goes on.
async fn deliver<W: Wire>(wire: &mut W, reply: Reply, keep: bool) -> io::Result<bool> {
    if !reply.wait.is_zero() {
        sleep(reply.wait).await;
    }
    let answer = &reply.answer;
    let mut bytes = head(answer, answer.body.len(), keep);
    match reply.delivery {
        Delivery::Whole => bytes.extend_from_slice(&answer.body),
        Delivery::Surplus(surplus) => {
            bytes.extend_from_slice(&answer.body);
            bytes.extend_from_slice(&surplus);
        }
        Delivery::Preceded(before) => {
            bytes = [&before, bytes.as_slice(), &answer.body].concat();
        }
        Delivery::ThenClosed => {
            bytes.extend_from_slice(&answer.body);
            return end(wire, &bytes).await;
        }
        Delivery::Truncated => {
            bytes = head(answer, answer.body.len() + TRUNCATED_BYTES, keep);
            bytes.extend_from_slice(&answer.body);
            return end(wire, &bytes).await;
        }
        Delivery::Replaced(instead) => return end(wire, &instead).await,
        Delivery::Drip(pause) => {
            wire.write_all(&bytes).await?;
            return drip(wire, &answer.body, pause).await.map(|()| keep);
        }
        Delivery::ResetMidHead => {
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            wire.write_all(half).await?;
            wire.flush().await?;
            return reset(wire);
        }
        Delivery::Reset => return reset(wire),
        Delivery::Never => std::future::pending().await,
    }
    wire.write_all(&bytes).await?;
    wire.flush().await?;
    Ok(keep)
}

async fn end<W: Wire>(wire: &mut W, last: &[u8]) -> io::Result<bool> {
    wire.write_all(last).await?;
    wire.flush().await?;
    Ok(false)
}

async fn drip<W: Wire>(wire: &mut W, body: &[u8], pause: Duration) -> io::Result<()> {
    wire.flush().await?;
    for byte in body.chunks(1) {
        sleep(pause).await;
        wire.write_all(byte).await?;
        wire.flush().await?;
    }
    Ok(())
}

/// Makes closing the socket a TCP reset; the error makes the caller drop it.
fn reset<W: Wire>(wire: &W) -> io::Result<bool> {
    wire.tcp().set_zero_linger()?;
    Err(io::ErrorKind::ConnectionReset.into())
}

fn head(answer: &Answer, body_bytes: usize, keep: bool) -> Vec<u8> {
    let reason = answer.status.canonical_reason().unwrap_or("Simulated");
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", answer.status.as_u16());
    for (name, value) in &answer.headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if answer.status != http::StatusCode::NO_CONTENT {
        text.push_str(&format!("Content-Length: {body_bytes}\r\n"));
    }
    if !keep {
        text.push_str("Connection: close\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}
