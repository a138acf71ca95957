//! From an OpenAPI document to flat rules.
//!
//! This module decides what each keyword means, and refuses each that it does not know: a rule that
//! a document states and nobody enforces is worse than none. It must not know any contract by name.
//!
//! | file | reads |
//! |---|---|
//! | `load` | YAML or JSON, within bounds, no key twice |
//! | `node`, `reference` | keywords, pointers, `$ref`: what all the others walk with |
//! | `operation` | paths, operations, responses |
//! | `header` | header parameters |
//! | `form`, `choice` | request bodies |
//! | `text` | `type: string` schemas |
//! | `security` | security requirements and schemes |
//! | `native`, `shape` | operations of a system's own document, their queries and bodies |

mod choice;
mod form;
mod header;
mod load;
mod native;
mod node;
mod operation;
mod reference;
mod security;
mod shape;
mod text;

use std::fmt;

use super::{Contract, FaultStyle, Operation};
use crate::fault::Name;
use node::{Compiler, Node};

/// Something in the document that can't be enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// JSON pointer (RFC 6901) into the document.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.pointer.is_empty() { "/" } else { &self.pointer }, self.message)
    }
}

impl std::error::Error for CompileError {}

/// Compiles a document; see [`Contract::compile`].
pub(super) fn compile(name: &str, document: &str) -> Result<Contract, Vec<CompileError>> {
    let root = load::load(document).map_err(|error| vec![error])?;
    let mut compiler = Compiler::new(&root);
    compiler.check_references();
    let contract = read_document(&mut compiler, name);
    // What was not read for another reason says nothing about roles.
    if compiler.is_clean() {
        compiler.check_roles();
    }
    match (contract, compiler.finish()) {
        (Some(contract), errors) if errors.is_empty() => Ok(contract),
        (_, errors) => Err(errors),
    }
}

fn read_document(compiler: &mut Compiler<'_>, name: &str) -> Option<Contract> {
    let root = compiler.root();
    let known = [
        &["openapi", "info", "paths", "components", "security", "x-corgate-native"][..],
        &native::STYLE,
    ]
    .concat();
    let fields = compiler.fields(&root, &known, &["servers", "tags", "externalDocs"])?;
    let is_native = compiler.flag(&fields, "x-corgate-native");
    let style = native::read_style(compiler, &fields, &FaultStyle::default());
    if let Some(key) = native::STYLE.iter().find(|key| !is_native && fields.get(key).is_some()) {
        compiler.error(&fields.pointer_of(key), "only a document with `x-corgate-native: true`");
    }
    let style = is_native.then_some(style);
    let version = compiler.required_text(&fields, "openapi");
    if version.is_some_and(|text| !text.starts_with("3.0.") && !text.starts_with("3.1.")) {
        compiler.error(&fields.pointer_of("openapi"), "only OpenAPI 3.0 and 3.1 are understood");
    }
    let info = compiler.required(&fields, "info").and_then(|info| read_info(compiler, &info));
    if let Some(components) = fields.get("components") {
        check_components(compiler, &components);
    }
    let paths = compiler.required(&fields, "paths");
    let operations =
        paths.map(|paths| read_paths(compiler, &paths, style.as_ref())).unwrap_or_default();
    if operations.is_empty() && compiler.is_clean() {
        compiler.error(&fields.pointer_of("paths"), "there is no operation");
    }
    let (title, version) = info?;
    let notes = compiler.take_notes();
    Some(Contract { name: name.into(), title, version, operations, native: style, notes })
}

fn read_info<'d>(compiler: &mut Compiler<'d>, info: &Node<'d>) -> Option<(Name, Name)> {
    let documentation = ["description", "summary", "contact", "license", "termsOfService"];
    let fields = compiler.fields(info, &["title", "version"], &documentation)?;
    let title = compiler.required_text(&fields, "title");
    let version = compiler.required_text(&fields, "version");
    Some((title?.into(), version?.into()))
}

/// What stands in `components` is read where it is used; here only its kinds are checked.
fn check_components<'d>(compiler: &mut Compiler<'d>, components: &Node<'d>) {
    let known = ["schemas", "responses", "parameters", "requestBodies", "headers", "examples"];
    if let Some(fields) = compiler.fields(components, &known, &["securitySchemes"]) {
        for key in known {
            if let Some(kind) = fields.get(key) {
                compiler.entries(&kind);
            }
        }
    }
}

fn read_paths<'d>(
    compiler: &mut Compiler<'d>,
    paths: &Node<'d>,
    style: Option<&FaultStyle>,
) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    for (path, item) in compiler.patterned(paths) {
        for operation in operation::read_path(compiler, path, &item, style) {
            if operations.iter().any(|other| other.id == operation.id) {
                let message = format!("two operations have the operationId `{}`", operation.id);
                compiler.error(&item.pointer, message);
            }
            operations.push(operation);
        }
    }
    operations
}

#[cfg(test)]
mod tests;
