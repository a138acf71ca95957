//! Forms: closed ones, and choices between shapes.

use super::*;

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
