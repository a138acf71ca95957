//! Tests of the scan: heads that pass, heads that two parsers could read in two ways, and heads
//! that come in pieces.

use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { head_bytes_max: 1024, fields_max: 8, uri_bytes_max: 256 };

fn read(head: &str) -> Result<Option<Head>, Fault> {
    Scan::default().read(head.as_bytes(), &LIMITS)
}

fn with(fields: &str) -> Result<Option<Head>, Fault> {
    read(&format!("POST /oauth/token HTTP/1.1\r\nHost: hub\r\n{fields}\r\n"))
}

fn malformed(head: &str) -> bool {
    matches!(read(head), Err(Fault::HttpMalformed(_)))
}

#[test]
fn a_plain_head_is_read_with_its_length() {
    let head = "POST /oauth/token HTTP/1.1\r\nHost: hub:8443\r\nContent-Length:  12 \r\n\r\n";
    let read = read(&format!("{head}a=1")).unwrap().unwrap();
    assert_eq!(read, Head { bytes: head.len(), body_bytes: 12 });
}

#[test]
fn smuggling_shapes_are_refused() {
    for fields in [
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 1000000000000000000\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\ncontent-length: 1\r\n",
        "Content-Length : 1\r\n",
        " Content-Length: 1\r\n",
        "X: a\r\n b\r\n",
        "X: a\nY: b\r\n",
        "X: a\rb\r\n",
        "X: a\0b\r\n",
        "X\r\n",
        ": x\r\n",
        "X Y: z\r\n",
        "Host: other\r\n",
    ] {
        assert!(matches!(with(fields), Err(Fault::HttpMalformed(_))), "{fields:?}");
    }
    for codings in ["chunked", "gzip, chunked", "identity", "CHUNKED", "x"] {
        let fields = format!("Transfer-Encoding: {codings}\r\n");
        assert_eq!(with(&fields), Err(Fault::LengthRequired), "{fields:?}");
    }
}

#[test]
fn broken_request_lines_are_refused() {
    for line in [
        "",
        "POST",
        "POST ",
        "POST /",
        "POST  / HTTP/1.1",
        "POST / HTTP/1.1 ",
        " POST / HTTP/1.1",
        "POST /\t HTTP/1.1",
        "PO(ST / HTTP/1.1",
        "POST / http/1.1",
        "POST / HTTP/1.1x",
        "POST oauth HTTP/1.1",
        "CONNECT hub:443 HTTP/1.1",
        "POST ftp://hub/ HTTP/1.1",
        "POST /\u{e9} HTTP/1.1",
    ] {
        assert!(malformed(&format!("{line}\r\nHost: hub\r\n\r\n")), "{line:?}");
    }
    assert_eq!(read("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), Err(Fault::VersionUnsupported));
    assert!(malformed("GET / HTTP/1.1\nHost: hub\n\n"));
}

/// Each of these passed, and the library then closed with a bare 400 of its own, or read something
/// else than was sent.
#[test]
fn a_target_that_the_library_could_not_read_is_refused_here() {
    for target in ["/<x>", "/`", "/x#y", "/#", "http://[::1/", "http://a:b:c/"] {
        let host = target.strip_prefix("http://").map_or("h", |rest| rest.trim_end_matches('/'));
        let head = format!("POST {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!(malformed(&head), "{target}");
    }
    for target in ["/a?b=%20&c='d'", "/\"{}|^\\", "*", "http://[::1]:80/x", "http://h?q"] {
        let rest = target.strip_prefix("http://").unwrap_or("h");
        let host = rest.split(['/', '?']).next().unwrap();
        let head = format!("POST {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!(read(&head).unwrap().is_some(), "{target}");
        assert!(target.parse::<http::Uri>().is_ok(), "{target}");
    }
}

proptest! {
    /// What is let through is what `http` can read: the library never refuses by itself.
    #[test]
    fn every_target_that_passes_is_one_that_the_library_reads(
        target in "(/|http://|https://)[!-~]{0,12}",
    ) {
        let rest = target.split_once("://").map_or("h", |(_, rest)| rest);
        let host = rest.split(['/', '?']).next().unwrap();
        let head = format!("POST {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        if matches!(read(&head), Ok(Some(_))) {
            prop_assert!(target.parse::<http::Uri>().is_ok(), "{}", target);
        }
    }
}

#[test]
fn host_is_one_and_agrees_with_an_absolute_target() {
    assert!(malformed("GET / HTTP/1.1\r\n\r\n"));
    assert!(malformed("GET / HTTP/1.1\r\nHost:\r\n\r\n"));
    assert!(malformed("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"));
    assert!(malformed("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"));
    assert!(malformed("GET https://hub/ HTTP/1.1\r\nHost: other\r\n\r\n"));
    assert!(read("GET https://hub/x HTTP/1.1\r\nHost:  HUB \r\n\r\n").unwrap().is_some());
    assert!(read("GET / HTTP/1.0\r\n\r\n").unwrap().is_some());
}

#[test]
fn limits_hold_at_n_and_n_plus_1() {
    let uri = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(bytes - 1));
    assert!(read(&uri(LIMITS.uri_bytes_max)).unwrap().is_some());
    assert_eq!(read(&uri(LIMITS.uri_bytes_max + 1)), Err(Fault::UriTooLong));

    let fields = |count: usize| with(&"X: y\r\n".repeat(count - 1));
    assert!(fields(LIMITS.fields_max).unwrap().is_some());
    assert_eq!(fields(LIMITS.fields_max + 1), Err(Fault::HeadTooLarge));

    let around = "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n".len();
    let head = |bytes: usize| {
        read(&format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(bytes - around)))
    };
    assert!(head(LIMITS.head_bytes_max).unwrap().is_some());
    assert_eq!(head(LIMITS.head_bytes_max + 1), Err(Fault::HeadTooLarge));
}

#[test]
fn a_bad_head_stays_bad_when_it_is_read_again() {
    let head = "POST / HTTP/1.1\r\nHost: h\r\nX: y\nContent-Length: 1\r\n\r\n";
    let mut scan = Scan::default();
    for _ in 0..3 {
        let verdict = scan.read(head.as_bytes(), &LIMITS);
        assert_eq!(verdict, Err(Fault::HttpMalformed("bare LF")));
    }
}

#[test]
fn an_endless_line_is_cut_without_its_end() {
    let long = "a".repeat(LIMITS.head_bytes_max);
    assert_eq!(read(&format!("GET /{long}")), Err(Fault::UriTooLong));
    let head = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}");
    assert_eq!(read(&head), Err(Fault::HeadTooLarge));
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_give_one_verdict(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        cut in 0_usize..600,
    ) {
        verdicts_agree(&bytes, cut)?;
    }

    #[test]
    fn a_nearly_good_head_in_any_pieces_gives_one_verdict(
        text in "(GET|POST) /[a-z]{0,4} HTTP/1\\.[01]\r?\n\
                 (Host: h\r\n|Content-Length: [0-9]{1,2}\r\n|X: [ -~]{0,9}\r?\n){0,5}\r?\n",
        cut in 0_usize..120,
    ) {
        verdicts_agree(text.as_bytes(), cut)?;
    }
}

fn verdicts_agree(bytes: &[u8], cut: usize) -> Result<(), TestCaseError> {
    let whole = Scan::default().read(bytes, &LIMITS);
    let mut scan = Scan::default();
    let first = scan.read(&bytes[..cut.min(bytes.len())], &LIMITS);
    let pieces = if matches!(first, Ok(None)) { scan.read(bytes, &LIMITS) } else { first };
    prop_assert_eq!(whole, pieces);
    Ok(())
}
