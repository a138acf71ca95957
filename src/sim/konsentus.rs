//! A simulated Konsentus: the OBIE token endpoint of seed 001, and where a PSP's `ccg_token` comes
//! from.
//!
//! This file decides how it is started and what a test may ask of it. It must not know how its
//! answers are found: that is `calls`, over the books in `books`.

mod books;
mod calls;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::books::Books;
use super::clock::Clock;
use super::lock;
use super::server::{Listening, Party, Received, Reply, Server};

/// `client:password`, which the sandbox takes from everybody, as `Authorization` has it.
pub const STUB_BASIC: &str = "YXBpLWNvbnN1bWVyLWlkOnBhc3N3b3Jk";
/// The token that the seed's `client_credentials` grant is always answered with.
pub const GOOD_ACCESS_TOKEN: &str = "good-access-token";

/// What a `ccg_token` looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CcgTokens {
    /// Always `good-access-token` (seed); it stands for whichever PSP fetched it last.
    #[default]
    Hardcoded,
    /// Another one each time, so that it names its PSP.
    Distinct,
}

/// How it is started.
#[derive(Clone)]
pub struct KonsentusConfig {
    /// Where and how it listens.
    pub listening: Listening,
    /// What a `ccg_token` looks like.
    pub ccg_tokens: CcgTokens,
    /// How long a `ccg_token` lives.
    pub ccg_life: Duration,
    /// How long it thinks before it gives out a `ccg_token`.
    pub ccg_wait: Duration,
    /// Its tokens and codes follow from this number alone.
    pub seed: u64,
}

impl KonsentusConfig {
    /// The sandbox.
    pub fn new(listening: Listening) -> Self {
        let (ccg_life, ccg_wait) = (Duration::from_secs(3_600), Duration::ZERO);
        Self { listening, ccg_tokens: CcgTokens::default(), ccg_life, ccg_wait, seed: 0 }
    }
}

/// A simulated Konsentus that runs until it is dropped.
pub struct Konsentus {
    desk: Arc<Desk>,
    server: Server,
}

impl Konsentus {
    /// Starts it on a thread of its own.
    ///
    /// # Errors
    /// When its address can't be bound.
    pub fn start(config: KonsentusConfig) -> io::Result<Self> {
        let books = Books::new(config.seed, config.ccg_tokens, config.ccg_life);
        let (books, clock) = (Mutex::new(books), Clock::start());
        let desk = Arc::new(Desk { books, clock, ccg_wait: config.ccg_wait });
        let server = Server::start(config.listening, Arc::clone(&desk) as Arc<dyn Party>)?;
        Ok(Self { desk, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where its control listener is.
    pub fn control(&self) -> Option<SocketAddr> {
        self.server.control()
    }

    /// A user's consent: a code, good once, for 60 seconds, for the PSP whose certificate is
    /// `eidas`, with this redirect URI.
    pub fn issue_code(&self, eidas: &str, redirect_uri: &str) -> String {
        lock(&self.desk.books).issue_code(self.desk.clock.now(), eidas, redirect_uri)
    }

    /// Gives a PSP a `ccg_token` for good, as one that was agreed on beforehand.
    pub fn agree_on(&self, eidas: &str, ccg_token: &str) {
        lock(&self.desk.books).agree_on(eidas, ccg_token);
    }

    /// Takes every fetched `ccg_token` back, without a word.
    pub fn withdraw_ccg_tokens(&self) {
        lock(&self.desk.books).withdraw_ccg_tokens();
    }

    /// Moves its clock ahead, so that codes and tokens expire.
    pub fn advance(&self, by: Duration) {
        self.desk.clock.advance(by);
    }

    /// What it has received, oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.server.requests()
    }

    /// Forgets what it has received. Codes and tokens stay.
    pub fn clear(&self) {
        self.server.clear();
    }
}

struct Desk {
    books: Mutex<Books>,
    clock: Clock,
    ccg_wait: Duration,
}

impl Party for Desk {
    fn answer(&self, request: &Received) -> Reply {
        let mut reply = calls::answer(request, self.clock.now(), &mut lock(&self.books));
        if request.path == calls::CCG_PATH {
            reply.wait += self.ccg_wait;
        }
        reply
    }

    fn reset(&self) {
        lock(&self.books).reset();
    }
}
