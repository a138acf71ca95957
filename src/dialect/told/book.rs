//! The book of what is remembered: a bounded map, cut into shards, each behind a lock of its own.
//!
//! This file decides what has to go when there is no room: what ends first, of whoever has most. So
//! one client can push out its own entries and nobody else's. No call looks at more than a few
//! entries, however many there are. It must not know what an entry stands for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most entries that are remembered at once, for all banks and clients together.
pub const TOLD_MAX: usize = 1_000_000;

/// How long an entry outlives what it is about: who presents a token that has just ended is told
/// so, and is not taken for a stranger.
const GRACE_MS: u64 = Duration::from_secs(86_400).as_millis() as u64;
/// So many, that a lock is rarely waited for, and never long.
const SHARDS: usize = 256;
/// No shard is smaller: in a small one, chance decides who has most.
const SHARD_MIN: usize = 64;
/// Most ended entries that one call clears away of each of two owners.
const CLEARED_MAX: usize = 4;

/// 128 bits of a keyed hash.
pub type Hash = [u64; 2];

/// What is remembered of one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// A keyed hash of the client that has it.
    pub owner: u64,
    /// When it ends, in milliseconds.
    pub ends: u64,
    /// A keyed hash of the username that came with it; 0 for none.
    pub name: u64,
    /// What it came with; 0 where nobody asks.
    pub consent: u64,
}

impl Entry {
    /// Whether nobody may ask for it any more.
    pub(super) const fn is_past(&self, now: u64) -> bool {
        self.ends.saturating_add(GRACE_MS) <= now
    }
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// It is remembered.
    Kept,
    /// It is another owner's, and stays so.
    Taken,
}

/// The book.
#[derive(Debug)]
pub(super) struct Book {
    shards: Vec<Mutex<Shard>>,
    shard_max: usize,
    entries: AtomicUsize,
    evicted: AtomicU64,
}

/// Keys are keyed hashes already, so a fast hash is safe for them.
type Entries = HashMap<Hash, Entry, foldhash::fast::RandomState>;

#[derive(Debug, Default)]
struct Shard {
    entries: Entries,
    /// Each owner's, by their ends.
    by_owner: BTreeMap<u64, BTreeSet<(u64, Hash)>>,
    /// Owners by how many they have.
    by_count: BTreeSet<(usize, u64)>,
    /// Whose ended entries were cleared away last.
    cleared: u64,
}

impl Book {
    pub(super) fn new(entries_max: usize) -> Self {
        let shards = (entries_max / SHARD_MIN).clamp(1, SHARDS);
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            shard_max: (entries_max / shards).max(1),
            entries: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    pub(super) fn find(&self, hash: Hash, now: u64) -> Option<Entry> {
        let entry = *self.shard(hash)?.entries.get(&hash)?;
        (!entry.is_past(now)).then_some(entry)
    }

    /// Remembers an entry, in place of an older one of the same owner.
    pub(super) fn put(&self, hash: Hash, entry: Entry, now: u64) -> Put {
        let Some(mut shard) = self.shard(hash) else { return Put::Taken };
        let before = shard.entries.len();
        if let Some(old) = shard.entries.get(&hash).copied() {
            if old.owner != entry.owner && !old.is_past(now) {
                return Put::Taken;
            }
            shard.remove(hash);
        }
        shard.clear_ended(entry.owner, now);
        let mut evicted = 0;
        while shard.entries.len() >= self.shard_max && shard.evict() {
            evicted += 1;
        }
        shard.insert(hash, entry);
        let after = shard.entries.len();
        drop(shard);
        if evicted > 0 {
            self.evicted.fetch_add(evicted, Ordering::Relaxed);
        }
        self.count(before, after);
        Put::Kept
    }

    pub(super) fn remove(&self, hash: Hash) {
        let Some(mut shard) = self.shard(hash) else { return };
        let before = shard.entries.len();
        shard.remove(hash);
        let after = shard.entries.len();
        drop(shard);
        self.count(before, after);
    }

    /// A copy of each shard, one after the other.
    pub(super) fn each_shard(&self, mut use_shard: impl FnMut(Vec<(Hash, Entry)>)) {
        for shard in &self.shards {
            let entries = lock(shard).entries.iter().map(|(hash, entry)| (*hash, *entry)).collect();
            use_shard(entries);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn count(&self, before: usize, after: usize) {
        if after >= before {
            self.entries.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.entries.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    fn shard(&self, [_, low]: Hash) -> Option<MutexGuard<'_, Shard>> {
        let number = usize::try_from(low % (self.shards.len() as u64)).unwrap_or_default();
        self.shards.get(number).map(lock)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn insert(&mut self, hash: Hash, entry: Entry) {
        self.entries.insert(hash, entry);
        let own = self.by_owner.entry(entry.owner).or_default();
        let before = own.len();
        own.insert((entry.ends, hash));
        let after = own.len();
        self.recount(entry.owner, before, after);
    }

    fn remove(&mut self, hash: Hash) {
        let Some(entry) = self.entries.remove(&hash) else { return };
        let Some(own) = self.by_owner.get_mut(&entry.owner) else { return };
        let before = own.len();
        own.remove(&(entry.ends, hash));
        let after = own.len();
        if after == 0 {
            self.by_owner.remove(&entry.owner);
        }
        self.recount(entry.owner, before, after);
    }

    fn recount(&mut self, owner: u64, before: usize, after: usize) {
        self.by_count.remove(&(before, owner));
        if after > 0 {
            self.by_count.insert((after, owner));
        }
    }

    /// Clears away a few of what has ended: of this owner, and of the next one in a round, so that
    /// those who call no more hold no room for ever.
    fn clear_ended(&mut self, owner: u64, now: u64) {
        let mut others = self.by_owner.range((Bound::Excluded(self.cleared), Bound::Unbounded));
        self.cleared = others.next().map_or(0, |(next, _)| *next);
        for owner in [owner, self.cleared] {
            for _ in 0..CLEARED_MAX {
                let first = self.by_owner.get(&owner).and_then(|own| own.first().copied());
                let Some((ends, hash)) = first else { break };
                if ends.saturating_add(GRACE_MS) > now {
                    break;
                }
                self.remove(hash);
            }
        }
    }

    /// Forgets what ends first of whoever has most; false where there is nothing.
    fn evict(&mut self) -> bool {
        let most = self.by_count.last().and_then(|(_, owner)| self.by_owner.get(owner));
        let Some((_, hash)) = most.and_then(|own| own.first().copied()) else { return false };
        self.remove(hash);
        true
    }
}
