//! Request bodies: the form's parameters, flattened into one list for each shape it can have.
//!
//! This file decides which rules a parameter has. It must not know what a grant is, nor how a shape
//! is chosen.

use std::sync::Arc;

use super::choice;
use super::node::{Compiler, Fields, Node};
use super::text::{SCHEMA_DOCUMENTATION, check_type, read_refusal, read_text};
use crate::contract::body::{
    BodyKind, BodyRules, FormRules, ParameterRule, Refusals, Shape, Test, Waiver, is_sentence,
};
use crate::contract::media;
use crate::fault::Name;
use crate::oauth::form::{NAME_BYTES_MAX, PAIRS_MAX};

/// The media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

const PROPERTY_EXTENSIONS: [&str; 4] =
    ["x-corgate-role", "x-corgate-refusal", "x-corgate-waiver", "x-corgate-error"];

/// An object schema, as it stands.
#[derive(Default)]
pub(super) struct Object<'d> {
    /// `properties`, each not required yet.
    pub(super) parameters: Vec<ParameterRule>,
    /// Where each of them stands, in the same order.
    pointers: Vec<String>,
    /// `required`.
    required: Vec<&'d str>,
    /// `additionalProperties: false`.
    pub(super) closed: bool,
}

/// Reads a request body: its media type and its rules.
pub(super) fn read_body<'d>(
    compiler: &mut Compiler<'d>,
    node: &Node<'d>,
) -> Option<(Name, BodyRules)> {
    let node = compiler.resolve(node)?;
    let fields = compiler.fields(&node, &["content", "required"], &["description"])?;
    if !compiler.flag(&fields, "required") {
        compiler
            .error(&fields.pointer_of("required"), "not supported yet: a body that is optional");
    }
    let content = compiler.required(&fields, "content")?;
    let mut rules = None;
    for (name, body) in compiler.entries(&content) {
        // The place for a JSON body, once there is a contract that has one.
        if media::essence(name).as_deref() != Some(FORM) {
            compiler.error(&body.pointer, format!("not supported yet: a body other than `{FORM}`"));
            continue;
        }
        let fields = compiler.fields(&body, &["schema"], &["example", "examples"])?;
        let schema = compiler.required(&fields, "schema")?;
        if rules.is_some() {
            compiler.error(&body.pointer, format!("`{FORM}` stands twice"));
        }
        rules = read_form(compiler, &schema);
    }
    if rules.is_none() && compiler.is_clean() {
        compiler.error(&content.pointer, format!("`{FORM}` is required"));
    }
    Some((FORM.into(), BodyRules { kind: BodyKind::Form(rules?) }))
}

fn read_form<'d>(compiler: &mut Compiler<'d>, node: &Node<'d>) -> Option<FormRules> {
    let node = compiler.resolve(node)?;
    let (common, fields) = read_object(compiler, &node, &["oneOf", "discriminator"])?;
    let shape = match (fields.get("oneOf"), fields.get("discriminator")) {
        (None, None) => Shape::Plain(flatten(compiler, &common, None, None)),
        (Some(branches), Some(discriminator)) => {
            if common.closed {
                compiler.error(fields.pointer(), choice::CLOSED);
            }
            Shape::Chosen(choice::read_choice(compiler, &common, &branches, &discriminator)?)
        }
        (Some(_), None) | (None, Some(_)) => {
            let message = "not supported yet: `oneOf` and `discriminator` without each other";
            compiler.error(fields.pointer(), message);
            return None;
        }
    };
    let client_id = find_client_id(compiler, &shape, fields.pointer());
    Some(FormRules { shape, open: !common.closed, client_id })
}

fn find_client_id(compiler: &mut Compiler<'_>, shape: &Shape, pointer: &str) -> Option<Name> {
    let lists: Vec<&[ParameterRule]> = match shape {
        Shape::Plain(parameters) => vec![parameters],
        Shape::Chosen(choice) => choice.branches.iter().map(|b| &*b.parameters).collect(),
    };
    let mut ids = lists.into_iter().flatten().filter(|rule| rule.is_client_id());
    let first = ids.next()?;
    if ids.any(|rule| rule.name != first.name) {
        compiler.error(pointer, "two parameters have the x-corgate-role `client-id`");
    }
    Some(first.name.clone())
}

/// Reads an object schema; `more` are keywords that the caller reads.
pub(super) fn read_object<'d>(
    compiler: &mut Compiler<'d>,
    node: &Node<'d>,
    more: &[&str],
) -> Option<(Object<'d>, Fields<'d>)> {
    let known = [&["type", "properties", "required", "additionalProperties"], more].concat();
    let fields = compiler.fields(node, &known, &SCHEMA_DOCUMENTATION)?;
    check_type(compiler, &fields, "object", "a form is a set of named parameters");
    let mut object = Object::default();
    for (name, property) in fields.get("properties").map_or(Vec::new(), |p| compiler.entries(&p)) {
        if let Some(rule) = read_property(compiler, name, &property) {
            object.parameters.push(rule);
            object.pointers.push(property.pointer);
        }
    }
    for node in fields.get("required").map_or(Vec::new(), |node| compiler.items(&node)) {
        let Some(name) = compiler.text(&node) else { continue };
        if check_name(compiler, name, &node) {
            object.required.push(name);
        }
    }
    // No form that breaks this could be sent, and flattening multiplies.
    if object.parameters.len().max(object.required.len()) > PAIRS_MAX {
        compiler.error(fields.pointer(), format!("a form has at most {PAIRS_MAX} parameters"));
        return None;
    }
    if let Some(additional) = fields.get("additionalProperties") {
        match additional.value.as_bool() {
            Some(open) => object.closed = !open,
            None => compiler.error(&additional.pointer, "not supported yet: only true and false"),
        }
    }
    Some((object, fields))
}

fn read_property<'d>(
    compiler: &mut Compiler<'d>,
    name: &str,
    node: &Node<'d>,
) -> Option<ParameterRule> {
    if !check_name(compiler, name, node) {
        return None;
    }
    let (text, fields) = read_text(compiler, node, &PROPERTY_EXTENSIONS)?;
    let own = read_refusal(compiler, &fields);
    let is_client_id = compiler.role(&fields, [("client-id", ())]).is_some();
    let waiver = fields.get("x-corgate-waiver");
    let waiver = waiver.and_then(|waiver| compiler.one_of(&waiver, Waiver::ALL));
    let error = fields.get("x-corgate-error");
    let unlisted_is_grant = error
        .is_some_and(|error| compiler.one_of(&error, [("unsupported_grant_type", ())]).is_some());
    let refusals = Refusals::new(name, &text, own, unlisted_is_grant);
    let tests = vec![Test { text: Arc::new(text), is_client_id, refusals }];
    Some(ParameterRule { name: name.into(), required: false, waiver, tests })
}

/// A name stands in sentences, so it must be fit for one.
pub(super) fn check_name<'d>(compiler: &mut Compiler<'d>, name: &str, node: &Node<'d>) -> bool {
    let fits = name.len() <= NAME_BYTES_MAX && is_sentence(name);
    if !fits {
        let message = format!(
            "must be a name of 1 to {NAME_BYTES_MAX} bytes with characters that an \
             error_description can have"
        );
        compiler.error(&node.pointer, message);
    }
    fits
}

/// The parameters of one shape: the common ones in their order, then those of the branch alone.
/// `chooser` is the discriminator's parameter.
pub(super) fn flatten(
    compiler: &mut Compiler<'_>,
    common: &Object<'_>,
    branch: Option<&Object<'_>>,
    chooser: Option<&str>,
) -> Vec<ParameterRule> {
    let mut rules = common.parameters.clone();
    for own in branch.into_iter().flat_map(|branch| &branch.parameters) {
        match rules.iter_mut().find(|rule| rule.name == own.name) {
            None => rules.push(own.clone()),
            Some(rule) => {
                rule.waiver = rule.waiver.or(own.waiver);
                rule.tests.extend(own.tests.iter().cloned());
            }
        }
    }
    let objects = || [Some(common), branch].into_iter().flatten();
    for name in objects().flat_map(|object| &object.required) {
        match rules.iter_mut().find(|rule| *rule.name == **name) {
            Some(rule) => rule.required = true,
            None => rules.push(ParameterRule {
                name: Name::from(*name),
                required: true,
                waiver: None,
                tests: Vec::new(),
            }),
        }
    }
    for object in objects() {
        check_extensions(compiler, object, &rules, chooser);
    }
    rules
}

/// An extension that can have no effect is a mistake.
fn check_extensions(
    compiler: &mut Compiler<'_>,
    object: &Object<'_>,
    rules: &[ParameterRule],
    chooser: Option<&str>,
) {
    for (own, pointer) in object.parameters.iter().zip(&object.pointers) {
        let is_optional = |rule: &ParameterRule| rule.name == own.name && !rule.required;
        if own.waiver.is_some() && rules.iter().any(is_optional) {
            compiler.error(pointer, "x-corgate-waiver waives nothing: it is not required");
        }
        if own.tests.iter().any(Test::lacks_list) && chooser != Some(&*own.name) {
            compiler.error(pointer, "x-corgate-error needs an `enum`, or to be the discriminator");
        }
    }
}
