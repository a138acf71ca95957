//! Reading a bank's answer over HTTP/2 to its end; over HTTP/1.1 that is `framing`'s.
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

/// What an error inside the answer's body means.
fn body_fault(error: &hyper::Error) -> Fault {
    if error.is_parse() { Fault::ResponseMalformed("body") } else { Fault::ResponseTruncated }
}
