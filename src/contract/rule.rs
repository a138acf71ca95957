//! One rule on one text: what a `type: string` schema is compiled to.
//!
//! This file decides whether a text keeps its schema and, if not, in which way. It must not know
//! whether the text is a header or a parameter, or what the client is told.

mod charset;
mod format;
mod pattern;
mod uri_reference;

pub(super) use format::Format;
pub(super) use pattern::Pattern;

use http::HeaderValue;

use crate::fault::Name;

/// A compiled string schema. Every part that is there must hold.
#[derive(Debug, Clone, Default)]
pub(super) struct TextRule {
    /// `minLength`, in characters.
    pub(super) length_min: usize,
    /// `maxLength`, in characters.
    pub(super) length_max: Option<usize>,
    /// `enum` or `const`.
    pub(super) listed: Option<Vec<Name>>,
    /// `pattern`.
    pub(super) pattern: Option<Pattern>,
    /// `format`, where it is one that restricts.
    pub(super) format: Option<Format>,
    /// `anyOf`; empty where there is none.
    pub(super) any_of: Vec<TextRule>,
}

/// How a text breaks its rule, as far as a fixed sentence can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breach {
    /// Over `maxLength`.
    TooLong,
    /// Not in `enum`.
    NotListed,
    /// Anything else.
    Malformed,
}

impl TextRule {
    /// One of a list of values.
    pub(super) fn of_values(listed: Vec<Name>) -> Self {
        Self { listed: Some(listed), ..Self::default() }
    }

    /// Checks a decoded parameter. A character is a Unicode code point, as in JSON Schema: 64
    /// emoji, 256 bytes, fit a `maxLength` of 64.
    pub(super) fn check_text(&self, text: &str) -> Result<(), Breach> {
        if self.length_max.is_some_and(|max| is_longer(text, max)) {
            return Err(Breach::TooLong);
        }
        if let Some(listed) = &self.listed
            && !listed.iter().any(|name| **name == *text)
        {
            return Err(Breach::NotListed);
        }
        let holds = !is_shorter(text, self.length_min)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
            && self.format.is_none_or(|format| format.matches(text))
            && (self.any_of.is_empty() || self.any_of.iter().any(|r| r.check_text(text).is_ok()));
        if holds { Ok(()) } else { Err(Breach::Malformed) }
    }

    /// The same for octets that are characters each, where only their count and their set matter:
    /// most headers have no other rule, and no text has to be made of them.
    fn check_octets(&self, octets: &[u8]) -> Option<Result<(), Breach>> {
        if self.listed.is_some() || self.format.is_some() || !self.any_of.is_empty() {
            return None;
        }
        if self.length_max.is_some_and(|max| octets.len() > max) {
            return Some(Err(Breach::TooLong));
        }
        let matches = self.pattern.as_ref().map_or(Some(true), |it| it.matches_octets(octets))?;
        let holds = octets.len() >= self.length_min && matches;
        Some(if holds { Ok(()) } else { Err(Breach::Malformed) })
    }

    /// Checks a header's value. A character is an octet: RFC 9110 section 5.5 calls the octets
    /// above ASCII opaque, so reading more into them would refuse what HTTP allows.
    pub(super) fn check_header(&self, value: &HeaderValue) -> Result<(), Breach> {
        if let Some(checked) = self.check_octets(value.as_bytes()) {
            return checked;
        }
        match value.to_str() {
            Ok(text) => self.check_text(text),
            Err(_) => {
                let text: String = value.as_bytes().iter().copied().map(char::from).collect();
                self.check_text(&text)
            }
        }
    }
}

/// Whether `text` has more than `max` characters. Counts only where the bytes leave it open.
fn is_longer(text: &str, max: usize) -> bool {
    text.len() > max && text.chars().nth(max).is_some()
}

/// Whether `text` has fewer than `min` characters, of which none has more than four bytes.
fn is_shorter(text: &str, min: usize) -> bool {
    text.len().div_ceil(4) < min && text.chars().take(min).count() < min
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters_at_n_and_n_plus_one() {
        let rule = TextRule { length_min: 2, length_max: Some(3), ..TextRule::default() };
        for good in ["ab", "abc", "😀😀😀"] {
            assert_eq!(rule.check_text(good), Ok(()), "{good}");
        }
        assert_eq!(rule.check_text("😀"), Err(Breach::Malformed));
        assert_eq!(rule.check_text("😀😀😀a"), Err(Breach::TooLong));
    }

    #[test]
    fn a_header_counts_octets() {
        let rule = TextRule { length_max: Some(3), ..TextRule::default() };
        let check = |octets: &[u8]| rule.check_header(&HeaderValue::from_bytes(octets).unwrap());
        assert_eq!(check(b"\xff\xff\xff"), Ok(()));
        assert_eq!(check("ää".as_bytes()), Err(Breach::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn a_header_is_checked_the_same_by_its_octets_as_by_its_text(
            octets in proptest::collection::vec(0x20..=0xff_u8, 0..12),
            min in 0..4_usize,
            max in 3..9_usize,
        ) {
            let Ok(value) = HeaderValue::from_bytes(&octets) else { return Ok(()) };
            for pattern in ["^[a-zA-Z0-9 ]{1,8}$", "^[^\u{e4}x]{2,6}$", "^[!-\u{ff}]*$"] {
                let pattern = Some(Pattern::parse(pattern).unwrap());
                let length_max = Some(max);
                let rule = TextRule { length_min: min, length_max, pattern, ..TextRule::default() };
                let text: String = octets.iter().copied().map(char::from).collect();
                proptest::prop_assert_eq!(rule.check_header(&value), rule.check_text(&text));
            }
        }
    }

    #[test]
    fn every_part_must_hold_and_one_alternative() {
        let listed = |name: &str| TextRule::of_values(vec![name.into()]);
        let ip = |format| TextRule { format: Some(format), ..TextRule::default() };
        let rule = TextRule {
            length_max: Some(9),
            any_of: vec![ip(Format::Ipv4), ip(Format::Ipv6), listed("AUTO")],
            ..TextRule::default()
        };
        for good in ["AUTO", "10.0.0.1", "::1"] {
            assert_eq!(rule.check_text(good), Ok(()), "{good}");
        }
        assert_eq!(rule.check_text("auto"), Err(Breach::Malformed));
        assert_eq!(rule.check_text("10.0.0.100"), Err(Breach::TooLong));
        assert_eq!(listed("a").check_text("b"), Err(Breach::NotListed));
    }
}
