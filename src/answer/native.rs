//! Faults in a native contract's own words.
//!
//! This file decides how a fault looks to a client of Konsentus, Flinks or FDX. Sentences are the
//! same fixed ones as everywhere. It must not know when a fault is raised.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Source, X_CORRELATION_ID};
use crate::contract::{ErrorFormat, FaultStyle};
use crate::fault::{Fault, Name};
use crate::ids::CorrelationId;

/// Flinks: named in its FDX errors' headers.
const OB_CORRELATION_ID: HeaderName = HeaderName::from_static("ob-correlation-id");
/// RFC 9457 section 4.2.1: the type of a problem that no page describes.
const NO_PAGE: &str = "about:blank";

impl Answer {
    /// Says the fault again, in the contract's words.
    pub fn say_natively(
        &mut self,
        fault: &Fault,
        style: &FaultStyle,
        error_uri: Option<&Name>,
        correlation: &CorrelationId,
        asked: &HeaderMap,
    ) {
        let rule = style.rule(fault);
        if let Some(status) = rule.and_then(|rule| StatusCode::from_u16(rule.status).ok()) {
            self.status = status;
        }
        if self.status != StatusCode::UNAUTHORIZED {
            self.headers.remove(WWW_AUTHENTICATE);
        }
        let own_error = rule.and_then(|rule| rule.error);
        match style.format {
            ErrorFormat::Oauth => {
                if let Some(error) = own_error {
                    let mut text = json!({"error": error, "error_description": fault.sentence()});
                    if let (Some(uri), Some(text)) = (error_uri, text.as_object_mut()) {
                        text.insert("error_uri".to_owned(), json!(**uri));
                    }
                    self.body = text.to_string().into();
                }
            }
            ErrorFormat::Konsentus => {
                self.body = konsentus(fault, self.status, error_uri, correlation);
            }
            ErrorFormat::Fdx => {
                self.body = fdx(fault, self.status, correlation);
                let mut given = asked.get_all(OB_CORRELATION_ID).iter();
                if let (Some(value), None) = (given.next(), given.next())
                    && CorrelationId::parse(value).is_ok()
                {
                    self.headers.insert(OB_CORRELATION_ID, value.clone());
                }
            }
        }
    }

    /// A fault that is told by a redirect (RFC 6749 section 4.1.2.1). `uri` is one of the client's
    /// own entries, so it is fit for a field.
    pub fn of_redirect(fault: &Fault, uri: &str, state: Option<&str>) -> Self {
        let (row, sentence) = (fault.row(), fault.sentence());
        let mut pairs = vec![("error", row.error.as_str()), ("error_description", &*sentence)];
        pairs.extend(state.map(|state| ("state", state)));
        let separator = if uri.contains('?') { '&' } else { '?' };
        let query: Vec<_> =
            pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let mut headers = HeaderMap::with_capacity(8);
        let location = format!("{uri}{separator}{}", query.join("&"));
        match HeaderValue::from_str(&location) {
            Ok(location) => headers.insert(LOCATION, location),
            Err(_) => headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain")),
        };
        let status = StatusCode::FOUND;
        let (body, source) = (Bytes::new(), Source::Platform);
        Self { status, headers, body, source, close: fault.closes_connection() }
    }
}

/// `{"errors":[{"id","code","title","link"}]}` (seed Konsentus). The id finds the call in the log.
fn konsentus(
    fault: &Fault,
    status: StatusCode,
    error_uri: Option<&Name>,
    correlation: &CorrelationId,
) -> Bytes {
    let link = error_uri.map_or(NO_PAGE, |uri| uri);
    let error = |fault: &Fault| -> Value {
        let code = fault.row().code.to_ascii_uppercase().replace('_', "-");
        json!({
            "id": correlation.as_str(),
            "code": format!("HUB-{}-{code}", status.as_u16()),
            "title": fault.sentence(),
            "link": link,
        })
    };
    let errors: Vec<Value> = match fault {
        Fault::Several(faults) => faults.iter().map(error).collect(),
        fault => vec![error(fault)],
    };
    json!({ "errors": errors }).to_string().into()
}

/// `{"code","message","debugMessage"}`: the code is FDX's for that status.
fn fdx(fault: &Fault, status: StatusCode, correlation: &CorrelationId) -> Bytes {
    let code = match status.as_u16() {
        401 => 602,
        403 => 403,
        404 => 601,
        405 => 501,
        406 => 1203,
        429 => 1207,
        503 => 503,
        400..=499 => 401,
        _ => 500,
    };
    let debug = format!("{}, {X_CORRELATION_ID} {}", fault.row().code, correlation.as_str());
    json!({ "code": code, "message": fault.sentence(), "debugMessage": debug }).to_string().into()
}

/// `application/x-www-form-urlencoded`, as RFC 6749 section 4.1.2.1 asks for.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_carries_error_description_and_state_encoded() {
        let fault = Fault::ParameterMissing("scope".into());
        let location = |uri: &str, state| {
            let answer = Answer::of_redirect(&fault, uri, state);
            assert_eq!(answer.status, 302);
            answer.headers["location"].to_str().unwrap().to_owned()
        };
        assert_eq!(
            location("https://a.example/cb", Some("ä&=\r\n")),
            "https://a.example/cb?error=invalid_request&error_description=scope%20is%20required\
             &state=%C3%A4%26%3D%0D%0A"
        );
        assert!(
            location("https://a.example/cb?x=1", None).starts_with("https://a.example/cb?x=1&")
        );
    }

    #[test]
    fn konsentus_tells_every_fault_with_the_correlation_id() {
        let correlation = CorrelationId::fresh(uuid::Uuid::from_u128(7));
        let faults = [Fault::HeaderMissing("version".into()), Fault::ParameterMissing("x".into())];
        let fault = Fault::Several(faults.into());
        let style = FaultStyle { format: ErrorFormat::Konsentus, failures: Vec::new() };
        let mut answer = Answer::of_fault(&fault, super::super::Manner::default());
        answer.say_natively(&fault, &style, None, &correlation, &HeaderMap::new());
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            json["errors"][0],
            json!({"id": correlation.as_str(), "code": "HUB-400-HEADER-MISSING",
                "title": "version header is required", "link": "about:blank"})
        );
        assert_eq!(json["errors"][1]["code"], "HUB-400-PARAMETER-MISSING");
    }
}
