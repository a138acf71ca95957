//! What holds for the framing of a bank's answers.
//!
//! This file decides what may never happen, whatever a bank sends.

use bytes::BytesMut;
use corgate::fault::{Fault, Origin};
use corgate::framing::answer::{AnswerReader, Received};

/// Small, so that a fuzzer finds it.
const BODY_BYTES_MAX: usize = 64;

/// One answer however its bytes are cut into reads, within its limit; or a fault of the bank's.
pub fn bank_framing(bytes: &[u8]) {
    let whole = read(bytes, bytes.len().max(1));
    for cut in [1, 2, 7, 64] {
        match (&whole, read(bytes, cut)) {
            (Ok((one, left)), Ok((other, other_left))) => {
                assert_eq!((one.status, &one.body), (other.status, &other.body));
                assert_eq!((one.reusable, left), (other.reusable, &other_left));
                assert_eq!(one.headers.to_map(), other.headers.to_map());
            }
            // Which of two mistakes is seen first may depend on what has come.
            (Err(_), Err(fault)) => assert_eq!(fault.row().origin, Origin::Provider, "{fault:?}"),
            (one, other) => panic!("{one:?}, and in pieces of {cut} {other:?}"),
        }
    }
    if let Ok((received, left)) = whole {
        // Every line up to the first empty one ends in CR LF.
        let empty = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let head = bytes.get(..empty.unwrap_or(bytes.len())).unwrap_or_default();
        let lines = head.split(|byte| *byte == b'\n');
        let ends = head.iter().filter(|byte| **byte == b'\n').count();
        assert!(lines.take(ends).all(|line| line.ends_with(b"\r")), "a bare line feed");
        assert!(received.body.len() <= BODY_BYTES_MAX && received.status.as_u16() >= 200);
        assert!(left <= bytes.len() && !received.headers.contains(&http::header::CONTENT_LENGTH));
    }
}

/// The answer, and how many bytes behind it were left.
fn read(bytes: &[u8], cut: usize) -> Result<(Received, usize), Fault> {
    let mut reader = AnswerReader::new(BODY_BYTES_MAX);
    let (mut buffer, mut unread) = (BytesMut::new(), bytes.len());
    for piece in bytes.chunks(cut) {
        buffer.extend_from_slice(piece);
        unread -= piece.len();
        if let Some(received) = reader.read(&mut buffer)? {
            return Ok((received, buffer.len() + unread));
        }
    }
    reader.end(&mut buffer).map(|received| (received, 0))
}
