//! Takes out of a bank's words what must not travel further: what the call or the hub put into the
//! request, and whatever looks like a token, a code or an account.
//!
//! This file decides what looks like one. It rather takes out too much: the words are for people.
//! A client chooses what is looked for and a bank chooses where, so everything is found in the
//! bank's own text and taken out once: no replacement is ever looked at again, and the work is
//! bounded by the length of the form times a constant.

use std::ops::Range;

use crate::dialect::Asked;
use crate::oauth::is_description;

/// What stands in place of what was taken out.
pub(in crate::dialect) const GONE: &str = "[redacted]";
/// Longest text that is looked at, in bytes; what is behind it is not told.
const TEXT_BYTES_MAX: usize = 1024;
/// Longest text that is passed on, in characters.
pub(in crate::dialect) const CHARS_MAX: usize = 200;
/// A value of the request shorter than this is not looked for: it stands in any text by chance.
const VALUE_BYTES_MIN: usize = 4;
/// A word with a digit in it, or with its letters in both cases, is opaque from this length on.
const OPAQUE_CHARS_MIN: usize = 16;
/// Any word is, from this length on.
const WORD_CHARS_MAX: usize = 40;
/// ISO 13616: an IBAN has at least 15 characters, and two letters and two digits first.
const IBAN_CHARS: std::ops::RangeInclusive<usize> = 15..=34;
/// Parameters whose values are no secrets.
const PUBLIC: [&str; 5] = ["grant_type", "client_id", "redirect_uri", "token_type_hint", "scope"];

/// A bank's words without secrets; `None` where nothing is left to say, or it is a page.
pub(in crate::dialect) fn redact(text: &str, asked: &Asked<'_>, hidden: &[&str]) -> Option<String> {
    if text.trim().is_empty() || text.contains('<') {
        return None;
    }
    Some(without_secrets(text, sent(asked).chain(hidden.iter().copied())))
}

/// The values of the request that are the client's own affair.
pub(in crate::dialect) fn sent<'a>(asked: &'a Asked<'_>) -> impl Iterator<Item = &'a str> {
    let secret = asked.form.pairs().filter(|(name, _)| !PUBLIC.contains(name));
    secret.map(|(_, value)| value)
}

fn without_secrets<'v>(text: &str, values: impl Iterator<Item = &'v str>) -> String {
    let mut words = Words::read(text);
    values.for_each(|value| words.mark_value(value));
    words.mark_ibans();
    words.mark_opaque();
    words.tell()
}

/// The beginning of a bank's words, and what of it is not told.
struct Words<'t> {
    /// As the bank wrote it.
    raw: &'t str,
    /// What of it may stand in a description, which is ASCII.
    speakable: Vec<u8>,
    /// Where in `raw` each of those stood.
    origin: Vec<usize>,
    /// Which of those are gone.
    gone: Vec<bool>,
    /// Whether the bank said more.
    is_cut: bool,
}

impl<'t> Words<'t> {
    fn read(text: &'t str) -> Self {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end));
        let raw = end.and_then(|end| text.get(..end)).unwrap_or(text);
        let speakable = raw.bytes().enumerate().filter(|(_, byte)| is_speakable(*byte));
        let (origin, speakable): (Vec<_>, Vec<_>) = speakable.unzip();
        let gone = vec![false; speakable.len()];
        Self { raw, speakable, origin, gone, is_cut: raw.len() < text.len() }
    }

    /// Marks a value of the request wherever it stands: as it was sent, and with what may not stand
    /// in a description left out of the text, and of the value. Else a value with such a character
    /// in its midst would be whole again once that is dropped.
    fn mark_value(&mut self, value: &str) {
        if value.len() < VALUE_BYTES_MIN {
            return;
        }
        for found in find_all(self.raw.as_bytes(), value.as_bytes(), self.is_cut) {
            let start = self.origin.partition_point(|at| *at < found.start);
            let end = self.origin.partition_point(|at| *at < found.end);
            self.mark(start..end);
        }
        let value: Vec<u8> = value.bytes().filter(|byte| is_speakable(*byte)).collect();
        if value.len() >= VALUE_BYTES_MIN {
            for found in find_all(&self.speakable, &value, self.is_cut) {
                self.mark(found);
            }
        }
    }

    /// Marks IBANs, also as they are printed: in groups of four.
    fn mark_ibans(&mut self) {
        let mut at = 0;
        while let Some(rest) = self.speakable.get(at..).filter(|rest| !rest.is_empty()) {
            let before = at.checked_sub(1).and_then(|before| self.speakable.get(before));
            let begins_word = before.is_none_or(|before| !before.is_ascii_alphanumeric());
            let length = if begins_word { iban_length(rest) } else { None };
            if let Some(length) = length {
                self.mark(at..at + length);
            }
            at += length.unwrap_or(1);
        }
    }

    fn mark_opaque(&mut self) {
        let mut at = 0;
        while at < self.speakable.len() {
            let rest = self.speakable.get(at..).unwrap_or_default();
            let length = rest.iter().position(|byte| !is_of_word(*byte)).unwrap_or(rest.len());
            let word = without_stops(rest.get(..length).unwrap_or_default());
            if is_opaque(word) {
                self.mark(at..at + word.len());
            }
            at += length.max(1);
        }
    }

    fn mark(&mut self, range: Range<usize>) {
        self.gone.get_mut(range).into_iter().flatten().for_each(|gone| *gone = true);
    }

    /// What is left, with one mark for all that is gone in one place.
    fn tell(&self) -> String {
        let mut told = String::with_capacity(CHARS_MAX);
        let mut was_gone = false;
        for (byte, gone) in self.speakable.iter().zip(&self.gone) {
            match (*gone, was_gone) {
                (false, _) => told.push(char::from(*byte)),
                (true, false) => told.push_str(GONE),
                (true, true) => {}
            }
            was_gone = *gone;
            if told.len() >= CHARS_MAX {
                break;
            }
        }
        told.truncate(CHARS_MAX);
        told
    }
}

/// Where a value stands in a text. Where the text was cut, its end may be a value's beginning.
fn find_all(text: &[u8], value: &[u8], is_cut: bool) -> Vec<Range<usize>> {
    let found = memchr::memmem::find_iter(text, value).map(|at| at..at + value.len());
    let mut found: Vec<_> = found.collect();
    if is_cut {
        let longest = text.len().min(value.len().saturating_sub(1));
        let begins = |length: &usize| {
            let end = text.get(text.len() - length..);
            end.is_some_and(|end| value.starts_with(end))
        };
        let length = (VALUE_BYTES_MIN..=longest).rev().find(begins);
        found.extend(length.map(|length| text.len() - length..text.len()));
    }
    found
}

fn is_speakable(byte: u8) -> bool {
    is_description(char::from(byte).encode_utf8(&mut [0; 4]))
}

/// How many characters the IBAN has, spaces included, that a text begins with.
fn iban_length(text: &[u8]) -> Option<usize> {
    let [a, b, c, d, ..] = text else { return None };
    let begins = [a, b].into_iter().all(u8::is_ascii_uppercase)
        && [c, d].into_iter().all(u8::is_ascii_digit);
    if !begins {
        return None;
    }
    let (mut length, mut digits, mut end) = (0, 0, 0);
    for (at, character) in text.iter().enumerate() {
        match character {
            b'A'..=b'Z' | b'0'..=b'9' => {
                length += 1;
                digits += usize::from(character.is_ascii_digit());
                end = at + 1;
            }
            // A group is over; a word in small letters behind it is none.
            b' ' if length % 4 == 0 => {}
            _ => break,
        }
        if length == *IBAN_CHARS.end() {
            break;
        }
    }
    (IBAN_CHARS.contains(&length) && digits >= 8).then_some(end)
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~+/=%".contains(&byte)
}

/// A word without the full stops behind it.
fn without_stops(word: &[u8]) -> &[u8] {
    let last = word.iter().rposition(|byte| *byte != b'.');
    last.and_then(|last| word.get(..=last)).unwrap_or_default()
}

/// Whether a word is none of a language.
fn is_opaque(word: &[u8]) -> bool {
    let has = |is: fn(&u8) -> bool| word.iter().any(is);
    let mixed = has(u8::is_ascii_digit)
        || (has(u8::is_ascii_lowercase)
            && word.iter().skip(1).filter(|byte| byte.is_ascii_uppercase()).count() > 2);
    (word.len() >= OPAQUE_CHARS_MIN && mixed) || word.len() >= WORD_CHARS_MAX
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn without(text: &str, values: &[&str]) -> String {
        without_secrets(text, values.iter().copied())
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic_and_once_is_enough(text in "[A-Z0-9 a-z<ä.=-]{0,80}") {
            let clean = without(&text, &[]);
            prop_assert_eq!(without(&clean, &[]), clean);
        }

        #[test]
        fn a_long_token_never_stays(token in "[a-z]{8}[0-9]{8}[A-Za-z0-9_-]{0,60}") {
            let clean = without(&format!("the code {token}, is bad"), &[]);
            prop_assert!(!clean.contains(&token), "{}", clean);
        }

        /// Whatever a client sends and a bank says: the text is short, and nothing that was sent
        /// is in it, but for what is a part of the mark itself.
        #[test]
        fn no_value_stays_and_no_text_grows(
            text in "[a-e\"äß\\[\\]red ]{0,1500}",
            values in proptest::collection::vec("[a-e\"äß\\[\\]red ]{0,12}", 0..64),
        ) {
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            let clean = without(&text, &values);
            prop_assert!(clean.len() <= CHARS_MAX);
            for value in values.iter().filter(|value| value.len() >= VALUE_BYTES_MIN) {
                let of_mark = value.contains(['[', ']']) || GONE.contains(value);
                prop_assert!(of_mark || !clean.contains(value), "{value:?} in {clean:?}");
            }
        }
    }

    /// 308 bytes of this once ended the process: each value was looked for in what the one before
    /// had left, marks included, and each made the text longer.
    #[test]
    fn values_that_stand_in_the_mark_itself_make_no_text_longer() {
        let pairs = ["%5Bred", "acte", "[red", "acted]", "d]", "[redacted]", "redacted"];
        let values = std::iter::once("unknown").chain(pairs.into_iter().cycle()).take(64);
        let values: Vec<_> = values.collect();
        let text = "unknown ".repeat(100_000);
        let clean = without(&text, &values);
        assert!(clean.len() <= CHARS_MAX, "{}", clean.len());
        assert!(clean.starts_with("[redacted] [redacted] "), "{clean}");
    }

    #[test]
    fn a_value_that_the_bound_cuts_is_gone_too() {
        let secret = "s3cret with words in it";
        for kept in VALUE_BYTES_MIN..secret.len() {
            let before = "x".repeat(TEXT_BYTES_MAX - kept - 1);
            let clean = without(&format!("{before} {secret} is over"), &[secret]);
            assert_eq!(clean, "[redacted] [redacted]", "{kept}");
        }
        assert_eq!(without(&format!("{} {secret}", "x".repeat(2000)), &[]), "[redacted]");
    }

    #[test]
    fn a_value_with_a_character_that_is_dropped_in_its_midst_is_found() {
        let values = ["client-code-1", "jürg.muster", "ok"];
        for (text, clean) in [
            ("client-\u{590}code-1 is over", "[redacted] is over"),
            ("cl\"ient-code-1, client-code-1", "[redacted], [redacted]"),
            ("jürg.muster or jrg.muster", "[redacted] or [redacted]"),
            ("ok", "ok"),
        ] {
            assert_eq!(without(text, &values), clean, "{text}");
        }
    }

    #[test]
    fn what_looks_like_a_token_or_an_account_goes() {
        for (text, clean) in [
            ("code abcDEF123456ghij expired", "code [redacted] expired"),
            ("token eyJhbGciOi.eyJzdWIi.c2ln is bad", "token [redacted] is bad"),
            ("no CH93 0076 2011 6238 5295 7 here", "no [redacted] here"),
            ("no CH9300762011623852957.", "no [redacted]."),
            ("the grant was used before", "the grant was used before"),
            ("unsupported_grant_type: see the docs", "unsupported_grant_type: see the docs"),
            ("AADSTS70008: expired", "AADSTS70008: expired"),
        ] {
            assert_eq!(without(text, &[]), clean, "{text}");
        }
    }
}
