//! What the hub reads of a certificate before, and beside, the verifier (RFC 5280 section 4).
//!
//! This file decides what a certificate says of itself; nothing of it is believed before a path
//! was verified. It must not know who showed it.

use super::der::{self, NotDer, Reader, tag};
use super::{name, validity};

/// A certificate, read once and borrowed.
#[derive(Debug, Clone)]
pub struct Certificate<'a> {
    /// The content of its serial number.
    pub serial: &'a [u8],
    /// The content of its issuer's name.
    pub issuer: &'a [u8],
    /// The content of its own name.
    pub subject: &'a [u8],
    /// The content of its SubjectPublicKeyInfo.
    pub key: &'a [u8],
    /// From when it is good, in Unix seconds.
    pub not_before: i64,
    /// Until when.
    pub not_after: i64,
    /// Which key of its issuer has signed it, as it says.
    pub authority_key_id: Option<&'a [u8]>,
    /// How it names its own key.
    pub subject_key_id: Option<&'a [u8]>,
    /// What its basic constraints say; none where it has none.
    pub is_ca: Option<bool>,
    /// Whether it has extensions at all: certificates of version 1 have none.
    pub has_extensions: bool,
    /// How many.
    pub extensions: usize,
    /// Whether its key may sign revocation lists: what does not say may.
    pub signs_lists: bool,
    /// Whether it may certify certain directory names alone.
    pub constrains_directories: bool,
    /// The content of its CRL distribution points.
    distribution_points: Option<&'a [u8]>,
}

impl<'a> Certificate<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// [`NotDer`]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NotDer> {
        let mut outer = Reader::new(der::only(bytes, tag::SEQUENCE)?);
        let mut inner = Reader::new(outer.expect(tag::SEQUENCE)?);
        inner.optional(tag::constructed(0))?;
        let serial = inner.expect(tag::INTEGER)?;
        inner.expect(tag::SEQUENCE)?;
        let issuer = inner.expect(tag::SEQUENCE)?;
        let mut validity = Reader::new(inner.expect(tag::SEQUENCE)?);
        let (not_before, not_after) =
            (validity::read(&mut validity)?, validity::read(&mut validity)?);
        let subject = inner.expect(tag::SEQUENCE)?;
        let key = inner.expect(tag::SEQUENCE)?;
        let mut certificate = Self {
            serial,
            issuer,
            subject,
            key,
            not_before,
            not_after,
            authority_key_id: None,
            subject_key_id: None,
            is_ca: None,
            has_extensions: false,
            extensions: 0,
            signs_lists: true,
            constrains_directories: false,
            distribution_points: None,
        };
        for unique_id in [1, 2] {
            inner.optional(tag::primitive(unique_id))?;
        }
        if let Some(tagged) = inner.optional(tag::constructed(3))? {
            certificate.has_extensions = true;
            for extension in der::extensions(der::only(tagged, tag::SEQUENCE)?) {
                let extension = extension?;
                certificate.extensions += 1;
                certificate.note(extension.id, extension.value)?;
            }
        }
        Ok(certificate)
    }

    /// The content of a SubjectPublicKeyInfo's AlgorithmIdentifier, and the key's octets.
    pub fn split_key(key: &[u8]) -> Option<(&[u8], &[u8])> {
        let mut inside = Reader::new(key);
        let algorithm = inside.expect(tag::SEQUENCE).ok()?;
        let bits = inside.expect(tag::BIT_STRING).ok()?;
        match bits.split_first() {
            Some((0, octets)) => Some((algorithm, octets)),
            _ => None,
        }
    }

    /// Its name, for messages.
    pub fn shown_subject(&self) -> String {
        name::shown(self.subject)
    }

    /// Its issuer's name, for messages.
    pub fn shown_issuer(&self) -> String {
        name::shown(self.issuer)
    }

    fn note(&mut self, id: &[u8], value: &'a [u8]) -> Result<(), NotDer> {
        match id {
            KEY_USAGE => self.signs_lists = has_bit(der::only(value, tag::BIT_STRING)?, CRL_SIGN),
            SUBJECT_KEY_ID => {
                self.subject_key_id = Some(der::only(value, tag::OCTET_STRING)?);
            }
            BASIC_CONSTRAINTS => {
                let mut inside = Reader::new(der::only(value, tag::SEQUENCE)?);
                self.is_ca = Some(inside.optional(tag::BOOLEAN)? == Some(&[0xff]));
            }
            NAME_CONSTRAINTS => {
                self.constrains_directories = has_directory(der::only(value, tag::SEQUENCE)?)?;
            }
            DISTRIBUTION_POINTS => {
                self.distribution_points = Some(der::only(value, tag::SEQUENCE)?);
            }
            AUTHORITY_KEY_ID => {
                let mut inside = Reader::new(der::only(value, tag::SEQUENCE)?);
                self.authority_key_id = inside.optional(tag::primitive(0))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether it says where its issuer's lists are.
    pub(super) const fn has_distribution_points(&self) -> bool {
        self.distribution_points.is_some()
    }

    /// Whether one of these is where its issuer's list is. Points of other issuers, or of some
    /// reasons alone, are none.
    pub(super) fn names_list_at(&self, uris: &[Box<[u8]>]) -> bool {
        let mut points = Reader::new(self.distribution_points.unwrap_or_default());
        while let Ok(point) = points.expect(tag::SEQUENCE) {
            let mut point = Reader::new(point);
            let Ok(Some(place)) = point.optional(tag::constructed(0)) else { continue };
            if point.is_empty() && uris_of(place).any(|uri| uris.iter().any(|one| **one == *uri)) {
                return true;
            }
        }
        false
    }
}

/// The URIs of a DistributionPointName that is a full name (RFC 5280 section 4.2.1.13).
pub(super) fn uris_of(place: &[u8]) -> impl Iterator<Item = &[u8]> {
    let full = Reader::new(place).expect(tag::constructed(0)).unwrap_or_default();
    let mut names = Reader::new(full);
    std::iter::from_fn(move || names.element().ok())
        .filter(|name| name.tag == tag::primitive(6))
        .map(|name| name.value)
}

const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 14];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
const DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 31];
pub(super) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 35];
/// The bit of key usage that lets a key sign lists.
const CRL_SIGN: usize = 6;

/// Whether one of NameConstraints' subtrees, permitted or excluded, is of a directory's names
/// (RFC 5280 section 4.2.1.10).
fn has_directory(constraints: &[u8]) -> Result<bool, NotDer> {
    let mut inside = Reader::new(constraints);
    for kind in [0, 1] {
        let mut subtrees = Reader::new(inside.optional(tag::constructed(kind))?.unwrap_or(&[]));
        while !subtrees.is_empty() {
            let base = Reader::new(subtrees.expect(tag::SEQUENCE)?).element()?;
            if base.tag == tag::constructed(4) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A bit of a BIT STRING, the first one being 0.
fn has_bit(string: &[u8], bit: usize) -> bool {
    // The first octet counts unused bits.
    string.get(1 + bit / 8).is_some_and(|octet| octet & (0x80 >> (bit % 8)) != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_comes_is_no_certificate_or_one(
            bytes in proptest::collection::vec(any::<u8>(), 0..400)
        ) {
            prop_assert!(Certificate::parse(&bytes).is_err());
        }
    }
}
