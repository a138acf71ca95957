//! Reads a credential for `Authorization: Basic` (RFC 7617).
//!
//! This file decides in which two forms it may be kept. It must not show it, nor know where it
//! goes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::routes::Secret;

/// The value of the field, marked sensitive: of `client:password` as it is, or of the part after
/// `Basic` as a console shows it. No base64 has a colon, so the two are never confused.
pub(super) fn parse(secret: &Secret) -> Option<HeaderValue> {
    let text = secret.expose();
    let encoded = if text.contains(':') { STANDARD.encode(text) } else { text.to_owned() };
    let pair = Zeroizing::new(STANDARD.decode(&encoded).ok()?);
    // RFC 7617 section 2: the id ends at the first colon; an empty one is nobody's.
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let value = Zeroizing::new(format!("Basic {encoded}"));
    let mut value = HeaderValue::from_str(&value).ok().filter(|_| colon > 0)?;
    value.set_sensitive(true);
    Some(value)
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
        for text in ["x", "====", "Basic YTpi", ":password", "not base64", "bm9jb2xvbg=="] {
            assert_eq!(check(text), None, "{text}");
        }
    }
}
