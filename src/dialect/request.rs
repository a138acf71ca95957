//! What every translated request has in common: its fields, its body, and who the hub is in it.
//!
//! This file decides which fields go to a bank that does not speak bLink: none of the client's
//! own. It must not know any dialect.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT, VIA};
use http::{HeaderName, HeaderValue, Method};
use zeroize::Zeroizing;

use super::{Asked, CorrelationFields, Host, ProviderRequest, Turn, VIA_US};
use crate::fault::{Fault, Name};
use crate::framing::fields::Fields;
use crate::oauth::Call;
use crate::routes::table::dialect::{Registration, Registrations};
use crate::wiped::Wiped;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Room for every field that is set here and the bank's own configured ones.
const FIELDS: usize = 24;
/// What the body of a usual call takes.
const FORM_BYTES: usize = 512;

/// The fields of a request to a foreign bank: nothing of the client's, neither `X-CorAPI-*` nor
/// `X-PSU-*` nor its `Authorization`, but the correlation id where the table names a field for it.
pub(super) fn fields(asked: &Asked<'_>, correlation: Option<&HeaderName>) -> Fields {
    let mut headers = Fields::with_capacity(FIELDS);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static("corgate"));
    headers.insert(VIA, VIA_US);
    headers.insert(TRACEPARENT, asked.traceparent.clone());
    if let Some(name) = correlation {
        headers.insert(name.clone(), asked.correlation.header_value().clone());
    }
    for (name, value) in &asked.target.headers {
        headers.insert(name.clone(), value.clone());
    }
    headers
}

/// Asks by POST with a form.
pub(super) fn post_form<'p>(
    path: &Name,
    mut headers: Fields,
    pairs: impl IntoIterator<Item = (&'p str, &'p str)>,
) -> Turn {
    let media = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, media);
    ask(Method::POST, path, headers, form(pairs).into())
}

/// A form of these pairs, in this order.
pub(super) fn form<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Wiped {
    let mut form = Wiped::with_capacity(FORM_BYTES);
    for (name, value) in pairs {
        if !form.is_empty() {
            form.push(b'&');
        }
        push_encoded(&mut form, name);
        form.push(b'=');
        push_encoded(&mut form, value);
    }
    form
}

/// Asks by POST with a JSON object of texts, in this order.
pub(super) fn post_json<'p>(
    path: &Name,
    mut headers: Fields,
    pairs: impl IntoIterator<Item = (&'p str, &'p str)>,
) -> Turn {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut object = Wiped::with_capacity(FORM_BYTES);
    for (name, value) in pairs {
        object.push(if object.is_empty() { b'{' } else { b',' });
        object.extend_json(name);
        object.push(b':');
        object.extend_json(value);
    }
    object.extend(if object.is_empty() { b"{}" } else { b"}" });
    ask(Method::POST, path, headers, object.into())
}

/// Asks without a body, with a Bearer token.
pub(super) fn ask_as_bearer(
    method: Method,
    path: &Name,
    mut headers: Fields,
    token: &str,
) -> Result<Turn, Fault> {
    let malformed = || Fault::ParameterMalformed("token".into(), "token is malformed".into());
    let value = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&value).map_err(|_| malformed())?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(ask(method, path, headers, Bytes::new()))
}

/// `Basic`, as RFC 6749 section 2.3.1 has it: id and secret are form-encoded before base64.
pub(super) fn basic(registration: &Registration) -> Result<HeaderValue, Fault> {
    let secret = Zeroizing::new(encode(secret_of(registration)?));
    let pair = Zeroizing::new(format!("{}:{}", encode(&registration.client_id), &*secret));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let value = HeaderValue::from_str(&text);
    let mut value = value.map_err(|_| Fault::Internal("base64 is no header value"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What the client of this call is at the bank.
///
/// # Errors
/// [`Fault::ClientUnmapped`] where the bank's side of the table does not know it.
pub(super) fn registration<'a>(
    asked: &Asked<'_>,
    registrations: &'a Registrations,
) -> Result<&'a Registration, Fault> {
    registrations.of(asked.client_id).ok_or(Fault::ClientUnmapped)
}

/// The secret of a registration that has to have one: the table was read so.
pub(super) fn secret_of(registration: &Registration) -> Result<&str, Fault> {
    let secret = registration.client_secret.as_ref().map(crate::routes::Secret::expose);
    secret.ok_or(Fault::Internal("a registration without its secret"))
}

/// The token of the client's `Authorization: Bearer`; its form was checked with the head.
pub(super) fn presented_bearer<'a>(asked: &Asked<'a>) -> Result<&'a str, Fault> {
    let value = asked.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.split_once(' ')).map(|(_, token)| token.trim());
    token.ok_or(Fault::BearerMissing)
}

/// Where the bank takes this call.
///
/// # Errors
/// What its language has no word for: its entry says that it has no such call.
pub(super) fn path<'a>(asked: &Asked<'a>) -> Result<&'a Name, Fault> {
    match (asked.target.paths.of(asked.call), asked.call) {
        (Some(path), _) => Ok(path),
        (None, Call::Token) => Err(Fault::GrantNotSpoken("target issues no tokens")),
        (None, Call::Revoke) => Err(Fault::RevokeNotSpoken),
        (None, Call::Username) => Err(Fault::UsernameNotSpoken),
    }
}

/// A parameter that this call can't do without.
pub(super) fn needed<'a>(asked: &Asked<'a>, name: &'static str) -> Result<&'a str, Fault> {
    asked.form.value(name).ok_or(Fault::ParameterNeeded(name))
}

/// RFC 6749 appendix B: `application/x-www-form-urlencoded` of UTF-8.
fn encode(text: &str) -> String {
    let mut encoded = Wiped::with_capacity(text.len() + 8);
    push_encoded(&mut encoded, text);
    // All of it is ASCII.
    encoded.into_text().unwrap_or_default()
}

fn push_encoded(encoded: &mut Wiped, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |digit: u8| HEX.get(usize::from(digit)).copied().unwrap_or(b'0');
    encoded.reserve(3 * text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push(b'+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                encoded.push(byte);
            }
            _ => encoded.extend(&[b'%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
}

fn ask(method: Method, path: &Name, headers: Fields, body: Bytes) -> Turn {
    let (host, path, correlation) = (Host::Main, path.clone(), CorrelationFields::default());
    Turn::Ask(0, ProviderRequest { host, method, path, headers, correlation, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{MemorySources, Secret};

    #[test]
    fn basic_is_form_encoded_before_it_is_base64() {
        let secret = Secret::resolve("s: e%", std::path::Path::new(""), &MemorySources::default());
        let registration =
            Registration { client_id: "a:b ä".into(), client_secret: Some(secret.unwrap()) };
        let value = basic(&registration).unwrap();
        let text = STANDARD.decode(value.to_str().unwrap().strip_prefix("Basic ").unwrap());
        assert_eq!(text.unwrap(), b"a%3Ab+%C3%A4:s%3A+e%25");
        assert!(value.is_sensitive());
    }
}
