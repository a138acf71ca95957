//! Oxlin's refusals, and what each becomes (DIALECTS 6.2).
//!
//! Its authorization server is taken to speak RFC 6749 section 5.2. Its API answers 401 both for a
//! token that has ended and, "indicating that the user has an action to perform" (seed), for a
//! user who has not accepted the terms. This file decides how the two are told apart. It must not
//! know how a request was made.

use http::StatusCode;
use serde_json::Value;

use super::super::{Asked, ProviderAnswer, foreign};
use crate::answer::Answer;
use crate::fault::Fault;
use crate::oauth::ErrorCode;
use crate::routes::table::dialect::oxlin::{Oxlin, Profile};

const TERMS: &str = "user must accept the provider's terms";

/// The authorization server's answer that is no success.
pub(super) fn of_token(
    asked: &Asked<'_>,
    oxlin: &Oxlin,
    answer: &ProviderAnswer,
) -> Result<Answer, Fault> {
    let refusal = Refusal::read(answer);
    if let Some(found) = foreign::find_override(asked, answer.status, &[refusal.code()]) {
        return Ok(refusal.say(asked, Some(oxlin), found.becomes, found.error));
    }
    let (status, error) = match (answer.status.as_u16(), refusal.code()) {
        // The hub's own credentials: nothing that the client could mend.
        (400 | 401, "invalid_client") => return Err(Fault::CredentialsRejected),
        (400 | 401, "invalid_grant") => (400, ErrorCode::InvalidGrant),
        (400, "invalid_request") => (400, ErrorCode::InvalidRequest),
        (400, "invalid_scope") => (400, ErrorCode::InvalidScope),
        (400, "unsupported_grant_type") => (400, ErrorCode::UnsupportedGrantType),
        (400, "unauthorized_client") => (403, ErrorCode::UnauthorizedClient),
        (400 | 403, _) if refusal.code() == "access_denied" => (403, ErrorCode::AccessDenied),
        (403, _) => (403, ErrorCode::AccessDenied),
        _ => return Err(foreign::fault_of(answer)),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    Ok(refusal.say(asked, Some(oxlin), status, error))
}

/// The API's answer to the profile that is no success.
pub(super) fn of_profile(
    asked: &Asked<'_>,
    profile: &Profile,
    answer: &ProviderAnswer,
) -> Result<Answer, Fault> {
    let refusal = Refusal::read(answer);
    if let Some(found) = foreign::find_override(asked, answer.status, &[refusal.code()]) {
        return Ok(refusal.say(asked, None, found.becomes, found.error));
    }
    match answer.status.as_u16() {
        401 if awaits_terms(asked, profile, answer) => {
            let (status, error) = (StatusCode::FORBIDDEN, ErrorCode::AccessDenied);
            Ok(Answer::of_refusal(status, error, TERMS, profile.terms_uri.as_deref()))
        }
        401 => {
            let (status, error) = (StatusCode::UNAUTHORIZED, ErrorCode::InvalidToken);
            Ok(refusal.say(asked, None, status, error))
        }
        403 => Ok(refusal.say(asked, None, StatusCode::FORBIDDEN, ErrorCode::AccessDenied)),
        404 => Err(Fault::UsernameNotSpoken),
        _ => Err(foreign::fault_of(answer)),
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

/// `{error, error_description}`, as far as the body has it.
struct Refusal(Value);

impl Refusal {
    fn read(answer: &ProviderAnswer) -> Self {
        Self(serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    fn code(&self) -> &str {
        self.0.get("error").and_then(Value::as_str).unwrap_or_default()
    }

    fn say(
        &self,
        asked: &Asked<'_>,
        oxlin: Option<&Oxlin>,
        status: StatusCode,
        error: ErrorCode,
    ) -> Answer {
        let text = self.0.get("error_description").and_then(Value::as_str).unwrap_or_default();
        let mut text = foreign::redacted(asked, text);
        if let Some(oxlin) = oxlin {
            text = text.replace(oxlin.client_secret.expose(), "[redacted]");
        }
        let uri = self.0.get("error_uri").and_then(Value::as_str);
        Answer::of_refusal(status, error, &text, uri.filter(|uri| foreign::is_web_uri(uri)))
    }
}
