//! A body in chunks (RFC 9112 section 7.1).
//!
//! This file decides where such a body ends. Extensions and trailers are read over: nothing here
//! asked for them.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::fault::Fault;
use crate::wiped::{Wiped, wipe};

/// Longest line with a chunk's size and its extensions, in bytes.
const SIZE_LINE_BYTES_MAX: usize = 1024;
/// Most bytes of trailers.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of extensions in a body, beside 16 for each chunk: a body must not be mostly those.
const WASTE_BYTES_MAX: usize = 16 * 1024;

/// Where in the body the reader is.
#[derive(Debug, Default)]
enum Place {
    #[default]
    Size,
    Data(usize),
    DataEnd,
    Trailers,
}

/// Puts the chunks together.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    place: Place,
    body: Wiped,
    wasted: usize,
    trailer_bytes: usize,
}

impl Chunks {
    /// Reads on; the body, once it is whole.
    pub(super) fn read(
        &mut self,
        bytes: &mut BytesMut,
        max: usize,
    ) -> Result<Option<Bytes>, Fault> {
        let malformed = || Fault::ResponseMalformed("body");
        loop {
            match self.place {
                Place::Size if bytes.is_empty() => return Ok(None),
                Place::Size => {
                    // The library takes a line without a digit for a size of 0.
                    if !bytes.first().is_some_and(u8::is_ascii_hexdigit) {
                        return Err(malformed());
                    }
                    let line = match httparse::parse_chunk_size(bytes) {
                        Ok(httparse::Status::Complete(line)) => line,
                        Ok(httparse::Status::Partial) if bytes.len() <= SIZE_LINE_BYTES_MAX => {
                            return Ok(None);
                        }
                        _ => return Err(malformed()),
                    };
                    let (line_bytes, size) = line;
                    // The library takes any byte for an extension, a bare LF too.
                    let text = bytes.get(..line_bytes.saturating_sub(2)).unwrap_or_default();
                    if !is_size_line(text) {
                        return Err(malformed());
                    }
                    self.wasted += line_bytes.saturating_sub(16);
                    if line_bytes > SIZE_LINE_BYTES_MAX || self.wasted > WASTE_BYTES_MAX {
                        return Err(malformed());
                    }
                    let size = usize::try_from(size).unwrap_or(usize::MAX);
                    if size > max.saturating_sub(self.body.len()) {
                        return Err(Fault::ResponseTooLarge);
                    }
                    bytes.advance(line_bytes);
                    self.place = if size == 0 { Place::Trailers } else { Place::Data(size) };
                }
                Place::Data(_) if bytes.is_empty() => return Ok(None),
                Place::Data(left) => {
                    let mut taken = bytes.split_to(left.min(bytes.len()));
                    self.body.extend(&taken);
                    wipe(&mut taken);
                    let left = left - taken.len();
                    self.place = if left == 0 { Place::DataEnd } else { Place::Data(left) };
                }
                Place::DataEnd => match bytes.get(..2) {
                    None => return Ok(None),
                    Some(b"\r\n") => {
                        bytes.advance(2);
                        self.place = Place::Size;
                    }
                    Some(_) => return Err(malformed()),
                },
                Place::Trailers => {
                    let Some(end) = memchr::memchr(b'\n', bytes) else {
                        let so_far = self.trailer_bytes + bytes.len();
                        return if so_far > TRAILER_BYTES_MAX {
                            Err(malformed())
                        } else {
                            Ok(None)
                        };
                    };
                    let line = bytes.split_to(end + 1);
                    self.trailer_bytes += line.len();
                    match line.strip_suffix(b"\r\n") {
                        Some(b"") => return Ok(Some(std::mem::take(&mut self.body).into())),
                        Some(_) if self.trailer_bytes <= TRAILER_BYTES_MAX => {}
                        _ => return Err(malformed()),
                    }
                }
            }
        }
    }
}

/// Whether the line says a size, and behind it nothing but extensions (RFC 9112 section 7.1.1):
/// `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )`. Others read what is looser
/// in other ways.
fn is_size_line(line: &[u8]) -> bool {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let mut rest = line.get(digits..).unwrap_or_default();
    while !rest.is_empty() {
        let Some(name) = after(after_space(rest), b';').map(after_space).and_then(after_token)
        else {
            return false;
        };
        rest = name;
        if let Some(value) = after(after_space(name), b'=').map(after_space) {
            match after_token(value).or_else(|| after_quoted(value)) {
                Some(after_value) => rest = after_value,
                None => return false,
            }
        }
    }
    digits > 0
}

fn after(text: &[u8], byte: u8) -> Option<&[u8]> {
    text.split_first().filter(|(first, _)| **first == byte).map(|(_, rest)| rest)
}

fn after_space(text: &[u8]) -> &[u8] {
    let space = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    text.get(space..).unwrap_or_default()
}

/// RFC 9110 section 5.6.2.
fn after_token(text: &[u8]) -> Option<&[u8]> {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let token = text.iter().take_while(|byte| is_tchar(byte)).count();
    text.get(token..).filter(|_| token > 0)
}

/// RFC 9110 section 5.6.4.
fn after_quoted(text: &[u8]) -> Option<&[u8]> {
    let mut rest = after(text, b'"')?;
    loop {
        let (first, behind) = rest.split_first()?;
        rest = match first {
            b'"' => return Some(behind),
            b'\\' => behind.split_first().filter(|(byte, _)| !is_control(**byte))?.1,
            byte if is_control(*byte) => return None,
            _ => behind,
        };
    }
}

const fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_line_has_a_size_and_extensions_as_the_rfc_writes_them() {
        for good in ["2", "00aF", "2;a", "2;a=b", "2 ; a = b", "2;a=\"x;\\\" y\"", "2;a;b=c;d"] {
            assert!(is_size_line(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ";a", "2 ", "2\t", "2;", "2; ", "2;a ", "2;a=", "2;=b", "2;a b", "2 a", "2;a=\"b",
            "2;a\n",
        ] {
            assert!(!is_size_line(bad.as_bytes()), "{bad}");
        }
    }
}
