//! Ends a connection: by its access token at once, by its refresh token in two steps, for Flinks
//! revokes what the Bearer token of the call belongs to and nothing else.
//!
//! This file decides which way a token goes (DIALECTS 5.2). Either way the whole connection ends,
//! which RFC 7009 section 2.1 allows; so the client's second revocation finds nothing, and is good.
//! It is told so only once Flinks has refused the token as either kind: a hint may be wrong, and
//! then the search goes on (section 2.1), for a client that hears 200 takes the consent for ended.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};

use super::{say_token, secrets};
use crate::answer::{Answer, Source};
use crate::dialect::reply::complaint::{Body, Complaint};
use crate::dialect::reply::members::Members;
use crate::dialect::reply::{self, object};
use crate::dialect::request::{ask_as_bearer, fields, needed, path, registration};
use crate::dialect::{Asked, ProviderAnswer, Turn};
use crate::fault::Fault;
use crate::oauth::{Call, ErrorCode};
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
        refresh(asked, settings, token)
    } else {
        end_connection(asked, settings, token)
    }
}

/// What was asked, besides the first question, which follows from the token: see [`Turn::Ask`].
/// To end the connection of the access token that a refresh brought.
const END_FRESH: u8 = 1;
/// To end that of the client's token, which is no refresh token.
const END_LAST: u8 = 2;
/// To refresh the client's token, which is no access token.
const REFRESH_LAST: u8 = 3;
/// To refresh it, because the token that it brought a moment ago was refused.
const REFRESH_AGAIN: u8 = 4;

pub(super) fn hear(
    asked: &Asked<'_>,
    settings: &Flinks,
    step: u8,
    answer: &ProviderAnswer,
) -> Result<Turn, Fault> {
    let token = needed(asked, "token")?;
    let refreshing = match step {
        END_FRESH | END_LAST => false,
        REFRESH_LAST | REFRESH_AGAIN => true,
        _ => is_refresh_token(asked, token),
    };
    if answer.status.is_success() {
        return match (refreshing, step) {
            (false, _) => Ok(reply::revoked()),
            // Asked to end it, Flinks said that it is over; and it is not.
            (true, REFRESH_AGAIN) => Err(Fault::ResponseMalformed("revoked token refreshes")),
            (true, _) => {
                let fresh = object(answer)?.text("access_token");
                let fresh = fresh.ok_or(Fault::ResponseMalformed("no access_token"))?;
                end_connection(asked, settings, &fresh).map(|turn| turn.then(END_FRESH))
            }
        };
    }
    let complaint = Complaint::read(answer);
    let hidden = secrets(asked, settings);
    if let Some(turn) = complaint.overridden(asked, &hidden) {
        return Ok(turn);
    }
    if !is_over(answer, &complaint, refreshing)? {
        return complaint.settle(asked, &hidden);
    }
    match step {
        // RFC 7009 section 2.2: what is no good any more is revoked.
        END_LAST | REFRESH_LAST | REFRESH_AGAIN => Ok(reply::revoked()),
        // It may have ended meanwhile, by the revocation of its other token.
        END_FRESH => refresh(asked, settings, token).map(|turn| turn.then(REFRESH_AGAIN)),
        _ if refreshing => end_connection(asked, settings, token).map(|turn| turn.then(END_LAST)),
        _ => refresh(asked, settings, token).map(|turn| turn.then(REFRESH_LAST)),
    }
}

fn refresh(asked: &Asked<'_>, settings: &Flinks, token: &str) -> Result<Turn, Fault> {
    let path = asked.target.paths.of(Call::Token).ok_or(Fault::RevokeNotSpoken)?;
    say_token(asked, settings, path, &[("refresh_token", token)])
}

fn end_connection(asked: &Asked<'_>, settings: &Flinks, token: &str) -> Result<Turn, Fault> {
    let path = path(asked)?;
    let method = if settings.revokes_by_post { Method::POST } else { Method::DELETE };
    let headers = fields(asked, settings.correlation_header.as_ref());
    ask_as_bearer(method, path, headers, token)
}

/// Whether a refusal says that the token is none, or none any more: a code for that, a 401, and of
/// a 403 one that says so, or any to a refresh (seed 004, and Flinks' token page).
///
/// # Errors
/// [`Fault::CredentialsRejected`] for a 401 that is about the hub. The call that ends a connection
/// has none of the hub's credentials unless Basic ones are asked for.
fn is_over(
    answer: &ProviderAnswer,
    complaint: &Complaint,
    refreshing: bool,
) -> Result<bool, Fault> {
    let expired = || {
        let text = answer.body.get(..SEARCHED_BYTES).unwrap_or(&answer.body);
        memchr::memmem::find(&text.to_ascii_lowercase(), b"expired").is_some()
    };
    let names_hub = complaint.known == Some(ErrorCode::InvalidClient) || complaint.wants_basic();
    if complaint.is_about_the_hub() && (refreshing || names_hub) {
        return Err(Fault::CredentialsRejected);
    }
    let said = matches!(complaint.known, Some(ErrorCode::InvalidGrant | ErrorCode::InvalidToken));
    Ok(match answer.status {
        status if said => status.is_client_error(),
        StatusCode::UNAUTHORIZED => true,
        StatusCode::FORBIDDEN if refreshing => complaint.body == Body::Json,
        StatusCode::FORBIDDEN => expired(),
        _ => false,
    })
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
    Members::read(&claims(token)?)?.text("client_id").map(Cow::into_owned)
}

/// The claims of a JWT (RFC 7519 section 3): a JSON object, not yet read.
fn claims(token: &str) -> Option<Vec<u8>> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    Members::read(&claims).is_some().then_some(claims)
}

/// So much of a refusal is searched for a word.
const SEARCHED_BYTES: usize = 8 * 1024;
