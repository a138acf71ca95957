//! RFC 9113, section by section: what a peer may not send, and which error it gets for it.
//!
//! Errors of a stream are RST_STREAM, errors of the connection GOAWAY or its end. Each case is a
//! connection of its own; a good call follows, for nobody else must notice.

use crate::ask::{Ask, BANK, CLIENT, Http, unique};
use crate::h2::{Frames, GOAWAY, HEADERS, RST_STREAM};
use crate::world::World;

const DATA: u8 = 0;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Error codes (section 7).
const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE: u32 = 6;
const REFUSED: u32 = 7;
const COMPRESSION: u32 = 9;

/// Frames by kind, flags, stream and payload.
type Sent = Vec<(u8, u8, u32, Vec<u8>)>;

/// A header block: each field a literal that is not indexed.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The fields of a call whose body is still to come, with these in place of its pseudo-fields.
fn fields_with(pseudo: &[(&str, &str)], more: &[(&str, &str)]) -> Vec<u8> {
    let id = unique("id");
    let own = [
        ("x-correlation-id", id.as_str()),
        ("x-corapi-client-id", CLIENT),
        ("x-corapi-target-id", BANK),
        ("user-agent", "it/1"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    block(&[pseudo, &own, more].concat())
}

fn good_block() -> Vec<u8> {
    let target = Ask::token().target;
    fields_with(
        &[
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", &target),
        ],
        &[],
    )
}

/// What is answered first: an error of the stream, of the connection, or its end without a word.
#[derive(Debug, PartialEq, Eq)]
enum Error {
    Stream(u32),
    Connection(u32),
    End,
}

fn first_error(world: &World, sent: Sent) -> Option<Error> {
    let mut frames = Frames::open(world);
    for (kind, flags, stream, payload) in sent {
        frames.send(kind, flags, stream, &payload);
    }
    let code = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    match frames.next(&[HEADERS, RST_STREAM, GOAWAY]) {
        None => Some(Error::End),
        Some((RST_STREAM, payload)) => Some(Error::Stream(code(&payload))),
        Some((GOAWAY, payload)) => Some(Error::Connection(code(&payload[4..8]))),
        Some(_) => None,
    }
}

/// The connection ends, and where it is said why, with this code; or with the general one, which is
/// what the library says where it could be more exact.
fn ends(world: &World, name: &str, code: u32, sent: Sent) {
    let error = first_error(world, sent);
    let fits = [Error::Connection(code), Error::Connection(PROTOCOL), Error::End];
    assert!(error.as_ref().is_some_and(|error| fits.contains(error)), "{name}: {error:?}");
}

/// The stream is reset with this code, or the connection ends with it.
fn resets(world: &World, name: &str, code: u32, sent: Sent) {
    let error = first_error(world, sent);
    let codes = [code, PROTOCOL];
    let fits = match &error {
        Some(Error::Stream(code) | Error::Connection(code)) => codes.contains(code),
        Some(Error::End) => true,
        None => false,
    };
    assert!(fits, "{name}: {error:?}");
}

fn finish(world: &World) {
    world.bank_heard(0);
    world.call(Http::Two, Ask::token()).good();
}

#[test]
fn section_4_frames() {
    let world = World::new();
    let large = vec![0; 16_385];
    ends(
        &world,
        "DATA that is too large",
        FRAME_SIZE,
        vec![(HEADERS, 4, 1, good_block()), (DATA, 0, 1, large.clone())],
    );
    ends(&world, "HEADERS that is too large", FRAME_SIZE, vec![(HEADERS, 4, 1, large)]);
    ends(&world, "a block that is no HPACK", COMPRESSION, vec![(HEADERS, 5, 1, vec![0xff; 4])]);
    ends(
        &world,
        "a table size above the limit",
        COMPRESSION,
        vec![(HEADERS, 5, 1, vec![0x3f, 0xff, 0xff, 0x7f])],
    );
    ends(&world, "an index beyond the table", COMPRESSION, vec![(HEADERS, 5, 1, vec![0xfe])]);
    finish(&world);
}

#[test]
fn section_4_what_nobody_knows_is_passed_over() {
    let world = World::new();
    let mut frames = Frames::open(&world);
    frames.send(0x16, 0xff, 0, b"unknown");
    frames.send(PING, 0xfe, 0, b"12345678");
    assert_eq!(frames.next(&[PING]), Some((PING, b"12345678".to_vec())));
    frames.send(SETTINGS, 0, 0, &[0, 0xff, 0, 0, 0, 1]);
    frames.ask(1, &Ask::token());
    assert_eq!(frames.next(&[HEADERS, RST_STREAM, GOAWAY]).map(|(kind, _)| kind), Some(HEADERS));
    world.bank_heard(1);
}

#[test]
fn section_5_streams() {
    let world = World::new();
    ends(&world, "DATA on an idle stream", PROTOCOL, vec![(DATA, 1, 1, vec![0])]);
    ends(&world, "RST_STREAM on an idle stream", PROTOCOL, vec![(RST_STREAM, 0, 1, vec![0; 4])]);
    ends(
        &world,
        "WINDOW_UPDATE on an idle stream",
        PROTOCOL,
        vec![(WINDOW_UPDATE, 0, 1, vec![0, 0, 0, 1])],
    );
    ends(
        &world,
        "CONTINUATION on an idle stream",
        PROTOCOL,
        vec![(CONTINUATION, 4, 1, good_block())],
    );
    ends(&world, "an even stream", PROTOCOL, vec![(HEADERS, 4, 2, good_block())]);
    // A body is still to come, so nothing is answered before the error.
    ends(
        &world,
        "a stream below the last one",
        PROTOCOL,
        vec![(HEADERS, 4, 5, good_block()), (HEADERS, 4, 3, good_block())],
    );
    resets(
        &world,
        "DATA behind its own reset",
        STREAM_CLOSED,
        vec![
            (HEADERS, 4, 1, good_block()),
            (RST_STREAM, 0, 1, 8_u32.to_be_bytes().to_vec()),
            (DATA, 1, 1, vec![0]),
        ],
    );
    finish(&world);
}

#[test]
fn section_5_1_2_streams_above_the_limit_are_refused() {
    let world = crate::world::Setup::new().limits("h2_streams_max = 3").start();
    let four = (0..4).map(|number| (HEADERS, 4, 2 * number + 1, good_block())).collect();
    resets(&world, "the fourth", REFUSED, four);
    finish(&world);
}

#[test]
fn section_6_data_headers_priority_and_resets() {
    let world = World::new();
    let open = || (HEADERS, 4, 1, good_block());
    ends(&world, "DATA on stream 0", PROTOCOL, vec![(DATA, 0, 0, vec![0])]);
    ends(
        &world,
        "DATA with more padding than bytes",
        PROTOCOL,
        vec![open(), (DATA, 8, 1, vec![9, 0, 0])],
    );
    ends(&world, "HEADERS on stream 0", PROTOCOL, vec![(HEADERS, 5, 0, good_block())]);
    ends(
        &world,
        "HEADERS with more padding than bytes",
        PROTOCOL,
        vec![(HEADERS, 0xd, 1, vec![200, 0, 0])],
    );
    ends(
        &world,
        "HEADERS, then another stream, without END_HEADERS",
        PROTOCOL,
        vec![(HEADERS, 0, 1, good_block()), (HEADERS, 4, 3, good_block())],
    );
    ends(
        &world,
        "HEADERS, then PRIORITY, without END_HEADERS",
        PROTOCOL,
        vec![(HEADERS, 0, 1, good_block()), (PRIORITY, 0, 1, vec![0, 0, 0, 0, 1])],
    );
    ends(&world, "PRIORITY on stream 0", PROTOCOL, vec![(PRIORITY, 0, 0, vec![0, 0, 0, 0, 1])]);
    resets(&world, "PRIORITY of another size", FRAME_SIZE, vec![(PRIORITY, 0, 1, vec![0; 4])]);
    ends(&world, "RST_STREAM on stream 0", PROTOCOL, vec![(RST_STREAM, 0, 0, vec![0; 4])]);
    ends(
        &world,
        "RST_STREAM of another size",
        FRAME_SIZE,
        vec![open(), (RST_STREAM, 0, 1, vec![0; 3])],
    );
    finish(&world);
}

#[test]
fn section_6_settings_pings_windows_and_continuations() {
    let world = World::new();
    let open = || (HEADERS, 4, 1, good_block());
    let setting =
        |id: u8, value: u32| vec![(SETTINGS, 0, 0, [&[0, id], &value.to_be_bytes()[..]].concat())];
    ends(&world, "an acknowledgement with a payload", FRAME_SIZE, vec![(SETTINGS, 1, 0, vec![0])]);
    ends(&world, "SETTINGS on a stream", PROTOCOL, vec![(SETTINGS, 0, 1, vec![])]);
    ends(&world, "SETTINGS of another size", FRAME_SIZE, vec![(SETTINGS, 0, 0, vec![0; 5])]);
    ends(&world, "ENABLE_PUSH that is no flag", PROTOCOL, setting(2, 2));
    ends(&world, "a window above the limit", FLOW_CONTROL, setting(4, 0x8000_0000));
    ends(&world, "frames below the smallest", PROTOCOL, setting(5, 16_383));
    ends(&world, "frames above the largest", PROTOCOL, setting(5, 16_777_216));
    ends(&world, "PING on a stream", PROTOCOL, vec![(PING, 0, 1, vec![0; 8])]);
    ends(&world, "PING of another size", FRAME_SIZE, vec![(PING, 0, 0, vec![0; 6])]);
    ends(&world, "GOAWAY on a stream", PROTOCOL, vec![(GOAWAY, 0, 1, vec![0; 8])]);
    ends(&world, "a window of nothing more", PROTOCOL, vec![(WINDOW_UPDATE, 0, 0, vec![0; 4])]);
    resets(
        &world,
        "a stream's window of nothing more",
        PROTOCOL,
        vec![open(), (WINDOW_UPDATE, 0, 1, vec![0; 4])],
    );
    ends(
        &world,
        "WINDOW_UPDATE of another size",
        FRAME_SIZE,
        vec![(WINDOW_UPDATE, 0, 0, vec![0; 3])],
    );
    let most = || vec![0x7f, 0xff, 0xff, 0xff];
    ends(&world, "a window that runs over", FLOW_CONTROL, vec![(WINDOW_UPDATE, 0, 0, most())]);
    resets(
        &world,
        "a stream's window that runs over",
        FLOW_CONTROL,
        vec![open(), (WINDOW_UPDATE, 0, 1, most())],
    );
    ends(
        &world,
        "CONTINUATION behind END_HEADERS",
        PROTOCOL,
        vec![open(), (CONTINUATION, 4, 1, good_block())],
    );
    ends(
        &world,
        "CONTINUATION on stream 0",
        PROTOCOL,
        vec![(HEADERS, 0, 1, good_block()), (CONTINUATION, 4, 0, vec![])],
    );
    ends(&world, "PUSH_PROMISE", PROTOCOL, vec![open(), (PUSH_PROMISE, 4, 1, vec![0, 0, 0, 2])]);
    finish(&world);
}

#[test]
fn section_8_messages() {
    let world = World::new();
    let target = Ask::token().target;
    let (method, scheme) = ((":method", "POST"), (":scheme", "https"));
    let (authority, path) = ((":authority", "localhost"), (":path", target.as_str()));
    let all = [method, scheme, authority, path];
    let headers = |block: Vec<u8>| vec![(HEADERS, 5, 1, block)];
    for (name, pseudo) in [
        ("no :method", vec![scheme, authority, path]),
        ("no :scheme", vec![method, authority, path]),
        ("no :path", vec![method, scheme, authority]),
        ("two :method", [&all[..], &[method]].concat()),
        ("two :path", [&all[..], &[path]].concat()),
        ("an empty :path", vec![method, scheme, authority, (":path", "")]),
        (":status", [&all[..], &[(":status", "200")]].concat()),
        ("an unknown one", [&all[..], &[(":unknown", "x")]].concat()),
    ] {
        resets(&world, name, PROTOCOL, headers(fields_with(&pseudo, &[])));
    }
    resets(&world, "one behind a field", PROTOCOL, headers(fields_with(&all[..3], &[path])));
    // A body that is longer or shorter than it says.
    for (name, length, body) in [("longer", "1", "a=b"), ("shorter", "9", "a=b")] {
        let open = (HEADERS, 4, 1, fields_with(&all, &[("content-length", length)]));
        let sent = vec![open, (DATA, 1, 1, body.as_bytes().to_vec())];
        resets(&world, name, PROTOCOL, sent);
    }
    let trailers = |flags, block| vec![(HEADERS, 4, 1, good_block()), (HEADERS, flags, 1, block)];
    resets(&world, "a second head", PROTOCOL, trailers(4, good_block()));
    finish(&world);
}

#[test]
fn section_8_1_what_stands_in_a_trailer_is_dropped() {
    let world = World::new();
    let mut frames = Frames::open(&world);
    frames.send(HEADERS, 4, 1, &good_block());
    frames.send(DATA, 0, 1, &Ask::token().body);
    // The library drops pseudo-fields here where it should refuse them; they have no effect.
    frames.send(HEADERS, 5, 1, &block(&[(":path", "/other"), ("x-corapi-target-id", "OTHER")]));
    assert_eq!(frames.next(&[HEADERS, RST_STREAM, GOAWAY]).map(|(kind, _)| kind), Some(HEADERS));
    world.bank_heard(1);
    assert_eq!(world.bank.requests()[0].path, "/oauth/token");
    assert_eq!(world.bank.requests()[0].header("X-CorAPI-Target-ID"), Some(BANK));
}
