//! Ends a connection: by its access token at once, by its refresh token in two steps, for Flinks
//! revokes what the Bearer token of the call belongs to and nothing else.
//!
//! This file decides which way a token goes (DIALECTS 5.2). Either way the whole connection ends,
//! which RFC 7009 section 2.1 allows; so the client's second revocation finds nothing, and is good.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use serde_json::Value;

use super::{say_token, secrets};
use crate::answer::{Answer, Source};
use crate::dialect::reply::complaint::Complaint;
use crate::dialect::reply::{self, object};
use crate::dialect::request::{ask_as_bearer, fields, needed, registration};
use crate::dialect::{Asked, ProviderAnswer, Turn};
use crate::fault::Fault;
use crate::oauth::ErrorCode;
use crate::routes::table::dialect::Flinks;

pub(super) fn open(asked: &Asked<'_>, settings: &Flinks) -> Result<Turn, Fault> {
    let token = needed(asked, "token")?;
    let ours = registration(asked, &settings.registrations)?;
    // RFC 7009 section 2.1: another client's token is refused. Flinks itself asks for no more than
    // the token, so the hub looks at whom it was issued to.
    if owner(token).is_some_and(|owner| owner != *ours.client_id) {
        let (status, error) = (StatusCode::BAD_REQUEST, ErrorCode::InvalidGrant);
        let answer = Answer::of_refusal(status, error, "token was issued to another client", None);
        return Ok(reply::done(Answer { source: Source::Platform, ..answer }));
    }
    if is_refresh_token(asked, token) {
        say_token(asked, settings, &[("refresh_token", token)])
    } else {
        end_connection(asked, settings, token)
    }
}

pub(super) fn hear(
    asked: &Asked<'_>,
    settings: &Flinks,
    turn: u8,
    answer: &ProviderAnswer,
) -> Result<Turn, Fault> {
    let token = needed(asked, "token")?;
    let refreshing = turn == 0 && is_refresh_token(asked, token);
    if answer.status.is_success() && !refreshing {
        return Ok(reply::revoked());
    }
    if answer.status.is_success() {
        let fresh = object(answer)?;
        let fresh = reply::text(&fresh, "access_token");
        let fresh = fresh.ok_or(Fault::ResponseMalformed("no access_token"))?;
        return end_connection(asked, settings, fresh);
    }
    let complaint = Complaint::read(answer);
    let hidden = secrets(asked, settings);
    if let Some(turn) = complaint.overridden(asked, &hidden) {
        return Ok(turn);
    }
    match complaint.known {
        Some(ErrorCode::InvalidClient) => Err(Fault::CredentialsRejected),
        // RFC 7009 section 2.2: what is no good any more is revoked.
        Some(ErrorCode::InvalidGrant | ErrorCode::InvalidToken)
            if answer.status.is_client_error() =>
        {
            Ok(reply::revoked())
        }
        _ if is_over(answer, refreshing) => Ok(reply::revoked()),
        _ => complaint.settle(asked, &hidden),
    }
}

fn end_connection(asked: &Asked<'_>, settings: &Flinks, token: &str) -> Result<Turn, Fault> {
    let path = asked.target.paths.revoke.as_ref().ok_or(Fault::RevokeNotSpoken)?;
    let method = if settings.revokes_by_post { Method::POST } else { Method::DELETE };
    let headers = fields(asked, settings.correlation_header.as_ref());
    ask_as_bearer(method, path, headers, token)
}

/// Whether a refusal says that the token has ended already: a 401, and of a 403 one that says so,
/// or any to a refresh (seed 004, and Flinks' token page).
fn is_over(answer: &ProviderAnswer, refreshing: bool) -> bool {
    let expired = || {
        let text = answer.body.to_ascii_lowercase();
        memchr::memmem::find(&text, b"expired").is_some()
    };
    match answer.status {
        StatusCode::UNAUTHORIZED => true,
        StatusCode::FORBIDDEN => refreshing || expired(),
        _ => false,
    }
}

/// What the client says it is; where it does not say, an access token is a JWT (seed 004 names its
/// claims) and a refresh token is not.
fn is_refresh_token(asked: &Asked<'_>, token: &str) -> bool {
    match asked.form.value("token_type_hint") {
        Some("access_token") => false,
        Some("refresh_token") => true,
        _ => claims(token).is_none(),
    }
}

/// The client that a token names as its own. Its signature is not looked at: a lie here hides a
/// token only from whoever tells it.
fn owner(token: &str) -> Option<String> {
    claims(token)?.get("client_id")?.as_str().map(ToOwned::to_owned)
}

/// The claims of a JWT (RFC 7519 section 3).
fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}
