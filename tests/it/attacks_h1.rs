//! What a stranger tries on HTTP/1.1 and on the TLS port besides `smuggling`: bodies that nobody
//! wanted, switches of protocols, lines within values, half-closed connections.

use corgate::sim::client::Client;

use crate::ask::{Ask, BASE, Http};
use crate::wire::Wire;
use crate::world::{World, wait};

#[test]
fn a_body_that_nobody_wanted_is_never_a_request() {
    let world = World::new();
    let mut wire = world.wire();
    for (ask, status) in [
        (Ask::token().target(&format!("{BASE}/nowhere")), 404),
        (Ask::token().method("GET"), 405),
        (Ask::token().method("OPTIONS"), 405),
        (Ask::token().bank("NOBODY"), 400),
    ] {
        wire.send(ask.body(Ask::token().bytes()).bytes());
        wire.answer().platform(status);
    }
    let ask = Ask::token();
    wire.send(ask.bytes());
    wire.answer().good();
    world.bank_heard(1);
    assert_eq!(world.bank.requests()[0].body, ask.body);
}

#[test]
fn without_a_length_there_is_no_body() {
    let world = World::new();
    let mut wire = world.wire();
    let ask = Ask::token();
    let head = String::from_utf8(ask.head()).unwrap();
    let own = format!("Content-Length: {}\r\n", ask.body.len());
    // What follows is the next request, and not this one's body.
    wire.send([head.replace(&own, "").as_bytes(), &Ask::token().bytes()].concat());
    wire.answer().refused(400, "invalid_request", "grant_type is required");
    wire.answer().good();
    world.bank_heard(1);
}

#[test]
fn an_upgrade_is_not_made() {
    let world = World::new();
    for protocol in ["h2c", "websocket", "TLS/1.2"] {
        let mut wire = world.wire();
        let ask = Ask::token().with("Connection", "Upgrade, HTTP2-Settings");
        wire.send(ask.with("Upgrade", protocol).with("HTTP2-Settings", "AAMAAABkAAQ").bytes());
        let answer = wire.answer().good();
        assert_eq!(answer.header("upgrade"), None);
    }
    for heard in world.bank.requests() {
        assert_eq!(heard.header("Upgrade"), None);
        assert_eq!(heard.header("HTTP2-Settings"), None);
    }
}

#[test]
fn nothing_that_is_reflected_can_end_its_line() {
    let world = World::new();
    let mut wire = world.wire();
    for id in ["a%0d%0aX-Injected:1", "a\\r\\nX-Injected:1", "a\u{10d}\u{10a}X-Injected:1"] {
        wire.send(Ask::token().set("X-Correlation-ID", id).bytes());
        let answer = wire.answer();
        assert_eq!(answer.header("x-injected"), None);
        if !id.is_ascii() {
            answer.is_fresh();
        }
    }
    for line in ["X-Correlation-ID: a\r\0\n", "X-Correlation-ID: a\rX-Injected: 1\r\n"] {
        let mut wire = world.wire();
        let bytes = String::from_utf8(Ask::token().without("X-Correlation-ID").bytes()).unwrap();
        wire.send(bytes.replacen("User-Agent", &format!("{line}User-Agent"), 1));
        let answer = wire.refused_for_good(400, "invalid_request", "malformed HTTP request");
        assert_eq!(answer.header("x-injected"), None);
        answer.is_fresh();
    }
}

#[test]
fn garbage_on_the_tls_port_ends_its_connection() {
    let world = World::new();
    let garbage: [&[u8]; 4] = [
        b"\x16\x03\x01\xff\xff\x01\xff\xff\xff",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
        b"\x15\x03\x03\x00\x02\x02\x28",
        &[0; 2_000],
    ];
    for bytes in garbage {
        let stream = wait(Client::plain(world.address(0)).raw()).unwrap();
        let mut wire = Wire::new(stream, world.notes().clone());
        wire.send(bytes);
        // An alert may come first.
        while !wire.bytes().is_empty() {}
    }
    world.counts("corgate_handshakes_failed_total", 4);
    world.call(Http::One, Ask::token()).good();
}
