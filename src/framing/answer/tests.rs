//! Tests of the reader: answers that pass, answers that could be read in two ways, and answers
//! that come in pieces.

use proptest::prelude::*;

use super::*;

const MAX: usize = 1000;
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Reads all of the bytes, cut as `cuts` says, and ends the connection behind them. Gives the
/// answer and what was left over.
fn read_cut(bytes: &[u8], cuts: &[usize]) -> Result<(Received, usize), Fault> {
    let mut reader = AnswerReader::new(MAX);
    let mut buffer = BytesMut::new();
    let mut rest = bytes;
    for cut in cuts {
        let (now, later) = rest.split_at((*cut).min(rest.len()));
        buffer.extend_from_slice(now);
        rest = later;
        if let Some(received) = reader.read(&mut buffer)? {
            return Ok((received, buffer.len() + rest.len()));
        }
    }
    buffer.extend_from_slice(rest);
    match reader.read(&mut buffer)? {
        Some(received) => Ok((received, buffer.len())),
        None => reader.end(&mut buffer).map(|received| (received, buffer.len())),
    }
}

fn read(answer: &str) -> Result<Received, Fault> {
    read_cut(answer.as_bytes(), &[]).map(|(received, _)| received)
}

fn malformed(answer: &str) -> bool {
    matches!(read(answer), Err(Fault::ResponseMalformed(_)))
}

#[test]
fn a_plain_answer_is_read_whole_and_frees_its_connection() {
    let answer =
        read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nX-A: 2\r\n\r\nhello").unwrap();
    assert_eq!(
        (answer.status, &*answer.body, answer.reusable),
        (StatusCode::OK, &b"hello"[..], true)
    );
    let values: Vec<_> = answer.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
    assert_eq!(values, [("x-a", &b"1"[..]), ("x-a", b"2")]);
}

#[test]
fn how_long_a_body_is() {
    let cases: [(&str, &[u8], bool); 13] = [
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b"", false),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", b"", false),
        ("HTTP/1.1 204 No Content\r\n\r\n", b"", true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", b"", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", b"ab", true),
        ("HTTP/1.1 200 OK\r\n\r\nto the end", b"to the end", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", b"a", false),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\na", b"a", true),
        ("HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\na", b"a", false),
        (
            "HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
            b"abcd",
            true,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n", b"", true),
        (
            "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 \r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
            b"a",
            true,
        ),
    ];
    for (answer, body, reusable) in cases {
        let received = read(answer).unwrap_or_else(|fault| panic!("{answer:?}: {fault:?}"));
        assert_eq!((&*received.body, received.reusable), (body, reusable), "{answer:?}");
        assert!(!received.headers.contains(&CONTENT_LENGTH), "{answer:?}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for fields in [
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "A : b\r\n",
        "A: b\r\n folded\r\n",
        "no colon\r\n",
        "A: \u{1}\r\n",
    ] {
        assert!(malformed(&format!("HTTP/1.1 200 OK\r\n{fields}\r\na")), "{fields:?}");
    }
    assert!(malformed("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
    for answer in [
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "SSH-2.0-x\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "\u{15}\u{3}\u{1}",
    ] {
        assert!(malformed(answer), "{answer:?}");
    }
}

#[test]
fn a_line_of_a_head_that_ends_in_a_bare_line_feed_is_refused() {
    let good = "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\
                Content-Length: 1\r\n\r\na";
    assert!(read(good).is_ok());
    // Each of its line ends, one after the other, and all of them.
    for (at, _) in good.match_indices("\r\n") {
        let bare = [&good[..at], &good[at + 1..]].concat();
        assert!(malformed(&bare), "{bare:?}");
    }
    assert!(malformed(&good.replace('\r', "")));
    for before in ["\n", "\r\n", "\r\n\n"] {
        assert!(malformed(&format!("{before}HTTP/1.1 204 No Content\r\n\r\n")), "{before:?}");
    }
    assert!(malformed("HTTP/1.1 204 No Content\n\r\n"));
    // What ends in LF LF is not waited for.
    let mut reader = AnswerReader::new(MAX);
    let dripped = reader.read(&mut BytesMut::from("HTTP/1.1 200 OK\nContent-Length: 1\n\n"));
    assert_eq!(dripped.unwrap_err(), Fault::ResponseMalformed("line end"));
}

#[test]
fn bad_chunks_are_refused() {
    for chunks in [
        "x\r\n",
        "-1\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1;\nx\r\na\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "0\r\nbare\n\r\n",
        "11111111111111111\r\n",
        "\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        assert!(malformed(&answer), "{chunks:?}");
    }
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(malformed(&format!("{head}1;{}\r\na\r\n0\r\n\r\n", "x".repeat(2000))));
    let wasteful = format!("1;{}\r\na\r\n", "x".repeat(900)).repeat(30);
    assert!(malformed(&format!("{head}{wasteful}0\r\n\r\n")));
    assert!(malformed(&format!("{head}0\r\n{}\r\n", "A: b\r\n".repeat(2000))));
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    let cases = [
        ("", Fault::ConnectionLost),
        ("HTTP/1.1 200 OK\r\nContent-Le", Fault::ConnectionLost),
        ("HTTP/1.1 100 \r\n\r\n", Fault::ConnectionLost),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Fault::ResponseTruncated),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", Fault::ResponseTruncated),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
            Fault::ResponseTruncated,
        ),
    ];
    for (answer, fault) in cases {
        assert_eq!(read(answer).unwrap_err(), fault, "{answer:?}");
    }
}

#[test]
fn limits_hold_at_n_and_n_plus_one() {
    let body = |length: usize| {
        let announced =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "a".repeat(length));
        let open = format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(length));
        let chunked = format!(
            "{CHUNKED}1\r\na\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            length - 1,
            "a".repeat(length - 1)
        );
        [announced, open, chunked]
    };
    for answer in body(MAX) {
        assert_eq!(read(&answer).unwrap().body.len(), MAX);
    }
    for answer in body(MAX + 1) {
        assert_eq!(read(&answer).unwrap_err(), Fault::ResponseTooLarge);
    }
    let head = |bytes: usize| {
        let frame = "HTTP/1.1 204 No Content\r\nA: \r\n\r\n".len();
        read(&format!("HTTP/1.1 204 No Content\r\nA: {}\r\n\r\n", "x".repeat(bytes - frame)))
    };
    assert_eq!(head(ANSWER_HEAD_BYTES_MAX).unwrap().status, StatusCode::NO_CONTENT);
    assert_eq!(head(ANSWER_HEAD_BYTES_MAX + 1).unwrap_err(), Fault::ResponseTooLarge);
    let fields = |count: usize| read(&format!("HTTP/1.1 204 \r\n{}\r\n", "A: b\r\n".repeat(count)));
    assert!(fields(FIELDS_MAX).is_ok());
    assert_eq!(fields(FIELDS_MAX + 1).unwrap_err(), Fault::ResponseTooLarge);
    let interims = |count: u8| {
        read(&format!("{}HTTP/1.1 204 \r\n\r\n", "HTTP/1.1 102 \r\n\r\n".repeat(count.into())))
    };
    assert!(interims(INTERIM_MAX).is_ok());
    assert!(interims(INTERIM_MAX + 1).is_err());
}

#[test]
fn an_endless_head_is_given_up() {
    let mut reader = AnswerReader::new(MAX);
    let mut buffer = BytesMut::from("HTTP/1.1 200 OK\r\nA: ");
    let mut fed = 0;
    let refused = loop {
        match reader.read(&mut buffer) {
            Ok(None) if fed < 100_000 => buffer.extend_from_slice(&[b'x'; 100]),
            Ok(_) => panic!("no end"),
            Err(fault) => break fault,
        }
        fed += 100;
    };
    assert_eq!((refused, fed <= ANSWER_HEAD_BYTES_MAX + 100), (Fault::ResponseTooLarge, true));
}

#[test]
fn what_comes_behind_an_answer_is_left() {
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n\r\n";
    let (received, left) = read_cut(two.as_bytes(), &[]).unwrap();
    assert_eq!((&*received.body, left), (&b"a"[..], "HTTP/1.1 200 OK\r\n\r\n".len()));
}

proptest! {
    #[test]
    fn where_the_bytes_are_cut_changes_nothing(
        body in proptest::collection::vec(any::<u8>(), 0..80),
        framing in 0..3,
        cuts in proptest::collection::vec(1_usize..20, 0..30),
    ) {
        let mut bytes = b"HTTP/1.1 200 OK\r\nX-A: b\r\n".to_vec();
        match framing {
            0 => {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                bytes.extend(&body);
            }
            1 => bytes.extend(b"\r\n".iter().copied().chain(body.clone())),
            _ => {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in body.chunks(7) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend(chunk.iter().chain(b"\r\n"));
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        let (received, left) = read_cut(&bytes, &cuts).unwrap();
        prop_assert_eq!((&*received.body, left), (&*body, 0));
        prop_assert_eq!(received.headers.len(), 1);
    }

    #[test]
    fn no_bytes_break_the_reader_and_none_are_read_in_two_ways(
        bytes in proptest::collection::vec(prop_oneof![
            Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"Content-Length: 3\r\n".to_vec()),
            Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
            Just(b"3\r\nabc\r\n".to_vec()),
            Just(b"0\r\n\r\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
        ], 0..8),
        cuts in proptest::collection::vec(1_usize..20, 0..30),
    ) {
        let bytes = bytes.concat();
        let (at_once, in_pieces) = (read_cut(&bytes, &[]), read_cut(&bytes, &cuts));
        match (at_once, in_pieces) {
            (Ok((one, _)), Ok((other, _))) => prop_assert_eq!(one.body, other.body),
            (Err(_), Err(_)) => {}
            (one, other) => prop_assert!(false, "{:?} and {:?}", one, other),
        }
    }
}
