//! `format`: the named shapes of JSON Schema that corgate enforces.
//!
//! This file decides what each shape is. It must not know the other keywords of a schema.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::uri_reference::is_uri_reference;

/// A format that restricts (JSON Schema 2020-12 validation, section 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::contract) enum Format {
    /// RFC 2673 section 3.2: four decimal numbers, no leading zeros.
    Ipv4,
    /// RFC 4291 section 2.2, without a zone.
    Ipv6,
    /// RFC 4122: 8-4-4-4-12 hexadecimal digits in either case.
    Uuid,
    /// RFC 3986 section 4.1.
    UriReference,
}

impl Format {
    /// Every format, by its name in a document.
    pub(in crate::contract) const ALL: [(&'static str, Self); 4] = [
        ("ipv4", Self::Ipv4),
        ("ipv6", Self::Ipv6),
        ("uuid", Self::Uuid),
        ("uri-reference", Self::UriReference),
    ];

    /// Whether `text` has the format.
    pub(in crate::contract) fn matches(self, text: &str) -> bool {
        match self {
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Uuid => is_uuid(text),
            Self::UriReference => is_uri_reference(text),
        }
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["0.0.0.0", "192.0.2.255"] {
            assert!(Format::Ipv4.matches(good), "{good}");
        }
        for bad in ["", "192.0.2", "192.0.2.256", "192.0.2.01", "192.0.2.1 ", "::1", "192.0.2.1:80"]
        {
            assert!(!Format::Ipv4.matches(bad), "{bad}");
        }
        for good in ["::", "2001:DB8::1", "::ffff:192.0.2.1", "1:2:3:4:5:6:7:8"] {
            assert!(Format::Ipv6.matches(good), "{good}");
        }
        for bad in ["", "[::1]", "fe80::1%eth0", "1:2:3:4:5:6:7", "1::2::3", "::1/64"] {
            assert!(!Format::Ipv6.matches(bad), "{bad}");
        }
    }

    #[test]
    fn uuids() {
        assert!(Format::Uuid.matches("01234567-89ab-cdef-ABCD-EF0123456789"));
        for bad in [
            "0123456789abcdefABCDEF0123456789",
            "01234567-89ab-cdef-ABCD-EF012345678",
            "01234567-89ab-cdef-ABCD-EF01234567890",
            "01234567-89ab-cdef-ABCD-EF012345678g",
            "{1234567-89ab-cdef-ABCD-EF0123456789",
        ] {
            assert!(!Format::Uuid.matches(bad), "{bad}");
        }
    }
}
