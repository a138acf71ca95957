//! Reading a bank's answer to its end.
//!
//! This file decides what counts as a whole answer, and that nothing less is passed on. It must not
//! know what was asked.

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use super::Fate;
use crate::dialect::ProviderAnswer;
use crate::fault::Fault;

/// Reads the answer to its end. Nothing less than all of it is passed on (CONTRACT H20).
pub(super) async fn read(
    response: Response<Incoming>,
    bytes_max: usize,
    fate: &Fate,
) -> Result<ProviderAnswer, Fault> {
    let (head, mut body) = response.into_parts();
    fate.note(|trail| trail.status = Some(head.status));
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Fault::ResponseMalformed("101"));
    }
    check_framing(&head.headers)?;
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(Fault::ResponseTooLarge);
    }
    let (mut first, mut more) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| body_fault(&error))?;
        // Trailers are not the answer's fields, and nothing here asked for them.
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + more.len() + data.len() > bytes_max {
            return Err(Fault::ResponseTooLarge);
        }
        // A small answer comes in one piece, which is then not copied.
        if first.is_empty() { first = data } else { more.extend_from_slice(&data) }
    }
    let body = if more.is_empty() { first } else { [first, more.freeze()].concat().into() };
    Ok(ProviderAnswer { status: head.status, headers: head.headers.into(), body })
}

/// An answer has one length. The library believes `Transfer-Encoding` where `Content-Length` stands
/// beside it, and hands a coding that it can't undo through as it is (RFC 9112 section 6.3).
fn check_framing(headers: &http::HeaderMap) -> Result<(), Fault> {
    let mut codings = headers.get_all(http::header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
    if chunked && !headers.contains_key(http::header::CONTENT_LENGTH) {
        Ok(())
    } else {
        Err(Fault::ResponseMalformed("framing"))
    }
}

/// What an error inside the answer's body means.
fn body_fault(error: &hyper::Error) -> Fault {
    if error.is_parse() { Fault::ResponseMalformed("body") } else { Fault::ResponseTruncated }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_answer_with_two_lengths_or_a_coding_that_nobody_undoes_is_refused() {
        let framing = |fields: &[(&'static str, &'static str)]| {
            let mut headers = http::HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            check_framing(&headers)
        };
        let refused = Err(Fault::ResponseMalformed("framing"));
        assert_eq!(framing(&[("content-length", "5")]), Ok(()));
        assert_eq!(framing(&[("transfer-encoding", "Chunked")]), Ok(()));
        assert_eq!(framing(&[("transfer-encoding", "chunked"), ("content-length", "5")]), refused);
        assert_eq!(framing(&[("transfer-encoding", "gzip")]), refused);
        assert_eq!(framing(&[("transfer-encoding", "gzip, chunked")]), refused);
        let twice = [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert_eq!(framing(&twice), refused);
    }
}
