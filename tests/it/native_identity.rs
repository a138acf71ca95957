//! Who calls is the hub's to say, whatever a document of a system's own declares (CONTRACT 4.7).

use crate::ask::{Ask, CLIENT, unique};
use crate::native::{SYSTEM, Stage, said};

const DOCUMENT: &str = r"
openapi: 3.1.0
info: {title: Own, version: '1'}
x-corgate-native: true
paths:
  /plain:
    post:
      operationId: plain
      parameters:
        - {name: X-CorAPI-Client-ID, in: header, schema: {type: string}}
        - {name: X-CorAPI-Target-ID, in: header, schema: {type: string}}
        - {name: X-CorAPI-Source, in: header, schema: {type: string}}
        - {name: X-Correlation-ID, in: header, schema: {type: string}}
        - {name: Forwarded, in: header, schema: {type: string}}
        - {name: X-Forwarded-For, in: header, schema: {type: string}}
        - {name: x_forwarded_host, in: header, schema: {type: string}}
        - {name: Client-Cert, in: header, schema: {type: string}}
        - {name: Client-Cert-Chain, in: header, schema: {type: string}}
        - {name: Via, in: header, schema: {type: string}}
        - {name: traceparent, in: header, schema: {type: string}}
        - {name: tracestate, in: header, schema: {type: string}}
        - {name: X-Declared, in: header, schema: {type: string}}
      responses: {'200': {description: good}}
  /role:
    post:
      operationId: role
      parameters:
        - {name: X-Client, in: header, x-corgate-role: client-id, schema: {type: string}}
        - {name: client, in: query, x-corgate-role: client-id, schema: {type: string}}
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                on_behalf:
                  type: object
                  properties:
                    client: {type: string, x-corgate-role: client-id}
      responses: {'200': {description: good}}
  /dpop:
    post:
      operationId: dpop
      parameters:
        - {name: DPoP, in: header, schema: {type: string}}
      responses: {'200': {description: good}}
  /items/{id}:
    get:
      operationId: item
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
      responses: {'200': {description: good}}
";

/// What the client is called in the system's own words.
const OWN: &str = "client-as-the-system-has-it";

/// What only the hub may say, each once.
const ASSERTED: [(&str, &str); 10] = [
    ("X-CorAPI-Source", "PLATFORM"),
    ("X-CorAPI-Anything", "1"),
    ("Forwarded", "for=192.0.2.60"),
    ("X-Forwarded-For", "192.0.2.60"),
    ("X-Forwarded-Proto", "http"),
    ("Client-Cert", ":Zm9yZ2Vk:"),
    ("Client-Cert-Chain", ":Zm9yZ2Vk:"),
    ("Via", "1.1 forged"),
    ("traceparent", "00-11111111111111111111111111111111-2222222222222222-01"),
    ("tracestate", "forged=1"),
];

fn forged(ask: Ask) -> Ask {
    ASSERTED.iter().fold(ask, |ask, (name, value)| ask.with(name, value))
}

over_both! {
    fn a_document_that_declares_them_gets_the_hubs_own_and_no_other(http) {
        let stage = Stage::of_document(DOCUMENT);
        let id = unique("id");
        let ask = forged(Ask::native("POST", "/native/plain", "")).with("X-Declared", "passes");
        let ask = ask.with("X-Correlation-ID", &id);
        stage.world.call(http, ask).good();
        let heard = stage.heard().pop().unwrap();
        let all = |name: &str| heard.header_all(name);
        assert_eq!(all("x-corapi-client-id"), [CLIENT]);
        assert_eq!(all("x-corapi-target-id"), [SYSTEM]);
        assert_eq!(all("x-correlation-id"), [id.as_str()]);
        assert_eq!(all("via"), ["1.1 corgate"]);
        assert_eq!(all("x-declared"), ["passes"]);
        assert_eq!(all("traceparent").len(), 1);
        assert!(!all("traceparent")[0].contains("11111111111111111111111111111111"));
        let unsaid = ASSERTED.iter().filter(|(name, _)| !["Via", "traceparent"].contains(name));
        for (name, _) in unsaid {
            assert_eq!(all(name), Vec::<&str>::new(), "{name}");
        }
    }

    fn the_clients_own_word_for_who_it_is_must_be_the_hubs(http) {
        let stage = Stage::of_document(DOCUMENT);
        let plain = || Ask::native("POST", "/native/plain", "");
        stage.world.call(http, plain().with("X-CorAPI-Client-ID", CLIENT)).good();
        for (ask, status, fault) in [
            (plain().with("X-CorAPI-Client-ID", "CIDX0000000002"), 401, "client_mismatch"),
            (
                plain().with("X-CorAPI-Client-ID", CLIENT).with("X-CorAPI-Client-ID", CLIENT),
                400,
                "header_malformed",
            ),
            (plain().with("X-CorAPI-Target-ID", "IIDX00001"), 400, "target_unknown"),
        ] {
            stage.refuses(&ask, status, fault);
        }
    }

    fn a_role_on_a_field_a_query_or_a_member_is_held_to_the_caller(http) {
        let stage = Stage::of_document(DOCUMENT);
        let role = |query: &str, body: &str| {
            Ask::native("POST", &format!("/native/role{query}"), body)
                .with("Content-Type", "application/json")
        };
        let member = |id: &str| format!("{{\"on_behalf\":{{\"client\":\"{id}\"}}}}");
        let good = role(&format!("?client={OWN}"), &member(OWN)).with("X-Client", CLIENT);
        stage.world.call(http, good).good();
        stage.world.call(http, role("", "{}")).good();
        for heard in stage.heard() {
            assert_eq!(heard.header_all("x-client"), [CLIENT], "the hub writes it");
        }
        // Nobody else has this id: the tests of a process share its log, in which it is looked for.
        let other = "CIDX0000077777";
        let twice = format!("{{\"on_behalf\":{{\"client\":\"{OWN}\",\"client\":\"{other}\"}}}}");
        for ask in [
            role(&format!("?client={other}"), "{}"),
            role("", &member(other)),
            role("", &twice),
        ] {
            stage.refuses(&ask, 401, "form_client_mismatch");
        }
        stage.refuses(&role("", "{}").with("X-Client", other), 401, "client_mismatch");
    }

    fn a_proof_of_possession_travels_where_it_is_declared_and_is_refused_elsewhere(http) {
        let stage = Stage::of_document(DOCUMENT);
        stage.say(said(200, "{}").with("DPoP-Nonce", "a-nonce"));
        let proof = "e30.e30.c2lnbmF0dXJl";
        let ask = Ask::native("POST", "/native/dpop", "").with("DPoP", proof);
        let answer = stage.world.call(http, ask).good();
        assert_eq!(answer.header("dpop-nonce"), Some("a-nonce"));
        assert_eq!(stage.heard()[0].header_all("dpop"), [proof]);
        let ask = Ask::native("POST", "/native/plain", "").with("DPoP", proof);
        stage.refuses(&ask, 400, "dpop_refused");
    }

    fn a_path_that_two_servers_read_in_two_ways_is_none(http) {
        let stage = Stage::of_document(DOCUMENT);
        for good in ["7", "a-b_c~d.e", "a:b@c", "%41", "z%C3%BCrich", "..."] {
            stage.world.call(http, Ask::native("GET", &format!("/native/items/{good}"), "")).good();
        }
        let heard = stage.heard().len();
        for bad in [
            "..;", "..;/x", "%2e%2e", "%2e%2e;", "%2E%2E%3B", ".;", "7;jsessionid=1", "%3b",
            "%252e",
            "%252e%252e", "%252f", "%25", "%2f", "%2F..", "%5c", "%5C..", "", "/", "7/", "7//",
            "%3f",
            "%23", "%00", "%0a", "..", ".",
        ] {
            let answer =
                stage.world.call(http, Ask::native("GET", &format!("/native/items/{bad}"), ""));
            assert_eq!(answer.status, 404, "{bad}");
            answer.logged("path_unknown");
        }
        assert_eq!(stage.heard().len(), heard);
    }

    fn an_answer_that_is_compressed_is_decoded_in_a_native_mount(http) {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"{\"a\":1}").unwrap();
        let body = encoder.finish().unwrap();
        let stage = Stage::of_document(DOCUMENT);
        stage.say(said(200, "x").body(body.clone()).with("Content-Encoding", "gzip"));
        let answer = stage.world.call(http, Ask::native("GET", "/native/items/7", "")).good();
        assert_eq!(&answer.body[..], b"{\"a\":1}");
        assert_eq!(answer.header("content-encoding"), None);
        stage.say(said(200, "x").body(body).with("Content-Encoding", "br"));
        let answer = stage.world.call(http, Ask::native("GET", "/native/items/7", ""));
        assert_eq!(answer.status, 502);
        answer.logged("response_malformed");
    }
}

#[test]
fn a_query_that_two_servers_read_in_two_ways_is_refused() {
    let stage = Stage::of_document(DOCUMENT);
    let role = Ask::native("POST", &format!("/native/role?client={OWN};client=another"), "");
    stage.refuses(&role, 400, "parameter_malformed");
}
