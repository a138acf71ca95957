//! Serial numbers, many of them, sorted.
//!
//! Nearly all are of at most 20 octets (RFC 5280 section 4.1.2.2): they lie in one row, 21 octets
//! each, so that half a million take 10 MB and a look-up takes 20 steps. It must not know what is
//! said of them.

use std::fmt;

use super::without_zeros;

/// A set that does not change.
#[derive(Default)]
pub(super) struct Serials {
    short: Box<[Short]>,
    long: Box<[Box<[u8]>]>,
}

/// How many octets, and the octets.
type Short = [u8; 21];

impl Serials {
    pub(super) const fn len(&self) -> usize {
        self.short.len() + self.long.len()
    }

    pub(super) fn contains(&self, serial: &[u8]) -> bool {
        let serial = without_zeros(serial);
        match short(serial) {
            Some(short) => self.short.binary_search(&short).is_ok(),
            None => self.long.binary_search_by(|one| (**one).cmp(serial)).is_ok(),
        }
    }
}

impl fmt::Debug for Serials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serials({})", self.len())
    }
}

/// Takes them in any order.
#[derive(Default)]
pub(super) struct Builder {
    short: Vec<Short>,
    long: Vec<Box<[u8]>>,
}

impl Builder {
    pub(super) fn add(&mut self, serial: &[u8]) {
        let serial = without_zeros(serial);
        match short(serial) {
            Some(short) => self.short.push(short),
            None => self.long.push(serial.into()),
        }
    }

    pub(super) fn build(mut self) -> Serials {
        self.short.sort_unstable();
        self.short.dedup();
        self.long.sort_unstable();
        self.long.dedup();
        Serials { short: self.short.into(), long: self.long.into() }
    }
}

fn short(serial: &[u8]) -> Option<Short> {
    let mut short = Short::default();
    let (length, octets) = short.split_first_mut()?;
    octets.get_mut(..serial.len())?.copy_from_slice(serial);
    *length = u8::try_from(serial.len()).ok()?;
    Some(short)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_serial_is_found_if_it_was_added_and_no_other_is(
            added in proptest::collection::vec(proptest::collection::vec(0_u8..3, 1..30), 0..40),
            asked in proptest::collection::vec(proptest::collection::vec(0_u8..3, 1..30), 0..40),
        ) {
            let mut builder = Builder::default();
            added.iter().for_each(|serial| builder.add(serial));
            let serials = builder.build();
            let known: HashSet<_> = added.iter().map(|serial| without_zeros(serial)).collect();
            prop_assert_eq!(serials.len(), known.len());
            for serial in added.iter().chain(&asked) {
                prop_assert_eq!(serials.contains(serial), known.contains(without_zeros(serial)));
            }
        }
    }
}
