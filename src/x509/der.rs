//! DER (X.690): one element behind the other, each with a tag, a length and a value.
//!
//! Only what is encoded in the one way that DER allows is read, so that two readers never see two
//! things. This file decides where an element ends. It must not know what elements mean.

/// Bytes that are no DER, or not the DER that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotDer;

/// One element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) value: &'a [u8],
    /// Its tag, its length and its value.
    pub(super) whole: &'a [u8],
}

/// The tags that are read.
pub(super) mod tag {
    pub(in crate::x509) const BOOLEAN: u8 = 0x01;
    pub(in crate::x509) const INTEGER: u8 = 0x02;
    pub(in crate::x509) const BIT_STRING: u8 = 0x03;
    pub(in crate::x509) const OCTET_STRING: u8 = 0x04;
    pub(in crate::x509) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(in crate::x509) const ENUMERATED: u8 = 0x0a;
    pub(in crate::x509) const UTC_TIME: u8 = 0x17;
    pub(in crate::x509) const GENERALIZED_TIME: u8 = 0x18;
    pub(in crate::x509) const SEQUENCE: u8 = 0x30;
    pub(in crate::x509) const SET: u8 = 0x31;
    /// `[number]` of a simple type.
    pub(in crate::x509) const fn primitive(number: u8) -> u8 {
        0x80 | number
    }
    /// `[number]` of a structure.
    pub(in crate::x509) const fn constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// Reads elements from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element.
    pub(super) fn element(&mut self) -> Result<Element<'a>, NotDer> {
        let (tag, rest) = self.0.split_first().ok_or(NotDer)?;
        if tag & LONG_TAG == LONG_TAG {
            return Err(NotDer);
        }
        let (length, rest) = length(rest)?;
        let value = rest.get(..length).ok_or(NotDer)?;
        let after = rest.get(length..).ok_or(NotDer)?;
        let whole = self.0.get(..self.0.len() - after.len()).ok_or(NotDer)?;
        self.0 = after;
        Ok(Element { tag: *tag, value, whole })
    }

    /// The value of the next element, which has this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<&'a [u8], NotDer> {
        self.optional(tag)?.ok_or(NotDer)
    }

    /// The value of the next element if it has this tag; else nothing is read.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, NotDer> {
        if self.0.first() == Some(&tag) { Ok(Some(self.element()?.value)) } else { Ok(None) }
    }

    /// Nothing may be left.
    pub(super) const fn end(self) -> Result<(), NotDer> {
        if self.0.is_empty() { Ok(()) } else { Err(NotDer) }
    }
}

/// The value of the one element that these bytes are.
pub(super) fn only(bytes: &[u8], tag: u8) -> Result<&[u8], NotDer> {
    let mut reader = Reader::new(bytes);
    let value = reader.expect(tag)?;
    reader.end()?;
    Ok(value)
}

/// Tags of several octets, which nothing here uses.
const LONG_TAG: u8 = 0x1f;
/// Most octets of a length: 4 GiB is more than any file that is read.
const LENGTH_OCTETS_MAX: usize = 4;

/// A length, and what stands behind it.
fn length(bytes: &[u8]) -> Result<(usize, &[u8]), NotDer> {
    let (first, rest) = bytes.split_first().ok_or(NotDer)?;
    if *first < 0x80 {
        return Ok((usize::from(*first), rest));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > LENGTH_OCTETS_MAX {
        return Err(NotDer);
    }
    let octets = rest.get(..count).ok_or(NotDer)?;
    let length = octets.iter().fold(0_u64, |sum, octet| sum << 8 | u64::from(*octet));
    let shortest = if length < 0x80 { 0 } else { (u64::BITS - length.leading_zeros()).div_ceil(8) };
    if shortest as usize != count {
        return Err(NotDer);
    }
    let length = usize::try_from(length).map_err(|_| NotDer)?;
    Ok((length, rest.get(count..).ok_or(NotDer)?))
}

/// An extension of a certificate, a list or an entry of one (RFC 5280 section 4.2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Extension<'a> {
    /// The value of its object identifier.
    pub(super) id: &'a [u8],
    pub(super) critical: bool,
    pub(super) value: &'a [u8],
}

/// Each extension of a SEQUENCE of them.
pub(super) fn extensions(sequence: &[u8]) -> impl Iterator<Item = Result<Extension<'_>, NotDer>> {
    let mut reader = Reader::new(sequence);
    std::iter::from_fn(move || {
        if reader.is_empty() {
            return None;
        }
        let read = extension(&mut reader);
        if read.is_err() {
            reader = Reader::new(&[]);
        }
        Some(read)
    })
}

fn extension<'a>(reader: &mut Reader<'a>) -> Result<Extension<'a>, NotDer> {
    let mut inside = Reader::new(reader.expect(tag::SEQUENCE)?);
    let id = inside.expect(tag::OBJECT_IDENTIFIER)?;
    let critical = match inside.optional(tag::BOOLEAN)? {
        None | Some([0]) => false,
        Some([0xff]) => true,
        Some(_) => return Err(NotDer),
    };
    let value = inside.expect(tag::OCTET_STRING)?;
    inside.end()?;
    Ok(Extension { id, critical, value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_shortest_length_is_one() {
        let value = |bytes: &[u8]| only(bytes, 0x04).map(<[u8]>::len);
        assert_eq!(value(&[4, 1, 9]), Ok(1));
        assert_eq!(value(&[4, 0x81, 1, 9]), Err(NotDer));
        assert_eq!(value(&[4, 0x82, 0, 0x80]), Err(NotDer));
        assert_eq!(value(&[4, 0x80]), Err(NotDer));
        let long = |count: usize| [&[4, 0x81, count as u8][..], &vec![0; count]].concat();
        assert_eq!(value(&long(0x80)), Ok(0x80));
        assert_eq!(value(&long(0x7f)), Err(NotDer));
        assert_eq!(value(&[0x1f, 1, 0]), Err(NotDer));
        assert_eq!(value(&[4, 0x84, 0xff, 0xff, 0xff, 0xff]), Err(NotDer));
        assert_eq!(value(&[4, 1, 9, 0]), Err(NotDer));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_once_and_never_beyond_its_end(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let mut reader = Reader::new(&bytes);
            let mut read = 0;
            while let Ok(element) = reader.element() {
                read += element.whole.len();
                prop_assert!(element.value.len() < element.whole.len());
            }
            prop_assert!(read <= bytes.len());
        }
    }
}
