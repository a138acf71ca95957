//! The part of the table that belongs to a bank's language.
//!
//! This file decides which settings each dialect has. It must not know how they are used, nor TOML.

pub mod konsentus;
pub mod oxlin;

use std::time::Duration;

use http::StatusCode;

pub use self::konsentus::Konsentus;
pub use self::oxlin::Oxlin;
use crate::fault::Name;
use crate::oauth::ErrorCode;

/// The language that a bank speaks.
#[derive(Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The seed's own: bLink 2.0.15.1-fi.
    Blink,
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
            Self::Konsentus(_) => "konsentus",
            Self::Oxlin(_) => "oxlin",
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
