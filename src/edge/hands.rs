//! Fresh connections, handed from the worker that accepted them to the one with the fewest.
//!
//! The kernel spreads connections by a hash of their addresses: a few that live long may all land
//! on one worker. This file decides when one is handed over, and that none is lost while workers
//! end. It must not know what a connection is for.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A worker with this many connections for each one more than another has enough of them to itself.
const SLACK: usize = 8;

/// A connection on its way from one worker to another. How many there are is bounded by how many
/// connections there may be.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) socket: TcpStream,
    pub(super) from: SocketAddr,
    pub(super) tls: bool,
    /// Workers that had no room for it.
    pub(super) tried: usize,
}

/// All workers' connections, by their number.
#[derive(Debug)]
pub(super) struct Hands(Vec<Desk>);

#[derive(Debug)]
struct Desk {
    /// Connections that it has, and those that are on their way to it.
    connections: AtomicUsize,
    sender: UnboundedSender<Handed>,
    receiver: Mutex<Option<UnboundedReceiver<Handed>>>,
}

impl Hands {
    /// For so many workers.
    pub(super) fn new(workers: usize) -> Self {
        let desk = |_| {
            let (sender, receiver) = unbounded_channel();
            let receiver = Mutex::new(Some(receiver));
            Desk { connections: AtomicUsize::new(0), sender, receiver }
        };
        Self((0..workers.max(1)).map(desk).collect())
    }

    /// The worker after this one.
    pub(super) fn next(&self, worker: usize) -> usize {
        (worker + 1) % self.0.len()
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.0.len()
    }

    /// How many connections a worker has.
    pub(super) fn connections(&self, worker: usize) -> usize {
        self.0.get(worker).map_or(0, |desk| desk.connections.load(Ordering::SeqCst))
    }

    /// The same of every worker.
    pub(super) fn all(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|desk| desk.connections.load(Ordering::Relaxed))
    }

    /// A worker has one more.
    pub(super) fn enter(&self, worker: usize) {
        if let Some(desk) = self.0.get(worker) {
            desk.connections.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A worker has one less.
    pub(super) fn leave(&self, worker: usize) {
        if let Some(desk) = self.0.get(worker) {
            desk.connections.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The worker that a fresh connection is for: the one that accepted it, unless another has
    /// clearly fewer.
    pub(super) fn best(&self, accepted_by: usize) -> usize {
        let own = self.connections(accepted_by);
        let fewest = self.all().enumerate().min_by_key(|(_, connections)| *connections);
        match fewest {
            Some((worker, fewest)) if own > fewest + own / SLACK => worker,
            _ => accepted_by,
        }
    }

    /// Hands a connection over. It counts as the other worker's from here on, which `is_serving`
    /// is asked behind: a worker that ends looks at its count after that changed.
    ///
    /// # Errors
    /// The connection, where the other worker takes none any more.
    pub(super) fn hand(
        &self,
        worker: usize,
        handed: Handed,
        is_serving: impl Fn() -> bool,
    ) -> Result<(), Handed> {
        let Some(desk) = self.0.get(worker) else { return Err(handed) };
        self.enter(worker);
        std::sync::atomic::fence(Ordering::SeqCst);
        if !is_serving() {
            self.leave(worker);
            return Err(handed);
        }
        desk.sender.send(handed).map_err(|refused| {
            self.leave(worker);
            refused.0
        })
    }

    /// What is handed to a worker; asked for once.
    pub(super) fn receiver(&self, worker: usize) -> Option<UnboundedReceiver<Handed>> {
        let desk = self.0.get(worker)?;
        desk.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_goes_to_the_worker_with_clearly_fewer() {
        let hands = Hands::new(3);
        assert_eq!(hands.best(1), 1);
        hands.enter(1);
        assert_eq!(hands.best(1), 0);
        hands.enter(0);
        hands.enter(2);
        assert_eq!(hands.best(1), 1);
        // A busy worker keeps one that the kernel gave it: to hand it over costs something too.
        (0..40).for_each(|_| hands.enter(1));
        (0..36).for_each(|_| [0, 2].iter().for_each(|worker| hands.enter(*worker)));
        assert_eq!(hands.best(1), 1);
        (0..9).for_each(|_| hands.enter(1));
        assert_ne!(hands.best(1), 1);
    }
}
