//! Takes out of a bank's words what must not travel further: what the call or the hub put into the
//! request, and whatever looks like a token, a code or an account.
//!
//! This file decides what looks like one. It rather takes out too much: the words are for people.

use crate::dialect::Asked;
use crate::oauth::is_description;

/// What stands in place of what was taken out.
const GONE: &str = "[redacted]";
/// Longest text that is passed on, in characters.
const CHARS_MAX: usize = 200;
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
    let sent = asked.form.pairs().filter(|(name, _)| !PUBLIC.contains(name));
    let values: Vec<_> = sent.map(|(_, value)| value).chain(hidden.iter().copied()).collect();
    let text = without_opaque(&without_ibans(&without_values(text, &values)));
    Some(text.chars().take(CHARS_MAX).collect())
}

/// Takes out values of the request. What may not stand in a description goes here and not later:
/// else a value with such a character in its midst would be whole again once that is dropped.
fn without_values(text: &str, values: &[&str]) -> String {
    let mut text = text.to_owned();
    let known = || values.iter().filter(|value| value.len() >= VALUE_BYTES_MIN);
    for value in known() {
        text = text.replace(value, GONE);
    }
    text = speakable(&text);
    for value in known().map(|value| speakable(value)) {
        if value.len() >= VALUE_BYTES_MIN {
            text = text.replace(&value, GONE);
        }
    }
    text
}

fn speakable(text: &str) -> String {
    text.chars().filter(|c| is_description(c.encode_utf8(&mut [0; 4]))).collect()
}

/// Takes out IBANs, also as they are printed: in groups of four.
fn without_ibans(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(character) = characters.get(at) {
        let begins_word =
            at.checked_sub(1).and_then(|b| characters.get(b)).is_none_or(|b| !b.is_alphanumeric());
        match characters.get(at..).and_then(iban_length).filter(|_| begins_word) {
            Some(length) => {
                clean.push_str(GONE);
                at += length;
            }
            None => {
                clean.push(*character);
                at += 1;
            }
        }
    }
    clean
}

/// How many characters the IBAN has, spaces included, that a text begins with.
fn iban_length(text: &[char]) -> Option<usize> {
    let [a, b, c, d, ..] = text else { return None };
    let begins = [a, b].into_iter().all(char::is_ascii_uppercase)
        && [c, d].into_iter().all(char::is_ascii_digit);
    if !begins {
        return None;
    }
    let (mut length, mut digits, mut end) = (0, 0, 0);
    for (at, character) in text.iter().enumerate() {
        match character {
            'A'..='Z' | '0'..='9' => {
                length += 1;
                digits += usize::from(character.is_ascii_digit());
                end = at + 1;
            }
            // A group is over; a word in small letters behind it is none.
            ' ' if length % 4 == 0 => {}
            _ => break,
        }
        if length == *IBAN_CHARS.end() {
            break;
        }
    }
    (IBAN_CHARS.contains(&length) && digits >= 8).then_some(end)
}

fn without_opaque(text: &str) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || "-_.~+/=%".contains(c);
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word_end = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        clean.push_str(if is_opaque(word) { GONE } else { word });
        let next = after.find(is_of_word).unwrap_or(after.len());
        let (between, behind) = after.split_at(next);
        clean.push_str(between);
        rest = behind;
    }
    clean
}

/// Whether a word is none of a language.
fn is_opaque(word: &str) -> bool {
    let word = word.trim_end_matches('.');
    let has = |is: fn(&char) -> bool| word.chars().any(|c| is(&c));
    let mixed = has(char::is_ascii_digit)
        || (has(char::is_ascii_lowercase)
            && word.chars().skip(1).filter(char::is_ascii_uppercase).count() > 2);
    let length = word.chars().count();
    (length >= OPAQUE_CHARS_MIN && mixed) || length >= WORD_CHARS_MAX
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[A-Z0-9 a-z<ä.=-]{0,80}") {
            let clean = without_opaque(&without_ibans(&text));
            prop_assert_eq!(without_opaque(&clean), clean);
        }

        #[test]
        fn a_long_token_never_stays(token in "[a-z]{8}[0-9]{8}[A-Za-z0-9_-]{0,60}") {
            let clean = without_opaque(&without_ibans(&format!("the code {token}, is bad")));
            prop_assert!(!clean.contains(&token), "{}", clean);
        }
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
            assert_eq!(without_values(text, &values), clean, "{text}");
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
            assert_eq!(without_opaque(&without_ibans(text)), clean, "{text}");
        }
    }
}
