//! What the hub is at a bank: one registration for all its clients, or one for each.
//!
//! This file decides which registration a client goes by. It must not know how a bank is told.

use std::collections::HashMap;

use crate::fault::Name;
use crate::ids::ClientId;
use crate::routes::Secret;

/// A client of the bank's authorization server (RFC 6749 section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The id that the bank gave out.
    pub client_id: Name,
    /// The secret, where the bank gave one out.
    pub client_secret: Option<Secret>,
}

/// Every registration at one bank.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registrations {
    /// For every client that has none of its own.
    pub shared: Option<Registration>,
    /// For one client each.
    pub own: HashMap<ClientId, Registration>,
}

impl Registrations {
    /// The registration that a client goes by; none where the bank does not know it.
    pub fn of(&self, client: &ClientId) -> Option<&Registration> {
        self.own.get(client).or(self.shared.as_ref())
    }
}
