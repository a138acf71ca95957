//! Patterns of the shape `^[class]{m,n}$`, which most patterns of real contracts have, read as a
//! set of characters and two counts.
//!
//! This file decides what such a pattern matches, exactly as ECMA-262 does. It must not know what
//! to do with any other pattern.

use std::iter::Peekable;
use std::str::Chars;

/// A whole text of so many characters out of one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::contract) struct ClassPattern {
    set: CharSet,
    count_min: usize,
    count_max: usize,
}

/// A set of characters; the table answers for the 256 lowest, which is nearly always.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CharSet {
    low: [bool; 256],
    ranges: Vec<CharRange>,
    negated: bool,
}

type CharRange = (char, char);

impl ClassPattern {
    /// Reads a pattern; `None` where it has another shape.
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        let mut rest = pattern.strip_prefix("^[")?.strip_suffix('$')?.chars().peekable();
        let negated = rest.next_if_eq(&'^').is_some();
        let mut ranges: Vec<CharRange> = Vec::new();
        while rest.next_if_eq(&']').is_none() {
            read_item(&mut rest, &mut ranges)?;
        }
        if ranges.is_empty() {
            return None;
        }
        let (count_min, count_max) = read_counts(rest.collect::<String>().as_str())?;
        Some(Self { set: CharSet::new(ranges, negated), count_min, count_max })
    }

    /// Whether the whole of `text` is of the pattern.
    pub(super) fn matches(&self, text: &str) -> bool {
        let (all, ascii) = text.bytes().fold((true, true), |(all, ascii), byte| {
            (all & self.set.has_low(byte), ascii & byte.is_ascii())
        });
        let count = match (ascii, all) {
            (true, true) => text.len(),
            (true, false) => return false,
            (false, _) if text.chars().all(|character| self.set.has(character)) => {
                text.chars().count()
            }
            (false, _) => return false,
        };
        (self.count_min..=self.count_max).contains(&count)
    }
}

impl ClassPattern {
    /// The same for octets that are characters each: those up to U+00FF.
    pub(super) fn matches_octets(&self, octets: &[u8]) -> bool {
        (self.count_min..=self.count_max).contains(&octets.len())
            && octets.iter().fold(true, |all, octet| all & self.set.has_low(*octet))
    }
}

impl CharSet {
    fn new(ranges: Vec<CharRange>, negated: bool) -> Self {
        let mut set = Self { low: [false; 256], ranges, negated };
        for byte in 0..=u8::MAX {
            let has = set.has_by_range(char::from(byte));
            if let Some(entry) = set.low.get_mut(usize::from(byte)) {
                *entry = has;
            }
        }
        set
    }

    fn has_low(&self, byte: u8) -> bool {
        self.low.get(usize::from(byte)).copied().unwrap_or(false)
    }

    fn has(&self, character: char) -> bool {
        match u8::try_from(character) {
            Ok(byte) => self.has_low(byte),
            Err(_) => self.has_by_range(character),
        }
    }

    fn has_by_range(&self, character: char) -> bool {
        let within = self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&character));
        within != self.negated
    }
}

/// The characters of `\d`, `\w` and `\s` (ECMA-262 section 22.2.2.9; unlike many engines, ECMA
/// means ASCII by the first two).
pub(super) fn class_escape(letter: char) -> Option<&'static [CharRange]> {
    match letter {
        'd' => Some(&[('0', '9')]),
        'w' => Some(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        's' => Some(&[
            ('\t', '\r'),
            (' ', ' '),
            ('\u{a0}', '\u{a0}'),
            ('\u{1680}', '\u{1680}'),
            ('\u{2000}', '\u{200a}'),
            ('\u{2028}', '\u{2029}'),
            ('\u{202f}', '\u{202f}'),
            ('\u{205f}', '\u{205f}'),
            ('\u{3000}', '\u{3000}'),
            ('\u{feff}', '\u{feff}'),
        ]),
        _ => None,
    }
}

/// Reads one character, one range or one class escape.
fn read_item(rest: &mut Peekable<Chars<'_>>, ranges: &mut Vec<CharRange>) -> Option<()> {
    let first = rest.next()?;
    if first == '\\'
        && let Some(class) = rest.peek().copied().and_then(class_escape)
    {
        rest.next();
        ranges.extend_from_slice(class);
        // `[\d-z]` is a range in no useful sense; leave it to the general engine.
        return if rest.peek() == Some(&'-') { None } else { Some(()) };
    }
    let low = if first == '\\' { read_escape(rest)? } else { first };
    let mut ahead = rest.clone();
    if ahead.next() != Some('-') || ahead.peek().is_none_or(|next| *next == ']') {
        ranges.push((low, low));
        return Some(());
    }
    rest.next();
    let last = rest.next()?;
    let high = if last == '\\' { read_escape(rest)? } else { last };
    ranges.push((low, high));
    (low <= high).then_some(())
}

/// Reads what stands after a backslash, where that is one character.
fn read_escape(rest: &mut Peekable<Chars<'_>>) -> Option<char> {
    match rest.next()? {
        'x' => read_code_point(rest, 2),
        'u' => read_code_point(rest, 4),
        't' => Some('\t'),
        'n' => Some('\n'),
        'v' => Some('\u{b}'),
        'f' => Some('\u{c}'),
        'r' => Some('\r'),
        other if other.is_ascii_punctuation() => Some(other),
        _ => None,
    }
}

fn read_code_point(rest: &mut Peekable<Chars<'_>>, digits: usize) -> Option<char> {
    let mut value = 0;
    for _ in 0..digits {
        value = value * 16 + rest.next()?.to_digit(16)?;
    }
    char::from_u32(value)
}

/// Reads the quantifier of the class: least and most characters.
fn read_counts(quantifier: &str) -> Option<(usize, usize)> {
    match quantifier {
        "" => return Some((1, 1)),
        "?" => return Some((0, 1)),
        "*" => return Some((0, usize::MAX)),
        "+" => return Some((1, usize::MAX)),
        _ => {}
    }
    let number = |digits: &str| {
        let digital = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if digital { digits.parse::<usize>().ok() } else { None }
    };
    let inner = quantifier.strip_prefix('{')?.strip_suffix('}')?;
    let (min, max) = match inner.split_once(',') {
        None => (number(inner)?, number(inner)?),
        Some((min, "")) => (number(min)?, usize::MAX),
        Some((min, max)) => (number(min)?, number(max)?),
    };
    (min <= max).then_some((min, max))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> ClassPattern {
        ClassPattern::parse(text).unwrap_or_else(|| panic!("{text} is of the shape"))
    }

    #[test]
    fn counts_hold_at_n_and_n_plus_one() {
        let id = pattern(r"^[A-Za-z0-9._\-]{2,4}$");
        for (text, fits) in [("a", false), ("a-", true), ("a.B_", true), ("a.B_9", false)] {
            assert_eq!(id.matches(text), fits, "{text}");
        }
        assert!(pattern("^[a]+$").matches("aaa") && !pattern("^[a]+$").matches(""));
        assert!(pattern("^[a]*$").matches("") && pattern("^[a]?$").matches(""));
        assert!(pattern("^[a]$").matches("a") && !pattern("^[a]$").matches("aa"));
        assert!(pattern("^[a]{2,}$").matches("aaa") && !pattern("^[a]{2}$").matches("aaa"));
    }

    #[test]
    fn visible_characters_by_escape() {
        let visible = pattern(r"^[\x20-\x7E]*$");
        assert!(visible.matches(" ~"));
        for bad in ["\u{7f}", "\t", "ä"] {
            assert!(!visible.matches(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_negated_class_reaches_beyond_the_table() {
        let name = pattern(r"^[^\x00-\x1F\x7F-\x9F]{1,3}$");
        assert!(name.matches("😀ä "));
        for bad in ["\r", "\u{7f}", "\u{85}", "😀\n", "😀😀😀😀"] {
            assert!(!name.matches(bad), "{bad:?}");
        }
        let greek = pattern(r"^[\u0391-\u03C9]+$");
        assert!(greek.matches("Ωω") && !greek.matches("Ωo"));
    }

    #[test]
    fn signs_that_are_themselves_in_a_class() {
        let signs = pattern(r"^[-.\]^[&\/\\$-]+$");
        assert!(signs.matches(r"-.]^[&/\$"));
        assert!(!signs.matches(","));
        assert!(pattern(r"^[\w\s]+$").matches("a_9 \u{a0}") && !pattern(r"^[\w]+$").matches("é"));
    }

    #[test]
    fn other_shapes_are_left_alone() {
        for other in [
            "",
            "[a]",
            "^[a]",
            "[a]$",
            "^a$",
            "^[]$",
            "^[a$",
            "^[a]b$",
            "^[a][b]$",
            "^[a]{2,1}$",
            "^[a]{}$",
            "^[a]{,2}$",
            r"^[a]\$",
            r"^[\d-z]$",
            r"^[z-a]$",
            r"^[\q]$",
            r"^[\uD800]$",
            "^[a]+?$",
            "^[a]{+1}$",
        ] {
            assert_eq!(ClassPattern::parse(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_pattern_is_read_without_a_panic(pattern: String, text: String) {
            for pattern in [pattern.clone(), format!("^[{pattern}]{{1,9}}$")] {
                let _ = ClassPattern::parse(&pattern).map(|pattern| pattern.matches(&text));
            }
        }

        #[test]
        fn a_set_says_what_the_general_engine_says(text in "\\PC{0,6}") {
            for class in ["a-z0-9", "^a-z", r"\x20-\x7E", r"^\x00-\x1F\u0100-\u2000", "é-ü"] {
                let pattern = format!("^[{class}]{{1,4}}$");
                let general = regex::Regex::new(&pattern).unwrap();
                let set = ClassPattern::parse(&pattern).unwrap();
                prop_assert_eq!(set.matches(&text), general.is_match(&text), "{}", pattern);
            }
        }
    }
}
