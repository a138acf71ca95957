//! Walking a document: places, keywords, and every error on the way.
//!
//! This file decides that no keyword is passed over. It must not know what a keyword means.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::CompileError;

/// Most objects that are read, counted at each use: references to references multiply.
pub(super) const OBJECTS_MAX: usize = 20_000;
/// The extension that says what a value is to the hub.
pub(super) const ROLE: &str = "x-corgate-role";
/// Most errors that are told.
pub(super) const ERRORS_MAX: usize = 100;

/// The state of one compilation.
pub(super) struct Compiler<'d> {
    root: &'d Value,
    errors: Vec<CompileError>,
    notes: Vec<CompileError>,
    objects: usize,
    /// Where a role stands that was read.
    roles: HashSet<String>,
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Node<'d> {
    /// The value.
    pub(super) value: &'d Value,
    /// Where it stands.
    pub(super) pointer: String,
    /// The references that led here.
    pub(super) trail: Vec<&'d str>,
}

/// An object whose keys are all known.
pub(super) struct Fields<'d> {
    map: &'d Map<String, Value>,
    node: Node<'d>,
}

impl<'d> Compiler<'d> {
    pub(super) fn new(root: &'d Value) -> Self {
        Self { root, errors: Vec::new(), notes: Vec::new(), objects: 0, roles: HashSet::new() }
    }

    /// The whole document.
    pub(super) fn root(&self) -> Node<'d> {
        Node { value: self.root, pointer: String::new(), trail: Vec::new() }
    }

    /// Notes an error. The same place is read once for each reference to it, but told once.
    pub(super) fn error(&mut self, pointer: &str, message: impl Into<String>) {
        let error = CompileError { pointer: pointer.to_owned(), message: message.into() };
        if self.errors.len() < ERRORS_MAX && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// Notes what is no error, and is done otherwise than a reader of the document would think.
    pub(super) fn note(&mut self, pointer: &str, message: impl Into<String>) {
        let note = CompileError { pointer: pointer.to_owned(), message: message.into() };
        if self.notes.len() < ERRORS_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The notes so far.
    pub(super) fn take_notes(&mut self) -> Vec<CompileError> {
        std::mem::take(&mut self.notes)
    }

    pub(super) fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn finish(self) -> Vec<CompileError> {
        self.errors
    }

    /// Reads an object. Each key must be known, be documentation, or be an extension that is
    /// addressed to another tool (`x-` but not `x-corgate-`).
    pub(super) fn fields(
        &mut self,
        node: &Node<'d>,
        known: &[&str],
        documentation: &[&str],
    ) -> Option<Fields<'d>> {
        let map = self.object(node)?;
        for key in map.keys() {
            let is_known = known.contains(&&**key) || documentation.contains(&&**key);
            let is_foreign = key.starts_with("x-") && !key.starts_with("x-corgate-");
            if !is_known && !is_foreign {
                let message = format!("`{key}` is not understood here{}", hint(key, known));
                self.error(&node.pointer_of(key), message);
            }
        }
        Some(Fields { map, node: node.clone() })
    }

    /// Reads an object whose keys are names, not keywords.
    pub(super) fn entries(&mut self, node: &Node<'d>) -> Vec<(&'d str, Node<'d>)> {
        let Some(map) = self.object(node) else { return Vec::new() };
        map.keys().map(|key| (&**key, node.child(key, map))).collect()
    }

    /// Reads an object of names among which extensions can stand (`paths`, `responses`).
    pub(super) fn patterned(&mut self, node: &Node<'d>) -> Vec<(&'d str, Node<'d>)> {
        let mut entries = self.entries(node);
        entries.retain(|(key, node)| {
            if key.starts_with("x-corgate-") {
                self.error(&node.pointer, format!("`{key}` is not understood here"));
            }
            !key.starts_with("x-")
        });
        entries
    }

    /// Reads an array.
    pub(super) fn items(&mut self, node: &Node<'d>) -> Vec<Node<'d>> {
        let Some(items) = node.value.as_array() else {
            self.error(&node.pointer, "must be an array");
            return Vec::new();
        };
        let item = |(index, value): (usize, &'d Value)| Node {
            value,
            pointer: format!("{}/{index}", node.pointer),
            trail: node.trail.clone(),
        };
        items.iter().enumerate().map(item).collect()
    }

    /// A text.
    pub(super) fn text(&mut self, node: &Node<'d>) -> Option<&'d str> {
        let text = node.value.as_str();
        if text.is_none() {
            self.error(&node.pointer, "must be a text (a number or `null` needs quotes)");
        }
        text
    }

    /// `true` or `false`; `false` where the key is absent.
    pub(super) fn flag(&mut self, fields: &Fields<'d>, key: &str) -> bool {
        match fields.get(key).map(|node| node.value) {
            Some(Value::Bool(flag)) => *flag,
            None => false,
            Some(_) => {
                self.error(&fields.pointer_of(key), "must be true or false");
                false
            }
        }
    }

    /// A count.
    pub(super) fn count(&mut self, fields: &Fields<'d>, key: &str) -> Option<usize> {
        let count = fields.get(key)?.value.as_u64().and_then(|count| usize::try_from(count).ok());
        if count.is_none() {
            self.error(&fields.pointer_of(key), "must be a whole number, not negative");
        }
        count
    }

    /// The value of a key that must be there.
    pub(super) fn required(&mut self, fields: &Fields<'d>, key: &str) -> Option<Node<'d>> {
        let node = fields.get(key);
        if node.is_none() {
            self.error(&fields.node.pointer, format!("`{key}` is required"));
        }
        node
    }

    /// The text of a key that must be there.
    pub(super) fn required_text(&mut self, fields: &Fields<'d>, key: &str) -> Option<&'d str> {
        let node = self.required(fields, key)?;
        self.text(&node)
    }

    /// One of a closed set of names.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        node: &Node<'d>,
        names: impl IntoIterator<Item = (&'static str, T)>,
    ) -> Option<T> {
        let text = self.text(node)?;
        let mut known = Vec::new();
        for (name, value) in names {
            if name == text {
                return Some(value);
            }
            known.push(name);
        }
        self.error(&node.pointer, format!("must be one of: {}", known.join(", ")));
        None
    }

    /// Reads `x-corgate-role`, and notes that somebody did.
    pub(super) fn role<T: Copy>(
        &mut self,
        fields: &Fields<'d>,
        roles: impl IntoIterator<Item = (&'static str, T)>,
    ) -> Option<T> {
        let node = fields.get(ROLE)?;
        let role = self.one_of(&node, roles);
        self.roles.insert(node.pointer);
        role
    }

    /// Whether the role that stands there was read.
    pub(super) fn has_role(&self, pointer: &str) -> bool {
        self.roles.contains(pointer)
    }

    fn object(&mut self, node: &Node<'d>) -> Option<&'d Map<String, Value>> {
        self.objects += 1;
        if self.objects > OBJECTS_MAX {
            self.error("", format!("the document asks for over {OBJECTS_MAX} objects to be read"));
            return None;
        }
        let map = node.value.as_object();
        if map.is_none() {
            self.error(&node.pointer, "must be an object");
        }
        map
    }
}

impl<'d> Node<'d> {
    /// Where the value of a key stands.
    pub(super) fn pointer_of(&self, key: &str) -> String {
        format!("{}/{}", self.pointer, key.replace('~', "~0").replace('/', "~1"))
    }

    /// The reference that stands here, as the document writes it.
    pub(super) fn reference(&self) -> Option<&'d str> {
        self.value.get("$ref").and_then(Value::as_str)
    }

    /// The value of a key, whatever else stands beside it.
    pub(super) fn find(&self, key: &str) -> Option<Self> {
        let map = self.value.as_object()?;
        map.contains_key(key).then(|| self.child(key, map))
    }

    /// The value of a key of `map`, which is this object.
    pub(super) fn child(&self, key: &str, map: &'d Map<String, Value>) -> Self {
        let value = map.get(key).unwrap_or(&Value::Null);
        Node { value, pointer: self.pointer_of(key), trail: self.trail.clone() }
    }
}

impl<'d> Fields<'d> {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<Node<'d>> {
        self.map.contains_key(key).then(|| self.node.child(key, self.map))
    }

    /// Where the value of a key stands, or would.
    pub(super) fn pointer_of(&self, key: &str) -> String {
        self.node.pointer_of(key)
    }

    /// Where the object stands.
    pub(super) fn pointer(&self) -> &str {
        &self.node.pointer
    }
}

/// What an unknown extension could have been.
fn hint(key: &str, known: &[&str]) -> String {
    if !key.starts_with("x-corgate-") {
        return String::new();
    }
    let ours: Vec<&str> =
        known.iter().copied().filter(|known| known.starts_with("x-corgate-")).collect();
    match ours.is_empty() {
        true => "; no extension is".to_owned(),
        false => format!("; the extensions here are: {}", ours.join(", ")),
    }
}
