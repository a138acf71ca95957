//! Reading a document's text.
//!
//! This file decides that a document is bounded and says each thing once. It must not know what
//! any of it means.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::CompileError;

/// Largest document, in bytes.
pub(super) const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// Deepest nesting of objects and arrays.
pub(super) const DEPTH_MAX: usize = 64;
/// Most values that YAML aliases may repeat: a few lines can otherwise ask for billions.
const ALIASED_MAX: usize = 100_000;

/// Reads a document: JSON where it starts with a brace, else YAML.
pub(super) fn load(document: &str) -> Result<Value, CompileError> {
    let refuse = |message: String| CompileError { pointer: String::new(), message };
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(refuse(format!("the document is over {DOCUMENT_BYTES_MAX} bytes")));
    }
    let strict = if document.trim_start().starts_with('{') {
        serde_json::from_str::<Strict>(document).map_err(|error| refuse(error.to_string()))?
    } else {
        serde_saphyr::from_str_with_options::<Strict>(document, yaml_options())
            .map_err(|error| refuse(one_line(&error.to_string())))?
    };
    if is_within(&strict.0, DEPTH_MAX) {
        Ok(strict.0)
    } else {
        Err(refuse(format!("the document is nested over {DEPTH_MAX} deep")))
    }
}

fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: ALIASED_MAX,
        },
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::Error,
        // YAML 1.2, as OpenAPI asks: `no` is a text.
        strict_booleans: true,
        with_snippet: false,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_within(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) => {
            depth > 0 && items.iter().all(|item| is_within(item, depth.saturating_sub(1)))
        }
        Value::Object(fields) => {
            depth > 0 && fields.values().all(|item| is_within(item, depth.saturating_sub(1)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// A value whose objects have no key twice. [`Value`] itself keeps the last one silently.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((key, Strict(value))) = access.next_entry::<String, Strict>()? {
            if fields.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` stands twice")));
            }
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(document: &str) -> String {
        load(document).unwrap_err().message
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let yaml = "a: [1, no, null, 1.5]\nb: {c: \"200\", 200: true}\n";
        let json = r#" {"a": [1, "no", null, 1.5], "b": {"c": "200", "200": true}}"#;
        assert_eq!(load(yaml).unwrap(), load(json).unwrap());
        assert_eq!(load("- é").unwrap(), serde_json::json!(["é"]));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_at_any_depth() {
        for document in
            ["a: 1\na: 2", "a:\n  b: 1\n  b: 1", r#"{"a": 1, "a": 2}"#, r#"{"a": [{"b":1,"b":1}]}"#]
        {
            let message = refusal(document).to_lowercase();
            assert!(message.contains("twice") || message.contains("duplicate"), "{message}");
        }
    }

    #[test]
    fn a_document_is_bounded_in_bytes_at_n_and_n_plus_one() {
        let padded = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2));
        assert!(load(&padded(DOCUMENT_BYTES_MAX)).is_ok());
        assert!(refusal(&padded(DOCUMENT_BYTES_MAX + 1)).contains("bytes"));
    }

    #[test]
    fn a_document_is_bounded_in_depth_at_n_and_n_plus_one() {
        let json =
            |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(load(&json(DEPTH_MAX)).is_ok());
        assert!(refusal(&json(DEPTH_MAX + 1)).contains("deep"));
        assert!(!refusal(&json(100_000)).is_empty());
        let yaml = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(load(&yaml(DEPTH_MAX)).is_ok());
        assert!(load(&yaml(DEPTH_MAX + 1)).is_err());
    }

    #[test]
    fn aliases_cannot_blow_a_document_up() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let earlier = format!("*a{}, ", level - 1).repeat(9);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", earlier.trim_end_matches(", ")));
        }
        assert!(load(&bomb).is_err());
    }

    #[test]
    fn what_is_no_document_is_one_line() {
        for bad in ["a: [", "{\"a\":", "a: 1\n---\nb: 2", "? [a]\n: b", "a: .nan"] {
            let message = refusal(bad);
            assert!(!message.is_empty() && !message.contains('\n'), "{message}");
        }
    }
}
