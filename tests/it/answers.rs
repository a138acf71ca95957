//! CONTRACT 4.3: what of a bank's answer reaches the client, and what does not.

use std::collections::BTreeSet;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::world::{Setup, World};

fn names(answer: &Answer) -> BTreeSet<&str> {
    answer.headers.keys().map(http::HeaderName::as_str).collect()
}

/// The fields of an answer from a bank, all of them.
const FIELDS: [&str; 7] = [
    "cache-control",
    "content-length",
    "content-type",
    "date",
    "pragma",
    "x-corapi-source",
    "x-correlation-id",
];

over_both! {
    fn a_good_answer_has_these_fields_and_no_other(http) {
        let world = World::new();
        let answer = world.call(http, Ask::token()).good();
        assert_eq!(names(&answer), FIELDS.into());
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }

    fn cookies_software_and_hop_by_hop_fields_stay_behind(http) {
        let world = World::new();
        let answer = world.call(http, Ask::magic("sim-cookie")).good();
        assert_eq!(names(&answer), FIELDS.into());
        world.call(http, Ask::token()).good();
    }

    fn the_same_from_a_bank_on_http_2(http) {
        let world = Setup::new().target("http = \"2\"").start();
        world.call(http, Ask::token()).good();
        let answer = world.call(http, Ask::magic("sim-static")).good();
        assert_eq!(names(&answer), FIELDS.into());
    }

    fn another_calls_correlation_id_is_replaced_and_noted(http) {
        let world = World::new();
        // That the client gets its own id back is checked with every answer.
        let answer = world.call(http, Ask::magic("sim-wrong-correlation")).good();
        assert_eq!(world.line_of(&answer)["oddity"], "correlation_id");
        assert_eq!(world.metric("corgate_oddities_total{kind=\"correlation_id\"}"), 1);
    }

    fn an_answer_under_another_id_ends_its_connection_to_the_bank(http) {
        let world = World::new();
        world.call(http, Ask::magic("sim-wrong-correlation")).good();
        world.call(http, Ask::token()).good();
        assert_eq!(world.bank.connections(), 2);
    }

    fn another_calls_answer_on_a_used_connection_is_given_to_nobody(http) {
        let world = World::new();
        // The bank is known to echo, and its connection was used: what comes under another id may
        // have been meant for somebody else.
        world.call(http, Ask::token()).good();
        let answer = world.call(http, Ask::magic("sim-wrong-correlation"));
        answer.refused(502, "server_error", "target returned an invalid response");
        world.bank_heard(2);
    }

    fn a_revocation_has_no_body(http) {
        let world = World::new();
        let answer = world.call(http, Ask::revoke()).good();
        assert_eq!(answer.body.len(), 0);
        assert_eq!(answer.header("content-type"), None);
    }

    fn a_banks_challenge_passes(http) {
        let world = World::new();
        let bearer = format!("Bearer {}", crate::ask::unique("stale-token"));
        let answer = world.call(http, Ask::username().set("Authorization", bearer)).provided(401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        assert_eq!(answer.json()["error"], "invalid_token");
    }

    fn a_banks_invalid_grant_passes_byte_for_byte(http) {
        let world = World::new();
        let code = crate::ask::unique("wrong-code");
        let answer = world.call(http, Ask::token().param("code", &code));
        let description = "the grant is unknown, used, expired or revoked";
        let expected =
            format!(r#"{{"error":"invalid_grant","error_description":"{description}"}}"#);
        assert_eq!(answer.provided(400).body, expected);
    }
}
