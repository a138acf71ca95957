//! Requests that are sent before the answer to the one before: each is looked at as if it came
//! alone (RFC 9112 section 9.3.2).

use crate::ask::Ask;
use crate::wire::Wire;
use crate::world::{Setup, World};

/// Sends a request that takes its time and, in the same breath, these bytes.
fn behind_a_slow_one(world: &World, bytes: &[u8]) -> Wire {
    let mut wire = world.wire();
    let mut both = Ask::magic("sim-delay-200").bytes();
    both.extend_from_slice(bytes);
    wire.send(both);
    wire
}

/// A good request with one line more in its head, line end included.
fn with_line(line: &str) -> Vec<u8> {
    let ask = Ask::token();
    let head = String::from_utf8(ask.head()).unwrap();
    let head = head.replacen("\r\n", &format!("\r\n{line}"), 1);
    [head.as_bytes(), &ask.body].concat()
}

#[test]
fn a_good_request_behind_one_under_way_is_answered_after_it() {
    let world = World::new();
    let mut wire = behind_a_slow_one(&world, &Ask::token().bytes());
    wire.answer().good();
    wire.answer().good();
    world.bank_heard(2);
}

#[test]
fn a_bad_head_behind_a_request_under_way_is_refused_once_that_is_answered() {
    let world = World::new();
    let bad = ["Content-Length: 7\r\n", "X-P: bare\n", "X P: p\r\n", "X-P: \0\r\n", " folded\r\n"];
    for line in bad {
        let mut wire = behind_a_slow_one(&world, &with_line(line));
        wire.answer().good();
        wire.refused_for_good(400, "invalid_request", "malformed HTTP request");
    }
    world.bank_heard(bad.len());
}

#[test]
fn a_transfer_coding_behind_a_request_under_way_is_refused_though_its_line_ends_in_a_bare_lf() {
    let world = World::new();
    let mut wire = behind_a_slow_one(&world, &with_line("Transfer-Encoding: chunked\n"));
    wire.answer().good();
    wire.refused_for_good(400, "invalid_request", "malformed HTTP request");
    world.bank_heard(1);
}

#[test]
fn a_head_that_begins_behind_a_request_under_way_has_no_more_time_than_another() {
    let world = Setup::new().limits("head_timeout = \"200ms\"").start();
    let mut wire = behind_a_slow_one(&world, b"POST ");
    wire.answer().good();
    wire.refused_for_good(408, "invalid_request", "request timed out").logged("head_timeout");
    world.bank_heard(1);
}

#[test]
fn a_caller_that_leaves_before_anybody_looked_has_a_line_too() {
    let world = World::new();
    let asks: Vec<_> = (0..100).map(|_| Ask::token().bytes()).collect();
    for bytes in &asks {
        let mut wire = world.wire();
        // The handshake is over and read to its end: what is closed below ends without a reset.
        wire.send(Ask::token().bytes());
        wire.answer().good();
        wire.send(bytes);
        drop(wire);
    }
    for bytes in &asks {
        let text = String::from_utf8_lossy(bytes);
        let id = text.lines().find_map(|line| line.strip_prefix("X-Correlation-ID: ")).unwrap();
        world.line(|line| line["correlation_id"] == id);
    }
}
