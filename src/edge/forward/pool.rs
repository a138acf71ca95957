//! One worker's idle connections to one bank.
//!
//! Last in, first out: the warmest is used, the coldest age out. This file decides what may be used
//! again. It must not know what is sent.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use tokio::time::Instant;

/// A connection that carries one exchange at a time.
pub(super) struct Single {
    pub(super) sender: http1::SendRequest<Full<Bytes>>,
    /// The socket below, to see what came in while nobody asked.
    pub(super) handle: socket2::Socket,
    pub(super) endpoint: usize,
}

/// A connection that carries many.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) sender: http2::SendRequest<Full<Bytes>>,
    pub(super) endpoint: usize,
}

struct Idle {
    connection: Single,
    since: Instant,
}

/// The connections.
pub(super) struct Pool {
    idle: RefCell<Vec<Idle>>,
    shared: RefCell<Option<(Shared, Instant)>>,
    idle_max: usize,
    idle_timeout: Duration,
}

/// A connection that rested longer than this is looked at before it is used: its bank may have
/// closed it while this worker slept. Under load none rests so long, and the look costs nothing.
const REST_MAX: Duration = Duration::from_millis(20);

impl Pool {
    pub(super) const fn new(idle_max: usize, idle_timeout: Duration) -> Self {
        Self { idle: RefCell::new(Vec::new()), shared: RefCell::new(None), idle_max, idle_timeout }
    }

    /// Takes a connection that is fit for a request.
    pub(super) fn take(&self) -> Option<Single> {
        let now = Instant::now();
        loop {
            let Idle { connection, since } = self.idle.borrow_mut().pop()?;
            let rested = now.saturating_duration_since(since);
            let fit = rested < self.idle_timeout
                && connection.sender.is_ready()
                && (rested < REST_MAX || is_silent(&connection.handle));
            if fit {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next exchange.
    pub(super) fn keep(&self, connection: Single) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.idle_max && !connection.sender.is_closed() {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    /// The connection that carries many, while it lives.
    pub(super) fn shared(&self) -> Option<Shared> {
        let mut kept = self.shared.borrow_mut();
        let (shared, used) = kept.as_mut().filter(|(shared, _)| !shared.sender.is_closed())?;
        *used = Instant::now();
        Some(shared.clone())
    }

    /// Makes a connection the one that carries many.
    pub(super) fn share(&self, shared: Shared) {
        self.shared.replace(Some((shared, Instant::now())));
    }

    /// Gives that connection up; calls that are on it may end.
    pub(super) fn unshare(&self) {
        self.shared.replace(None);
    }

    /// Closes what rested too long or was closed by the bank.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.idle.borrow_mut().retain(|idle| {
            now.saturating_duration_since(idle.since) < self.idle_timeout
                && !idle.connection.sender.is_closed()
        });
        let rests = |(shared, used): &(Shared, Instant)| {
            shared.sender.is_closed() || now.saturating_duration_since(*used) >= self.idle_timeout
        };
        if self.shared.borrow().as_ref().is_some_and(rests) {
            // A call that is still on it holds it open until its answer.
            self.unshare();
        }
    }
}

/// Whether nothing at all came in: no end of stream, no byte that belongs to no answer.
fn is_silent(socket: &socket2::Socket) -> bool {
    // One byte is looked at, not taken. tokio's own readiness may lag behind the kernel's.
    let mut byte = [std::mem::MaybeUninit::uninit()];
    let peeked = socket.peek(&mut byte);
    matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
