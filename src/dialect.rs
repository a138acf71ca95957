//! Dialects: how a call is said to a bank, and how the bank's answer is heard.
//!
//! Each dialect is one file with `request` and `response` side by side, pure, and one arm of the
//! closed [`Dialect`]. This file decides nothing but which. It must not know sockets.

mod blink;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::answer::Answer;
use crate::contract::{AuthorizationPolicy, HeadRules};
use crate::fault::{Fault, Name};
use crate::ids::CorrelationId;
use crate::oauth::Call;
use crate::oauth::form::Form;
use crate::routes::{Dialect, Target};

/// A call that kept the contract, with all that a dialect may say to the bank.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Which call.
    pub call: Call,
    /// The contract's header rules: which fields it declares.
    pub head: &'a HeadRules,
    /// What the api does with an `Authorization` that the contract does not ask for.
    pub authorization: AuthorizationPolicy,
    /// Which bank.
    pub target: &'a Target,
    /// The resolved client id, for `X-CorAPI-Client-ID`. Never the client's own header.
    pub client: &'a HeaderValue,
    /// The resolved target id, for `X-CorAPI-Target-ID`.
    pub target_id: &'a HeaderValue,
    /// The correlation id.
    pub correlation: &'a CorrelationId,
    /// The trace that starts here.
    pub traceparent: HeaderValue,
    /// The client's fields.
    pub headers: &'a HeaderMap,
    /// The client's body, byte for byte.
    pub body: &'a Bytes,
    /// The same, parsed.
    pub form: &'a Form<'a>,
}

/// What goes to the bank. Always a POST; the connection adds `Host` and `Content-Length`.
#[derive(Debug)]
pub struct ProviderRequest {
    /// The path, absolute.
    pub path: Name,
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What came from the bank, whole.
#[derive(Debug)]
pub struct ProviderAnswer {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What a dialect found odd in an answer that it let pass; for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// A 200 token answer that is not JSON or lacks `access_token` or `token_type`.
    TokenAnswer,
    /// The bank answered another correlation id than it was given.
    Correlation,
}

impl Oddity {
    /// The name in the log and the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenAnswer => "token_answer",
            Self::Correlation => "correlation_id",
        }
    }
}

/// Says the call in the target's dialect.
///
/// # Errors
/// [`Fault::PathUnconfigured`] when the bank has no path for it.
pub fn request(asked: &Asked<'_>) -> Result<ProviderRequest, Fault> {
    match asked.target.dialect {
        Dialect::Blink => blink::request(asked),
    }
}

/// Hears the answer in the target's dialect.
///
/// # Errors
/// A provider fault when the answer is none that may be passed on.
pub fn response(
    asked: &Asked<'_>,
    answer: ProviderAnswer,
) -> Result<(Answer, Option<Oddity>), Fault> {
    match asked.target.dialect {
        Dialect::Blink => blink::response(asked, answer),
    }
}
