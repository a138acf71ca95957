//! The native contract `oxlin`: every endpoint of the seed with the seed's own samples, its
//! neighbours, and every refusal. Placeholders of the samples (`{id}`) are filled in.

mod auth;

use crate::ask::{Ask, unique};
use crate::native::{SYSTEM, Stage, UPSTREAM_BASE, said};

/// PGP-armoured, as it stands in a JSON text.
const PGP: &str = "\
    -----BEGIN PGP MESSAGE-----\\n\
    Version: BCPG v1.43\\n\
    \\n\
    hIwDwj9RkuzOAeMBA/9iuYDAGJ6QcZZaGLzF2hLNG+cdCIIZl3Yva9y+q12JpuIz\\n\
    hlsOuxdYaIQ/KVsQHj7tMULNkKrbLa6mzL2I/tzzbS1ZXXe43Xwcpk76zOPeqikx\\n\
    gjTT4ND0gz2NWu2rNAml9Fau/1MsMTNBWXQpBFHooa9QkamYB9MBux/BQKp0Mckl\\n\
    hERvVwT6pbXZu+aomrbksBonZYbFt66DQDq7lv3tpWOJht5m1Q==\\n\
    =a6mL\\n\
    -----END PGP MESSAGE-----\\n\
    ";

const CREDENTIALS: &str = "/connections/18902/channels/embedded1/user_input";
/// The client makes the connection itself.
const OWN_CALLBACK: &str = r#"{"use_client_redirect":true,
    "redirect_uri":"https://app.example/cb","redirect_state":"my%20state"}"#;
const FORM: &str = "application/x-www-form-urlencoded";

/// An API call as `curl` sends the seed's samples: a Bearer token and nothing else.
fn api(method: &str, path: &str, body: &str) -> Ask {
    let token = format!("Bearer {}", unique("oxlin-token"));
    Ask::native(method, &format!("/native{path}"), body).with("authorization", token)
}

/// What every API operation refuses: no token, another scheme, a broken token, another method.
#[track_caller]
fn guarded(stage: &Stage, ask: &Ask) {
    let none = ask.clone().without("authorization");
    stage.refuses_oauth(&none, 401, "invalid_token", "bearer_missing");
    let basic = ask.clone().set("authorization", "Basic b3hsaW46c2VjcmV0");
    stage.refuses_oauth(&basic, 401, "invalid_token", "bearer_scheme_wrong");
    let broken = ask.clone().set("authorization", "Bearer a,b");
    stage.refuses_oauth(&broken, 400, "invalid_request", "bearer_malformed");
    let method = ask.clone().method("PATCH");
    stage.refuses_oauth(&method, 405, "invalid_request", "method_refused");
}

/// A call with a JSON body passes without a `Content-Type`, as JSON, and as curl's default; what is
/// no JSON, or of another type, is refused.
#[track_caller]
fn takes_json(stage: &Stage, ask: &Ask, status: u16, location: Option<&str>) {
    let reply =
        location.map_or_else(|| said(status, ""), |at| said(status, "").with("location", at));
    for ask in [
        ask.clone(),
        ask.clone().with("Content-Type", "Application/json"),
        ask.clone().with("Content-Type", FORM),
    ] {
        let (_, answer) = stage.passes(&ask, reply.clone());
        assert_eq!(answer.header("location"), location);
    }
    guarded(stage, ask);
    let xml = ask.clone().with("Content-Type", "text/xml");
    stage.refuses_oauth(&xml, 415, "invalid_request", "media_type_refused");
    for bad in ["", "{", "a=b", "{} {}"] {
        let ask = ask.clone().body(bad);
        stage.refuses_oauth(&ask, 400, "invalid_request", "json_malformed");
    }
    let list = ask.clone().body("[]");
    stage.refuses_oauth(&list, 400, "invalid_request", "parameter_malformed");
}

/// Bodies that break one rule.
#[track_caller]
fn refuses_bodies(stage: &Stage, ask: &Ask, bodies: &[(&str, &str)]) {
    for (body, sentence) in bodies {
        let missing = sentence.ends_with("is required");
        let fault = if missing { "parameter_missing" } else { "parameter_malformed" };
        let answer = stage.refuses(&ask.clone().body(body), 400, fault);
        assert_eq!(answer.json()["error_description"], *sentence, "{body}");
    }
}

#[test]
fn what_is_read_passes_with_a_token_and_a_good_id() {
    let stage = Stage::new("oxlin");
    for path in [
        "/providers",
        "/providers/119",
        "/keys/87",
        "/queues/q-1",
        "/connections/18902",
        "/accounts",
        "/accounts?connection_id=18902&page=1&limit=50",
        "/transactions?account_id=7",
        "/users/me",
        "/users/7",
    ] {
        let ask = api("GET", path, "");
        stage.passes(&ask, said(200, r#"{"id":"1","name":"x"}"#));
        // Until the user accepts the terms, the system answers 401 to everything.
        stage.passes(&ask, said(401, r#"{"error":"user_action_required"}"#));
        guarded(&stage, &ask);
        let body = ask.clone().body("{}");
        stage.refuses_oauth(&body, 400, "invalid_request", "body_unexpected");
    }
    let gone = api("DELETE", "/users/7", "");
    stage.passes(&gone, said(204, ""));
    stage.refuses_oauth(
        &gone.clone().without("authorization"),
        401,
        "invalid_token",
        "bearer_missing",
    );
    stage.refuses_oauth(&gone.clone().body("{}"), 400, "invalid_request", "body_unexpected");
    stage.refuses_oauth(&gone.target("/native/users/me"), 405, "invalid_request", "method_refused");
    let long = api("GET", &format!("/keys/{}", "k".repeat(129)), "");
    stage.refuses_oauth(&long, 400, "invalid_request", "parameter_malformed");
    let page = api("GET", "/accounts?page=one", "");
    stage.refuses_oauth(&page, 400, "invalid_request", "parameter_malformed");
    for path in ["/keys/", "/keys/a/b", "/keys/..", "/keys/%2E%2E", "/v2.1/connections/1"] {
        stage.refuses_oauth(&api("GET", path, ""), 404, "invalid_request", "path_unknown");
    }
    let query = api("GET", "/keys/87?a=1", "");
    stage.refuses_oauth(&query, 400, "invalid_request", "query_refused");
}

#[test]
fn authorize_url_passes_in_both_spellings_and_its_location_comes_back() {
    let stage = Stage::new("oxlin");
    let by_channel = r#"{
"widget_params": {
"client_id": "{client_id}",
"client_secret": "{client_secret}",
"access_token": "{access_token}",
"provider_id": "87",
"redirect_uri": "https://your.callback.uri"
}
}"#;
    let hsbc = r#"{
"redirect_uri" : "https://api-client.example",
"widget_params" : {
"access_token" : "<access_token>",
"refresh_token" : "<refresh_token>",
"client_id" : "<client_id>",
"client_secret" : "<client_secret>",
"captive_mode" : false
}
}"#;
    let update = hsbc.replacen(
        '{',
        "{ \"connection_id\" : \"123\", \"channel_definition_id\" : \"redirect1\",",
        1,
    );
    let location = "https://hsbc.fr/ca-paris/authorize?response_type=code\
        &client_id=psdfr-bdf-16928&redirect_uri=https%3A%2F%2Fembed.oxlin.io%2Foauth2%2Faisp\
        &scope=aisp%20extended_transaction_history&state=s";
    let channels = "/providers/87/channels/8701/authorize_url";
    let definitions = "/providers/119/channel_definitions/100/authorize_url";
    for (path, body) in [
        (channels, by_channel),
        (channels, hsbc),
        (definitions, hsbc),
        (definitions, &update),
        (definitions, OWN_CALLBACK),
        (definitions, r#"{"redirect_uri":"https://app.example/cb"}"#),
        (definitions, &hsbc.replacen('{', "{\"use_client_redirect\":false,", 1)),
    ] {
        takes_json(&stage, &api("POST", path, body), 201, Some(location));
    }
}

#[test]
fn authorize_url_is_refused_for_a_pipe_and_for_two_callbacks() {
    let stage = Stage::new("oxlin");
    let definitions = "/providers/119/channel_definitions/100/authorize_url";
    let own = OWN_CALLBACK;
    let state = |state: &str| {
        let body = own.replace("my%20state", state);
        stage.refuses(&api("POST", definitions, &body), 400, "parameter_malformed")
    };
    for bad in ["a|b", "|", "a%7Cb", "a%7cb", "%7C", "%%7C", "%41%7c"] {
        let sentence = "redirect_state must not contain a pipe";
        assert_eq!(state(bad).json()["error_description"], sentence, "{bad}");
    }
    let params = r#""widget_params":{"access_token":"a","client_id":"b","client_secret":"c"}"#;
    let exactly = "redirect_uri is required, and widget_params only without client redirect";
    refuses_bodies(
        &stage,
        &api("POST", definitions, ""),
        &[
            ("{}", exactly),
            (r#"{"use_client_redirect":true}"#, exactly),
            (
                &format!(r#"{{{params},"use_client_redirect":true,"redirect_uri":"https://a"}}"#),
                exactly,
            ),
            (
                &format!(r#"{{{params},"redirect_uri":"http://a.example"}}"#),
                "redirect_uri is malformed",
            ),
            (&format!(r#"{{{params},"redirect_uri":"/cb"}}"#), "redirect_uri is malformed"),
            (
                r#"{"use_client_redirect":"true","redirect_uri":"https://a"}"#,
                "use_client_redirect must be true or false",
            ),
            (
                r#"{"widget_params":{"access_token":"a","client_id":"b"}}"#,
                "widget_params.client_secret is required",
            ),
        ],
    );
    let encoded = api("POST", "/providers/..%2f/channels/1/authorize_url", own);
    stage.refuses_oauth(&encoded, 404, "invalid_request", "path_unknown");
}

#[test]
fn keys_queues_and_users_are_created() {
    let stage = Stage::new("oxlin");
    let key = api("POST", "/keys", "{\n\"type\": \"PGP\"\n}");
    takes_json(&stage, &key, 201, Some("/keys/87"));
    refuses_bodies(
        &stage,
        &key,
        &[
            ("{}", "type is required"),
            (r#"{"type":"RSA"}"#, "type must be PGP"),
            (r#"{"type":1}"#, "type must be PGP"),
        ],
    );
    let queue = api("POST", "/queues/subscribe", "{\n\"topics\": [\"connections\"]\n}");
    takes_json(&stage, &queue, 201, Some("/queues/q-1"));
    refuses_bodies(
        &stage,
        &queue,
        &[
            ("{}", "topics is required"),
            (r#"{"topics":[]}"#, "topics is malformed"),
            (r#"{"topics":[""]}"#, "topics[] is malformed"),
            (r#"{"topics":"connections"}"#, "topics is malformed"),
        ],
    );
    let user = api("POST", "/users", r#"{"email":"anna@example.com","password":"secret-pass"}"#);
    takes_json(&stage, &user, 201, Some("/users/7"));
    refuses_bodies(
        &stage,
        &user,
        &[
            (r#"{"password":"b"}"#, "email is required"),
            (r#"{"email":"a"}"#, "password is required"),
            (r#"{"email":"","password":"b"}"#, "email is malformed"),
        ],
    );
}

#[test]
fn connections_are_created_and_updated() {
    let stage = Stage::new("oxlin");
    let create = format!(
        "{{\n\"provider_id\": \"87\",\n\"key_id\": \"k-1\",\n\"credentials\": [\n\
         {{ \"id\": \"300\", \"value\": \"dev\" }},\n{{ \"id\": \"301\", \"value\": \"{PGP}\" }},\n\
         {{ \"id\": \"302\", \"value\": \"https://www.dropbox.com/sanity.txt?dl=1\" }}\n]\n}}"
    );
    let ask = api("POST", "/connections", &create);
    takes_json(&stage, &ask, 201, Some("/connections/18902"));
    refuses_bodies(
        &stage,
        &ask,
        &[
            (&create.replace("\"key_id\": \"k-1\",", ""), "key_id is required"),
            (r#"{"credentials":[{"id":"1","value":"a"}]}"#, "provider_id is required"),
            (r#"{"provider_id":"87"}"#, "credentials is required"),
            (r#"{"provider_id":"87","credentials":[]}"#, "credentials is malformed"),
            (
                r#"{"provider_id":"87","credentials":[{"id":"1"}]}"#,
                "credentials[].value is required",
            ),
            (
                r#"{"provider_id":"87","credentials":[{"value":"1"}]}"#,
                "credentials[].id is required",
            ),
            (&create.replace("302", "300"), "credentials is malformed"),
        ],
    );
    let update = format!(
        "{{\n\"id\": \"embedded1\",\n\"key_id\": \"k-1\",\n\"credentials\": [\n\
         {{ \"id\": \"3500\", \"value\": \"0123456\" }},\n\
         {{ \"id\": \"3501\", \"value\": \"test\" }},\n\
         {{ \"id\": \"3502\", \"value\": \"{PGP}\" }}\n]\n}}"
    );
    let ask = api("PUT", "/connections/18902/channels/embedded1", &update);
    takes_json(&stage, &ask, 204, None);
    refuses_bodies(
        &stage,
        &ask,
        &[
            (r#"{"id":"embedded1"}"#, "credentials is required"),
            (&update.replace("\"key_id\": \"k-1\",", ""), "key_id is required"),
            (r#"{"credentials":{}}"#, "credentials is malformed"),
        ],
    );
    let one = api("PUT", "/connections/18902/credentials/3500", r#"{"value":"0123456"}"#);
    takes_json(&stage, &one, 204, None);
    refuses_bodies(
        &stage,
        &one,
        &[
            ("{}", "value is required"),
            (r#"{"value":7}"#, "value is malformed"),
            (&format!(r#"{{"value":"{PGP}"}}"#), "key_id is required"),
        ],
    );
}

#[test]
fn consents_are_given_account_by_account() {
    let stage = Stage::new("oxlin");
    let body = r#"{
"consents": [
{
"account_id": "a-1",
"consent": true
},
{
"account_id": "a-2",
"consent": false
}
]
}"#;
    let ask = api("PUT", "/connections/18902/consents", body);
    takes_json(&stage, &ask, 204, None);
    refuses_bodies(
        &stage,
        &ask,
        &[
            ("{}", "consents is required"),
            (r#"{"consents":[]}"#, "consents is malformed"),
            (&body.replace("true", "\"true\""), "consents[].consent must be true or false"),
            (&body.replace("a-2", "a-1"), "consents is malformed"),
            (r#"{"consents":[{"consent":true}]}"#, "consents[].account_id is required"),
            (r#"{"consents":[{"account_id":"a"}]}"#, "consents[].consent is required"),
        ],
    );
}

#[test]
fn a_challenges_answer_passes_also_with_a_name_that_stands_twice() {
    let stage = Stage::new("oxlin");
    let samples = [
        r#"{"credentials":[{"id":"304","value":"true"}]}"#,
        r#"{"credentials":[{"id":"304","value":"false"}]}"#,
        r#"{"credentials":[{"id":"306","value":"123456","id":"307","value":"true"}]}"#,
        r#"{"credentials":[{"id":"307","value":"false"}]}"#,
    ];
    for sample in samples {
        let ask = api("POST", CREDENTIALS, sample);
        takes_json(&stage, &ask, 204, None);
        let last = stage.heard().pop().unwrap();
        assert_eq!(last.body, sample.as_bytes());
        assert_eq!(last.path, format!("{UPSTREAM_BASE}{CREDENTIALS}"));
    }
    refuses_bodies(
        &stage,
        &api("POST", CREDENTIALS, ""),
        &[
            ("{}", "credentials is required"),
            (r#"{"credentials":[]}"#, "credentials is malformed"),
            (
                r#"{"credentials":[{"id":"306","value":"1","id":"307","value":7}]}"#,
                "credentials[].value is malformed",
            ),
            (r#"{"credentials":["304"]}"#, "credentials[] is malformed"),
        ],
    );
}

#[test]
fn a_limit_and_a_large_body_are_told_as_oauth_says() {
    let client = "targets = [\"*\"]\nlimit = { rate = \"3/h\", burst = 3 }";
    let stage = Stage::with("oxlin", &format!("target = \"{SYSTEM}\""), client, "");
    let ask = api("GET", "/accounts", "");
    stage.passes(&ask, said(200, "[]"));
    let large = api("POST", "/keys", &" ".repeat(100_000));
    stage.refuses_oauth(&large, 413, "invalid_request", "body_too_large");
    stage.refuses_oauth(&ask, 429, "temporarily_unavailable", "rate_limited");
}
