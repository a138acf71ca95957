//! What a file that holds no PEM is, by its first bytes.
//!
//! This file decides what is told apart. It must not know what is said of it.

use crate::x509::der::{Reader, tag};

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pkcs12,
    JavaKeyStore,
    EncryptedKey,
    Key,
    Pkcs7,
    CertificateOrList,
    Utf16,
}

/// What these bytes are, as far as their beginning tells.
pub(super) fn kind_of(bytes: &[u8]) -> Option<Kind> {
    match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] => return Some(Kind::JavaKeyStore),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Some(Kind::Utf16),
        _ => {}
    }
    let inside = beginning(bytes)?;
    let (first, rest) = inside.split_first()?;
    Some(match *first {
        // PFX begins with version 3; keys with version 0 or 1.
        tag::INTEGER => match rest {
            [1, 3, tag::SEQUENCE, ..] => Kind::Pkcs12,
            [1, 0 | 1, ..] => Kind::Key,
            _ => return None,
        },
        // A message begins with its type.
        tag::OBJECT_IDENTIFIER => Kind::Pkcs7,
        // An encrypted key is an algorithm and a string; others are what is signed and two more.
        tag::SEQUENCE => {
            let mut inside = Reader::new(inside);
            let algorithm = inside.expect(tag::SEQUENCE).unwrap_or_default();
            let is_key = algorithm.first() == Some(&tag::OBJECT_IDENTIFIER)
                && inside.optional(tag::OCTET_STRING).is_ok_and(|found| found.is_some());
            if is_key { Kind::EncryptedKey } else { Kind::CertificateOrList }
        }
        _ => return None,
    })
}

/// The content of an outer SEQUENCE, also of one without a length of its own (BER), as some
/// programs write PKCS#12 and PKCS#7.
fn beginning(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [tag::SEQUENCE, 0x80, inside @ ..] => Some(inside),
        _ => Reader::new(bytes).expect(tag::SEQUENCE).ok(),
    }
}
