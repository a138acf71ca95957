//! Oxlin (Linxo Connect): refresh tokens that rotate, on a host of their own.
//!
//! This file decides how a refresh is said and heard, and how a username is checked with the
//! client's own token (seed 003, DIALECTS 6.2). What Oxlin does not have is refused before anything
//! is sent. It must not know sockets.

mod errors;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::{Asked, Host, ProviderAnswer, ProviderRequest, Turn, foreign};
use crate::fault::Fault;
use crate::oauth::Call;
use crate::routes::table::dialect::oxlin::{Oxlin, Profile};

/// Seed: "application/x-www-form-urlencoded;charset=UTF-8".
const FORM: HeaderValue =
    HeaderValue::from_static("application/x-www-form-urlencoded;charset=UTF-8");

const NO_CODES: &str = "provider takes no authorization codes; its users consent in its own widget";

pub(super) fn open(asked: &Asked<'_>, oxlin: &Oxlin) -> Result<Turn, Fault> {
    match asked.call {
        Call::Token => open_token(asked, oxlin),
        Call::Revoke => Err(Fault::RevokeNotSpoken),
        Call::Username => open_username(asked, oxlin),
    }
}

pub(super) fn hear(
    asked: &Asked<'_>,
    oxlin: &Oxlin,
    answer: &ProviderAnswer,
) -> Result<Turn, Fault> {
    match asked.call {
        Call::Token => hear_token(asked, oxlin, answer),
        Call::Revoke => Err(Fault::RevokeNotSpoken),
        Call::Username => hear_username(asked, oxlin, answer),
    }
}

fn open_token(asked: &Asked<'_>, oxlin: &Oxlin) -> Result<Turn, Fault> {
    let value = |name| asked.form.value(name);
    let grant = match value("grant_type") {
        Some("refresh_token") => ("refresh_token", "refresh_token"),
        Some("authorization_code") if oxlin.code_grant => ("authorization_code", "code"),
        _ => return Err(Fault::GrantNotSpoken(NO_CODES)),
    };
    let (grant_type, name) = grant;
    let mut pairs =
        vec![("grant_type", grant_type), (name, value(name).ok_or(Fault::ParameterNeeded(name))?)];
    if let Some(redirect_uri) = value("redirect_uri").or(oxlin.redirect_uri.as_deref()) {
        pairs.push(("redirect_uri", redirect_uri));
    }
    pairs.push(("client_id", &oxlin.client_id));
    pairs.push(("client_secret", oxlin.client_secret.expose()));
    if let Some(provider) = &oxlin.provider {
        pairs.push(("provider", provider));
    }
    let mut headers = foreign::head(asked);
    headers.insert(CONTENT_TYPE, FORM);
    let body = Bytes::from(foreign::form(&pairs));
    ask(asked, Host::Auth, Method::POST, headers, body)
}

fn hear_token(asked: &Asked<'_>, oxlin: &Oxlin, answer: &ProviderAnswer) -> Result<Turn, Fault> {
    if !answer.status.is_success() {
        return errors::of_token(asked, oxlin, answer).map(foreign::done);
    }
    let json: Value = serde_json::from_slice(&answer.body)
        .map_err(|_| Fault::ResponseMalformed("token answer"))?;
    // The presented refresh token stays good where no new one comes. `id_token` has no place in
    // bLink.
    foreign::token(asked, &json, asked.form.value("refresh_token")).map(foreign::done)
}

fn open_username(asked: &Asked<'_>, oxlin: &Oxlin) -> Result<Turn, Fault> {
    profile(oxlin)?;
    let bearer = asked.headers.get(AUTHORIZATION).ok_or(Fault::BearerMissing)?;
    let mut headers = foreign::head(asked);
    let mut bearer = bearer.clone();
    bearer.set_sensitive(true);
    headers.insert(AUTHORIZATION, bearer);
    ask(asked, Host::Main, Method::GET, headers, Bytes::new())
}

fn hear_username(asked: &Asked<'_>, oxlin: &Oxlin, answer: &ProviderAnswer) -> Result<Turn, Fault> {
    let profile = profile(oxlin)?;
    if !answer.status.is_success() {
        return errors::of_profile(asked, profile, answer).map(foreign::done);
    }
    let json: Value =
        serde_json::from_slice(&answer.body).map_err(|_| Fault::ResponseMalformed("profile"))?;
    let known = json.pointer(&profile.username_pointer).and_then(Value::as_str);
    let known = known.ok_or(Fault::ResponseMalformed("no username in the profile"))?;
    let valid = asked.form.value("username") == Some(known);
    Ok(foreign::done(foreign::provided(&json!({ "valid_username": valid }))))
}

fn profile(oxlin: &Oxlin) -> Result<&Profile, Fault> {
    oxlin.profile.as_ref().ok_or(Fault::UsernameNotSpoken)
}

fn ask(
    asked: &Asked<'_>,
    host: Host,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Turn, Fault> {
    let path = asked.target.paths.of(asked.call).cloned().ok_or(Fault::PathUnconfigured)?;
    Ok(Turn::Ask(ProviderRequest { host, method, path, headers, body }))
}
