//! A bank with several addresses: each has its share, and one that fails is left out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use corgate::sim::bank::{Bank, BankConfig};
use corgate::sim::server::{Answer, Listening, Party, Received, Reply, Server};
use http::StatusCode;

use crate::ask::{Ask, BANK, Http};
use crate::world::{Setup, Stub, World, bank, bank_with, listening, until};

const LOOSE: &str = "breaker = { failures = 2, open_for = \"200ms\" }";
const STRICT: &str = "breaker = { failures = 2, open_for = \"10m\" }";

/// A world whose bank is at these ports, behind the world's own bank, which comes last.
fn world(ports: &[u16], lines: &str) -> World {
    let last = bank();
    let ports = ports.iter().copied().chain([last.address().port()]);
    let origins: Vec<_> = ports.map(|port| format!("\"https://127.0.0.1:{port}\"")).collect();
    let upstream = format!("[{}]", origins.join(", "));
    Setup::new().bank(last).upstream(&upstream).target(lines).start()
}

/// A bank that answers everything with one status.
struct Says(AtomicU16);

impl Party for Says {
    fn answer(&self, _: &Received) -> Reply {
        let status = StatusCode::from_u16(self.0.load(Ordering::Relaxed)).unwrap();
        Answer::new(status).with("Content-Type", "application/json").body("{}").into()
    }

    fn reset(&self) {}
}

fn saying(status: u16) -> (Server, Arc<Says>) {
    let says = Arc::new(Says(AtomicU16::new(status)));
    let party: Arc<dyn Party> = says.clone();
    (Server::start(listening(), party).unwrap(), says)
}

fn ejected(world: &World) -> Vec<bool> {
    let (_, text) = world.admin(&format!("/banks/{BANK}"));
    let bank: serde_json::Value = serde_json::from_str(&text).unwrap();
    let endpoints = bank["endpoints"].as_array().unwrap().iter();
    endpoints.map(|endpoint| endpoint["ejected"].as_bool().unwrap()).collect()
}

/// Calls until the answer has this status.
#[track_caller]
fn until_status(world: &World, status: u16) {
    until("the status", || (world.call(Http::One, Ask::token()).status == status).then_some(()));
}

over_both! {
    fn addresses_have_equal_shares(http) {
        let first = bank();
        let world = world(&[first.address().port()], STRICT);
        let mut client = world.client(http, 1);
        for _ in 0..10 {
            client.call(Ask::token()).good();
        }
        assert_eq!(first.requests().len(), 5);
        world.bank_heard(5);
        assert_eq!((first.connections(), world.bank.connections()), (1, 1));
    }

    fn the_less_busy_one_is_asked(http) {
        let first = bank();
        let world = world(&[first.address().port()], STRICT);
        let slow = world.client(http, 1).call_meanwhile(Ask::magic("sim-delay-1500"));
        until("the slow call", || (first.requests().len() == 1).then_some(()));
        for _ in 0..6 {
            world.call(http, Ask::token()).good();
        }
        world.bank_heard(6);
        slow.join().unwrap().good();
    }

    fn one_that_answers_5xx_is_left_out_while_another_is_up(http) {
        let (failing, _) = saying(500);
        let world = world(&[failing.address().port()], STRICT);
        let statuses: Vec<_> =
            (0..12).map(|_| world.call(http, Ask::token()).status.as_u16()).collect();
        assert_eq!(failing.requests().len(), 2, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 2);
        assert_eq!(ejected(&world), [true, false]);
        assert_eq!(world.metric(&format!("corgate_target_ejected{{target=\"{BANK}\"}}")), 1);
        let breaker = format!("corgate_target_breaker{{target=\"{BANK}\"}}");
        assert_eq!(world.metric(&breaker), 0, "one good address is enough");
    }

    fn its_4xx_leave_it_in(http) {
        let (refusing, _) = saying(400);
        let world = world(&[refusing.address().port()], STRICT);
        for _ in 0..12 {
            world.call(http, Ask::token());
        }
        assert_eq!(refusing.requests().len(), 6);
        assert_eq!(ejected(&world), [false, false]);
    }

    fn it_comes_back_by_way_of_one_call(http) {
        let (failing, says) = saying(500);
        let world = world(&[failing.address().port()], LOOSE);
        for _ in 0..6 {
            world.call(http, Ask::token());
        }
        assert_eq!(ejected(&world), [true, false]);
        says.0.store(418, Ordering::Relaxed);
        until_status(&world, 418);
        assert_eq!(ejected(&world), [false, false]);
    }

    fn a_call_is_sent_to_one_address_only(http) {
        let first = bank();
        let patient = "breaker = { failures = 1000 }";
        let world = world(&[first.address().port()], patient);
        for magic in ["sim-reset", "sim-reset-mid", "sim-truncate", "sim-bad-http"] {
            world.call(http, Ask::magic(magic)).platform(502);
        }
        assert_eq!(first.requests().len() + world.bank.requests().len(), 4);
    }

    fn one_whose_handshake_never_ends_is_passed_over_within_the_deadline(http) {
        let stub = Stub::start(b"");
        let timeouts = "timeouts = { connect = \"300ms\", first_byte = \"10s\", total = \"20s\" }";
        let world = world(&[stub.port()], &format!("{STRICT}\n{timeouts}"));
        for _ in 0..6 {
            world.call(http, Ask::token()).good();
        }
        assert_eq!(ejected(&world), [true, false]);
        world.bank_heard(6);
    }
}

#[test]
fn one_that_went_away_costs_no_call_and_is_found_when_it_is_back() {
    let first = bank();
    let address: SocketAddr = first.address();
    let world = world(&[address.port()], LOOSE);
    for _ in 0..4 {
        world.call(Http::One, Ask::token()).good();
    }
    drop(first);
    // A connection that the bank closed while it rested is not used again.
    std::thread::sleep(std::time::Duration::from_millis(50));
    for _ in 0..6 {
        world.call(Http::One, Ask::token()).good();
    }
    assert_eq!(ejected(&world), [true, false]);
    let again = || {
        let listening = Listening { address, ..listening() };
        Bank::start(BankConfig::new(listening)).ok()
    };
    let first = until("its port", again);
    until("a call at the first", || {
        world.call(Http::One, Ask::token()).good();
        (!first.requests().is_empty()).then_some(())
    });
    assert_eq!(ejected(&world), [false, false]);
}

#[test]
fn when_all_of_them_fail_the_breaker_decides() {
    let (one, _) = saying(500);
    let (other, _) = saying(503);
    let origins = [&one, &other].map(|s| format!("\"https://127.0.0.1:{}\"", s.address().port()));
    let upstream = format!("[{}]", origins.join(", "));
    let world = Setup::new().upstream(&upstream).target(STRICT).start();
    for _ in 0..2 {
        assert!(world.call(Http::One, Ask::token()).status.is_server_error());
    }
    world.call(Http::One, Ask::token()).platform(503).logged("breaker_open");
    assert!(ejected(&world).contains(&false), "never all are left out");
}

#[test]
fn several_addresses_over_http_2() {
    let first = bank_with(listening());
    let world = world(&[first.address().port()], &format!("http = \"2\"\n{STRICT}"));
    for _ in 0..10 {
        world.call(Http::Two, Ask::token()).good();
    }
    assert_eq!(first.requests().len(), 5);
    assert_eq!((first.connections(), world.bank.connections()), (1, 1));
}
