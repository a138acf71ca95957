//! Answers of a connection that are on their way and kept until they have gone out.
//!
//! This file decides when one counts as delivered: when it was written to a peer that still
//! listens. It must not know what is in one.

use std::cell::{Cell, RefCell};

use super::Receipt;

/// One connection's.
#[derive(Debug, Default)]
pub(in crate::edge) struct Owed {
    receipts: RefCell<Vec<Receipt>>,
    peer_ended: Cell<bool>,
}

impl Owed {
    /// An answer is about to go out.
    pub(in crate::edge) fn push(&self, receipt: Receipt) {
        self.receipts.borrow_mut().push(receipt);
    }

    /// The peer will say nothing more. It may have hung up: the system takes bytes for it all the
    /// same, so that nothing written from now on counts as delivered.
    pub(in crate::edge) fn note_peer_end(&self) {
        self.peer_ended.set(true);
    }

    /// What was to go out is written.
    pub(in crate::edge) fn settle(&self) {
        if !self.peer_ended.get() {
            self.receipts.borrow_mut().drain(..).for_each(Receipt::delivered);
        }
    }
}
