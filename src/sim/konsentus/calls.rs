//! The calls of a simulated Konsentus.
//!
//! This file decides what each is answered, and that every mistake of a request is told at once,
//! in `errors`. It must not know how answers travel.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::STUB_BASIC;
use super::books::{Books, Denied};
use crate::sim::bank::Mischief;
use crate::sim::server::{Answer, Received, Reply};

/// Seed 001.
const TOKEN_PATH: &str = "/v1/obie/tokens";
/// Where a PSP's certificate becomes a `ccg_token`.
pub(super) const CCG_PATH: &str = "/v1/oauth2/tokens";
/// Seed 001's sample: 360 days.
const ACCESS_LIFE: u64 = 31_104_000;

/// A status, and an error's code and title.
type Refusal = (StatusCode, Vec<(&'static str, String)>);

/// Answers a request.
pub(super) fn answer(request: &Received, now: Duration, books: &mut Books) -> Reply {
    let desk = match request.path.as_str() {
        TOKEN_PATH => token,
        CCG_PATH => ccg_token,
        _ => return refuse(books, one(StatusCode::NOT_FOUND, "not_found", "no such resource")),
    };
    if request.method != "POST" {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        return refuse(books, one(status, "method_not_allowed", "POST only"));
    }
    match check(request).and_then(|body| desk(request, &body, now, books)) {
        Ok(reply) => reply,
        Err(refusal) => refuse(books, refusal),
    }
}

/// What both calls ask for; hands back the body.
fn check(request: &Received) -> Result<Value, Refusal> {
    if request.header("Authorization") != Some(&format!("Basic {STUB_BASIC}")) {
        let title = "Basic credentials invalid or not sent";
        return Err(one(StatusCode::UNAUTHORIZED, "unauthorized", title));
    }
    let media = request.header("Content-Type").unwrap_or_default();
    if !media.eq_ignore_ascii_case("application/json") {
        let title = "content-type sent is not accepted";
        return Err(one(StatusCode::NOT_ACCEPTABLE, "not_acceptable", title));
    }
    let mut missing = Vec::new();
    if request.header("fi_reference_id").is_none_or(str::is_empty) {
        missing.push(("missing_header", "fi_reference_id header is required".to_owned()));
    }
    if !matches!(request.header("version"), Some("1" | "latest")) {
        missing.push(("invalid_header", "version header is 1 or latest".to_owned()));
    }
    if !missing.is_empty() {
        return Err((StatusCode::BAD_REQUEST, missing));
    }
    let body = serde_json::from_slice(&request.body).ok().filter(Value::is_object);
    body.ok_or_else(|| one(StatusCode::BAD_REQUEST, "malformed", "the body is no JSON object"))
}

/// "This endpoint creates an access token for the OBIE flow" (seed).
fn token(
    request: &Received,
    body: &Value,
    now: Duration,
    books: &mut Books,
) -> Result<Reply, Refusal> {
    let text = |name| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let ccg_token = request.header("ccg_token").filter(|token| !token.is_empty());
    let mut missing = Vec::new();
    if ccg_token.is_none() {
        missing.push(("missing_header", "ccg_token header is required".to_owned()));
    }
    for name in ["auth_code", "redirect_uri"] {
        if text(name).is_none() {
            missing.push(("missing_field", format!("{name} is required")));
        }
    }
    let (Some(ccg_token), Some(code), Some(redirect_uri)) =
        (ccg_token, text("auth_code"), text("redirect_uri"))
    else {
        return Err((StatusCode::BAD_REQUEST, missing));
    };
    let psp = books.psp_of(now, ccg_token);
    let psp = psp.ok_or_else(|| {
        one(StatusCode::UNAUTHORIZED, "ccg_token_invalid", "ccg_token is unknown or has expired")
    })?;
    if let Some(mischief) = Mischief::parse(code) {
        return Ok(spoil(mischief, books));
    }
    if psp.starts_with("withdrawn") {
        let title = "PSP is not authorised for this service";
        return Err(one(StatusCode::FORBIDDEN, "psp_withdrawn", title));
    }
    let access = books.redeem(now, &psp, code, redirect_uri).map_err(|denied| {
        let title = match denied {
            Denied::Unknown => "auth_code not found",
            Denied::Used => "auth_code has been used",
            Denied::Expired => "auth_code has expired",
            Denied::Foreign => "auth_code is invalid for this PSP",
            Denied::Mismatch => "auth_code is invalid for this redirect_uri",
        };
        let more = ("consent_required", "a new consent is needed".to_owned());
        (StatusCode::BAD_REQUEST, vec![("invalid_auth_code", title.to_owned()), more])
    })?;
    Ok(created(&access, ACCESS_LIFE).into())
}

/// The neighbour endpoint with the PSP's certificate: `client_credentials` alone.
fn ccg_token(
    request: &Received,
    body: &Value,
    now: Duration,
    books: &mut Books,
) -> Result<Reply, Refusal> {
    let Some(eidas) = request.header("eidas").filter(|eidas| !eidas.is_empty()) else {
        return Err(one(StatusCode::BAD_REQUEST, "missing_header", "eidas header is required"));
    };
    let grant = body.pointer("/client_request_query_parameters/grant_type").and_then(Value::as_str);
    if grant != Some("client_credentials") {
        let title = "grant_type is client_credentials";
        return Err(one(StatusCode::BAD_REQUEST, "invalid_field", title));
    }
    let (token, life) = books.give_ccg(now, eidas);
    Ok(created(&token, life).into())
}

/// The errors that a test bank makes on demand; a status comes in Konsentus' own shape.
fn spoil(mischief: Mischief, books: &mut Books) -> Reply {
    let good = created("at-static", ACCESS_LIFE);
    let status = match mischief {
        Mischief::Status(status) => StatusCode::from_u16(status).ok(),
        Mischief::RetryAfter(_) => Some(StatusCode::SERVICE_UNAVAILABLE),
        _ => None,
    };
    let Some(status) = status else { return mischief.spoil(good) };
    let entries = vec![("simulated", status.to_string()), ("simulated_too", "as asked".to_owned())];
    let mut reply = refuse(books, (status, entries));
    if let Mischief::RetryAfter(seconds) = mischief {
        reply.answer = reply.answer.with("Retry-After", seconds.to_string());
    }
    reply
}

/// "201: Request received and access token created" (seed).
fn created(token: &str, life: u64) -> Answer {
    let data = json!({
        "access_token": token,
        "expires_in": life,
        "token_type": "bearer",
        "state": "example-state",
    });
    json_answer(StatusCode::CREATED, &json!({ "data": data }))
}

fn refuse(books: &mut Books, (status, entries): Refusal) -> Reply {
    let mut entry = |(code, title): (&str, String)| {
        let link = format!("https://docs.konsentus.test/errors#{code}");
        json!({ "id": books.fresh("error"), "code": code, "title": title, "link": link })
    };
    let errors: Vec<Value> = entries.into_iter().map(&mut entry).collect();
    json_answer(status, &json!({ "errors": errors })).into()
}

fn json_answer(status: StatusCode, json: &Value) -> Answer {
    Answer::new(status).with("Content-Type", "application/json").body(json.to_string())
}

fn one(status: StatusCode, code: &'static str, title: &str) -> Refusal {
    (status, vec![(code, title.to_owned())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::konsentus::CcgTokens;

    fn ask(path: &str, fields: &[(&str, &str)], body: &'static str) -> (u16, Value) {
        let request = Received {
            connection: 1,
            certificate: None,
            version: "HTTP/1.1".to_owned(),
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            body: body.into(),
        };
        let mut books = Books::new(0, CcgTokens::Hardcoded, Duration::from_secs(60));
        let reply = answer(&request, Duration::ZERO, &mut books);
        (reply.answer.status.as_u16(), serde_json::from_slice(&reply.answer.body).unwrap())
    }

    const BASIC: (&str, &str) = ("authorization", "Basic YXBpLWNvbnN1bWVyLWlkOnBhc3N3b3Jk");
    const JSON: (&str, &str) = ("content-type", "application/json");
    const FI: [(&str, &str); 2] = [("fi_reference_id", "PSDGB-FCA-111111"), ("version", "1")];

    #[test]
    fn mistakes_are_told_in_the_order_of_the_head_and_all_at_once() {
        assert_eq!(ask(TOKEN_PATH, &[], "{}").0, 401);
        let form = ("content-type", "application/x-www-form-urlencoded");
        assert_eq!(ask(TOKEN_PATH, &[BASIC, form], "").0, 406);
        let (status, json) = ask(TOKEN_PATH, &[BASIC, JSON], "{}");
        assert_eq!((status, json["errors"].as_array().unwrap().len()), (400, 2));
        let (status, json) = ask(TOKEN_PATH, &[BASIC, JSON, FI[0], FI[1]], "{}");
        assert_eq!((status, json["errors"].as_array().unwrap().len()), (400, 3));
        assert_eq!(json["errors"][0]["title"], "ccg_token header is required");
        let fields = [BASIC, JSON, FI[0], FI[1], ("ccg_token", "nobodys")];
        let body = r#"{"auth_code":"c","redirect_uri":"https://app.test"}"#;
        assert_eq!(ask(TOKEN_PATH, &fields, body).0, 401);
    }

    #[test]
    fn client_credentials_bring_the_good_access_token() {
        let body = r#"{"client_request_query_parameters":{"grant_type":"client_credentials"}}"#;
        let fields = [BASIC, JSON, FI[0], FI[1], ("eidas", "certificate")];
        let (status, json) = ask(CCG_PATH, &fields, body);
        assert_eq!((status, &json["data"]["access_token"]), (201, &"good-access-token".into()));
    }
}
