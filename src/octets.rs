//! Sets of octets, and how far a text is made of one.
//!
//! Most of what a head and a form are checked for is "only these characters". A look-up in a table
//! costs the same for every set, and less than ranges do. It must not know what the sets are for.

/// A set of octets.
#[derive(Debug)]
pub struct Octets([bool; 256]);

impl Octets {
    /// Letters and digits of ASCII, and these.
    pub const fn alphanumeric_and(others: &[u8]) -> Self {
        let mut set = Self::of(others);
        let mut octet = 0_u8;
        while octet < 128 {
            if octet.is_ascii_alphanumeric() {
                set.add(octet);
            }
            octet += 1;
        }
        set
    }

    /// These alone.
    pub const fn of(octets: &[u8]) -> Self {
        let mut set = Self([false; 256]);
        let mut rest = octets;
        while let [first, more @ ..] = rest {
            set.add(*first);
            rest = more;
        }
        set
    }

    /// All others.
    pub const fn all_but(octets: &[u8]) -> Self {
        let others = Self::of(octets);
        let mut set = Self([false; 256]);
        let mut octet = 0_u8;
        loop {
            if !others.has(octet) {
                set.add(octet);
            }
            if octet == u8::MAX {
                return set;
            }
            octet += 1;
        }
    }

    /// The same without the control characters of ASCII.
    #[expect(clippy::indexing_slicing, reason = "every octet is an index into 256 entries")]
    pub const fn without_controls(mut self) -> Self {
        let mut octet = 0_u8;
        while octet < 128 {
            if octet.is_ascii_control() {
                self.0[octet as usize] = false;
            }
            octet += 1;
        }
        self
    }

    #[expect(clippy::indexing_slicing, reason = "every octet is an index into 256 entries")]
    const fn add(&mut self, octet: u8) {
        self.0[octet as usize] = true;
    }

    /// Whether an octet is of it.
    #[expect(clippy::indexing_slicing, reason = "every octet is an index into 256 entries")]
    pub const fn has(&self, octet: u8) -> bool {
        self.0[octet as usize]
    }

    /// Whether all of a text is of it. The empty text is.
    pub fn has_all(&self, text: &[u8]) -> bool {
        // Not stopped early: nearly every text is good, and a loop without a way out is cheaper.
        text.iter().fold(true, |all, octet| all & self.has(*octet))
    }

    /// How many octets at the start of a text are of it.
    pub fn prefix(&self, text: &[u8]) -> usize {
        let mut length = 0;
        // Eight at once, where it goes on that far.
        while let Some(octets) = text.get(length..).and_then(<[u8]>::first_chunk::<8>) {
            if !octets.iter().fold(true, |all, octet| all & self.has(*octet)) {
                break;
            }
            length += octets.len();
        }
        let rest = text.get(length..).unwrap_or_default();
        length + rest.iter().position(|octet| !self.has(*octet)).unwrap_or(rest.len())
    }
}

/// `tchar` (RFC 9110 section 5.6.2): what a token is made of.
pub static TCHAR: Octets = Octets::alphanumeric_and(b"!#$%&'*+-.^_`|~");

/// How many octets at the start of a text can stand in a field's value: `field-vchar`, space and
/// tab (RFC 9110 section 5.5), so no control character. Eight are looked at at once.
pub fn field_prefix(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some(word) = text.get(length..).and_then(<[u8]>::first_chunk) {
        let controls = controls(u64::from_le_bytes(*word));
        if controls == 0 {
            length += word.len();
            continue;
        }
        length += (controls.trailing_zeros() / u8::BITS) as usize;
        if text.get(length) != Some(&b'\t') {
            return length;
        }
        length += 1;
    }
    let rest = text.get(length..).unwrap_or_default();
    let is_control = |octet: &u8| octet.is_ascii_control() && *octet != b'\t';
    length + rest.iter().position(is_control).unwrap_or(rest.len())
}

/// The highest bit of each octet of a word that is a control character, right up to the first one
/// (the lowest); above that, a borrow may have set others.
const fn controls(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    const SPACES: u64 = u64::from_le_bytes([b' '; 8]);
    const DELETES: u64 = u64::from_le_bytes([0x7f; 8]);
    let low = word.wrapping_sub(SPACES) & !word;
    let others = word ^ DELETES;
    let delete = others.wrapping_sub(ONES) & !others;
    (low | delete) & HIGHS
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, prop_oneof, proptest};

    use super::*;

    #[test]
    fn a_set_has_what_it_was_made_of() {
        let set = Octets::alphanumeric_and(b"-.");
        assert!(set.has_all(b"a-Z.0") && set.has_all(b""));
        assert!(!set.has_all(b"a b") && !set.has_all(&[0xe4]));
        assert_eq!((set.prefix(b"ab c"), set.prefix(b"abc"), set.prefix(b" ")), (2, 3, 0));
        assert!(Octets::of(b"&=").has(b'=') && !Octets::of(b"&=").has(b'a'));
        let others = Octets::all_but(b"&=");
        assert!(others.has_all(&[0, b'a', u8::MAX]) && !others.has(b'='));
    }

    proptest! {
        #[test]
        fn a_fields_value_ends_at_the_first_control_character(
            text in vec(prop_oneof![9 => 0x20_u8..0x7f, 1 => any::<u8>(), 1 => 0x7d_u8..0x83],
                0..40),
        ) {
            let is_end = |octet: &u8| octet.is_ascii_control() && *octet != b'\t';
            let end = text.iter().position(is_end).unwrap_or(text.len());
            prop_assert_eq!(field_prefix(&text), end, "{:?}", text);
        }
    }
}
