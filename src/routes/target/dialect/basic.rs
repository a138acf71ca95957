//! Reads a credential for `Authorization: Basic` (RFC 7617).
//!
//! This file decides in which two forms it may be kept. It must not show it, nor know where it
//! goes.

use http::HeaderValue;

use crate::routes::secret::Secret;

/// The value of the field, marked sensitive: of `client:password` as it is, or of the part after
/// `Basic` as a console shows it. No base64 has a colon, so the two are never confused.
pub(super) fn parse(secret: &Secret) -> Option<HeaderValue> {
    let text = secret.expose();
    let encoded = match text.split_once(':') {
        Some(("", _)) => return None,
        Some(_) => base64(text.as_bytes()),
        None => text.to_owned(),
    };
    let digits = encoded.trim_end_matches('=');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let shaped = encoded.len().is_multiple_of(4)
        && !digits.is_empty()
        && encoded.len() - digits.len() <= 2
        && digits.bytes().all(plain);
    let value = HeaderValue::from_str(&format!("Basic {encoded}")).ok().filter(|_| shaped);
    let mut value = value?;
    value.set_sensitive(true);
    Some(value)
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| chunk.get(index).copied().map_or(0, u32::from);
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * digit) & 63).unwrap_or_default();
            let shown = DIGITS.get(index).filter(|_| digit <= chunk.len());
            text.push(shown.map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::routes::MemorySources;

    #[test]
    fn a_credential_is_taken_plain_or_encoded() {
        let check = |text: &str| {
            let sources = MemorySources::default();
            parse(&Secret::resolve(text, Path::new(""), &sources).unwrap())
        };
        // The stub of the provider's sandbox.
        let stub = "Basic YXBpLWNvbnN1bWVyLWlkOnBhc3N3b3Jk";
        assert_eq!(check("api-consumer-id:password").unwrap(), stub);
        assert_eq!(check("YXBpLWNvbnN1bWVyLWlkOnBhc3N3b3Jk").unwrap(), stub);
        assert_eq!(check("a:bc").unwrap(), "Basic YTpiYw==");
        assert!(check("a:b").unwrap().is_sensitive());
        for text in ["x", "====", "Basic YTpi", ":password", "not base64"] {
            assert_eq!(check(text), None, "{text}");
        }
    }
}
