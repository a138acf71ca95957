//! What only HTTP/2 has: streams beside each other, bodies without a length, frames, and fields
//! that HTTP/1.1 would read as something else.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::ask::{Ask, BANK, CLIENT, Http, unique};
use crate::h2::{Frames, GOAWAY, HEADERS, RST_STREAM, Streams};
use crate::world::{Setup, World, until};

#[test]
fn row_4_4_25_a_body_without_a_length_is_counted() {
    let world = Setup::new().limits("body_bytes_max = 1024").start();
    let streams = Streams::open(&world);
    streams.begin_whole(&Ask::token().body_bytes(1024)).answer().good();
    let (pieces, pending) = streams.begin(&Ask::token());
    for _ in 0..5 {
        pieces.send(Bytes::from(vec![b'p'; 250])).unwrap();
    }
    pending
        .answer()
        .refused(413, "invalid_request", "request body too large")
        .logged("body_too_large");
    streams.begin_whole(&Ask::token()).answer().good();
    world.bank_heard(2);
}

#[test]
fn row_4_4_28_a_slow_body_ends_its_stream_and_no_other() {
    let world = Setup::new().limits("body_timeout = \"200ms\"").start();
    let streams = Streams::open(&world);
    let (slow, late) = streams.begin(&Ask::token());
    slow.send(Bytes::from_static(b"grant_type=")).unwrap();
    streams.begin_whole(&Ask::token()).answer().good();
    late.answer().refused(408, "invalid_request", "request timed out").logged("body_timeout");
    streams.begin_whole(&Ask::token()).answer().good();
    world.bank_heard(2);
}

#[test]
fn a_body_in_pieces_is_one_body() {
    let world = World::new();
    let streams = Streams::open(&world);
    let ask = Ask::token();
    let (pieces, pending) = streams.begin(&ask);
    for byte in ask.body.chunks(1) {
        pieces.send(Bytes::copy_from_slice(byte)).unwrap();
    }
    drop(pieces);
    pending.answer().good();
    assert_eq!(world.bank.requests()[0].body, ask.body);
}

#[test]
fn many_streams_at_once_get_each_its_own_answer() {
    let world = World::new();
    let streams = Streams::open(&world);
    let asks: Vec<Ask> = (0..60)
        .map(|number| if number % 2 == 0 { Ask::token() } else { Ask::magic("sim-delay-30") })
        .collect();
    let pending: Vec<_> = asks.iter().map(|ask| streams.begin_whole(ask)).collect();
    let mut tokens = BTreeSet::new();
    for (pending, ask) in pending.into_iter().zip(&asks) {
        let answer = pending.answer().good();
        assert_eq!(answer.correlation().as_bytes(), ask.values("X-Correlation-ID")[0]);
        tokens.insert(answer.json()["access_token"].as_str().unwrap().to_owned());
    }
    // Each code has its token; the delayed ones all get the same.
    assert_eq!(tokens.len(), 31);
    world.bank_heard(60);
}

#[test]
fn a_stream_that_is_reset_does_not_disturb_its_neighbours() {
    let world = World::new();
    let streams = Streams::open(&world);
    let doomed = streams.begin_whole(&Ask::magic("sim-delay-200"));
    let neighbour = streams.begin_whole(&Ask::magic("sim-delay-300"));
    until("both at the bank", || (world.bank.requests().len() == 2).then_some(()));
    doomed.abort();
    neighbour.answer().good();
    world.line(|line| line["client_gone"] == true);
    world.bank_heard(2);
}

#[test]
fn whoever_opens_streams_to_reset_them_is_shown_out() {
    let world = Setup::new().limits("h2_resets_max = 10").start();
    let mut frames = Frames::open(&world);
    for number in 0..200_u32 {
        let stream = 2 * number + 1;
        let fields = fields();
        let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        frames.request(stream, &fields);
        frames.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    }
    // The connection ends, with or without a word.
    while frames.next(&[GOAWAY, HEADERS]).is_some() {}
    world.bank_heard(0);
    world.call(Http::Two, Ask::token()).good();
}

/// The fields of a request that would be refused for its empty body, and for nothing else.
fn fields() -> Vec<(&'static str, String)> {
    vec![
        (":method", "POST".to_owned()),
        (":scheme", "https".to_owned()),
        (":authority", "localhost".to_owned()),
        (":path", Ask::token().target),
        ("x-correlation-id", unique("id")),
        ("x-corapi-client-id", CLIENT.to_owned()),
        ("x-corapi-target-id", BANK.to_owned()),
        ("user-agent", "it/1".to_owned()),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
    ]
}

/// The kind of frame that a request with these fields besides is answered with.
fn answered_with(world: &World, more: &[(&'static str, &str)]) -> u8 {
    let mut frames = Frames::open(world);
    let mut own = fields();
    own.retain(|(name, _)| !name.starts_with(':') || !more.iter().any(|(new, _)| new == name));
    let mut all: Vec<(&str, &str)> = own.iter().map(|(n, v)| (*n, v.as_str())).collect();
    // Pseudo-fields stand first (RFC 9113 section 8.3).
    for (name, value) in more {
        let at = if name.starts_with(':') { 0 } else { all.len() };
        all.insert(at, (name, value));
    }
    frames.request(1, &all);
    frames.next(&[HEADERS, RST_STREAM, GOAWAY]).map_or(GOAWAY, |(kind, _)| kind)
}

#[test]
fn a_request_by_hand_is_understood() {
    let world = World::new();
    assert_eq!(answered_with(&world, &[]), HEADERS);
    world.line(|line| line["fault"] == "parameter_missing" && line["protocol"] == "h2");
}

#[test]
fn fields_that_would_frame_an_http_1_message_end_the_stream() {
    let world = World::new();
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("X-Upper-Case", "x"),
        ("x-line", "one\r\nx-two: 2"),
        ("x-line", "one\ntwo"),
        ("x-nul", "one\0two"),
        ("x\r\ny", "z"),
        ("x y", "z"),
        ("content-length", "5"),
        (":path", ""),
    ] {
        let kind = answered_with(&world, &[(name, value)]);
        assert_ne!(kind, HEADERS, "{name:?}: {value:?}");
    }
    world.bank_heard(0);
    assert_eq!(world.lines().len(), 0);
}

#[test]
fn a_host_that_differs_from_the_authority_does_not_reach_the_bank() {
    let world = World::new();
    let mut client = world.client(Http::Two, 1);
    client
        .call(Ask::token().with("Host", "elsewhere.example"))
        .refused(400, "invalid_request", "malformed HTTP request")
        .logged("http_malformed");
    world.bank_heard(0);
    client.call(Ask::token()).good();
    let bank = format!("127.0.0.1:{}", world.bank.address().port());
    assert_eq!(world.bank.requests()[0].header_all("Host"), [bank]);
}

#[test]
fn trailers_are_not_fields() {
    let world = World::new();
    let mut frames = Frames::open(&world);
    let own = fields();
    let fields: Vec<_> = own.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let mut block = Vec::new();
    for (name, value) in &fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    let form = String::from_utf8(Ask::token().body).unwrap();
    frames.send(HEADERS, 4, 1, &block);
    frames.send(0, 0, 1, form.as_bytes());
    // A trailer section that names another client.
    let name = "x-corapi-client-id";
    let trailer = [&[0, 18], name.as_bytes(), &[4], b"EVIL"].concat();
    frames.send(HEADERS, 5, 1, &trailer);
    assert_eq!(frames.next(&[HEADERS, RST_STREAM, GOAWAY]).map(|(kind, _)| kind), Some(HEADERS));
    world.bank_heard(1);
    assert_eq!(world.bank.requests()[0].header("X-CorAPI-Client-ID"), Some(CLIENT));
}

#[test]
fn a_head_beyond_twice_the_limit_is_refused_by_the_library_and_recorded_by_us() {
    // The library counts while it decompresses, so that a bomb is never held whole. Its 431 is not
    // in the contract's words; the walk's own, below that, is. The log has both.
    let world = Setup::new().limits("head_bytes_max = 8192").start();
    let streams = Streams::open(&world);
    let response = streams.raw_answer(&Ask::token().with("X-Padding", "p".repeat(17_000)));
    assert_eq!((response.status().as_u16(), response.body().len()), (431, 0));
    let line = world.line(|line| line["fault"] == "head_too_large");
    assert_eq!((&line["status"], &line["protocol"]), (&431.into(), &"h2".into()));
    assert_eq!(line["bytes_out"], 0);
    streams.begin_whole(&Ask::token()).answer().good();
    world.bank_heard(1);
}
