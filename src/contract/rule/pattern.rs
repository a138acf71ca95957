//! `pattern`: a regular expression of ECMA-262, as JSON Schema has it.
//!
//! This file decides how a pattern is run. It must not know which text it is run on.

use regex::{Regex, RegexBuilder};

use super::charset::{self, ClassPattern};

/// Longest pattern, in bytes.
pub(in crate::contract) const PATTERN_BYTES_MAX: usize = 1024;
/// Largest compiled pattern, in bytes: a bound on what `(a{99}){99}` can cost.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(in crate::contract) enum Pattern {
    /// `^[class]{m,n}$`.
    Class(Box<ClassPattern>),
    /// Any other; matching takes time linear in the text.
    General(Regex),
}

impl Pattern {
    /// Compiles a pattern. As in JSON Schema it is not anchored: `a` matches `bab`.
    ///
    /// # Errors
    /// What is wrong with it, on one line. Look-around and back references are not supported.
    pub(in crate::contract) fn parse(pattern: &str) -> Result<Self, String> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(format!("the pattern is over {PATTERN_BYTES_MAX} bytes"));
        }
        if let Some(class) = ClassPattern::parse(pattern) {
            return Ok(Self::Class(Box::new(class)));
        }
        RegexBuilder::new(&from_ecma(pattern))
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map(Self::General)
            .map_err(|error| {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                format!("the pattern is not supported: {}", reason.trim_start_matches("error: "))
            })
    }

    /// Whether `text` is of the pattern.
    pub(in crate::contract) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Class(class) => class.matches(text),
            Self::General(regex) => regex.is_match(text),
        }
    }

    /// The same for octets that are characters each, where that needs no text.
    pub(in crate::contract) fn matches_octets(&self, octets: &[u8]) -> Option<bool> {
        match self {
            Self::Class(class) => Some(class.matches_octets(octets)),
            Self::General(_) => None,
        }
    }
}

/// Rewrites what ECMA-262 and the engine read differently: `\d`, `\w` and `\s` are ECMA's sets, and
/// inside a class `[`, `&` and `~` are themselves.
fn from_ecma(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut in_class = false;
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next() {
                Some(letter) => write_escape(&mut written, letter, in_class),
                None => written.push('\\'),
            },
            '[' | '&' | '~' if in_class => {
                written.push('\\');
                written.push(character);
            }
            '[' | ']' => {
                in_class = character == '[';
                written.push(character);
            }
            other => written.push(other),
        }
    }
    written
}

fn write_escape(written: &mut String, letter: char, in_class: bool) {
    let small = letter.to_ascii_lowercase();
    let Some(ranges) = charset::class_escape(small) else {
        written.push('\\');
        written.push(letter);
        return;
    };
    let negated = letter != small;
    if negated || !in_class {
        written.push_str(if negated { "[^" } else { "[" });
    }
    for (low, high) in ranges {
        let (low, high) = (u32::from(*low), u32::from(*high));
        written.push_str(&format!(r"\x{{{low:x}}}-\x{{{high:x}}}"));
    }
    if negated || !in_class {
        written.push(']');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).matches(text)
    }

    #[test]
    fn the_common_shape_needs_no_engine() {
        assert!(matches!(Pattern::parse("^[a-z]{1,4}$"), Ok(Pattern::Class(_))));
        assert!(matches!(Pattern::parse("^a[a-z]{1,4}$"), Ok(Pattern::General(_))));
    }

    #[test]
    fn other_patterns_are_searched_for_as_json_schema_says() {
        assert!(matches("^(II|CI)D[XP][0-9]{5}$", "IIDX00001"));
        assert!(!matches("^(II|CI)D[XP][0-9]{5}$", "IIDX00001\n"));
        assert!(matches("b", "abc"));
    }

    #[test]
    fn classes_mean_what_ecma_means() {
        assert!(matches(r"^x\d$", "x7") && !matches(r"^x\d$", "x\u{0667}"));
        assert!(matches(r"^x[\d.]+$", "x1.2") && matches(r"^x\D$", "xa"));
        assert!(matches(r"^x[\W]$", "x-") && !matches(r"^x[\W]$", "xa"));
        assert!(matches(r"^x\s$", "x\u{feff}") && matches(r"^x[[&&~]+$", "x[&~"));
        assert!(matches(r"^x\/\-y$", "x/-y"));
    }

    #[test]
    fn what_the_engine_cannot_do_is_an_error_on_one_line() {
        for bad in ["(", "a(?=b)", r"(a)\1", "a{99999999}", "((a{99}){99}){99}", "\\"] {
            let error = Pattern::parse(bad).unwrap_err();
            assert!(error.starts_with("the pattern is not supported: "), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(Pattern::parse(&"a".repeat(PATTERN_BYTES_MAX)).is_ok());
        assert!(Pattern::parse(&"a".repeat(PATTERN_BYTES_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn any_pattern_is_read_without_a_panic(pattern in "[\\[\\]\\\\^$a-z(){}*+?|&~-]{0,30}") {
            let _ = Pattern::parse(&pattern);
        }
    }
}
