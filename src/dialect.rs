//! Dialects: how a call is said to a bank, and how the bank's answers are heard.
//!
//! A call is a short conversation: the dialect asks, hears, and either asks once more or is done.
//! Each dialect is one file with `open` and `hear` side by side, pure, and one arm of the closed
//! [`Dialect`]. This file decides nothing but which. It must not know sockets, nor the clock.

mod blink;
#[cfg(test)]
mod bounds;
mod coding;
mod correlation;
mod flinks;
#[cfg(test)]
mod golden;
pub mod held;
mod konsentus;
pub mod native;
mod oauth2;
mod oxlin;
mod reply;
mod request;
pub mod told;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

pub use self::correlation::CorrelationFields;
pub use self::held::{Held, Recipe};
pub(crate) use self::reply::given;
use crate::answer::Answer;
use crate::contract::{AuthorizationPolicy, HeadRules};
use crate::fault::{Fault, Name};
use crate::framing::fields::Fields;
use crate::ids::{ClientId, CorrelationId};
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
    /// The resolved client.
    pub client_id: &'a ClientId,
    /// The same, for `X-CorAPI-Client-ID`. Never the client's own header.
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
    /// What the hub remembers of the token that the call is about; see [`told`].
    pub told: Option<told::Told>,
    /// When the call is made, for a dialect that signs; see [`Dialect::signs`].
    pub moment: Option<Moment>,
}

/// What makes a signed statement good once and for a short time (RFC 7523 section 3).
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Seconds since 1970.
    pub unix_seconds: u64,
    /// Random bits that no other moment has.
    pub nonce: [u8; 16],
}

/// Which of a bank's hosts a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Host {
    /// `upstream`.
    #[default]
    Main,
    /// `auth_upstream`.
    Auth,
}

/// What goes to the bank; the connection adds `Host` and `Content-Length`.
#[derive(Debug)]
pub struct ProviderRequest {
    /// Which of its hosts.
    pub host: Host,
    /// The method.
    pub method: Method,
    /// The path, absolute.
    pub path: Name,
    /// The fields.
    pub headers: Fields,
    /// Those of them that carry the call's correlation id.
    pub correlation: CorrelationFields,
    /// The body.
    pub body: Bytes,
}

/// What came from the bank, whole.
#[derive(Debug, Clone)]
pub struct ProviderAnswer {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: Fields,
    /// The body.
    pub body: Bytes,
}

/// What a dialect does next.
#[derive(Debug)]
pub enum Turn {
    /// Ask the bank, and be told this step with its answer: what it answers may mean something else
    /// by what was said before. The first is 0.
    Ask(u8, ProviderRequest),
    /// Give the client this answer.
    Done(Heard),
}

impl Turn {
    /// The same question in a later step.
    fn then(self, step: u8) -> Self {
        match self {
            Self::Ask(_, request) => Self::Ask(step, request),
            done @ Self::Done(_) => done,
        }
    }

    /// The same question, whose correlation id goes along in this field.
    fn correlated_by(mut self, name: Option<&HeaderName>) -> Self {
        if let Self::Ask(_, request) = &mut self {
            request.correlation = CorrelationFields::from([name, None]);
        }
        self
    }
}

/// The end of a conversation.
#[derive(Debug, Clone)]
pub struct Heard {
    /// What the client gets.
    pub answer: Answer,
    /// What was odd in the bank's answer, though it passed.
    pub oddity: Option<Oddity>,
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

/// The name that corgate goes by in `Via` (RFC 9110 section 7.6.3: a pseudonym), so that the walk
/// sees a request that has been here before.
const VIA_US: HeaderValue = HeaderValue::from_static("1.1 corgate");

/// A server's nonce for DPoP proofs (RFC 9449 section 8). The hub carries no proof to a bank, but a
/// bank's word about them is not lost on the way.
static DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// Longest nonce that is passed on.
const NONCE_BYTES_MAX: usize = 512;

/// Most requests of one conversation: a revocation under a wrong hint has so many.
pub const TURNS_MAX: u8 = 4;

/// The token of the hub's own that the call needs, and how to get it.
///
/// # Errors
/// A fault when the call can't be made at all, for example because the bank knows no such client.
pub fn recipe(asked: &Asked<'_>) -> Result<Option<Recipe>, Fault> {
    match &asked.target.dialect {
        Dialect::Blink | Dialect::OAuth2(_) | Dialect::Flinks(_) | Dialect::Oxlin(_) => Ok(None),
        Dialect::Konsentus(settings) => konsentus::recipe(asked, settings),
    }
}

/// Opens the conversation.
///
/// # Errors
/// [`Fault::PathUnconfigured`] when the bank has no path for the call; the dialect's own faults
/// for what can't be said in it.
pub fn open(asked: &Asked<'_>, held: Option<&Held>) -> Result<Turn, Fault> {
    match &asked.target.dialect {
        Dialect::Blink => blink::open(asked),
        Dialect::OAuth2(settings) => {
            let turn = oauth2::open(asked, settings)?;
            Ok(turn.correlated_by(settings.correlation_header.as_ref()))
        }
        Dialect::Flinks(settings) => {
            let turn = flinks::open(asked, settings)?;
            Ok(turn.correlated_by(settings.correlation_header.as_ref()))
        }
        Dialect::Konsentus(settings) => konsentus::open(asked, settings, held),
        Dialect::Oxlin(settings) => oxlin::open(asked, settings),
    }
}

/// Hears the answer to the request of a step.
///
/// # Errors
/// A provider fault when the answer is none that may be passed on.
pub fn hear(
    asked: &Asked<'_>,
    held: Option<&Held>,
    step: u8,
    answer: ProviderAnswer,
) -> Result<Turn, Fault> {
    let is_rare = |name: &HeaderName| *name == CONTENT_ENCODING || *name == DPOP_NONCE;
    if !answer.headers.iter().any(|(name, _)| is_rare(name)) {
        return hear_plain(asked, held, step, answer);
    }
    let answer = coding::decoded(answer, asked.target.response_bytes_max)?;
    let nonce = answer.headers.get(&DPOP_NONCE).filter(|nonce| is_nonce(nonce)).cloned();
    let mut turn = hear_plain(asked, held, step, answer)?;
    if let (Turn::Done(heard), Some(nonce)) = (&mut turn, nonce) {
        heard.answer.headers.insert(DPOP_NONCE.clone(), nonce);
    }
    Ok(turn)
}

/// Hears an answer that has no coding (any more), and of which every dialect makes its own.
fn hear_plain(
    asked: &Asked<'_>,
    held: Option<&Held>,
    step: u8,
    answer: ProviderAnswer,
) -> Result<Turn, Fault> {
    match &asked.target.dialect {
        Dialect::Blink => blink::hear(asked, answer),
        Dialect::OAuth2(settings) => {
            let turn = oauth2::hear(asked, settings, &answer)?;
            Ok(turn.correlated_by(settings.correlation_header.as_ref()))
        }
        Dialect::Flinks(settings) => {
            let turn = flinks::hear(asked, settings, step, &answer)?;
            Ok(turn.correlated_by(settings.correlation_header.as_ref()))
        }
        Dialect::Konsentus(_) => konsentus::hear(asked, held, &answer),
        Dialect::Oxlin(settings) => oxlin::hear(asked, settings, &answer),
    }
}

/// `nonce = 1*NQCHAR` (RFC 9449 section 8.1).
fn is_nonce(value: &HeaderValue) -> bool {
    let is_nqchar = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
    (1..=NONCE_BYTES_MAX).contains(&value.len()) && value.as_bytes().iter().all(is_nqchar)
}
