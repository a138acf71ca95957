//! Framing of a request to a bank in HTTP/1.1, in one piece of bytes.
//!
//! This file decides how a request is written (RFC 9112 sections 2 and 3), and it is the only one
//! to write the fields that frame a message. It must not know sockets, nor what a request means.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Method};

use super::fields::Fields;
use crate::fault::Fault;

/// The bytes of a request.
///
/// # Errors
/// [`Fault::Internal`] for a path that would not stay one word of one line.
pub fn write_request(
    method: &Method,
    path: &str,
    host: &HeaderValue,
    headers: &Fields,
    body: &[u8],
) -> Result<Vec<u8>, Fault> {
    let plain = |byte: u8| byte.is_ascii_graphic() & (byte != b'#');
    if !path.starts_with('/') || !path.bytes().fold(true, |all, byte| all & plain(byte)) {
        return Err(Fault::Internal("target path"));
    }
    let field_bytes = |(name, value): (&http::HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + ": \r\n".len()
    };
    let fields_bytes = headers.iter().map(field_bytes).sum::<usize>();
    let mut bytes = Vec::with_capacity(path.len() + host.len() + fields_bytes + body.len() + ROOM);
    let mut write =
        |pieces: &[&[u8]]| pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
    write(&[method.as_str().as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1\r\nhost: "]);
    write(&[host.as_bytes(), b"\r\n"]);
    for (name, value) in headers.iter() {
        if !matches!(*name, HOST | CONTENT_LENGTH | TRANSFER_ENCODING | CONNECTION) {
            write(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
    }
    // RFC 9110 section 8.6: said also of an empty body, where the method gives one a meaning.
    if !body.is_empty() || matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        let mut digits = itoa::Buffer::new();
        let length = digits.format(body.len()).as_bytes();
        write(&[b"content-length: ", length, b"\r\n"]);
    }
    write(&[b"\r\n", body]);
    Ok(bytes)
}

/// Room for what is written beside path, host, fields and body.
const ROOM: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    fn write(method: &Method, path: &str, headers: &Fields, body: &str) -> Option<String> {
        let host = HeaderValue::from_static("bank:7443");
        let bytes = write_request(method, path, &host, headers, body.as_bytes()).ok()?;
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_request_is_one_piece_with_one_length() {
        let mut headers = Fields::new();
        headers.insert(http::HeaderName::from_static("x-a"), HeaderValue::from_static("1"));
        headers.append(http::HeaderName::from_static("x-a"), HeaderValue::from_static("2"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("99"));
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(HOST, HeaderValue::from_static("elsewhere"));
        let text = write(&Method::POST, "/token?a=%20", &headers, "a=1").unwrap();
        let expected = "POST /token?a=%20 HTTP/1.1\r\nhost: bank:7443\r\nx-a: 1\r\nx-a: 2\r\n\
                        content-length: 3\r\n\r\na=1";
        assert_eq!(text, expected);
        let empty = write(&Method::POST, "/", &Fields::new(), "").unwrap();
        assert!(empty.ends_with("\r\ncontent-length: 0\r\n\r\n"));
        let read = write(&Method::GET, "/", &Fields::new(), "").unwrap();
        assert_eq!(read, "GET / HTTP/1.1\r\nhost: bank:7443\r\n\r\n");
    }

    #[test]
    fn a_path_stays_one_word_of_one_line() {
        for path in
            ["", "token", "/a b", "/a\r\nx: y", "/a\n", "/a#b", "/ä", "/a\u{7f}", "http://x/"]
        {
            assert_eq!(write(&Method::POST, path, &Fields::new(), ""), None, "{path:?}");
        }
    }
}
