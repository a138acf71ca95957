//! Connections to a bank: kept, shared, looked at before they are used, and never used twice for
//! the same request.

use std::time::Duration;

use crate::ask::{Ask, Http};
use crate::world::{Setup, World, bank_with, listening};

over_both! {
    fn many_calls_one_after_the_other_need_one_connection(http) {
        let world = World::new();
        let mut client = world.client(http, 1);
        for _ in 0..30 {
            client.call(Ask::token()).good();
        }
        assert_eq!(world.bank.connections(), 1);
        world.bank_heard(30);
    }

    fn clients_share_the_connections_to_a_bank(http) {
        let world = World::new();
        for _ in 0..5 {
            world.call(http, Ask::token()).good();
        }
        assert_eq!(world.bank.connections(), 1);
    }

    fn http_2_carries_all_calls_on_one_connection(http) {
        let world = Setup::new().target("http = \"2\"").start();
        world.call(http, Ask::token()).good();
        let slow: Vec<_> = (0..10)
            .map(|_| world.client(http, 1).call_meanwhile(Ask::magic("sim-delay-100")))
            .collect();
        for call in slow {
            call.join().unwrap().good();
        }
        assert_eq!(world.bank.connections(), 1);
        for request in world.bank.requests() {
            assert_eq!(request.version, "HTTP/2.0");
        }
    }

    fn a_connection_that_the_bank_closes_is_replaced(http) {
        let world = World::new();
        let mut client = world.client(http, 1);
        for round in 0..10 {
            client.call(Ask::magic("sim-close")).good();
            if round % 2 == 0 {
                // Long enough that the connection is looked at before it is used.
                std::thread::sleep(Duration::from_millis(30));
            }
            // In the moment of closing a request may be lost; it is never sent twice.
            let answer = client.call(Ask::token());
            assert!(matches!(answer.status.as_u16(), 200 | 502), "{answer:?}");
        }
        let mut ids: Vec<String> = world
            .bank
            .requests()
            .iter()
            .map(|request| request.header("X-Correlation-ID").unwrap().to_owned())
            .collect();
        let received = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), received, "a request was delivered twice");
    }

    fn a_bank_that_closed_while_nobody_asked_costs_no_call(http) {
        let world = World::new();
        let mut client = world.client(http, 1);
        for _ in 0..3 {
            client.call(Ask::magic("sim-close")).good();
            std::thread::sleep(Duration::from_millis(100));
            client.call(Ask::token()).good();
        }
        world.bank_heard(6);
    }

    fn a_failed_call_takes_its_connection_along(http) {
        let timeouts = "timeouts = { connect = \"5s\", first_byte = \"300ms\", total = \"5s\" }";
        let world = Setup::new().target(timeouts).start();
        world.call(http, Ask::token()).good();
        world.call(http, Ask::magic("sim-hang")).platform(504);
        // The answer to the abandoned request can't be taken for another's.
        world.call(http, Ask::token()).good();
        assert_eq!(world.bank.connections(), 2);
        world.bank_heard(3);
    }
}

#[test]
fn no_idle_connections_where_the_table_wants_none() {
    let world = Setup::new().target("idle_connections_max = 0").start();
    for _ in 0..3 {
        world.call(Http::One, Ask::token()).good();
    }
    assert_eq!(world.bank.connections(), 3);
}

#[test]
fn an_idle_connection_is_not_used_beyond_its_time() {
    let timeouts =
        "timeouts = { connect = \"10s\", first_byte = \"10s\", total = \"10s\", idle = \"100ms\" }";
    let world = Setup::new().target(timeouts).start();
    world.call(Http::One, Ask::token()).good();
    std::thread::sleep(Duration::from_millis(150));
    world.call(Http::One, Ask::token()).good();
    assert_eq!(world.bank.connections(), 2);
}

#[test]
fn a_bank_over_plain_http_where_the_table_allows_it() {
    let bank = bank_with(corgate::sim::server::Listening::plain());
    for http in ["1.1", "2"] {
        let upstream = format!("\"http://127.0.0.1:{}\"", bank.address().port());
        let world = Setup::new()
            .upstream(&upstream)
            .target(&format!("insecure_plain_upstream = true\nhttp = \"{http}\""))
            .start();
        world.call(Http::One, Ask::token()).good();
        world.bank_heard(0);
    }
    assert_eq!(bank.requests().len(), 2);
    assert_eq!(bank.requests()[1].version, "HTTP/2.0");
}

#[test]
fn the_bank_sees_the_hubs_own_certificate() {
    let world = Setup::new().bank(bank_with(listening())).start();
    world.call(Http::One, Ask::token()).good();
    let shown = world.bank.requests()[0].certificate;
    assert_eq!(shown, Some(crate::world::pki().hub.fingerprint()));
}
