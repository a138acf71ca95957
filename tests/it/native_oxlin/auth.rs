//! Oxlin's tokens and widgets.

use std::sync::Arc;

use corgate::routes::{Origin, Scheme};

use super::{FORM, refuses_bodies};
use crate::ask::{Ask, Http};
use crate::native::{Stage, said};
use crate::world::Setup;

const ROPC: &str = "username=anna-oxlin&password=anna-password&grant_type=password\
    &client_id=oxlin-client&client_secret=oxlin-secret\
    &scope=openid%20profile%20accounts_read&provider=connect";

fn token(form: &str) -> Ask {
    Ask::native("POST", "/native/token", form).with("Content-Type", FORM)
}

#[test]
fn the_seeds_three_token_calls_pass() {
    let stage = Stage::new("oxlin");
    let answer = r#"{"access_token":"xxxxxxxxxxxx","token_type":"Bearer","expires_in":3600}"#;
    let own = token("grant_type=client_credentials&scope=users_create")
        .with("Authorization", "Basic b3hsaW4tY2xpZW50Om94bGluLXNlY3JldA==");
    let refresh = "refresh_token=3495142fgte56fb3f13b&grant_type=refresh_token\
        &redirect_uri=https://app.example/cb&client_id=oxlin-client&client_secret=oxlin-secret";
    let refresh = token(refresh)
        .set("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
        .with("Accept", "application/json");
    for ask in [own, token(ROPC), refresh] {
        stage.passes(&ask, said(200, answer));
        stage.passes(&ask, said(401, r#"{"error":"invalid_client"}"#));
    }
    let json = r#"{"grant_type":"client_credentials","scope":"users_create","client_id":"a",
        "client_secret":"b-secret"}"#;
    let json = token(json).set("Content-Type", "application/json");
    stage.passes(&json, said(200, answer));
}

#[test]
fn the_token_call_goes_to_the_authorization_host() {
    let auth = crate::world::bank();
    let port = auth.address().port();
    let world = Setup::new()
        .more("[[api]]\ncontract = \"oxlin\"\nbase_path = \"/native\"\ntarget = \"IIDX00001\"\n")
        .edit(move |table| {
            let target = table.targets.get_mut("IIDX00001").and_then(Arc::get_mut).unwrap();
            target.auth_upstream =
                vec![Origin { scheme: Scheme::Https, host: "127.0.0.1".into(), port }];
        })
        .start();
    world.call(Http::One, token(ROPC));
    assert_eq!(auth.requests()[0].path, "/token");
    assert_eq!(auth.requests()[0].body, ROPC.as_bytes());
    world.bank_heard(0);
}

#[test]
fn token_calls_are_refused_as_oauth_says() {
    let stage = Stage::new("oxlin");
    let ropc = |from: &str, to: &str| token(&ROPC.replace(from, to));
    let basic = "Basic b3hsaW4tY2xpZW50Om94bGluLXNlY3JldA==";
    for (ask, status, error, fault) in [
        (ropc("grant_type=password&", ""), 400, "invalid_request", "parameter_missing"),
        (
            ropc("=password&", "=authorization_code&"),
            400,
            "unsupported_grant_type",
            "grant_unsupported",
        ),
        (ropc("=password&", "=magic&"), 400, "unsupported_grant_type", "grant_unsupported"),
        (ropc("username=anna-oxlin&", ""), 400, "invalid_request", "parameter_missing"),
        (ropc("password=anna-password&", ""), 400, "invalid_request", "parameter_missing"),
        (ropc("scope", "scopes"), 400, "invalid_request", "parameter_missing"),
        (ropc("profile", "everything"), 400, "invalid_scope", "parameter_refused"),
        (ropc("client_id=oxlin-client&", ""), 401, "invalid_client", "credentials_missing"),
        (ropc("&client_secret=oxlin-secret", ""), 401, "invalid_client", "credentials_missing"),
        (token(ROPC).with("Authorization", basic), 400, "invalid_request", "parameter_malformed"),
        (token(ROPC).with("Authorization", "Basic b"), 401, "invalid_client", "basic_malformed"),
        (token(ROPC).with("Authorization", "Bearer b"), 401, "invalid_client", "basic_malformed"),
        (
            token("grant_type=client_credentials&scope=users_create"),
            401,
            "invalid_client",
            "credentials_missing",
        ),
        (
            token("grant_type=refresh_token&client_id=a&client_secret=b"),
            400,
            "invalid_request",
            "parameter_missing",
        ),
        (
            ropc("&provider", "&scope=profile&provider"),
            400,
            "invalid_request",
            "parameter_repeated",
        ),
        (ropc("anna-oxlin", "%zz"), 400, "invalid_request", "form_malformed"),
        (
            token(ROPC).set("Content-Type", "text/plain"),
            415,
            "invalid_request",
            "media_type_refused",
        ),
        (token(ROPC).without("Content-Type"), 415, "invalid_request", "media_type_refused"),
        (token(ROPC).method("GET"), 405, "invalid_request", "method_refused"),
    ] {
        stage.refuses_oauth(&ask, status, error, fault);
    }
}

#[test]
fn the_widgets_session_and_its_pages_pass() {
    let stage = Stage::new("oxlin");
    let session = r#"{"access_token":"widget-token","refresh_token":"widget-refresh",
        "client_id":"oxlin-client","client_secret":"oxlin-secret","provider_id":"87",
        "redirect_uri":"https://app.example/cb","captive_mode":false}"#;
    let ask = Ask::native("POST", "/native/widget_session", session);
    let answer = r#"{"session_id":"s","_links":{"add_connection":"https://embed.oxlin.com"}}"#;
    stage.passes(&ask, said(200, answer));
    stage.passes(&ask.clone().with("Content-Type", "application/json"), said(200, answer));
    refuses_bodies(
        &stage,
        &ask,
        &[
            (r#"{"client_id":"a","client_secret":"b"}"#, "access_token is required"),
            (r#"{"access_token":"a","client_secret":"b"}"#, "client_id is required"),
            (r#"{"access_token":"a","client_id":"b"}"#, "client_secret is required"),
            (
                r#"{"access_token":"a","client_id":"b","client_secret":"c","captive_mode":"no"}"#,
                "captive_mode must be true or false",
            ),
        ],
    );
    let own = ask.clone().with("Authorization", "Bearer widget-token");
    stage.refuses_oauth(&own, 401, "invalid_client", "authorization_refused");
    stage.refuses_oauth(&ask.clone().method("GET"), 405, "invalid_request", "method_refused");
    for page in [
        "add_connection",
        "edit_credentials",
        "user_input",
        "terms",
        "professional-account",
        "manage_accounts",
    ] {
        let path = format!("/native/widget/{page}");
        let ask = Ask::native("GET", &path, "").with("Accept", "text/html,*/*;q=0.8");
        let good = ask.clone().query("session_id=s-1&lng=en&captive_mode=true&other=1");
        stage.passes(&good, said(200, "<html>").set("Content-Type", "text/html"));
        let expired = "https://app.example/cb?result=expired";
        let (_, answer) = stage.passes(&good, said(302, "").with("Location", expired));
        assert_eq!(answer.header("location"), Some(expired));
        for (query, fault) in [
            ("lng=en", "parameter_missing"),
            ("session_id=&lng=en", "parameter_missing"),
            ("session_id=s-1&lng=de", "parameter_malformed"),
            ("session_id=s-1&captive_mode=1", "parameter_malformed"),
            ("session_id=s-1&session_id=s-2", "parameter_repeated"),
        ] {
            let bad = ask.clone().query(query);
            stage.refuses_oauth(&bad, 400, "invalid_request", fault);
        }
        stage.refuses_oauth(&good.method("POST"), 405, "invalid_request", "method_refused");
    }
}
