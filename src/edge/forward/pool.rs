//! One worker's idle connections to one bank.
//!
//! Last in, first out: the warmest is used, the coldest age out. This file decides what may be used
//! again, and when a neighbour's is used instead of a new one. It must not know what is sent.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::http2::Shared;
use super::wire::Wire;
use crate::concurrency::may_have_more;
use crate::echoes::{SentId, Strange};
use crate::edge::commons::Shelves;
use crate::ids::ClientKey;

/// A connection that carries one exchange at a time.
#[derive(Debug)]
pub(super) struct Single {
    pub(super) wire: Wire,
    pub(super) endpoint: usize,
    /// Where it leads, if that came from a name.
    pub(super) address: Option<IpAddr>,
    /// The ids of the calls that it carried last: an answer too many would be to one of them.
    pub(super) sent: [SentId; SENT_ON_ONE],
}

/// So many ids of a connection's own are kept.
const SENT_ON_ONE: usize = 4;

impl Single {
    pub(super) fn new(wire: Wire, endpoint: usize, address: Option<IpAddr>) -> Self {
        Self { wire, endpoint, address, sent: Default::default() }
    }

    /// It carries a call under this id.
    pub(super) fn note_sent(&mut self, id: SentId) {
        self.sent.rotate_right(1);
        if let Some(newest) = self.sent.first_mut() {
            *newest = id;
        }
    }
}

/// Connections in HTTP/2 that each worker has to one address at most: more than one only where the
/// bank allows few streams.
const SHARED_MAX: usize = 4;

/// What there is to an address that is spoken to in HTTP/2.
pub(super) enum Many {
    /// A connection with a stream free.
    Free(Shared),
    /// None; one more may be made.
    None,
    /// None, and no more may be made: the bank allows no stream, or no more of them.
    Full,
}

/// The id of a call that is under way.
pub(super) struct UnderWay<'p> {
    pool: &'p Pool,
    place: Option<usize>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let Self { pool, place } = self;
        if let (Some(sent), Some(place)) = (pool.shelves.sent(pool.worker), place) {
            sent.end(*place);
        }
    }
}

/// A connection that rests on a shelf.
#[derive(Debug)]
pub(in crate::edge) struct Idle {
    connection: Single,
    since: Instant,
}

/// The connections.
pub(super) struct Pool {
    shelves: Arc<Shelves>,
    worker: usize,
    shared: RefCell<Vec<(Shared, Instant)>>,
    idle_max: usize,
    idle_timeout: Duration,
}

impl Idle {
    /// Before it is closed.
    pub(in crate::edge) fn take_leave(&mut self) {
        self.connection.wire.take_leave();
    }
}

/// A connection that rested longer than this is looked at before it is used: something may have
/// come that the runtime has not been told of. Under load none rests so long, and the look costs
/// nothing.
const REST_MAX: Duration = Duration::from_millis(1);

impl Pool {
    pub(super) const fn new(
        shelves: Arc<Shelves>,
        worker: usize,
        idle_max: usize,
        idle_timeout: Duration,
    ) -> Self {
        let shared = RefCell::new(Vec::new());
        Self { shelves, worker, shared, idle_max, idle_timeout }
    }

    /// Takes a connection to an address that is fit for a request. One to a bank that does not echo
    /// correlation ids is looked at whenever it is used: an answer too many would be another
    /// caller's, and nothing in it would tell.
    pub(super) fn take(&self, endpoint: usize, now: Instant, is_echoing: bool) -> Option<Single> {
        let mut shelf = self.shelves.own(self.worker)?;
        loop {
            let of_endpoint = |idle: &Idle| idle.connection.endpoint == endpoint;
            let place = shelf.iter().rposition(of_endpoint)?;
            let Idle { mut connection, since } = shelf.remove(place);
            let rested = now.saturating_duration_since(since);
            let look = rested >= REST_MAX || !is_echoing;
            if rested < self.idle_timeout && connection.wire.is_silent(look) {
                return Some(connection);
            }
            connection.wire.take_leave();
        }
    }

    /// Takes over one that a neighbour holds and does not use, rather than to dial.
    pub(super) fn take_over(&self, endpoint: usize) -> Option<Single> {
        let now = Instant::now();
        let fits = |idle: &Idle| {
            idle.connection.endpoint == endpoint
                // What has rested long is the next that its bank closes.
                && now.saturating_duration_since(idle.since) < self.idle_timeout / 2
        };
        while let Some(Idle { mut connection, .. }) = self.shelves.take_over(self.worker, fits) {
            if connection.wire.is_silent(true) {
                connection.wire = connection.wire.settle().ok()?;
                return Some(connection);
            }
            connection.wire.take_leave();
        }
        None
    }

    /// Keeps a connection for the next exchange; one too many is closed.
    pub(super) fn keep(&self, mut connection: Single) {
        if let Some(mut shelf) = self.shelves.own(self.worker)
            && shelf.len() < self.idle_max
        {
            shelf.push(Idle { connection, since: Instant::now() });
        } else {
            connection.wire.take_leave();
        }
    }

    /// A connection to an address that carries many, while it lives, and another than `refused`.
    pub(super) fn shared(&self, endpoint: usize, refused: Option<&Shared>) -> Many {
        let mut kept = self.shared.borrow_mut();
        kept.retain(|(shared, _)| shared.is_open());
        let mut there = kept.iter_mut().filter(|(shared, _)| shared.endpoint == endpoint);
        let is_other = |shared: &Shared| refused.is_none_or(|refused| !refused.is_same(shared));
        let fits = |shared: &Shared| shared.has_room() && is_other(shared);
        if let Some((shared, used)) = there.find(|(shared, _)| fits(shared)) {
            *used = Instant::now();
            return Many::Free(shared.clone());
        }
        let there = || kept.iter().filter(|(shared, _)| shared.endpoint == endpoint);
        let full = there().count() >= SHARED_MAX || there().any(|(shared, _)| shared.allows_none());
        if full { Many::Full } else { Many::None }
    }

    /// Whether a client may take one more stream to an address: as with the places for calls, it
    /// can't hold all of them while there are others. Connections that may still be made count as
    /// large as `last`, which is one of those that are there.
    pub(super) fn has_share(&self, last: &Shared, client: ClientKey) -> bool {
        let kept = self.shared.borrow();
        let there = kept.iter().map(|(shared, _)| shared);
        let mut more = SHARED_MAX;
        let (mut all, mut taken, mut held) = (0_usize, 0_usize, 0_usize);
        for shared in there.filter(|it| it.endpoint == last.endpoint && it.is_open()) {
            let (its, its_taken, its_held) = shared.streams(client);
            more = more.saturating_sub(1);
            (all, taken, held) = (all.saturating_add(its), taken + its_taken, held + its_held);
        }
        let all = all.saturating_add(last.streams(client).0.saturating_mul(more));
        let left = all.saturating_sub(taken.saturating_add(1));
        let [held, left] = [held, left].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        may_have_more(held, left)
    }

    /// Whether one more connection to an address may carry many.
    pub(super) fn may_share(&self, endpoint: usize) -> bool {
        let kept = self.shared.borrow();
        kept.iter().filter(|(shared, _)| shared.endpoint == endpoint).count() < SHARED_MAX
    }

    /// Makes a connection one that carries many.
    pub(super) fn share(&self, shared: Shared) {
        if self.may_share(shared.endpoint) {
            self.shared.borrow_mut().push((shared, Instant::now()));
        }
    }

    /// Gives that connection up; calls that are on it may end.
    pub(super) fn unshare(&self, given_up: &Shared) {
        self.shared.borrow_mut().retain(|(shared, _)| !shared.is_same(given_up));
    }

    /// A call is sent under this id, and is under way until this is dropped.
    pub(super) fn send_under(&self, id: SentId) -> UnderWay<'_> {
        let place = self.shelves.sent(self.worker).map(|sent| sent.begin(id));
        UnderWay { pool: self, place }
    }

    /// Whether a call was sent to this bank lately whose id is in an answer, by any worker.
    pub(super) fn were_sent(&self, strange: &Strange) -> bool {
        self.shelves.were_sent(strange)
    }

    /// Closes all that this worker has.
    pub(super) fn close(&self) {
        if let Some(mut shelf) = self.shelves.own(self.worker) {
            shelf.drain(..).for_each(|mut idle| idle.take_leave());
        }
        self.shared.borrow_mut().clear();
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
            shelf.retain_mut(|Idle { connection, since }| {
                let stays = now.saturating_duration_since(*since) < self.idle_timeout
                    && connection.wire.is_silent(false)
                    && right(connection.endpoint, connection.address);
                if !stays {
                    connection.wire.take_leave();
                }
                stays
            });
        }
        self.shared.borrow_mut().retain(|(shared, used)| {
            now.saturating_duration_since(*used) < self.idle_timeout
                && shared.is_open()
                && right(shared.endpoint, shared.address)
        });
    }
}
