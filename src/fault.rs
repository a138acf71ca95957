//! The one fault table: every reason corgate has to refuse, and what each becomes on the wire.
//!
//! Precise inside (the variant, for log and metric), few codes outside (status, `error`, a fixed
//! sentence). The matches have no `_` arm, so a new variant does not compile until it has a row.
//! This file decides words and statuses. It must not know when a fault is raised.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::oauth::ErrorCode;

/// A header's or parameter's name, from a contract; never from a request.
pub type Name = Arc<str>;

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The caller's request.
    Client,
    /// The hub: its state, its table, or a bug.
    Platform,
    /// The bank, or the way to it.
    Provider,
}

impl Origin {
    /// The name that the access log and the metrics use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Platform => "platform",
            Self::Provider => "provider",
        }
    }
}

/// Which limit an exchange ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitScope {
    /// All calls of one client.
    Client,
    /// All calls of one client to one target.
    ClientTarget,
    /// All calls to one target.
    Target,
}

impl LimitScope {
    /// The policy's name in `RateLimit`, the log and the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::ClientTarget => "client-target",
            Self::Target => "target",
        }
    }
}

/// What a client is told about the limit that stopped it (draft-ietf-httpapi-ratelimit-headers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// Which limit.
    pub scope: LimitScope,
    /// `q`: how many requests a full bucket holds.
    pub quota: u32,
    /// `w`: seconds that an empty bucket takes to fill, rounded up.
    pub window_s: u64,
    /// How long until one more request fits.
    pub wait: Duration,
}

/// Why an exchange ends without the bank's own answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    // --- the message itself (CONTRACT 4.4 rows 25 to 28 and 30) ---
    /// Ambiguous or broken framing; the text says which rule, for the log.
    HttpMalformed(&'static str),
    /// `Transfer-Encoding` on a request: forms are small, `Content-Length` is required.
    LengthRequired,
    /// Not HTTP/1.0, 1.1 or 2.
    VersionUnsupported,
    /// The request target is over its limit.
    UriTooLong,
    /// The header section, one line, or their count is over its limit.
    HeadTooLarge,
    /// The head did not arrive in time.
    HeadTimeout,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body, declared or counted, is over its limit.
    BodyTooLarge,
    /// The client went away before its request was whole.
    BodyAborted,
    /// `Expect` asks for something other than `100-continue`.
    ExpectationRefused,

    // --- operation (rows 1 to 3) ---
    /// No mounted contract has this path.
    PathUnknown,
    /// The path exists, the method does not; carries the value of `Allow`.
    MethodRefused(Name),
    /// A query string on an endpoint whose parameters travel in the body.
    QueryRefused,

    // --- head (rows 4 to 7, 10, 11, 17, 18) ---
    /// A required header is missing.
    HeaderMissing(Name),
    /// A header breaks its rule; the second text is the contract's fixed sentence.
    HeaderMalformed(Name, Name),

    // --- identity (rows 8 and 9): one sentence for all causes, so that nobody can probe ---
    /// No client certificate on a listener that identifies by certificate.
    CertificateMissing,
    /// The certificate (or, on an insecure listener, the claimed id) is in no client's entry.
    ClientUnknown,
    /// The certificate was good at the handshake; since then it was revoked, it expired, its CA was
    /// taken out, or it was taken off the client's entry.
    CertificateEnded,
    /// The client-id header disagrees with the certificate.
    ClientMismatch,
    /// The form's `client_id` disagrees with the certificate.
    FormClientMismatch,
    /// The client is suspended.
    ClientSuspended,

    // --- limits (row 29) ---
    /// A rate limit is exhausted.
    RateLimited(Limited),

    // --- target (rows 12 to 16) ---
    /// No such target.
    TargetUnknown,
    /// The client has no permission for this target.
    TargetForbidden,
    /// The target is suspended or not yet open to clients.
    TargetSuspended,
    /// The target is down for maintenance; carries `Retry-After`.
    TargetMaintenance(Duration),

    // --- authorization (rows 19 to 21) ---
    /// `Authorization` where the client authenticates by certificate; carries the scheme it used.
    AuthorizationRefused(&'static str),
    /// No `Authorization` where a Bearer token is required.
    BearerMissing,
    /// `Authorization` with a scheme other than Bearer.
    BearerSchemeWrong,
    /// A Bearer token that the hub, asked to vouch for it, has never seen or that has ended.
    BearerUnknown,
    /// A Bearer token with broken syntax, or more than one.
    BearerMalformed,
    /// No `Authorization` where Basic credentials are required.
    BasicMissing,
    /// `Authorization` that holds no well-formed Basic credentials.
    BasicMalformed,
    /// A parameter that authenticates the client is missing or empty.
    CredentialsMissing(Name),
    /// A parameter that authenticates the client, or hands over the token, beside the way in which
    /// that is done already; carries its name.
    SecondCredential(&'static str),
    /// A `DPoP` proof, which the hub carries to no bank unless a native document declares it.
    DpopRefused,

    // --- media (rows 22 to 24) ---
    /// `Accept` excludes JSON.
    NotAcceptable,
    /// The body's media type is not the contract's; carries the type that is.
    MediaTypeRefused(Name),
    /// The body has a content coding.
    CodingRefused,

    // --- body (CONTRACT 4.5) ---
    /// Bad percent-encoding, bad UTF-8, NUL, or too many or too long parameters.
    FormMalformed(&'static str),
    /// A parameter stands twice.
    ParameterRepeated,
    /// A required parameter is missing or empty.
    ParameterMissing(Name),
    /// A parameter breaks its rule; the second text is the contract's fixed sentence.
    ParameterMalformed(Name, Name),
    /// A `grant_type` that the contract does not have.
    GrantUnsupported(Name),
    /// A parameter breaks its rule, and its contract has an `error` of its own for that.
    ParameterRefused(ErrorCode, Name),
    /// A body where the contract has none.
    BodyUnexpected,
    /// A body that is no JSON, or too deep; the text says which, for the log.
    JsonMalformed(&'static str),
    /// A `redirect_uri` that the client's entry does not have: nobody is redirected there.
    RedirectUntrusted,
    /// Several fields are wrong, and the contract wants all of them told.
    Several(Arc<[Fault]>),

    // --- the way to the bank (CONTRACT 4.6) ---
    /// The breaker for this target is open; carries `Retry-After`.
    BreakerOpen(Duration),
    /// All places for calls to this target are taken, or this client's share of them; the text
    /// says which, for the log.
    TargetBusy(&'static str),
    /// The hub itself could not open a socket: it has no descriptor, port or memory left, or may
    /// not.
    LocalFailure,
    /// The client's requests and answers under way have too many bytes.
    ClientBusy,
    /// Those of all clients have.
    HubBusy,
    /// corgate is shutting down.
    Draining,
    /// The table lacks the path of the token call, which an assertion is made for.
    PathUnconfigured,
    /// A bug, or a broken table.
    Internal(&'static str),
    /// The target's name does not resolve.
    DnsFailed,
    /// The name resolves to an address that the table forbids.
    AddressForbidden,
    /// TCP refused, reset or unreachable.
    ConnectFailed,
    /// The TCP or TLS set-up did not end in time.
    ConnectTimeout,
    /// TLS failed, or the bank's certificate is not acceptable.
    TlsFailed,
    /// The bank says that it did not process the request (RFC 9113 section 8.7), or has no stream
    /// free for it: it may be sent again.
    RequestRefused,
    /// The connection was lost after bytes of the request were written.
    ConnectionLost,
    /// No answer, or not all of it, in time.
    ResponseTimeout,
    /// Not HTTP, bad framing, an unexpected 1xx or 3xx; the text says which.
    ResponseMalformed(&'static str),
    /// The answer's head or body is over its limit.
    ResponseTooLarge,
    /// The answer ended before its declared length.
    ResponseTruncated,
    /// A 200 token answer without the members that make it one, where that is checked.
    TokenAnswerInvalid,
    /// The bank refused credentials that the hub holds: an alert, and not the client's 401.
    CredentialsRejected,
    /// The bank is busy or down for now (its 429 or 503); carries its own `Retry-After`.
    ProviderBusy(Option<Duration>),
    /// The bank failed inside (its 500).
    ProviderFailed,

    // --- what a dialect can't say ---
    /// The bank's language has no such grant; the text says what to do instead.
    GrantNotSpoken(&'static str),
    /// The bank's language has no revocation.
    RevokeNotSpoken,
    /// The bank's language has no username check.
    UsernameNotSpoken,
    /// A parameter that this bank needs, though the contract does not.
    ParameterNeeded(&'static str),
    /// The client is not known to this bank's side of the hub.
    ClientUnmapped,

    // --- what the hub knows of a token ---
    /// The same refresh token, which is good once, is being used or was just used in a call that
    /// asked for something else.
    RefreshDiffers,
    /// A token that is another client's, or that nobody is known to have got, at a bank where
    /// clients share the hub's registration.
    TokenUnowned,

    /// Our own pseudonym stands in `Via` already: the table routes in a circle.
    ProxyLoop,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The stable name: log field, metric label and docs anchor.
    pub code: &'static str,
    /// HTTP status, always 4xx or 5xx.
    pub status: u16,
    /// The `error` member.
    pub error: ErrorCode,
    /// Whose fault it is.
    pub origin: Origin,
}

impl Fault {
    /// The fault's row: its stable code, status, `error` and origin.
    #[expect(clippy::too_many_lines, reason = "one row a fault: it is a table")]
    pub const fn row(&self) -> Row {
        use ErrorCode::{
            InvalidClient, InvalidGrant, InvalidRequest, InvalidToken, ServerError,
            TemporarilyUnavailable, UnauthorizedClient, UnsupportedGrantType, UnsupportedTokenType,
        };
        use Origin::{Client, Platform, Provider};
        let (code, status, error, origin) = match self {
            Self::HttpMalformed(_) => ("http_malformed", 400, InvalidRequest, Client),
            Self::LengthRequired => ("length_required", 411, InvalidRequest, Client),
            Self::VersionUnsupported => ("version_unsupported", 505, InvalidRequest, Client),
            Self::UriTooLong => ("uri_too_long", 414, InvalidRequest, Client),
            Self::HeadTooLarge => ("head_too_large", 431, InvalidRequest, Client),
            Self::HeadTimeout => ("head_timeout", 408, InvalidRequest, Client),
            Self::BodyTimeout => ("body_timeout", 408, InvalidRequest, Client),
            Self::BodyTooLarge => ("body_too_large", 413, InvalidRequest, Client),
            Self::BodyAborted => ("body_aborted", 400, InvalidRequest, Client),
            Self::ExpectationRefused => ("expectation_refused", 417, InvalidRequest, Client),
            Self::PathUnknown => ("path_unknown", 404, InvalidRequest, Client),
            Self::MethodRefused(_) => ("method_refused", 405, InvalidRequest, Client),
            Self::QueryRefused => ("query_refused", 400, InvalidRequest, Client),
            Self::HeaderMissing(_) => ("header_missing", 400, InvalidRequest, Client),
            Self::HeaderMalformed(..) => ("header_malformed", 400, InvalidRequest, Client),
            Self::CertificateMissing => ("certificate_missing", 401, InvalidClient, Client),
            Self::ClientUnknown => ("client_unknown", 401, InvalidClient, Client),
            Self::CertificateEnded => ("certificate_ended", 401, InvalidClient, Client),
            Self::ClientMismatch => ("client_mismatch", 401, InvalidClient, Client),
            Self::FormClientMismatch => ("form_client_mismatch", 401, InvalidClient, Client),
            Self::ClientSuspended => ("client_suspended", 403, UnauthorizedClient, Client),
            Self::RateLimited(_) => ("rate_limited", 429, TemporarilyUnavailable, Client),
            Self::TargetUnknown => ("target_unknown", 400, InvalidRequest, Client),
            Self::TargetForbidden => ("target_forbidden", 403, UnauthorizedClient, Client),
            Self::TargetSuspended => ("target_suspended", 403, UnauthorizedClient, Platform),
            Self::TargetMaintenance(_) => {
                ("target_maintenance", 503, TemporarilyUnavailable, Platform)
            }
            Self::AuthorizationRefused(_) => ("authorization_refused", 401, InvalidClient, Client),
            Self::BearerMissing => ("bearer_missing", 401, InvalidToken, Client),
            Self::BearerSchemeWrong => ("bearer_scheme_wrong", 401, InvalidToken, Client),
            Self::BearerUnknown => ("bearer_unknown", 401, InvalidToken, Client),
            Self::BearerMalformed => ("bearer_malformed", 400, InvalidRequest, Client),
            Self::BasicMissing => ("basic_missing", 401, InvalidClient, Client),
            Self::BasicMalformed => ("basic_malformed", 401, InvalidClient, Client),
            Self::CredentialsMissing(_) => ("credentials_missing", 401, InvalidClient, Client),
            Self::SecondCredential(_) => ("second_credential", 400, InvalidRequest, Client),
            Self::DpopRefused => ("dpop_refused", 400, InvalidRequest, Client),
            Self::NotAcceptable => ("not_acceptable", 406, InvalidRequest, Client),
            Self::MediaTypeRefused(_) => ("media_type_refused", 415, InvalidRequest, Client),
            Self::CodingRefused => ("coding_refused", 415, InvalidRequest, Client),
            Self::FormMalformed(_) => ("form_malformed", 400, InvalidRequest, Client),
            Self::ParameterRepeated => ("parameter_repeated", 400, InvalidRequest, Client),
            Self::ParameterMissing(_) => ("parameter_missing", 400, InvalidRequest, Client),
            Self::ParameterMalformed(..) => ("parameter_malformed", 400, InvalidRequest, Client),
            Self::GrantUnsupported(_) => ("grant_unsupported", 400, UnsupportedGrantType, Client),
            Self::ParameterRefused(error, _) => ("parameter_refused", 400, *error, Client),
            Self::BodyUnexpected => ("body_unexpected", 400, InvalidRequest, Client),
            Self::JsonMalformed(_) => ("json_malformed", 400, InvalidRequest, Client),
            Self::RedirectUntrusted => ("redirect_untrusted", 400, InvalidRequest, Client),
            Self::Several(_) => ("several_wrong", 400, InvalidRequest, Client),
            Self::BreakerOpen(_) => ("breaker_open", 503, TemporarilyUnavailable, Provider),
            Self::TargetBusy(_) => ("target_busy", 503, TemporarilyUnavailable, Platform),
            Self::LocalFailure => ("local_failure", 503, TemporarilyUnavailable, Platform),
            Self::ClientBusy => ("client_busy", 503, TemporarilyUnavailable, Client),
            Self::HubBusy => ("hub_busy", 503, TemporarilyUnavailable, Platform),
            Self::Draining => ("draining", 503, TemporarilyUnavailable, Platform),
            Self::PathUnconfigured => ("path_unconfigured", 500, ServerError, Platform),
            Self::Internal(_) => ("internal", 500, ServerError, Platform),
            Self::DnsFailed => ("dns_failed", 502, ServerError, Provider),
            Self::AddressForbidden => ("address_forbidden", 502, ServerError, Platform),
            Self::ConnectFailed => ("connect_failed", 502, ServerError, Provider),
            Self::ConnectTimeout => ("connect_timeout", 504, ServerError, Provider),
            Self::TlsFailed => ("tls_failed", 502, ServerError, Provider),
            Self::RequestRefused => ("request_refused", 503, TemporarilyUnavailable, Provider),
            Self::ConnectionLost => ("connection_lost", 502, ServerError, Provider),
            Self::ResponseTimeout => ("response_timeout", 504, ServerError, Provider),
            Self::ResponseMalformed(_) => ("response_malformed", 502, ServerError, Provider),
            Self::ResponseTooLarge => ("response_too_large", 502, ServerError, Provider),
            Self::ResponseTruncated => ("response_truncated", 502, ServerError, Provider),
            Self::TokenAnswerInvalid => ("token_answer_invalid", 502, ServerError, Provider),
            Self::CredentialsRejected => ("credentials_rejected", 502, ServerError, Platform),
            Self::ProviderBusy(_) => ("provider_busy", 503, TemporarilyUnavailable, Provider),
            Self::ProviderFailed => ("provider_failed", 502, ServerError, Provider),
            Self::GrantNotSpoken(_) => ("grant_not_spoken", 400, UnsupportedGrantType, Platform),
            Self::RevokeNotSpoken => ("revoke_not_spoken", 400, UnsupportedTokenType, Platform),
            Self::UsernameNotSpoken => ("username_not_spoken", 404, InvalidRequest, Platform),
            Self::ParameterNeeded(_) => ("parameter_needed", 400, InvalidRequest, Client),
            Self::ClientUnmapped => ("client_unmapped", 401, InvalidClient, Platform),
            Self::RefreshDiffers => ("refresh_differs", 400, InvalidRequest, Client),
            Self::TokenUnowned => ("token_unowned", 400, InvalidGrant, Client),
            Self::ProxyLoop => ("proxy_loop", 502, ServerError, Platform),
        };
        Row { code, status, error, origin }
    }

    /// The `error_description`: a fixed sentence. Nothing of the request is in it; the names in it
    /// are the contract's.
    #[expect(clippy::too_many_lines, reason = "one row a fault: it is a table")]
    pub fn sentence(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::HttpMalformed(_) | Self::BodyAborted => "malformed HTTP request",
            Self::LengthRequired => {
                "Content-Length is required, Transfer-Encoding is not supported"
            }
            Self::VersionUnsupported => "HTTP version not supported",
            Self::UriTooLong => "URI too long",
            Self::HeadTooLarge => "request header fields too large",
            Self::HeadTimeout | Self::BodyTimeout => "request timed out",
            Self::BodyTooLarge => "request body too large",
            Self::ExpectationRefused => "expectation not supported",
            Self::PathUnknown => "unknown endpoint",
            Self::MethodRefused(_) => "method not allowed",
            Self::QueryRefused => "query string not allowed",
            Self::HeaderMissing(name) => return Cow::Owned(format!("{name} header is required")),
            Self::HeaderMalformed(_, sentence)
            | Self::ParameterMalformed(_, sentence)
            | Self::ParameterRefused(_, sentence)
            | Self::GrantUnsupported(sentence) => return Cow::Owned(sentence.to_string()),
            Self::CertificateMissing
            | Self::ClientUnknown
            | Self::CertificateEnded
            | Self::ClientMismatch
            | Self::FormClientMismatch
            | Self::ClientUnmapped => "client authentication failed",
            Self::ClientSuspended => "client is not active",
            Self::RateLimited(_) => "rate limit exceeded",
            Self::TargetUnknown => "unknown X-CorAPI-Target-ID",
            Self::TargetForbidden => "client is not permitted for this target",
            Self::TargetSuspended => "target is not available to clients",
            Self::TargetMaintenance(_)
            | Self::BreakerOpen(_)
            | Self::TargetBusy(_)
            | Self::LocalFailure
            | Self::RequestRefused
            | Self::ProviderBusy(_) => "target is temporarily unavailable",
            Self::AuthorizationRefused(_) => {
                "client authentication by Authorization header is not supported"
            }
            Self::BearerMissing | Self::BearerSchemeWrong => "bearer token required",
            Self::BearerUnknown => "bearer token is unknown or expired",
            Self::BearerMalformed => "bearer token is malformed",
            Self::BasicMissing => "Authorization header is required",
            Self::BasicMalformed => "Basic credentials are malformed",
            Self::CredentialsMissing(name) => return Cow::Owned(format!("{name} is required")),
            Self::SecondCredential(name) => {
                return Cow::Owned(format!("{name} is not allowed beside other credentials"));
            }
            Self::DpopRefused => "DPoP is not supported here, send the request without a proof",
            Self::BodyUnexpected => "request body not allowed",
            Self::JsonMalformed(_) => "malformed JSON body",
            Self::RedirectUntrusted => "redirect_uri is not registered for this client",
            Self::Several(faults) => match faults.first() {
                Some(first) => return first.sentence(),
                None => "malformed request",
            },
            Self::NotAcceptable => "response is only available as application/json",
            Self::MediaTypeRefused(media) => {
                return Cow::Owned(format!("Content-Type must be {media}"));
            }
            Self::CodingRefused => "content coding not supported",
            Self::FormMalformed(_) => "malformed form body",
            Self::ParameterRepeated => "parameter repeated",
            Self::ParameterMissing(name) => return Cow::Owned(format!("{name} is required")),
            Self::ClientBusy => "too many bytes under way, please retry",
            Self::HubBusy => "temporarily overloaded, please retry",
            Self::Draining => "shutting down, please retry",
            Self::PathUnconfigured | Self::Internal(_) => "internal error",
            Self::CredentialsRejected => "target rejected the hub's credentials",
            Self::ProviderFailed => "target failed",
            Self::GrantNotSpoken(sentence) => sentence,
            Self::RevokeNotSpoken => "target cannot revoke tokens",
            Self::UsernameNotSpoken => "target has no username validation",
            Self::ParameterNeeded(name) => {
                return Cow::Owned(format!("{name} is required by this target"));
            }
            Self::RefreshDiffers => "this refresh token was just used in another request",
            Self::TokenUnowned => "token was not issued to this client",
            Self::DnsFailed
            | Self::AddressForbidden
            | Self::ConnectFailed
            | Self::TlsFailed
            | Self::ConnectionLost
            | Self::ProxyLoop => "target could not be reached",
            Self::ConnectTimeout | Self::ResponseTimeout => "target did not respond in time",
            Self::ResponseMalformed(_)
            | Self::ResponseTooLarge
            | Self::ResponseTruncated
            | Self::TokenAnswerInvalid => "target returned an invalid response",
        })
    }

    /// What the log says beside the code: a name from the contract or a fixed text.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::HttpMalformed(text)
            | Self::FormMalformed(text)
            | Self::JsonMalformed(text)
            | Self::Internal(text)
            | Self::TargetBusy(text)
            | Self::ResponseMalformed(text) => Some(text),
            Self::HeaderMissing(name)
            | Self::HeaderMalformed(name, _)
            | Self::ParameterMissing(name)
            | Self::CredentialsMissing(name)
            | Self::ParameterMalformed(name, _) => Some(name),
            Self::Several(faults) => faults.first().and_then(Self::detail),
            Self::RateLimited(limited) => Some(limited.scope.as_str()),
            Self::SecondCredential(name) => Some(name),
            _ => None,
        }
    }

    /// The RFC 9209 section 2.3 error type of a fault on the way to the bank.
    pub const fn proxy_status(&self) -> Option<&'static str> {
        Some(match self {
            Self::BreakerOpen(_) => "destination_unavailable",
            Self::TargetBusy(_) => "connection_limit_reached",
            Self::LocalFailure => "proxy_internal_error",
            Self::RequestRefused => "destination_unavailable",
            Self::PathUnconfigured => "proxy_configuration_error",
            Self::Internal(_) => "proxy_internal_error",
            Self::DnsFailed => "dns_error",
            Self::AddressForbidden => "destination_ip_prohibited",
            Self::ConnectFailed => "connection_refused",
            Self::ConnectTimeout => "connection_timeout",
            Self::TlsFailed => "tls_certificate_error",
            Self::ConnectionLost => "connection_terminated",
            Self::ResponseTimeout => "http_response_timeout",
            Self::ResponseMalformed(_) | Self::TokenAnswerInvalid => "http_protocol_error",
            Self::ResponseTooLarge => "http_response_body_size",
            Self::ResponseTruncated => "http_response_incomplete",
            Self::ProxyLoop => "proxy_loop_detected",
            _ => return None,
        })
    }

    /// Whether the connection must not be used again: the rest of it can't be trusted or is unread
    /// (RFC 9112 section 11.2), or corgate is leaving.
    pub const fn closes_connection(&self) -> bool {
        matches!(
            self,
            Self::HttpMalformed(_)
                | Self::LengthRequired
                | Self::VersionUnsupported
                | Self::UriTooLong
                | Self::HeadTooLarge
                | Self::HeadTimeout
                | Self::BodyTimeout
                | Self::BodyTooLarge
                | Self::BodyAborted
                | Self::Draining
        )
    }

    /// How long the client should wait before it tries again, for `Retry-After`.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited(limited) => Some(limited.wait),
            Self::TargetMaintenance(wait) | Self::BreakerOpen(wait) => Some(*wait),
            Self::ProviderBusy(Some(wait)) => Some(*wait),
            Self::TargetBusy(_)
            | Self::LocalFailure
            | Self::RequestRefused
            | Self::ClientBusy
            | Self::HubBusy
            | Self::Draining
            | Self::ProviderBusy(None) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// The value of `WWW-Authenticate`, which every 401 carries (RFC 9110 section 15.5.2).
    pub const fn challenge(&self) -> Option<&'static str> {
        match self {
            // The scheme is unregistered but honest: the client authenticates by TLS (decision 8).
            Self::CertificateMissing
            | Self::ClientUnknown
            | Self::CertificateEnded
            | Self::ClientMismatch
            | Self::FormClientMismatch
            | Self::ClientUnmapped => Some("tls_client_auth realm=\"corgate\""),
            // RFC 6749 section 5.2: "matching the authentication scheme used by the client".
            Self::AuthorizationRefused(challenge) => Some(challenge),
            Self::BasicMissing | Self::BasicMalformed | Self::CredentialsMissing(_) => {
                Some("Basic realm=\"corgate\"")
            }
            // RFC 6750 section 3: no error attribute where no credentials were sent.
            Self::BearerMissing | Self::BearerSchemeWrong => Some("Bearer realm=\"corgate\""),
            // RFC 6750 section 3.1.
            Self::BearerUnknown => Some("Bearer realm=\"corgate\", error=\"invalid_token\""),
            _ => None,
        }
    }

    /// Whether the breaker counts it: the bank, or the way to it, failed (CONTRACT 4.6).
    pub const fn counts_for_breaker(&self) -> bool {
        matches!(
            self,
            Self::DnsFailed
                | Self::ConnectFailed
                | Self::ConnectTimeout
                | Self::TlsFailed
                | Self::RequestRefused
                | Self::ConnectionLost
                | Self::ResponseTimeout
                | Self::ResponseMalformed(_)
                | Self::ResponseTooLarge
                | Self::ResponseTruncated
        )
    }

    /// Whether there was no way to the bank, so that it concerns whoever calls.
    pub const fn is_of_the_way(&self) -> bool {
        matches!(
            self,
            Self::DnsFailed | Self::ConnectFailed | Self::ConnectTimeout | Self::TlsFailed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One value of each variant, so that the table's laws are checked over all of it.
    #[expect(clippy::too_many_lines, reason = "one value a fault: it is a table")]
    fn every_fault() -> Vec<Fault> {
        let name: Name = Arc::from("name");
        let limited = Limited {
            scope: LimitScope::Client,
            quota: 1,
            window_s: 1,
            wait: Duration::from_secs(1),
        };
        let wait = Duration::from_secs(1);
        vec![
            Fault::HttpMalformed("x"),
            Fault::LengthRequired,
            Fault::VersionUnsupported,
            Fault::UriTooLong,
            Fault::HeadTooLarge,
            Fault::HeadTimeout,
            Fault::BodyTimeout,
            Fault::BodyTooLarge,
            Fault::BodyAborted,
            Fault::ExpectationRefused,
            Fault::PathUnknown,
            Fault::MethodRefused(name.clone()),
            Fault::QueryRefused,
            Fault::HeaderMissing(name.clone()),
            Fault::HeaderMalformed(name.clone(), name.clone()),
            Fault::CertificateMissing,
            Fault::ClientUnknown,
            Fault::CertificateEnded,
            Fault::ClientMismatch,
            Fault::FormClientMismatch,
            Fault::ClientSuspended,
            Fault::RateLimited(limited),
            Fault::TargetUnknown,
            Fault::TargetForbidden,
            Fault::TargetSuspended,
            Fault::TargetMaintenance(wait),
            Fault::AuthorizationRefused("Basic realm=\"corgate\""),
            Fault::BearerMissing,
            Fault::BearerSchemeWrong,
            Fault::BearerUnknown,
            Fault::BearerMalformed,
            Fault::NotAcceptable,
            Fault::MediaTypeRefused(name.clone()),
            Fault::CodingRefused,
            Fault::FormMalformed("x"),
            Fault::ParameterRepeated,
            Fault::ParameterMissing(name.clone()),
            Fault::ParameterMalformed(name.clone(), name.clone()),
            Fault::GrantUnsupported(name.clone()),
            Fault::BasicMissing,
            Fault::BasicMalformed,
            Fault::CredentialsMissing(name.clone()),
            Fault::SecondCredential("x"),
            Fault::DpopRefused,
            Fault::ParameterRefused(ErrorCode::InvalidScope, name),
            Fault::BodyUnexpected,
            Fault::JsonMalformed("x"),
            Fault::RedirectUntrusted,
            Fault::Several(Arc::new([Fault::QueryRefused])),
            Fault::BreakerOpen(wait),
            Fault::TargetBusy("x"),
            Fault::LocalFailure,
            Fault::RequestRefused,
            Fault::ClientBusy,
            Fault::HubBusy,
            Fault::Draining,
            Fault::PathUnconfigured,
            Fault::Internal("x"),
            Fault::DnsFailed,
            Fault::AddressForbidden,
            Fault::ConnectFailed,
            Fault::ConnectTimeout,
            Fault::TlsFailed,
            Fault::ConnectionLost,
            Fault::ResponseTimeout,
            Fault::ResponseMalformed("x"),
            Fault::ResponseTooLarge,
            Fault::ResponseTruncated,
            Fault::TokenAnswerInvalid,
            Fault::CredentialsRejected,
            Fault::ProviderBusy(None),
            Fault::ProviderFailed,
            Fault::GrantNotSpoken("x"),
            Fault::RevokeNotSpoken,
            Fault::UsernameNotSpoken,
            Fault::ParameterNeeded("x"),
            Fault::ClientUnmapped,
            Fault::RefreshDiffers,
            Fault::TokenUnowned,
            Fault::ProxyLoop,
        ]
    }

    #[test]
    fn every_code_is_unique_and_every_sentence_is_a_description() {
        let mut codes = std::collections::HashSet::new();
        for fault in every_fault() {
            let row = fault.row();
            assert!(codes.insert(row.code), "{} stands twice", row.code);
            assert!((400..600).contains(&row.status), "{fault:?}");
            let sentence = fault.sentence();
            assert!(crate::oauth::is_description(&sentence), "{sentence:?}");
            assert!(!sentence.is_empty());
        }
    }

    #[test]
    fn every_401_has_a_challenge_and_nothing_else_has() {
        for fault in every_fault() {
            assert_eq!(fault.row().status == 401, fault.challenge().is_some(), "{fault:?}");
        }
    }

    #[test]
    fn every_429_and_503_says_when_to_come_back() {
        for fault in every_fault() {
            let wants = matches!(fault.row().status, 429 | 503);
            assert_eq!(wants, fault.retry_after().is_some(), "{fault:?}");
        }
    }

    #[test]
    fn the_breaker_counts_only_the_provider() {
        for fault in every_fault().into_iter().filter(Fault::counts_for_breaker) {
            assert_eq!(fault.row().origin, Origin::Provider, "{fault:?}");
        }
    }
}
