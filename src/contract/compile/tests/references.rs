//! `$ref`, and its bounds.

use super::*;

#[test]
fn references_are_followed_and_never_in_a_circle() {
    let contract =
        compile("small", &small("p: {type: string}", "p: {$ref: '#/components/schemas/S'}"));
    assert_eq!(form(&contract.unwrap(), "p=1"), Ok(()));
    let to = "S: {$ref: '#/components/schemas/T'}\n    T: {$ref: '#/components/schemas/S'}";
    let circle = errors(&small("S: {type: string}", to));
    assert!(circle.iter().all(|(_, message)| message.contains("circle")), "{circle:?}");
    assert_eq!(circle.len(), 2);
    let used = small("p: {type: string}", "p: {$ref: '#/components/schemas/S'}")
        .replace("S: {type: string}", "S: {anyOf: [{$ref: '#/components/schemas/S'}]}");
    assert!(errors(&used).iter().any(|(at, message)| {
        at == "/components/schemas/S/anyOf/0/$ref" && message.contains("circle")
    }));
    for (to, part) in [
        ("S: {$ref: '#/components/schemas/T'}", "does not exist"),
        ("S: {$ref: 'other.yaml#/S'}", "not supported yet"),
        ("S: {$ref: '#/paths'}", "not supported yet"),
        ("S: {$ref: '#/components/schemas/%54'}", "not supported yet"),
    ] {
        refuses("S: {type: string}", to, "/components/schemas/S/$ref", part);
    }
    let beside = small("p: {type: string}", "p: {$ref: '#/components/schemas/S', minLength: 1}");
    assert_eq!(errors(&beside)[0].0, format!("{SCHEMA}/properties/p/minLength"));
}

#[test]
fn references_are_bounded_in_length_and_in_number() {
    let chain = |links: usize| {
        let link = |at: usize| format!("    S{at}: {{$ref: '#/components/schemas/S{}'}}\n", at + 1);
        let links: String = (0..links).map(link).collect();
        let last = format!("    S{}: {{type: string}}", reference::REFERENCES_MAX);
        small("    S: {type: string}", &format!("{links}{last}"))
    };
    assert!(errors(&chain(reference::REFERENCES_MAX)).is_empty());
    let over = chain(reference::REFERENCES_MAX)
        .replace("S16: {type: string}", "S16: {$ref: '#/components/schemas/S17'}\n    S17: {}");
    assert!(errors(&over)[0].1.contains("one in the other"));

    let alternatives = vec!["{$ref: '#/components/schemas/T'}"; 400].join(", ");
    let property = |at: usize| format!("q{at}: {{$ref: '#/components/schemas/S'}}");
    let properties: Vec<String> = (0..60).map(property).collect();
    let bomb = small("S: {type: string}", &format!("S: {{anyOf: [{alternatives}]}}\n    T: {{}}"))
        .replace("p: {type: string}", &properties.join("\n                "));
    assert!(errors(&bomb)[0].1.contains("objects to be read"));
}
