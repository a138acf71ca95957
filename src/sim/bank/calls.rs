//! The calls of a simulated bLink bank, as the seed has them.
//!
//! This file decides what each call is answered. It must not know how answers travel, nor which
//! rules the gateway has: the bank checks what it was promised, for itself.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::BankPaths;
use super::books::{ACCESS_LIFETIME, Asker, Books, Denied, Pair};
use super::mischief::Mischief;
use crate::sim::form::Form;
use crate::sim::server::{Answer, Received, Reply};

/// What the seed marks as required on each call. A bank can count on the hub for them.
const REQUIRED: [&str; 3] = ["X-CorAPI-Client-ID", "X-Correlation-ID", "User-Agent"];
/// Where a magic value may stand.
const MAGIC_PARAMETERS: [&str; 4] = ["code", "refresh_token", "token", "username"];

/// An OAuth error: status, `error`, `error_description`.
type Refusal = (StatusCode, &'static str, &'static str);
type Outcome = Result<Answer, Refusal>;

const fn invalid(description: &'static str) -> Refusal {
    (StatusCode::BAD_REQUEST, "invalid_request", description)
}

/// Answers a request.
pub(super) fn answer(
    request: &Received,
    paths: &BankPaths,
    now: Duration,
    books: &mut Books,
) -> Reply {
    let desk = match request.path.as_str() {
        path if path == paths.token => token,
        path if path == paths.revoke => revoke,
        path if path == paths.username => username,
        _ => return refuse(request, (StatusCode::NOT_FOUND, "invalid_request", "no such path")),
    };
    if request.method != "POST" {
        let refusal = (StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "POST only");
        let mut reply = refuse(request, refusal);
        reply.answer = reply.answer.with("Allow", "POST");
        return reply;
    }
    let form = Form::read(&request.body);
    let client = match check(request, &form) {
        Ok(client) => client,
        Err(refusal) => return refuse(request, refusal),
    };
    if let Some(mischief) = find_mischief(request, &form) {
        return mischief.spoil(finish(request, pretend(request, paths)));
    }
    match desk(&Call { request, form: &form, client, now }, books) {
        Ok(answer) => finish(request, answer).into(),
        Err(refusal) => refuse(request, refusal),
    }
}

/// A call that has all that the seed requires of each.
struct Call<'a> {
    request: &'a Received,
    form: &'a Form,
    client: &'a str,
    now: Duration,
}

impl<'a> Call<'a> {
    fn value(&self, name: &str, missing: &'static str) -> Result<&'a str, Refusal> {
        self.form.value(name).ok_or(invalid(missing))
    }
}

/// The seed's headers and form, and one client throughout. Hands back the client.
fn check<'a>(request: &'a Received, form: &Form) -> Result<&'a str, Refusal> {
    if REQUIRED.iter().any(|name| request.header(name).is_none_or(str::is_empty)) {
        return Err(invalid("a required header is missing or stands twice"));
    }
    let media = request.header("Content-Type").unwrap_or_default().split(';').next();
    if !media.unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err((status, "invalid_request", "a form is required"));
    }
    let client = request.header("X-CorAPI-Client-ID").unwrap_or_default();
    if form.value("client_id").is_some_and(|named| named != client) {
        return Err((StatusCode::UNAUTHORIZED, "invalid_client", "two clients in one call"));
    }
    Ok(client)
}

/// Get the OAuth access and refresh token.
fn token(call: &Call<'_>, books: &mut Books) -> Outcome {
    call.value("client_id", "client_id is missing")?;
    let asker = Asker { client: call.client, username: call.form.value("username") };
    let pair = match call.value("grant_type", "grant_type is missing")? {
        "authorization_code" => {
            let code = call.value("code", "code is missing")?;
            books.exchange(call.now, asker, code, call.form.value("redirect_uri"))
        }
        "refresh_token" => {
            let refresh = call.value("refresh_token", "refresh_token is missing")?;
            books.refresh(call.now, asker, refresh)
        }
        _ => {
            let status = StatusCode::BAD_REQUEST;
            return Err((status, "unsupported_grant_type", "code or refresh_token only"));
        }
    };
    pair.map(|pair| tokens(&pair)).map_err(|denied| match denied {
        Denied::Lost => (StatusCode::GATEWAY_TIMEOUT, "server_error", "a part did not answer"),
        Denied::Invalid => bad_grant("the grant is unknown, used, expired or revoked"),
        Denied::Foreign => bad_grant("the grant belongs to another client"),
        Denied::Mismatch => bad_grant("the grant belongs to another user or redirect_uri"),
    })
}

/// Revoke an OAuth token (access or refresh).
fn revoke(call: &Call<'_>, books: &mut Books) -> Outcome {
    call.value("client_id", "client_id is missing")?;
    let token = call.value("token", "token is missing")?;
    // RFC 7009 section 2.1: a token of another client is refused, and stays.
    books.revoke(call.client, token).map_err(|_| bad_grant("another client's token"))?;
    Ok(Answer::new(StatusCode::OK))
}

/// Validate the username of the resource owner.
fn username(call: &Call<'_>, books: &mut Books) -> Outcome {
    let Some(bearer) = bearer(call.request) else {
        return Err((StatusCode::UNAUTHORIZED, "invalid_token", "a bearer token is required"));
    };
    let username = call.value("username", "username is missing")?;
    let valid = books.check_username(call.now, call.client, bearer, username);
    let valid = valid.map_err(|_| {
        (StatusCode::UNAUTHORIZED, "invalid_token", "the token is unknown, expired or revoked")
    })?;
    Ok(json_answer(&json!({ "valid_username": valid })))
}

const fn bad_grant(description: &'static str) -> Refusal {
    (StatusCode::BAD_REQUEST, "invalid_grant", description)
}

fn bearer(request: &Received) -> Option<&str> {
    let (scheme, token) = request.header("Authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

fn find_mischief(request: &Received, form: &Form) -> Option<Mischief> {
    let values = MAGIC_PARAMETERS.iter().filter_map(|name| form.value(name));
    values.chain(bearer(request)).find_map(Mischief::parse)
}

/// The good answer of a call that asks for mischief.
fn pretend(request: &Received, paths: &BankPaths) -> Answer {
    if request.path == paths.revoke {
        Answer::new(StatusCode::OK)
    } else if request.path == paths.username {
        json_answer(&json!({ "valid_username": true }))
    } else {
        tokens(&Pair { access: "at-static".to_owned(), refresh: "rt-static".to_owned() })
    }
}

fn tokens(pair: &Pair) -> Answer {
    json_answer(&json!({
        "access_token": pair.access,
        "token_type": "bearer",
        "expires_in": ACCESS_LIFETIME.as_secs(),
        "refresh_token": pair.refresh,
        "scope": "ais",
    }))
}

fn json_answer(value: &serde_json::Value) -> Answer {
    Answer::new(StatusCode::OK).with("Content-Type", "application/json").body(value.to_string())
}

fn refuse(request: &Received, (status, error, description): Refusal) -> Reply {
    let mut answer = json_answer(&json!({ "error": error, "error_description": description }));
    answer.status = status;
    if status == StatusCode::UNAUTHORIZED {
        let challenge = match error {
            "invalid_token" => r#"Bearer error="invalid_token""#,
            _ => r#"tls_client_auth realm="bank""#,
        };
        answer = answer.with("WWW-Authenticate", challenge);
    }
    finish(request, answer).into()
}

/// What every answer carries: no-store, and the correlation id "reflected back" (seed).
fn finish(request: &Received, answer: Answer) -> Answer {
    let answer = answer.with("Cache-Control", "no-store").with("Pragma", "no-cache");
    match request.header("X-Correlation-ID") {
        Some(id) => answer.with("X-Correlation-ID", id),
        None => answer,
    }
}
