//! What the hub knows of tokens: a refresh that must not happen twice, an answer that nobody got,
//! and a name that it vouches for.

use std::time::Duration;

use corgate::sim::oauth2::{OAuth2Bank, OAuth2Config};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::ask::{Ask, Http, unique};
use crate::bank_bytes::Raw;
use crate::h2::{Frames, HEADERS, RST_STREAM};
use crate::world::{
    FOREIGN, Foreign, Setup, World, client_id, identity, listening, parameter, until,
};

const ROTATES: &str = "rotates_refresh_tokens = true";
const THINKS: Duration = Duration::from_secs(1);
const DIFFERS: &str = "this refresh token was just used in another request";
const EVERYWHERE: &str = "targets = [\"*\"]";

fn text<'j>(token: &'j Value, name: &str) -> &'j str {
    token[name].as_str().unwrap()
}

/// A refresh of a new consent at the foreign bank.
fn refresh_at(world: &World) -> Ask {
    let token = world.call(Http::One, Ask::token().bank(FOREIGN)).good().json();
    Ask::refresh().bank(FOREIGN).param("refresh_token", text(&token, "refresh_token"))
}

fn anew(ask: &Ask) -> Ask {
    ask.clone().set("X-Correlation-ID", unique("id"))
}

/// Another question about a token is answered by nobody.
#[track_caller]
fn is_refused(answer: Answer) {
    answer.refused(400, "invalid_request", DIFFERS).logged("refresh_differs");
}

over_both! {
    fn a_refresh_that_asks_something_else_meanwhile_is_refused_and_not_sent(http) {
        let it = Foreign::oauth2(THINKS, ROTATES, "");
        let ask = refresh_at(&it.world).param("scope", "read");
        let first = it.world.client(http, 1).call_meanwhile(ask.clone());
        until("the refresh at the bank", || (it.heard().len() == 2).then_some(()));
        for (name, value) in [("username", "beat"), ("scope", "read write"), ("resource", "x")] {
            is_refused(it.world.call(http, anew(&ask).param(name, value)));
        }
        is_refused(it.world.call(http, anew(&ask).without_param("scope")));
        // The same in another order, and with what counts for nothing, is the same.
        let same = anew(&ask).without_param("username").param("empty", "");
        let username = String::from_utf8(ask.body.clone()).unwrap();
        let username = username.split('&').find_map(|pair| pair.strip_prefix("username="));
        let joined = it.world.call(http, same.param("username", username.unwrap())).good();
        assert_eq!(joined.body, first.join().unwrap().good().body);
        assert_eq!(it.heard().len(), 2);
        assert_eq!(parameter(&it.heard()[1], "scope").as_deref(), Some("read"));
    }

    fn a_caller_that_hung_up_finds_its_rotated_token_when_it_comes_back(http) {
        let it = Foreign::oauth2(THINKS, ROTATES, "");
        let ask = refresh_at(&it.world);
        let caller = it.world.client(http, 1);
        caller.call_and_leave(ask.clone(), Duration::from_millis(400));
        it.world.line(|line| line["client_gone"] == true);
        // Whoever asks something else is not given it.
        is_refused(it.world.call(http, anew(&ask).param("username", "beat")));
        let found = it.world.call(http, anew(&ask)).good().json();
        assert_eq!(it.heard().len(), 2, "the bank was asked once");
        let next = anew(&ask).param("refresh_token", text(&found, "refresh_token"));
        it.world.call(http, next).good();
        // It has arrived, so it is not given once more.
        let late = it.world.call(http, anew(&ask)).provided(400);
        assert_eq!(late.json()["error"], "invalid_grant");
        assert_eq!(it.heard().len(), 4);
    }

    fn a_name_is_vouched_for_to_the_client_that_said_it_and_until_it_revokes(http) {
        let setup = Setup::new().target("assert_username = true");
        let world = setup.and_client(2, EVERYWHERE).start();
        let user = unique("anna");
        let mut anna = world.client(http, 1);
        let check = |token: &Value| {
            let bearer = format!("Bearer {}", text(token, "access_token"));
            Ask::username().set("Authorization", bearer).param("username", &user)
        };
        for revoked in ["access_token", "refresh_token"] {
            let code = world.bank.issue_code(crate::ask::CLIENT, &user, None);
            let ask = Ask::token().param("code", &code).param("username", &user);
            let token = anna.call(ask).good().json();
            let valid = anna.call(check(&token)).platform(200).json();
            assert_eq!(valid, json!({ "valid_username": true }));
            let other = client_id(2);
            let stranger = world.client(http, 2).call(check(&token).client(&other));
            stranger.platform(401).logged("bearer_unknown");
            // Nor does another client end it.
            let revoke = Ask::revoke().param("token", text(&token, revoked));
            drop(world.client(http, 2).call(revoke.clone().client(&other)));
            anna.call(check(&token)).platform(200);
            anna.call(anew(&revoke)).good();
            anna.call(check(&token)).platform(401).logged("bearer_unknown");
        }
    }
}

/// A rotating bank, and client 3 with the certificates of clients 3 and 4.
fn rolling_over(think: Duration) -> (World, OAuth2Bank) {
    let bank = OAuth2Config { think, ..OAuth2Config::new(listening()) };
    let bank = OAuth2Bank::start(bank).unwrap();
    let prints = [3, 4].map(|number| format!("\"{}\"", identity(number).fingerprint()));
    let client = format!(
        "\n[[client]]\nid = \"{}\"\ncertificates = [{}]\n{EVERYWHERE}\n",
        client_id(3),
        prints.join(", ")
    );
    let lines = format!(
        "{ROTATES}\ndialect = \"oauth2\"\n[target.oauth2]\nclient_id = \"hub\"\n\
         client_secret = \"${{file:hub-secret}}\""
    );
    let setup = Setup::new().file("hub-secret", "hub-secret").more(&client);
    let world = setup.target_at(FOREIGN, bank.address().port(), &lines).start();
    (world, bank)
}

fn refresh_of_3(world: &World) -> Ask {
    let ask = Ask::token().bank(FOREIGN).client(&client_id(3));
    let token = world.client(Http::One, 3).call(ask).good().json();
    let ask = Ask::refresh().bank(FOREIGN).client(&client_id(3));
    ask.param("refresh_token", text(&token, "refresh_token"))
}

#[test]
fn instances_with_the_old_and_the_new_certificate_refresh_once() {
    let (world, bank) = rolling_over(THINKS);
    let ask = refresh_of_3(&world);
    let old = world.client(Http::One, 3).call_meanwhile(ask.clone());
    let new = world.client(Http::Two, 4).call_meanwhile(anew(&ask));
    assert_eq!(old.join().unwrap().good().body, new.join().unwrap().good().body);
    assert_eq!(bank.requests().len(), 2);
}

#[test]
fn a_certificate_that_was_taken_off_is_not_given_an_answer_again() {
    let (world, bank) = rolling_over(THINKS);
    let ask = refresh_of_3(&world);
    let leaves = world.client(Http::One, 4);
    leaves.call_and_leave(ask.clone(), Duration::from_millis(400));
    world.line(|line| line["client_gone"] == true);
    world.rewrite(&format!(", \"{}\"", identity(4).fingerprint()), "");
    assert_eq!(world.reload().0, 200);
    world.client(Http::One, 4).call(anew(&ask)).platform(401).logged("client_unknown");
    world.client(Http::One, 3).call(anew(&ask)).good();
    assert_eq!(bank.requests().len(), 2);
}

#[test]
fn no_number_of_a_bank_costs_a_call_whose_code_is_spent() {
    let digits = "9".repeat(400);
    for life in [
        "9223372036854775807",
        "18446744073709551615",
        "1e300",
        "1e999",
        &digits,
        "-1",
        "\"x\"",
        "null",
    ] {
        let body = format!(
            "{{\"access_token\":\"at-{life}\",\"token_type\":\"bearer\",\"expires_in\":{life}}}"
        )
        .replace("at-\"x\"", "at-x");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let bank = Raw::start(answer);
        let world = Setup::new()
            .upstream(&format!("\"http://127.0.0.1:{}\"", bank.port))
            .target("insecure_plain_upstream = true\nassert_username = true")
            .start();
        let ask = Ask::token().param("username", "anna-of-numbers");
        // Not every reader of JSON has a number that large.
        let token = world.call(Http::One, ask).good().body;
        let token = std::str::from_utf8(&token).unwrap().split('"').nth(3).unwrap();
        let bearer = format!("Bearer {token}");
        let ask = Ask::username().set("Authorization", bearer);
        let valid = world.call(Http::One, ask.param("username", "anna-of-numbers")).platform(200);
        assert_eq!(valid.json()["valid_username"], true, "{life}");
    }
}

/// Over HTTP/2 answers wait beside each other, and the end of one says nothing of another.
#[test]
fn an_answer_that_waits_for_its_window_is_kept_though_another_stream_ends() {
    for resets in [false, true] {
        let it = Foreign::oauth2(Duration::ZERO, ROTATES, "");
        let ask = refresh_at(&it.world);
        let mut frames = Frames::open(&it.world);
        // SETTINGS_INITIAL_WINDOW_SIZE = 0: no body goes out.
        frames.send(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
        frames.ask(1, &ask);
        frames.next(&[HEADERS]).expect("the head of the refresh");
        if resets {
            frames.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
        }
        // An answer without a body ends its stream by itself.
        frames.ask(3, &Ask::revoke().bank(FOREIGN));
        frames.next(&[HEADERS]).expect("the head of the revocation");
        frames.finish();
        let found = it.world.call(Http::Two, anew(&ask)).good().json();
        assert_eq!(it.heard().len(), 3, "a code, a refresh, a revocation");
        let next = anew(&ask).param("refresh_token", text(&found, "refresh_token"));
        it.world.call(Http::Two, next).good();
    }
}
