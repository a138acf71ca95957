//! CONTRACT 4.6: a client that leaves. What a bank may have seen is finished and discarded; what no
//! bank saw is given up.

use std::time::Duration;

use crate::ask::{Ask, Http};
use crate::world::{Setup, Stub, World, until};

over_both! {
    fn row_4_6_a_client_that_leaves_while_the_bank_works(http) {
        let world = World::new();
        let ask = Ask::magic("sim-delay-300");
        world.client(http, 1).call_and_leave(ask.clone(), Duration::from_millis(150));
        let line = world.line(|line| line["client_gone"] == true);
        // The exchange went on to its end, and nobody repeated it.
        assert_eq!(line["provider_status"], 200);
        let correlation = ask.values("X-Correlation-ID")[0];
        assert_eq!(line["correlation_id"].as_str().unwrap().as_bytes(), correlation);
        world.bank_heard(1);
        // Its connection to the bank is as good as any.
        world.call(http, Ask::token()).good();
        assert_eq!(world.bank.connections(), 1);
        world.bank_heard(2);
    }

    fn the_place_of_a_call_that_goes_on_stays_taken(http) {
        let world = Setup::new().target("concurrency = 1").start();
        let ask = Ask::magic("sim-delay-1500");
        world.client(http, 1).call_and_leave(ask, Duration::from_millis(300));
        world.bank_heard(1);
        world.call(http, Ask::token()).platform(503).logged("target_busy");
        world.line(|line| line["client_gone"] == true);
        world.call(http, Ask::token()).good();
        world.bank_heard(2);
    }
}

#[test]
fn row_4_6_a_stream_that_is_reset_before_anything_was_sent() {
    let stub = Stub::start(b"");
    let upstream = format!("\"https://127.0.0.1:{}\"", stub.port());
    let world = Setup::new().upstream(&upstream).start();
    world.client(Http::Two, 1).call_and_leave(Ask::token(), Duration::from_millis(150));
    let line = world.line(|line| line["client_gone"] == true);
    assert_eq!(line["status"], 499);
    assert_eq!(line.get("provider_status"), None);
    until("the place is free", || {
        let (_, text) = world.admin("/banks/IIDX00001");
        text.contains("\"in_flight\":0").then_some(())
    });
}

#[test]
fn clients_that_leave_in_numbers_leave_nothing_behind() {
    let world = World::new();
    let leavers: Vec<_> = (0..10)
        .map(|_| {
            let client = world.client(Http::One, 1);
            let ask = Ask::magic("sim-delay-400");
            std::thread::spawn(move || client.call_and_leave(ask, Duration::from_millis(300)))
        })
        .collect();
    leavers.into_iter().for_each(|leaver| leaver.join().unwrap());
    until("ten lines", || {
        let gone = world.lines().iter().filter(|line| line["client_gone"] == true).count();
        (gone == 10).then_some(())
    });
    world.counts("corgate_connections_open", 0);
    assert!(world.bank.requests().len() <= 10);
}
