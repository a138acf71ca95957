//! What is no whole request over HTTP/2, or one that two servers could read in two ways, is
//! refused, and no bank hears of it.

use crate::ask::{Ask, Http};
use crate::h2::{Frames, GOAWAY, HEADERS, RST_STREAM};
use crate::world::{Setup, World, until};

const DATA: u8 = 0;
const NO_ERROR: u32 = 0;
const CANCEL: u32 = 8;
/// `:status` 200 as HPACK's static table has it; it stands first.
const STATUS_200: u8 = 0x88;

/// The head of a token call, with these fields besides.
fn head(ask: &Ask, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let pseudo = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", &ask.target),
    ];
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let own = ask.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), text(value)));
    let pseudo = pseudo.map(|(name, value)| {
        let other = more.iter().find(|(other, _)| *other == name);
        (name.to_owned(), other.map_or(value, |(_, value)| value).to_owned())
    });
    let more = more.iter().filter(|(name, _)| !name.starts_with(':'));
    let more = more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    pseudo.into_iter().chain(own).chain(more).collect()
}

fn begin(frames: &mut Frames, ask: &Ask, more: &[(&str, &str)]) {
    let head = head(ask, more);
    let head: Vec<_> = head.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    frames.begin(1, &head);
}

/// Sends half a form, and what ends it.
fn half(world: &World, length: bool, end: impl FnOnce(&mut Frames)) {
    let ask = Ask::token();
    let mut frames = Frames::open(world);
    let bytes = ask.body.len().to_string();
    let declared = [("content-length", bytes.as_str())];
    begin(&mut frames, &ask, if length { &declared } else { &[] });
    frames.send(DATA, 0, 1, &ask.body[..ask.body.len() / 2]);
    end(&mut frames);
    // It may have been refused, or given up without a word.
    while let Some((kind, payload)) = frames.next(&[HEADERS, RST_STREAM, GOAWAY]) {
        assert!(kind != HEADERS || payload.first() != Some(&STATUS_200), "a 200");
        if kind != GOAWAY {
            break;
        }
    }
}

#[test]
fn a_body_that_is_cut_is_never_whole() {
    // The rest of a connection that is not ended by its client is not waited for.
    let world = Setup::new().limits("body_timeout = \"500ms\"").start();
    let reset = |frames: &mut Frames, reason: u32| {
        frames.send(RST_STREAM, 0, 1, &reason.to_be_bytes());
    };
    let leave = |frames: &mut Frames| frames.send(GOAWAY, 0, 0, &[0; 8]);
    for length in [true, false] {
        half(&world, length, |frames| {
            reset(frames, NO_ERROR);
            frames.finish();
        });
        half(&world, length, |frames| {
            reset(frames, CANCEL);
            frames.finish();
        });
        half(&world, length, |frames| {
            leave(frames);
            frames.finish();
        });
        half(&world, length, Frames::finish);
        half(&world, length, |frames| {
            leave(frames);
            reset(frames, NO_ERROR);
            frames.finish();
        });
        // Its time is over.
        half(&world, length, |_| {});
    }
    world.counts("corgate_connections_open", 0);
    world.bank_heard(0);
    world.call(Http::Two, Ask::token()).good();
}

#[test]
fn a_body_whose_length_disagrees_is_never_whole() {
    let world = World::new();
    let ask = Ask::token();
    for length in [ask.body.len() - 1, ask.body.len() + 1, 0, 1_000_000] {
        let mut frames = Frames::open(&world);
        begin(&mut frames, &ask, &[("content-length", &length.to_string())]);
        frames.send(DATA, 1, 1, &ask.body);
        let kinds = [HEADERS, RST_STREAM, GOAWAY];
        let (_, payload) = frames.next(&kinds).unwrap_or_default();
        assert_ne!(payload.first(), Some(&STATUS_200), "{length}");
    }
    world.bank_heard(0);
}

#[test]
fn a_head_that_two_servers_could_read_in_two_ways_is_refused() {
    let world = World::new();
    for (count, more) in [
        &[("host", "elsewhere.example")][..],
        &[("host", "localhost"), ("host", "localhost")],
        &[("host", "")],
        &[(":authority", "anna@localhost")],
        &[(":authority", "anna:secret@localhost"), ("host", "localhost")],
        &[(":scheme", "ftp")],
        &[(":scheme", "javascript")],
        &[("content-length", "0"), ("content-length", "0")],
    ]
    .into_iter()
    .enumerate()
    {
        let mut ask = Ask::token();
        if more.iter().any(|(name, _)| *name == "content-length") {
            ask = ask.body("");
        }
        let mut frames = Frames::open(&world);
        begin(&mut frames, &ask, more);
        frames.send(DATA, 1, 1, &ask.body);
        let heard = frames.next(&[HEADERS, RST_STREAM, GOAWAY]);
        assert!(heard.is_some_and(|(_, it)| it.first() != Some(&STATUS_200)), "{more:?}");
        let refused = || world.lines().iter().filter(|it| it["fault"] == "http_malformed").count();
        until("the line", || (refused() > count).then_some(()));
    }
    world.bank_heard(0);
    // One that agrees is understood.
    world.client(Http::Two, 1).call(Ask::token()).good();
    let mut frames = Frames::open(&world);
    let ask = Ask::token();
    begin(&mut frames, &ask, &[("host", "LOCALHOST")]);
    frames.send(DATA, 1, 1, &ask.body);
    assert_eq!(frames.next(&[HEADERS, RST_STREAM, GOAWAY]).map(|(kind, _)| kind), Some(HEADERS));
    world.bank_heard(2);
}

#[test]
fn a_few_empty_lines_before_a_request_are_ignored() {
    let world = Setup::new().limits("head_timeout = \"300ms\"").start();
    let mut wire = world.wire();
    for lines in 0..=4 {
        wire.send([b"\r\n".repeat(lines), Ask::token().bytes()].concat());
        wire.answer().good();
    }
    // Behind a body, too: nothing has begun by that, so no deadline runs.
    wire.send([&Ask::token().bytes()[..], b"\r\n"].concat());
    wire.answer().good();
    std::thread::sleep(std::time::Duration::from_millis(900));
    wire.send(b"\r\n");
    std::thread::sleep(std::time::Duration::from_millis(900));
    wire.send(Ask::token().bytes());
    wire.answer().good();
    for bad in [&b"\r\n\r\n\r\n\r\n\r\n"[..], b"\n", b"\r\n\n", b"\r\r\n", b" \r\n"] {
        let mut wire = world.wire();
        wire.send([bad, &Ask::token().bytes()].concat());
        wire.refused_for_good(400, "invalid_request", "malformed HTTP request");
    }
    world.bank_heard(7);
}
