//! What the hub was told at a token call, and may need later: whose a token is, until when it
//! lives, and whose name came with it.
//!
//! Nothing that was told can be read out of here: only keyed hashes are kept, for as long as a
//! token may live, and no more of them than a bound. This file decides what is kept and what it
//! proves. The time is handed to it.

mod book;
mod record;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use self::book::{Book, Put};
pub use self::book::{Entry, Hash, TOLD_MAX};
pub use self::record::{RECORD_BYTES, Record};

/// How long a refresh token's owner is known, from the last time that the token was given out or
/// used with success. Longer than the 180 days after which a consent to read accounts has to be
/// renewed (EU 2022/2360).
pub const REFRESH_LIFE: Duration = Duration::from_secs(190 * 86_400);
/// How long a refresh token is still known that was replaced by another one.
const SPENT_LIFE: Duration = Duration::from_secs(3_600);
/// Bytes of the key of the hashes.
pub const KEY_BYTES: usize = 32;

/// The answer to a good token call, as far as it is remembered.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    /// The bank.
    pub target: &'a str,
    /// The client that they were given to.
    pub client: &'a str,
    /// The access token, and how long it lives.
    pub access: (&'a str, Duration),
    /// The refresh token that came with it.
    pub refresh: Option<&'a str>,
    /// The refresh token that it was asked for with.
    pub presented: Option<&'a str>,
    /// The username, where the hub is to vouch for it.
    pub username: Option<&'a str>,
}

/// What is remembered of one access token, for the client that it was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Whether it had ended when it was looked up.
    pub expired: bool,
    /// A keyed hash of the username that came with it; 0 for none.
    name: u64,
}

/// Whose a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The client's that asks.
    Own,
    /// Another client's.
    Another,
    /// Nobody is known to have got it.
    Unknown,
}

/// Where what is remembered is written down, so that it lives longer than the process. It must
/// neither wait nor fail.
pub trait Journal: std::fmt::Debug + Send + Sync {
    /// Notes one change.
    fn note(&self, record: Record);
    /// How many could not be written down.
    fn lost(&self) -> u64;
}

/// The memory.
#[derive(Debug)]
pub struct Memory {
    key: Hmac<Sha256>,
    book: Book,
    /// What [`Entry::ends`] is counted from: a moment, and its milliseconds.
    base: OnceLock<(Instant, u64)>,
    journal: OnceLock<Box<dyn Journal>>,
    /// Since when nothing is missing, in milliseconds; 0 where a restart forgets all.
    begun: AtomicU64,
}

impl Default for Memory {
    /// With a key that is made here and dies with the process.
    fn default() -> Self {
        let mut key = [0; KEY_BYTES];
        let seed = RandomState::new();
        for (part, number) in key.chunks_exact_mut(8).zip(0_u64..) {
            part.copy_from_slice(&seed.hash_one(number).to_ne_bytes());
        }
        Self::with_key(&key, TOLD_MAX)
    }
}

impl Memory {
    /// A memory whose hashes mean the same in another process: it counts by the wall clock, which
    /// is read once.
    pub fn durable(key: &[u8; KEY_BYTES], now: Instant, unix_ms: u64) -> Self {
        let memory = Self::with_key(key, TOLD_MAX);
        let _ = memory.base.set((now, unix_ms));
        memory
    }

    fn with_key(key: &[u8; KEY_BYTES], entries_max: usize) -> Self {
        // RFC 2104: a key that is shorter than a block is filled up with zeros.
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Self {
            key: Hmac::new(&block.into()),
            book: Book::new(entries_max),
            base: OnceLock::new(),
            journal: OnceLock::new(),
            begun: AtomicU64::new(0),
        }
    }

    /// From now on changes are noted there.
    pub fn keep_journal(&self, journal: Box<dyn Journal>) {
        let _ = self.journal.set(journal);
    }

    /// Since `begun`, in Unix milliseconds, nothing is missing.
    pub fn begin(&self, begun: u64) {
        self.begun.fetch_max(begun, Ordering::Relaxed);
    }

    /// Since when that is; 0 where it never was.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Changes that could not be written down.
    pub fn unwritten(&self) -> u64 {
        self.journal.get().map_or(0, |journal| journal.lost())
    }

    /// Whether every token that may still be good is known: it was remembered, over restarts, for
    /// longer than tokens live, and nothing was missed or had to be forgotten early meanwhile.
    pub fn is_complete(&self, now: Instant) -> bool {
        let (begun, life) = (self.begun(), millis(REFRESH_LIFE));
        begun > 0 && self.stamp(now).saturating_sub(begun) > life
    }

    /// Remembers tokens: whose they are, and the name that came with them. What came together
    /// belongs together: it is forgotten together (see [`Self::forget_name`]).
    pub fn tell(&self, tokens: &Tokens<'_>, now: Instant) {
        let Tokens { target, client, access: (access, life), .. } = *tokens;
        let (owner, now) = (self.owner_hash(client), self.stamp(now));
        let ends = now.saturating_add(millis(life.min(REFRESH_LIFE)));
        let renewed = now.saturating_add(millis(REFRESH_LIFE));
        let refresh = tokens.refresh.or(tokens.presented);
        let presented = tokens.presented.map(|token| self.token_hash(target, token));
        let before = presented.and_then(|hash| self.book.find(hash, now));
        let before = before.filter(|entry| entry.owner == owner);
        let name = tokens.username.map(|username| self.short_hash(b'n', &[target, username]));
        let old = before.map(|entry| entry.consent).filter(|old| self.is_live(*old, now));
        // What comes without a name still belongs to what came with one.
        let consent = old.or_else(|| name.map(|_| self.short_hash(b'g', &[target, access])));
        let (name, consent) = (name.unwrap_or_default(), consent.unwrap_or_default());
        if consent != 0 {
            let ends = if refresh.is_some() { renewed } else { ends };
            self.put(self.consent_hash(consent), Entry { owner, ends, name: 0, consent: 0 }, now);
        }
        self.put(self.token_hash(target, access), Entry { owner, ends, name, consent }, now);
        let Some(refresh) = refresh.map(|token| self.token_hash(target, token)) else { return };
        self.put(refresh, Entry { owner, ends: renewed, name: 0, consent }, now);
        if let (Some(presented), Some(before)) = (presented, before)
            && presented != refresh
        {
            let ends = before.ends.min(now.saturating_add(millis(SPENT_LIFE)));
            self.put(presented, Entry { ends, ..before }, now);
        }
    }

    /// What is remembered of a token that this client presents. Nothing of one that is another
    /// client's, or that was revoked.
    pub fn recall(&self, target: &str, client: &str, token: &str, now: Instant) -> Option<Told> {
        let now = self.stamp(now);
        let entry = self.book.find(self.token_hash(target, token), now)?;
        let ours = entry.owner == self.owner_hash(client);
        let live = entry.consent == 0 || self.is_live(entry.consent, now);
        (ours && live).then_some(Told { expired: entry.ends <= now, name: entry.name })
    }

    /// Whose a token is, for this client.
    pub fn owner(&self, target: &str, client: &str, token: &str, now: Instant) -> Owner {
        match self.book.find(self.token_hash(target, token), self.stamp(now)) {
            Some(entry) if entry.owner == self.owner_hash(client) => Owner::Own,
            Some(_) => Owner::Another,
            None => Owner::Unknown,
        }
    }

    /// Whether a username is the one that came with the token. It proves no more than that.
    pub fn is_same_name(&self, told: &Told, target: &str, username: &str) -> bool {
        told.name != 0 && told.name == self.short_hash(b'n', &[target, username])
    }

    /// Vouches no more for the name that came with a token, nor with any that came with it or
    /// after it: this client has revoked it. Whose they are is still known, because the client
    /// may have to revoke each.
    pub fn forget_name(&self, target: &str, client: &str, token: &str, now: Instant) {
        let entry = self.book.find(self.token_hash(target, token), self.stamp(now));
        let entry = entry.filter(|entry| entry.owner == self.owner_hash(client));
        if let Some(entry) = entry.filter(|entry| entry.consent != 0) {
            let hash = self.consent_hash(entry.consent);
            self.book.remove(hash);
            self.note(|| Record::Forget(hash));
        }
    }

    /// Takes over what another process noted.
    pub fn take_over(&self, record: &Record, now: Instant) {
        let now = self.stamp(now);
        match *record {
            Record::Keep(_, entry) if entry.is_past(now) => {}
            Record::Keep(hash, entry) => drop(self.book.put(hash, entry, now)),
            Record::Forget(hash) => self.book.remove(hash),
            Record::Begun(at) => self.begin(at),
        }
    }

    /// Everything that is remembered, piece by piece; no lock is held for longer than for one.
    pub fn each_piece(&self, mut use_piece: impl FnMut(Vec<Record>)) {
        self.book.each_shard(|entries| {
            use_piece(entries.into_iter().map(|(hash, entry)| Record::Keep(hash, entry)).collect());
        });
    }

    /// How many tokens and consents are remembered.
    pub fn len(&self) -> usize {
        self.book.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many were forgotten before their time, for want of room.
    pub fn evicted(&self) -> u64 {
        self.book.evicted()
    }

    /// A short keyed hash of bytes: whether a record is as it was written.
    pub fn seal(&self, bytes: &[u8]) -> u64 {
        first(self.hash(b'r', [bytes].into_iter()))
    }

    fn put(&self, hash: Hash, entry: Entry, now: u64) {
        match self.book.put(hash, entry, now) {
            Put::Kept => self.note(|| Record::Keep(hash, entry)),
            Put::Taken => {}
        }
    }

    fn note(&self, record: impl FnOnce() -> Record) {
        if let Some(journal) = self.journal.get() {
            journal.note(record());
        }
    }

    fn is_live(&self, consent: u64, now: u64) -> bool {
        consent != 0 && self.book.find(self.consent_hash(consent), now).is_some()
    }

    /// Milliseconds, counted by a clock that no jump moves.
    fn stamp(&self, now: Instant) -> u64 {
        let (base, base_ms) = *self.base.get_or_init(|| (now, 0));
        base_ms.saturating_add(millis(now.saturating_duration_since(base)))
    }

    fn token_hash(&self, target: &str, token: &str) -> Hash {
        // A bank may take a token without the spaces around it, so they make no other token.
        let token = token.trim_matches(' ');
        self.hash(b't', [target.as_bytes(), token.as_bytes()].into_iter())
    }

    fn consent_hash(&self, consent: u64) -> Hash {
        self.hash(b'l', [&consent.to_be_bytes()[..]].into_iter())
    }

    fn owner_hash(&self, client: &str) -> u64 {
        self.short_hash(b'c', &[client])
    }

    /// Never 0, which stands for none.
    fn short_hash(&self, kind: u8, parts: &[&str]) -> u64 {
        first(self.hash(kind, parts.iter().map(|part| part.as_bytes()))).max(1)
    }

    /// HMAC-SHA-256 (RFC 2104), cut to 128 bits. Each part is delimited.
    fn hash<'p>(&self, kind: u8, parts: impl Iterator<Item = &'p [u8]>) -> Hash {
        let mut mac = self.key.clone();
        mac.update(&[kind]);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        let mut words = digest.chunks_exact(8).map(|word| word.try_into().map(u64::from_be_bytes));
        [words.next(), words.next()].map(|word| word.and_then(Result::ok).unwrap_or_default())
    }
}

const fn first([first, _]: Hash) -> u64 {
    first
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
