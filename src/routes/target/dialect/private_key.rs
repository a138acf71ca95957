//! Reads the key that the hub signs its assertions with (RFC 7523).
//!
//! This file decides which keys are taken: P-256 in PKCS#8, as PEM. It must not show one, nor know
//! what is signed.

use p256::ecdsa::SigningKey;
use p256::pkcs8::{ObjectIdentifier, PrivateKeyInfoRef, SecretDocument};

use crate::fault::Name;
use crate::routes::Secret;
use crate::routes::grammar;
use crate::routes::page::Wrong;
use crate::routes::reader::Reader;
use crate::routes::table::dialect::ClientKey;

/// Longest `audience`, in bytes.
const AUDIENCE_BYTES_MAX: usize = 2_000;
/// RFC 8017 appendix C: `rsaEncryption` and `id-RSASSA-PSS`.
const RSA: [ObjectIdentifier; 2] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10"),
];
const RIGHT: &str = "a private key on P-256 as `openssl genpkey -algorithm EC -pkeyopt \
                     ec_paramgen_curve:P-256` writes it";

/// Reads `private_key`, `key_id` and `audience`, which only one way to authenticate has a use for.
pub(super) fn read(section: &Reader<'_>, authentication: &str) -> Option<ClientKey> {
    let secret = section.secret("private_key");
    let key_id = section.parse("key_id", grammar::parse_name).map(|name| name.value);
    let audience = section.parse("audience", parse_audience).map(|name| name.value);
    if authentication != "private_key_jwt" {
        for key in ["private_key", "key_id", "audience"] {
            if section.has(key) {
                let what = format!("`{key}` has no use: `authentication` is `{authentication}`");
                section.page.error(section.key_span(key), Wrong::new(what).right("take it out"));
            }
        }
        return None;
    }
    if !section.has("private_key") {
        let what = "`authentication` is `private_key_jwt`, and there is no `private_key`";
        let right = "add `private_key = \"${file:path}\"`";
        section.page.error(section.key_span("authentication"), Wrong::new(what).right(right));
    }
    match parse(&secret?) {
        Ok(key) => Some(ClientKey { key, key_id, audience }),
        Err(what) => {
            let wrong = Wrong::new(format!("`private_key` {what}")).right(RIGHT);
            section.page.error(section.key_span("private_key"), wrong);
            None
        }
    }
}

/// The key of a PEM text (RFC 7468 section 10, RFC 5958). What is wrong is told without a word of
/// the text.
fn parse(secret: &Secret) -> Result<SigningKey, &'static str> {
    let garbage = "is no private key in PEM";
    let (label, document) =
        SecretDocument::from_pem(secret.expose().trim()).map_err(|_| garbage)?;
    match label {
        "PRIVATE KEY" => {}
        "RSA PRIVATE KEY" => return Err("is an RSA key, and only ES256 is spoken"),
        "EC PRIVATE KEY" | "EC PARAMETERS" => {
            return Err("is not in PKCS#8: `openssl pkcs8 -topk8 -nocrypt` makes it so");
        }
        "ENCRYPTED PRIVATE KEY" => return Err("is encrypted, and there is no one to ask"),
        _ => return Err(garbage),
    }
    let info = PrivateKeyInfoRef::try_from(document.as_bytes());
    let info = info.map_err(|_| "is no PKCS#8 (RFC 5958)")?;
    if RSA.contains(&info.algorithm.oid) {
        return Err("is an RSA key, and only ES256 is spoken");
    }
    SigningKey::try_from(info).map_err(|_| "is no key on P-256, and only ES256 is spoken")
}

/// RFC 7519 section 4.1.3: any text, a URL as a rule.
fn parse_audience(text: &str) -> Result<Name, Wrong> {
    if (1..=AUDIENCE_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(Name::from(text));
    }
    let right = format!("1 to {AUDIENCE_BYTES_MAX} bytes without control characters");
    Err(Wrong::new("this is no audience").right(right))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::routes::MemorySources;

    const P256: &str = include_str!("../../../../tests/keys/es256.pem");
    const P384: &str = include_str!("../../../../tests/keys/p384.pem");
    const RSA: &str = include_str!("../../../../tests/keys/rsa.pem");

    fn check(text: &str) -> Result<SigningKey, &'static str> {
        let sources = MemorySources::default().file("key.pem", text);
        parse(&Secret::resolve("${file:key.pem}", Path::new(""), &sources).unwrap())
    }

    #[test]
    fn a_p256_key_in_pkcs8_is_taken_whatever_its_line_ends() {
        let key = check(P256).unwrap();
        assert_eq!(check(&P256.replace('\n', "\r\n")).unwrap(), key);
        assert_eq!(check(&format!("\n{P256}\n\n")).unwrap(), key);
        assert_eq!(format!("{key:?}"), "SigningKey { .. }");
    }

    #[test]
    fn every_other_key_is_told_apart() {
        let labelled = |label: &str| P256.replace("PRIVATE KEY", label);
        for (text, told) in [
            (RSA.to_owned(), "RSA"),
            (labelled("RSA PRIVATE KEY"), "RSA"),
            (P384.to_owned(), "no key on P-256"),
            (labelled("EC PRIVATE KEY"), "not in PKCS#8"),
            (labelled("ENCRYPTED PRIVATE KEY"), "encrypted"),
            (labelled("PUBLIC KEY"), "no private key"),
            (P256.replace("MIGHAgEA", "MIGHAgEH"), "no PKCS#8"),
            ("hunter2".to_owned(), "no private key"),
        ] {
            let wrong = check(&text).unwrap_err();
            assert!(wrong.contains(told), "{told}: {wrong}");
        }
    }
}
