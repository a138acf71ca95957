//! The names that parties and requests go by, each a type that only a correct value can have.
//!
//! This file decides what a well-formed id is. It must not know who is registered.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use crate::octets::Octets;

/// Longest client or target id, in bytes (the 30 characters of bLink's directory paths).
pub const ID_BYTES_MAX: usize = 30;
/// Longest correlation id, in bytes (seed: `X-Correlation-ID`, string <= 64 characters).
pub const CORRELATION_ID_BYTES_MAX: usize = 64;

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(());

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed id")
    }
}

impl std::error::Error for Malformed {}

macro_rules! party_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses 1 to 30 characters of `A-Z a-z 0-9 . _ -`.
            ///
            /// # Errors
            /// [`Malformed`] for anything else.
            pub fn parse(text: &str) -> Result<Self, Malformed> {
                check_party_id(text).map(|text| Self(Arc::from(text)))
            }

            /// The id as it stands on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        // Lets a table keyed by ids be asked with a `&str` from the wire, without an allocation.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

party_id! {
    /// OAuth `client_id`, the value of `X-CorAPI-Client-ID`, for example `CIDX0000000001`.
    ClientId
}
/// A client in few bytes, for what is counted by client. The same id always has the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey(u64);

impl ClientKey {
    /// One of so many parts, the same for each of its calls.
    pub fn part(self, parts: usize) -> usize {
        usize::try_from(self.0 % parts.max(1) as u64).unwrap_or_default()
    }

    /// One word for this client and a number: another client, or number, has another.
    pub const fn mixed_with(self, number: u64) -> u64 {
        self.0.rotate_left(32) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl ClientId {
    /// What this client is counted under.
    pub fn key(&self) -> ClientKey {
        let mut hasher = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(self, &mut hasher);
        ClientKey(std::hash::Hasher::finish(&hasher))
    }
}

party_id! {
    /// The value of `X-CorAPI-Target-ID`, for example `IIDX00001`.
    TargetId
}

/// Checks that `text` has the form of a client or target id and hands it back.
///
/// # Errors
/// [`Malformed`] when it is empty, longer than [`ID_BYTES_MAX`] or has another character than
/// `A-Z a-z 0-9 . _ -`.
pub fn check_party_id(text: &str) -> Result<&str, Malformed> {
    let fits = (1..=ID_BYTES_MAX).contains(&text.len());
    let shaped = fits && PLAIN_IN_ID.has_all(text.as_bytes());
    if shaped { Ok(text) } else { Err(Malformed(())) }
}

static PLAIN_IN_ID: Octets = Octets::alphanumeric_and(b"._-");

/// `X-Correlation-ID`: one value of 1 to 64 visible ASCII characters (CONTRACT C5).
///
/// Kept as a header value: it is echoed and forwarded byte for byte, and cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrelationId(HeaderValue);

impl CorrelationId {
    /// Takes a header value that has the form of a correlation id.
    ///
    /// # Errors
    /// [`Malformed`] when it is empty, over 64 bytes or has a byte outside `!` to `~`.
    pub fn parse(value: &HeaderValue) -> Result<Self, Malformed> {
        if Self::is_shape_of(value) { Ok(Self(value.clone())) } else { Err(Malformed(())) }
    }

    /// Whether a header value has the form of a correlation id.
    pub fn is_shape_of(value: &HeaderValue) -> bool {
        let bytes = value.as_bytes();
        // Not stopped early: nearly every id is good, and many octets are looked at at once then.
        (1..=CORRELATION_ID_BYTES_MAX).contains(&bytes.len())
            && bytes.iter().fold(true, |all, byte| all & byte.is_ascii_graphic())
    }

    /// The id that corgate gives an exchange whose caller sent none, or a bad one.
    pub fn fresh(uuid: uuid::Uuid) -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        let text = uuid.hyphenated().encode_lower(&mut buffer);
        // A hyphenated UUID is 36 visible ASCII characters.
        Self(HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-")))
    }

    /// The id as a header value, for the answer and for the provider.
    pub fn header_value(&self) -> &HeaderValue {
        &self.0
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("-")
    }
}

/// SHA-256 of a DER certificate (RFC 8705 section 3.1, `x5t#S256`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a DER-encoded certificate.
    pub fn of_der(der: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(der).into())
    }

    /// Parses `sha256:` and 64 hexadecimal digits, in either case, colons between bytes allowed
    /// (so that what `openssl x509 -fingerprint -sha256` prints can be pasted).
    ///
    /// # Errors
    /// [`Malformed`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let digits = text.strip_prefix("sha256:").ok_or(Malformed(()))?;
        let mut bytes = [0_u8; 32];
        let mut nibbles = digits.bytes().filter(|byte| *byte != b':').map(hex_value);
        for byte in &mut bytes {
            let (high, low) = (nibbles.next(), nibbles.next());
            match (high.flatten(), low.flatten()) {
                (Some(high), Some(low)) => *byte = high << 4 | low,
                _ => return Err(Malformed(())),
            }
        }
        if nibbles.next().is_some() { Err(Malformed(())) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The value of one hexadecimal digit.
pub(crate) fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn a_party_id_has_one_to_thirty_plain_characters() {
        assert!(ClientId::parse("CIDX0000000001").is_ok());
        assert!(TargetId::parse(&"a".repeat(ID_BYTES_MAX)).is_ok());
        for bad in ["", "a b", "ä", "a/b", "a\r\n", &"a".repeat(ID_BYTES_MAX + 1)] {
            assert!(TargetId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_correlation_id_has_one_to_64_visible_characters() {
        let parse = |bytes: &[u8]| CorrelationId::parse(&HeaderValue::from_bytes(bytes).unwrap());
        assert!(parse(&[b'~'; CORRELATION_ID_BYTES_MAX]).is_ok());
        assert!(parse(&[b'~'; CORRELATION_ID_BYTES_MAX + 1]).is_err());
        for bad in [&b""[..], b"a b", b"a\tb", "é".as_bytes()] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_fresh_correlation_id_is_a_lower_case_uuid() {
        let id = CorrelationId::fresh(uuid::Uuid::from_u128(0xabc));
        assert_eq!(id.as_str(), "00000000-0000-0000-0000-000000000abc");
    }

    #[test]
    fn a_fingerprint_reads_what_it_prints_and_what_openssl_prints() {
        let fingerprint = Fingerprint::of_der(b"der");
        assert_eq!(Fingerprint::parse(&fingerprint.to_string()), Ok(fingerprint));
        let colons = fingerprint.to_string()[7..]
            .to_uppercase()
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).into_owned())
            .collect::<Vec<_>>()
            .join(":");
        assert_eq!(Fingerprint::parse(&format!("sha256:{colons}")), Ok(fingerprint));
        for bad in ["", "sha256:", "sha256:00", "md5:00", &format!("{fingerprint}00")] {
            assert!(Fingerprint::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        /// What is taken keeps its promise, byte for byte; nothing falls over.
        #[test]
        fn whatever_is_taken_for_an_id_is_one(bytes in vec(any::<u8>(), 0..80)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes)
                && let Ok(id) = CorrelationId::parse(&value)
            {
                assert_eq!(id.as_str().as_bytes(), bytes);
                assert!((1..=64).contains(&bytes.len()));
                assert!(bytes.iter().all(u8::is_ascii_graphic));
            }
            let text = String::from_utf8_lossy(&bytes);
            if let Ok(id) = TargetId::parse(&text) {
                assert_eq!(id.as_str(), text);
                assert!((1..=30).contains(&text.len()));
            }
            if let Ok(print) = Fingerprint::parse(&text) {
                assert_eq!(Fingerprint::parse(&print.to_string()), Ok(print));
            }
        }
    }
}
