//! What a simulated Flinks answers to a data recipient that calls it itself: who there is, a
//! customer's authorization, and data (seed 002).
//!
//! This file decides what those answers look like. It must not know which token is good.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Answer, Form, json_answer, message, refuse};

/// The data provider of the seed's sample.
const PROVIDER_ID: &str = "1000";

/// Whether an access token is asked for.
pub(super) fn wants_bearer(path: &str) -> bool {
    path == "/accounts" || path.ends_with("/providers") || provider_of(path).is_some()
}

/// Answers what anybody may ask, or whose token has been found good.
pub(super) fn answer(path: &str, query: &str) -> Answer {
    match path {
        "/api/v1/authorize" => authorize(&Form::read(query.as_bytes())),
        "/api/v1/providers" | "/api/v2/providers" => json_answer(200, &json!([provider()])),
        "/accounts" => json_answer(200, &json!({ "accounts": [{ "accountId": "1" }] })),
        path if provider_of(path) == Some(PROVIDER_ID) => json_answer(200, &provider()),
        path if provider_of(path).is_some() => {
            let error =
                json!({ "error": "invalid_request", "error_description": "no such provider" });
            json_answer(404, &error)
        }
        _ => message(404, "no such path"),
    }
}

/// The customer consents at once: "you'll receive a 302 response at the `redirect_uri`, an
/// authorization code and the original state" (seed).
fn authorize(query: &Form) -> Answer {
    let value = |name| query.value(name);
    let (Some(uri), Some(state)) = (value("redirect_uri"), value("state")) else {
        return refuse("invalid_request");
    };
    let state = crate::sim::form::encode([("state", state)]);
    Answer::new(StatusCode::FOUND).with("Location", format!("{uri}?code=demo-code-a&{state}"))
}

fn provider() -> Value {
    json!({ "provider_id": 1000, "name": "Maple Credit Union", "country": "CA" })
}

fn provider_of(path: &str) -> Option<&str> {
    path.strip_prefix("/api/v1/providers/")
}
