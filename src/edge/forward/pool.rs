//! One worker's idle connections to one bank.
//!
//! Last in, first out: the warmest is used, the coldest age out. This file decides what may be used
//! again, and when a neighbour's is used instead of a new one. It must not know what is sent.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use tokio::time::{Instant, timeout};

use crate::edge::commons::{Loan, Shelves};

/// A connection that carries one exchange at a time.
#[derive(Debug)]
pub(in crate::edge) struct Single {
    pub(super) sender: http1::SendRequest<Full<Bytes>>,
    /// The socket below, to see what came in while nobody asked.
    pub(super) handle: socket2::Socket,
    pub(super) endpoint: usize,
    /// Where it leads, if that came from a name.
    pub(super) address: Option<IpAddr>,
    /// The worker that drives it.
    pub(super) home: usize,
}

/// A connection that carries many.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) sender: http2::SendRequest<Full<Bytes>>,
    pub(super) endpoint: usize,
    /// Where it leads, if that came from a name.
    pub(super) address: Option<IpAddr>,
}

/// A connection that rests on a shelf.
#[derive(Debug)]
pub(in crate::edge) struct Idle {
    connection: Single,
    since: Instant,
}

/// A connection in use; on loan where another worker holds it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) connection: Single,
    loan: Option<Loan>,
}

/// The connections.
pub(super) struct Pool {
    shelves: Arc<Shelves>,
    worker: usize,
    shared: RefCell<Vec<(Shared, Instant)>>,
    idle_max: usize,
    idle_timeout: Duration,
    /// So many were borrowed since the last one that was dialled.
    borrowed: Cell<u32>,
}

/// A connection that rested longer than this is looked at before it is used: its bank may have
/// closed it while this worker slept. Under load none rests so long, and the look costs nothing.
const REST_MAX: Duration = Duration::from_millis(20);
/// So long may a borrowed connection take to be done with its last answer.
const READY_MAX: Duration = Duration::from_secs(1);
/// After so many borrowed connections, one is dialled: to borrow costs a wake-up of the other
/// worker for each call, and a worker with steady traffic should come to have its own.
const BORROWED_MAX: u32 = 16;

impl Taken {
    /// One that this worker dialled.
    pub(super) const fn own(connection: Single) -> Self {
        Self { connection, loan: None }
    }

    pub(super) const fn is_borrowed(&self) -> bool {
        self.loan.is_some()
    }
}

impl Pool {
    pub(super) const fn new(
        shelves: Arc<Shelves>,
        worker: usize,
        idle_max: usize,
        idle_timeout: Duration,
    ) -> Self {
        let shared = RefCell::new(Vec::new());
        Self { shelves, worker, shared, idle_max, idle_timeout, borrowed: Cell::new(0) }
    }

    /// Takes a connection to an address that is fit for a request.
    pub(super) fn take(&self, endpoint: usize) -> Option<Taken> {
        let now = Instant::now();
        let mut shelf = self.shelves.own(self.worker)?;
        loop {
            // One that is not ready has not done with its last answer; it will be soon.
            let usable = |idle: &Idle| {
                idle.connection.endpoint == endpoint
                    && (idle.connection.sender.is_ready() || idle.connection.sender.is_closed())
            };
            let place = shelf.iter().rposition(usable)?;
            let Idle { connection, since } = shelf.remove(place);
            let rested = now.saturating_duration_since(since);
            let fit = rested < self.idle_timeout
                && connection.sender.is_ready()
                && (rested < REST_MAX || is_silent(&connection.handle));
            if fit {
                return Some(Taken::own(connection));
            }
        }
    }

    /// Takes one that a neighbour holds and does not use, rather than to dial. Now and then it
    /// gives none, so that this worker dials its own.
    pub(super) fn borrow(&self, endpoint: usize) -> Option<Taken> {
        if self.borrowed.get() >= BORROWED_MAX {
            self.borrowed.set(0);
            return None;
        }
        let now = Instant::now();
        let fits = |idle: &Idle| {
            idle.connection.endpoint == endpoint
                && now.saturating_duration_since(idle.since) < self.idle_timeout
                && idle.connection.sender.is_ready()
                && is_silent(&idle.connection.handle)
        };
        let (idle, loan) = self.shelves.borrow(self.worker, fits)?;
        self.borrowed.set(self.borrowed.get() + 1);
        Some(Taken { connection: idle.connection, loan: Some(loan) })
    }

    /// Keeps a connection for the next exchange, where it is driven.
    pub(super) fn keep(&self, taken: Taken) {
        let Taken { mut connection, loan } = taken;
        let (shelves, idle_max) = (self.shelves.clone(), self.idle_max);
        let Some(loan) = loan else { return lay(&shelves, idle_max, connection) };
        // Its driver is on another thread, and may not have seen yet that the answer is over.
        tokio::task::spawn_local(async move {
            if let Ok(Ok(())) = timeout(READY_MAX, connection.sender.ready()).await {
                lay(&shelves, idle_max, connection);
            }
            // Given back behind the connection: until then its holder stays.
            drop(loan);
        });
    }

    /// The connection to an address that carries many, while it lives.
    pub(super) fn shared(&self, endpoint: usize) -> Option<Shared> {
        let mut kept = self.shared.borrow_mut();
        let fit = |shared: &Shared| shared.endpoint == endpoint && !shared.sender.is_closed();
        let (shared, used) = kept.iter_mut().find(|(shared, _)| fit(shared))?;
        *used = Instant::now();
        Some(shared.clone())
    }

    /// Makes a connection the one that carries many.
    pub(super) fn share(&self, shared: Shared) {
        self.unshare(shared.endpoint);
        self.shared.borrow_mut().push((shared, Instant::now()));
    }

    /// Gives that connection up; calls that are on it may end.
    pub(super) fn unshare(&self, endpoint: usize) {
        self.shared.borrow_mut().retain(|(shared, _)| shared.endpoint != endpoint);
    }

    /// Whether there is no connection.
    pub(super) fn is_empty(&self) -> bool {
        let idle = self.shelves.own(self.worker).is_none_or(|shelf| shelf.is_empty());
        idle && self.shared.borrow().is_empty()
    }

    /// Closes what rested too long, was closed by the bank, or leads to where it should not any
    /// more. A call that is still on a shared one holds it open until its answer.
    pub(super) fn sweep(&self, leads_right: impl Fn(usize, IpAddr) -> bool) {
        let now = Instant::now();
        let right = |endpoint, address: Option<IpAddr>| {
            address.is_none_or(|address| leads_right(endpoint, address))
        };
        if let Some(mut shelf) = self.shelves.own(self.worker) {
            shelf.retain(|Idle { connection, since }| {
                now.saturating_duration_since(*since) < self.idle_timeout
                    && !connection.sender.is_closed()
                    && right(connection.endpoint, connection.address)
            });
        }
        self.shared.borrow_mut().retain(|(shared, used)| {
            now.saturating_duration_since(*used) < self.idle_timeout
                && !shared.sender.is_closed()
                && right(shared.endpoint, shared.address)
        });
    }
}

/// Lays a connection on the shelf of the worker that drives it.
fn lay(shelves: &Shelves, idle_max: usize, connection: Single) {
    if let Some(mut shelf) = shelves.own(connection.home)
        && shelf.len() < idle_max
        && !connection.sender.is_closed()
    {
        shelf.push(Idle { connection, since: Instant::now() });
    }
}

/// Whether nothing at all came in: no end of stream, no byte that belongs to no answer.
fn is_silent(socket: &socket2::Socket) -> bool {
    // One byte is looked at, not taken. tokio's own readiness may lag behind the kernel's.
    let mut byte = [std::mem::MaybeUninit::uninit()];
    let peeked = socket.peek(&mut byte);
    matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
