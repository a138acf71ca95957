//! CONTRACT 4.4, rows 25 to 28: sizes and deadlines, at n and at n + 1.

use std::time::Duration;

use crate::ask::{Ask, BASE, Http};
use crate::wire::Wire;
use crate::world::{Setup, World, now};

const BODY_BYTES: usize = 1_024;
const URI_BYTES: usize = 256;
const HEAD_BYTES: usize = 8_192;
const FIELDS: usize = 16;

fn small() -> World {
    let limits = format!(
        "body_bytes_max = {BODY_BYTES}\nuri_bytes_max = {URI_BYTES}\n\
         head_bytes_max = {HEAD_BYTES}\nhead_fields_max = {FIELDS}"
    );
    Setup::new().limits(&limits).api("query = \"drop\"").start()
}

/// A query that makes the request target exactly so long.
fn uri_of(bytes: usize) -> Ask {
    let path = Ask::token().target;
    Ask::token().query(&"q".repeat(bytes - path.len() - 1))
}

over_both! {
    fn row_4_4_25_a_body_over_the_limit(http) {
        let world = small();
        world.call(http, Ask::token().body_bytes(BODY_BYTES)).good();
        world
            .call(http, Ask::token().body_bytes(BODY_BYTES + 1))
            .refused(413, "invalid_request", "request body too large")
            .logged("body_too_large");
        world.bank_heard(1);
    }

    fn row_4_4_26_a_head_over_the_limit(http) {
        let world = small();
        world.call(http, Ask::token().with("X-Padding", "p".repeat(HEAD_BYTES - 800))).good();
        world
            .call(http, Ask::token().with("X-Padding", "p".repeat(HEAD_BYTES)))
            .refused(431, "invalid_request", "request header fields too large")
            .logged("head_too_large");
        world.bank_heard(1);
    }

    fn row_4_4_26_too_many_fields(http) {
        let world = small();
        let many = |count| {
            (0..count).fold(Ask::token(), |ask, number| ask.with(&format!("X-P-{number}"), "p"))
        };
        world.call(http, many(5)).good();
        world
            .call(http, many(FIELDS))
            .refused(431, "invalid_request", "request header fields too large")
            .logged("head_too_large");
        world.bank_heard(1);
    }

    fn row_4_4_27_a_request_target_over_the_limit(http) {
        let world = small();
        world.call(http, uri_of(URI_BYTES)).good();
        world
            .call(http, uri_of(URI_BYTES + 1))
            .refused(414, "invalid_request", "URI too long")
            .logged("uri_too_long");
        world
            .call(http, Ask::token().target(&format!("{BASE}/{}", "p".repeat(URI_BYTES))))
            .refused(414, "invalid_request", "URI too long");
        world.bank_heard(1);
    }
}

/// A raw connection to a world with short deadlines.
fn hasty() -> (World, Wire) {
    let world = Setup::new().limits("head_timeout = \"200ms\"\nbody_timeout = \"200ms\"").start();
    let wire = world.wire();
    (world, wire)
}

#[test]
fn row_4_4_25_who_goes_on_sending_still_reads_the_refusal() {
    let world = small();
    let body = vec![b'x'; 2_000_000];
    for _ in 0..5 {
        let mut wire = world.wire();
        wire.send(Ask::token().set("Content-Length", body.len().to_string()).head());
        assert!(wire.sends(&body), "cut off while it was sending");
        wire.refused_for_good(413, "invalid_request", "request body too large");
    }
    world.bank_heard(0);
}

#[test]
fn row_4_4_25_a_declared_body_is_refused_before_a_byte_of_it_comes() {
    let world = small();
    let mut wire = world.wire();
    wire.send(Ask::token().set("Content-Length", "100000").head());
    wire.refused_for_good(413, "invalid_request", "request body too large");
    world.bank_heard(0);
}

#[test]
fn row_4_4_26_the_head_at_its_limit_to_the_byte() {
    let world = small();
    let bare = Ask::token().with("X-Padding", "").head().len();
    let head = |bytes: usize| Ask::token().with("X-Padding", "p".repeat(bytes - bare));
    let mut wire = world.wire();
    wire.send(head(HEAD_BYTES).bytes());
    wire.answer().good();
    wire.send(head(HEAD_BYTES + 1).bytes());
    wire.refused_for_good(431, "invalid_request", "request header fields too large");
    world.bank_heard(1);
}

#[test]
fn row_4_4_26_the_fields_at_their_limit_to_the_line() {
    let world = small();
    // `Host` and `Content-Length` are two of them.
    let own = Ask::token().headers.len() + 2;
    let fields = |count: usize| (own..count).fold(Ask::token(), |ask, _| ask.with("X-P", "p"));
    let mut wire = world.wire();
    wire.send(fields(FIELDS).bytes());
    wire.answer().good();
    wire.send(fields(FIELDS + 1).bytes());
    wire.refused_for_good(431, "invalid_request", "request header fields too large");
    world.bank_heard(1);
}

#[test]
fn row_4_4_26_an_endless_field_is_cut_without_its_end() {
    let world = small();
    let mut wire = world.wire();
    wire.send(format!("POST / HTTP/1.1\r\nHost: h\r\nX: {}", "x".repeat(HEAD_BYTES)));
    wire.refused_for_good(431, "invalid_request", "request header fields too large");
}

#[test]
fn row_4_4_27_an_endless_request_line_is_cut_without_its_end() {
    let world = small();
    let mut wire = world.wire();
    wire.send(format!("POST /{}", "x".repeat(2 * URI_BYTES)));
    wire.refused_for_good(414, "invalid_request", "URI too long");
    world.bank_heard(0);
}

#[test]
fn row_4_4_28_a_slow_head() {
    let (world, mut wire) = hasty();
    let head = Ask::token().head();
    let started = now();
    wire.send(&head[..head.len() - 2]);
    wire.refused_for_good(408, "invalid_request", "request timed out").logged("head_timeout");
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(190), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    world.bank_heard(0);
}

#[test]
fn row_4_4_28_a_head_that_drips_is_cut_at_the_same_deadline() {
    let (world, mut wire) = hasty();
    let started = now();
    for byte in Ask::token().head().chunks(1).take(60) {
        wire.send(byte);
        std::thread::sleep(Duration::from_millis(5));
    }
    wire.refused_for_good(408, "invalid_request", "request timed out").logged("head_timeout");
    assert!(started.elapsed() < Duration::from_secs(5));
    world.bank_heard(0);
}

#[test]
fn row_4_4_28_a_slow_head_on_a_connection_that_was_good_before() {
    let (world, mut wire) = hasty();
    wire.send(Ask::token().bytes());
    wire.answer().good();
    wire.send("POST ");
    wire.refused_for_good(408, "invalid_request", "request timed out").logged("head_timeout");
    world.bank_heard(1);
}

#[test]
fn row_4_4_28_a_slow_head_that_began_behind_a_good_request() {
    let (world, mut wire) = hasty();
    wire.send([Ask::magic("sim-delay-50").bytes(), b"POST ".to_vec()].concat());
    wire.answer().good();
    wire.refused_for_good(408, "invalid_request", "request timed out").logged("head_timeout");
    world.bank_heard(1);
}

#[test]
fn row_4_4_28_a_slow_body() {
    let (world, mut wire) = hasty();
    let bytes = Ask::token().bytes();
    let started = now();
    wire.send(&bytes[..bytes.len() - 1]);
    wire.refused_for_good(408, "invalid_request", "request timed out").logged("body_timeout");
    assert!(started.elapsed() < Duration::from_secs(5));
    world.bank_heard(0);
}

#[test]
fn a_connection_that_asks_nothing_is_closed_without_a_word() {
    let world = Setup::new().limits("idle_timeout = \"1s\"").start();
    let mut wire = world.wire();
    wire.is_closed();
    let mut wire = world.wire();
    wire.send(Ask::token().bytes());
    wire.answer().good();
    wire.is_closed();
}

#[test]
fn a_connection_ends_at_its_age_though_it_is_not_idle() {
    let world = Setup::new().limits("connection_age_max = \"1s\"").start();
    let mut wire = world.wire();
    wire.send(Ask::token().bytes());
    wire.answer().good();
    wire.is_closed();
}

#[test]
fn a_connection_that_is_busy_at_its_age_ends_with_its_exchange() {
    let world = Setup::new().limits("connection_age_max = \"1s\"").start();
    let mut wire = world.wire();
    wire.send(Ask::magic("sim-delay-1300").bytes());
    wire.answer().good();
    wire.is_closed();
}

#[test]
fn a_handshake_that_never_ends_is_cut() {
    let world = Setup::new().limits("handshake_timeout = \"200ms\"").start();
    let plain = corgate::sim::client::Client::plain(world.address(0));
    let stream = crate::world::wait(plain.raw()).unwrap();
    let mut wire = Wire::new(stream, world.notes().clone());
    wire.is_closed();
    world.counts("corgate_handshakes_failed_total", 1);
    world.call(Http::One, Ask::token()).good();
}

#[test]
fn expect_100_continue_is_answered_and_the_body_read() {
    let world = World::new();
    let ask = Ask::token().with("Expect", "100-continue");
    let mut wire = world.wire();
    wire.send(ask.head());
    let interim = wire.bytes();
    assert_eq!(interim, b"HTTP/1.1 100 Continue\r\n\r\n", "{}", String::from_utf8_lossy(&interim));
    wire.send(&ask.body);
    wire.answer().good();
    assert_eq!(world.bank.requests()[0].header("Expect"), None);
}

#[test]
fn expect_100_continue_gets_a_final_answer_where_the_head_decides() {
    let world = World::new();
    let mut wire = world.wire();
    wire.send(Ask::token().with("Expect", "100-continue").set("Accept", "text/html").head());
    wire.answer().refused(406, "invalid_request", "response is only available as application/json");
    wire.is_closed();
    world.bank_heard(0);
}
