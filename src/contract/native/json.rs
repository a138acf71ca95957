//! JSON as it was sent: every member, also where a name stands twice.
//!
//! This file decides what is JSON (RFC 8259) and how deep it may be. It keeps repeated names,
//! because a sample of the seed has them and a system may read either. It must not know schemas.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::fault::Fault;
use crate::oauth::form::Form;

/// Deepest nesting of objects and arrays.
pub(in crate::contract) const DEPTH_MAX: u8 = 32;

/// A value. It has no `Debug`: texts are codes, tokens and passwords.
pub(in crate::contract) enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as near as a float is.
    Number(f64),
    /// A text.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object: every member in order, repeated names too.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Fault::JsonMalformed`].
    pub(in crate::contract) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = Depth(DEPTH_MAX).deserialize(&mut reader);
        let value = value.map_err(|_| Fault::JsonMalformed("syntax"))?;
        reader.end().map_err(|_| Fault::JsonMalformed("more than one value"))?;
        Ok(value)
    }

    /// A form, as the object that it stands for. What has no value was not sent.
    pub(in crate::contract) fn of_form(form: &Form<'_>) -> Self {
        let pairs = form.pairs().filter(|(_, value)| !value.is_empty());
        Self::Object(pairs.map(|(name, value)| (name.into(), Self::Text(value.into()))).collect())
    }

    /// The first member of that name.
    pub(in crate::contract) fn get(&self, name: &str) -> Option<&Self> {
        self.all(name).next()
    }

    /// Every member of that name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &Self> {
        let members = match self {
            Self::Object(members) => members.as_slice(),
            _ => &[],
        };
        members.iter().filter(move |(present, _)| *present == name).map(|(_, value)| value)
    }

    /// Whether any text within is so.
    pub(super) fn has_text(&self, wanted: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Text(text) => wanted(text),
            Self::Array(items) => items.iter().any(|item| item.has_text(wanted)),
            Self::Object(members) => members.iter().any(|(_, value)| value.has_text(wanted)),
            Self::Null | Self::Bool(_) | Self::Number(_) => false,
        }
    }
}

/// Reads a value that may nest so deep.
struct Depth(u8);

impl Depth {
    fn deeper<E: Error>(&self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self.deeper()?)? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = access.next_key::<String>()? {
            members.push((name, access.next_value_seed(self.deeper()?)?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_twice_is_kept_twice() {
        let json = Json::parse(br#"{"id":"306","value":"1","id":"307"}"#).ok().unwrap();
        let ids = json.all("id").filter(|id| matches!(id, Json::Text(_))).count();
        assert_eq!(ids, 2);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for bad in ["", "{", "{'a':1}", "{} {}", "[1,]", "nul", "{\"a\":\"\u{1}\"}", "\u{feff}{}"] {
            assert!(Json::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn nesting_is_bounded_at_n_and_n_plus_one() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let max = usize::from(DEPTH_MAX);
        assert!(Json::parse(nested(max).as_bytes()).is_ok());
        assert!(Json::parse(nested(max + 1).as_bytes()).is_err());
        assert!(Json::parse(nested(100_000).as_bytes()).is_err());
    }
}
