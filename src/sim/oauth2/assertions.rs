//! Assertions at a simulated OAuth 2.0 bank (RFC 7523). The reader is not made from the gateway's
//! writer, on purpose: it must not share its mistakes.
//!
//! This file decides which assertion is good. It must not know HTTP, nor the clock.

use std::collections::HashSet;
use std::io;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use serde_json::Value;

use crate::sim::form::Form;
use crate::sim::lock;

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How far ahead `exp` may lie, in seconds.
const LIFE_MAX: u64 = 300;

/// One client's public key, and which of its assertions have been here.
pub(super) struct Assertions {
    key: VerifyingKey,
    used: Mutex<HashSet<String>>,
}

impl Assertions {
    /// Reads the public key.
    pub(super) fn new(pem: &str) -> io::Result<Self> {
        let key = VerifyingKey::from_public_key_pem(pem);
        let key = key.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Self { key, used: Mutex::default() })
    }

    /// Takes a form's assertion, once; nothing where it is not good (RFC 7523 section 3).
    pub(super) fn accept(&self, form: &Form, client: &str, audience: &str, now: u64) -> Option<()> {
        form.value("client_assertion_type").filter(|found| *found == TYPE)?;
        // RFC 7521 section 4.2: where `client_id` is there, it names the same client.
        let named = form.value("client_id").unwrap_or(client);
        let (signed, signature) = form.value("client_assertion")?.rsplit_once('.')?;
        let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        self.key.verify(signed.as_bytes(), &signature).ok()?;
        let (header, claims) = signed.split_once('.')?;
        let (header, claims) = (read(header)?, read(claims)?);
        let number = |name: &str| claims.get(name).and_then(Value::as_u64);
        let (issued, ends) = (number("iat")?, number("exp")?);
        let good = header.get("alg")? == "ES256"
            && named == client
            && claims.get("iss")? == client
            && claims.get("sub")? == client
            && claims.get("aud")? == audience
            && issued <= now
            && ends > now
            && ends - now <= LIFE_MAX;
        let id = claims.get("jti")?.as_str().filter(|id| good && !id.is_empty())?;
        lock(&self.used).insert(id.to_owned()).then_some(())
    }
}

fn read(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::SigningKey;
    use p256::ecdsa::signature::Signer as _;
    use p256::pkcs8::DecodePrivateKey as _;
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn form(header: &Value, claims: &Value) -> Form {
        let key = include_str!("../../../tests/keys/es256.pem");
        let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let signature: Signature = SigningKey::from_pkcs8_pem(key).unwrap().sign(text.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
        let body = format!("client_assertion_type={TYPE}&client_assertion={text}.{signature}");
        Form::read(body.as_bytes())
    }

    #[test]
    fn an_assertion_is_good_once_and_only_as_it_should_be() {
        let assertions = Assertions::new(include_str!("../../../tests/keys/es256.pub.pem"));
        let assertions = assertions.unwrap();
        let accepts = |form: &Form| assertions.accept(form, "hub", "url", NOW).is_some();
        let header = json!({ "alg": "ES256" });
        let claims = json!({
            "iss": "hub", "sub": "hub", "aud": "url", "jti": "1", "iat": NOW, "exp": NOW + 60,
        });
        for (name, value) in [
            ("iss", json!("else")),
            ("sub", json!("else")),
            ("aud", json!("else")),
            ("exp", json!(NOW)),
            ("exp", json!(NOW + 3_600)),
            ("iat", json!(NOW + 1)),
            ("jti", json!("")),
        ] {
            let mut claims = claims.clone();
            claims[name] = value;
            assert!(!accepts(&form(&header, &claims)), "{claims}");
        }
        assert!(!accepts(&form(&json!({ "alg": "none" }), &claims)));
        let good = form(&header, &claims);
        assert!(accepts(&good));
        assert!(!accepts(&good));
    }
}
