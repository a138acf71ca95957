//! The part of the table that belongs to a bank's language.
//!
//! This file decides which settings each dialect has. It must not know how they are used, nor TOML.

mod flinks;
mod konsentus;
mod oauth2;
mod oxlin;
mod registrations;

pub use self::flinks::Flinks;
pub use self::konsentus::{Ccg, CcgFetch, Konsentus};
pub use self::oauth2::{Authentication, ClientKey, OAuth2, UsernameCheck};
pub use self::oxlin::{Oxlin, Profile};
pub use self::registrations::{Registration, Registrations};

use std::time::Duration;

use http::StatusCode;

use crate::fault::Name;
use crate::ids::ClientId;
use crate::oauth::ErrorCode;

/// The language that a bank speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialect {
    /// The seed's own: bLink 2.0.15.1-fi.
    Blink,
    /// RFC 6749, RFC 7009 and RFC 7662, as they stand.
    OAuth2(Box<OAuth2>),
    /// Flinks' open banking.
    Flinks(Box<Flinks>),
    /// Konsentus: a token service that the hub calls as the bank.
    Konsentus(Box<Konsentus>),
    /// Oxlin (Linxo Connect).
    Oxlin(Box<Oxlin>),
}

impl Dialect {
    /// The name in `routes.toml`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Blink => "blink",
            Self::OAuth2(_) => "oauth2",
            Self::Flinks(_) => "flinks",
            Self::Konsentus(_) => "konsentus",
            Self::Oxlin(_) => "oxlin",
        }
    }

    /// Whether it has a way to exchange a code.
    pub fn exchanges_codes(&self) -> bool {
        !matches!(self, Self::Oxlin(oxlin) if !oxlin.code_grant)
    }

    /// Whether it has a way to refresh.
    pub const fn refreshes_tokens(&self) -> bool {
        !matches!(self, Self::Konsentus(_))
    }

    /// Whether it has a way to revoke.
    pub const fn revokes_tokens(&self) -> bool {
        !matches!(self, Self::Konsentus(_) | Self::Oxlin(_))
    }

    /// Whether the bank takes this client's calls for those of others: the hub is registered there
    /// once for several of them, so that the bank can't tell whose a token is.
    pub fn shares_registration(&self, client: &ClientId) -> bool {
        match self {
            // The bank is told the client's id; Konsentus' tokens come back to the hub in no call.
            Self::Blink | Self::Konsentus(_) => false,
            Self::OAuth2(oauth2) => oauth2.registrations.is_shared(client),
            Self::Flinks(flinks) => flinks.registrations.is_shared(client),
            Self::Oxlin(_) => true,
        }
    }

    /// Whether the hub is registered at the bank, for some of its clients or for all.
    pub const fn registers_the_hub(&self) -> bool {
        matches!(self, Self::OAuth2(_) | Self::Flinks(_) | Self::Oxlin(_))
    }

    /// Whether it signs what it says, for which it has to know the time.
    pub fn signs(&self) -> bool {
        let Self::OAuth2(oauth2) = self else { return false };
        matches!(oauth2.authentication, Authentication::PrivateKeyJwt(_))
    }

    /// Whether every client shows the bank something of its own: only then can it tell them apart.
    pub const fn names_each_client(&self) -> bool {
        matches!(self, Self::Blink)
    }

    /// The clients that have a registration of their own there.
    pub fn registered(&self) -> impl Iterator<Item = &ClientId> {
        let registrations = match self {
            Self::OAuth2(oauth2) => Some(&oauth2.registrations),
            Self::Flinks(flinks) => Some(&flinks.registrations),
            Self::Blink | Self::Konsentus(_) | Self::Oxlin(_) => None,
        };
        registrations.into_iter().flat_map(|registrations| registrations.own.keys())
    }

    /// Whether it has a way to ask the bank about a username.
    pub fn checks_usernames(&self) -> bool {
        match self {
            Self::Blink => true,
            Self::OAuth2(oauth2) => oauth2.username != UsernameCheck::None,
            Self::Oxlin(oxlin) => oxlin.profile.is_some(),
            Self::Flinks(_) | Self::Konsentus(_) => false,
        }
    }
}

/// What translating may do; the same keys for every dialect but bLink, which is not translated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Translation {
    /// Answers of this bank that mean something else than its dialect says.
    pub overrides: Vec<Override>,
    /// `expires_in` of an answer that has none.
    pub default_expires_in: Option<Duration>,
    /// Whether a refresh token is good once: concurrent refreshes of one are made one.
    pub rotates_refresh_tokens: bool,
    /// How long the answer to a refresh is given again to the same client for the same token.
    pub replay_window: Option<Duration>,
    /// Whether the hub answers the username check from what it saw at the token call.
    pub assert_username: bool,
    /// Whether the hub remembers until when an access token lives: to tell a bank's 401 for an
    /// expired token from its 401 for something else.
    pub remembers_tokens: bool,
    /// What becomes of a token that nobody is known to have got, where clients share the hub's
    /// registration.
    pub unknown_tokens: UnknownTokens,
}

/// What becomes of a token that nobody is known to have got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownTokens {
    /// It passes until the record of owners, kept over restarts, is older than tokens get; then it
    /// is refused.
    #[default]
    Learn,
    /// It is refused.
    Refuse,
    /// It passes.
    Pass,
}

impl UnknownTokens {
    /// The name in `routes.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Learn => "learn",
            Self::Refuse => "refuse",
            Self::Pass => "pass",
        }
    }
}

/// One row of a target's override table: what an upstream answer becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The bank's status.
    pub status: StatusCode,
    /// The bank's own error code; none for any.
    pub code: Option<Name>,
    /// The status that the client gets.
    pub becomes: StatusCode,
    /// The `error` that the client gets.
    pub error: ErrorCode,
}
