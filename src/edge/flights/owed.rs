//! Answers of a connection that are on their way and kept until they have gone out.
//!
//! This file decides when one counts as delivered: when it was written to a peer that still
//! listens; over HTTP/2, when all streams that its own may be are at their end, and none of them
//! was reset. It must not know what is in one.

use std::cell::{Cell, RefCell};

use super::Receipt;

/// One connection's.
#[derive(Debug, Default)]
pub(in crate::edge) struct Owed {
    receipts: RefCell<Vec<Pending>>,
    /// The newest stream that came, over HTTP/2.
    newest: Cell<u32>,
    peer_ended: Cell<bool>,
}

/// A receipt, and the newest stream that there was when its answer was ready. Which of the streams
/// up to there is its own, the HTTP library does not tell.
#[derive(Debug)]
struct Pending {
    receipt: Receipt,
    newest: u32,
}

impl Owed {
    /// An answer is about to go out.
    pub(in crate::edge) fn push(&self, receipt: Receipt) {
        let newest = self.newest.get();
        self.receipts.borrow_mut().push(Pending { receipt, newest });
    }

    /// The newest HTTP/2 stream that the peer has opened.
    pub(in crate::edge) fn set_newest(&self, stream: u32) {
        self.newest.set(stream);
    }

    /// The peer will say nothing more. It may have hung up: the system takes bytes for it all the
    /// same, so that nothing written from now on counts as delivered.
    pub(in crate::edge) fn note_peer_end(&self) {
        self.peer_ended.set(true);
    }

    /// A stream ended by a reset. Whichever answer was to go out on it has not arrived, and is kept
    /// for its time.
    pub(in crate::edge) fn note_reset(&self, stream: u32) {
        self.receipts.borrow_mut().retain(|pending| pending.newest < stream);
    }

    /// Whether no receipt waits.
    pub(in crate::edge) fn is_empty(&self) -> bool {
        self.receipts.borrow().is_empty()
    }

    /// What was to go out is written.
    pub(in crate::edge) fn settle(&self) {
        self.settle_before(u32::MAX);
    }

    /// Every stream before this one has ended: what was to go out there is written.
    pub(in crate::edge) fn settle_before(&self, stream: u32) {
        if self.peer_ended.get() {
            return;
        }
        let mut receipts = self.receipts.borrow_mut();
        let written = receipts.extract_if(.., |pending| pending.newest < stream);
        written.for_each(|pending| pending.receipt.delivered());
    }
}
