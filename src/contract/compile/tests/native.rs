//! What compiles in a native document, and what each mistake in one is told as.

use super::*;
use crate::contract::{ErrorFormat, Failure};
use crate::oauth::form::Form;

/// A small native document; the tests replace parts of it.
const NATIVE: &str = r"
openapi: 3.1.0
info: {title: Native, version: '1'}
x-corgate-native: true
paths:
  /a/{id}:
    put:
      operationId: putA
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
        - {name: q, in: query, schema: {type: string}}
        - {name: odd_name, in: header, schema: {type: string}}
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                list: {type: array, items: {type: integer}}
      responses:
        '204': {description: done, headers: {X-More: {schema: {type: string}}}}
components:
  schemas:
    S: {type: object}
";

fn native(from: &str, to: &str) -> String {
    assert!(NATIVE.contains(from), "{from}");
    NATIVE.replace(from, to)
}

#[track_caller]
fn refuses_native(from: &str, to: &str, pointer: &str, part: &str) {
    let errors = errors(&native(from, to));
    let told = errors.iter().any(|(at, message)| at == pointer && message.contains(part));
    assert!(told, "{errors:#?}");
}

const OPERATION: &str = "/paths/~1a~1{id}/put";
const SCHEMA: &str = "/paths/~1a~1{id}/put/requestBody/content/application~1json/schema";

#[test]
fn a_native_document_compiles() {
    let contract = compile("native", NATIVE).unwrap();
    assert_eq!(contract.native.as_ref().unwrap().format, ErrorFormat::Oauth);
    let operation = contract.find(&Method::PUT, "/a/7").unwrap();
    let rules = operation.native().unwrap();
    assert!(rules.takes_query() && !rules.takes_authorization() && !rules.reports_all);
    assert_eq!(rules.answer_fields, ["x-more"]);
    assert_eq!(
        operation.head.declared().map(http::HeaderName::as_str).collect::<Vec<_>>(),
        ["odd_name"]
    );
}

#[test]
fn every_extension_is_read_and_an_unknown_one_refused() {
    let top = "x-corgate-native: true\nx-corgate-errors: konsentus\n\
        x-corgate-failures: {media_type: {status: 406}, \
        bearer: {status: 400, error: access_denied}}";
    let own = "operationId: putA\n      x-corgate-errors: fdx\n      x-corgate-failures: {}\n      \
        x-corgate-report: all\n      x-corgate-redirect-errors: true\n      \
        x-corgate-host: auth\n      \
        x-corgate-basic-replaces: [a]";
    let document = native("x-corgate-native: true", top).replace("operationId: putA", own);
    let contract = compile("native", &document).unwrap();
    let style = contract.native.as_ref().unwrap();
    assert_eq!(style.format, ErrorFormat::Konsentus);
    let failures: Vec<_> = style.failures.iter().map(|rule| (rule.failure, rule.status)).collect();
    assert_eq!(failures, [(Failure::Bearer, 400), (Failure::MediaType, 406)]);
    let rules = contract.operations[0].native().unwrap();
    assert_eq!((rules.style.format, rules.style.failures.len()), (ErrorFormat::Fdx, 0));
    assert!(rules.reports_all && rules.redirects_errors && rules.on_auth_host);

    let id = "operationId: putA";
    let with = |line: &str| format!("{id}\n      {line}");
    let at = |key: &str| format!("{OPERATION}/{key}");
    for (line, key, part) in [
        ("x-corgate-reports: all", "x-corgate-reports", "not understood"),
        ("x-corgate-call: token", "x-corgate-call", "not understood"),
        ("x-corgate-report: some", "x-corgate-report", "one of"),
        ("x-corgate-errors: fun", "x-corgate-errors", "one of"),
        ("x-corgate-host: moon", "x-corgate-host", "one of"),
        ("x-corgate-failures: {bearer: {status: 200}}", "x-corgate-failures/bearer/status", "400"),
        ("x-corgate-failures: {all: {status: 400}}", "x-corgate-failures/all", "not understood"),
    ] {
        refuses_native(id, &with(line), &at(key), part);
    }
    refuses_native(id, "operationId: token", &at("operationId"), "consent flow");
    refuses("info:", "x-corgate-errors: fdx\ninfo:", "/x-corgate-errors", "x-corgate-native");
}

#[test]
fn templates_parameters_and_methods_are_held_together() {
    refuses_native("/a/{id}:", "/a/x{id}:", "/paths/~1a~1x{id}", "whole segment");
    refuses_native("/a/{id}:", "/a/{id}/{other}:", "/paths/~1a~1{id}~1{other}/put", "no path");
    refuses_native("/a/{id}:", "/a:", "/paths/~1a/put", "has no `{id}`");
    refuses_native(
        "required: true",
        "required: false",
        &format!("{OPERATION}/parameters/0"),
        "must",
    );
    refuses_native("in: query", "in: cookie", &format!("{OPERATION}/parameters/1"), "only header");
    let number = "name: q, in: query, schema: {type: integer}";
    let at = format!("{OPERATION}/parameters/1/schema");
    refuses_native("name: q, in: query, schema: {type: string}", number, &at, "text");
    refuses_native("    put:", "    patch:", "/paths/~1a~1{id}/patch", "only get");
    let answer = format!("{OPERATION}/responses/204/headers/Set-Cookie");
    refuses_native("X-More", "Set-Cookie", &answer, "can't carry");
    let role = "name: odd_name, in: header, x-corgate-role: target-id";
    let at = format!("{OPERATION}/parameters/2");
    refuses_native("name: odd_name, in: header", role, &at, "routes.toml");
}

#[test]
fn keywords_of_json_schemas_are_enforced_or_refused() {
    let list = "{type: array, items: {type: integer}}";
    for (to, below, part) in [
        ("{type: array}", "properties/list", "`items` is required"),
        ("{type: array, items: {}, uniqueItems: true}", "properties/list/uniqueItems", "not unde"),
        ("{type: [string]}", "properties/list/type", "must be a text"),
        ("{type: 'null'}", "properties/list/type", "not supported yet"),
        ("{type: integer, minimum: a}", "properties/list/minimum", "must be a number"),
        ("{type: boolean, const: true}", "properties/list/const", "not understood"),
        ("{type: string, pattern: '(?=a)'}", "properties/list/pattern", ""),
        ("{type: object, allOf: []}", "properties/list/allOf", "not understood"),
        ("{type: string, x-corgate-error: odd}", "properties/list/x-corgate-error", "one of"),
    ] {
        refuses_native(list, to, &format!("{SCHEMA}/{below}"), part);
    }
    let chosen = "type: object\n              \
        oneOf: [{$ref: '#/components/schemas/S'}]\n              \
        discriminator: {propertyName: k, mapping: {}}";
    refuses_native(
        "type: object\n              properties",
        &format!("{chosen}\n              properties"),
        &format!("{SCHEMA}/oneOf/0"),
        "mapping",
    );
    let xml = "application/xml:";
    let at = format!("{OPERATION}/requestBody/content/application~1xml");
    refuses_native("application/json:", xml, &at, "JSON or a form");
}

#[test]
fn numbers_lists_and_closed_objects() {
    let list = "{type: array, items: {type: integer}}";
    let rules = "{type: array, minItems: 1, maxItems: 2, items: {type: integer, minimum: 1}}";
    let document = native(list, rules)
        .replace("properties:", "additionalProperties: false\n              properties:");
    let contract = compile("native", &document).unwrap();
    let rules = contract.operations[0].native().unwrap();
    let wrong = |body: &str| {
        let mut wrong = Vec::new();
        let none = crate::contract::Credentials::None;
        rules.check_body(body.as_bytes(), 0, none, &mut wrong).unwrap();
        wrong.len()
    };
    for good in ["", "{}", r#"{"list":[1]}"#, r#"{"list":[1,2.0]}"#] {
        assert_eq!(wrong(good), 0, "{good}");
    }
    for bad in [
        r#"{"list":[]}"#,
        r#"{"list":[1,2,3]}"#,
        r#"{"list":[0]}"#,
        r#"{"list":[1.5]}"#,
        r#"{"list":["1"]}"#,
        r#"{"list":null}"#,
        r#"{"other":1}"#,
        "[]",
    ] {
        assert_eq!(wrong(bad), 1, "{bad}");
    }
}

#[test]
fn a_field_that_the_hub_writes_is_noted_and_never_carried() {
    assert!(compile("native", NATIVE).unwrap().notes.is_empty());
    for (name, part) in [
        ("X-CorAPI-Client-ID", "writes this field itself"),
        ("x_corapi_client_id", "sends no such field"),
        ("X-Correlation-ID", "writes this field itself"),
        ("Forwarded", "sends no such field"),
        ("Client-Cert", "sends no such field"),
    ] {
        let contract = compile("native", &native("odd_name", name)).unwrap();
        let [note] = &contract.notes[..] else { panic!("{name}: {:?}", contract.notes) };
        assert_eq!(note.pointer, format!("{OPERATION}/parameters/2"), "{name}");
        assert!(note.message.contains(part), "{name}: {}", note.message);
        assert_eq!(contract.operations[0].head.declared().count(), 0, "{name}");
    }
}

#[test]
fn a_query_and_a_body_can_say_who_calls() {
    let role = "{type: string, x-corgate-role: client-id}";
    let query = native("in: query, schema", "in: query, x-corgate-role: client-id, schema");
    let body =
        native("{type: array, items: {type: integer}}", &format!("{{type: array, items: {role}}}"));
    for (document, good, bad) in [
        (query, ("q=me", ""), ("q=else", "")),
        (body, ("", r#"{"list":["me"]}"#), ("", r#"{"list":["me","else"]}"#)),
    ] {
        let contract = compile("native", &document).unwrap();
        let rules = contract.operations[0].native().unwrap();
        let check = |(query, body): (&str, &str)| {
            let query = Form::parse(query.as_bytes()).unwrap();
            rules.check_claims(&query, body.as_bytes(), 0, &|id| id == "me")
        };
        assert_eq!(check(good), Ok(()));
        assert_eq!(check(("", "")), Ok(()));
        assert_eq!(check(bad), Err(Fault::FormClientMismatch));
    }
    let list = "{type: array, items: {type: integer}}";
    let at = format!("{SCHEMA}/properties/list/x-corgate-role");
    refuses_native(list, "{type: integer, x-corgate-role: client-id}", &at, "only a text");
    refuses_native(list, "{type: string, x-corgate-role: target-id}", &at, "one of");
}

#[test]
fn a_role_that_nobody_reads_or_that_changes_nothing_is_an_error_where_it_stands() {
    let header = "{name: odd_name, in: header, schema: {type: string}}";
    let correlation = "x-corgate-role: correlation-id";
    let role = |pointer: &str| format!("{OPERATION}/{pointer}/x-corgate-role");
    // In what an answer declares, in a schema that no request has, in a part that nobody uses.
    let answer = "X-More: {x-corgate-role: correlation-id, schema: {type: string}}";
    let at = role("responses/204/headers/X-More");
    refuses_native("X-More: {schema: {type: string}}", answer, &at, "no effect");
    let lower = "x-more: {x-corgate-role: correlation-id, schema: {type: string}}";
    let at = role("responses/204/headers/x-more");
    refuses_native("X-More: {schema: {type: string}}", lower, &at, "no effect");
    let schema = "S: {type: object, properties: {default: {x-corgate-role: client-id}}}";
    let at = "/components/schemas/S/properties/default/x-corgate-role";
    refuses_native("S: {type: object}", schema, at, "no effect");
    // On a field that the hub writes, or never sends, in another role.
    for (name, role_word, part) in [
        ("X-CorAPI-Client-ID", "correlation-id", "writes this field itself"),
        ("X-Correlation-ID", "client-id", "writes this field itself"),
        ("X-Forwarded-For", "correlation-id", "sends no such field"),
    ] {
        let to = format!(
            "{{name: {name}, in: header, x-corgate-role: {role_word}, schema: {{type: string}}}}"
        );
        refuses_native(header, &to, &role("parameters/2"), part);
    }
    // Where an id would break the answer.
    for name in ["Content-Length", "Transfer-Encoding", "Set-Cookie"] {
        let to = format!("{{name: {name}, in: header, {correlation}, schema: {{type: string}}}}");
        refuses_native(header, &to, &role("parameters/2"), "can't carry an id");
    }
    // Two fields with one role.
    let two = |first: &str| {
        format!(
            "{{name: {first}, in: header, {correlation}, schema: {{type: string}}}}\n        \
             - {{name: X-Request-ID, in: header, {correlation}, schema: {{type: string}}}}"
        )
    };
    for first in ["X-A", "X-Correlation-ID"] {
        let at = format!("{OPERATION}/parameters/3");
        refuses_native(header, &two(first), &at, "x-corgate-role already");
    }
}

#[test]
fn a_field_of_the_documents_own_can_have_the_correlation_id() {
    let header = "{name: odd_name, in: header, schema: {type: string}}";
    let own = "{name: X-Request-ID, in: header, x-corgate-role: correlation-id, \
               schema: {type: string}}\n        \
               - {name: X-Correlation-ID, in: header, schema: {type: string}}";
    let contract = compile("native", &native(header, own)).unwrap();
    let head = &contract.operations[0].head;
    assert_eq!(head.own_correlation().unwrap(), "x-request-id");
    let asserted = head.asserted().map(|name| name.map(http::HeaderName::as_str));
    assert_eq!(asserted, [Some("x-correlation-id"), Some("x-request-id"), None, None]);
    // A word in a value is no role.
    let example = "S: {type: object, example: {x-corgate-role: client-id}}";
    assert!(compile("native", &native("S: {type: object}", example)).is_ok());
}
