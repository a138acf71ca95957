//! Schemas of native queries and bodies: objects, lists, texts, numbers.
//!
//! This file decides what the keywords of such a schema mean. It must not know in which encoding a
//! value travels.

use super::node::{Compiler, Fields, Node};
use super::text::{SCHEMA_DOCUMENTATION, read_refusal, read_text};
use crate::contract::body::is_sentence;
use crate::contract::native::{Choice, Condition, ObjectRule, Rule, Shape, ValueError};
use crate::contract::rule::TextRule;
use crate::fault::Name;
use crate::oauth::ErrorCode;

/// Most members of one object.
const MEMBERS_MAX: usize = 128;
/// Most items of a list that says nothing of it.
const ITEMS_MAX: usize = 4096;

const EXTENSIONS: [&str; 3] = ["x-corgate-refusal", "x-corgate-error", "x-corgate-role"];

const ERRORS: [(&str, ValueError); 4] = [
    ("unsupported_grant_type", ValueError::Grant),
    ("invalid_client", ValueError::Client),
    ("invalid_scope", ValueError::Value(ErrorCode::InvalidScope)),
    ("unsupported_response_type", ValueError::Value(ErrorCode::UnsupportedResponseType)),
];

/// Reads a schema; `name` is where its value stands, empty for a whole body.
pub(super) fn read_rule<'d>(
    compiler: &mut Compiler<'d>,
    node: &Node<'d>,
    name: &str,
) -> Option<Rule> {
    let node = compiler.resolve(node)?;
    let shown = if name.is_empty() { "body" } else { name };
    let kind = node.find("type");
    let kind = match &kind {
        Some(kind) => Some(compiler.text(kind)?),
        None if node.find("properties").is_some() => Some("object"),
        None if ["enum", "const", "pattern"].iter().any(|k| node.find(k).is_some()) => {
            Some("string")
        }
        None => None,
    };
    let (shape, fields) = match kind {
        Some("object") => read_object(compiler, &node, name)?,
        Some("array") => read_array(compiler, &node, name)?,
        Some("string") => {
            let (text, fields) = read_text(compiler, &node, &EXTENSIONS)?;
            (Shape::Text(text), fields)
        }
        Some("boolean") => (Shape::Boolean, fields_of(compiler, &node, &[])?),
        Some(number @ ("integer" | "number")) => read_number(compiler, &node, number == "integer")?,
        None => (Shape::Any, fields_of(compiler, &node, &[])?),
        Some(_) => {
            let message = "not supported yet: a type other than object, array, string, boolean, \
                           integer and number";
            compiler.error(&node.pointer_of("type"), message);
            return None;
        }
    };
    let refusal = read_refusal(compiler, &fields).unwrap_or_else(|| refusal_of(shown, &shape));
    let error = fields.get("x-corgate-error").and_then(|node| compiler.one_of(&node, ERRORS));
    let is_client_id = read_role(compiler, &fields);
    if is_client_id && !matches!(shape, Shape::Text(_)) {
        compiler.error(&fields.pointer_of("x-corgate-role"), "only a text can be a client's id");
    }
    Some(Rule { name: name.into(), shape, refusal, error, is_client_id })
}

/// `x-corgate-role: client-id`: the value says who calls.
pub(super) fn read_role<'d>(compiler: &mut Compiler<'d>, fields: &Fields<'d>) -> bool {
    compiler.role(fields, [("client-id", ())]).is_some()
}

/// What the client is told where the document has no words of its own.
fn refusal_of(shown: &str, shape: &Shape) -> Name {
    let sentence = match shape {
        Shape::Boolean => format!("{shown} must be true or false"),
        Shape::Text(TextRule { listed: Some(listed), .. }) => one_of(shown, listed),
        _ => format!("{shown} is malformed"),
    };
    if is_sentence(&sentence) { sentence.into() } else { format!("{shown} is malformed").into() }
}

fn one_of(shown: &str, listed: &[Name]) -> String {
    match listed.split_last() {
        Some((last, first)) if !first.is_empty() => {
            format!("{shown} must be {} or {last}", first.join(", "))
        }
        Some((only, _)) => format!("{shown} must be {only}"),
        None => String::new(),
    }
}

fn fields_of<'d>(
    compiler: &mut Compiler<'d>,
    node: &Node<'d>,
    known: &[&str],
) -> Option<Fields<'d>> {
    let known = [&["type"], known, &EXTENSIONS].concat();
    compiler.fields(node, &known, &SCHEMA_DOCUMENTATION)
}

fn read_number<'d>(
    compiler: &mut Compiler<'d>,
    node: &Node<'d>,
    whole: bool,
) -> Option<(Shape, Fields<'d>)> {
    let fields = fields_of(compiler, node, &["minimum", "maximum", "format"])?;
    let mut bound = |key: &str, open: f64| match fields.get(key) {
        None => open,
        Some(node) => node.value.as_f64().unwrap_or_else(|| {
            compiler.error(&node.pointer, "must be a number");
            open
        }),
    };
    let (min, max) = (bound("minimum", f64::NEG_INFINITY), bound("maximum", f64::INFINITY));
    Some((Shape::Number(whole, min, max), fields))
}

fn read_array<'d>(
    compiler: &mut Compiler<'d>,
    node: &Node<'d>,
    name: &str,
) -> Option<(Shape, Fields<'d>)> {
    let known = ["items", "minItems", "maxItems", "x-corgate-unique"];
    let fields = fields_of(compiler, node, &known)?;
    let items = compiler.required(&fields, "items")?;
    let items = Box::new(read_rule(compiler, &items, &format!("{name}[]"))?);
    let length_min = compiler.count(&fields, "minItems").unwrap_or(0);
    let length_max = compiler.count(&fields, "maxItems").unwrap_or(ITEMS_MAX);
    let unique = fields.get("x-corgate-unique");
    let unique = unique.and_then(|node| compiler.text(&node)).map(Name::from);
    Some((Shape::Array { items, length_min, length_max, unique }, fields))
}

fn read_object<'d>(
    compiler: &mut Compiler<'d>,
    node: &Node<'d>,
    name: &str,
) -> Option<(Shape, Fields<'d>)> {
    let known = [
        "properties",
        "required",
        "additionalProperties",
        "oneOf",
        "discriminator",
        "x-corgate-pgp-needs",
    ];
    let fields = fields_of(compiler, node, &known)?;
    let mut rule = ObjectRule::default();
    let properties = fields.get("properties").map_or(Vec::new(), |node| compiler.entries(&node));
    if properties.len() > MEMBERS_MAX {
        compiler.error(fields.pointer(), format!("over {MEMBERS_MAX} members"));
        return None;
    }
    let inside = |member: &str| match name {
        "" => member.to_owned(),
        name => format!("{name}.{member}"),
    };
    for (member, property) in properties {
        if !is_sentence(member) {
            compiler.error(&property.pointer, "must be a name that a sentence can hold");
            continue;
        }
        let Some(read) = read_rule(compiler, &property, &inside(member)) else { continue };
        rule.members.push((member.into(), read, false));
    }
    for member in read_names(compiler, fields.get("required").as_ref()) {
        match rule.members.iter_mut().find(|(known, ..)| *known == member) {
            Some((.., required)) => *required = true,
            None => {
                let name = inside(&member);
                let refusal = format!("{name} is malformed").into();
                let (name, shape) = (name.into(), Shape::Any);
                let any = Rule { name, shape, refusal, error: None, is_client_id: false };
                rule.members.push((member, any, true));
            }
        }
    }
    rule.closed = fields.get("additionalProperties").is_some_and(|node| {
        let open = node.value.as_bool();
        if open.is_none() {
            compiler.error(&node.pointer, "not supported yet: only true and false");
        }
        open == Some(false)
    });
    let pgp = fields.get("x-corgate-pgp-needs");
    rule.pgp_needs = pgp.and_then(|node| compiler.text(&node)).map(Name::from);
    read_one_of(compiler, &fields, name, &mut rule);
    Some((Shape::Object(Box::new(rule)), fields))
}

/// A list of names that can stand in sentences.
pub(super) fn read_names<'d>(compiler: &mut Compiler<'d>, node: Option<&Node<'d>>) -> Vec<Name> {
    let mut names = Vec::new();
    for item in node.map_or(Vec::new(), |node| compiler.items(node)) {
        match compiler.text(&item) {
            Some(name) if is_sentence(name) => names.push(name.into()),
            Some(_) => compiler.error(&item.pointer, "must be a name that a sentence can hold"),
            None => {}
        }
    }
    names
}

/// One set of a `oneOf` without a discriminator: which members are there, and which are not.
fn read_set<'d>(compiler: &mut Compiler<'d>, node: &Node<'d>) -> Option<Vec<(Name, Condition)>> {
    let fields = compiler.fields(node, &["required", "properties"], &["description"])?;
    let required = compiler.required(&fields, "required")?;
    let names = read_names(compiler, Some(&required));
    let mut set: Vec<_> = names.into_iter().map(|name| (name, Condition::Present)).collect();
    for (name, property) in fields.get("properties").map_or(Vec::new(), |p| compiler.entries(&p)) {
        if property.value.as_bool() == Some(false) {
            set.push((name.into(), Condition::Absent));
            continue;
        }
        let Some(fields) = compiler.fields(&property, &["const"], &[]) else { continue };
        match fields.get("const").and_then(|node| node.value.as_bool()) {
            Some(flag) => set.push((name.into(), Condition::Is(flag))),
            None => {
                let message = "not supported yet: only `false`, and `const` of a flag";
                compiler.error(&property.pointer, message);
            }
        }
    }
    Some(set)
}

/// `oneOf`: by a discriminator, or sets of conditions.
fn read_one_of<'d>(
    compiler: &mut Compiler<'d>,
    fields: &Fields<'d>,
    name: &str,
    rule: &mut ObjectRule,
) {
    let one_of = fields.get("oneOf");
    if let Some(discriminator) = fields.get("discriminator") {
        if one_of.is_none() {
            compiler.error(&discriminator.pointer, "needs a `oneOf`");
        }
        rule.choice = read_choice(compiler, &discriminator, name);
        let mapping = discriminator.find("mapping");
        for item in one_of.map_or(Vec::new(), |node| compiler.items(&node)) {
            let reference = item.reference();
            let targets = mapping.as_ref().and_then(|mapping| mapping.value.as_object());
            let mut targets = targets.into_iter().flat_map(|map| map.values());
            if reference.is_none() || !targets.any(|target| target.as_str() == reference) {
                compiler.error(&item.pointer, "no value of the discriminator's mapping is this");
            }
        }
    } else if let Some(one_of) = one_of {
        for item in compiler.items(&one_of) {
            rule.exactly_one.push(read_set(compiler, &item).unwrap_or_default());
        }
    }
}

fn read_choice<'d>(
    compiler: &mut Compiler<'d>,
    discriminator: &Node<'d>,
    name: &str,
) -> Option<Choice> {
    let fields = compiler.fields(discriminator, &["propertyName", "mapping"], &[])?;
    let member: Name = compiler.required_text(&fields, "propertyName")?.into();
    let mapping = compiler.required(&fields, "mapping")?;
    let mut branches: Vec<(Name, ObjectRule)> = Vec::new();
    for (value, target) in compiler.entries(&mapping) {
        let Some(branch) = compiler.mapped(&target) else { continue };
        let Some(rule) = read_rule(compiler, &branch, name) else { continue };
        match rule.shape {
            Shape::Object(rule) => branches.push((value.into(), *rule)),
            _ => compiler.error(&target.pointer, "a branch must be an object"),
        }
    }
    let listed: Vec<Name> = branches.iter().map(|(value, _)| value.clone()).collect();
    let sentence = one_of(&member, &listed);
    let refusal = if is_sentence(&sentence) { sentence } else { format!("{member} is malformed") };
    Some(Choice { member, refusal: refusal.into(), branches })
}
