//! CONTRACT 4.2: which of two errors wins.
//!
//! One request violates everything at once and is repaired one step at a time. Each step names the
//! refusal that must come then; the last one is answered by a bank.

use crate::ask::{Ask, BANK, BASE, Http};
use crate::world::{Setup, World, bank, client_id, closed_port};

/// A repair, and who calls from then on.
type Repair = (usize, fn(Ask) -> Ask);
/// Status, `error`, fault in the log.
type Refusal = (u16, &'static str, &'static str);

const BAD: &str = "invalid_request";

/// Everything is wrong with it that can be, as far as HTTP carries it at all.
fn worst() -> Ask {
    let path = Ask::token().target(&format!("{BASE}/unknown")).query("secret=in-the-query");
    path.method("PUT")
        .without("X-Correlation-ID")
        .with("X_Underscore", "1")
        .with("Expect", "magic")
        .set("X-CorAPI-Client-ID", "a/b")
        .without("User-Agent")
        .with("X-PSU-IP-Address", "nowhere")
        .with("X-PSU-User-Agent", "a\tb")
        .set("X-CorAPI-Target-ID", "a/b")
        .with("Authorization", "Basic c2VjcmV0OnNlY3JldA==")
        .with("Accept", "text/html")
        .set("Content-Type", "text/plain")
        .with("Content-Encoding", "gzip")
        .with("Via", "1.1 corgate")
        .body(vec![b'%'; 70_000])
}

/// Client 1 may do everything; 2 is suspended; 3 is over its limit; 4 is allowed little.
fn world() -> World {
    let (held, closed) = closed_port();
    // The port stays closed for as long as the process lives.
    std::mem::forget(held);
    let fine = bank().address().port();
    Setup::new()
        .client("targets = [\"*\"]\ntarget_limit = { rate = \"1/h\", burst = 1 }")
        .and_client(2, "targets = [\"*\"]\nstatus = \"suspended\"")
        .and_client(3, "targets = [\"*\"]\nlimit = { rate = \"1/h\", burst = 1 }")
        .and_client(4, "targets = [\"IIDX-SUSPENDED\", \"IIDX-BROKEN\", \"IIDX00001\"]")
        .target_at("IIDX-FORBIDDEN", fine, "")
        .target_at("IIDX-SUSPENDED", fine, "status = \"suspended\"")
        .target_at("IIDX-BROKEN", closed, "breaker = { failures = 1, open_for = \"10m\" }")
        .start()
}

/// Steps 1 to 9 of the contract: from the path to the limit at the bank.
fn head_steps() -> Vec<(Repair, Refusal)> {
    vec![
        ((2, |ask| ask), (404, BAD, "path_unknown")),
        (
            (2, |ask| ask.target(&format!("{BASE}/oauth/token?secret=in-the-query"))),
            (405, BAD, "method_refused"),
        ),
        ((2, |ask| ask.method("POST")), (400, BAD, "http_malformed")),
        ((2, |ask| ask.without("X_Underscore")), (400, BAD, "header_missing")),
        (
            (2, |ask| ask.with("X-Correlation-ID", "bad correlation")),
            (400, BAD, "header_malformed"),
        ),
        (
            (2, |ask| ask.set("X-Correlation-ID", crate::ask::unique("id"))),
            (400, BAD, "query_refused"),
        ),
        ((2, |ask| ask.target(&format!("{BASE}/oauth/token"))), (417, BAD, "expectation_refused")),
        ((2, |ask| ask.without("Expect")), (400, BAD, "header_malformed")),
        (
            (2, |ask| ask.set("X-CorAPI-Client-ID", client_id(4))),
            (401, "invalid_client", "client_mismatch"),
        ),
        (
            (2, |ask| ask.set("X-CorAPI-Client-ID", client_id(2))),
            (403, "unauthorized_client", "client_suspended"),
        ),
        (
            (3, |ask| ask.set("X-CorAPI-Client-ID", client_id(3))),
            (429, "temporarily_unavailable", "rate_limited"),
        ),
        ((4, |ask| ask.set("X-CorAPI-Client-ID", client_id(4))), (400, BAD, "header_missing")),
        ((4, |ask| ask.with("User-Agent", "it/1")), (400, BAD, "header_malformed")),
        ((4, |ask| ask.set("X-PSU-IP-Address", "AUTO")), (400, BAD, "header_malformed")),
        ((4, |ask| ask.set("X-PSU-User-Agent", "AUTO")), (400, BAD, "header_malformed")),
        ((4, |ask| ask.bank("IIDX-UNKNOWN")), (400, BAD, "target_unknown")),
        ((4, |ask| ask.bank("IIDX-FORBIDDEN")), (403, "unauthorized_client", "target_forbidden")),
        ((4, |ask| ask.bank("IIDX-SUSPENDED")), (403, "unauthorized_client", "target_suspended")),
        (
            (1, |ask| ask.set("X-CorAPI-Client-ID", client_id(1)).bank(BANK)),
            (429, "temporarily_unavailable", "rate_limited"),
        ),
    ]
}

/// Steps 10 to 15: from `Authorization` to the breaker.
fn body_steps() -> Vec<(Repair, Refusal)> {
    vec![
        (
            (4, |ask| ask.set("X-CorAPI-Client-ID", client_id(4)).bank("IIDX-BROKEN")),
            (401, "invalid_client", "authorization_refused"),
        ),
        ((4, |ask| ask.without("Authorization")), (406, BAD, "not_acceptable")),
        ((4, |ask| ask.without("Accept")), (415, BAD, "media_type_refused")),
        (
            (4, |ask| ask.set("Content-Type", "application/x-www-form-urlencoded")),
            (415, BAD, "coding_refused"),
        ),
        ((4, |ask| ask.without("Content-Encoding")), (413, BAD, "body_too_large")),
        ((4, |ask| ask.body("code=%")), (400, BAD, "form_malformed")),
        ((4, |ask| ask.body("code=1&code=2")), (400, BAD, "parameter_repeated")),
        ((4, |ask| ask.body("client_id=a/b&code=1")), (400, BAD, "parameter_missing")),
        (
            (4, |ask| ask.body("client_id=a/b&code=1&grant_type=password")),
            (400, "unsupported_grant_type", "grant_unsupported"),
        ),
        (
            (4, |ask| ask.body("client_id=a/b&grant_type=authorization_code")),
            (400, BAD, "parameter_missing"),
        ),
        (
            (4, |ask| ask.body("client_id=a/b&grant_type=authorization_code&code=1")),
            (400, BAD, "parameter_malformed"),
        ),
        (
            (4, |ask| ask.body("client_id=CIDX1&grant_type=authorization_code&code=1")),
            (400, BAD, "parameter_missing"),
        ),
        ((4, |ask| ask.and_body("&username=a")), (401, "invalid_client", "form_client_mismatch")),
        (
            (4, |ask| ask.body(Ask::token().client(&client_id(4)).body)),
            (502, "server_error", "proxy_loop"),
        ),
        ((4, |ask| ask.without("Via")), (503, "temporarily_unavailable", "breaker_open")),
    ]
}

over_both! {
    fn a_request_that_violates_everything_is_repaired_one_step_at_a_time(http) {
        let world = world();
        prepare(&world);
        let mut ask = worst();
        let steps = head_steps().into_iter().chain(body_steps());
        for (number, ((client, repair), (status, error, fault))) in steps.enumerate() {
            ask = repair(ask);
            // Each answer needs a line of its own in the log.
            if let [correlation] = ask.values("X-Correlation-ID")[..]
                && correlation.starts_with(b"id-")
            {
                ask = ask.set("X-Correlation-ID", crate::ask::unique("id"));
            }
            let answer = world.client(http, client).call(ask.clone());
            let context = format!("step {number}, {fault}: {answer:?}");
            assert_eq!(answer.json()["error"], error, "{context}");
            assert_eq!(answer.status, status, "{context}");
            answer.platform(status).logged(fault);
        }
        let before = world.bank.requests().len();
        world.client(http, 4).call(ask.bank(BANK).set("X-Correlation-ID", "the-end")).good();
        world.bank_heard(before + 1);
    }
}

/// Uses up the limits and opens the breaker.
fn prepare(world: &World) {
    world.client(Http::One, 3).call(Ask::token().client(&client_id(3))).good();
    world.client(Http::One, 1).call(Ask::token()).good();
    let ask = Ask::token().client(&client_id(4)).bank("IIDX-BROKEN");
    world.client(Http::One, 4).call(ask).platform(502);
}
