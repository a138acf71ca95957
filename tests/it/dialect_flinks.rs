//! DIALECTS 5: bLink's calls at a bank behind Flinks.

use corgate::sim::flinks::Flinks;
use serde_json::{Value, json};

use crate::ask::{Ask, Http};
use crate::world::{FOREIGN, Foreign, World, is_foreign};

fn plain() -> Foreign<Flinks> {
    Foreign::flinks("", "dc-secret", "")
}

fn consent(world: &World) -> Value {
    world.call(Http::One, Ask::token().bank(FOREIGN)).good().json()
}

fn refresh(token: &Value) -> Ask {
    Ask::refresh().bank(FOREIGN).param("refresh_token", token["refresh_token"].as_str().unwrap())
}

fn revoke(token: &Value, kind: &str) -> Ask {
    Ask::revoke()
        .bank(FOREIGN)
        .param("token", token[kind].as_str().unwrap())
        .param("token_type_hint", kind)
}

fn asked(it: &Foreign<Flinks>) -> Vec<String> {
    let heard = it.heard();
    heard.into_iter().map(|request| format!("{} {}", request.method, request.path)).collect()
}

#[test]
fn a_code_is_exchanged_in_json() {
    let it = plain();
    let token = consent(&it.world);
    assert_eq!(token["token_type"], "bearer");
    assert_eq!(token["expires_in"], 300);
    let heard = &it.heard()[0];
    is_foreign(heard);
    assert_eq!(heard.header("Content-Type"), Some("application/json"));
    assert_eq!(heard.header("Authorization"), None);
    let body: Value = serde_json::from_slice(&heard.body).unwrap();
    let names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["grant_type", "client_id", "client_secret", "code", "redirect_uri"]);
    assert_eq!(
        (&body["client_id"], &body["client_secret"]),
        (&json!("dc-hub"), &json!("dc-secret"))
    );
    it.world.bank_heard(0);
}

over_both! {
    fn a_refresh_token_stays_and_is_repeated(http) {
        let it = plain();
        let first = consent(&it.world);
        for _ in 0..2 {
            let again = it.world.call(http, refresh(&first)).good().json();
            assert_eq!(again["refresh_token"], first["refresh_token"]);
            assert_ne!(again["access_token"], first["access_token"]);
        }
    }

    fn a_connection_ends_once_and_its_second_revocation_is_good(http) {
        let it = plain();
        let token = consent(&it.world);
        for kind in ["access_token", "refresh_token", "access_token"] {
            let answer = it.world.call(http, revoke(&token, kind)).good();
            assert!(answer.body.is_empty());
        }
        let answer = it.world.call(http, refresh(&token)).provided(400);
        assert_eq!(answer.json()["error"], "invalid_grant");
        let token = "POST /api/v1/token";
        let ended = "DELETE /api/v1/revoke";
        // A token that is over is looked for as the other kind, too.
        let calls = [token, ended, token, ended, ended, token, token];
        assert_eq!(asked(&it), calls);
    }
}

#[test]
fn a_refresh_token_is_revoked_through_a_refresh() {
    let it = Foreign::flinks("", "dc-secret", "revoke_method = \"POST\"");
    let token = consent(&it.world);
    it.world.call(Http::One, revoke(&token, "refresh_token")).good();
    it.world.call(Http::One, refresh(&token)).provided(400);
    let token = "POST /api/v1/token";
    assert_eq!(asked(&it), [token, token, "POST /api/v1/revoke", token]);
    it.heard().iter().for_each(is_foreign);
}

#[test]
fn a_form_is_sent_where_the_table_wants_one() {
    let it = Foreign::flinks("", "dc-secret", "body_encoding = \"form\"");
    consent(&it.world);
    let media = it.heard()[0].header("Content-Type").map(ToOwned::to_owned);
    assert_eq!(media.as_deref(), Some("application/x-www-form-urlencoded"));
}

#[test]
fn the_hubs_rejected_secret_is_not_the_clients_error() {
    let it = Foreign::flinks("", "another-secret", "");
    it.world
        .call(Http::One, Ask::token().bank(FOREIGN))
        .refused(502, "server_error", "target rejected the hub's credentials")
        .logged("credentials_rejected");
}

#[test]
fn what_the_dialect_can_not_say_is_not_asked() {
    let it = plain();
    it.world
        .call(Http::One, Ask::token().bank(FOREIGN).without_param("redirect_uri"))
        .refused(400, "invalid_request", "redirect_uri is required by this target")
        .logged("parameter_needed");
    it.world
        .call(Http::One, Ask::username().bank(FOREIGN))
        .refused(404, "invalid_request", "target has no username validation")
        .logged("username_not_spoken");
    assert!(it.heard().is_empty());
}

#[test]
fn a_flinks_that_fails() {
    let it = plain();
    let call = |code: &str| it.world.call(Http::One, Ask::magic(code).bank(FOREIGN));
    call("sim-status-500").refused(502, "server_error", "target failed").logged("provider_failed");
    for code in ["sim-status-403", "sim-html-200", "sim-bad-json"] {
        call(code)
            .refused(502, "server_error", "target returned an invalid response")
            .logged("response_malformed");
    }
    let ask = Ask::refresh().bank(FOREIGN).param("refresh_token", "sim-status-401");
    assert_eq!(it.world.call(Http::One, ask).provided(400).json()["error"], "invalid_grant");
    // The last, because nobody calls the bank until then.
    call("sim-retry-after-7")
        .refused(503, "temporarily_unavailable", "target is temporarily unavailable")
        .says("retry-after", "7")
        .logged("provider_busy");
    assert_eq!(it.heard().len(), 6);
}

#[test]
fn the_hub_answers_the_username_check_where_the_table_wants_it() {
    let it = Foreign::flinks("assert_username = true", "dc-secret", "");
    let ask = Ask::token().bank(FOREIGN).param("username", "anna-muster");
    let token = it.world.call(Http::One, ask).good().json();
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    for (name, valid) in [("anna-muster", true), ("beat-muster", false)] {
        let ask = Ask::username().bank(FOREIGN).set("Authorization", &bearer);
        let answer = it.world.call(Http::One, ask.param("username", name)).platform(200);
        assert_eq!(answer.json()["valid_username"], valid);
    }
    assert_eq!(it.heard().len(), 1);
}
