//! `$ref`: parts of a document that stand elsewhere in it.
//!
//! This file decides that no reference leads astray, in a circle, or too far. It must not know what
//! stands at its end.

use serde_json::{Map, Value};

use super::node::{Compiler, Node, ROLE};

/// Longest chain of references, one in the other.
pub(super) const REFERENCES_MAX: usize = 16;

/// Keywords whose value is an example or a value of the API, not a schema.
const VALUES: [&str; 5] = ["example", "examples", "default", "enum", "const"];
/// Where keys are names, not keywords.
const NAMES: [&str; 4] = ["/properties", "/headers", "/parameters", "/schemas"];

impl<'d> Compiler<'d> {
    /// Follows `$ref` until something else stands there.
    pub(super) fn resolve(&mut self, node: &Node<'d>) -> Option<Node<'d>> {
        let mut node = node.clone();
        while let Some(reference) = node.value.get("$ref") {
            for key in node.value.as_object().into_iter().flat_map(Map::keys) {
                if !["$ref", "summary", "description"].contains(&&**key) {
                    let message = format!("not supported yet: `{key}` beside `$ref`");
                    self.error(&node.pointer_of(key), message);
                }
            }
            node = self.follow(node, reference)?;
        }
        Some(node)
    }

    /// Follows a reference that is a text of its own, as in a discriminator's `mapping`.
    pub(super) fn mapped(&mut self, node: &Node<'d>) -> Option<Node<'d>> {
        let target = self.follow(node.clone(), node.value)?;
        self.resolve(&target)
    }

    /// Checks every reference of the document, also those in parts that are documentation only.
    pub(super) fn check_references(&mut self) {
        let mut open = vec![self.root()];
        while let Some(node) = open.pop() {
            match node.value {
                Value::Object(map) => {
                    if map.get("$ref").is_some_and(Value::is_string) {
                        self.check_reference(&node);
                    }
                    // Examples are data: a `$ref` in one is a text.
                    let is_data = |key: &str| ["example", "examples", "default"].contains(&key);
                    let keys = map.keys().filter(|key| !is_data(key));
                    open.extend(keys.map(|key| node.child(key, map)));
                }
                Value::Array(_) => {
                    let items = self.items(&node);
                    open.extend(items);
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
    }

    /// Checks that every role was read: one that stands where nobody looks says something that the
    /// hub does not do.
    pub(super) fn check_roles(&mut self) {
        let mut open = vec![self.root()];
        while let Some(node) = open.pop() {
            match node.value {
                Value::Object(map) => {
                    let role = node.find(ROLE).filter(|role| role.value.is_string());
                    if let Some(role) = role.filter(|role| !self.has_role(&role.pointer)) {
                        self.error(&role.pointer, "has no effect here");
                    }
                    // Values are data, but for what only has the name of such a keyword.
                    let names = NAMES.iter().any(|names| node.pointer.ends_with(names));
                    let is_data = |key: &str| !names && VALUES.contains(&key);
                    let keys = map.keys().filter(|key| !is_data(key));
                    open.extend(keys.map(|key| node.child(key, map)));
                }
                Value::Array(_) => {
                    let items = self.items(&node);
                    open.extend(items);
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
    }

    fn check_reference(&mut self, node: &Node<'d>) {
        let mut node = node.clone();
        while let Some(reference) = node.value.get("$ref") {
            match self.follow(node, reference) {
                Some(target) => node = target,
                None => return,
            }
        }
    }

    fn follow(&mut self, node: Node<'d>, reference: &'d Value) -> Option<Node<'d>> {
        let at = node.pointer_of("$ref");
        let Some(text) = reference.as_str() else {
            self.error(&at, "must be a text");
            return None;
        };
        let target = text.strip_prefix('#').filter(|path| path.starts_with("/components/"));
        let Some(path) = target.filter(|path| !path.contains('%')) else {
            let message = "not supported yet: a reference other than `#/components/…`";
            self.error(&at, message);
            return None;
        };
        if node.trail.contains(&path) {
            self.error(&at, format!("`{text}` is part of a circle"));
            return None;
        }
        if node.trail.len() == REFERENCES_MAX {
            self.error(&at, format!("over {REFERENCES_MAX} references, one in the other"));
            return None;
        }
        let Some(value) = self.root().value.pointer(path) else {
            self.error(&at, format!("`{text}` does not exist"));
            return None;
        };
        let mut trail = node.trail;
        trail.push(path);
        Some(Node { value, pointer: path.to_owned(), trail })
    }
}
