//! The native contract `oxlin`: every endpoint of the seed with the seed's own samples, its
//! neighbours, and every refusal. Placeholders of the samples (`{id}`) are filled in.

use crate::ask::{Ask, unique};
use crate::native::{SYSTEM, Stage, UPSTREAM_BASE, said};

const PGP: &str = r"-----BEGIN PGP MESSAGE-----\nVersion: BCPG v1.43\n\nhIwDwj9RkuzOAeMBA/9iuYDAGJ6QcZZaGLzF2hLNG+cdCIIZl3Yva9y+q12JpuIz\nhlsOuxdYaIQ/KVsQHj7tMULNkKrbLa6mzL2I/tzzbS1ZXXe43Xwcpk76zOPeqikx\ngjTT4ND0gz2NWu2rNAml9Fau/1MsMTNBWXQpBFHooa9QkamYB9MBux/BQKp0Mckl\nhERvVwT6pbXZu+aomrbksBonZYbFt66DQDq7lv3tpWOJht5m1Q==\n=a6mL\n-----END PGP MESSAGE-----\n";

const CREDENTIALS: &str = "/connections/18902/channels/embedded1/user_input";
const ROPC: &str = "username=anna-oxlin&password=anna-password&grant_type=password\
    &client_id=oxlin-client&client_secret=oxlin-secret\
    &scope=openid%20profile%20accounts_read&provider=connect";
const FORM: &str = "application/x-www-form-urlencoded";

/// An API call as `curl` sends the seed's samples: a Bearer token and nothing else.
fn api(method: &str, path: &str, body: &str) -> Ask {
    let token = format!("Bearer {}", unique("oxlin-token"));
    Ask::native(method, &format!("/native{path}"), body).with("authorization", token)
}

fn token(form: &str) -> Ask {
    Ask::native("POST", "/native/token", form).with("Content-Type", FORM)
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
        let missing = sentence.ends_with("is required") && !sentence.starts_with("exactly");
        let fault = if missing { "parameter_missing" } else { "parameter_malformed" };
        let answer = stage.refuses(&ask.clone().body(body), 400, fault);
        assert_eq!(answer.json()["error_description"], *sentence, "{body}");
    }
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
    let own = r#"{"use_client_redirect":true,"redirect_uri":"https://app.example/cb",
        "redirect_state":"my%20state"}"#;
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
        (definitions, own),
    ] {
        takes_json(&stage, &api("POST", path, body), 201, Some(location));
    }
    let state = |state: &str| {
        let body = own.replace("my%20state", state);
        stage.refuses(&api("POST", definitions, &body), 400, "parameter_malformed")
    };
    for bad in ["a|b", "|", "a%7Cb", "a%7cb", "%7C", "%%7C", "%41%7c"] {
        let sentence = "redirect_state must not contain a pipe";
        assert_eq!(state(bad).json()["error_description"], sentence, "{bad}");
    }
    let params = r#""widget_params":{"access_token":"a","client_id":"b","client_secret":"c"}"#;
    let exactly = "exactly one of widget_params, use_client_redirect and redirect_uri is required";
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
    let encoded = api("POST", "/providers/..%2f/channels/1/authorize_url", by_channel);
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
         {{ \"id\": \"302\", \"value\": \"https://www.dropbox.com/s/2j3d/sanity.txt?dl=1\" }}\n]\n}}"
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
