//! A worker takes over an idle connection that a neighbour holds, rather than to dial.

use std::thread::JoinHandle;
use std::time::Duration;

use crate::answer::Answer;
use crate::ask::{Ask, BANK, Http};
use crate::world::{Caller, Setup, World, until};

/// Two workers, and a client at each of them.
fn neighbours(http: Http, target: &str) -> (World, Caller, Caller) {
    let world = Setup::new().gateway("workers = 2").target(target).start();
    let (mut one, mut other) = (world.client(http, 1), world.client(http, 1));
    // Calls that reach no bank: they only open the connections.
    for client in [&mut one, &mut other] {
        client.call(Ask::token().bank("IIDX00099")).platform(400);
    }
    for worker in 0..2 {
        world.counts(&format!("corgate_worker_connections{{worker=\"{worker}\"}}"), 1);
    }
    (world, one, other)
}

fn taken_over(world: &World) -> u64 {
    world.metric(&format!("corgate_target_taken_over_total{{target=\"{BANK}\"}}"))
}

/// Two neighbours whose one connection to the bank is the first one's, and idle; the second is
/// under way on it with this call.
fn taking_over(http: Http, target: &str, ask: &Ask) -> (World, Caller, JoinHandle<Answer>) {
    until("a connection taken over", || {
        let (world, mut one, other) = neighbours(http, target);
        one.call(Ask::token()).good();
        let call = other.call_meanwhile(ask.clone());
        until("the call", || (world.bank.requests().len() == 2).then_some(()));
        if world.bank.connections() == 1 {
            return Some((world, one, call));
        }
        // The two clients were at one worker after all.
        call.join().unwrap();
        None
    })
}

over_both! {
    fn a_neighbours_idle_connection_is_used_before_a_new_one(http) {
        let (world, _one, call) = taking_over(http, "", &Ask::token());
        let answer = call.join().unwrap().good();
        assert_eq!(world.line_of(&answer)["reused"], true);
        assert_eq!(taken_over(&world), 1);
        world.bank_heard(2);
    }

    fn one_that_is_in_use_is_not_taken_over(http) {
        let (world, one, mut other) = neighbours(http, "");
        let slow = one.call_meanwhile(Ask::magic("sim-delay-300"));
        until("the slow call", || (world.bank.requests().len() == 1).then_some(()));
        other.call(Ask::token()).good();
        slow.join().unwrap().good();
        assert_eq!(world.bank.connections(), 2);
        assert_eq!(taken_over(&world), 0);
    }

    fn one_connection_is_enough_for_workers_that_take_turns(http) {
        let (world, mut one, mut other) = neighbours(http, "");
        for _ in 0..20 {
            one.call(Ask::token()).good();
            other.call(Ask::token()).good();
        }
        assert_eq!((world.bank.connections(), taken_over(&world)), (1, 39));
    }

    fn a_call_on_one_that_was_taken_over_is_cut_at_its_deadline(http) {
        let timeouts = "timeouts = { connect = \"5s\", first_byte = \"300ms\", total = \"5s\" }";
        let (world, mut one, call) = taking_over(http, timeouts, &Ask::magic("sim-hang"));
        call.join().unwrap().platform(504).logged("response_timeout");
        // The answer to the abandoned request can't be taken for another's.
        one.call(Ask::token()).good();
        assert_eq!(world.bank.connections(), 2);
        world.bank_heard(3);
    }

    fn its_former_holder_may_leave(http) {
        let slow = Ask::magic("sim-delay-700");
        let (mut world, mut one, call) = taking_over(http, "", &slow);
        one.close();
        let left = "corgate_worker_connections{worker=\"0\"}";
        let other = "corgate_worker_connections{worker=\"1\"}";
        until("one client less", || {
            (world.metric(left) + world.metric(other) == 1).then_some(())
        });
        // The holder has no client any more, and leaves.
        world.stop();
        call.join().unwrap().good();
    }

    fn an_answer_under_another_id_is_given_to_nobody_by_who_took_it_over(http) {
        let wrong = Ask::magic("sim-wrong-correlation");
        let (world, _one, call) = taking_over(http, "", &wrong);
        // That the bank echoes ids was seen by the neighbour alone.
        call.join().unwrap().platform(502).logged("response_malformed");
        assert_eq!(taken_over(&world), 1);
    }
}

#[test]
fn one_that_the_bank_has_closed_costs_no_call() {
    let (world, mut one, mut other) = neighbours(Http::One, "");
    for _ in 0..5 {
        one.call(Ask::magic("sim-close")).good();
        std::thread::sleep(Duration::from_millis(30));
        other.call(Ask::magic("sim-close")).good();
        std::thread::sleep(Duration::from_millis(30));
    }
    world.bank_heard(10);
}
