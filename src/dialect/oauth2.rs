//! OAuth 2.0 as it is written: RFC 6749 for tokens, RFC 7009 for revocation, RFC 7662 or OpenID
//! Connect's userinfo for a username.
//!
//! This file decides what bLink's calls are in it (DIALECTS 3). It must not know sockets.

mod assertion;
#[cfg(test)]
mod tests;

use http::header::AUTHORIZATION;
use http::{Method, StatusCode};

use super::reply::complaint::Complaint;
use super::reply::{self, object};
use super::request::{
    ask_as_bearer, basic, fields, path, post_form, presented_bearer, registration, secret_of,
};
use super::{Asked, ProviderAnswer, Turn};
use crate::fault::{Fault, Name};
use crate::oauth::{Call, ErrorCode};
use crate::routes::table::dialect::{Authentication, OAuth2, UsernameCheck};

/// What a client may not say to the bank: who the hub is there, the hub says itself.
const HUBS_OWN: [&str; 4] =
    ["client_id", "client_secret", "client_assertion", "client_assertion_type"];

pub(super) fn open(asked: &Asked<'_>, settings: &OAuth2) -> Result<Turn, Fault> {
    match asked.call {
        Call::Token => say(asked, settings, path(asked)?, grant(asked, settings)),
        Call::Revoke => {
            let path = path(asked)?;
            let pairs = ["token", "token_type_hint"];
            let pairs = pairs.into_iter().filter_map(|name| Some((name, asked.form.value(name)?)));
            say(asked, settings, path, pairs.collect())
        }
        Call::Username => match settings.username {
            UsernameCheck::None => Err(Fault::UsernameNotSpoken),
            UsernameCheck::Introspection { .. } => {
                let path = path(asked)?;
                let pairs =
                    vec![("token", presented_bearer(asked)?), ("token_type_hint", "access_token")];
                say(asked, settings, path, pairs)
            }
            UsernameCheck::Userinfo { .. } => {
                let path = path(asked)?;
                let headers = fields(asked, settings.correlation_header.as_ref());
                ask_as_bearer(Method::GET, path, headers, presented_bearer(asked)?)
            }
        },
    }
}

pub(super) fn hear(
    asked: &Asked<'_>,
    settings: &OAuth2,
    answer: &ProviderAnswer,
) -> Result<Turn, Fault> {
    let good = answer.status.is_success();
    match asked.call {
        Call::Token if good => {
            let presented = asked.form.value("grant_type") == Some("refresh_token");
            let presented = asked.form.value("refresh_token").filter(|_| presented);
            reply::tokens(asked, &object(answer)?, presented, &[], &secrets(asked, settings))
        }
        Call::Revoke if good => Ok(reply::revoked()),
        // There is no such endpoint: the client must not take the token for revoked.
        Call::Revoke if answer.status == StatusCode::NOT_FOUND => Err(Fault::RevokeNotSpoken),
        Call::Username => hear_username(asked, settings, answer),
        Call::Token | Call::Revoke => complain(asked, settings, answer),
    }
}

/// The parameters of a token call: the client's, but for those that are the hub's to say. What the
/// contract does not know is kept, `code_verifier` (RFC 7636) for one.
fn grant<'a>(asked: &Asked<'a>, settings: &'a OAuth2) -> Vec<(&'a str, &'a str)> {
    let pairs = asked.form.pairs().filter(|(_, value)| !value.is_empty());
    let pairs = pairs.filter(|(name, _)| !HUBS_OWN.contains(name));
    let renamed = settings.username_parameter.as_deref();
    pairs
        .filter_map(|(name, value)| match name {
            "username" => Some((renamed?, value)),
            // The client's own parameter of that name would stand beside it, twice.
            _ if renamed == Some(name) => None,
            _ => Some((name, value)),
        })
        .collect()
}

/// Asks as the hub, authenticated as the table wants it.
fn say<'a>(
    asked: &Asked<'a>,
    settings: &'a OAuth2,
    path: &Name,
    pairs: Vec<(&'a str, &'a str)>,
) -> Result<Turn, Fault> {
    let signed;
    let mut pairs: Vec<(&str, &str)> = pairs;
    let registration = registration(asked, &settings.registrations)?;
    let mut headers = fields(asked, settings.correlation_header.as_ref());
    match &settings.authentication {
        Authentication::SecretBasic => {
            headers.insert(AUTHORIZATION, basic(registration)?);
        }
        Authentication::SecretPost => {
            pairs.push(("client_id", &registration.client_id));
            pairs.push(("client_secret", secret_of(registration)?));
        }
        Authentication::Tls | Authentication::None => {
            pairs.push(("client_id", &registration.client_id));
        }
        // RFC 7521 section 4.2: the assertion names the client, `client_id` would only repeat it.
        Authentication::PrivateKeyJwt(key) => {
            signed = assertion::sign(asked, &registration.client_id, key)?;
            pairs.push(("client_assertion_type", assertion::TYPE));
            pairs.push(("client_assertion", &signed));
        }
    }
    Ok(post_form(path, headers, pairs))
}

fn hear_username(
    asked: &Asked<'_>,
    settings: &OAuth2,
    answer: &ProviderAnswer,
) -> Result<Turn, Fault> {
    match &settings.username {
        UsernameCheck::None => Err(Fault::UsernameNotSpoken),
        UsernameCheck::Introspection { folds_case } => {
            if !answer.status.is_success() {
                return complain(asked, settings, answer);
            }
            let found = object(answer)?;
            let active = found.flag("active").ok_or(Fault::ResponseMalformed("no active"))?;
            // RFC 7662 section 4: a token of another client is none of this client's affair.
            let owner = found.text("client_id");
            let ours = registration(asked, &settings.registrations)?;
            if !active || owner.is_some_and(|owner| *owner != *ours.client_id) {
                return Ok(inactive(asked, answer));
            }
            let username = found.text("username");
            let username = username.ok_or(Fault::ResponseMalformed("no username"))?;
            Ok(reply::username(asked, &username, *folds_case))
        }
        UsernameCheck::Userinfo { claim, folds_case } => match answer.status {
            status if status.is_success() => {
                let found = object(answer)?;
                let username = found.text(claim);
                let username = username.ok_or(Fault::ResponseMalformed("no such claim"))?;
                Ok(reply::username(asked, &username, *folds_case))
            }
            // The one 401 that is the client's own: the token is, too.
            StatusCode::UNAUTHORIZED => Ok(inactive(asked, answer)),
            _ => complain(asked, settings, answer),
        },
    }
}

/// RFC 6750 section 3.1, for a token that is no good.
fn inactive(asked: &Asked<'_>, answer: &ProviderAnswer) -> Turn {
    let hidden = presented_bearer(asked).into_iter().collect::<Vec<_>>();
    let complaint = Complaint::read(answer);
    let (status, error) = (StatusCode::UNAUTHORIZED, ErrorCode::InvalidToken);
    complaint.refuse(asked, &hidden, status, error)
}

fn complain(asked: &Asked<'_>, settings: &OAuth2, answer: &ProviderAnswer) -> Result<Turn, Fault> {
    let mut hidden = secrets(asked, settings);
    hidden.extend(presented_bearer(asked));
    Complaint::read(answer).settle(asked, &hidden)
}

/// What of the hub's own a bank may have repeated.
fn secrets<'s>(asked: &Asked<'_>, settings: &'s OAuth2) -> Vec<&'s str> {
    let registration = settings.registrations.of(asked.client_id);
    let secret = registration.and_then(|registration| registration.client_secret.as_ref());
    secret.map(crate::routes::Secret::expose).into_iter().collect()
}
