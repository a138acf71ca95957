//! DIALECTS 3: bLink's calls at a bank that speaks plain OAuth 2.0.

use std::collections::HashSet;
use std::time::Duration;

use corgate::sim::oauth2::{ANYBODY, OAuth2Bank};
use serde_json::Value;

use crate::answer::Answer;
use crate::ask::{Ask, CLIENT, Http, unique};
use crate::world::{FOREIGN, Foreign, World, is_foreign, parameter, until};

fn plain() -> Foreign<OAuth2Bank> {
    Foreign::oauth2(Duration::ZERO, "", "username = \"introspection\"")
}

/// A consent: its token answer.
fn consent(world: &World) -> Value {
    world.call(Http::One, Ask::token().bank(FOREIGN)).good().json()
}

fn refresh(token: &Value) -> Ask {
    Ask::refresh().bank(FOREIGN).param("refresh_token", token["refresh_token"].as_str().unwrap())
}

fn username(token: &Value, name: &str) -> Ask {
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    Ask::username().bank(FOREIGN).set("Authorization", bearer).param("username", name)
}

fn magic(code: &str) -> Ask {
    Ask::magic(code).bank(FOREIGN)
}

#[test]
fn a_code_is_exchanged() {
    let it = plain();
    let ask = Ask::token().bank(FOREIGN).param("code_verifier", "a-verifier-of-mine");
    let token = it.world.call(Http::One, ask).good().json();
    assert_eq!(token["token_type"], "bearer");
    assert_eq!(token["expires_in"], 3600);
    assert!(token["refresh_token"].is_string());
    assert_eq!(token["id_token"], "of-no-use", "what the hub does not know passes");
    let heard = &it.heard()[0];
    is_foreign(heard);
    assert!(heard.header("Authorization").unwrap().starts_with("Basic "));
    for (name, there) in [
        ("grant_type", true),
        ("code", true),
        ("redirect_uri", true),
        ("code_verifier", true),
        ("client_id", false),
        ("client_secret", false),
        ("username", false),
    ] {
        assert_eq!(parameter(heard, name).is_some(), there, "{name}: {heard:?}");
    }
    it.world.bank_heard(0);
}

#[test]
fn the_table_says_what_an_answer_of_this_bank_means() {
    let answers = "answers = [{ status = 418, code = \"invalid_request\", becomes = 400, \
                   error = \"invalid_grant\" }]\ndefault_expires_in = \"1h\"";
    let it = Foreign::oauth2(Duration::ZERO, answers, "correlation_header = \"X-Request-ID\"");
    let answer = it.world.call(Http::One, magic("sim-status-418")).provided(400);
    assert_eq!(answer.json()["error"], "invalid_grant");
    let heard = &it.heard()[0];
    assert_eq!(heard.header("X-Request-ID"), Some(answer.correlation().as_str()));
}

over_both! {
    fn a_consent_is_refreshed_checked_and_revoked(http) {
        let it = plain();
        let first = consent(&it.world);
        let second = it.world.call(http, refresh(&first)).good().json();
        assert_ne!(first["refresh_token"], second["refresh_token"]);
        let valid = it.world.call(http, username(&second, ANYBODY)).good().json();
        assert_eq!(valid["valid_username"], true);
        let valid = it.world.call(http, username(&second, "somebody-else")).good().json();
        assert_eq!(valid["valid_username"], false);
        let access = second["access_token"].as_str().unwrap();
        let answer = it.world.call(http, Ask::revoke().bank(FOREIGN).param("token", access)).good();
        assert!(answer.body.is_empty());
        it.world
            .call(http, username(&second, ANYBODY))
            .provided(401)
            .says("www-authenticate", "Bearer realm=\"corgate\", error=\"invalid_token\"");
        let paths: Vec<_> = it.heard().into_iter().map(|request| request.path).collect();
        let ends = ["token", "token", "introspect", "introspect", "revoke", "introspect"];
        assert_eq!(paths, ends.map(|end| format!("/oauth/{end}")));
        it.heard().iter().for_each(is_foreign);
    }
}

#[test]
fn userinfo_is_asked_with_the_clients_own_token() {
    let it = Foreign::oauth2(Duration::ZERO, "", "username = \"userinfo\"");
    let token = consent(&it.world);
    let valid = it.world.call(Http::One, username(&token, ANYBODY)).good().json();
    assert_eq!(valid["valid_username"], true);
    let heard = it.heard().pop().unwrap();
    assert_eq!((heard.method.as_str(), heard.path.as_str()), ("GET", "/oauth/userinfo"));
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    assert_eq!(heard.header("Authorization"), Some(bearer.as_str()));
    let other = Ask::username().bank(FOREIGN).set("Authorization", "Bearer unknown-token");
    it.world.call(Http::One, other).provided(401);
}

#[test]
fn a_refused_grant_is_the_banks_answer() {
    let it = plain();
    let answer = it.world.call(Http::One, Ask::token().bank(FOREIGN).param("code", "unknown-code"));
    assert_eq!(answer.provided(400).json()["error"], "invalid_grant");
}

#[test]
fn the_hubs_rejected_secret_is_not_the_clients_401() {
    // A certificate is no secret that the bank knows.
    let own = "{ client_id = \"hub\", client_secret = \"${file:hub.pem}\" }";
    let keys = format!("clients = {{ {CLIENT} = {own} }}");
    let it = Foreign::oauth2(Duration::ZERO, "", &keys);
    it.world
        .call(Http::One, Ask::token().bank(FOREIGN))
        .refused(502, "server_error", "target rejected the hub's credentials")
        .logged("credentials_rejected");
}

#[test]
fn each_call_is_signed_anew() {
    let it = Foreign::oauth2_signed(true, "key_id = \"hub-1\"\nusername = \"introspection\"");
    let token = consent(&it.world);
    let token = it.world.call(Http::One, refresh(&token)).good().json();
    let valid = it.world.call(Http::One, username(&token, ANYBODY)).good().json();
    assert_eq!(valid["valid_username"], true);
    let access = token["access_token"].as_str().unwrap();
    it.world.call(Http::One, Ask::revoke().bank(FOREIGN).param("token", access)).good();
    let heard = it.heard();
    heard.iter().for_each(is_foreign);
    let assertions: HashSet<_> = heard
        .iter()
        .map(|heard| {
            assert_eq!(heard.header("Authorization"), None);
            for name in ["client_id", "client_secret"] {
                assert_eq!(parameter(heard, name), None, "{heard:?}");
            }
            parameter(heard, "client_assertion").unwrap()
        })
        .collect();
    assert_eq!((heard.len(), assertions.len()), (4, 4));
}

#[test]
fn a_key_that_the_bank_does_not_know_is_not_the_clients_401() {
    let it = Foreign::oauth2_signed(false, "");
    it.world
        .call(Http::One, Ask::token().bank(FOREIGN))
        .refused(502, "server_error", "target rejected the hub's credentials")
        .logged("credentials_rejected");
}

#[test]
fn a_bank_that_fails() {
    let it = plain();
    let call = |code: &str| it.world.call(Http::One, magic(code));
    let unavailable = "target is temporarily unavailable";
    let busy = |answer: Answer| answer.refused(503, "temporarily_unavailable", unavailable);
    busy(call("sim-status-429")).logged("provider_busy");
    let failed = "target failed";
    call("sim-status-500").refused(502, "server_error", failed).logged("provider_failed");
    call("sim-html-502").refused(502, "server_error", failed).logged("provider_failed");
    let invalid = "target returned an invalid response";
    for code in ["sim-html-200", "sim-bad-json", "sim-no-token", "sim-redirect", "sim-html-404"] {
        call(code).refused(502, "server_error", invalid).logged("response_malformed");
    }
    call("sim-cookie").good();
    // The last, because nobody calls the bank until then.
    busy(call("sim-retry-after-7")).says("retry-after", "7").logged("provider_busy");
    assert_eq!(it.heard().len(), 10);
}

#[test]
fn what_the_dialect_can_not_say_is_not_asked() {
    let it = Foreign::oauth2(Duration::ZERO, "paths = { revoke = false }", "");
    it.world
        .call(Http::One, Ask::username().bank(FOREIGN))
        .refused(404, "invalid_request", "target has no username validation")
        .logged("username_not_spoken");
    it.world
        .call(Http::One, Ask::revoke().bank(FOREIGN))
        .refused(400, "unsupported_token_type", "target cannot revoke tokens")
        .logged("revoke_not_spoken");
    assert!(it.heard().is_empty());
}

#[test]
fn a_code_exchange_that_timed_out_is_never_sent_again() {
    let timeouts = "timeouts = { connect = \"10s\", first_byte = \"300ms\", total = \"20s\" }";
    let it = Foreign::oauth2(Duration::ZERO, timeouts, "");
    it.world
        .call(Http::One, magic("sim-hang"))
        .refused(504, "server_error", "target did not respond in time")
        .logged("response_timeout");
    it.world.call(Http::One, Ask::token().bank(FOREIGN)).good();
    assert_eq!(it.heard().len(), 2);
}

#[test]
fn a_refresh_that_may_have_been_carried_out_is_never_sent_again() {
    let it = Foreign::oauth2(Duration::ZERO, "rotates_refresh_tokens = true", "");
    for (count, token) in (1..).zip(["sim-reset", "sim-truncate", "sim-reset-mid", "sim-html-504"])
    {
        let ask = Ask::refresh().bank(FOREIGN).param("refresh_token", token);
        it.world.call(Http::One, ask).platform(502);
        assert_eq!(it.heard().len(), count, "{token}");
    }
}

#[test]
fn a_hundred_refreshes_at_once_are_one() {
    let it = Foreign::oauth2(Duration::from_secs(2), "rotates_refresh_tokens = true", "");
    let token = consent(&it.world);
    // Each has its connection before the first asks: the username check asks no bank here.
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let mut caller = it.world.client(Http::One, 1);
            caller.call(Ask::username().bank(FOREIGN)).platform(404);
            caller
        })
        .collect();
    let one = refresh(&token);
    let ask = || one.clone().set("X-Correlation-ID", unique("id"));
    let calls: Vec<_> = callers.into_iter().map(|caller| caller.call_meanwhile(ask())).collect();
    let answers: Vec<_> = calls.into_iter().map(|call| call.join().unwrap().good()).collect();
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    assert_eq!(it.heard().len(), 2);
    // And the token that all of them got is good.
    it.world.call(Http::One, refresh(&answers[0].json())).good();
}

#[test]
fn who_hangs_up_during_a_refresh_gets_its_token_later() {
    let lines = "rotates_refresh_tokens = true\nreplay_window = \"1m\"";
    let it = Foreign::oauth2(Duration::from_secs(1), lines, "");
    let token = consent(&it.world);
    let caller = it.world.client(Http::One, 1);
    let ask = refresh(&token);
    caller.call_and_leave(ask.clone(), Duration::from_millis(500));
    until("the refresh at the bank", || (it.heard().len() == 2).then_some(()));
    it.world.line(|line| line["client_gone"] == true);
    let again = ask.set("X-Correlation-ID", unique("id"));
    let second = it.world.call(Http::One, again).good().json();
    assert_ne!(token["refresh_token"], second["refresh_token"]);
    assert_eq!(it.heard().len(), 2);
    it.world.call(Http::One, refresh(&second)).good();
}

#[test]
fn without_a_replay_window_an_old_refresh_token_is_the_banks_affair() {
    let it = Foreign::oauth2(Duration::ZERO, "rotates_refresh_tokens = true", "");
    let token = consent(&it.world);
    it.world.call(Http::One, refresh(&token)).good();
    let answer = it.world.call(Http::One, refresh(&token)).provided(400);
    assert_eq!(answer.json()["error"], "invalid_grant");
    assert_eq!(it.heard().len(), 3);
}
