//! What the table says of a bank behind Flinks.
//!
//! This file decides which settings there are. It must not know how they are used.

use http::HeaderName;

use super::Registrations;

/// `[target.flinks]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flinks {
    /// Who the hub is there.
    pub registrations: Registrations,
    /// Whether a token call is a form; else it is JSON, as Flinks documents it.
    pub sends_form: bool,
    /// Whether the credentials go in `Authorization: Basic`; else they stand in the body.
    pub uses_basic: bool,
    /// Whether a revocation is a POST; else it is a DELETE. Flinks takes both.
    pub revokes_by_post: bool,
    /// The field that the correlation id goes along in; none to keep it.
    pub correlation_header: Option<HeaderName>,
}
