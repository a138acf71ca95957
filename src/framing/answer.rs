//! Framing of a bank's answer in HTTP/1.x: where its head ends, and how long its body is.
//!
//! This file decides what of a bank's bytes is one whole answer (RFC 9112 sections 4 to 8), and
//! refuses what could be read in two ways. It must not know sockets, nor what an answer means.

mod chunks;

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, StatusCode};

use self::chunks::Chunks;
use super::content_length;
use super::fields::Fields;
use crate::fault::Fault;
use crate::wiped::{Wiped, grow};

/// Largest head of a bank's answer, in bytes (CONTRACT 4.6).
pub const ANSWER_HEAD_BYTES_MAX: usize = 32 * 1024;
/// Most field lines of a head.
const FIELDS_MAX: usize = 100;
/// Most interim answers (1xx) before the final one.
pub const INTERIM_MAX: u8 = 8;
/// Fields that a head of usual size has.
const FIELDS_ROOM: usize = 16;

/// A whole answer.
#[derive(Debug)]
pub struct Received {
    /// The status, 200 or above.
    pub status: StatusCode,
    /// The fields, but for those that frame the message.
    pub headers: Fields,
    /// The body, without its framing.
    pub body: Bytes,
    /// Whether the connection may carry another exchange. Surplus bytes are the caller's to see.
    pub reusable: bool,
}

/// Reads one answer, piece by piece.
#[derive(Debug)]
pub struct AnswerReader {
    body_bytes_max: usize,
    interims: u8,
    /// How much of an unfinished head was searched for its end.
    searched: usize,
    head: Option<Head>,
}

#[derive(Debug)]
struct Head {
    status: StatusCode,
    headers: Fields,
    length: Length,
    persistent: bool,
}

/// How the end of a body is found (RFC 9112 section 6.3).
#[derive(Debug)]
enum Length {
    Exactly(usize),
    Chunked(Chunks),
    UntilClose,
}

impl AnswerReader {
    /// A reader of one answer whose body has at most so many bytes.
    pub const fn new(body_bytes_max: usize) -> Self {
        Self { body_bytes_max, interims: 0, searched: 0, head: None }
    }

    /// The final status, once the head is read.
    pub fn status(&self) -> Option<StatusCode> {
        self.head.as_ref().map(|head| head.status)
    }

    /// Reads on, and takes from `bytes` what it has read. `None` asks for more.
    ///
    /// # Errors
    /// [`Fault::ResponseMalformed`], [`Fault::ResponseTooLarge`]; the connection has to be closed.
    pub fn read(&mut self, bytes: &mut BytesMut) -> Result<Option<Received>, Fault> {
        while self.head.is_none() {
            let Some(head) = self.read_head(bytes)? else { return Ok(None) };
            match head.status.as_u16() {
                // Nothing here asked for another protocol, and its bytes are no HTTP.
                101 => return Err(Fault::ResponseMalformed("101")),
                100..200 if self.interims < INTERIM_MAX => self.interims += 1,
                100..200 => return Err(Fault::ResponseMalformed("interim answers")),
                _ => self.head = Some(head),
            }
        }
        let max = self.body_bytes_max;
        let Some(head) = &mut self.head else { return Ok(None) };
        let body = match &mut head.length {
            Length::Exactly(length) if *length > max => return Err(Fault::ResponseTooLarge),
            Length::Exactly(length) if bytes.len() >= *length => {
                Wiped::take(&mut bytes.split_to(*length)).into()
            }
            Length::Exactly(length) => {
                grow(bytes, *length - bytes.len());
                return Ok(None);
            }
            Length::Chunked(chunks) => match chunks.read(bytes, max)? {
                Some(body) => body,
                None => return Ok(None),
            },
            Length::UntilClose if bytes.len() > max => return Err(Fault::ResponseTooLarge),
            Length::UntilClose => return Ok(None),
        };
        Ok(self.head.take().map(|head| head.with(body)))
    }

    /// The connection has ended; `bytes` is what was not read.
    ///
    /// # Errors
    /// [`Fault::ConnectionLost`] before the end of the head, [`Fault::ResponseTruncated`] within a
    /// body whose end was announced.
    pub fn end(&mut self, bytes: &mut BytesMut) -> Result<Received, Fault> {
        match self.head.take() {
            None => Err(Fault::ConnectionLost),
            Some(head) if matches!(head.length, Length::UntilClose) => {
                Ok(head.with(Wiped::take(&mut bytes.split()).into()))
            }
            Some(_) => Err(Fault::ResponseTruncated),
        }
    }

    fn read_head(&mut self, bytes: &mut BytesMut) -> Result<Option<Head>, Fault> {
        if bytes.is_empty() || !self.may_end(bytes) {
            return self.unfinished(bytes);
        }
        let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            bytes,
            &mut room,
        );
        let head_bytes = match parsed {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return self.unfinished(bytes),
            Err(httparse::Error::TooManyHeaders) => return Err(Fault::ResponseTooLarge),
            Err(_) => return Err(Fault::ResponseMalformed("head")),
        };
        if head_bytes > ANSWER_HEAD_BYTES_MAX {
            return Err(Fault::ResponseTooLarge);
        }
        if !has_good_lines(bytes.get(..head_bytes).unwrap_or_default(), response.headers) {
            return Err(Fault::ResponseMalformed("line end"));
        }
        let head = Head::of(&response)?;
        bytes.advance(head_bytes);
        self.searched = 0;
        Ok(Some(head))
    }

    /// Whether the end of a head may have come: an empty line, or no full line yet, which may be
    /// no HTTP at all. A head that drips in is so not parsed anew for each of its bytes.
    fn may_end(&mut self, bytes: &[u8]) -> bool {
        let from = self.searched.saturating_sub(3);
        let fresh = bytes.get(from..).unwrap_or_default();
        let first_look = self.searched == 0;
        self.searched = bytes.len();
        first_look
            || memchr::memmem::find(fresh, b"\n\r\n").is_some()
            || memchr::memmem::find(fresh, b"\n\n").is_some()
    }

    fn unfinished(&self, bytes: &[u8]) -> Result<Option<Head>, Fault> {
        if bytes.len() > ANSWER_HEAD_BYTES_MAX {
            return Err(Fault::ResponseTooLarge);
        }
        Ok(None)
    }
}

impl Head {
    fn of(response: &httparse::Response<'_, '_>) -> Result<Self, Fault> {
        let malformed = |what| Fault::ResponseMalformed(what);
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(malformed("status"))?;
        let minor = response.version.unwrap_or(0);
        let mut headers = Fields::with_capacity(FIELDS_ROOM);
        let mut framing = Framing { length: None, chunked: None, close: false, keep: false };
        for field in &*response.headers {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let name = name.map_err(|_| malformed("field name"))?;
            if !framing.notes(&name, field.value)? {
                let value = HeaderValue::from_bytes(field.value);
                headers.append(name, value.map_err(|_| malformed("field value"))?);
            }
        }
        let Framing { length, chunked, close, keep } = framing;
        let bodiless = status.is_informational() || matches!(status.as_u16(), 204 | 304);
        // A body that there can't be may come all the same, and would be taken for the next answer.
        // (304 may say how long the body would have been.)
        let announced = bodiless && (chunked.is_some() || (status != 304 && length > Some(0)));
        let length = match (length, chunked) {
            (_, Some(true)) if minor == 0 => return Err(malformed("framing")),
            (Some(_), Some(_)) | (_, Some(false)) => return Err(malformed("framing")),
            _ if bodiless => Length::Exactly(0),
            (None, Some(true)) => Length::Chunked(Chunks::default()),
            (Some(length), None) => Length::Exactly(length),
            (None, None) => Length::UntilClose,
        };
        let persistent =
            !close && (minor > 0 || keep) && !announced && !matches!(length, Length::UntilClose);
        Ok(Self { status, headers, length, persistent })
    }

    fn with(self, body: Bytes) -> Received {
        let Self { status, headers, persistent, length: _ } = self;
        Received { status, headers, body, reusable: persistent }
    }
}

/// Whether every line of a head ends in CR LF, and nothing comes before its first. The library
/// takes LF alone for an end, others take it for part of a field, and so the head could be read in
/// two ways (RFC 9112 section 2.2 leaves it open). Where a field begins, the line before it ends.
fn has_good_lines(head: &[u8], fields: &[httparse::Header<'_>]) -> bool {
    let begins_well = |field: &httparse::Header<'_>| {
        let begin = field.name.as_ptr().addr().wrapping_sub(head.as_ptr().addr());
        head.get(..begin).is_some_and(|before| before.ends_with(b"\r\n"))
    };
    head.starts_with(b"HTTP") && head.ends_with(b"\r\n\r\n") && fields.iter().all(begins_well)
}

/// The fields that frame a message.
struct Framing {
    length: Option<usize>,
    /// Whether `Transfer-Encoding` is `chunked` and nothing else.
    chunked: Option<bool>,
    close: bool,
    keep: bool,
}

impl Framing {
    /// Whether the field is one of them; then it is noted and goes no further.
    fn notes(&mut self, name: &HeaderName, value: &[u8]) -> Result<bool, Fault> {
        match *name {
            CONTENT_LENGTH => {
                let length = content_length(value).and_then(|length| length.try_into().ok());
                let length = length.ok_or(Fault::ResponseMalformed("Content-Length"))?;
                // Said twice, it has to be the same (RFC 9110 section 8.6).
                if self.length.replace(length).is_some_and(|before| before != length) {
                    return Err(Fault::ResponseMalformed("Content-Length"));
                }
            }
            TRANSFER_ENCODING => {
                let plain = value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                self.chunked = Some(plain && self.chunked.is_none());
            }
            CONNECTION => {
                for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
