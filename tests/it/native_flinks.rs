//! The native contract `flinks`: every endpoint of the seeds, its neighbours, and every refusal.

use serde_json::{Value, json};

use crate::ask::{Ask, unique};
use crate::native::{SYSTEM, Stage, said};

/// Seed 002's query, in one line.
const AUTHORIZE: &str = "response_type=code&client_id=clientid\
    &redirect_uri=https%3A%2F%2Fexample.com%2Fcallback\
    &scope=ACCOUNT_BASIC%20ACCOUNT_DETAILED%20ACCOUNT_PAYMENTS%20INVESTMENTS%20TRANSACTIONS\
    %20STATEMENTS%20CUSTOMER_CONTACT%20CUSTOMER_PERSONAL\
    &state=state&provider_id=1000&correlation_id=fce84d61-dfa8-4e2b-bd94-f1ec6a445841";

const CLIENT: &str = "targets = [\"*\"]\nnative_client_ids = [\"clientid\"]\n\
    redirect_uris = [\"https://other.example/cb\", \"https://example.com/callback\"]";

fn stage() -> Stage {
    Stage::with("flinks", &format!("target = \"{SYSTEM}\""), CLIENT, "")
}

fn authorize(query: &str) -> Ask {
    Ask::native("GET", "/native/api/v1/authorize", "").query(query)
}

fn bearer(method: &str, path: &str) -> Ask {
    let token = format!("Bearer {}", unique("flinks-token"));
    Ask::native(method, &format!("/native{path}"), "").with("Authorization", token)
}

fn token(body: &Value) -> Ask {
    let ask = Ask::native("POST", "/native/api/v1/token", &body.to_string());
    ask.with("Content-Type", "application/json")
}

fn by_code() -> Value {
    json!({"grant_type": "authorization_code", "client_id": "dc-7tf8", "code": unique("code"),
        "client_secret": unique("secret"), "redirect_uri": "https://example.com/callback"})
}

fn without(mut body: Value, name: &str) -> Value {
    body.as_object_mut().unwrap().remove(name);
    body
}

fn but(mut body: Value, name: &str, value: impl Into<Value>) -> Value {
    body[name] = value.into();
    body
}

/// The call is answered by a redirect to the client's own URI, with these members.
#[track_caller]
fn redirected(stage: &Stage, query: &str, error: &str, fault: &str) {
    let answer = stage.refuses(&authorize(query), 302, fault);
    let location = answer.header("location").unwrap();
    let (uri, query) = location.split_once('?').unwrap();
    assert_eq!(uri, "https://example.com/callback");
    let pairs: Vec<_> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
    assert_eq!(pairs[0], ("error", error), "{location}");
    assert_eq!(pairs[1].0, "error_description");
    assert!(pairs[1].1.bytes().all(|b| b.is_ascii_alphanumeric() || b"%-._~".contains(&b)));
    assert!(answer.body.is_empty());
}

#[test]
fn the_seeds_authorization_passes_and_its_redirect_is_the_callers() {
    let stage = stage();
    for location in [
        "https://www.example.com/callback?code=code&state=state",
        "https://www.example.com/callback?error=access_denied&state=state",
    ] {
        let reply = said(302, "").with("Location", location);
        let (_, answer) = stage.passes(&authorize(AUTHORIZE), reply);
        assert_eq!(answer.header("location"), Some(location));
    }
    // An unknown parameter travels on; a browser's `Accept` is good.
    let more = authorize(&format!("{AUTHORIZE}&nonce=1%20x")).with("Accept", "text/html");
    stage.passes(&more, said(302, "").with("Location", "/relative?x=1"));
    stage.passes(&authorize(AUTHORIZE), said(400, r#"{"error":"invalid_request"}"#));
}

#[test]
fn without_a_trusted_redirect_uri_nobody_is_redirected() {
    let stage = stage();
    let with = |from: &str, to: &str| authorize(&AUTHORIZE.replace(from, to));
    for (ask, error, fault) in [
        (authorize(""), "invalid_request", "parameter_missing"),
        (with("client_id=clientid", "client_id="), "invalid_request", "parameter_missing"),
        (with("clientid", "another"), "invalid_client", "form_client_mismatch"),
        (with("&redirect_uri", "&redirect"), "invalid_request", "parameter_missing"),
        (with("%2Fcallback", "%2Fcallback2"), "invalid_request", "redirect_untrusted"),
        (with("%2Fcallback", "%2Fcallback%2F"), "invalid_request", "redirect_untrusted"),
        (with("https%3A", "http%3A"), "invalid_request", "redirect_untrusted"),
        (with("example.com", "EXAMPLE.com"), "invalid_request", "redirect_untrusted"),
        (with("&state=state", "&client_id=clientid"), "invalid_request", "parameter_repeated"),
        (with("state=state", "state=%zz"), "invalid_request", "parameter_malformed"),
    ] {
        stage.refuses_oauth(&ask, 400, error, fault);
    }
    let bare = Ask::native("GET", "/native/api/v1/authorize", "");
    stage.refuses_oauth(&bare, 400, "invalid_request", "parameter_missing");
    let post = authorize(AUTHORIZE).method("POST");
    stage.refuses_oauth(&post, 405, "invalid_request", "method_refused");
    // A client's own id is always good.
    let own = with("clientid", crate::ask::CLIENT);
    stage.passes(&own, said(302, "").with("Location", "https://example.com/callback?code=1"));
}

#[test]
fn once_it_is_trusted_every_error_is_a_redirect_there() {
    let stage = stage();
    let with = |from: &str, to: &str| AUTHORIZE.replace(from, to);
    for (query, error, fault) in [
        (with("=code&", "=token&"), "unsupported_response_type", "parameter_refused"),
        (with("response_type=code&", ""), "invalid_request", "parameter_missing"),
        (with("ACCOUNT_BASIC", "EVERYTHING"), "invalid_scope", "parameter_refused"),
        (with("ACCOUNT_BASIC%20", "ACCOUNT_BASIC%20%20"), "invalid_scope", "parameter_refused"),
        (with("&state=state", ""), "invalid_request", "parameter_missing"),
        (with("=1000", "=0"), "invalid_request", "parameter_malformed"),
        (with("=1000", "=bank"), "invalid_request", "parameter_malformed"),
        (with("fce84d61-", "fce84d61"), "invalid_request", "parameter_malformed"),
    ] {
        redirected(&stage, &query, error, fault);
    }
    let body = stage.refuses(&authorize(AUTHORIZE).body("x"), 302, "body_unexpected");
    assert!(body.header("location").unwrap().ends_with("&state=state"));
    let odd = stage.refuses(
        &authorize(&with("state=state", "state=a%26b%0D%0A%C3%BC&x=%")),
        400,
        "parameter_malformed",
    );
    assert_eq!(odd.header("location"), None);
    let odd = with("state=state", "state=a%26b%0D%0A%C3%BC").replace("=code&", "=x&");
    let answer = stage.refuses(&authorize(&odd), 302, "parameter_refused");
    assert!(answer.header("location").unwrap().ends_with("&state=a%26b%0D%0A%C3%BC"));
}

#[test]
fn a_data_provider_is_found_by_provider_id() {
    let client = CLIENT.replace("[\"*\"]", &format!("[\"{SYSTEM}\"]"));
    let stage = Stage::with("flinks", "target_query = \"provider_id\"", &client, "");
    let done = said(302, "").with("Location", "https://example.com/callback?code=1");
    stage.passes(&authorize(AUTHORIZE), done.clone());
    let other = AUTHORIZE.replace("=1000", "=1001");
    redirected(&stage, &other, "invalid_request", "parameter_malformed");
    let bank = AUTHORIZE.replace("provider_id=1000", "provider_id=IIDX00001");
    redirected(&stage, &bank, "unauthorized_client", "target_forbidden");
    // A call that names none goes to the client's only target.
    stage.passes(&token(&by_code()), said(200, "{}"));
    let down =
        Stage::with("flinks", "target_query = \"provider_id\"", CLIENT, "status = \"maintenance\"");
    redirected(&down, AUTHORIZE, "temporarily_unavailable", "target_maintenance");
}

#[test]
fn the_three_grants_pass_as_json_and_as_a_form() {
    let stage = stage();
    let answer = r#"{
  "access_token": "{access_token}",
  "token_type": "Bearer",
  "expires_in": 300,
  "refresh_token": "{refresh_token}"
}"#;
    let refresh = json!({"grant_type": "refresh_token", "client_id": "dc-7tf8",
        "client_secret": unique("secret"), "refresh_token": unique("refresh")});
    let own = json!({"grant_type": "client_credentials", "client_id": "dc-7tf8",
        "client_secret": unique("secret"), "scope": "client:admin"});
    for body in [by_code(), refresh.clone(), own] {
        stage.passes(&token(&body), said(200, answer));
        let form: Vec<_> = body
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
            .collect();
        let form = token(&body)
            .body(form.join("&"))
            .set("Content-Type", "application/x-www-form-urlencoded");
        stage.passes(&form, said(200, answer));
    }
    // White space, order and unknown members are the client's own.
    let spaced = format!(" {} \n", but(refresh, "more", json!({"a": [1, 1.5e3, null, true]})));
    stage.passes(&token(&Value::Null).body(spaced), said(400, r#"{"error":"invalid_grant"}"#));
}

#[test]
fn a_token_call_is_refused_with_400_also_where_the_client_is_unknown() {
    let stage = stage();
    for (body, error, fault) in [
        (without(by_code(), "grant_type"), "invalid_request", "parameter_missing"),
        (but(by_code(), "grant_type", "password"), "unsupported_grant_type", "grant_unsupported"),
        (but(by_code(), "grant_type", 7), "unsupported_grant_type", "grant_unsupported"),
        (without(by_code(), "client_id"), "invalid_client", "credentials_missing"),
        (without(by_code(), "client_secret"), "invalid_client", "credentials_missing"),
        (but(by_code(), "client_secret", ""), "invalid_client", "credentials_missing"),
        (without(by_code(), "code"), "invalid_request", "parameter_missing"),
        (without(by_code(), "redirect_uri"), "invalid_request", "parameter_missing"),
        (but(by_code(), "code", json!(["a"])), "invalid_request", "parameter_malformed"),
        (but(by_code(), "grant_type", "refresh_token"), "invalid_request", "parameter_missing"),
        (json!([]), "invalid_request", "parameter_malformed"),
    ] {
        stage.refuses_oauth(&token(&body), 400, error, fault);
    }
    let twice = token(&by_code()).body("{\"grant_type\":");
    stage.refuses_oauth(&twice, 400, "invalid_request", "json_malformed");
    let deep = token(&by_code()).body("[".repeat(100));
    stage.refuses_oauth(&deep, 400, "invalid_request", "json_malformed");
    let media = token(&by_code()).set("Content-Type", "text/json");
    stage.refuses_oauth(&media, 415, "invalid_request", "media_type_refused");
    let none = token(&by_code()).without("Content-Type");
    stage.refuses_oauth(&none, 415, "invalid_request", "media_type_refused");
    let get = token(&by_code()).method("GET");
    stage.refuses_oauth(&get, 405, "invalid_request", "method_refused");
    let query = token(&by_code()).query("a=1");
    stage.refuses_oauth(&query, 400, "invalid_request", "query_refused");
    let own = token(&by_code()).with("Authorization", "Basic YTpi");
    stage.refuses_oauth(&own, 400, "invalid_client", "authorization_refused");
    let accept = token(&by_code()).with("Accept", "text/html");
    stage.refuses_oauth(&accept, 406, "invalid_request", "not_acceptable");
}

#[test]
fn providers_and_revocation_want_a_bearer_token() {
    let stage = stage();
    for (method, path, status) in [
        ("GET", "/api/v1/providers", 200),
        ("GET", "/api/v2/providers?country=CA", 200),
        ("GET", "/api/v1/providers/4013", 200),
        ("DELETE", "/api/v1/revoke", 204),
        ("POST", "/api/v1/revoke", 204),
    ] {
        let ask = bearer(method, path);
        stage.passes(&ask, said(status, if status == 200 { "[]" } else { "" }));
        let none = ask.clone().without("Authorization");
        stage.refuses_oauth(&none, 400, "invalid_request", "bearer_missing");
        let basic = ask.clone().set("Authorization", "Basic YTpi");
        stage.refuses_oauth(&basic, 400, "invalid_request", "bearer_scheme_wrong");
        let broken = ask.clone().set("Authorization", "Bearer a b");
        stage.refuses_oauth(&broken, 400, "invalid_request", "bearer_malformed");
        stage.refuses_oauth(&ask.clone().method("PUT"), 405, "invalid_request", "method_refused");
        stage.refuses_oauth(&ask.body("{}"), 400, "invalid_request", "body_unexpected");
    }
    let far = bearer("GET", "/api/v2/providers?country=Canada");
    stage.refuses_oauth(&far, 400, "invalid_request", "parameter_malformed");
    for (path, status, fault) in [
        ("/api/v1/providers/none", 400, "parameter_malformed"),
        ("/api/v1/providers/", 404, "path_unknown"),
        ("/api/v1/providers/..", 404, "path_unknown"),
        ("/api/v1/providers/%2e%2e", 404, "path_unknown"),
        ("/api/v1/providers/1%2F2", 404, "path_unknown"),
    ] {
        stage.refuses_oauth(&bearer("GET", path), status, "invalid_request", fault);
    }
    let listed = bearer("GET", "/api/v1/providers").query("a=1");
    stage.refuses_oauth(&listed, 400, "invalid_request", "query_refused");
}

#[test]
fn an_empty_query_parameter_is_held_to_its_schema_where_it_is_forwarded() {
    let stage = stage();
    for path in ["/api/v2/providers?country=", "/api/v2/providers?country"] {
        stage.refuses_oauth(&bearer("GET", path), 400, "invalid_request", "parameter_malformed");
    }
    stage.refuses(&bearer("GET", "/accounts?limit=&offset=1"), 400, "parameter_malformed");
    // A schema that lets nothing be a value is kept by it.
    stage.passes(&bearer("GET", "/accounts?offset="), said(200, r#"{"accounts":[]}"#));
    // RFC 6749 section 3.1: there, it counts as left out.
    let done = said(302, "").with("Location", "https://example.com/callback?code=1");
    stage.passes(&authorize(&format!("{}&prompt=", AUTHORIZE.replace("=1000", "="))), done);
}

#[test]
fn data_access_is_refused_in_fdx() {
    let stage = stage();
    let ask = bearer("GET", "/accounts?limit=10").with("ob-correlation-id", "ob-1");
    let reply = said(200, r#"{"accounts":[]}"#).with("ob-trace-id", "t1");
    let (heard, answer) = stage.passes(&ask, reply.with("ob-correlation-id", "ob-1"));
    assert_eq!(heard.header("ob-correlation-id"), Some("ob-1"));
    assert_eq!(answer.header("ob-trace-id"), Some("t1"));
    stage.passes(&ask, said(401, r#"{"message":"Unauthorized"}"#));
    for (ask, status, code, fault) in [
        (ask.clone().without("Authorization"), 401, 602, "bearer_missing"),
        (ask.clone().set("Authorization", "Basic YTpi"), 401, 602, "bearer_scheme_wrong"),
        (ask.clone().set("Authorization", "Bearer \"x\""), 400, 401, "bearer_malformed"),
        (ask.clone().target("/native/accounts?limit=many"), 400, 401, "parameter_malformed"),
        (ask.clone().with("Accept", "text/plain"), 406, 1203, "not_acceptable"),
        (ask.clone().body("{}"), 400, 401, "body_unexpected"),
    ] {
        let answer = stage.refuses(&ask, status, fault);
        let json = answer.json();
        assert_eq!(json["code"], code);
        assert!(json["message"].is_string());
        let debug = json["debugMessage"].as_str().unwrap();
        assert!(debug.starts_with(fault) && debug.ends_with(&answer.correlation()), "{debug}");
        assert_eq!(answer.header("ob-correlation-id"), Some("ob-1"));
    }
    let post = stage.refuses(&ask.method("POST"), 405, "method_refused");
    assert_eq!(post.header("allow"), Some("GET"));
}
