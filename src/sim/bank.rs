//! A simulated bLink bank: the provider's side of the seed (bLink 2.0.15.1-fi).
//!
//! This file decides what a bank is started with and what a test may ask of it. It must not know
//! how its answers are found: that is `calls`, over the books in `books`.

mod books;
mod calls;
mod mischief;

pub use mischief::{MAGIC, Mischief};

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use self::books::Books;
use super::lock;
use super::server::{Listening, Party, Received, Reply, Server};

/// What kind of bank it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Temper {
    /// As the seed and RFC 6749 say.
    #[default]
    Correct,
    /// One token for each user and client: a second consent ends the first without a word.
    OneConsent,
    /// The first refresh of a consent is carried out, yet answered with 504: the new token is
    /// lost. A hub that sends the refresh again is told `invalid_grant`.
    LosesRefresh,
}

/// Where the bank serves each call. A bank may put them below a base path of its own (seed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankPaths {
    /// The token endpoint.
    pub token: String,
    /// The revocation endpoint.
    pub revoke: String,
    /// The username validation endpoint.
    pub username: String,
}

impl BankPaths {
    /// `BASE/token`, `BASE/revoke`, `BASE/username`.
    pub fn below(base: &str) -> Self {
        let path = |call: &str| format!("{base}/{call}");
        Self { token: path("token"), revoke: path("revoke"), username: path("username") }
    }
}

impl Default for BankPaths {
    fn default() -> Self {
        Self::below("/oauth")
    }
}

/// How a bank is started.
#[derive(Clone)]
pub struct BankConfig {
    /// Where and how it listens.
    pub listening: Listening,
    /// Where it serves each call.
    pub paths: BankPaths,
    /// What kind of bank it is.
    pub temper: Temper,
    /// Its tokens and codes follow from this number alone, and differ from another seed's.
    pub seed: u64,
}

impl BankConfig {
    /// A correct bank.
    pub fn new(listening: Listening) -> Self {
        let (paths, temper) = (BankPaths::default(), Temper::default());
        Self { listening, paths, temper, seed: 0 }
    }
}

/// A simulated bank that runs until it is dropped.
pub struct Bank {
    desk: Arc<Desk>,
    server: Server,
}

impl Bank {
    /// Starts a bank on a thread of its own.
    ///
    /// # Errors
    /// When its address can't be bound.
    pub fn start(config: BankConfig) -> io::Result<Self> {
        let books = Books::new(config.seed, config.temper);
        let desk = Arc::new(Desk {
            paths: config.paths,
            books: Mutex::new(books),
            opened: Instant::now(),
            ahead: Mutex::new(Duration::ZERO),
        });
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

    /// A user's consent: a code, to be redeemed once, within 30 seconds, by this client, for this
    /// user, and with this redirect URI if one was given.
    pub fn issue_code(
        &self,
        client_id: &str,
        username: &str,
        redirect_uri: Option<&str>,
    ) -> String {
        let now = self.desk.now();
        lock(&self.desk.books).issue_code(now, client_id, username, redirect_uri)
    }

    /// Moves the bank's clock ahead, so that codes and tokens expire.
    pub fn advance(&self, by: Duration) {
        *lock(&self.desk.ahead) += by;
    }

    /// What it has received, oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.server.requests()
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> u64 {
        self.server.connections()
    }

    /// Forgets what it has received. Codes and tokens stay.
    pub fn clear(&self) {
        self.server.clear();
    }

    /// Forgets codes and tokens too.
    pub fn reset(&self) {
        self.clear();
        self.desk.reset();
    }
}

/// The bank behind its listener.
struct Desk {
    paths: BankPaths,
    books: Mutex<Books>,
    opened: Instant,
    ahead: Mutex<Duration>,
}

impl Desk {
    /// The bank's time: since it was opened.
    fn now(&self) -> Duration {
        self.opened.elapsed() + *lock(&self.ahead)
    }
}

impl Party for Desk {
    fn answer(&self, request: &Received) -> Reply {
        calls::answer(request, &self.paths, self.now(), &mut lock(&self.books))
    }

    fn reset(&self) {
        lock(&self.books).reset();
    }
}
