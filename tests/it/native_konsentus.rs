//! The native contract `konsentus`: the seed's call, its neighbours, and every refusal.

use http::StatusCode;
use serde_json::Value;

use crate::answer::Answer;
use crate::ask::{Ask, unique};
use crate::native::{SYSTEM, Stage, said};

/// The seed's own body.
const BODY: &str = r#"{
    "auth_code": "333a5720w2jhklq14t",
    "redirect_uri": "https://www.google.com"
  }"#;
/// The seed's own answer, but for the comma that no JSON has.
const ANSWER: &str = r#"{
  "data": {
    "access_token": "8c9378f8-e27f-4e0a-a643-d73585d1249f",
    "expires_in": 31104000,
    "token_type": "bearer",
    "state": "example-state"
  }
}"#;

fn tokens() -> Ask {
    with_head(Ask::native("POST", "/native/v1/obie/tokens", BODY))
        .with("ccg_token", unique("ccg"))
        .with("Content-Type", "application/json")
}

fn with_head(ask: Ask) -> Ask {
    ask.with("Authorization", "Basic YXBpLWNvbnN1bWVyLWlkOnBhc3N3b3Jk")
        .with("fi_reference_id", "PSDGB-FCA-111111")
        .with("version", "1")
}

/// Every error of the answer; each has the four members, and the id is the correlation id.
#[track_caller]
fn errors(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.header("content-type"), Some("application/json;charset=UTF-8"));
    let json = answer.json();
    let errors = json["errors"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    assert!(!errors.is_empty());
    let text = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
    let one = |error: &Value| {
        assert_eq!(text(error, "id"), answer.correlation());
        assert_eq!(text(error, "link"), "about:blank");
        (text(error, "code"), text(error, "title"))
    };
    errors.iter().map(one).collect()
}

#[track_caller]
fn refused(stage: &Stage, ask: &Ask, status: u16, fault: &str, title: &str) {
    let answer = stage.refuses(ask, status, fault);
    let code = fault.to_ascii_uppercase().replace('_', "-");
    assert_eq!(errors(&answer), [(format!("HUB-{status}-{code}"), title.to_owned())]);
}

#[test]
fn the_seeds_call_passes_byte_for_byte() {
    let stage = Stage::new("konsentus");
    let ask = tokens();
    let (heard, _) = stage.passes(&ask, said(201, ANSWER));
    for name in ["fi_reference_id", "version", "ccg_token"] {
        assert_eq!(heard.header(name).map(str::as_bytes), ask.values(name).first().copied());
    }
    for status in [400, 401, 403, 429, 503] {
        let body = r#"{"errors":[{"id":"1","code":"c","title":"t","link":"l"}]}"#;
        stage.passes(&tokens(), said(status, body));
    }
    stage.passes(&tokens().set("version", "latest"), said(201, ANSWER));
    let typed = tokens().set("Content-Type", "Application/JSON; charset=utf-8");
    stage.passes(&typed, said(201, ANSWER));
}

#[test]
fn credentials_come_first() {
    let stage = Stage::new("konsentus");
    let missing = "Authorization header is required";
    // Also where all else is missing too.
    let bare = Ask::native("POST", "/native/v1/obie/tokens", "no json");
    refused(&stage, &bare, 401, "basic_missing", missing);
    refused(&stage, &tokens().without("Authorization"), 401, "basic_missing", missing);
    for bad in ["Bearer a-bearer-token", "Basic", "Basic bm9jb2xvbg==", "Basic %%%%"] {
        let ask = tokens().set("Authorization", bad);
        refused(&stage, &ask, 401, "basic_malformed", "Basic credentials are malformed");
    }
}

#[test]
fn another_content_type_is_a_406() {
    let stage = Stage::new("konsentus");
    let title = "Content-Type must be application/json";
    let missing = tokens().without("Content-Type").without("ccg_token");
    refused(&stage, &missing, 406, "media_type_refused", title);
    for bad in ["text/plain", "application/x-www-form-urlencoded", "application/json2"] {
        refused(&stage, &tokens().set("Content-Type", bad), 406, "media_type_refused", title);
    }
}

#[test]
fn one_wrong_field_is_told() {
    let stage = Stage::new("konsentus");
    let body = |body: &str| tokens().body(body);
    for name in ["fi_reference_id", "version", "ccg_token"] {
        let title = format!("{name} header is required");
        refused(&stage, &tokens().without(name), 400, "header_missing", &title);
    }
    let version = tokens().set("version", "2");
    refused(&stage, &version, 400, "header_malformed", "version must be 1 or latest");
    let empty = tokens().set("ccg_token", "");
    refused(&stage, &empty, 400, "header_malformed", "ccg_token is malformed");
    for bad in ["", "{", "auth_code=1", "{\"auth_code\":1,}", "[]{}"] {
        refused(&stage, &body(bad), 400, "json_malformed", "malformed JSON body");
    }
    refused(&stage, &body("[]"), 400, "parameter_malformed", "body is malformed");
    let code = r#"{"redirect_uri":"https://a.example"}"#;
    refused(&stage, &body(code), 400, "parameter_missing", "auth_code is required");
    for bad in ["\"\"", "1", "null", "[\"a\"]"] {
        let text = format!(r#"{{"auth_code":{bad},"redirect_uri":"https://a.example"}}"#);
        refused(&stage, &body(&text), 400, "parameter_malformed", "auth_code is malformed");
    }
    for bad in ["https://a.example#f", "a.example", "/cb", "https://a b"] {
        let text = format!(r#"{{"auth_code":"c","redirect_uri":"{bad}"}}"#);
        refused(&stage, &body(&text), 400, "parameter_malformed", "redirect_uri is malformed");
    }
}

#[test]
fn all_wrong_fields_are_told_at_once() {
    let stage = Stage::new("konsentus");
    let ask = tokens().without("fi_reference_id").without("ccg_token").set("version", "9");
    let answer = stage.refuses(&ask.body("{}"), 400, "several_wrong");
    let titles: Vec<_> = errors(&answer).into_iter().map(|(_, title)| title).collect();
    assert_eq!(
        titles,
        [
            "fi_reference_id header is required",
            "version must be 1 or latest",
            "ccg_token header is required",
            "auth_code is required",
            "redirect_uri is required",
        ]
    );
}

#[test]
fn method_path_query_size_and_fields_that_nobody_declared() {
    let stage = Stage::new("konsentus");
    for method in ["GET", "PUT", "DELETE"] {
        let ask = tokens().method(method);
        refused(&stage, &ask, 405, "method_refused", "method not allowed");
    }
    let nowhere = tokens().target("/native/v1/obie/token");
    refused(&stage, &nowhere, 404, "path_unknown", "unknown endpoint");
    refused(&stage, &tokens().query("a=1"), 400, "query_refused", "query string not allowed");
    let odd = tokens().with("eidas_cert", "x");
    refused(&stage, &odd, 400, "http_malformed", "malformed HTTP request");
    let large = tokens().body(vec![b' '; 100_000]);
    refused(&stage, &large, 413, "body_too_large", "request body too large");
    let gzip = tokens().with("Content-Encoding", "gzip");
    refused(&stage, &gzip, 415, "coding_refused", "content coding not supported");
}

#[test]
fn a_limit_is_told_in_the_same_words() {
    let mount = format!("target = \"{SYSTEM}\"\nerror_uri = \"https://hub.example/errors\"");
    let client = "targets = [\"*\"]\nlimit = { rate = \"2/h\", burst = 2 }";
    let stage = Stage::with("konsentus", &mount, client, "");
    stage.passes(&tokens(), said(201, ANSWER));
    let answer = stage.refuses(&tokens(), 429, "rate_limited");
    let error = &answer.json()["errors"][0];
    assert_eq!(error["code"], "HUB-429-RATE-LIMITED");
    assert_eq!(error["link"], "https://hub.example/errors");
    assert!(answer.seconds("retry-after") >= 1);
}

#[test]
fn a_system_that_answers_no_http_is_a_502_in_its_own_words() {
    let stage = Stage::new("konsentus");
    let reply = said(201, ANSWER).with("Connection", "close");
    stage.passes(&tokens(), reply);
    let status = StatusCode::BAD_GATEWAY;
    let mount = "target = \"IIDX00009\"";
    let (socket, port) = crate::world::closed_port();
    let world = crate::world::Setup::new()
        .more(&format!("\n[[api]]\ncontract = \"konsentus\"\nbase_path = \"/native\"\n{mount}\n"))
        .target_at("IIDX00009", port, "")
        .start();
    let answer = world.call(crate::ask::Http::One, tokens());
    drop(socket);
    assert_eq!(answer.status, status);
    assert_eq!(errors(&answer)[0].0, "HUB-502-CONNECT-FAILED");
}

#[test]
fn the_neighbours_pass_and_are_checked() {
    let stage = Stage::new("konsentus");
    let ask = |path: &str, token: &str, body: &str| {
        let ask = with_head(Ask::native("POST", &format!("/native{path}"), body));
        ask.with(token, unique(token)).with("Content-Type", "application/json")
    };
    let (consents, codes) = ("/v1/obie/account_access_consents", "/v1/obie/authorization_codes");
    for (path, token, good, bad, title) in [
        (
            consents,
            "ccg_token",
            r#"{"data":{"permissions":["ReadAccountsBasic"]}}"#,
            r#"{"data":{"permissions":[]}}"#,
            "data.permissions is malformed",
        ),
        (
            codes,
            "ccg_token",
            r#"{"consent_id":"1","psu_account_id":"2","redirect_uri":"a:/b","scope":"accounts"}"#,
            r#"{"consent_id":"1","psu_account_id":"2","redirect_uri":"a:/b","scope":"x"}"#,
            "scope must be payments or accounts",
        ),
        ("/v1/oauth2/authorization_codes", "eidas", "{}", "[]", "body is malformed"),
        (
            "/v1/oauth2/tokens",
            "eidas",
            r#"{"client_request_query_parameters":{"grant_type":"client_credentials"}}"#,
            r#"{"client_request_query_parameters":{"grant_type":"x"}}"#,
            "client_request_query_parameters.grant_type must be authorization_code or \
             client_credentials",
        ),
    ] {
        let good = ask(path, token, good);
        stage.passes(&good, said(201, "{\"data\":{}}"));
        let title_of_token = format!("{token} header is required");
        refused(&stage, &good.clone().without(token), 400, "header_missing", &title_of_token);
        refused(&stage, &good.body(bad), 400, "parameter_malformed", title);
    }
    let psp = with_head(Ask::native("GET", "/native/v1/psp/eidas?jurisdiction=de", ""));
    let psp = psp.with("eidas", unique("eidas"));
    stage.passes(&psp, said(200, "{}"));
    let far = psp.clone().target("/native/v1/psp/eidas?jurisdiction=germany");
    refused(&stage, &far, 400, "parameter_malformed", "jurisdiction is malformed");
    refused(&stage, &psp.body("{}"), 400, "body_unexpected", "request body not allowed");
}
