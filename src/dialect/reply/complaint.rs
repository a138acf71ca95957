//! What a bank's error means: whose fault it is, and what the client is told of it.
//!
//! This file decides that by the bank's override table first, then by the code, then by the status
//! (DIALECTS 2.1). A page for people is searched for a code and never passed on. It must not know
//! any dialect: one that knows better looks at the complaint first.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};

use super::done;
use super::members::Members;
use super::redact::redact;
use crate::answer::{Answer, asked_wait};
use crate::dialect::{Asked, ProviderAnswer, Turn};
use crate::fault::Fault;
use crate::oauth::ErrorCode;

/// The closed set of RFC 6749 section 5.2: what is looked for in a body of another form.
const CLOSED_SET: [ErrorCode; 6] = [
    ErrorCode::InvalidRequest,
    ErrorCode::InvalidClient,
    ErrorCode::InvalidGrant,
    ErrorCode::UnauthorizedClient,
    ErrorCode::UnsupportedGrantType,
    ErrorCode::InvalidScope,
];
/// So much of a body is searched.
const SEARCHED_BYTES: usize = 8 * 1024;
/// Longest wait that is passed on.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(86_400);

/// A bank's error, read as far as it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dialect) struct Complaint {
    /// The status.
    pub(in crate::dialect) status: StatusCode,
    /// The bank's own code, for the override table.
    pub(in crate::dialect) code: Option<String>,
    /// The code, where it is one of OAuth's.
    pub(in crate::dialect) known: Option<ErrorCode>,
    /// The bank's words, not yet redacted.
    pub(in crate::dialect) description: String,
    /// Where the bank says more.
    pub(in crate::dialect) uri: Option<String>,
    /// When the bank wants to be asked again.
    pub(in crate::dialect) retry_after: Option<Duration>,
    /// What the body was.
    pub(in crate::dialect) body: Body,
    /// Whether one of its challenges is for Basic credentials.
    wants_basic: bool,
}

/// What an error's body was: who said it, the bank's program or something on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dialect) enum Body {
    /// Nothing.
    Empty,
    /// A JSON object.
    Json,
    /// Anything else, such as a page for people.
    Page,
}

impl Complaint {
    /// Reads RFC 6749 section 5.2, and of any other body what can be found in it.
    pub(in crate::dialect) fn read(answer: &ProviderAnswer) -> Self {
        let json = Members::read(&answer.body);
        let member = |name| json.as_ref().and_then(|json| json.text(name));
        let code = member("error");
        let mut known = code.as_deref().and_then(ErrorCode::parse);
        if known.is_none() && answer.status.is_client_error() {
            known = search(&answer.body);
        }
        let found = || known.map(|known| known.as_str().to_owned());
        Self {
            status: answer.status,
            code: code.map(Cow::into_owned).or_else(found),
            known,
            description: member("error_description").map(Cow::into_owned).unwrap_or_default(),
            uri: member("error_uri").map(Cow::into_owned),
            retry_after: retry_after(answer),
            body: match &json {
                Some(_) => Body::Json,
                None if answer.body.is_empty() => Body::Empty,
                None => Body::Page,
            },
            wants_basic: wants_basic(answer),
        }
    }

    /// What becomes of it by the override table, else by its code and status. `hidden` is what the
    /// hub put into the request and the bank may have put into its words.
    ///
    /// # Errors
    /// The fault, where the bank's answer is none for a client.
    pub(in crate::dialect) fn settle(
        &self,
        asked: &Asked<'_>,
        hidden: &[&str],
    ) -> Result<Turn, Fault> {
        if let Some(turn) = self.overridden(asked, hidden) {
            return Ok(turn);
        }
        let (status, error) = self.verdict()?;
        Ok(self.refuse(asked, hidden, status, error))
    }

    /// Whether a 401 is about the credentials of the hub and not about a token or code of the
    /// client: it asks for Basic credentials, or no program of the bank's said why.
    pub(in crate::dialect) fn is_about_the_hub(&self) -> bool {
        self.known == Some(ErrorCode::InvalidClient)
            || (self.status == StatusCode::UNAUTHORIZED
                && (self.wants_basic || self.body != Body::Json))
    }

    /// Whether it asks for Basic credentials.
    pub(in crate::dialect) const fn wants_basic(&self) -> bool {
        self.wants_basic
    }

    /// What the bank's entry in the table makes of it. A dialect that decides by itself asks here
    /// first.
    pub(in crate::dialect) fn overridden(
        &self,
        asked: &Asked<'_>,
        hidden: &[&str],
    ) -> Option<Turn> {
        let row = asked.target.translation.overrides.iter().find(|row| {
            let fits = |code: &str| self.code.as_deref() == Some(code);
            row.status == self.status && row.code.as_deref().is_none_or(fits)
        })?;
        Some(self.refuse(asked, hidden, row.becomes, row.error))
    }

    /// Tells the client: the bank's words, redacted, or fixed ones where it had none.
    pub(in crate::dialect) fn refuse(
        &self,
        asked: &Asked<'_>,
        hidden: &[&str],
        status: StatusCode,
        error: ErrorCode,
    ) -> Turn {
        let own = redact(&self.description, asked, hidden);
        let description = own.as_deref().unwrap_or_else(|| sentence(error));
        let uri = self.uri.as_deref().filter(|uri| is_link(uri, asked, hidden));
        let mut answer = Answer::of_refusal(status, error, description, uri);
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let wait = self.retry_after.unwrap_or(Duration::from_secs(1));
            answer.headers.insert(RETRY_AFTER, crate::answer::whole_seconds(wait).into());
        }
        done(answer)
    }

    /// DIALECTS 2.1.
    fn verdict(&self) -> Result<(StatusCode, ErrorCode), Fault> {
        match self.status.as_u16() {
            429 | 503 => return Err(Fault::ProviderBusy(self.retry_after)),
            300..=399 => return Err(Fault::ResponseMalformed("redirect")),
            400..=499 => {}
            500..=599 => return Err(Fault::ProviderFailed),
            _ => return Err(Fault::ResponseMalformed("status")),
        }
        match self.known {
            // The hub's own credentials: the client can do nothing about them.
            Some(ErrorCode::InvalidClient) => Err(Fault::CredentialsRejected),
            Some(ErrorCode::ServerError) => Err(Fault::ProviderFailed),
            Some(ErrorCode::TemporarilyUnavailable) => Err(Fault::ProviderBusy(self.retry_after)),
            Some(error @ (ErrorCode::AccessDenied | ErrorCode::UnauthorizedClient)) => {
                Ok((StatusCode::FORBIDDEN, error))
            }
            Some(
                error @ (ErrorCode::InvalidGrant
                | ErrorCode::InvalidRequest
                | ErrorCode::InvalidScope
                | ErrorCode::UnsupportedGrantType
                | ErrorCode::UnsupportedTokenType
                | ErrorCode::UseDpopNonce
                | ErrorCode::InvalidDpopProof
                | ErrorCode::InvalidTarget
                | ErrorCode::InvalidAuthorizationDetails
                | ErrorCode::ConsentRequired
                | ErrorCode::InteractionRequired
                | ErrorCode::InsufficientUserAuthentication),
            ) => Ok((StatusCode::BAD_REQUEST, error)),
            // The second belongs to authorization endpoints: no answer here should have it.
            Some(ErrorCode::InvalidToken | ErrorCode::UnsupportedResponseType) | None => {
                self.verdict_by_status()
            }
        }
    }

    fn verdict_by_status(&self) -> Result<(StatusCode, ErrorCode), Fault> {
        match self.status {
            StatusCode::UNAUTHORIZED => Err(Fault::CredentialsRejected),
            StatusCode::FORBIDDEN if self.body != Body::Page => {
                Ok((StatusCode::FORBIDDEN, ErrorCode::AccessDenied))
            }
            StatusCode::BAD_REQUEST if self.body == Body::Json => {
                Ok((StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest))
            }
            _ => Err(Fault::ResponseMalformed("error answer")),
        }
    }
}

/// The first code of the closed set that stands in a body as a word of its own.
fn search(body: &[u8]) -> Option<ErrorCode> {
    let body = body.get(..SEARCHED_BYTES).unwrap_or(body);
    body.split(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
        .find_map(|word| CLOSED_SET.into_iter().find(|code| code.as_str().as_bytes() == word))
}

/// `Retry-After`, a date only beside a `Date`: there is no clock here.
fn retry_after(answer: &ProviderAnswer) -> Option<Duration> {
    asked_wait(&answer.headers, None).map(|wait| wait.min(RETRY_AFTER_MAX))
}

/// Whether one of the challenges is for Basic credentials (RFC 9110 section 11.6.1: several may
/// stand on a line, and what follows on a comma may be a challenge or a parameter of one).
fn wants_basic(answer: &ProviderAnswer) -> bool {
    let is_basic = |part: &[u8]| {
        let mut words = part.trim_ascii_start().split(|byte| *byte == b' ');
        words.next().is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic"))
    };
    let values = answer.headers.get_all(&WWW_AUTHENTICATE);
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).any(is_basic)
}

/// What the client is told where the bank says nothing that can be passed on.
const fn sentence(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::AccessDenied | ErrorCode::UnauthorizedClient => "target denied access",
        ErrorCode::ConsentRequired => "target asks for a new consent",
        ErrorCode::InteractionRequired | ErrorCode::InsufficientUserAuthentication => {
            "target asks for the user"
        }
        ErrorCode::InvalidDpopProof | ErrorCode::UseDpopNonce => {
            "target asks for a DPoP proof, which the hub does not carry"
        }
        ErrorCode::InvalidGrant => "target refused the grant",
        ErrorCode::InvalidScope => "target refused the scope",
        ErrorCode::InvalidToken => "target refused the token",
        ErrorCode::ServerError | ErrorCode::TemporarilyUnavailable => "target failed",
        ErrorCode::InvalidClient
        | ErrorCode::InvalidAuthorizationDetails
        | ErrorCode::InvalidRequest
        | ErrorCode::InvalidTarget
        | ErrorCode::UnsupportedGrantType
        | ErrorCode::UnsupportedResponseType
        | ErrorCode::UnsupportedTokenType => "target refused the request",
    }
}

/// Whether a URL may be passed on: whole, for a browser, and with nothing secret in it.
fn is_link(uri: &str, asked: &Asked<'_>, hidden: &[&str]) -> bool {
    let web = uri.starts_with("https://") || uri.starts_with("http://");
    let plain = uri.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E));
    let clean = !uri.contains(['@', '?', '#']);
    web && plain && clean && redact(uri, asked, hidden).as_deref() == Some(uri)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complaint(status: u16, body: &[u8]) -> Complaint {
        Complaint::read(&ProviderAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: crate::framing::fields::Fields::new(),
            body: bytes::Bytes::copy_from_slice(body),
        })
    }

    #[test]
    fn a_code_is_found_as_a_word_of_its_own_in_an_error_of_the_callers() {
        for (status, body, known) in [
            (400, r#"{"errors":["invalid_grant - used"]}"#, Some(ErrorCode::InvalidGrant)),
            (400, r#"{"error":{"code":"invalid_scope"}}"#, Some(ErrorCode::InvalidScope)),
            (401, "<p>invalid_client</p>", Some(ErrorCode::InvalidClient)),
            (400, "not_invalid_grant", None),
            (400, "invalid_grants", None),
            // A bank that failed inside may say anything: a grant is not given up for it.
            (502, "<p>invalid_grant</p>", None),
        ] {
            assert_eq!(complaint(status, body.as_bytes()).known, known, "{status} {body}");
        }
    }

    #[test]
    fn the_code_of_the_bank_is_kept_for_the_table() {
        let complaint = complaint(400, br#"{"error":"Bad Request","x":"invalid_grant"}"#);
        assert_eq!(complaint.code.as_deref(), Some("Bad Request"));
        assert_eq!(complaint.known, Some(ErrorCode::InvalidGrant));
    }

    proptest! {
        #[test]
        fn any_error_is_read_without_a_panic(
            status in 100_u16..600,
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = complaint(status, &body).verdict();
        }
    }
}
