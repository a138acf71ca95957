//! Attacks that only HTTP/2 knows: floods of frames, streams that are opened to be reset, answers
//! that nobody takes. Each is held to the common criterion of [`Siege`].

use crate::ask::{Ask, BANK, CLIENT, Http, unique};
use crate::h2::{Frames, HEADERS, RST_STREAM};
use crate::world::{Setup, Siege};

const FRAMES: &str = "corgate_connections_cut_total{kind=\"frames\"}";
const RESETS: &str = "corgate_connections_cut_total{kind=\"resets\"}";
const UNTAKEN: &str = "corgate_connections_cut_total{kind=\"untaken\"}";
/// Far above what a connection has credit for.
const FLOOD: usize = 20_000;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends one kind of frame without end, on three connections; each is cut, and told why.
fn flood(kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let siege = Siege::start(Setup::new());
    siege.withstands(|| {
        for _ in 0..3 {
            let mut frames = siege.frames();
            frames.flood(&frame(kind, flags, stream, payload), FLOOD);
            // The reset that follows may be faster than the word.
            if let Some(farewell) = frames.ends() {
                assert_eq!(farewell[4..8], 11_u32.to_be_bytes(), "ENHANCE_YOUR_CALM");
            }
        }
        siege.counts(FRAMES, 3);
    });
}

#[test]
fn a_flood_of_pings() {
    flood(6, 0, 0, &[7; 8]);
}

#[test]
fn a_flood_of_ping_acknowledgements() {
    flood(6, 1, 0, &[7; 8]);
}

#[test]
fn a_flood_of_settings() {
    flood(4, 0, 0, &[]);
}

#[test]
fn a_flood_of_settings_that_resize_the_header_table() {
    flood(4, 0, 0, &[0, 1, 0, 0, 16, 0]);
}

#[test]
fn a_flood_of_priorities() {
    flood(2, 0, 1, &[0, 0, 0, 0, 16]);
}

#[test]
fn a_flood_of_window_updates() {
    flood(8, 0, 0, &[0, 0, 0, 1]);
}

#[test]
fn a_flood_of_frames_that_nobody_knows() {
    flood(0x77, 0, 0, b"?");
}

/// A request whose body has not begun.
fn open_request(frames: &mut Frames, stream: u32, flags: u8) {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST".to_owned()),
        (":scheme", "https".to_owned()),
        (":authority", "localhost".to_owned()),
        (":path", Ask::token().target),
        ("x-correlation-id", unique("id")),
        ("x-corapi-client-id", CLIENT.to_owned()),
        ("x-corapi-target-id", BANK.to_owned()),
        ("user-agent", "it/1".to_owned()),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
    ] {
        block.push(0);
        for text in [name, &value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    frames.send(1, flags, stream, &block);
}

#[test]
fn a_flood_of_empty_data() {
    let siege = Siege::start(Setup::new());
    siege.withstands(|| {
        let mut frames = siege.frames();
        open_request(&mut frames, 1, 4);
        frames.flood(&frame(0, 0, 1, b""), FLOOD);
        frames.ends();
        // The library has a limit of its own, and may be first.
        siege.counts("corgate_connections_open", 2);
    });
}

#[test]
fn a_flood_of_continuations() {
    let siege = Siege::start(Setup::new());
    siege.withstands(|| {
        let mut frames = siege.frames();
        // Neither END_STREAM nor END_HEADERS: the block goes on for ever (CVE-2024-27316).
        open_request(&mut frames, 1, 0);
        frames.flood(&frame(9, 0, 1, b"\0\x01x\x01y"), FLOOD);
        frames.ends();
        siege.counts("corgate_connections_open", 2);
    });
}

#[test]
fn rapid_reset() {
    let siege = Siege::start(Setup::new());
    siege.withstands(|| {
        let mut frames = siege.frames();
        for number in 0..2_000 {
            open_request(&mut frames, 2 * number + 1, 5);
            frames.send(RST_STREAM, 0, 2 * number + 1, &8_u32.to_be_bytes());
        }
        frames.ends();
        siege.counts("corgate_connections_open", 2);
    });
}

#[test]
fn made_you_reset() {
    let siege = Siege::start(Setup::new());
    siege.withstands(|| {
        let mut frames = siege.frames();
        for number in 0..2_000 {
            let stream = 2 * number + 1;
            open_request(&mut frames, stream, 4);
            // An increment of 0 makes the server reset the stream (CVE-2025-8671).
            frames.send(8, 0, stream, &[0; 4]);
        }
        frames.ends();
        siege.counts("corgate_connections_open", 2);
    });
}

/// One field of 4,000 bytes goes into the table, and is then said again so often, in one byte each.
fn bomb(times: usize) -> Vec<u8> {
    let head = vec![0x40, 1, b'x', 0x7f, 0xa1, 0x1e];
    [head, vec![b'p'; 4_000], vec![0xbe; times]].concat()
}

#[test]
fn a_header_table_that_explodes() {
    let siege = Siege::start(Setup::new());
    siege.withstands(|| {
        for _ in 0..20 {
            let mut frames = siege.frames();
            frames.send(1, 5, 1, &bomb(12_000));
            frames.ends();
        }
        siege.counts("corgate_connections_open", 2);
    });
}

#[test]
fn heads_that_are_too_large_for_the_library_are_counted_logged_and_shown_out() {
    let siege = Siege::start(Setup::new());
    siege.withstands(|| {
        let mut frames = siege.frames();
        for number in 0..101 {
            frames.send(1, 5, 2 * number + 1, &bomb(12));
            let answered = frames.next(&[HEADERS]).map(|(kind, _)| kind);
            assert_eq!(answered, (number < 100 || answered.is_some()).then_some(HEADERS));
        }
        frames.ends();
        siege.counts(RESETS, 1);
        let answers = "corgate_answers_total{call=\"none\",status=\"431\",\
                       source=\"PLATFORM\",fault=\"head_too_large\"}";
        assert!(siege.metric(answers) >= 100, "{}", siege.metrics());
    });
}

#[test]
fn calls_that_are_refused_by_their_heads_do_not_cost_a_client_its_connection() {
    let siege = Siege::start(Setup::new().limits("h2_resets_max = 10"));
    siege.withstands(|| {
        let mut client = siege.client(Http::Two);
        let before = siege.metric("corgate_connections_total");
        for _ in 0..300 {
            client.call(Ask::token().bank("NOBODY")).platform(400);
        }
        client.call(Ask::token()).good();
        assert_eq!(siege.metric("corgate_connections_total"), before + 1);
    });
}

#[test]
fn answers_that_a_closed_window_holds() {
    hold_answers("answer_timeout = \"1s\"", UNTAKEN);
}

#[test]
fn large_answers_beyond_what_a_connection_may_hold_cut_it_at_once() {
    // Long enough that it is not the time that cuts.
    let limits = "answer_timeout = \"5m\"\nh2_untaken_bytes_max = 8388608";
    hold_answers(limits, "corgate_connections_cut_total{kind=\"held\"}");
}

/// Asks for six large answers behind a closed window, and is cut for the reason that is counted.
fn hold_answers(limits: &str, counted: &str) {
    let target = "response_bytes_max = 8388608\nconcurrency = 200";
    let siege = Siege::start(Setup::new().limits(limits).target(target));
    siege.withstands(|| {
        let mut frames = siege.frames();
        // Initial window size: 0.
        frames.send(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
        for number in 0..6 {
            frames.ask(2 * number + 1, &Ask::magic("sim-huge-body"));
        }
        frames.ends();
        siege.counts(counted, 1);
    });
}
