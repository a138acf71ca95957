//! What a story is made of.
//!
//! This file decides what a step can say. It must not know any step.

use http::StatusCode;

/// Some steps under one heading.
pub(super) struct Chapter {
    pub(super) title: &'static str,
    pub(super) steps: &'static [Step],
}

/// One call, and what must come of it.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) title: &'static str,
    /// Whose certificate is shown.
    pub(super) certificate: Certificate,
    /// `X-CorAPI-Client-ID`.
    pub(super) client: &'static str,
    /// `X-CorAPI-Target-ID`.
    pub(super) target: &'static str,
    pub(super) path: &'static str,
    /// Whether `X-Correlation-ID` is sent.
    pub(super) correlated: bool,
    /// `Authorization: Bearer …`, with [`ACCESS`] for the token that came last.
    pub(super) bearer: Option<&'static str>,
    /// The form, with [`ACCESS`] and [`REFRESH`] for the tokens that came last.
    pub(super) form: &'static [(&'static str, &'static str)],
    /// How often the call is made. The last answer counts.
    pub(super) times: usize,
    pub(super) expect: Expect,
    /// Why it must be so.
    pub(super) because: &'static str,
}

/// Stands for the access token that came last.
pub(super) const ACCESS: &str = "{access_token}";
/// Stands for the refresh token that came last.
pub(super) const REFRESH: &str = "{refresh_token}";

/// A certificate that a caller can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certificate {
    /// Of a registered client, by its id.
    Of(&'static str),
    /// With a registered client's name, from an authority that the gateway does not trust.
    Stranger,
}

/// What must come of a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expect {
    /// An answer.
    Answer(Answer),
    /// No connection: TLS is refused.
    NoTls,
}

/// What an answer must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) source: Source,
    pub(super) body: Body,
    /// A header that must be there.
    pub(super) header: Option<&'static str>,
    /// How many of the step's calls reach a bank.
    pub(super) reached: usize,
}

/// Who made an answer: `X-CorAPI-Source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The gateway.
    Platform,
    /// The bank.
    Provider,
}

impl Source {
    /// The header's value.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "PLATFORM",
            Self::Provider => "PROVIDER",
        }
    }
}

/// What a body must hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    /// Nothing.
    Empty,
    /// An access token and a refresh token.
    Tokens,
    /// An access token alone.
    AccessToken,
    /// `valid_username`.
    ValidUsername(bool),
    /// An OAuth error by this code.
    Error(&'static str),
}

/// A call that a bank answers with 200.
pub(super) const fn provided(body: Body) -> Expect {
    let (status, source) = (StatusCode::OK, Source::Provider);
    Expect::Answer(Answer { status, source, body, header: None, reached: 1 })
}

/// A call that a bank answers with an error.
pub(super) const fn provided_error(status: StatusCode, error: &'static str) -> Expect {
    let (source, body) = (Source::Provider, Body::Error(error));
    Expect::Answer(Answer { status, source, body, header: None, reached: 1 })
}

/// A call that the gateway refuses: it reaches no bank.
pub(super) const fn refused(status: StatusCode, error: &'static str) -> Expect {
    let (source, body) = (Source::Platform, Body::Error(error));
    Expect::Answer(Answer { status, source, body, header: None, reached: 0 })
}

impl Expect {
    /// The answer must have this header.
    pub(super) const fn with(self, header: &'static str) -> Self {
        match self {
            Self::Answer(answer) => Self::Answer(Answer { header: Some(header), ..answer }),
            Self::NoTls => Self::NoTls,
        }
    }

    /// So many of the step's calls reach a bank.
    pub(super) const fn reaching(self, reached: usize) -> Self {
        match self {
            Self::Answer(answer) => Self::Answer(Answer { reached, ..answer }),
            Self::NoTls => Self::NoTls,
        }
    }
}
