//! One client's bad luck at a bank is not its neighbour's: waits, the breaker, places.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::answer::Answer;
use crate::ask::{Ask, BANK, Http};
use crate::h2_bank::{FrameBank, good};
use crate::world::{Setup, World, client_id, now, until};

/// A world with a neighbour, who is client 2.
fn world(lines: &str) -> World {
    Setup::new().and_client(2, "targets = [\"*\"]").target(lines).start()
}

fn neighbour(world: &World, http: Http) -> Answer {
    world.client(http, 2).call(Ask::token().client(&client_id(2)))
}

fn slow(world: &World, count: usize) -> Vec<JoinHandle<Answer>> {
    let call = |_| world.client(Http::One, 1).call_meanwhile(Ask::magic("sim-delay-1500"));
    (0..count).map(call).collect()
}

over_both! {
    fn a_429_to_one_client_refuses_no_other(http) {
        let world = world("retry_after_max = \"1h\"");
        world.call(http, Ask::magic("sim-busy-until-600")).provided(429);
        let refused = world.call(http, Ask::token()).platform(503).logged("provider_busy");
        assert!((590..=600).contains(&refused.seconds("retry-after")));
        neighbour(&world, http).good();
        let (_, page) = world.page_of(&format!("/banks/{BANK}"));
        assert_eq!((&page["clients_waiting"], &page["retry_after_s"]), (&1.into(), &().into()));
        world.bank_heard(2);
    }

    fn a_503_is_for_everybody(http) {
        let world = world("retry_after_max = \"1h\"");
        world.call(http, Ask::magic("sim-retry-after-600")).provided(503);
        neighbour(&world, http).platform(503).logged("provider_busy");
        world.bank_heard(1);
    }

    fn one_clients_500s_open_the_breaker_for_no_other(http) {
        let world = world("breaker = { failures = 2, open_for = \"10m\" }");
        neighbour(&world, http).good();
        for _ in 0..5 {
            world.call(http, Ask::magic("sim-status-500")).provided(500);
        }
        neighbour(&world, http).good();
        assert_eq!(world.metric(&format!("corgate_target_breaker{{target=\"{BANK}\"}}")), 0);
    }

    fn a_clients_slow_call_that_sees_keeps_no_other_out(http) {
        let world = world("breaker = { failures = 1, open_for = \"1s\" }");
        world.call(http, Ask::magic("sim-status-500")).provided(500);
        let gate = format!("corgate_target_breaker{{target=\"{BANK}\"}}");
        until("the end of its wait", || (world.metric(&gate) == 1).then_some(()));
        let sees = world.client(http, 1).call_meanwhile(Ask::magic("sim-delay-1500"));
        until("the call that sees", || (world.bank.requests().len() == 2).then_some(()));
        for _ in 0..3 {
            neighbour(&world, http).good();
        }
        assert_eq!(world.bank.requests().len(), 5);
        sees.join().unwrap().good();
    }

    fn who_comes_new_is_let_through_and_closes_the_breaker(http) {
        let world = world("breaker = { failures = 2, open_for = \"10m\" }");
        for _ in 0..2 {
            world.call(http, Ask::magic("sim-status-500")).provided(500);
        }
        world.call(http, Ask::token()).platform(503).logged("breaker_open");
        neighbour(&world, http).good();
        world.call(http, Ask::token()).good();
    }
}

#[test]
fn a_bank_that_fails_all_clients_is_left_alone() {
    let world = world("breaker = { failures = 4, open_for = \"10m\" }");
    let failing = |number: usize| {
        let ask = Ask::magic("sim-status-500").client(&client_id(number));
        world.client(Http::One, number).call(ask)
    };
    for _ in 0..2 {
        failing(1).provided(500);
        failing(2).provided(500);
    }
    for number in [1, 2] {
        failing(number).platform(503).logged("breaker_open");
    }
    world.bank_heard(4);
}

#[test]
fn one_clients_slow_calls_leave_places_for_its_neighbour() {
    let world = world("concurrency = 8");
    let calls = slow(&world, 8);
    until("its share at the bank", || (world.bank.requests().len() == 6).then_some(()));
    let started = now();
    neighbour(&world, Http::One).good();
    assert!(started.elapsed() < Duration::from_secs(1));
    let answers: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
    let busy = answers.into_iter().filter(|answer| answer.status == 503);
    let share = "the client's share of the places is taken";
    let lines = busy.map(|answer| world.line_of(&answer.logged("target_busy")));
    assert!(lines.map(|line| assert_eq!(line["detail"], share)).count() == 2);
}

#[test]
fn calls_whose_caller_hung_up_count_as_that_clients_until_the_bank_is_done() {
    let world = world("concurrency = 4");
    for _ in 0..3 {
        let caller = world.client(Http::One, 1);
        caller.call_and_leave(Ask::magic("sim-delay-1500"), Duration::from_millis(150));
    }
    until("the calls at the bank", || (world.bank.requests().len() == 3).then_some(()));
    world.call(Http::One, Ask::token()).platform(503).logged("target_busy");
    neighbour(&world, Http::One).good();
    until("the end of what was left", || {
        (world.call(Http::One, Ask::token()).status == 200).then_some(())
    });
}

#[test]
fn one_clients_slow_calls_leave_streams_for_its_neighbour() {
    static HOLDS: AtomicBool = AtomicBool::new(true);
    // SETTINGS_MAX_CONCURRENT_STREAMS = 2, on each of four connections.
    let bank = FrameBank::start(&[0, 3, 0, 0, 0, 2], |to, call| {
        if !HOLDS.load(Ordering::SeqCst) {
            good(to, call.stream);
        }
        true
    });
    let world = bank.setup("").and_client(2, "targets = [\"*\"]").start();
    let calls: Vec<_> = (0..12)
        .map(|number| {
            let call = world.client(Http::One, 1).call_meanwhile(Ask::token());
            // One after the other: calls that come at once wait for one dial.
            let there = || (bank.heard() > number.min(5)).then_some(());
            until("the call at the bank", there);
            call
        })
        .collect();
    HOLDS.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        neighbour(&world, Http::One).good();
    }
    let answers: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
    let busy: Vec<_> = answers.into_iter().filter(|answer| answer.status == 503).collect();
    assert_eq!(busy.len(), 6, "it had six of eight");
    for answer in busy {
        let line = world.line_of(&answer.logged("target_busy"));
        assert_eq!(line["detail"], "the client's share of the streams is taken");
    }
}

#[test]
fn without_descriptors_a_dial_is_the_hubs_own_fault_and_no_banks() {
    let lines = "reuse = \"never\"\nbreaker = { failures = 1, open_for = \"10m\" }";
    let program = Setup::new().target(lines).launch();
    let mut client = program.client(Http::One);
    client.call(Ask::token()).good();
    let whole = limit_descriptors(program.serving(), None);
    for _ in 0..3 {
        client.call(Ask::token()).platform(503).logged("local_failure");
    }
    limit_descriptors(program.serving(), Some(whole));
    client.call(Ask::token()).good();
    let target = |what: &str| format!("corgate_target_{what}{{target=\"{BANK}\"}}");
    assert_eq!(program.metric(&target("provider_errors_total")), 0);
    assert_eq!(program.metric(&target("platform_errors_total")), 3);
    assert_eq!(program.metric(&target("breaker")), 0);
}

/// Gives a process as many descriptors as it has open, or so many; says how many it might have had.
fn limit_descriptors(
    process: u32,
    most: Option<rustix::process::Rlimit>,
) -> rustix::process::Rlimit {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = Pid::from_raw(i32::try_from(process).unwrap());
    let limit = most.unwrap_or_else(|| {
        let now = prlimit_of(pid);
        // One that is free below the highest is as good as one above it.
        let open: std::collections::BTreeSet<u64> =
            std::fs::read_dir(format!("/proc/{process}/fd"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
                .collect();
        let free = (0..).find(|number| !open.contains(number)).unwrap();
        Rlimit { current: Some(free), maximum: now.maximum }
    });
    prlimit(pid, Resource::Nofile, limit).unwrap()
}

/// What it may have now.
fn prlimit_of(pid: Option<rustix::process::Pid>) -> rustix::process::Rlimit {
    let text =
        std::fs::read_to_string(format!("/proc/{}/limits", pid.unwrap().as_raw_nonzero())).unwrap();
    let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().skip(3).map(|word| word.parse().ok());
    rustix::process::Rlimit { current: numbers.next().unwrap(), maximum: numbers.next().unwrap() }
}
