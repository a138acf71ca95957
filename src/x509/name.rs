//! Names of issuers and subjects, as they are compared (RFC 5280 section 7.1).
//!
//! One name may be written in several ways: as PrintableString in a certificate and as UTF8String
//! in a list, in other letters' case, with more white space. This file decides which are one name.
//! Unicode is not normalised beyond case (RFC 4518 section 2.3 would): two names that are told
//! apart for that are two names, and nobody is let in by it.

use super::der::{Reader, tag};

/// A name, so that two are equal if they are one name. `name` is the content of its SEQUENCE.
///
/// What is no name keeps its bytes, and is equal to those alone.
pub fn canonical(name: &[u8]) -> Vec<u8> {
    fold(name).unwrap_or_else(|| [&[NO_NAME], name].concat())
}

/// First octet of what is no name, which no count of attributes is.
const NO_NAME: u8 = 0xff;
/// Most attributes of one relative name; more are compared as bytes.
const ATTRIBUTES_MAX: usize = 100;

fn fold(name: &[u8]) -> Option<Vec<u8>> {
    let mut folded = Vec::with_capacity(name.len() + 16);
    let mut relative_names = Reader::new(name);
    while !relative_names.is_empty() {
        let mut set = Reader::new(relative_names.expect(tag::SET).ok()?);
        let mut attributes = Vec::new();
        while !set.is_empty() && attributes.len() < ATTRIBUTES_MAX {
            attributes.push(attribute(set.expect(tag::SEQUENCE).ok()?)?);
        }
        set.end().ok()?;
        // A set has no order.
        attributes.sort_unstable();
        folded.push(u8::try_from(attributes.len()).ok()?);
        attributes.iter().for_each(|attribute| push(&mut folded, attribute));
    }
    Some(folded)
}

fn attribute(sequence: &[u8]) -> Option<Vec<u8>> {
    let mut inside = Reader::new(sequence);
    let kind = inside.expect(tag::OBJECT_IDENTIFIER).ok()?;
    let value = inside.element().ok()?;
    inside.end().ok()?;
    let mut folded = Vec::with_capacity(sequence.len());
    push(&mut folded, kind);
    match text(value.tag, value.value) {
        Some(text) => {
            folded.push(b's');
            push(&mut folded, fold_text(&text).as_bytes());
        }
        None => push(&mut folded, value.whole),
    }
    Some(folded)
}

/// Puts bytes behind their length, so that no two lists of them look the same.
fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}

/// The text of a string type (X.680 section 41); none where it is another type, or broken.
pub(super) fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        // UTF8String, and the parts of ASCII: Numeric-, Printable-, IA5-, VisibleString.
        0x0c | 0x12 | 0x13 | 0x16 | 0x1a => std::str::from_utf8(value).ok().map(str::to_owned),
        // TeletexString, which everybody fills with Latin 1.
        0x14 => Some(value.iter().copied().map(char::from).collect()),
        // BMPString and UniversalString.
        0x1e => {
            let (pairs, []) = value.as_chunks::<2>() else { return None };
            char::decode_utf16(pairs.iter().copied().map(u16::from_be_bytes))
                .collect::<Result<_, _>>()
                .ok()
        }
        0x1c => {
            let (quads, []) = value.as_chunks::<4>() else { return None };
            quads.iter().copied().map(u32::from_be_bytes).map(char::from_u32).collect()
        }
        _ => None,
    }
}

/// Lower case, one space between words, none around them.
fn fold_text(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().flat_map(char::to_lowercase));
    }
    folded
}

/// A name as people read it, such as `O=Bank, CN=Root`: for messages, so that nothing but
/// printable characters is in it, and no more than a line of them.
pub(super) fn shown(name: &[u8]) -> String {
    let mut shown = String::new();
    let mut relative_names = Reader::new(name);
    while let Ok(set) = relative_names.expect(tag::SET) {
        let mut set = Reader::new(set);
        while let Ok(sequence) = set.expect(tag::SEQUENCE) {
            let mut inside = Reader::new(sequence);
            let (Ok(kind), Ok(value)) = (inside.expect(tag::OBJECT_IDENTIFIER), inside.element())
            else {
                continue;
            };
            let Some(label) = label(kind) else { continue };
            let Some(text) = text(value.tag, value.value) else { continue };
            if !shown.is_empty() {
                shown.push_str(", ");
            }
            shown.push_str(label);
            let clean = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
            shown.extend(clean.take(SHOWN_MAX));
            if shown.len() > SHOWN_MAX {
                return shown;
            }
        }
    }
    if shown.is_empty() { "(a name without text)".to_owned() } else { shown }
}

/// About how many characters of a name are shown.
const SHOWN_MAX: usize = 120;

fn label(kind: &[u8]) -> Option<&'static str> {
    Some(match kind {
        [0x55, 4, 3] => "CN=",
        [0x55, 4, 6] => "C=",
        [0x55, 4, 10] => "O=",
        [0x55, 4, 11] => "OU=",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn element(tag: u8, value: &[u8]) -> Vec<u8> {
        assert!(value.len() < 0x80);
        [&[tag, value.len() as u8], value].concat()
    }

    /// `CN=value` in a string type.
    fn common_name(tag: u8, value: &[u8]) -> Vec<u8> {
        let inside = [element(0x06, &[0x55, 4, 3]), element(tag, value)].concat();
        element(0x31, &element(0x30, &inside))
    }

    #[test]
    fn one_name_in_two_string_types_cases_and_spacings_is_one_name() {
        let utf8 = canonical(&common_name(0x0c, b"Banks Root CA"));
        assert_eq!(canonical(&common_name(0x13, b"Banks Root CA")), utf8);
        assert_eq!(canonical(&common_name(0x13, b"  banks  ROOT ca ")), utf8);
        let wide: Vec<u8> = "Banks Root CA".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(canonical(&common_name(0x1e, &wide)), utf8);
        assert_ne!(canonical(&common_name(0x0c, b"BanksRoot CA")), utf8);
        assert_ne!(canonical(&common_name(0x0c, b"Banks Root CB")), utf8);
        // What is no string is compared as it is.
        assert_ne!(canonical(&common_name(0x04, b"A")), canonical(&common_name(0x04, b"a")));
    }

    #[test]
    fn the_order_of_names_counts_and_that_within_a_set_does_not() {
        let part = |kind: u8, text: &[u8]| {
            let inside = [element(0x06, &[0x55, 4, kind]), element(0x0c, text)].concat();
            element(0x30, &inside)
        };
        let (one, two) = (part(3, b"a"), part(10, b"b"));
        let set = |parts: &[&[u8]]| element(0x31, &parts.concat());
        assert_eq!(canonical(&set(&[&one, &two])), canonical(&set(&[&two, &one])));
        let in_order = [set(&[&one]), set(&[&two])].concat();
        let turned = [set(&[&two]), set(&[&one])].concat();
        assert_ne!(canonical(&in_order), canonical(&turned));
        assert_ne!(canonical(&in_order), canonical(&set(&[&one, &two])));
    }

    #[test]
    fn a_name_is_shown_without_control_characters() {
        assert_eq!(shown(&common_name(0x0c, b"A\nB")), "CN=A\u{fffd}B");
        assert_eq!(shown(b"\x31"), "(a name without text)");
    }

    proptest! {
        #[test]
        fn a_canonical_name_is_no_longer_than_a_few_times_what_came(
            bytes in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            prop_assert!(canonical(&bytes).len() <= 8 * bytes.len() + 16);
            prop_assert!(shown(&bytes).chars().count() <= 3 * SHOWN_MAX);
        }

        #[test]
        fn case_never_tells_two_names_apart(text in "[a-zA-Z ]{0,40}") {
            let (as_is, lower) = (common_name(0x0c, text.as_bytes()),
                common_name(0x13, text.to_lowercase().as_bytes()));
            prop_assert_eq!(canonical(&as_is), canonical(&lower));
        }
    }
}
