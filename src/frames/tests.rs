//! The frames of a connection, by hand and by chance.

use proptest::collection::vec;
use proptest::prelude::{any, proptest};

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: usize) -> Vec<u8> {
    let length = u32::try_from(payload).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, vec![0; payload]].concat()
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::new(10, 4);
    ledger.hear(PREFACE);
    ledger
}

#[test]
fn every_frame_beside_requests_costs_and_the_last_one_is_too_much() {
    // PRIORITY, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION, one that nobody knows, empty DATA.
    for kind in [2, 4, 6, 8, 9, 77, 0] {
        let mut ledger = ledger();
        for _ in 0..9 {
            ledger.hear(&frame(kind, 0, 1, 0));
            assert!(!ledger.is_overdrawn(), "{kind}");
        }
        ledger.hear(&frame(kind, 0, 1, 0));
        assert!(ledger.is_overdrawn(), "{kind}");
    }
}

#[test]
fn requests_and_their_bodies_cost_nothing() {
    let mut ledger = ledger();
    for number in 0..1_000 {
        let stream = 2 * number + 1;
        ledger.hear(&frame(HEADERS, 4, stream, 90));
        ledger.hear(&frame(DATA, 0, stream, 64));
        ledger.hear(&frame(DATA, END_STREAM, stream, 0));
        for _ in 0..9 {
            ledger.hear(&frame(8, 0, 0, 4));
        }
        ledger.say(&frame(HEADERS, 4, stream, 60));
        ledger.say(&frame(DATA, END_STREAM, stream, 20));
        assert!(!ledger.is_overdrawn(), "request {number}");
        assert_eq!(ledger.open_streams(), 0);
    }
}

#[test]
fn time_brings_credit_up_to_the_limit_and_no_further() {
    let mut ledger = ledger();
    for _ in 0..10 {
        ledger.hear(&frame(6, 0, 0, 8));
    }
    ledger.earn(99);
    assert!(ledger.is_overdrawn());
    ledger.earn(100);
    assert!(!ledger.is_overdrawn());
    ledger.earn(u64::MAX);
    assert_eq!(ledger.book.credit, 10);
}

#[test]
fn a_stream_is_open_until_its_answer_ends_or_either_side_resets_it() {
    let mut ledger = ledger();
    for stream in [1, 3, 5, 7] {
        ledger.hear(&frame(HEADERS, 5, stream, 50));
    }
    assert_eq!(ledger.open_streams(), 4);
    // A trailer section opens nothing.
    ledger.hear(&frame(HEADERS, 5, 1, 9));
    ledger.say(&frame(HEADERS, 4, 1, 50));
    ledger.say(&frame(DATA, 0, 1, 50));
    assert_eq!(ledger.open_streams(), 4);
    ledger.say(&frame(DATA, END_STREAM, 1, 0));
    ledger.say(&frame(HEADERS, 5, 3, 50));
    assert_eq!((ledger.newest(), ledger.oldest_open(), ledger.take_reset()), (7, Some(5), None));
    ledger.say(&frame(RST_STREAM, 0, 7, 4));
    ledger.hear(&frame(RST_STREAM, 0, 5, 4));
    assert_eq!((ledger.oldest_open(), ledger.take_reset()), (None, Some(5)));
    assert_eq!((ledger.open_streams(), ledger.take_bare_answers()), (0, 0));
    // Once more: what is closed stays closed.
    ledger.hear(&frame(RST_STREAM, 0, 7, 4));
    assert_eq!((ledger.open_streams(), ledger.take_reset()), (0, None));
}

#[test]
fn a_server_earns_by_our_requests_and_every_frame_beside_answers_costs() {
    let server = || {
        let mut ledger = Ledger::of_server(10);
        ledger.say(PREFACE);
        ledger.say(&frame(HEADERS, 5, 1, 90));
        ledger
    };
    // Interim heads, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, WINDOW_UPDATE, CONTINUATION, DATA of
    // no stream.
    for (kind, stream) in [(1, 3), (3, 1), (4, 0), (5, 1), (6, 0), (8, 1), (9, 1), (0, 3)] {
        let mut ledger = server();
        (0..9).for_each(|_| ledger.hear(&frame(kind, 0, stream, 0)));
        assert!(!ledger.is_overdrawn(), "{kind}");
        (0..2).for_each(|_| ledger.hear(&frame(kind, 0, stream, 0)));
        assert!(ledger.is_overdrawn(), "{kind}");
    }
    let mut ledger = server();
    for number in 0..1_000 {
        let stream = 2 * number + 3;
        ledger.say(&frame(HEADERS, 5, stream, 90));
        ledger.hear(&frame(HEADERS, 4, stream, 60));
        ledger.hear(&frame(DATA, 0, stream, 64));
        ledger.hear(&frame(DATA, END_STREAM, stream, 0));
        (0..9).for_each(|_| ledger.hear(&frame(8, 0, 0, 4)));
        assert!(!ledger.is_overdrawn(), "answer {number}");
    }
    assert_eq!(ledger.open_streams(), 1, "the first one has no answer");
}

#[test]
fn a_server_says_its_settings_first_and_goaway_last() {
    let mut ledger = Ledger::of_server(10);
    ledger.say(PREFACE);
    let settings = frame(SETTINGS, 0, 0, 6);
    ledger.hear(&settings[..10]);
    assert!(!ledger.has_settings());
    ledger.hear(&settings[10..]);
    assert!(ledger.has_settings() && !ledger.is_leaving());
    ledger.hear(&frame(GOAWAY, 0, 0, 8));
    assert!(ledger.is_leaving());
    assert_eq!(ledger.farewell().map(|farewell| farewell[9..13].to_vec()), Some(vec![0; 4]));
}

#[test]
fn streams_that_nobody_answers_are_not_remembered_without_end() {
    let mut ledger = Ledger::new(10, 4);
    ledger.hear(PREFACE);
    for number in 0..24 {
        ledger.hear(&frame(HEADERS, 5, 2 * number + 1, 50));
    }
    assert!(!ledger.is_overdrawn());
    ledger.hear(&frame(HEADERS, 5, 99, 50));
    assert!(ledger.is_overdrawn());
}

#[test]
fn streams_that_came_behind_the_last_goaway_are_not_waited_for() {
    let mut ledger = ledger();
    ledger.hear(&frame(HEADERS, 5, 1, 50));
    ledger.say(&frame(GOAWAY, 0, 0, 8));
    ledger.hear(&frame(HEADERS, 5, 3, 50));
    ledger.say(&frame(GOAWAY, 0, 0, 8));
    ledger.hear(&frame(HEADERS, 5, 5, 50));
    assert_eq!(ledger.open_streams(), 2);
}

#[test]
fn a_bare_answer_is_the_librarys_own() {
    let mut ledger = ledger();
    ledger.hear(&frame(HEADERS, 4, 1, 50));
    ledger.say(&frame(HEADERS, 5, 1, 5));
    assert_eq!(ledger.take_bare_answers(), 1);
    assert_eq!(ledger.take_bare_answers(), 0);
}

#[test]
fn a_frame_is_not_broken_into() {
    let mut ledger = ledger();
    assert!(ledger.farewell().is_some());
    let answer = frame(HEADERS, 5, 1, 50);
    for end in [1, 8, 9, 10, 58] {
        let mut ledger = Ledger::new(10, 4);
        ledger.say(&answer[..end]);
        assert_eq!(ledger.farewell(), None, "{end}");
    }
    ledger.say(&answer);
    assert!(ledger.farewell().is_some());
}

#[test]
fn the_farewell_names_the_newest_stream() {
    let mut ledger = ledger();
    ledger.hear(&frame(HEADERS, 5, 515, 50));
    let farewell = ledger.farewell().unwrap();
    assert_eq!(farewell[9..], [0, 0, 2, 3, 0, 0, 0, 11]);
}

proptest! {
    /// What is found does not depend on how the bytes were cut, and no bytes make it fall over.
    #[test]
    fn the_heads_are_the_same_however_the_bytes_come(
        frames in vec((any::<u8>(), any::<u8>(), any::<u32>(), 0_usize..40), 0..20),
        cuts in vec(1_usize..30, 1..9),
    ) {
        let bytes = frames.iter().flat_map(|(kind, flags, stream, payload)| {
            frame(*kind, *flags, *stream, *payload)
        }).collect::<Vec<u8>>();
        let mut whole = Vec::new();
        Walk::default().feed(&bytes, |head| whole.push(head));
        assert_eq!(whole.len(), frames.len());
        let (mut walk, mut pieces) = (Walk::default(), Vec::new());
        let (mut rest, mut cuts) = (bytes.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            walk.feed(now, |head| pieces.push(head));
            rest = later;
        }
        assert_eq!(whole, pieces);
        assert!(walk.is_between_frames());
    }

    /// Any bytes in either direction: the ledger's memory is bounded, and nothing overflows.
    #[test]
    fn no_bytes_are_too_odd(
        heard in vec(any::<u8>(), 0..4_000),
        said in vec(any::<u8>(), 0..4_000),
    ) {
        let mut ledger = ledger();
        for (heard, said) in heard.chunks(7).zip(said.chunks(11)) {
            ledger.hear(heard);
            ledger.say(said);
            if ledger.is_overdrawn() {
                return Ok(());
            }
            assert!(ledger.open_streams() <= 24);
        }
    }
}
