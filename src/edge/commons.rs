//! What all workers share on their ways to the banks: names, and idle connections.
//!
//! This file decides how one worker gets a connection that another one holds. It must not know what
//! is sent.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use dashmap::DashMap;

use super::forward::Idle;
use super::names::{Book, Names};
use crate::dialect::Host;
use crate::echoes::{SentIds, Strange};
use crate::routes::is_own_address;

/// Which bank: its route's number, and which of its hosts.
pub(super) type BankKey = (u64, Host);

/// What is shared.
#[derive(Debug)]
pub(super) struct Commons {
    /// Names and their addresses.
    pub(super) book: Book,
    /// Where this process itself listens.
    pub(super) own: OnceLock<Vec<SocketAddr>>,
    workers: usize,
    shelves: DashMap<BankKey, Arc<Shelves>>,
}

/// The idle connections to one bank: one shelf a worker. And the ids that each sent to it lately.
#[derive(Debug)]
pub(super) struct Shelves {
    shelves: Vec<Mutex<Vec<Idle>>>,
    sent: Vec<SentIds>,
}

impl Commons {
    /// For so many workers.
    pub(super) fn new(names: Arc<dyn Names>, workers: usize) -> Self {
        let (book, own, shelves) = (Book::new(names), OnceLock::new(), DashMap::new());
        Self { book, own, workers: workers.max(1), shelves }
    }

    /// The shelves for a bank's connections.
    pub(super) fn shelves(&self, bank: BankKey) -> Arc<Shelves> {
        let new = || {
            let shelves = (0..self.workers).map(|_| Mutex::default()).collect();
            let sent = (0..self.workers).map(|_| SentIds::default()).collect();
            Arc::new(Shelves { shelves, sent })
        };
        self.shelves.entry(bank).or_insert_with(new).clone()
    }

    /// Whether what one worker has to do for all falls to this one, by a bank's number.
    pub(super) fn is_share_of(&self, worker: usize, bank: u64) -> bool {
        bank % self.workers as u64 == worker as u64 % self.workers as u64
    }

    /// Whether an address is our own: one that a listener has or, of a connection that was made
    /// from `local`, one of this host at a listener's port.
    pub(super) fn is_own(&self, address: SocketAddr, local: Option<IpAddr>) -> bool {
        let own = self.own.get().map(Vec::as_slice).unwrap_or_default();
        // Who calls another address of the same host is called from that address.
        let by_us = local.is_some_and(|local| local == address.ip());
        is_own_address(address, own) || by_us && own.iter().any(|own| own.port() == address.port())
    }

    /// Forgets a bank that is not in the table any more.
    pub(super) fn forget(&self, bank: BankKey) {
        self.shelves.remove(&bank);
    }
}

impl Drop for Shelves {
    /// The bank is not in the table any more.
    fn drop(&mut self) {
        for shelf in &mut self.shelves {
            let shelf = shelf.get_mut().unwrap_or_else(PoisonError::into_inner);
            shelf.iter_mut().for_each(Idle::take_leave);
        }
    }
}

impl Shelves {
    /// A worker's own shelf. Others only ever look in when they find it free.
    pub(super) fn own(&self, worker: usize) -> Option<MutexGuard<'_, Vec<Idle>>> {
        let shelf = self.shelves.get(worker)?;
        Some(shelf.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The ids of the calls that a worker sends.
    pub(super) fn sent(&self, worker: usize) -> Option<&SentIds> {
        self.sent.get(worker)
    }

    /// Whether any worker sent a call lately whose id is in an answer.
    pub(super) fn were_sent(&self, strange: &Strange) -> bool {
        self.sent.iter().any(|sent| sent.are_in(strange))
    }

    /// Takes something from another worker's shelf that `fits`. It waits for nobody.
    pub(super) fn take_over(&self, worker: usize, fits: impl Fn(&Idle) -> bool) -> Option<Idle> {
        let others = self.shelves.iter().enumerate().filter(|(other, _)| *other != worker);
        others.into_iter().find_map(|(_, shelf)| {
            let mut shelf = shelf.try_lock().ok()?;
            // The one that has rested longest: the warm ones are its owner's next.
            let place = shelf.iter().position(&fits)?;
            Some(shelf.remove(place))
        })
    }
}
