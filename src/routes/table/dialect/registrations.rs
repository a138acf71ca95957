//! What the hub is at a bank: one registration for all its clients, or one for each.
//!
//! This file decides which registration a client goes by. It must not know how a bank is told.

use std::collections::{HashMap, HashSet};

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
    /// Those of them whose `client_id` is somebody else's, too.
    pub same: HashSet<ClientId>,
}

impl Registrations {
    /// The registration that a client goes by; none where the bank does not know it.
    pub fn of(&self, client: &ClientId) -> Option<&Registration> {
        self.own.get(client).or(self.shared.as_ref())
    }

    /// Whether the bank may take this client for another one.
    pub fn is_shared(&self, client: &ClientId) -> bool {
        !self.own.contains_key(client) || self.same.contains(client)
    }

    /// Finds out which clients have the same `client_id`.
    #[must_use]
    pub fn compared(mut self) -> Self {
        let mut holders: HashMap<&Name, usize> = HashMap::new();
        for registration in self.own.values().chain(&self.shared) {
            *holders.entry(&registration.client_id).or_default() += 1;
        }
        let is_same = |registration: &Registration| {
            holders.get(&registration.client_id).is_some_and(|count| *count > 1)
        };
        let same = self.own.iter().filter(|(_, registration)| is_same(registration));
        let same = same.map(|(client, _)| client.clone()).collect();
        self.same = same;
        self
    }
}
