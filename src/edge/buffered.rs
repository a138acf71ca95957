//! The bytes of requests that a connection makes the process keep until they are answered.
//!
//! This file decides what counts, and when there is no room for more: one budget for the process,
//! and one for each client, over all its connections. Answers count in `untaken`. A connection's
//! first bytes are free, so that a call of the usual size touches no counter that workers share;
//! how many connections there are is limited elsewhere. It must not know what a request means.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::doors::Account;
use crate::fault::Fault;
use crate::routes::EdgeLimits;

/// What a connection may keep for nothing.
const FREE_BYTES: usize = 16 * 1024;
/// What is beyond that is counted in steps.
const STEP_BYTES: usize = 32 * 1024;
/// What an HTTP/2 stream counts as until the end of its answer, besides what is large: its head,
/// its state in the library, a small answer.
pub(super) const STREAM_BYTES: usize = 4 * 1024;

/// What there may be in all and of a client, and what there is.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    /// Bytes of the process.
    pub(super) total: Arc<AtomicUsize>,
    /// Its client's.
    pub(super) account: Arc<Account>,
    total_max: usize,
    client_max: usize,
}

impl Budget {
    /// The budget of a connection.
    pub(super) fn new(total: Arc<AtomicUsize>, account: Arc<Account>, limits: &EdgeLimits) -> Self {
        let EdgeLimits { buffered_bytes_max, client_buffered_bytes_max, .. } = *limits;
        Self {
            total,
            account,
            total_max: buffered_bytes_max,
            client_max: client_buffered_bytes_max,
        }
    }

    /// One that is never at its end.
    #[cfg(test)]
    pub(super) fn unlimited() -> Self {
        let (total, account) = (Arc::default(), Arc::default());
        Self { total, account, total_max: usize::MAX, client_max: usize::MAX }
    }

    /// Whether one more request may come.
    ///
    /// # Errors
    /// [`Fault::HubBusy`], [`Fault::ClientBusy`].
    pub(super) fn check(&self) -> Result<(), Fault> {
        let load = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        if load(&self.total) > self.total_max {
            return Err(Fault::HubBusy);
        }
        if load(&self.account.buffered) > self.client_max {
            return Err(Fault::ClientBusy);
        }
        Ok(())
    }

    /// So many bytes more.
    pub(super) fn add(&self, bytes: usize) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
        self.account.buffered.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many less.
    pub(super) fn sub(&self, bytes: usize) {
        self.total.fetch_sub(bytes, Ordering::Relaxed);
        self.account.buffered.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one connection keeps.
#[derive(Debug)]
pub(super) struct Buffered {
    budget: Budget,
    kept: Cell<usize>,
    streams: Cell<usize>,
    counted: Cell<usize>,
}

impl Buffered {
    /// A connection that keeps nothing yet.
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, kept: Cell::new(0), streams: Cell::new(0), counted: Cell::new(0) }
    }

    /// So many HTTP/2 streams have no whole answer.
    pub(super) fn set_streams(&self, streams: usize) {
        if self.streams.replace(streams) != streams {
            self.settle(STEP_BYTES);
        }
    }

    fn keep(&self, bytes: usize) -> Result<(), Fault> {
        self.kept.set(self.kept.get() + bytes);
        self.settle(STEP_BYTES);
        let checked = if self.counted.get() > 0 { self.budget.check() } else { Ok(()) };
        if checked.is_err() {
            // To the last byte, so that a refusal takes no room from others.
            self.kept.set(self.kept.get().saturating_sub(bytes));
            self.settle(0);
        }
        checked
    }

    fn give_back(&self, bytes: usize) {
        self.kept.set(self.kept.get().saturating_sub(bytes));
        self.settle(STEP_BYTES);
    }

    /// Counts what is beyond the free bytes. Less is told only where it is less by more than
    /// `slack`, or nothing.
    fn settle(&self, slack: usize) {
        let all = self.kept.get() + self.streams.get() * STREAM_BYTES;
        let beyond = all.saturating_sub(FREE_BYTES).next_multiple_of(STEP_BYTES);
        let counted = self.counted.get();
        if beyond > counted {
            self.budget.add(beyond - counted);
            self.counted.set(beyond);
        } else if counted > beyond + slack || (beyond == 0 && counted > 0) {
            self.budget.sub(counted - beyond);
            self.counted.set(beyond);
        }
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.budget.sub(self.counted.get());
    }
}

/// What one exchange keeps, until this is dropped.
#[derive(Debug)]
pub(super) struct Kept<'b> {
    buffered: &'b Buffered,
    bytes: Cell<usize>,
}

impl<'b> Kept<'b> {
    /// Nothing yet.
    pub(super) const fn new(buffered: &'b Buffered) -> Self {
        Self { buffered, bytes: Cell::new(0) }
    }

    /// Whether one more request may come.
    ///
    /// # Errors
    /// [`Fault::HubBusy`], [`Fault::ClientBusy`].
    pub(super) fn check(&self) -> Result<(), Fault> {
        self.buffered.budget.check()
    }

    /// So many bytes more.
    ///
    /// # Errors
    /// [`Fault::HubBusy`], [`Fault::ClientBusy`].
    pub(super) fn keep(&self, bytes: usize) -> Result<(), Fault> {
        self.buffered.keep(bytes)?;
        self.bytes.set(self.bytes.get() + bytes);
        Ok(())
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if self.bytes.get() > 0 {
            self.buffered.give_back(self.bytes.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(total_max: usize, client_max: usize) -> Budget {
        Budget { total: Arc::default(), account: Arc::default(), total_max, client_max }
    }

    fn counted(budget: &Budget) -> usize {
        let total = budget.total.load(Ordering::Relaxed);
        assert_eq!(total, budget.account.buffered.load(Ordering::Relaxed));
        total
    }

    #[test]
    fn a_client_may_keep_so_much_over_all_its_connections_and_a_step_more_is_refused() {
        let budget = budget(usize::MAX, 2 * STEP_BYTES);
        let connections = [(); 2].map(|()| Buffered::new(budget.clone()));
        let kept = [0, 1].map(|at| Kept::new(&connections[at]));
        for kept in &kept {
            assert_eq!(kept.keep(FREE_BYTES + STEP_BYTES), Ok(()));
        }
        assert_eq!(kept[0].keep(1), Err(Fault::ClientBusy));
        assert_eq!(counted(&budget), 2 * STEP_BYTES);
        drop(kept);
        assert_eq!(counted(&budget), 0);
    }

    #[test]
    fn the_process_keeps_so_much_of_all_clients_together() {
        let one = budget(STEP_BYTES, usize::MAX);
        let other = Budget { account: Arc::default(), ..one.clone() };
        let (first, second) = (Buffered::new(one.clone()), Buffered::new(other));
        let (first, second) = (Kept::new(&first), Kept::new(&second));
        first.keep(FREE_BYTES + STEP_BYTES).unwrap();
        assert_eq!(second.check(), Ok(()));
        assert_eq!(second.keep(FREE_BYTES + 1), Err(Fault::HubBusy));
        // What is below the free bytes asks nobody.
        assert_eq!(second.keep(FREE_BYTES), Ok(()));
        drop(first);
        assert_eq!(second.keep(1), Ok(()));
    }

    #[test]
    fn streams_count_until_their_answers_end_and_nothing_is_left_of_a_connection() {
        let budget = budget(usize::MAX, usize::MAX);
        let connection = Buffered::new(budget.clone());
        connection.set_streams(FREE_BYTES / STREAM_BYTES);
        assert_eq!(counted(&budget), 0);
        connection.set_streams(100);
        assert!(counted(&budget) >= 96 * STREAM_BYTES);
        connection.set_streams(1);
        assert_eq!(counted(&budget), 0);
        connection.set_streams(100);
        drop(connection);
        assert_eq!(counted(&budget), 0);
    }

    #[test]
    fn answers_that_nobody_takes_keep_new_requests_out() {
        let budget = budget(1_000, 500);
        budget.add(500);
        assert_eq!(budget.check(), Ok(()));
        budget.add(1);
        assert_eq!(budget.check(), Err(Fault::ClientBusy));
        budget.add(500);
        assert_eq!(budget.check(), Err(Fault::HubBusy));
    }
}
