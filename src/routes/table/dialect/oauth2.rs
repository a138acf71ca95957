//! What the table says of a bank that speaks plain OAuth 2.0.
//!
//! This file decides which settings there are. It must not know how they are used.

use http::HeaderName;
use p256::ecdsa::SigningKey;

use super::Registrations;
use crate::fault::Name;

/// `[target.oauth2]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2 {
    /// Who the hub is there.
    pub registrations: Registrations,
    /// How it shows that.
    pub authentication: Authentication,
    /// Where a username is looked up.
    pub username: UsernameCheck,
    /// Under which name `username` goes along with a token call; none to leave it out.
    pub username_parameter: Option<Name>,
    /// The field that the correlation id goes along in; none to keep it.
    pub correlation_header: Option<HeaderName>,
}

/// How the hub authenticates (the names are those of the IANA registry, RFC 8414 section 2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Authentication {
    /// RFC 6749 section 2.3.1: `Authorization: Basic`.
    #[default]
    SecretBasic,
    /// RFC 6749 section 2.3.1: in the body.
    SecretPost,
    /// RFC 8705 section 2.1: by certificate; the body names the client.
    Tls,
    /// RFC 6749 section 3.2.1: not at all; the body names the client.
    None,
    /// RFC 7523 section 2.2: by an assertion that the hub signs.
    PrivateKeyJwt(Box<ClientKey>),
}

/// The key that the hub signs its assertions with, and what they say besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKey {
    /// The key. It is wiped from memory when it is dropped, and `Debug` does not show it.
    pub key: SigningKey,
    /// RFC 7515 section 4.1.4: by which the bank finds its half of the key.
    pub key_id: Option<Name>,
    /// RFC 7523 section 3, rule 3: for whom the assertion is; none for the token endpoint's URL.
    pub audience: Option<Name>,
}

impl Authentication {
    /// Whether it takes a secret.
    pub const fn wants_secret(&self) -> bool {
        matches!(self, Self::SecretBasic | Self::SecretPost)
    }
}

/// How a username is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsernameCheck {
    /// The bank has no way to.
    None,
    /// RFC 7662: `username` of the token's introspection.
    Introspection {
        /// Whether case counts for nothing.
        folds_case: bool,
    },
    /// OpenID Connect Core section 5.3: a claim of the user behind the token.
    Userinfo {
        /// Which claim.
        claim: Name,
        /// Whether case counts for nothing.
        folds_case: bool,
    },
}
