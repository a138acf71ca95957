//! Oxlin (Linxo Connect): refresh tokens that rotate, on a host of their own.
//!
//! This file decides how a refresh is said and heard, and how a username is checked with the
//! client's own token (seed 003, DIALECTS 6.2). What Oxlin does not have is refused before anything
//! is sent. It must not know sockets.

mod refusal;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};

use super::reply::{self, object};
use super::request::{ask_as_bearer, fields, form, needed, path, presented_bearer};
use super::{Asked, CorrelationFields, Host, ProviderAnswer, ProviderRequest, Turn};
use crate::fault::Fault;
use crate::oauth::Call;
use crate::routes::table::dialect::{Oxlin, Profile};

/// Seed: `Content-Type: application/x-www-form-urlencoded;charset=UTF-8`.
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
    let (grant_type, name) = match asked.form.value("grant_type") {
        Some("refresh_token") => ("refresh_token", "refresh_token"),
        Some("authorization_code") if oxlin.code_grant => ("authorization_code", "code"),
        _ => return Err(Fault::GrantNotSpoken(NO_CODES)),
    };
    let redirect_uri = asked.form.value("redirect_uri").or(oxlin.redirect_uri.as_deref());
    let pairs = [
        ("grant_type", Some(grant_type)),
        (name, Some(needed(asked, name)?)),
        ("redirect_uri", redirect_uri),
        ("client_id", Some(&*oxlin.client_id)),
        ("client_secret", Some(oxlin.client_secret.expose())),
        ("provider", oxlin.provider.as_deref()),
    ];
    let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let body = form(pairs).into();
    let path = path(asked)?.clone();
    let mut headers = fields(asked, None);
    headers.insert(CONTENT_TYPE, FORM);
    let (host, method) = (Host::Auth, Method::POST);
    let correlation = CorrelationFields::default();
    Ok(Turn::Ask(0, ProviderRequest { host, method, path, headers, correlation, body }))
}

fn hear_token(asked: &Asked<'_>, oxlin: &Oxlin, answer: &ProviderAnswer) -> Result<Turn, Fault> {
    if !answer.status.is_success() {
        return refusal::of_token(asked, oxlin, answer);
    }
    // The presented refresh token stays good where no new one comes (RFC 6749 section 6).
    let is_refresh = asked.form.value("grant_type") == Some("refresh_token");
    let presented = asked.form.value("refresh_token").filter(|_| is_refresh);
    let hidden = [oxlin.client_secret.expose()];
    reply::tokens(asked, &object(answer)?, presented, &[], &hidden)
}

fn open_username(asked: &Asked<'_>, oxlin: &Oxlin) -> Result<Turn, Fault> {
    profile(oxlin)?;
    ask_as_bearer(Method::GET, path(asked)?, fields(asked, None), presented_bearer(asked)?)
}

fn hear_username(asked: &Asked<'_>, oxlin: &Oxlin, answer: &ProviderAnswer) -> Result<Turn, Fault> {
    let profile = profile(oxlin)?;
    if !answer.status.is_success() {
        return refusal::of_profile(asked, profile, answer);
    }
    let found = object(answer)?;
    let username = found.text(&profile.field);
    let username = username.ok_or(Fault::ResponseMalformed("no username"))?;
    Ok(reply::username(asked, &username, profile.folds_case))
}

fn profile(oxlin: &Oxlin) -> Result<&Profile, Fault> {
    oxlin.profile.as_ref().ok_or(Fault::UsernameNotSpoken)
}

#[cfg(test)]
mod tests;
