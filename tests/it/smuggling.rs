//! CONTRACT 4.4, row 30, and 3.6: messages that two parsers could read in two ways.
//!
//! Each is answered with a refusal, the connection ends, and the bank hears nothing: neither of the
//! request nor of what was hidden behind it.

use crate::ask::{Ask, BASE};
use crate::world::World;

const MALFORMED: &str = "malformed HTTP request";
const NO_CODINGS: &str = "Content-Length is required, Transfer-Encoding is not supported";

/// A request that a smuggler would like to be taken for the next one.
fn hidden() -> Vec<u8> {
    Ask::token().bytes()
}

/// Sends bytes, and after them a good request on the same connection: as the first request, and
/// pipelined behind a good one that is still under way when they are read.
fn refused(bytes: impl AsRef<[u8]>, status: u16, sentence: &str, fault: &str) {
    let world = World::new();
    for before in [None, Some(Ask::magic("sim-delay-20").bytes())] {
        let mut wire = world.wire();
        let first = before.clone().unwrap_or_default();
        wire.send([first.as_slice(), bytes.as_ref(), &hidden()].concat());
        if before.is_some() {
            wire.answer().good();
        }
        wire.refused_for_good(status, "invalid_request", sentence).logged(fault).is_fresh();
    }
    world.bank_heard(1);
}

fn malformed(bytes: impl AsRef<[u8]>) {
    refused(bytes, 400, MALFORMED, "http_malformed");
}

/// A good request whose head has these lines in it, each with its own line end.
fn with_lines(lines: &str) -> Vec<u8> {
    let ask = Ask::token();
    let head = String::from_utf8(ask.head()).unwrap();
    let at = head.find("\r\n").unwrap() + 2;
    let (line, fields) = head.as_bytes().split_at(at);
    [line, lines.as_bytes(), fields, &ask.body].concat()
}

/// A request without a length of its own.
fn with_framing(lines: &str, body: &str) -> Vec<u8> {
    let ask = Ask::token();
    let head = String::from_utf8(ask.head()).unwrap();
    let own = format!("Content-Length: {}\r\n", ask.body.len());
    assert!(head.contains(&own));
    [head.replace(&own, lines).as_bytes(), body.as_bytes()].concat()
}

/// Tests of one kind: a name, what is sent.
macro_rules! shapes {
    ($how:ident; $($name:ident: $bytes:expr;)*) => {$(
        #[test]
        fn $name() {
            $how($bytes);
        }
    )*};
}

shapes! { malformed;
    cl_te: with_lines("Transfer-Encoding: chunked\r\n");
    te_cl: with_framing("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5c\r\nPOST");
    cl_te_in_other_letters: with_lines("tRANSFER-eNCODING: chunked\r\n");
    cl_te_with_a_tab: with_lines("Transfer-Encoding:\tchunked\r\n");
    cl_and_an_unknown_coding: with_lines("Transfer-Encoding: xchunked\r\n");
    content_length_twice: with_framing("Content-Length: 0\r\nContent-Length: 163\r\n", "");
    the_same_content_length_twice:
        with_framing("Content-Length: 5\r\nContent-Length: 5\r\n", "a=b&c");
    content_length_as_a_list: with_framing("Content-Length: 5, 5\r\n", "a=b&c");
    content_length_with_a_sign: with_framing("Content-Length: +5\r\n", "a=b&c");
    content_length_below_zero: with_framing("Content-Length: -1\r\n", "");
    content_length_in_hexadecimal: with_framing("Content-Length: 0x5\r\n", "a=b&c");
    content_length_with_a_space_within: with_framing("Content-Length: 1 0\r\n", "a=b&c");
    content_length_without_a_value: with_framing("Content-Length:\r\n", "");
    content_length_beyond_all_numbers:
        with_framing("Content-Length: 18446744073709551616\r\n", "");
    a_space_before_the_colon: with_lines("Content-Length : 0\r\n");
    a_tab_before_the_colon: with_lines("Transfer-Encoding\t: chunked\r\n");
    a_space_before_the_name: with_lines(" Transfer-Encoding: chunked\r\n");
    a_folded_line: with_lines("X-Folded: one\r\n two\r\n");
    a_folded_line_with_a_tab: with_lines("X-Folded: one\r\n\ttwo\r\n");
    a_bare_line_feed_in_a_line: with_lines("X-One: 1\nTransfer-Encoding: chunked\r\n");
    a_bare_line_feed_at_a_lines_end: with_lines("X-One: 1\n");
    a_bare_carriage_return: with_lines("X-One: 1\rTransfer-Encoding: chunked\r\n");
    a_nul_in_a_value: with_lines("X-One: 1\0\r\n");
    a_control_character_in_a_value: with_lines("X-One: 1\x0b\r\n");
    a_line_without_a_colon: with_lines("Transfer-Encoding chunked\r\n");
    a_line_without_a_name: with_lines(": chunked\r\n");
    a_name_with_a_slash: with_lines("X/Y: z\r\n");
    no_host: with_lines_instead_of_host("");
    two_hosts: with_lines("Host: other\r\n");
    an_empty_host: with_lines_instead_of_host("Host:\r\n");
    a_host_with_a_space: with_lines_instead_of_host("Host: local host\r\n");
    a_host_with_a_path: with_lines_instead_of_host("Host: localhost/x\r\n");
    a_host_with_a_user: with_lines_instead_of_host("Host: user@localhost\r\n");
    a_target_that_differs_from_host:
        request_line(&format!("POST https://other{BASE}/oauth/token HTTP/1.1"));
    connect: request_line("CONNECT localhost:443 HTTP/1.1");
    a_target_without_a_slash: request_line("POST oauth/token HTTP/1.1");
    another_scheme: request_line("POST ftp://localhost/oauth/token HTTP/1.1");
    two_spaces_in_the_request_line: request_line(&format!("POST  {BASE}/oauth/token HTTP/1.1"));
    a_space_behind_the_version: request_line(&format!("POST {BASE}/oauth/token HTTP/1.1 "));
    a_tab_in_the_request_line: request_line(&format!("POST\t{BASE}/oauth/token HTTP/1.1"));
    no_version: request_line(&format!("POST {BASE}/oauth/token"));
    a_version_in_small_letters: request_line(&format!("POST {BASE}/oauth/token http/1.1"));
    five_empty_lines_first: [b"\r\n".repeat(5), Ask::token().bytes()].concat();
    a_space_before_the_method: request_line(&format!(" POST {BASE}/oauth/token HTTP/1.1"));
    a_target_beyond_ascii: request_line("POST /öauth HTTP/1.1");
    garbage: b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n";
    the_preface_of_http_2_on_a_connection_of_http_1: b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n";
}

fn with_lines_instead_of_host(lines: &str) -> Vec<u8> {
    let bytes = String::from_utf8(Ask::token().bytes()).unwrap();
    bytes.replace("Host: localhost\r\n", lines).into_bytes()
}

fn request_line(line: &str) -> Vec<u8> {
    let bytes = String::from_utf8(Ask::token().bytes()).unwrap();
    let (_, rest) = bytes.split_once("\r\n").unwrap();
    format!("{line}\r\n{rest}").into_bytes()
}

fn no_codings(lines: &str) {
    refused(with_framing(lines, "0\r\n\r\n"), 411, NO_CODINGS, "length_required");
}

shapes! { no_codings;
    te_alone: "Transfer-Encoding: chunked\r\n";
    te_te: "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n";
    te_twice: "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    te_in_a_list: "Transfer-Encoding: gzip, chunked\r\n";
    te_in_quotes: "Transfer-Encoding: \"chunked\"\r\n";
    te_identity: "Transfer-Encoding: identity\r\n";
    te_without_a_value: "Transfer-Encoding:\r\n";
}

#[test]
fn te_in_http_1_0() {
    let bytes = with_framing("Transfer-Encoding: chunked\r\n", "0\r\n\r\n");
    let text = String::from_utf8(bytes).unwrap();
    malformed(text.replacen("HTTP/1.1", "HTTP/1.0", 1));
}

#[test]
fn underscores_do_not_pass_for_hyphens() {
    for line in ["Transfer_Encoding: chunked\r\n", "Content_Length: 0\r\n"] {
        let world = World::new();
        let mut wire = world.wire();
        wire.send(with_lines(line));
        wire.refused_for_good(400, "invalid_request", MALFORMED);
        world.bank_heard(0);
    }
}

#[test]
fn another_version_of_http() {
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/9.9"] {
        let line = request_line(&format!("POST {BASE}/oauth/token {version}"));
        refused(line, 505, "HTTP version not supported", "version_unsupported");
    }
}

#[test]
fn http_1_0_needs_no_host_and_closes() {
    let world = World::new();
    let mut wire = world.wire();
    let bytes = String::from_utf8(with_lines_instead_of_host("")).unwrap();
    wire.send(bytes.replacen("HTTP/1.1", "HTTP/1.0", 1));
    let answer = wire.answer().good();
    assert_eq!(world.line_of(&answer)["protocol"], "http/1.0");
    wire.is_closed();
    world.bank_heard(1);
}

#[test]
fn absolute_form_that_agrees_with_host_is_understood() {
    let world = World::new();
    let mut wire = world.wire();
    wire.send(request_line(&format!("POST https://localhost{BASE}/oauth/token HTTP/1.1")));
    wire.answer().good();
    assert_eq!(world.bank.requests()[0].path, "/oauth/token");
}

#[test]
fn a_pipelined_bad_request_is_refused_after_the_good_one_before_it() {
    let world = World::new();
    let mut wire = world.wire();
    let slow = Ask::magic("sim-delay-100");
    wire.send([slow.bytes(), with_lines("Content-Length: 0\r\n"), hidden()].concat());
    wire.answer().good();
    wire.refused_for_good(400, "invalid_request", MALFORMED).logged("http_malformed");
    world.bank_heard(1);
}

#[test]
fn pipelined_good_requests_are_answered_in_order_and_each_once() {
    let world = World::new();
    let mut wire = world.wire();
    let asks: Vec<Ask> = (0..10).map(|_| Ask::token()).collect();
    wire.send(asks.iter().map(Ask::bytes).collect::<Vec<_>>().concat());
    for ask in &asks {
        let answer = wire.answer().good();
        assert_eq!(answer.correlation().as_bytes(), ask.values("X-Correlation-ID")[0]);
    }
    world.bank_heard(10);
    let bodies: Vec<_> = world.bank.requests().into_iter().map(|r| r.body).collect();
    assert_eq!(bodies, asks.iter().map(|ask| ask.body.clone()).collect::<Vec<_>>());
}

#[test]
fn what_stands_in_a_body_is_never_a_request() {
    let world = World::new();
    let mut wire = world.wire();
    // The body of a refused request looks like a good one.
    wire.send(Ask::token().set("Accept", "text/html").body(hidden()).bytes());
    wire.answer().platform(406);
    // What the bank hears is the request behind it, and nothing else.
    let ask = Ask::token();
    wire.send(ask.bytes());
    wire.answer().good();
    world.bank_heard(1);
    assert_eq!(world.bank.requests()[0].body, ask.body);
}

#[test]
fn a_head_in_single_bytes_is_a_head() {
    let world = World::new();
    let mut wire = world.wire();
    for byte in Ask::token().bytes().chunks(1) {
        wire.send(byte);
    }
    wire.answer().good();
    world.bank_heard(1);
}

#[test]
fn half_a_form_is_never_sent_as_a_whole() {
    let world = World::new();
    let mut wire = world.wire();
    let bytes = Ask::token().bytes();
    wire.send(&bytes[..bytes.len() - 10]);
    drop(wire);
    world.line(|line| line["client_gone"] == true || line["fault"] == "body_aborted");
    world.bank_heard(0);
}
