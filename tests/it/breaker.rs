//! CONTRACT 4.6: the breaker, and the places for calls to one bank.

use std::time::Duration;

use crate::ask::{Ask, BANK, Http};
use crate::world::{Setup, World, bank, until};

const UNAVAILABLE: &str = "target is temporarily unavailable";

fn world(open_for: &str) -> World {
    let breaker = format!("breaker = {{ failures = 2, open_for = \"{open_for}\" }}");
    Setup::new().target(&breaker).start()
}

fn state(world: &World) -> String {
    let (status, text) = world.admin(&format!("/banks/{BANK}"));
    assert_eq!(status, 200);
    let bank: serde_json::Value = serde_json::from_str(&text).unwrap();
    bank["breaker"].as_str().unwrap().to_owned()
}

over_both! {
    fn row_4_6_failures_in_a_row_open_the_breaker_and_nothing_is_sent(http) {
        let world = world("10m");
        for _ in 0..2 {
            world.call(http, Ask::magic("sim-reset")).platform(502);
        }
        for ask in [Ask::token(), Ask::revoke(), Ask::username()] {
            let answer = world
                .call(http, ask)
                .refused(503, "temporarily_unavailable", UNAVAILABLE)
                .says("proxy-status", "corgate; error=destination_unavailable")
                .logged("breaker_open");
            assert!((590..=600).contains(&answer.seconds("retry-after")));
        }
        assert_eq!(state(&world), "open");
        assert_eq!(world.metric(&format!("corgate_target_breaker{{target=\"{BANK}\"}}")), 2);
        world.bank_heard(2);
    }

    fn row_4_6_half_open_recovers_with_one_good_call(http) {
        let world = world("150ms");
        for _ in 0..2 {
            world.call(http, Ask::magic("sim-status-500")).provided(500);
        }
        // Open now; after its time one call is let through, and it is good.
        until("a call that is let through", || {
            let answer = world.call(http, Ask::token());
            if answer.status != 200 {
                answer.refused(503, "temporarily_unavailable", UNAVAILABLE);
                return None;
            }
            Some(())
        });
        assert_eq!(state(&world), "closed");
        world.call(http, Ask::token()).good();
    }

    fn row_4_6_a_failed_probe_opens_it_again(http) {
        let world = world("150ms");
        for _ in 0..2 {
            world.call(http, Ask::magic("sim-reset")).platform(502);
        }
        until("the probe", || {
            let answer = world.call(http, Ask::magic("sim-reset"));
            (answer.status == 502).then_some(())
        });
        world
            .call(http, Ask::token())
            .refused(503, "temporarily_unavailable", UNAVAILABLE)
            .logged("breaker_open");
        world.bank_heard(3);
    }

    fn a_banks_4xx_never_opens_it(http) {
        let world = world("10m");
        for status in [400, 401, 403, 404, 429, 400, 400] {
            world.call(http, Ask::magic(&format!("sim-status-{status}"))).provided(status);
        }
        world.call(http, Ask::token()).good();
        assert_eq!(state(&world), "closed");
    }

    fn a_good_answer_between_failures_keeps_it_closed(http) {
        let world = world("10m");
        for _ in 0..3 {
            world.call(http, Ask::magic("sim-status-503")).provided(503);
            world.call(http, Ask::token()).good();
        }
        assert_eq!(state(&world), "closed");
    }

    fn one_banks_breaker_is_not_anothers(http) {
        let second = bank();
        let world = Setup::new()
            .target("breaker = { failures = 1, open_for = \"10m\" }")
            .target_at("IIDX00002", second.address().port(), "")
            .start();
        world.call(http, Ask::magic("sim-reset")).platform(502);
        world.call(http, Ask::token()).platform(503);
        world.call(http, Ask::token().bank("IIDX00002")).good();
    }

    fn row_4_6_all_places_taken(http) {
        let world = Setup::new().target("concurrency = 2").start();
        let slow: Vec<_> = (0..2)
            .map(|_| world.client(http, 1).call_meanwhile(Ask::magic("sim-delay-1500")))
            .collect();
        until("both at the bank", || (world.bank.requests().len() == 2).then_some(()));
        world
            .call(http, Ask::token())
            .refused(503, "temporarily_unavailable", UNAVAILABLE)
            .says("retry-after", "1")
            .says("proxy-status", "corgate; error=connection_limit_reached")
            .logged("target_busy");
        world.bank_heard(2);
        for call in slow {
            call.join().unwrap().good();
        }
        world.call(http, Ask::token()).good();
        world.bank_heard(3);
    }
}

#[test]
fn a_place_is_given_back_after_a_failure() {
    let timeouts = "timeouts = { connect = \"5s\", first_byte = \"200ms\", total = \"5s\" }";
    let world = Setup::new().target(&format!("concurrency = 1\n{timeouts}")).start();
    for magic in ["sim-hang", "sim-reset", "sim-truncate"] {
        assert!(world.call(Http::One, Ask::magic(magic)).status.is_server_error());
    }
    world.call(Http::One, Ask::token()).good();
}

#[test]
fn a_client_that_leaves_during_the_probe_leaves_the_place_to_the_next() {
    let world = world("150ms");
    for _ in 0..2 {
        world.call(Http::One, Ask::magic("sim-reset")).platform(502);
    }
    std::thread::sleep(Duration::from_millis(200));
    let leaver = world.client(Http::One, 1);
    leaver.call_and_leave(Ask::magic("sim-delay-50"), Duration::from_millis(20));
    until("a good call", || (world.call(Http::One, Ask::token()).status == 200).then_some(()));
}
