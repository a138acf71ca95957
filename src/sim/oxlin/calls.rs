//! The calls of a simulated Oxlin.
//!
//! This file decides what each is answered. It must not know how answers travel.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::books::{ACCESS_LIFE, Books, Denied, Pair};
use super::{CLIENT_ID, CLIENT_SECRET};
use crate::sim::bank::Mischief;
use crate::sim::form::Form;
use crate::sim::server::{Answer, Received, Reply};

/// The authorization server's one endpoint.
pub(super) const TOKEN_PATH: &str = "/token";
/// The user's own entry.
const PROFILE_PATH: &str = "/v2.1/users/me";
/// Where a user accepts the terms; here, whoever opens it with an access token does.
const TERMS_PATH: &str = "/widget/terms?session_id=";

/// An OAuth error: status, `error`, `error_description`.
type Refusal = (StatusCode, &'static str, &'static str);

const fn bad(error: &'static str, description: &'static str) -> Refusal {
    (StatusCode::BAD_REQUEST, error, description)
}

/// Answers a request.
pub(super) fn answer(request: &Received, now: Duration, books: &mut Books) -> Reply {
    let outcome = match (request.method.as_str(), request.path.as_str()) {
        ("POST", TOKEN_PATH) => token(request, now, books),
        ("GET", PROFILE_PATH) => profile(request, now, books),
        ("GET", path) if path.starts_with(TERMS_PATH) => {
            terms(path.trim_start_matches(TERMS_PATH), now, books)
        }
        (_, TOKEN_PATH | PROFILE_PATH) => {
            Err((StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "another method"))
        }
        _ => Err((StatusCode::NOT_FOUND, "not_found", "no such resource")),
    };
    outcome.unwrap_or_else(|refusal| refuse(refusal).into())
}

fn token(request: &Received, now: Duration, books: &mut Books) -> Result<Reply, Refusal> {
    let media = request.header("Content-Type").unwrap_or_default().split(';').next();
    if media != Some("application/x-www-form-urlencoded") {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err((status, "invalid_request", "a form is required"));
    }
    let form = Form::read(&request.body);
    if (form.value("client_id"), form.value("client_secret"))
        != (Some(CLIENT_ID), Some(CLIENT_SECRET))
    {
        return Err((StatusCode::UNAUTHORIZED, "invalid_client", "client authentication failed"));
    }
    let value = |name| form.value(name).ok_or(bad("invalid_request", "a parameter is missing"));
    let pair = match value("grant_type")? {
        // A client's own token: there is no user, so there is nothing to refresh.
        "client_credentials" => {
            let access = books.fresh("at");
            return Ok(json_answer(&tokens(&access, None)).into());
        }
        "password" if value("password")? == "wrong" => None,
        "password" => Some(books.grant(now, value("username")?)),
        "refresh_token" => {
            let refresh = value("refresh_token")?;
            if let Some(mischief) = Mischief::parse(refresh) {
                return Ok(spoil(mischief));
            }
            books.redeem(now, refresh)
        }
        "authorization_code" if books.takes_codes => {
            let code = value("code")?;
            if let Some(mischief) = Mischief::parse(code) {
                return Ok(spoil(mischief));
            }
            books.redeem(now, code)
        }
        _ => return Err(bad("unsupported_grant_type", "no such grant")),
    };
    let pair = pair.ok_or(bad("invalid_grant", "the grant is unknown, used or revoked"))?;
    Ok(json_answer(&tokens(&pair.access, Some(&pair.refresh))).into())
}

fn profile(request: &Received, now: Duration, books: &mut Books) -> Result<Reply, Refusal> {
    let bearer = request.header("Authorization").and_then(|value| value.strip_prefix("Bearer "));
    let bearer = bearer.unwrap_or_default();
    let entry = |email: &str| json_answer(&json!({ "id": "1234", "email": email }));
    if let Some(mischief) = Mischief::parse(bearer) {
        return Ok(mischief.spoil(entry("anna.muster")));
    }
    // "All API calls will return 401 errors" (seed): for both causes, in the same words.
    let both = (StatusCode::UNAUTHORIZED, "unauthorized", "the user has an action to perform");
    let user = books.user_of(now, bearer).map_err(|_| both)?;
    Ok(entry(user).into())
}

fn terms(access: &str, now: Duration, books: &mut Books) -> Result<Reply, Refusal> {
    if books.user_of(now, access) == Err(Denied::Unknown) {
        return Err(bad("expired", "no such session"));
    }
    books.accept_terms_of(access);
    Ok(Answer::new(StatusCode::NO_CONTENT).into())
}

fn spoil(mischief: Mischief) -> Reply {
    let pair = Pair { access: "at-static".to_owned(), refresh: "rt-static".to_owned() };
    mischief.spoil(json_answer(&tokens(&pair.access, Some(&pair.refresh))))
}

/// Seed: `access_token`, `token_type`, `expires_in`, `refresh_token`, `id_token`.
fn tokens(access: &str, refresh: Option<&str>) -> Value {
    let mut json = json!({
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": ACCESS_LIFE.as_secs(),
    });
    if let (Some(refresh), Some(json)) = (refresh, json.as_object_mut()) {
        json.insert("refresh_token".to_owned(), refresh.into());
        json.insert("id_token".to_owned(), "simulated.id.token".into());
    }
    json
}

fn refuse((status, error, description): Refusal) -> Answer {
    let mut answer = json_answer(&json!({ "error": error, "error_description": description }));
    answer.status = status;
    answer
}

fn json_answer(json: &Value) -> Answer {
    Answer::new(StatusCode::OK).with("Content-Type", "application/json").body(json.to_string())
}
