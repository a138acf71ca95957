//! A simulated Oxlin: its authorization server and as much of its API as the hub has a use for,
//! behind one listener (seed 003).
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
pub use self::books::Pair;
use super::clock::Clock;
use super::lock;
use super::server::{Listening, Party, Received, Reply, Server};

/// The id that the hub goes by.
pub const CLIENT_ID: &str = "oxlin-hub";
/// Its secret.
pub const CLIENT_SECRET: &str = "oxlin-hub-secret";

/// How it is started.
#[derive(Clone)]
pub struct OxlinConfig {
    /// Where and how it listens.
    pub listening: Listening,
    /// Whether `authorization_code` is a grant. The seed has none.
    pub takes_codes: bool,
    /// How long it thinks about a token call.
    pub token_wait: Duration,
    /// Its tokens follow from this number alone.
    pub seed: u64,
}

impl OxlinConfig {
    /// As the seed has it.
    pub fn new(listening: Listening) -> Self {
        Self { listening, takes_codes: false, token_wait: Duration::ZERO, seed: 0 }
    }
}

/// A simulated Oxlin that runs until it is dropped.
pub struct Oxlin {
    desk: Arc<Desk>,
    server: Server,
}

impl Oxlin {
    /// Starts it on a thread of its own.
    ///
    /// # Errors
    /// When its address can't be bound.
    pub fn start(config: OxlinConfig) -> io::Result<Self> {
        let desk = Arc::new(Desk {
            books: Mutex::new(Books::new(config.seed, config.takes_codes)),
            clock: Clock::start(),
            token_wait: config.token_wait,
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

    /// A user who has an account but has not accepted the terms, with tokens.
    pub fn add_user(&self, email: &str) -> Pair {
        lock(&self.desk.books).grant(self.desk.clock.now(), email)
    }

    /// The user accepts the terms: until then the API answers 401 (seed).
    pub fn accept_terms(&self, email: &str) {
        lock(&self.desk.books).accept_terms(email);
    }

    /// Moves its clock ahead, so that tokens expire.
    pub fn advance(&self, by: Duration) {
        self.desk.clock.advance(by);
    }

    /// What it has received, oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.server.requests()
    }

    /// Forgets what it has received. Users and tokens stay.
    pub fn clear(&self) {
        self.server.clear();
    }
}

struct Desk {
    books: Mutex<Books>,
    clock: Clock,
    token_wait: Duration,
}

impl Party for Desk {
    fn answer(&self, request: &Received) -> Reply {
        let mut reply = calls::answer(request, self.clock.now(), &mut lock(&self.books));
        if request.path == calls::TOKEN_PATH {
            reply.wait += self.token_wait;
        }
        reply
    }

    fn reset(&self) {
        lock(&self.books).reset();
    }
}
