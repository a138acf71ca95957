//! What the hub was told at a token call, and may need later: until when an access token lives,
//! and whose name came with it.
//!
//! Nothing that was told can be read out of here: only keyed hashes are kept, in memory, for as
//! long as the token lives, and no more of them than a bound. This file decides what is kept and
//! what it proves. The time is handed to it.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use dashmap::DashMap;

/// Most tokens that are remembered at once, for all banks together.
pub const TOLD_MAX: usize = 1_000_000;

/// 128 bits.
type Hash = [u64; 2];

/// What is remembered of one access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// When it ends.
    pub expires: Instant,
    /// A keyed hash of the username that came with it.
    username: Hash,
    /// Whether it had ended when it was looked up.
    pub expired: bool,
}

/// The memory. Its key is made at start and kept nowhere else.
#[derive(Debug)]
pub struct Memory {
    seed: [RandomState; 2],
    told: DashMap<Hash, Told>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { seed: [RandomState::new(), RandomState::new()], told: DashMap::new() }
    }
}

impl Memory {
    /// Remembers a token and the username that came with it. A full memory forgets what has
    /// ended first; when that makes no room, the token is not remembered.
    pub fn tell(&self, target: &str, token: &str, username: &str, life: Duration, now: Instant) {
        if self.told.len() >= TOLD_MAX {
            self.told.retain(|_, told| told.expires > now);
        }
        if self.told.len() < TOLD_MAX {
            let username = self.hash(&[target, username]);
            let told = Told { expires: now + life, username, expired: false };
            self.told.insert(self.hash(&[target, token]), told);
        }
    }

    /// What is remembered of a token.
    pub fn recall(&self, target: &str, token: &str, now: Instant) -> Option<Told> {
        let told = *self.told.get(&self.hash(&[target, token]))?;
        Some(Told { expired: told.expires <= now, ..told })
    }

    /// Whether a username is the one that came with the token. It proves no more than that.
    pub fn is_same_name(&self, told: &Told, target: &str, username: &str) -> bool {
        told.username == self.hash(&[target, username])
    }

    /// A keyed hash (SipHash with two random keys): without the keys nothing can be looked up, and
    /// they die with the process.
    fn hash(&self, parts: &[&str]) -> Hash {
        self.seed.each_ref().map(|seed| seed.hash_one(parts))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's first instant has to come from somewhere")]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recalled_with_its_name_and_its_end() {
        let (memory, now) = (Memory::default(), Instant::now());
        memory.tell("IIDX00001", "at-1", "anna", Duration::from_secs(60), now);
        let told = memory.recall("IIDX00001", "at-1", now).unwrap();
        assert!(!told.expired);
        assert!(memory.is_same_name(&told, "IIDX00001", "anna"));
        assert!(!memory.is_same_name(&told, "IIDX00001", "berta"));
        assert!(memory.recall("IIDX00001", "at-1", now + Duration::from_secs(60)).unwrap().expired);
        assert_eq!(memory.recall("IIDX00002", "at-1", now), None);
        assert!(!format!("{memory:?}").contains("anna"));
    }
}
