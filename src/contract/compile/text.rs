//! `type: string` schemas, of headers and of parameters.
//!
//! This file decides what the keywords of a string mean. It must not know where the string travels.

use super::node::{Compiler, Fields, Node};
use crate::contract::body::{SENTENCE_BYTES_MAX, is_sentence};
use crate::contract::rule::{Format, Pattern, TextRule};
use crate::fault::Name;

/// Most values of an `enum`: each is compared in turn.
pub(super) const LISTED_MAX: usize = 256;

/// Keywords of any schema that say something to people only.
pub(super) const SCHEMA_DOCUMENTATION: [&str; 9] = [
    "title",
    "description",
    "$comment",
    "default",
    "deprecated",
    "example",
    "examples",
    "externalDocs",
    "writeOnly",
];

const STRING_KEYWORDS: [&str; 8] =
    ["type", "minLength", "maxLength", "pattern", "format", "enum", "const", "anyOf"];

/// Formats that say something to people only (OpenAPI's data type registry).
const FORMATS_DOCUMENTATION: [(&str, Option<Format>); 1] = [("password", None)];

/// Reads a schema; the extensions that may stand in it are the caller's to read.
pub(super) fn read_text<'d>(
    compiler: &mut Compiler<'d>,
    node: &Node<'d>,
    extensions: &[&str],
) -> Option<(TextRule, Fields<'d>)> {
    let node = compiler.resolve(node)?;
    let known = [&STRING_KEYWORDS, extensions].concat();
    let fields = compiler.fields(&node, &known, &SCHEMA_DOCUMENTATION)?;
    let mut rule = read_keywords(compiler, &fields);
    if let Some(alternatives) = fields.get("anyOf") {
        rule.any_of = read_any_of(compiler, &alternatives);
    }
    Some((rule, fields))
}

/// Reads every keyword but `anyOf`.
fn read_keywords<'d>(compiler: &mut Compiler<'d>, fields: &Fields<'d>) -> TextRule {
    check_type(compiler, fields, "string", "a header or form value is read as a text");
    let rule = TextRule {
        length_min: compiler.count(fields, "minLength").unwrap_or(0),
        length_max: compiler.count(fields, "maxLength"),
        listed: read_listed(compiler, fields),
        pattern: fields.get("pattern").and_then(|node| read_pattern(compiler, &node)),
        format: fields.get("format").and_then(|node| read_format(compiler, &node)).flatten(),
        any_of: Vec::new(),
    };
    if rule.length_max.is_some_and(|max| max < rule.length_min) {
        compiler.error(&fields.pointer_of("maxLength"), "is below minLength: nothing can fit");
    }
    rule
}

/// Checks `type`, which may be left out: what travels has only one type.
pub(super) fn check_type<'d>(
    compiler: &mut Compiler<'d>,
    fields: &Fields<'d>,
    wanted: &str,
    reason: &str,
) {
    if let Some(node) = fields.get("type")
        && node.value.as_str() != Some(wanted)
    {
        compiler.error(&node.pointer, format!("not supported yet: only `{wanted}`; {reason}"));
    }
}

/// `x-corgate-refusal`.
pub(super) fn read_refusal<'d>(compiler: &mut Compiler<'d>, fields: &Fields<'d>) -> Option<Name> {
    let node = fields.get("x-corgate-refusal")?;
    let sentence = compiler.text(&node)?;
    if is_sentence(sentence) {
        return Some(sentence.into());
    }
    let message = format!(
        "must be 1 to {SENTENCE_BYTES_MAX} ASCII characters without quotes or backslashes \
         (RFC 6749 section 5.2, error_description)"
    );
    compiler.error(&node.pointer, message);
    None
}

/// `enum` and `const`, both where both are there.
fn read_listed<'d>(compiler: &mut Compiler<'d>, fields: &Fields<'d>) -> Option<Vec<Name>> {
    let fixed = fields.get("const").and_then(|node| compiler.text(&node).map(Name::from));
    let Some(node) = fields.get("enum") else { return fixed.map(|fixed| vec![fixed]) };
    let items = compiler.items(&node);
    if items.len() > LISTED_MAX {
        compiler.error(&node.pointer, format!("over {LISTED_MAX} values"));
        return None;
    }
    let mut listed: Vec<Name> =
        items.iter().filter_map(|item| compiler.text(item).map(Name::from)).collect();
    if let Some(fixed) = fixed {
        listed.retain(|value| *value == fixed);
    }
    if listed.is_empty() {
        compiler.error(&node.pointer, "no value is left: nothing can fit");
    }
    Some(listed)
}

fn read_pattern<'d>(compiler: &mut Compiler<'d>, node: &Node<'d>) -> Option<Pattern> {
    let text = compiler.text(node)?;
    Pattern::parse(text).map_err(|message| compiler.error(&node.pointer, message)).ok()
}

fn read_format<'d>(compiler: &mut Compiler<'d>, node: &Node<'d>) -> Option<Option<Format>> {
    let enforced = Format::ALL.map(|(name, format)| (name, Some(format)));
    compiler.one_of(node, enforced.into_iter().chain(FORMATS_DOCUMENTATION))
}

fn read_any_of<'d>(compiler: &mut Compiler<'d>, node: &Node<'d>) -> Vec<TextRule> {
    if node.value.as_array().is_some_and(Vec::is_empty) {
        compiler.error(&node.pointer, "no alternative: nothing can fit");
    }
    let mut rules = Vec::new();
    for item in compiler.items(node) {
        let Some(item) = compiler.resolve(&item) else { continue };
        let fields = compiler.fields(&item, &STRING_KEYWORDS, &SCHEMA_DOCUMENTATION);
        let Some(fields) = fields else { continue };
        if fields.get("anyOf").is_some() {
            let message = "not supported yet: `anyOf` in `anyOf`; one list says the same";
            compiler.error(&fields.pointer_of("anyOf"), message);
        }
        rules.push(read_keywords(compiler, &fields));
    }
    rules
}
