//! The members of a JSON object in a bank's answer, each as the bank wrote it.
//!
//! This file decides what is an object, and how many of its members are looked at. Values are not
//! read before they are asked for: a number stays as exact as it came, and a large answer makes no
//! large tree. It must not know what a member means.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Most members that are kept; an answer of a token endpoint has a dozen.
const MEMBERS_MAX: usize = 256;
/// Longest number that is read, or short text in place of one.
const NUMBER_BYTES_MAX: usize = 64;

/// The members in the bank's order. Of two with one name the last counts.
pub(in crate::dialect) struct Members<'b>(Vec<(Cow<'b, str>, &'b RawValue)>);

impl<'b> Members<'b> {
    /// Reads a body; nothing where it is no JSON object. A mark of the byte order before it is
    /// passed over (RFC 8259 section 8.1 allows that).
    pub(in crate::dialect) fn read(body: &'b [u8]) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_slice(without_mark(body));
        let members = reader.deserialize_map(Object).ok()?;
        reader.end().ok().map(|()| members)
    }

    /// The text of a member; an empty one is as good as none.
    pub(in crate::dialect) fn text(&self, name: &str) -> Option<Cow<'b, str>> {
        let text: Text<'b> = serde_json::from_str(self.raw(name)?.get()).ok()?;
        Some(text.0).filter(|text| !text.is_empty())
    }

    /// Whether a member is `true`.
    pub(in crate::dialect) fn flag(&self, name: &str) -> Option<bool> {
        serde_json::from_str(self.raw(name)?.get()).ok()
    }

    /// Whole seconds, as a number or, as some banks write them, as a text.
    pub(in crate::dialect) fn seconds(&self, name: &str) -> Option<u64> {
        let raw = self.raw(name)?.get();
        let short = (raw.len() <= NUMBER_BYTES_MAX).then_some(raw)?;
        let value: Value = serde_json::from_str(short).ok()?;
        let fraction = || value.as_f64().filter(|n| (0.0..=1e12).contains(n)).map(|n| n as u64);
        value.as_u64().or_else(fraction).or_else(|| value.as_str()?.parse().ok())
    }

    /// The members of a member.
    pub(in crate::dialect) fn object(&self, name: &str) -> Option<Self> {
        Self::read(self.raw(name)?.get().as_bytes())
    }

    /// Whether a member is there and not `null`.
    pub(in crate::dialect) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|raw| raw.get() != "null")
    }

    /// Whether a member is a text without a letter.
    pub(super) fn is_empty_text(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|raw| raw.get() == "\"\"")
    }

    /// Every member, as it was written.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'b str)> {
        self.0.iter().map(|(name, raw)| (&**name, raw.get()))
    }

    fn raw(&self, name: &str) -> Option<&'b RawValue> {
        self.0.iter().rfind(|(known, _)| *known == name).map(|(_, raw)| *raw)
    }
}

/// A body without the mark of the byte order that some programs put before UTF-8.
pub(in crate::dialect) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// A text that borrows where nothing in it was escaped.
#[derive(serde::Deserialize)]
struct Text<'b>(#[serde(borrow)] Cow<'b, str>);

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while members.len() < MEMBERS_MAX {
            let Some((name, value)) = access.next_entry::<Text<'de>, &RawValue>()? else {
                return Ok(Members(members));
            };
            members.push((name.0, value));
        }
        while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_read_as_what_it_is_and_the_last_of_a_name_counts() {
        let body =
            br#" {"a":"x","b":true,"s":"90","n":12.5,"o":{"t":"1"},"e":"","z":null,"a":"y\n"}"#;
        let members = Members::read(body).unwrap();
        assert_eq!(members.text("a").as_deref(), Some("y\n"));
        assert_eq!(
            (members.text("b"), members.text("e"), members.text("none")),
            (None, None, None)
        );
        assert_eq!((members.flag("b"), members.flag("a")), (Some(true), None));
        assert_eq!((members.seconds("s"), members.seconds("n")), (Some(90), Some(12)));
        assert_eq!(members.object("o").unwrap().text("t").as_deref(), Some("1"));
        assert!(members.has("e") && !members.has("z") && !members.has("none"));
    }

    #[test]
    fn a_mark_of_the_byte_order_is_passed_over_and_what_is_no_object_is_none() {
        assert!(Members::read(b"\xef\xbb\xbf{}").is_some());
        for bad in [&b""[..], b"[]", b"\"a\"", b"{}x", b"{\"a\":}", b"<html>", b"{\"a\":\"\xff\"}"]
        {
            assert!(Members::read(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn no_more_members_are_kept_than_a_bound() {
        let body = |count: usize| {
            let members: Vec<_> = (0..count).map(|n| format!("\"m{n}\":{n}")).collect();
            format!("{{{}}}", members.join(","))
        };
        for (count, kept) in [(MEMBERS_MAX, MEMBERS_MAX), (MEMBERS_MAX + 1, MEMBERS_MAX)] {
            assert_eq!(Members::read(body(count).as_bytes()).unwrap().iter().count(), kept);
        }
    }
}
