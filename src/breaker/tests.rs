//! The breaker, call by call.

use std::num::NonZeroU32;

use super::*;

const OPEN_FOR: Duration = Duration::from_secs(5);
const ONE: Option<ClientKey> = None;

fn client(number: u32) -> Option<ClientKey> {
    Some(crate::ids::ClientId::parse(&format!("C{number}")).unwrap().key())
}

/// So many calls of a client fail at the bank.
fn fail(breaker: &Arc<Breaker>, now: Instant, number: u32, times: u32) {
    for _ in 0..times {
        breaker.admit(now, client(number)).unwrap().fail(now, Failure::Call);
    }
}

fn succeed(breaker: &Arc<Breaker>, now: Instant, number: u32) {
    breaker.admit(now, client(number)).unwrap().succeed();
}

fn breaker() -> Arc<Breaker> {
    let failures = NonZeroU32::new(2).unwrap();
    Arc::new(Breaker::new(routes::Breaker { failures, open_for: OPEN_FOR }))
}

#[test]
fn it_opens_after_so_many_failures_in_a_row_and_no_sooner() {
    let (breaker, now) = (breaker(), Instant::now());
    breaker.admit(now, ONE).unwrap().fail(now, Failure::Way);
    breaker.admit(now, ONE).unwrap().succeed();
    breaker.admit(now, ONE).unwrap().fail(now, Failure::Way);
    assert_eq!(breaker.position(now), Position::Closed);
    breaker.admit(now, ONE).unwrap().fail(now, Failure::Way);
    assert_eq!(breaker.admit(now, ONE).unwrap_err(), OPEN_FOR);
    assert_eq!(breaker.position(now), Position::Open);
}

#[test]
fn half_open_lets_exactly_one_call_through() {
    let (breaker, now) = (breaker(), Instant::now());
    breaker.admit(now, ONE).unwrap().fail(now, Failure::Way);
    breaker.admit(now, ONE).unwrap().fail(now, Failure::Way);
    let later = now + OPEN_FOR;
    let probe = breaker.admit(later, ONE).unwrap();
    assert!(breaker.admit(later, ONE).is_err());
    probe.succeed();
    assert_eq!(breaker.position(later), Position::Closed);
    breaker.admit(later, ONE).unwrap().succeed();
}

#[test]
fn a_failed_probe_opens_it_again_and_an_abandoned_one_leaves_the_place_to_the_next() {
    let (breaker, now) = (breaker(), Instant::now());
    breaker.admit(now, ONE).unwrap().fail(now, Failure::Way);
    breaker.admit(now, ONE).unwrap().fail(now, Failure::Way);
    let later = now + OPEN_FOR;
    breaker.admit(later, ONE).unwrap().abandon();
    let probe = breaker.admit(later, ONE).unwrap();
    probe.fail(later, Failure::Way);
    assert_eq!(breaker.admit(later, ONE).unwrap_err(), OPEN_FOR);
}

#[test]
fn a_look_that_was_answered_closes_it_and_a_connection_lets_one_call_through() {
    let (breaker, now) = (breaker(), Instant::now());
    let open = || (0..2).all(|_| !breaker.admit(now, ONE).unwrap().fail(now, Failure::Way));
    assert!(open());
    breaker.looked_well(now, false);
    let trial = breaker.admit(now, ONE).unwrap();
    assert!(breaker.admit(now, ONE).is_err());
    breaker.looked_well(now, true);
    assert!(breaker.admit(now, ONE).is_err(), "the call under way decides");
    trial.succeed();
    assert!(open());
    breaker.looked_well(now, true);
    assert_eq!(breaker.position(now), Position::Closed);
}

#[test]
fn a_straggler_from_before_does_not_close_it() {
    let (breaker, now) = (breaker(), Instant::now());
    let straggler = breaker.admit(now, ONE).unwrap();
    breaker.admit(now, ONE).unwrap().fail(now, Failure::Way);
    breaker.admit(now, ONE).unwrap().fail(now, Failure::Way);
    straggler.succeed();
    assert_eq!(breaker.position(now), Position::Open);
}

#[test]
fn one_client_among_several_never_opens_it_and_the_only_one_does() {
    let (breaker, now) = (breaker(), Instant::now());
    succeed(&breaker, now, 2);
    fail(&breaker, now, 1, 99);
    assert_eq!(breaker.position(now), Position::Closed);
    fail(&breaker, now, 2, 1);
    assert_eq!(breaker.position(now), Position::Open, "now it fails all that called lately");
    let alone = self::breaker();
    fail(&alone, now, 1, 2);
    assert_eq!(alone.admit(now, client(1)).unwrap_err(), OPEN_FOR);
}

#[test]
fn who_called_long_ago_says_nothing_about_now() {
    let (breaker, now) = (breaker(), Instant::now());
    succeed(&breaker, now, 2);
    fail(&breaker, now + LATELY, 1, 2);
    assert_eq!(breaker.position(now + LATELY), Position::Open);
}

#[test]
fn who_failed_long_before_it_opened_may_try() {
    let (breaker, now) = (breaker(), Instant::now());
    fail(&breaker, now, 2, 1);
    fail(&breaker, now + LATELY, 1, 2);
    assert!(breaker.admit(now + LATELY, client(1)).is_err());
    succeed(&breaker, now + LATELY, 2);
    assert_eq!(breaker.position(now + LATELY), Position::Closed);
}

#[test]
fn a_client_whose_calls_did_not_fail_is_let_through_and_closes_it() {
    let (breaker, now) = (breaker(), Instant::now());
    fail(&breaker, now, 1, 2);
    assert!(breaker.admit(now, client(1)).is_err());
    let trial = breaker.admit(now, client(2)).unwrap();
    breaker.admit(now, client(3)).unwrap().abandon();
    assert!(breaker.admit(now, client(1)).is_err(), "one of those that failed at a time");
    trial.abandon();
    assert_eq!(breaker.admit(now, client(1)).unwrap_err(), OPEN_FOR, "as it was before");
    fail(&breaker, now, 2, 1);
    assert!(breaker.admit(now, client(2)).is_err(), "each has one");
    succeed(&breaker, now, 3);
    assert_eq!(breaker.position(now), Position::Closed);
    fail(&breaker, now, 1, 99);
    assert_eq!(breaker.position(now), Position::Closed, "another's calls go well");
}

#[test]
fn where_the_way_fails_nobody_passes_whoever_called() {
    let (breaker, now) = (breaker(), Instant::now());
    succeed(&breaker, now, 2);
    for _ in 0..2 {
        breaker.admit(now, client(1)).unwrap().fail(now, Failure::Way);
    }
    assert!(breaker.admit(now, client(2)).is_err());
    assert!(breaker.admit(now, client(3)).is_err());
}

#[test]
fn it_remembers_no_more_clients_than_it_should() {
    let (breaker, now) = (breaker(), Instant::now());
    for number in 0..1_000 {
        succeed(&breaker, now + Duration::from_millis(u64::from(number)), number);
    }
    let state = breaker.lock();
    assert_eq!(state.clients.len(), CLIENTS_MAX);
    assert!(state.clients.iter().any(|standing| Some(standing.client) == client(999)));
}

#[test]
fn whose_calls_did_not_fail_does_not_wait_for_a_failing_clients_call_that_sees() {
    let (breaker, now) = (breaker(), Instant::now());
    fail(&breaker, now, 1, 2);
    assert!(breaker.admit(now, client(1)).is_err(), "open");
    let later = now + OPEN_FOR;
    let sees = breaker.admit(later, client(1)).unwrap();
    assert!(breaker.admit(later, client(1)).is_err());
    // Others pass beside it, at once too, and one of them that is served closes it for all.
    let (second, third) = (breaker.admit(later, client(2)), breaker.admit(later, client(3)));
    third.unwrap().abandon();
    assert_eq!(breaker.position(later), Position::HalfOpen);
    second.unwrap().succeed();
    assert_eq!(breaker.position(later), Position::Closed);
    sees.fail(later, Failure::Call);
    assert_eq!(breaker.position(later), Position::Closed, "one among several");
}

#[test]
fn whose_call_fails_beside_the_one_that_sees_waits_as_the_others_do() {
    let (breaker, now) = (breaker(), Instant::now());
    fail(&breaker, now, 1, 2);
    let later = now + OPEN_FOR;
    let sees = breaker.admit(later, client(1)).unwrap();
    breaker.admit(later, client(2)).unwrap().fail(later, Failure::Call);
    assert!(breaker.admit(later, client(2)).is_err());
    sees.fail(later, Failure::Call);
    assert!(breaker.admit(later, client(2)).is_err() && breaker.admit(later, client(1)).is_err());
    // Where there is no way to the bank, whoever calls waits.
    let (breaker, now) = (self::breaker(), Instant::now());
    for _ in 0..2 {
        breaker.admit(now, client(1)).unwrap().fail(now, Failure::Way);
    }
    let _sees = breaker.admit(now + OPEN_FOR, client(1)).unwrap();
    assert!(breaker.admit(now + OPEN_FOR, client(2)).is_err());
}

#[test]
fn one_failure_beside_a_client_that_fails_all_the_time_opens_nothing() {
    let failures = NonZeroU32::new(5).unwrap();
    let breaker = Arc::new(Breaker::new(routes::Breaker { failures, open_for: OPEN_FOR }));
    let now = Instant::now();
    succeed(&breaker, now, 2);
    fail(&breaker, now, 1, 99);
    fail(&breaker, now, 2, 1);
    assert_eq!(breaker.position(now), Position::Closed);
    succeed(&breaker, now, 2);
    // It takes its own share of them.
    fail(&breaker, now, 2, 2);
    assert_eq!(breaker.position(now), Position::Open);
}

#[test]
fn a_good_call_of_a_bank_that_is_well_asks_no_lock() {
    let (breaker, now) = (breaker(), Instant::now());
    succeed(&breaker, now, 1);
    let held = breaker.lock();
    let (done, heard) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            succeed(&breaker, now, 1);
            done.send(()).unwrap();
        });
        let told = heard.recv_timeout(Duration::from_secs(5));
        drop(held);
        assert!(told.is_ok(), "it waited for the lock");
    });
}

#[test]
fn calls_that_were_not_noted_for_lack_of_news_still_say_that_a_client_is_served() {
    let (breaker, now) = (breaker(), Instant::now());
    for tenths in 0..200 {
        succeed(&breaker, now + Duration::from_millis(tenths * 100), 1);
    }
    // The first client is served, so another one's failures are its own affair.
    let later = now + Duration::from_secs(20) + LATELY - Duration::from_secs(2);
    fail(&breaker, later, 2, 5);
    assert_eq!(breaker.position(later), Position::Closed);
    // What failed is seen by the next good call, noted or not.
    succeed(&breaker, later, 2);
    fail(&breaker, later, 2, 1);
    assert_eq!(breaker.position(later), Position::Closed);
}
