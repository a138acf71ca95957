//! What all workers share on their ways to the banks: names, and idle connections.
//!
//! This file decides how one worker uses a connection that another one holds. Its driver and its
//! socket stay where they are; only the handle that requests go in by is taken, and laid back. The
//! holder does not end while anybody has one. It must not know what is sent.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;

use super::forward::Idle;
use super::names::{Book, Names};
use crate::dialect::Host;

/// Which bank: its route's number, and which of its hosts.
pub(super) type BankKey = (u64, Host);

/// What is shared.
#[derive(Debug)]
pub(super) struct Commons {
    /// Names and their addresses.
    pub(super) book: Book,
    lenders: Vec<Arc<Lender>>,
    shelves: DashMap<BankKey, Arc<Shelves>>,
}

/// One worker, as far as it holds what others use.
#[derive(Debug, Default)]
struct Lender {
    lent: AtomicUsize,
    closed: AtomicBool,
}

/// Something lent; given back when dropped.
#[derive(Debug)]
pub(super) struct Loan(Arc<Lender>);

/// The idle connections to one bank: one shelf a worker.
#[derive(Debug)]
pub(super) struct Shelves {
    shelves: Vec<Mutex<Vec<Idle>>>,
    lenders: Vec<Arc<Lender>>,
}

impl Commons {
    /// For so many workers.
    pub(super) fn new(names: Arc<dyn Names>, workers: usize) -> Self {
        let lenders = (0..workers.max(1)).map(|_| Arc::default()).collect();
        Self { book: Book::new(names), lenders, shelves: DashMap::new() }
    }

    /// The shelves for a bank's connections.
    pub(super) fn shelves(&self, bank: BankKey) -> Arc<Shelves> {
        let new = || {
            let shelves = self.lenders.iter().map(|_| Mutex::default()).collect();
            Arc::new(Shelves { shelves, lenders: self.lenders.clone() })
        };
        self.shelves.entry(bank).or_insert_with(new).clone()
    }

    /// Forgets a bank that is not in the table any more. What is lent comes back to a shelf that
    /// ends with its last user.
    pub(super) fn forget(&self, bank: BankKey) {
        self.shelves.remove(&bank);
    }

    /// A worker is about to end: it lends nothing more.
    pub(super) fn close(&self, worker: usize) {
        if let Some(lender) = self.lenders.get(worker) {
            lender.closed.store(true, Ordering::SeqCst);
        }
    }

    /// How many connections of a worker are in use by others.
    pub(super) fn lent(&self, worker: usize) -> usize {
        self.lenders.get(worker).map_or(0, |lender| lender.lent.load(Ordering::SeqCst))
    }
}

impl Lender {
    /// Counted first and looked at second: between `close` and `lent` none slips through.
    fn lend(self: &Arc<Self>) -> Option<Loan> {
        self.lent.fetch_add(1, Ordering::SeqCst);
        let loan = Loan(self.clone());
        (!self.closed.load(Ordering::SeqCst)).then_some(loan)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.0.lent.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shelves {
    /// A worker's own shelf. Others only ever look in when they find it free.
    pub(super) fn own(&self, worker: usize) -> Option<MutexGuard<'_, Vec<Idle>>> {
        let shelf = self.shelves.get(worker)?;
        Some(shelf.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes something from another worker's shelf that `fits`. It waits for nobody.
    pub(super) fn borrow(
        &self,
        worker: usize,
        fits: impl Fn(&Idle) -> bool,
    ) -> Option<(Idle, Loan)> {
        let others = self.shelves.iter().zip(&self.lenders).enumerate();
        for (_, (shelf, lender)) in others.filter(|(other, _)| *other != worker) {
            let Ok(mut shelf) = shelf.try_lock() else { continue };
            // The one that has rested longest: the warm ones are its owner's next.
            let Some(place) = shelf.iter().position(&fits) else { continue };
            let Some(loan) = lender.lend() else { continue };
            return Some((shelf.remove(place), loan));
        }
        None
    }
}
