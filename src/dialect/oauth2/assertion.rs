//! The assertion that the hub authenticates by: a JWT of its own, signed (RFC 7523).
//!
//! This file decides what it says and for how long. It must not know where it goes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Signer as _;
use serde_json::json;

use crate::dialect::{Asked, Host};
use crate::fault::Fault;
use crate::routes::table::dialect::ClientKey;

/// RFC 7523 section 2.2.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long an assertion is good, in seconds.
const LIFE: u64 = 60;

/// An assertion for this call alone (RFC 7523 section 3), in the compact form of RFC 7515 section
/// 7.1. The signature is ES256 (RFC 7518 section 3.4), deterministic (RFC 6979).
pub(super) fn sign(asked: &Asked<'_>, client_id: &str, key: &ClientKey) -> Result<String, Fault> {
    let moment = asked.moment.ok_or(Fault::Internal("nothing to tell the time by"))?;
    let mut header = json!({ "alg": "ES256", "typ": "JWT" });
    if let (Some(key_id), Some(header)) = (&key.key_id, header.as_object_mut()) {
        header.insert("kid".to_owned(), (**key_id).into());
    }
    let audience = match &key.audience {
        Some(audience) => audience.to_string(),
        None => token_endpoint(asked)?,
    };
    let claims = json!({
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": format!("{:032x}", u128::from_be_bytes(moment.nonce)),
        "iat": moment.unix_seconds,
        "exp": moment.unix_seconds.saturating_add(LIFE),
    });
    let part = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let text = format!("{}.{}", part(&header), part(&claims));
    let signature: Signature = key
        .key
        .try_sign(text.as_bytes())
        .map_err(|_| Fault::Internal("an assertion can't be signed"))?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())))
}

/// The URL of the token call at the bank's first address, without the port that goes without
/// saying.
fn token_endpoint(asked: &Asked<'_>) -> Result<String, Fault> {
    let path = asked.target.paths.token.as_ref().ok_or(Fault::PathUnconfigured)?;
    let origin = asked.target.origins(Host::Main).first();
    let origin = origin.ok_or(Fault::Internal("a bank without an address"))?.to_string();
    let usual = if origin.starts_with("https://") { ":443" } else { ":80" };
    Ok(format!("{}{path}", origin.strip_suffix(usual).unwrap_or(&origin)))
}
