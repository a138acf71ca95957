//! What the table holds of a bank behind Oxlin.
//!
//! This file decides which settings there are. It must not know how they are used, nor TOML.

use crate::fault::Name;
use crate::routes::Secret;

/// `[target.oxlin]`: the hub is the client that Oxlin knows (seed 003).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oxlin {
    /// `client_id` at the authorization server.
    pub client_id: Name,
    /// `client_secret` there.
    pub client_secret: Secret,
    /// `redirect_uri` of a token call that brings none.
    pub redirect_uri: Option<Name>,
    /// `provider`, which the seed's samples send with some grants.
    pub provider: Option<Name>,
    /// Whether a code is passed on. The seed documents no such grant.
    pub code_grant: bool,
    /// How a username is checked; none where it is not.
    pub profile: Option<Profile>,
}

/// The username check: the user's own entry, read with the client's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The member that has the name.
    pub field: Name,
    /// Whether case counts for nothing.
    pub folds_case: bool,
    /// A text that stands in the body of a 401 if, and only if, the user has not accepted the
    /// terms.
    pub terms_marker: Option<Name>,
    /// `error_uri` of the answer that says so: where people find out how to accept them.
    pub terms_uri: Option<Name>,
}
