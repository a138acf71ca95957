//! CONTRACT 4.6: a bank that can be reached and then misbehaves.
//!
//! Each fault with the client on HTTP/1.1 and on HTTP/2, and with the bank on HTTP/1.1 and, where
//! HTTP/2 has something like it, on HTTP/2. The bank sees each request exactly once.

use std::time::Duration;

use crate::ask::{Ask, Http};
use crate::world::{Setup, World, now};

const INVALID: &str = "target returned an invalid response";
const UNREACHED: &str = "target could not be reached";
const LATE: &str = "target did not respond in time";

const NO_BREAKER: &str = "breaker = { failures = 1000 }";

/// A world with short deadlines towards its bank, which is spoken to in this HTTP.
fn hasty(http: &str) -> World {
    let timeouts =
        "timeouts = { connect = \"1500ms\", first_byte = \"400ms\", total = \"1500ms\" }";
    Setup::new().target(&format!("http = \"{http}\"\n{timeouts}\n{NO_BREAKER}")).start()
}

/// As `hasty`, with deadlines that no loaded machine reaches.
fn patient(http: &str) -> World {
    Setup::new().target(&format!("http = \"{http}\"\n{NO_BREAKER}")).start()
}

/// Rows: a name, the world, the bank's HTTP, what it does; then status, fault and sentence.
macro_rules! faults {
    ($($name:ident: $world:ident $bank:literal $magic:literal
        => $status:literal $fault:ident $sentence:expr;)*) => {
        over_both! {$(
            fn $name(http) {
                let world = $world($bank);
                let started = now();
                world
                    .call(http, Ask::magic($magic))
                    .refused($status, "server_error", $sentence)
                    .logged(stringify!($fault));
                assert!(started.elapsed() < Duration::from_secs(5));
                world.bank_heard(1);
                world.call(http, Ask::token()).good();
                world.bank_heard(2);
            }
        )*}
    };
}

faults! {
    row_4_6_a_reset_before_the_answer: patient "1.1" "sim-reset"
        => 502 connection_lost UNREACHED;
    row_4_6_a_reset_within_the_answers_head: patient "1.1" "sim-reset-mid"
        => 502 connection_lost UNREACHED;
    row_4_6_a_truncated_answer: patient "1.1" "sim-truncate"
        => 502 response_truncated INVALID;
    row_4_6_an_answer_that_is_no_http: patient "1.1" "sim-bad-http"
        => 502 response_malformed INVALID;
    row_4_6_a_redirect: patient "1.1" "sim-redirect"
        => 502 response_malformed INVALID;
    row_4_6_switching_protocols: patient "1.1" "sim-101"
        => 502 response_malformed INVALID;
    row_4_6_an_answer_with_a_huge_head: patient "1.1" "sim-huge-head"
        => 502 response_too_large INVALID;
    row_4_6_an_answer_with_a_huge_body: patient "1.1" "sim-huge-body"
        => 502 response_too_large INVALID;
    row_4_6_no_answer_ever: hasty "1.1" "sim-hang"
        => 504 response_timeout LATE;
    row_4_6_an_answer_that_comes_too_late: hasty "1.1" "sim-delay-20000"
        => 504 response_timeout LATE;
    row_4_6_an_answer_that_drips_ends_at_the_total_deadline: hasty "1.1" "sim-drip-50"
        => 504 response_timeout LATE;
    row_4_6_a_reset_before_the_answer_over_http_2: patient "2" "sim-reset"
        => 502 connection_lost UNREACHED;
    row_4_6_a_redirect_over_http_2: patient "2" "sim-redirect"
        => 502 response_malformed INVALID;
    row_4_6_an_answer_with_a_huge_head_over_http_2: patient "2" "sim-huge-head"
        => 502 response_malformed INVALID;
    row_4_6_an_answer_with_a_huge_body_over_http_2: patient "2" "sim-huge-body"
        => 502 response_too_large INVALID;
    row_4_6_no_answer_ever_over_http_2: hasty "2" "sim-hang"
        => 504 response_timeout LATE;
    row_4_6_a_drip_over_http_2_ends_at_the_total_deadline: hasty "2" "sim-drip-50"
        => 504 response_timeout LATE;
}

over_both! {
    fn row_4_6_a_truncated_answer_over_http_2(http) {
        // A reset stream: whether the head was seen before decides between two sentences.
        let world = patient("2");
        let answer = world.call(http, Ask::magic("sim-truncate")).platform(502);
        assert_eq!(answer.json()["error"], "server_error");
        world.call(http, Ask::token()).good();
        world.bank_heard(2);
    }

    fn a_banks_own_errors_pass_with_its_status_and_body(http) {
        let world = patient("1.1");
        for status in [400, 401, 403, 404, 409, 418, 422, 429, 451, 500, 501, 502, 503, 504, 599] {
            let answer = world.call(http, Ask::magic(&format!("sim-status-{status}")));
            let answer = answer.provided(status);
            let description = format!("simulated {status}");
            assert_eq!(answer.json()["error_description"], description.as_str());
        }
        world.bank_heard(15);
    }

    fn a_page_for_people_passes_as_the_banks_own(http) {
        let world = World::new();
        let answer = world.call(http, Ask::magic("sim-html-500")).provided(500);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(answer.body.starts_with(b"<!doctype html>"));
    }

    fn a_banks_retry_after_passes(http) {
        let world = World::new();
        world.call(http, Ask::magic("sim-retry-after-7")).provided(503).says("retry-after", "7");
    }

    fn an_interim_100_is_passed_over(http) {
        let world = World::new();
        world.call(http, Ask::magic("sim-100")).good();
        world.bank_heard(1);
    }

    fn a_second_answer_behind_the_first_reaches_nobody(http) {
        let world = World::new();
        let mut client = world.client(http, 1);
        for _ in 0..5 {
            let answer = client.call(Ask::magic("sim-surplus")).good();
            assert_eq!(answer.json()["access_token"], "at-static");
            let answer = client.call(Ask::token()).good();
            assert_ne!(answer.json()["access_token"], "at-other");
            assert_ne!(answer.json()["access_token"], "at-static");
        }
        world.bank_heard(10);
    }

    fn revoke_and_validation_fail_as_token_does(http) {
        let world = patient("1.1");
        for ask in [
            Ask::revoke().param("token", "sim-reset"),
            Ask::username().set("Authorization", "Bearer sim-reset"),
            Ask::refresh().param("refresh_token", "sim-reset"),
        ] {
            world.call(http, ask).refused(502, "server_error", UNREACHED).logged("connection_lost");
        }
        world.bank_heard(3);
    }

    fn a_bank_that_answers_in_time_is_waited_for(http) {
        let world = World::new();
        world.call(http, Ask::magic("sim-delay-100")).good();
        world.call(http, Ask::magic("sim-drip-1")).good();
    }

    fn proxy_status_names_the_kind_of_failure_and_no_more(http) {
        let world = hasty("1.1");
        for (magic, error) in [
            ("sim-reset", "connection_terminated"),
            ("sim-truncate", "http_response_incomplete"),
            ("sim-bad-http", "http_protocol_error"),
            ("sim-huge-body", "http_response_body_size"),
            ("sim-hang", "http_response_timeout"),
        ] {
            let answer = world.call(http, Ask::magic(magic));
            answer.says("proxy-status", &format!("corgate; error={error}"));
        }
        world.call(http, Ask::magic("sim-status-502")).provided(502);
    }
}

#[test]
fn an_answer_at_the_limit_passes_and_one_byte_more_does_not() {
    // The static answer has 111 bytes; the limit can't be that low, so the padding decides.
    let world = Setup::new().target("response_bytes_max = 1024").start();
    world.call(Http::One, Ask::magic("sim-static")).good();
    world.call(Http::One, Ask::magic("sim-huge-body")).platform(502).logged("response_too_large");
}

#[test]
fn a_late_bank_holds_up_nobody_else() {
    let world = World::new();
    let slow = world.client(Http::One, 1).call_meanwhile(Ask::magic("sim-delay-1000"));
    let started = now();
    for _ in 0..5 {
        world.call(Http::One, Ask::token()).good();
    }
    assert!(started.elapsed() < Duration::from_secs(20));
    slow.join().unwrap().good();
}
