//! Flinks' open banking: a token endpoint that takes JSON, and a revocation that ends a whole
//! connection (seeds 002 and 004).
//!
//! This file decides what bLink's calls are in it (DIALECTS 5). It must not know sockets.

mod revoke;
#[cfg(test)]
mod tests;

use http::StatusCode;
use http::header::AUTHORIZATION;

use super::reply::complaint::{Body, Complaint};
use super::reply::{self, object};
use super::request::{basic, fields, needed, path, post_form, post_json, registration, secret_of};
use super::{Asked, ProviderAnswer, Turn};
use crate::fault::{Fault, Name};
use crate::oauth::{Call, ErrorCode};
use crate::routes::table::dialect::Flinks;

pub(super) fn open(asked: &Asked<'_>, settings: &Flinks) -> Result<Turn, Fault> {
    match asked.call {
        Call::Token if is_refresh(asked) => {
            let presented = needed(asked, "refresh_token")?;
            say_token(asked, settings, path(asked)?, &[("refresh_token", presented)])
        }
        Call::Token => {
            // Seed 004: "Must be an exact match"; bLink has it "if applicable" only.
            let redirect_uri = needed(asked, "redirect_uri")?;
            let code = needed(asked, "code")?;
            let grant = [("code", code), ("redirect_uri", redirect_uri)];
            say_token(asked, settings, path(asked)?, &grant)
        }
        Call::Revoke => revoke::open(asked, settings),
        Call::Username => Err(Fault::UsernameNotSpoken),
    }
}

pub(super) fn hear(
    asked: &Asked<'_>,
    settings: &Flinks,
    step: u8,
    answer: &ProviderAnswer,
) -> Result<Turn, Fault> {
    match asked.call {
        Call::Token if answer.status.is_success() => {
            // Seed 004: the refresh token "does not change when exchanged", and is not repeated.
            let presented = asked.form.value("refresh_token").filter(|_| is_refresh(asked));
            let hidden = secrets(asked, settings);
            reply::tokens(asked, &object(answer)?, presented, &[], &hidden)
        }
        Call::Token => hear_refusal(asked, settings, answer),
        Call::Revoke => revoke::hear(asked, settings, step, answer),
        Call::Username => Err(Fault::UsernameNotSpoken),
    }
}

fn is_refresh(asked: &Asked<'_>) -> bool {
    asked.form.value("grant_type") == Some("refresh_token")
}

/// Asks for tokens, the hub's credentials put in where the table wants them.
fn say_token(
    asked: &Asked<'_>,
    settings: &Flinks,
    path: &Name,
    grant: &[(&'static str, &str)],
) -> Result<Turn, Fault> {
    let registration = registration(asked, &settings.registrations)?;
    let mut headers = fields(asked, settings.correlation_header.as_ref());
    let grant_type = match grant {
        [("refresh_token", _)] => "refresh_token",
        _ => "authorization_code",
    };
    let mut pairs = vec![("grant_type", grant_type)];
    if settings.uses_basic {
        headers.insert(AUTHORIZATION, basic(registration)?);
    } else {
        pairs.push(("client_id", &registration.client_id));
        pairs.push(("client_secret", secret_of(registration)?));
    }
    pairs.extend(grant);
    if settings.sends_form {
        Ok(post_form(path, headers, pairs))
    } else {
        Ok(post_json(path, headers, pairs))
    }
}

fn hear_refusal(
    asked: &Asked<'_>,
    settings: &Flinks,
    answer: &ProviderAnswer,
) -> Result<Turn, Fault> {
    let complaint = Complaint::read(answer);
    let hidden = secrets(asked, settings);
    if let Some(turn) = complaint.overridden(asked, &hidden) {
        return Ok(turn);
    }
    let unauthorized = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    match complaint.known {
        _ if complaint.is_about_the_hub() => Err(Fault::CredentialsRejected),
        // Flinks: "either of the tokens that are managed by Flinks have expired".
        _ if unauthorized && complaint.body == Body::Json && is_refresh(asked) => {
            let (status, error) = (StatusCode::BAD_REQUEST, ErrorCode::InvalidGrant);
            Ok(complaint.refuse(asked, &hidden, status, error))
        }
        Some(ErrorCode::InvalidGrant) => complaint.settle(asked, &hidden),
        _ if answer.status == StatusCode::UNAUTHORIZED => Err(Fault::CredentialsRejected),
        // Nothing that is documented for a code.
        _ if unauthorized && !is_refresh(asked) => Err(Fault::ResponseMalformed("403 to a code")),
        _ => complaint.settle(asked, &hidden),
    }
}

/// What of the hub's own a bank may have repeated.
fn secrets<'a>(asked: &Asked<'_>, settings: &'a Flinks) -> Vec<&'a str> {
    let registration = settings.registrations.of(asked.client_id);
    let secret = registration.and_then(|registration| registration.client_secret.as_ref());
    secret.map(crate::routes::Secret::expose).into_iter().collect()
}
