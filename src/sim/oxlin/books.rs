//! The books of a simulated Oxlin: users, and their tokens.
//!
//! This file decides which token is good, and whose. It must not know HTTP.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::sim::mint::Mint;

/// Seed: `"expires_in": 3600`.
pub(super) const ACCESS_LIFE: Duration = Duration::from_secs(3_600);
/// A grant that begins like this is good once, for whoever comes first: there is no browser in a
/// terminal to fetch a real one with. Its user has accepted the terms.
const DEMO_GRANTS: [&str; 2] = ["demo-refresh-", "demo-code-"];
const DEMO_USER: &str = "anna.muster";

/// A new access token and a new refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Good for an hour.
    pub access: String,
    /// Good once.
    pub refresh: String,
}

/// Why an API call is answered with 401. The wire does not say which (seed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    Unknown,
    Terms,
}

/// All that it knows.
pub(super) struct Books {
    mint: Mint,
    pub(super) takes_codes: bool,
    access: HashMap<String, (String, Duration)>,
    refresh: HashMap<String, String>,
    spent: HashSet<String>,
    accepted: HashSet<String>,
}

impl Books {
    pub(super) fn new(seed: u64, takes_codes: bool) -> Self {
        Self {
            mint: Mint::new(seed),
            takes_codes,
            access: HashMap::new(),
            refresh: HashMap::new(),
            spent: HashSet::new(),
            accepted: HashSet::new(),
        }
    }

    pub(super) fn reset(&mut self) {
        self.mint.reset();
        self.access.clear();
        self.refresh.clear();
        self.spent.clear();
        self.accepted.clear();
    }

    pub(super) fn grant(&mut self, now: Duration, user: &str) -> Pair {
        let pair = Pair { access: self.fresh("at"), refresh: self.fresh("rt") };
        self.access.insert(pair.access.clone(), (user.to_owned(), now + ACCESS_LIFE));
        self.refresh.insert(pair.refresh.clone(), user.to_owned());
        pair
    }

    pub(super) fn accept_terms(&mut self, user: &str) {
        self.accepted.insert(user.to_owned());
    }

    /// The user behind an access token accepts the terms.
    pub(super) fn accept_terms_of(&mut self, token: &str) {
        if let Some((user, _)) = self.access.get(token).cloned() {
            self.accept_terms(&user);
        }
    }

    /// Redeems a refresh token or a demo code: each is good once.
    pub(super) fn redeem(&mut self, now: Duration, grant: &str) -> Option<Pair> {
        let demo = DEMO_GRANTS.iter().any(|prefix| grant.starts_with(prefix));
        if demo && self.spent.insert(grant.to_owned()) {
            self.accept_terms(DEMO_USER);
            return Some(self.grant(now, DEMO_USER));
        }
        let user = self.refresh.remove(grant)?;
        Some(self.grant(now, &user))
    }

    /// The user behind an access token.
    pub(super) fn user_of(&self, now: Duration, token: &str) -> Result<&str, Denied> {
        let entry = self.access.get(token).filter(|(_, expires)| *expires > now);
        let (user, _) = entry.ok_or(Denied::Unknown)?;
        if self.accepted.contains(user) { Ok(user) } else { Err(Denied::Terms) }
    }

    /// A text that nobody has.
    pub(super) fn fresh(&mut self, prefix: &str) -> String {
        self.mint.next(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    #[test]
    fn a_refresh_token_rotates_and_the_api_waits_for_the_terms() {
        let mut books = Books::new(0, false);
        let first = books.grant(NOW, "beat");
        let second = books.redeem(NOW, &first.refresh).unwrap();
        assert_eq!(books.redeem(NOW, &first.refresh), None);
        assert_eq!(books.user_of(NOW, &second.access), Err(Denied::Terms));
        books.accept_terms("beat");
        assert_eq!(books.user_of(NOW, &second.access), Ok("beat"));
        assert_eq!(books.user_of(NOW + ACCESS_LIFE, &second.access), Err(Denied::Unknown));
        assert!(books.redeem(NOW, "demo-refresh-1").is_some());
        assert_eq!(books.redeem(NOW, "demo-refresh-1"), None);
    }
}
