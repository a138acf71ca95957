//! Framing: the head of an HTTP/1.x request, looked at byte by byte before the HTTP library is.
//!
//! This file decides what is refused for the shape of its bytes (RFC 9112, CONTRACT H1 to H10):
//! everything that two parsers could read in two ways. The library behind it drops a
//! `Content-Length` beside a `Transfer-Encoding` and takes a bare LF for a line's end, before
//! anybody could see it. This file must not know sockets, and it does not interpret fields beyond
//! those that frame a message.

pub mod answer;
pub mod fields;
pub mod hello;
mod http2;
pub mod records;
pub mod request;
pub mod tickets;

pub use self::http2::check_http2_head;
use crate::fault::Fault;
use crate::octets::{Octets, TCHAR, field_prefix};

/// How large a head may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Request line and fields, the empty line included.
    pub head_bytes_max: usize,
    /// Field lines.
    pub fields_max: usize,
    /// The request target.
    pub uri_bytes_max: usize,
}

/// A head that is well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its length, the empty line included.
    pub bytes: usize,
    /// `Content-Length`, 0 where there is none.
    pub body_bytes: u64,
}

/// How many bytes of empty lines stand before a request line. Old clients send a CRLF behind a body
/// that their `Content-Length` does not count: a few of them are ignored (RFC 9112 section 2.2).
pub fn empty_lines(bytes: &[u8], lines_max: usize) -> usize {
    let lines = bytes.chunks_exact(2).take(lines_max).take_while(|pair| *pair == b"\r\n");
    lines.count() * 2
}

/// What a reader of heads remembers between two reads, so that no byte is looked at twice.
#[derive(Debug, Default)]
pub struct Scan {
    /// Everything before is whole lines that have been checked.
    line_start: usize,
    /// Up to here there is no LF in the current line.
    looked_at: usize,
    lines: usize,
    version_minor: u8,
    hosts: usize,
    body_bytes: Option<u64>,
    transfer_encoding: bool,
    authority: Option<(usize, usize)>,
    host_value: Option<(usize, usize)>,
    /// The verdict on a bad head. It stands, however often the reader is asked again.
    refused: Option<Fault>,
}

impl Scan {
    /// Reads on. `bytes` is all that came since the head's first byte. `None` asks for more.
    ///
    /// # Errors
    /// The fault that the head earned. Every one of them closes the connection.
    pub fn read(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<Head>, Fault> {
        if let Some(fault) = &self.refused {
            return Err(fault.clone());
        }
        let verdict = self.read_lines(bytes, limits);
        self.refused = verdict.as_ref().err().cloned();
        verdict
    }

    fn read_lines(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<Head>, Fault> {
        while let Some(rest) = bytes.get(self.line_start..) {
            // A line whose beginning was looked at before is only searched for its end, from there.
            let is_new = self.lines > 0 && self.looked_at <= self.line_start;
            let field = if is_new { good_field(rest) } else { None };
            let Some(length) = field.map(|field| field.length).or_else(|| self.end_of(bytes))
            else {
                self.looked_at = bytes.len();
                break;
            };
            let start = self.line_start;
            // Lengths come first: a line that is too long is refused before its end is seen, and
            // the verdict must not depend on how the bytes were cut into reads.
            if self.lines == 0 && length > limits.uri_bytes_max + LINE_SLACK {
                return Err(Fault::UriTooLong);
            }
            self.line_start += length + 1;
            if self.line_start > limits.head_bytes_max {
                return Err(self.too_large(limits));
            }
            let Some(line) = rest.get(..length).and_then(|line| line.strip_suffix(b"\r")) else {
                return Err(Fault::HttpMalformed("bare LF"));
            };
            match (self.lines, line.is_empty()) {
                (0, _) => self.request_line(line, start, limits)?,
                (_, true) => return self.finish(bytes).map(Some),
                (_, false) => self.field(line, field, start, limits)?,
            }
        }
        self.unfinished(bytes, limits)
    }

    /// How many bytes the current line has up to its LF.
    fn end_of(&self, bytes: &[u8]) -> Option<usize> {
        let from = self.looked_at.max(self.line_start);
        let end = memchr::memchr(b'\n', bytes.get(from..)?)?;
        Some(from + end - self.line_start)
    }

    /// Whether nothing has been read yet.
    pub const fn is_fresh(&self) -> bool {
        self.line_start == 0
    }

    fn unfinished(&self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<Head>, Fault> {
        let line_bytes = bytes.len() - self.line_start.min(bytes.len());
        if self.lines == 0 && line_bytes > limits.uri_bytes_max + LINE_SLACK {
            return Err(Fault::UriTooLong);
        }
        if bytes.len() >= limits.head_bytes_max {
            return Err(self.too_large(limits));
        }
        Ok(None)
    }

    fn too_large(&self, limits: &HeadLimits) -> Fault {
        let in_request_line = self.lines == 0 && limits.head_bytes_max <= limits.uri_bytes_max;
        if in_request_line { Fault::UriTooLong } else { Fault::HeadTooLarge }
    }

    /// `request-line = method SP request-target SP HTTP-version` (RFC 9112 section 3).
    fn request_line(
        &mut self,
        line: &[u8],
        start: usize,
        limits: &HeadLimits,
    ) -> Result<(), Fault> {
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), version, None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Fault::HttpMalformed("request line"));
        };
        if method.is_empty() || method.len() > METHOD_BYTES_MAX || !TCHAR.has_all(method) {
            return Err(Fault::HttpMalformed("method"));
        }
        if target.len() > limits.uri_bytes_max {
            return Err(Fault::UriTooLong);
        }
        if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
            return Err(Fault::HttpMalformed("request target"));
        }
        self.version_minor = version_minor(version.unwrap_or_default())?;
        self.authority = authority_of(target, start + method.len() + 1)?;
        if self.authority.is_some() || !is_plain_target(target) {
            check_uri(target)?;
        }
        self.lines = 1;
        Ok(())
    }

    /// `field-line = field-name ":" OWS field-value OWS` (RFC 9112 section 5). What is known of a
    /// line that is good is handed in.
    fn field(
        &mut self,
        line: &[u8],
        good: Option<GoodField>,
        start: usize,
        limits: &HeadLimits,
    ) -> Result<(), Fault> {
        if self.lines > limits.fields_max {
            return Err(Fault::HeadTooLarge);
        }
        self.lines += 1;
        let colon = match good {
            Some(field) => field.colon,
            None => colon_of(line)?,
        };
        let (name, value) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..));
        let value = value.unwrap_or_default();
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                let trimmed = value.trim_ascii();
                let skipped = value.len() - value.trim_ascii_start().len();
                let from = start + colon + 1 + skipped;
                self.host_value = Some((from, from + trimmed.len()));
                check_host(trimmed)
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.transfer_encoding = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// One `Content-Length`, digits only: a list or a second line is refused, also when all its
    /// values agree (RFC 9112 section 6.3 allows either).
    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let length = content_length(value).ok_or(Fault::HttpMalformed("Content-Length"))?;
        match self.body_bytes.replace(length) {
            None => Ok(()),
            Some(_) => Err(Fault::HttpMalformed("Content-Length twice")),
        }
    }

    fn finish(&self, bytes: &[u8]) -> Result<Head, Fault> {
        if self.transfer_encoding {
            let ambiguous = self.body_bytes.is_some() || self.version_minor == 0;
            return Err(if ambiguous {
                Fault::HttpMalformed("Transfer-Encoding beside Content-Length or in HTTP/1.0")
            } else {
                Fault::LengthRequired
            });
        }
        let hosts_needed = usize::from(self.version_minor > 0);
        if self.hosts > 1 || self.hosts < hosts_needed {
            return Err(Fault::HttpMalformed("Host"));
        }
        let text = |span: Option<(usize, usize)>| span.and_then(|(from, to)| bytes.get(from..to));
        match (text(self.authority), text(self.host_value)) {
            (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
                Err(Fault::HttpMalformed("Host differs from the request target"))
            }
            _ => Ok(Head { bytes: self.line_start, body_bytes: self.body_bytes.unwrap_or(0) }),
        }
    }
}

/// What a request line may hold besides its target: the longest method, the version, two spaces.
const LINE_SLACK: usize = METHOD_BYTES_MAX + 12;
const METHOD_BYTES_MAX: usize = 32;
/// 10^18 - 1 fits in 64 bits with room to spare.
const LENGTH_DIGITS_MAX: usize = 18;

/// The value of a `Content-Length`: digits and nothing else.
pub fn content_length(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    let shaped =
        (1..=LENGTH_DIGITS_MAX).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    shaped.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

fn version_minor(version: &[u8]) -> Result<u8, Fault> {
    match version {
        b"HTTP/1.1" => Ok(1),
        b"HTTP/1.0" => Ok(0),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Fault::VersionUnsupported)
        }
        _ => Err(Fault::HttpMalformed("HTTP version")),
    }
}

/// Where the authority of an absolute-form target stands; none in origin-form and asterisk-form
/// (RFC 9112 section 3.2). Authority-form belongs to CONNECT, which nothing here is.
fn authority_of(target: &[u8], start: usize) -> Result<Option<(usize, usize)>, Fault> {
    if target.first() == Some(&b'/') || target == b"*" {
        return Ok(None);
    }
    let schemes: [&[u8]; 2] = [b"http://", b"https://"];
    let scheme = schemes.into_iter().find(|scheme| {
        target.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    });
    let Some(scheme) = scheme else { return Err(Fault::HttpMalformed("request target")) };
    let rest = target.get(scheme.len()..).unwrap_or_default();
    let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    check_host(rest.get(..length).unwrap_or_default())?;
    let from = start + scheme.len();
    Ok(Some((from, from + length)))
}

/// Whether any reader of URIs takes it for a path and a query: such a target needs no closer look.
fn is_plain_target(target: &[u8]) -> bool {
    target.len() <= URI_BYTES_MAX && PLAIN_IN_TARGET.has_all(target)
}

static PLAIN_IN_TARGET: Octets = Octets::alphanumeric_and(b"-._~%!$&'()*+,;=:@/?");

/// The library would refuse what `http` can't read with an answer of its own, without our marks and
/// without a line in the log; and it would drop a fragment, which no request target has.
fn check_uri(target: &[u8]) -> Result<(), Fault> {
    let readable = !target.contains(&b'#') && http::Uri::try_from(target).is_ok();
    if readable { Ok(()) } else { Err(Fault::HttpMalformed("request target")) }
}

/// The longest that `http` reads.
const URI_BYTES_MAX: usize = u16::MAX as usize - 1;

/// `Host = uri-host [ ":" port ]` (RFC 9110 section 7.2); it is never empty here.
fn check_host(host: &[u8]) -> Result<(), Fault> {
    if host.is_empty() || !PLAIN_IN_HOST.has_all(host) {
        return Err(Fault::HttpMalformed("Host"));
    }
    Ok(())
}

static PLAIN_IN_HOST: Octets = Octets::alphanumeric_and(b"-._~%!$&'()*+,;=[]:");

/// Where the parts of a good field line end, in bytes from its start.
#[derive(Debug, Clone, Copy)]
struct GoodField {
    colon: usize,
    /// Up to the LF.
    length: usize,
}

/// Reads a field line that is whole and good, in one go; of any other, [`colon_of`] says what is
/// wrong once its end is there.
fn good_field(bytes: &[u8]) -> Option<GoodField> {
    let colon = TCHAR.prefix(bytes);
    let value = bytes.get(colon..)?.strip_prefix(b":").filter(|_| colon > 0)?;
    let value_bytes = field_prefix(value);
    let is_whole = value.get(value_bytes..)?.starts_with(b"\r\n");
    is_whole.then_some(GoodField { colon, length: colon + 1 + value_bytes + 1 })
}

/// Where the colon of a field line stands that has no fault.
fn colon_of(line: &[u8]) -> Result<usize, Fault> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Fault::HttpMalformed("folded field line"));
    }
    let Some(colon) = memchr::memchr(b':', line) else {
        return Err(Fault::HttpMalformed("field line without a colon"));
    };
    if colon == 0 || TCHAR.prefix(line) < colon {
        return Err(Fault::HttpMalformed("field name"));
    }
    let value = line.get(colon + 1..).unwrap_or_default();
    if field_prefix(value) < value.len() {
        return Err(Fault::HttpMalformed("control character in a field value"));
    }
    Ok(colon)
}

#[cfg(test)]
mod tests;
