//! What compiles, and what each mistake in a document is told as.

mod forms;
mod native;
mod references;

use proptest::prelude::*;

use super::*;
use crate::contract::{AuthorizationPolicy, Waivers, built_in};
use crate::fault::Fault;
use http::{HeaderMap, HeaderValue, Method};

/// A small document; the tests replace parts of it.
const SMALL: &str = r"
openapi: 3.0.3
info: {title: Small, version: '1'}
paths:
  /a:
    post:
      operationId: a
      x-corgate-call: token
      parameters:
        - {name: X-A, in: header, schema: {type: string, minLength: 1}}
      requestBody:
        required: true
        content:
          application/x-www-form-urlencoded:
            schema:
              type: object
              properties:
                p: {type: string}
      responses:
        '200': {description: fine}
components:
  schemas:
    S: {type: string}
";

fn small(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    SMALL.replace(from, to)
}

fn errors(document: &str) -> Vec<(String, String)> {
    let errors = compile("small", document).err().unwrap_or_default();
    errors.into_iter().map(|error| (error.pointer, error.message)).collect()
}

/// Compiles a changed document, and asks for one error at `pointer` that says `part`.
#[track_caller]
fn refuses(from: &str, to: &str, pointer: &str, part: &str) {
    let errors = errors(&small(from, to));
    let [(at, message)] = errors.as_slice() else { panic!("{errors:#?}") };
    assert_eq!(at, pointer, "{message}");
    assert!(message.contains(part), "{message}");
}

fn form(contract: &Contract, body: &str) -> Result<(), Fault> {
    contract.operations[0].body.check(body.as_bytes(), Waivers::default()).map(drop)
}

const SCHEMA: &str =
    "/paths/~1a/post/requestBody/content/application~1x-www-form-urlencoded/schema";

#[test]
fn the_built_in_contracts_say_what_the_seed_says() {
    for name in ["blink-fi", "blink-six"] {
        let contract = built_in(name);
        assert_eq!(&*contract.name, name);
        assert!(contract.native.is_none() && contract.title.contains("bLink"));
        assert_eq!(&*contract.version, format!("2.0.15.1-{}", &name[6..]));
        let both = vec![200, 400, 401, 403, 406, 415, 500, 502, 504];
        let username = vec![200, 400, 401, 403, 404, 500];
        let operations: Vec<_> = contract
            .operations
            .iter()
            .map(|o| (&*o.id, &*o.path, &o.method, o.statuses.clone(), o.open_to_suspended))
            .collect();
        assert_eq!(
            operations,
            [
                ("token", "/oauth/token", &Method::POST, both.clone(), false),
                ("revoke", "/oauth/revoke", &Method::POST, both, true),
                ("username", "/oauth/username", &Method::POST, username, false),
            ]
        );
    }
}

#[test]
fn a_small_document_compiles_in_yaml_and_in_json() {
    let yaml = compile("small", SMALL).unwrap();
    let json = serde_json::to_string(&load::load(SMALL).unwrap()).unwrap();
    assert_eq!(format!("{yaml:?}"), format!("{:?}", compile("small", &json).unwrap()));
    assert_eq!(form(&yaml, "q=1"), Ok(()));
}

#[test]
fn every_mistake_is_told_at_once() {
    let document = small("type: object\n", "type: object\n              minProperties: 1\n")
        .replace("title: Small", "titel: Small")
        .replace("minLength: 1", "minimum: 1")
        .replace("operationId: a", "operationId: a\n      callbacks: {}");
    let places: Vec<String> = errors(&document).into_iter().map(|error| error.0).collect();
    let schema = format!("{SCHEMA}/minProperties");
    assert_eq!(
        places,
        [
            "/info/titel",
            "/info",
            "/paths/~1a/post/callbacks",
            "/paths/~1a/post/parameters/0/schema/minimum",
            &schema,
        ]
    );
}

#[test]
fn keywords_that_are_not_understood_are_named_by_their_pointer() {
    refuses("openapi: 3.0.3", "openapi: 3.0.3\nwebhooks: {}", "/webhooks", "not understood");
    refuses("  schemas:\n", "  callbacks: {}\n  schemas:\n", "/components/callbacks", "understood");
    let pointer = format!("{SCHEMA}/properties/p/nullable");
    refuses("p: {type: string}", "p: {type: string, nullable: true}", &pointer, "nullable");
    refuses(
        "in: header,",
        "in: header, explode: true,",
        "/paths/~1a/post/parameters/0/explode",
        "",
    );
    refuses(
        "{description: fine}",
        "{description: x, links: {}}",
        "/paths/~1a/post/responses/200/links",
        "",
    );
}

#[test]
fn extensions_of_ours_must_be_known_and_those_of_others_are_theirs() {
    assert!(errors(&small("operationId: a", "operationId: a\n      x-logo: 1")).is_empty());
    let at = "/paths/~1a/post/x-corgate-cal";
    refuses(
        "x-corgate-call: token",
        "x-corgate-call: token\n      x-corgate-cal: 1",
        at,
        "x-corgate-call",
    );
    refuses("  /a:", "  x-corgate-a: {}\n  /a:", "/paths/x-corgate-a", "not understood");
    refuses(
        "x-corgate-call: token",
        "x-corgate-call: par",
        "/paths/~1a/post/x-corgate-call",
        "token, revoke, username",
    );
    refuses("      x-corgate-call: token\n", "", "/paths/~1a/post", "`x-corgate-call` is required");
    let at = "/paths/~1a/post/parameters/0/x-corgate-role";
    refuses(
        "in: header,",
        "in: header, x-corgate-role: caller,",
        at,
        "correlation-id, client-id, target-id",
    );
    for sentence in ["'say \"no\"'", "''", &"a".repeat(201), "'back\\slash'", "é"] {
        let to = format!("in: header, x-corgate-refusal: {sentence},");
        refuses("in: header,", &to, "/paths/~1a/post/parameters/0/x-corgate-refusal", "ASCII");
    }
    let longest = format!("in: header, x-corgate-refusal: {},", "a".repeat(200));
    assert!(errors(&small("in: header,", &longest)).is_empty());
    for (extension, part) in [
        ("x-corgate-role: target-id", "client-id"),
        ("x-corgate-waiver: all", "username_on_refresh"),
        ("x-corgate-error: nope", "unsupported_grant_type"),
        ("x-corgate-missing: x", "not understood"),
    ] {
        let to = format!("p: {{type: string, {extension}}}");
        let key = extension.split(':').next().unwrap();
        refuses("p: {type: string}", &to, &format!("{SCHEMA}/properties/p/{key}"), part);
    }
    let to = "p: {type: string, x-corgate-waiver: username_on_refresh}";
    refuses("p: {type: string}", to, &format!("{SCHEMA}/properties/p"), "waives nothing");
}

#[test]
fn ranges_and_default_say_how_an_answer_looks_and_list_no_status() {
    let fine = "'200': {description: fine}";
    let more = ["4XX", "5XX", "default"].map(|it| format!("\n        {it}: {{description: x}}"));
    let contract = compile("small", &small(fine, &format!("{fine}{}", more.concat()))).unwrap();
    assert_eq!(contract.operations[0].statuses, [200]);
    for status in ["4xx", "4X", "6XX", "20", "0200", "999"] {
        let at = format!("/paths/~1a/post/responses/{status}");
        refuses("'200'", &format!("'{status}'"), &at, "three digits, a range");
    }
}

#[test]
fn what_is_not_supported_yet_says_so() {
    refuses("  /a:", "  /a/{b}:", "/paths/~1a~1{b}", "not supported yet: a path with a template");
    refuses("  /a:", "  a:", "/paths/a", "must start with `/`");
    refuses(
        "in: header",
        "in: query",
        "/paths/~1a/post/parameters/0/in",
        "not supported yet: a parameter in `query`",
    );
    let content = "/paths/~1a/post/requestBody/content/application~1json";
    refuses(
        "application/x-www-form-urlencoded:",
        "application/json:",
        content,
        "not supported yet: a body",
    );
    refuses(
        "required: true",
        "required: false",
        "/paths/~1a/post/requestBody/required",
        "not supported yet",
    );
    refuses("openapi: 3.0.3", "openapi: 2.0.0", "/openapi", "3.0 and 3.1");
    let at = format!("{SCHEMA}/properties/p/type");
    refuses("p: {type: string}", "p: {type: integer}", &at, "not supported yet: only `string`");
    let at = format!("{SCHEMA}/additionalProperties");
    refuses(
        "type: object",
        "type: object\n              additionalProperties: {}",
        &at,
        "not supported yet",
    );
    refuses(
        "name: X-A",
        "name: Authorization",
        "/paths/~1a/post/parameters/0/name",
        "use `security`",
    );
    refuses("name: X-A", "name: 'X A'", "/paths/~1a/post/parameters/0/name", "no header name");
}

#[test]
fn an_operations_parameter_takes_the_place_of_its_paths() {
    let common = "  /a:\n    parameters:\n      \
                  - {name: x-a, in: header, required: true, schema: {}}\n      \
                  - {name: X-B, in: header, required: true, schema: {}}";
    let contract = compile("small", &small("  /a:", common)).unwrap();
    let head = &contract.operations[0].head;
    assert_eq!(head.fields(&HeaderMap::new()), Err(Fault::HeaderMissing("X-B".into())));
    let twice =
        "{name: x-a, in: header, schema: {}}\n        - {name: X-A, in: header, schema: {}}";
    let from = "{name: X-A, in: header, schema: {type: string, minLength: 1}}";
    refuses(from, twice, "/paths/~1a/post/parameters/1", "stands twice");
}

#[test]
fn security_is_bearer_or_mutual_tls_and_an_operations_own_wins() {
    let with = |security: &str, schemes: &str| {
        small(
            "components:",
            &format!("security: {security}\ncomponents:\n  securitySchemes: {schemes}"),
        )
    };
    let wants =
        |document: &str| compile("small", document).unwrap().operations[0].head.wants_bearer();
    let schemes = "{b: {type: http, scheme: Bearer}, m: {type: mutualTLS}}";
    assert!(wants(&with("[{b: []}]", schemes)) && wants(&with("[{b: [], m: []}]", schemes)));
    assert!(!wants(&with("[{m: []}]", schemes)) && !wants(&with("[]", schemes)));
    let own =
        with("[{b: []}]", schemes).replace("operationId: a", "operationId: a\n      security: []");
    assert!(!wants(&own));
    for (security, schemes, pointer) in [
        ("[{b: []}, {m: []}]", schemes, "/security"),
        ("[{x: []}]", schemes, "/security/0/x"),
        ("[{b: [scope]}]", schemes, "/security/0/b"),
        ("[{b: []}]", "{b: {type: http, scheme: basic}}", "/security/0/b"),
        ("[{b: []}]", "{b: {type: apiKey}}", "/components/securitySchemes/b/type"),
    ] {
        assert_eq!(errors(&with(security, schemes))[0].0, pointer, "{security}");
    }
}

#[test]
fn operation_ids_are_unique_and_a_path_has_its_methods() {
    let second = SMALL.split("  /a:").nth(1).unwrap().split("components:").next().unwrap();
    let document = small("components:", &format!("  /b:{second}components:"));
    assert!(errors(&document)[0].1.contains("two operations"));
    let put = second.replace("    post:", "    put:").replace("operationId: a", "operationId: b");
    let contract =
        compile("small", &small("components:", &format!("{}components:", &put[1..]))).unwrap();
    assert_eq!(&*contract.find(&Method::PUT, "/a").unwrap().id, "b");
    let refused = contract.find(&Method::GET, "/a").unwrap_err();
    assert_eq!(refused, Fault::MethodRefused("PUT, POST".into()));
    assert_eq!(contract.find(&Method::POST, "/a/").unwrap_err(), Fault::PathUnknown);
}

#[test]
fn media_types_of_answers_are_gathered() {
    let fine =
        "{description: x, content: {'application/problem+json; charset=utf-8': {}, text/csv: {}}}";
    let contract = compile("small", &small("{description: fine}", fine)).unwrap();
    let check = |accept| {
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static(accept));
        headers
            .insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
        contract.operations[0].head.media(&headers)
    };
    assert_eq!((check("text/*"), check("application/problem+json")), (Ok(()), Ok(())));
    assert_eq!(check("application/json"), Err(Fault::NotAcceptable));
    let authorization =
        contract.operations[0].head.authorization(&HeaderMap::new(), AuthorizationPolicy::Refuse);
    assert_eq!(authorization, Ok(()));
    refuses(
        "{description: fine}",
        "{description: x, content: {json: {}}}",
        "/paths/~1a/post/responses/200/content/json",
        "no media type",
    );
}

#[test]
fn an_error_prints_its_place() {
    let error = |pointer: &str| CompileError { pointer: pointer.into(), message: "no".into() };
    assert_eq!((error("").to_string(), error("/a").to_string()), ("/: no".into(), "/a: no".into()));
}

proptest! {
    #[test]
    fn any_document_is_refused_with_a_reason(document: String) {
        let errors = compile("any", &document).unwrap_err();
        prop_assert!(!errors.is_empty());
    }

    #[test]
    fn a_built_in_with_a_part_cut_or_doubled_is_compiled_without_a_panic(
        from in 0_usize..12_000,
        bytes in 0_usize..400,
        doubled: bool,
    ) {
        let (_, document) = Contract::BUILT_IN[0];
        let from = from.min(document.len());
        let to = (from + bytes).min(document.len());
        let (Some(head), Some(part), Some(tail)) =
            (document.get(..from), document.get(from..to), document.get(to..))
        else {
            return Ok(());
        };
        let middle = if doubled { part.repeat(2) } else { String::new() };
        if let Err(errors) = compile("cut", &format!("{head}{middle}{tail}")) {
            prop_assert!(!errors.is_empty());
        }
    }
}
