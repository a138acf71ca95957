//! Correlation ids as banks give them back: whose answer is it?
//!
//! This file decides what an id in an answer says about whose answer it is, and remembers which
//! operations of a bank give the id back. It must not know connections.

mod sent;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderValue, Method};

use self::sent::{PART_BYTES, folded, hash, is_same, texts};
pub use self::sent::{SentId, SentIds, Strange};
use crate::dialect::{CorrelationFields, Host};
use crate::endpoints::ENDPOINTS_MAX;
use crate::fault::Name;
use crate::framing::fields::Fields;
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

/// How an answer's correlation id stands to the request's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// The request had none.
    Unasked,
    /// The answer has none.
    Missing,
    /// It is the request's, as it was sent or as banks write it.
    Same,
    /// It is another call's, which was sent to this bank lately; or that is in it, too.
    AnotherCalls,
    /// The field is there, and nothing in it.
    Empty,
    /// It is none that was sent lately.
    Unknown,
}

impl Echo {
    /// Looks at an answer to a request whose correlation id is in these fields. `was_sent` says
    /// whether something of it was sent to this bank lately, for another call.
    pub fn of(
        fields: &CorrelationFields,
        request: &Fields,
        answer: &Fields,
        was_sent: impl FnOnce(&Strange) -> bool,
    ) -> Self {
        let Some(own) = fields.values_in(request).next() else { return Self::Unasked };
        let answered = || fields.values_in(answer);
        let mut ids = answered();
        match (ids.next(), ids.next()) {
            (None, _) => return Self::Missing,
            // The usual case needs no more.
            (Some(id), None) if id == own => return Self::Same,
            _ => {}
        }
        // Another call's id says more than the own one beside it: who mixes two calls up may write
        // both.
        let strange = Strange::of(answered(), own);
        if !strange.is_nothing() && was_sent(&strange) {
            return Self::AnotherCalls;
        }
        // Also cut, or with something in front or behind.
        if answered().flat_map(texts).any(|id| is_same(id, own) || shares(own, id)) {
            return Self::Same;
        }
        let is_empty = |id: &HeaderValue| folded(id.as_bytes()).next().is_none();
        if answered().all(is_empty) {
            return Self::Empty;
        }
        Self::Unknown
    }
}

/// Whether one of two ids stands in the other, and is long enough to tell.
fn shares(own: &HeaderValue, id: &[u8]) -> bool {
    let [own, id]: [Vec<u8>; 2] = [own.as_bytes(), id].map(|text| folded(text).collect());
    let is_in =
        |text: &[u8], id: &[u8]| id.len() >= PART_BYTES && memchr::memmem::find(text, id).is_some();
    is_in(&own, &id) || is_in(&id, &own)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn paths() -> Paths {
        let path = |text: &str| Some(Name::from(text));
        Paths { token: path("/token"), revoke: path("/revoke"), username: None }
    }

    fn operation(method: &Method, path: &str) -> EchoOperation {
        EchoOperation::of(method, &path.into(), &paths(), Host::Main, 0)
    }

    const NAME: HeaderName = HeaderName::from_static("x-request-id");

    fn fields(ids: &[&str]) -> Fields {
        ids.iter().map(|id| (NAME, id.parse().unwrap())).collect()
    }

    /// What an answer's ids are to the request's, where these were sent before.
    fn echo(sent: &str, answered: &[&str], before: &[&str]) -> Echo {
        let ids = SentIds::default();
        for id in before.iter().chain([&sent]) {
            ids.end(ids.begin(SentId::of(&id.parse().unwrap())));
        }
        let names = CorrelationFields::from([None, Some(&NAME)]);
        let was_sent = |strange: &Strange| ids.are_in(strange);
        Echo::of(&names, &fields(&[sent]), &fields(answered), was_sent)
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
            "front-1, 5F0C6A2E-8D3B-4B57-9F77-0A1B2C3D4E5F",
        ] {
            // Also beside another call's that begins or ends with the same letters.
            let others = ["5F0C6A2E-8D3B-4B57-9F77-1", "2-8D3B-4B57-9F77-0A1B2C3D4E5F"];
            assert_eq!(echo(sent, &[answered], &others), Echo::Same, "{answered}");
        }
        assert_eq!(echo(sent, &["front-1", sent], &[]), Echo::Same);
        assert_eq!(echo("ab-1", &["AB-1"], &["ab1"]), Echo::Same);
        assert_eq!(echo("ab-1", &["gw, ab-1"], &[]), Echo::Same);
        assert_eq!(echo("a,b", &["a,b"], &["b"]), Echo::Same, "no list");
        assert_eq!(echo("ab-1", &["ab"], &[]), Echo::Unknown, "too short to tell");
    }

    #[test]
    fn an_id_that_was_sent_for_another_call_is_that_calls() {
        let (mine, other) = ("5f0c6a2e-8d3b-4b57-9f77-000000000001", "5f0c6a2e-other-call-0002");
        assert_eq!(echo(mine, &[other], &[other]), Echo::AnotherCalls);
        assert_eq!(echo(mine, &[&other.to_uppercase()], &[other]), Echo::AnotherCalls);
        assert_eq!(echo(mine, &[other], &[]), Echo::Unknown);
        // Of whatever length.
        for other in ["1", "1002", "a.b", "fifteen-letters", "---"] {
            assert_eq!(echo(mine, &[other], &[other]), Echo::AnotherCalls, "{other}");
            let listed = format!("x-y, {other}");
            assert_eq!(echo("x", &[&listed], &[other]), Echo::AnotherCalls, "{listed}");
        }
    }

    #[test]
    fn another_calls_id_beside_the_own_one_is_another_calls() {
        let (mine, other) = ("mine-1", "other-2");
        for answered in [
            &[mine, other][..],
            &[other, mine],
            &["mine-1, other-2"],
            &["other-2,mine-1"],
            &["mine-1", "x, OTHER-2 ,y"],
        ] {
            assert_eq!(echo(mine, answered, &[other]), Echo::AnotherCalls, "{answered:?}");
        }
    }

    #[test]
    fn a_telling_part_of_another_calls_id_is_another_calls() {
        let (mine, other) =
            ("5f0c6a2e-8d3b-4b57-9f77-000000000001", "5f0c6a2e-8d3b-4b57-9f77-00000000000a");
        for answered in [format!("bank-{other}"), format!("{other}-1")] {
            assert_eq!(echo(mine, &[&answered], &[other]), Echo::AnotherCalls, "{answered}");
        }
        let unlike = "c7a1b2d3-1111-4222-8333-444455556666";
        for answered in [&unlike[..20], &unlike[12..], &format!("b-{unlike}-1")] {
            assert_eq!(echo(mine, &[answered], &[unlike]), Echo::AnotherCalls, "{answered}");
        }
        assert_eq!(echo(mine, &[&unlike[..17]], &[unlike]), Echo::Unknown, "fifteen letters");
        let both = format!("{mine} {unlike}");
        assert_eq!(echo(mine, &[&both], &[unlike]), Echo::AnotherCalls);
    }

    #[test]
    fn of_two_calls_with_one_id_nothing_can_be_known() {
        assert_eq!(echo("same-id", &["same-id"], &["same-id"]), Echo::Same);
        assert_eq!(echo("same-id", &["SAMEID"], &["same-id"]), Echo::Same);
    }

    #[test]
    fn what_is_not_there_says_nothing() {
        assert_eq!(echo("a", &[], &[]), Echo::Missing);
        assert_eq!(echo("a", &[""], &["b"]), Echo::Empty);
        assert_eq!(echo("a", &[" , ", "-"], &["b"]), Echo::Empty);
        let (none, names) = (Fields::new(), CorrelationFields::default());
        assert_eq!(Echo::of(&names, &fields(&["a"]), &none, |_| true), Echo::Unasked);
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
}
