//! What a form's schema compiles to, and its mistakes.

use super::*;

#[test]
fn roles_are_held_once() {
    let two = "{name: X-B, in: header, x-corgate-role: client-id, schema: {}}\n        \
               - {name: X-C, in: header, x-corgate-role: client-id, schema: {}}";
    let from = "{name: X-A, in: header, schema: {type: string, minLength: 1}}";
    refuses(from, two, "/paths/~1a/post/parameters/1", "x-corgate-role");
    let two = "p: {x-corgate-role: client-id}\n                q: {x-corgate-role: client-id}";
    refuses("p: {type: string}", two, SCHEMA, "two parameters");
}

#[test]
fn rules_that_nothing_can_keep_are_mistakes() {
    let at = format!("{SCHEMA}/properties/p");
    for (schema, key, part) in [
        ("{minLength: 2, maxLength: 1}", "maxLength", "below minLength"),
        ("{minLength: -1}", "minLength", "whole number"),
        ("{enum: []}", "enum", "nothing can fit"),
        ("{enum: [a], const: b}", "enum", "nothing can fit"),
        ("{enum: [1]}", "enum/0", "must be a text"),
        ("{anyOf: []}", "anyOf", "nothing can fit"),
        ("{pattern: '('}", "pattern", "not supported"),
        ("{format: email}", "format", "ipv4, ipv6, uuid, uri-reference"),
    ] {
        let errors = errors(&small(
            "{type: string}\n      responses",
            &format!("{schema}\n      responses"),
        ));
        let pointer = format!("{at}/{key}");
        let found = errors.iter().find(|(at, message)| *at == pointer && message.contains(part));
        assert!(found.is_some(), "{schema}: {errors:?}");
    }
}

#[test]
fn a_form_can_be_closed() {
    let closed = small("type: object", "type: object\n              additionalProperties: false");
    let contract = compile("small", &closed).unwrap();
    assert_eq!(form(&contract, "p=1"), Ok(()));
    assert_eq!(form(&contract, "q=1"), Err(Fault::FormMalformed("unknown parameter")));
}

/// `SMALL` with a choice by `kind` in place of its form.
fn choice(branches: &str, discriminator: &str, schemas: &str) -> String {
    let from = "type: object\n              properties:\n                p: {type: string}";
    let to = format!("oneOf: {branches}\n              discriminator: {discriminator}");
    small(from, &to).replace("S: {type: string}", schemas)
}

#[test]
fn a_choice_by_const_by_enum_or_by_mapping() {
    let schemas = "A: {required: [a], properties: {a: {maxLength: 1}}}\n    B: {required: [b]}";
    let branches = "[{$ref: '#/components/schemas/A'}, {$ref: '#/components/schemas/B'}]";
    let mapping = "{propertyName: kind, mapping: {x: A, y: '#/components/schemas/B', z: B}}";
    let mapped = compile("small", &choice(branches, mapping, schemas)).unwrap();
    let inline = "[{required: [a], properties: {kind: {const: x}, a: {maxLength: 1}}}, \
                  {required: [b], properties: {kind: {enum: [y, z]}}}]";
    let inline = choice(inline, "{propertyName: kind}", "S: {}");
    for contract in [mapped, compile("small", &inline).unwrap()] {
        let told =
            |body: &str| form(&contract, body).map_err(|fault| fault.sentence().into_owned());
        for good in ["kind=x&a=1", "kind=y&b=1", "kind=z&b=22&a=333"] {
            assert_eq!(told(good), Ok(()), "{good}");
        }
        assert_eq!(told("a=1").unwrap_err(), "kind is required");
        assert_eq!(told("kind=x").unwrap_err(), "a is required");
        assert_eq!(told("kind=x&a=22").unwrap_err(), "a must be at most 1 character");
        assert_eq!(told("kind=w").unwrap_err(), "kind must be x, y or z");
        let fault = form(&contract, "kind=w").unwrap_err();
        assert!(
            matches!(fault, Fault::ParameterMalformed(..)),
            "no grant unless the document says"
        );
    }
}

#[test]
fn a_choice_must_be_clear() {
    let two = "[{$ref: '#/components/schemas/A'}, {$ref: '#/components/schemas/B'}]";
    let a_b = "A: {properties: {kind: {const: x}}}\n    B: {properties: {kind: {const: y}}}";
    for (branches, discriminator, schemas, part) in [
        (two, "{propertyName: kind, mapping: {x: A, y: C}}", a_b, "leads to no branch"),
        (two, "{propertyName: kind, mapping: {x: A, z: B}}", a_b, "disagree"),
        (two, "{propertyName: kind}", "A: {}\n    B: {}", "no value of `kind`"),
        (
            "[{properties: {kind: {const: x}}}, {properties: {kind: {const: x}}}]",
            "{propertyName: kind}",
            "S: {}",
            "chooses another",
        ),
        (
            "[{additionalProperties: false, properties: {kind: {const: x}}}]",
            "{propertyName: kind}",
            "S: {}",
            "additionalProperties",
        ),
        (two, "{}", a_b, "`propertyName` is required"),
    ] {
        let errors = errors(&choice(branches, discriminator, schemas));
        assert!(errors.iter().any(|(_, message)| message.contains(part)), "{part}: {errors:?}");
    }
    let alone =
        choice(two, "{propertyName: kind}", a_b).replace("discriminator: {propertyName: kind}", "");
    assert!(errors(&alone)[0].1.contains("without each other"));
}

#[test]
fn lists_are_bounded_at_n_and_n_plus_one() {
    let numbered = |prefix: &str, count: usize, suffix: &str| {
        (0..count).map(|at| format!("{prefix}{at}{suffix}")).collect::<Vec<_>>().join(", ")
    };
    let told = |document: String, part: &str| {
        errors(&document).iter().any(|(_, message)| message.contains(part))
    };
    let properties = |count: usize| {
        let to = format!("properties: {{{}}}", numbered("p", count, ": {}"));
        small("properties:\n                p: {type: string}", &to)
    };
    assert!(errors(&properties(64)).is_empty());
    assert!(told(properties(65), "at most 64 parameters"));
    let listed = |count: usize| {
        small("p: {type: string}", &format!("p: {{enum: [{}]}}", numbered("v", count, "")))
    };
    assert!(errors(&listed(256)).is_empty());
    assert!(told(listed(257), "over 256 values"));
    let headers = |count: usize| {
        let from =
            "parameters:\n        - {name: X-A, in: header, schema: {type: string, minLength: 1}}";
        small(
            from,
            &format!("parameters: [{}]", numbered("{name: X-", count, ", in: header, schema: {}}")),
        )
    };
    assert!(errors(&headers(64)).is_empty());
    assert!(told(headers(65), "over 64 parameters"));
    let branches = |count: usize| {
        let branches = numbered("{properties: {kind: {const: v", count, "}}}");
        choice(&format!("[{branches}]"), "{propertyName: kind}", "S: {}")
    };
    assert!(errors(&branches(64)).is_empty());
    assert!(told(branches(65), "over 64 branches"));
    let name = |bytes: usize| {
        small("p: {type: string}", &format!("? {}\n                : {{}}", "p".repeat(bytes)))
    };
    assert!(errors(&name(128)).is_empty());
    assert!(told(name(129), "must be a name"));
}

#[test]
fn an_error_of_its_own_belongs_to_a_list() {
    let grant = "x-corgate-error: unsupported_grant_type";
    let at = format!("{SCHEMA}/properties/p");
    refuses("p: {type: string}", &format!("p: {{{grant}}}"), &at, "needs an `enum`");
    let listed =
        compile("small", &small("p: {type: string}", &format!("p: {{enum: [a], {grant}}}")));
    assert_eq!(form(&listed.unwrap(), "p=b"), Err(Fault::GrantUnsupported("p must be a".into())));
    // Where there is no common part, a branch says it.
    let branches = format!("[{{properties: {{kind: {{const: x, {grant}}}}}}}]");
    let chosen = compile("small", &choice(&branches, "{propertyName: kind}", "S: {}")).unwrap();
    assert_eq!(form(&chosen, "kind=y"), Err(Fault::GrantUnsupported("kind must be x".into())));
    let own = "common: {}\n                kind: {x-corgate-refusal: no such kind}";
    let refused = small("p: {type: string}", own).replace(
        "              type: object",
        "              oneOf: [{properties: {kind: {const: x}}}]\n              \
         discriminator: {propertyName: kind}\n              type: object",
    );
    let told = form(&compile("small", &refused).unwrap(), "kind=y").unwrap_err();
    assert_eq!(told.sentence(), "no such kind");
}

#[test]
fn names_must_be_fit_for_sentences() {
    refuses(
        "p: {type: string}",
        "'p\"': {}",
        &format!("{SCHEMA}/properties/p\""),
        "must be a name",
    );
    let required = "type: object\n              required: ['']";
    refuses("type: object", required, &format!("{SCHEMA}/required/0"), "must be a name");
    let content = "application/x-www-form-urlencoded";
    let two = format!("{content};a=b: {{schema: {{}}}}\n          {content}:");
    let twice = small(&format!("{content}:"), &two);
    assert!(errors(&twice)[0].1.contains("stands twice"));
    let nested = small("p: {type: string}", "p: {anyOf: [{anyOf: [{const: a}]}]}");
    assert!(errors(&nested)[0].1.contains("`anyOf` in `anyOf`"));
}
