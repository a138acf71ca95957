//! Correlation ids as banks give them back: whose answer is it?
//!
//! This file decides what an id in an answer says about whose answer it is, and what is remembered
//! for that: which operations of a bank give the id back, and which ids were sent to it lately. It
//! must not know connections, and it keeps hashes, no ids.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use http::{HeaderValue, Method};

use crate::dialect::Host;
use crate::endpoints::ENDPOINTS_MAX;
use crate::fault::Name;
use crate::routes::Paths;

/// What is known of one bank, by operation and address: a bank that gives the id back with its
/// token answers may not do so with a revocation, and what stands behind another address may be
/// other software.
#[derive(Debug, Default)]
pub struct Echoes {
    consent: [AtomicU64; 3],
    others: OnceLock<Box<[Other; OTHERS_MAX]>>,
}

/// So many operations beside the consent flow's are remembered.
const OTHERS_MAX: usize = 32;

#[derive(Debug, Default)]
struct Other {
    operation: AtomicU64,
    habits: AtomicU64,
}

/// One operation at one address of a bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EchoOperation {
    kind: Kind,
    /// Where in the 64 bits of an operation its two are.
    shift: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The token, revocation or username call.
    Consent(usize),
    /// Another, by a hash of method and path.
    Other(u64),
}

/// It gave an id back.
const ECHOES: u64 = 1;
/// It gave an answer, which was the first of its connection and so nobody else's, an id of its own.
const NAMES_ITS_OWN: u64 = 2;

/// How an operation answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habit(u64);

impl Habit {
    /// Nothing is known.
    pub const NONE: Self = Self(0);

    /// It gives the id back.
    pub const fn echoes(self) -> bool {
        self.0 & ECHOES != 0
    }

    /// It was seen to answer under an id of its own.
    pub const fn names_its_own(self) -> bool {
        self.0 & NAMES_ITS_OWN != 0
    }
}

impl EchoOperation {
    /// The operation of a request to a bank with these paths, at one of the addresses of a host.
    pub fn of(method: &Method, path: &Name, paths: &Paths, host: Host, endpoint: usize) -> Self {
        let host = match host {
            Host::Main => 0,
            Host::Auth => 1,
        };
        let place = host * ENDPOINTS_MAX + endpoint % ENDPOINTS_MAX;
        // Two bits for each of two hosts with 16 addresses: below 64.
        Self { kind: Kind::of(method, path, paths), shift: place as u32 * 2 }
    }
}

impl Kind {
    fn of(method: &Method, path: &Name, paths: &Paths) -> Self {
        let consent = [&paths.token, &paths.revoke, &paths.username];
        let same = |known: &Option<Name>| known.as_ref().is_some_and(|known| known == path);
        if let Some(index) = consent.into_iter().position(same) {
            return Self::Consent(index);
        }
        let path = path.split_once('?').map_or(&**path, |(path, _)| path);
        // A segment with a digit in it is taken for the id of something.
        let is_id = |segment: &str| segment.bytes().any(|byte| byte.is_ascii_digit());
        let segments = path.split('/').map(|part| if is_id(part) { "*" } else { part });
        let method = method.as_str().bytes();
        Self::Other(hash(method.chain(segments.flat_map(|part| part.bytes().chain([b'/'])))))
    }
}

impl Echoes {
    /// What is known of an operation.
    pub fn habit(&self, operation: EchoOperation) -> Habit {
        let habits = self.slot(operation.kind, false).map(|slot| slot.load(Ordering::Relaxed));
        Habit(habits.unwrap_or_default() >> operation.shift & (ECHOES | NAMES_ITS_OWN))
    }

    /// It gave the id back.
    pub fn note_echo(&self, operation: EchoOperation) {
        self.note(operation, ECHOES);
    }

    /// It answered the first call of a connection under an id that nobody sent.
    pub fn note_its_own(&self, operation: EchoOperation) {
        self.note(operation, NAMES_ITS_OWN);
    }

    fn note(&self, operation: EchoOperation, flag: u64) {
        // Said once: to write it at each answer would cost the other workers.
        if self.habit(operation).0 & flag == 0
            && let Some(slot) = self.slot(operation.kind, true)
        {
            slot.fetch_or(flag << operation.shift, Ordering::Relaxed);
        }
    }

    fn slot(&self, kind: Kind, make: bool) -> Option<&AtomicU64> {
        let hash = match kind {
            Kind::Consent(index) => return self.consent.get(index),
            Kind::Other(hash) => hash,
        };
        let others = match self.others.get() {
            Some(others) => others,
            None if make => self.others.get_or_init(Box::default),
            None => return None,
        };
        for other in others.iter() {
            let known = match other.operation.load(Ordering::Relaxed) {
                0 if !make => return None,
                0 => {
                    let order = Ordering::Relaxed;
                    let taken = other.operation.compare_exchange(0, hash, order, order);
                    taken.err().unwrap_or(hash)
                }
                known => known,
            };
            if known == hash {
                return Some(&other.habits);
            }
        }
        None
    }
}

/// The ids that one worker sent to one bank lately. Others look in, and nobody waits.
#[derive(Debug, Default)]
pub struct SentIds {
    /// Made with the first.
    hashes: OnceLock<Box<[AtomicU64; SENT_MAX]>>,
    next: AtomicUsize,
}

/// More than a worker has calls at one bank at once, as a rule; each connection knows its own
/// besides.
const SENT_MAX: usize = 32;

impl SentIds {
    /// This id is sent. Only its own worker says so.
    pub fn note(&self, id: IdHash) {
        let next = self.next.load(Ordering::Relaxed);
        let hashes = self.hashes.get_or_init(Box::default);
        if let Some(slot) = hashes.get(next % SENT_MAX) {
            slot.store(id.0, Ordering::Relaxed);
        }
        self.next.store(next.wrapping_add(1), Ordering::Relaxed);
    }

    /// Whether an id was sent lately.
    pub fn contains(&self, id: IdHash) -> bool {
        let is = |sent: &AtomicU64| sent.load(Ordering::Relaxed) == id.0;
        self.hashes.get().is_some_and(|hashes| hashes.iter().any(is))
    }
}

/// A correlation id, without what a bank may change about it: case, and all but letters and digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IdHash(u64);

impl IdHash {
    /// The hash of an id; none where nothing of it is left.
    pub fn of(id: &HeaderValue) -> Option<Self> {
        folded(id).next()?;
        Some(Self(hash(folded(id))))
    }
}

/// How an answer's correlation id stands to the request's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// The request had none.
    Unasked,
    /// The answer has none.
    Missing,
    /// It is the request's, as it was sent or as banks write it.
    Same,
    /// It is another call's, which was sent to this bank lately.
    AnotherCalls,
    /// It is none that was sent lately.
    Unknown,
}

/// An id shorter than this can be met by chance: for an id of a bank's own that is a number, say.
const TELLING_BYTES: usize = 16;

impl Echo {
    /// Looks at the ids of an answer to a request that had the id `sent`. `was_sent` says whether
    /// an id was sent to this bank lately; `echoes` whether this operation gives ids back.
    pub fn of<'v, I: Iterator<Item = &'v HeaderValue>>(
        sent: Option<&HeaderValue>,
        answered: impl Fn() -> I,
        echoes: bool,
        was_sent: impl Fn(IdHash) -> bool,
    ) -> Self {
        let Some(sent) = sent else { return Self::Unasked };
        if answered().next().is_none() {
            return Self::Missing;
        }
        if answered().any(|id| id == sent || is_folded_same(sent, id)) {
            return Self::Same;
        }
        let is_another = |id: &HeaderValue| {
            let tells = echoes || folded(id).count() >= TELLING_BYTES;
            tells && IdHash::of(id).is_some_and(&was_sent)
        };
        if answered().any(is_another) {
            return Self::AnotherCalls;
        }
        // Cut, or with something in front or behind.
        if answered().any(|id| contains(sent, id) || contains(id, sent)) {
            return Self::Same;
        }
        Self::Unknown
    }
}

fn is_folded_same(one: &HeaderValue, other: &HeaderValue) -> bool {
    folded(one).next().is_some() && folded(one).eq(folded(other))
}

/// Whether all of an id that is long enough to tell stands in another text.
fn contains(text: &HeaderValue, id: &HeaderValue) -> bool {
    let (text, id): (Vec<u8>, Vec<u8>) = (folded(text).collect(), folded(id).collect());
    id.len() >= TELLING_BYTES && memchr::memmem::find(&text, &id).is_some()
}

fn folded(id: &HeaderValue) -> impl Iterator<Item = u8> {
    let bytes = id.as_bytes().iter().filter(|byte| byte.is_ascii_alphanumeric());
    bytes.map(u8::to_ascii_lowercase)
}

/// FNV-1a in 64 bits, and never 0, which stands for nothing.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.fold(0xcbf2_9ce4_8422_2325, step).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> HeaderValue {
        text.parse().unwrap()
    }

    fn paths() -> Paths {
        let path = |text: &str| Some(Name::from(text));
        Paths { token: path("/token"), revoke: path("/revoke"), username: None }
    }

    fn operation(method: &Method, path: &str) -> EchoOperation {
        EchoOperation::of(method, &path.into(), &paths(), Host::Main, 0)
    }

    /// What an answer's id is to the request's, where these were sent before.
    fn echo(sent: &str, answered: &[&str], before: &[&str], echoes: bool) -> Echo {
        let ids = SentIds::default();
        for id in before.iter().chain([&sent]) {
            ids.note(IdHash::of(&value(id)).unwrap());
        }
        let answered: Vec<_> = answered.iter().map(|id| value(id)).collect();
        Echo::of(Some(&value(sent)), || answered.iter(), echoes, |id| ids.contains(id))
    }

    #[test]
    fn an_id_that_a_bank_writes_in_its_own_way_is_the_same() {
        let sent = "5F0C6A2E-8D3B-4B57-9F77-0A1B2C3D4E5F";
        for answered in [
            sent,
            "5f0c6a2e-8d3b-4b57-9f77-0a1b2c3d4e5f",
            "5f0c6a2e8d3b4b579f770a1b2c3d4e5f",
            "{5F0C6A2E-8D3B-4B57-9F77-0A1B2C3D4E5F}",
            "5F0C6A2E-8D3B-4B57-9F77",
            "node7;5F0C6A2E-8D3B-4B57-9F77-0A1B2C3D4E5F",
        ] {
            assert_eq!(echo(sent, &[answered], &[], true), Echo::Same, "{answered}");
        }
        assert_eq!(echo(sent, &["front-1", sent], &[], true), Echo::Same);
        assert_eq!(echo("ab-1", &["AB-1"], &["ab1"], true), Echo::Same);
        assert_eq!(echo("ab-1", &["ab"], &[], true), Echo::Unknown, "too short to tell");
    }

    #[test]
    fn an_id_that_was_sent_for_another_call_is_that_calls() {
        let (mine, other) = ("5f0c6a2e-8d3b-4b57-9f77-000000000001", "5f0c6a2e-other-call-0002");
        assert_eq!(echo(mine, &[other], &[other], true), Echo::AnotherCalls);
        assert_eq!(echo(mine, &[&other.to_uppercase()], &[other], false), Echo::AnotherCalls);
        assert_eq!(echo(mine, &[other], &[], true), Echo::Unknown);
        // A bank that counts may come by a short id that a client chose.
        assert_eq!(echo(mine, &["1002"], &["1002"], false), Echo::Unknown);
        assert_eq!(echo(mine, &["1002"], &["1002"], true), Echo::AnotherCalls);
    }

    #[test]
    fn what_is_not_there_says_nothing() {
        assert_eq!(echo("a", &[], &[], true), Echo::Missing);
        let none = Echo::of(None, || [].iter(), true, |_| true);
        assert_eq!(none, Echo::Unasked);
    }

    #[test]
    fn what_is_known_is_known_of_one_operation() {
        let echoes = Echoes::default();
        let token = operation(&Method::POST, "/token");
        echoes.note_echo(token);
        assert!(echoes.habit(token).echoes());
        let elsewhere = [(Host::Main, 1), (Host::Auth, 0), (Host::Auth, 15)];
        for (host, endpoint) in elsewhere {
            let at = EchoOperation::of(&Method::POST, &"/token".into(), &paths(), host, endpoint);
            assert!(!echoes.habit(at).echoes(), "another address");
        }
        let user = operation(&Method::GET, "/users/4711?x=1");
        for other in [operation(&Method::POST, "/revoke"), user] {
            assert!(!echoes.habit(other).echoes());
        }
        echoes.note_echo(user);
        echoes.note_its_own(user);
        let another = operation(&Method::GET, "/users/4712");
        assert!(echoes.habit(another).echoes() && echoes.habit(another).names_its_own());
        assert!(!echoes.habit(operation(&Method::PUT, "/users/4712")).echoes());
    }

    #[test]
    fn so_many_operations_are_remembered_and_no_more() {
        let echoes = Echoes::default();
        let name = |number: usize| "x".repeat(number + 1);
        for number in 0..1_000 {
            echoes.note_echo(operation(&Method::GET, &format!("/{}", name(number))));
        }
        let known = (0..1_000).filter(|number| {
            echoes.habit(operation(&Method::GET, &format!("/{}", name(*number)))).echoes()
        });
        assert_eq!(known.count(), OTHERS_MAX);
        echoes.note_echo(operation(&Method::POST, "/token"));
        assert!(echoes.habit(operation(&Method::POST, "/token")).echoes());
    }

    #[test]
    fn the_ids_of_long_ago_are_forgotten() {
        let ids = SentIds::default();
        let id = |number: usize| IdHash::of(&value(&format!("id{number}"))).unwrap();
        (0..=SENT_MAX).for_each(|number| ids.note(id(number)));
        assert!(!ids.contains(id(0)));
        assert!((1..=SENT_MAX).all(|number| ids.contains(id(number))));
    }
}
