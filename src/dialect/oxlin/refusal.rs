//! Oxlin's refusals, and what each becomes (DIALECTS 6.2).
//!
//! Its authorization server is taken to speak RFC 6749 section 5.2. Its API answers 401 both for a
//! token that has ended and, "indicating that the user has an action to perform" (seed), for a
//! user who has not accepted the terms. This file decides how the two are told apart. It must not
//! know how a request was made.

use http::StatusCode;

use crate::answer::Answer;
use crate::dialect::reply::complaint::Complaint;
use crate::dialect::reply::done;
use crate::dialect::request::presented_bearer;
use crate::dialect::{Asked, ProviderAnswer, Turn};
use crate::fault::Fault;
use crate::oauth::ErrorCode;
use crate::routes::table::dialect::{Oxlin, Profile};

const TERMS: &str = "user must accept the provider's terms";

/// The authorization server's answer that is no success.
pub(super) fn of_token(
    asked: &Asked<'_>,
    oxlin: &Oxlin,
    answer: &ProviderAnswer,
) -> Result<Turn, Fault> {
    let complaint = Complaint::read(answer);
    let hidden = [oxlin.client_secret.expose()];
    match answer.status.as_u16() {
        // The hub calls the wrong place, or calls it wrongly, whatever the body says.
        404 | 405 | 415 => {
            let malformed = Fault::ResponseMalformed("status");
            complaint.overridden(asked, &hidden).ok_or(malformed)
        }
        _ => complaint.settle(asked, &hidden),
    }
}

/// The API's answer to the profile that is no success.
pub(super) fn of_profile(
    asked: &Asked<'_>,
    profile: &Profile,
    answer: &ProviderAnswer,
) -> Result<Turn, Fault> {
    let complaint = Complaint::read(answer);
    let hidden: Vec<_> = presented_bearer(asked).into_iter().collect();
    if let Some(turn) = complaint.overridden(asked, &hidden) {
        return Ok(turn);
    }
    let refuse = |status, error| Ok(complaint.refuse(asked, &hidden, status, error));
    match answer.status.as_u16() {
        401 if awaits_terms(asked, profile, answer) => {
            let (status, error) = (StatusCode::FORBIDDEN, ErrorCode::AccessDenied);
            Ok(done(Answer::of_refusal(status, error, TERMS, profile.terms_uri.as_deref())))
        }
        // The one 401 that is the client's own: so is the token.
        401 => refuse(StatusCode::UNAUTHORIZED, ErrorCode::InvalidToken),
        403 => refuse(StatusCode::FORBIDDEN, ErrorCode::AccessDenied),
        404 => Err(Fault::UsernameNotSpoken),
        405 | 415 => Err(Fault::ResponseMalformed("status")),
        _ => complaint.settle(asked, &hidden),
    }
}

/// A 401 for a token that the hub saw issued, and that has not ended, is for something else; so is
/// one that says so in the configured words.
fn awaits_terms(asked: &Asked<'_>, profile: &Profile, answer: &ProviderAnswer) -> bool {
    let lives = asked.told.is_some_and(|told| !told.expired);
    let marked = profile
        .terms_marker
        .as_ref()
        .is_some_and(|marker| memchr::memmem::find(&answer.body, marker.as_bytes()).is_some());
    lives || marked
}
