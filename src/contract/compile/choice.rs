//! `oneOf` with a `discriminator`: the form's shape, chosen by the value of one parameter.
//!
//! This file decides which value chooses which branch. It must not know what the values mean: a
//! grant is to it a text like any other.

use super::form::{Object, check_name, flatten, read_object};
use super::node::{Compiler, Node};
use super::text::LISTED_MAX;
use crate::contract::body::{Branch, Choice, Refusals, Test};
use crate::contract::rule::TextRule;
use crate::fault::Name;

/// Most branches of a choice.
const BRANCHES_MAX: usize = 64;

/// Why `additionalProperties: false` can't stand in either part: to JSON Schema, the parameters of
/// the one part are additional to the other.
pub(super) const CLOSED: &str = "not supported yet: `additionalProperties: false` with `oneOf`: it \
                                  would refuse what the other part allows";

/// Reads `oneOf` with its `discriminator`.
pub(super) fn read_choice<'d>(
    compiler: &mut Compiler<'d>,
    common: &Object<'d>,
    branches: &Node<'d>,
    discriminator: &Node<'d>,
) -> Option<Choice> {
    let fields = compiler.fields(discriminator, &["propertyName", "mapping"], &[])?;
    let property = compiler.required(&fields, "propertyName")?;
    let parameter =
        compiler.text(&property).filter(|name| check_name(compiler, name, &property))?;
    let mapping = fields.get("mapping").map(|mapping| read_mapping(compiler, &mapping));
    let mut choice: Vec<Branch> = Vec::new();
    let mut reached = Vec::new();
    let mut chooser = find(common, parameter);
    let (at, branches) = (&branches.pointer, compiler.items(branches));
    if branches.len() > BRANCHES_MAX {
        compiler.error(at, format!("over {BRANCHES_MAX} branches"));
        return None;
    }
    for node in branches {
        let Some(target) = compiler.resolve(&node) else { continue };
        let Some((object, _)) = read_object(compiler, &target, &[]) else { continue };
        if object.closed {
            compiler.error(&target.pointer, CLOSED);
        }
        let by_mapping = mapping.as_ref().zip(node.reference()).map(|(mapping, reference)| {
            reached.push(reference);
            let here = mapping.iter().filter(|(_, target)| target == reference);
            here.map(|(value, _)| Name::from(*value)).collect::<Vec<Name>>()
        });
        let values = branch_values(compiler, &target, &object, parameter, by_mapping);
        for value in &values {
            if choice.iter().any(|other| other.values.contains(value)) {
                compiler.error(&node.pointer, format!("`{value}` chooses another branch already"));
            }
        }
        chooser = chooser.or_else(|| find(&object, parameter));
        let parameters = flatten(compiler, common, Some(&object), Some(parameter));
        choice.push(Branch { values, parameters });
    }
    for (value, target) in mapping.iter().flatten() {
        if !reached.contains(&&**target) {
            let message = format!("`{value}` leads to no branch of `oneOf`");
            compiler.error(&fields.pointer_of("mapping"), message);
        }
    }
    let listed: Vec<Name> = choice.iter().flat_map(|branch| branch.values.clone()).collect();
    // A value without a branch is refused as one outside an `enum` of all branches would be.
    let refusals = match chooser {
        Some(test) => test.refusals.for_values(parameter, listed),
        None => Refusals::new(parameter, &TextRule::of_values(listed), None, false),
    };
    Some(Choice { parameter: parameter.into(), refusals, branches: choice })
}

/// The values of a mapping, each with the reference it stands for; a bare name is a schema's.
fn read_mapping<'d>(compiler: &mut Compiler<'d>, node: &Node<'d>) -> Vec<(&'d str, String)> {
    let mut mapping = Vec::new();
    for (value, target) in compiler.entries(node) {
        if mapping.len() == LISTED_MAX {
            compiler.error(&node.pointer, format!("over {LISTED_MAX} values"));
            break;
        }
        let Some(target) = compiler.text(&target) else { continue };
        let is_reference = target.starts_with('#');
        let schema = format!("#/components/schemas/{target}");
        mapping.push((value, if is_reference { target.to_owned() } else { schema }));
    }
    mapping
}

/// The values that choose a branch: the mapping's, or the `const` or `enum` of the parameter in
/// the branch; where both are there, they must agree.
fn branch_values<'d>(
    compiler: &mut Compiler<'d>,
    node: &Node<'d>,
    object: &Object<'d>,
    parameter: &str,
    by_mapping: Option<Vec<Name>>,
) -> Vec<Name> {
    let by_schema = find(object, parameter).and_then(|test| test.text.listed.clone());
    match (by_mapping.filter(|values| !values.is_empty()), by_schema) {
        (Some(mapped), Some(listed)) => {
            if mapped.len() != listed.len() || mapped.iter().any(|value| !listed.contains(value)) {
                let message =
                    format!("`{parameter}` here and the discriminator's mapping disagree");
                compiler.error(&node.pointer, message);
            }
            listed
        }
        (Some(values), None) | (None, Some(values)) => values,
        (None, None) => {
            let message = format!("no value of `{parameter}` chooses this branch");
            compiler.error(&node.pointer, message);
            Vec::new()
        }
    }
}

/// What an object says of a parameter.
fn find(object: &Object<'_>, parameter: &str) -> Option<Test> {
    let rule = object.parameters.iter().find(|rule| *rule.name == *parameter)?;
    rule.tests.first().cloned()
}
