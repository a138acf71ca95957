//! OAuth's own words: error codes, the calls of the consent flow, and the form they travel in.
//!
//! This module decides what the words are and how a form is read. It must not know which
//! parameters a contract asks for.

pub mod form;

/// An OAuth error code: what the `error` member of an error answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// RFC 6749 section 4.1.2.1: the resource owner or server denied the request.
    AccessDenied,
    /// OpenID Connect Core section 3.1.2.6: the end user has to consent.
    ConsentRequired,
    /// RFC 9470 section 3: the user was not authenticated as the resource asks.
    InsufficientUserAuthentication,
    /// OpenID Connect Core section 3.1.2.6: the end user has to be asked.
    InteractionRequired,
    /// RFC 9396 section 5: the authorization details are unknown, wrong or not allowed.
    InvalidAuthorizationDetails,
    /// RFC 6749 section 5.2: "Client authentication failed".
    InvalidClient,
    /// RFC 9449 section 5: the DPoP proof is missing or invalid.
    InvalidDpopProof,
    /// RFC 6749 section 5.2: the grant is invalid, expired, revoked, or another client's.
    InvalidGrant,
    /// RFC 6749 section 5.2: "missing a required parameter … repeats a parameter … malformed".
    InvalidRequest,
    /// RFC 6749 section 5.2: the scope is invalid, unknown, or exceeds what was granted.
    InvalidScope,
    /// RFC 8707 section 2: the requested resource is invalid, unknown or malformed.
    InvalidTarget,
    /// RFC 6750 section 3.1: the access token is expired, revoked, malformed, or invalid.
    InvalidToken,
    /// RFC 6749 section 4.1.2.1, used with a 5xx status on the token endpoint by custom.
    ServerError,
    /// RFC 6749 section 4.1.2.1, used with 429 and 503 on the token endpoint by custom.
    TemporarilyUnavailable,
    /// RFC 6749 section 5.2: "The authenticated client is not authorized".
    UnauthorizedClient,
    /// RFC 6749 section 5.2: "The authorization grant type is not supported".
    UnsupportedGrantType,
    /// RFC 6749 section 4.1.2.1: no code is obtained by this method.
    UnsupportedResponseType,
    /// RFC 7009 section 2.2.1: the server can't revoke the presented token type.
    UnsupportedTokenType,
    /// RFC 9449 section 8: the DPoP proof needs the server's nonce.
    UseDpopNonce,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 18] = [
        Self::AccessDenied,
        Self::ConsentRequired,
        Self::InsufficientUserAuthentication,
        Self::InteractionRequired,
        Self::InvalidAuthorizationDetails,
        Self::InvalidClient,
        Self::InvalidDpopProof,
        Self::InvalidGrant,
        Self::InvalidRequest,
        Self::InvalidScope,
        Self::InvalidTarget,
        Self::InvalidToken,
        Self::ServerError,
        Self::TemporarilyUnavailable,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::UnsupportedTokenType,
        Self::UseDpopNonce,
    ];

    /// The code that stands as `text` in an `error` member.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// The code as it stands in the `error` member.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::ConsentRequired => "consent_required",
            Self::InsufficientUserAuthentication => "insufficient_user_authentication",
            Self::InteractionRequired => "interaction_required",
            Self::InvalidAuthorizationDetails => "invalid_authorization_details",
            Self::InvalidClient => "invalid_client",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidToken => "invalid_token",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::UseDpopNonce => "use_dpop_nonce",
        }
    }
}

/// The calls of the consent flow that corgate knows the meaning of (seed: the three operations).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// "Get the OAuth access and refresh token".
    Token,
    /// "Revoke an OAuth token (access or refresh)".
    Revoke,
    /// "Validate the username of the resource owner".
    Username,
}

impl Call {
    /// Every call, in the order of the seed.
    pub const ALL: [Self; 3] = [Self::Token, Self::Revoke, Self::Username];

    /// The name that contracts, `routes.toml`, logs and metrics use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Revoke => "revoke",
            Self::Username => "username",
        }
    }
}

/// Whether `text` may stand in `error_description` (RFC 6749 section 5.2:
/// `%x20-21 / %x23-5B / %x5D-7E`).
pub fn is_description(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}
