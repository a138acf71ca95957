//! A worker uses an idle connection that a neighbour holds, rather than to dial.

use std::time::Duration;

use crate::ask::{Ask, BANK, Http};
use crate::world::{Caller, Setup, World, until};

/// Two workers, and a client at each of them.
fn neighbours(http: Http, target: &str) -> (World, Caller, Caller) {
    let world = Setup::new().gateway("workers = 2").target(target).start();
    let (mut one, mut other) = (world.client(http, 1), world.client(http, 1));
    // A call that reaches no bank: it only opens the connection.
    for client in [&mut one, &mut other] {
        client.call(Ask::token().bank("IIDX00099")).platform(400);
    }
    for worker in 0..2 {
        world.counts(&format!("corgate_worker_connections{{worker=\"{worker}\"}}"), 1);
    }
    (world, one, other)
}

fn borrowed(world: &World) -> u64 {
    world.metric(&format!("corgate_target_borrowed_total{{target=\"{BANK}\"}}"))
}

over_both! {
    fn a_neighbours_idle_connection_is_used_before_a_new_one(http) {
        let (world, mut one, mut other) = neighbours(http, "");
        for _ in 0..3 {
            one.call(Ask::token()).good();
            let answer = other.call(Ask::token()).good();
            assert_eq!(world.line_of(&answer)["reused"], true);
        }
        assert_eq!(world.bank.connections(), 1);
        assert_eq!(borrowed(&world), 3);
        world.bank_heard(6);
    }

    fn one_that_is_in_use_is_not_borrowed(http) {
        let (world, one, mut other) = neighbours(http, "");
        let slow = one.call_meanwhile(Ask::magic("sim-delay-300"));
        until("the slow call", || (world.bank.requests().len() == 1).then_some(()));
        other.call(Ask::token()).good();
        slow.join().unwrap().good();
        assert_eq!(world.bank.connections(), 2);
        assert_eq!(borrowed(&world), 0);
    }

    fn a_worker_with_steady_traffic_comes_to_have_its_own(http) {
        let (world, mut one, mut other) = neighbours(http, "");
        one.call(Ask::token()).good();
        for _ in 0..40 {
            other.call(Ask::token()).good();
        }
        assert_eq!(world.bank.connections(), 2);
        assert_eq!(borrowed(&world), 16);
    }

    fn a_call_on_a_borrowed_connection_is_cut_at_its_deadline(http) {
        let timeouts = "timeouts = { connect = \"5s\", first_byte = \"300ms\", total = \"5s\" }";
        let (world, mut one, mut other) = neighbours(http, timeouts);
        one.call(Ask::token()).good();
        other.call(Ask::magic("sim-hang")).platform(504).logged("response_timeout");
        // The answer to the abandoned request can't be taken for another's.
        one.call(Ask::token()).good();
        assert_eq!(world.bank.connections(), 2);
        world.bank_heard(3);
    }

    fn its_holder_stays_until_it_is_given_back(http) {
        let (mut world, mut one, other) = neighbours(http, "");
        one.call(Ask::token()).good();
        let slow = other.call_meanwhile(Ask::magic("sim-delay-700"));
        until("the slow call", || (world.bank.requests().len() == 2).then_some(()));
        assert_eq!(world.bank.connections(), 1);
        one.close();
        // The holder has no client any more, and leaves.
        std::thread::sleep(Duration::from_millis(50));
        world.stop();
        slow.join().unwrap().good();
    }
}

#[test]
fn a_borrowed_connection_that_the_bank_has_closed_costs_no_call() {
    let (world, mut one, mut other) = neighbours(Http::One, "");
    for _ in 0..5 {
        one.call(Ask::magic("sim-close")).good();
        std::thread::sleep(Duration::from_millis(30));
        other.call(Ask::magic("sim-close")).good();
        std::thread::sleep(Duration::from_millis(30));
    }
    world.bank_heard(10);
}
