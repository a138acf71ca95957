//! Large answers that a client was given and has not taken: a closed window holds them.
//!
//! This file decides what counts, for its budget of bytes and, over HTTP/2, for the connection, and
//! when that holds too much. A single answer may be as
//! large as its bank's entry allows: only what comes beside others is one too many. It must not
//! know what is in an answer, or how a connection ends.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::buffered::{Budget, STREAM_BYTES};

/// What is smaller does not count: most answers, which so cost nothing.
const SMALL_BYTES_MAX: usize = 16 * 1024;
/// What is smaller does not count for the budget either, where many may wait on a connection: a
/// stream counts for so much already.
const TINY_BYTES_MAX: usize = STREAM_BYTES;

/// One connection's.
#[derive(Debug)]
pub(super) struct Untaken {
    bytes_max: usize,
    /// Made with the first large answer: most connections never see one.
    held: OnceCell<Arc<AtomicUsize>>,
    too_much: Cell<bool>,
    budget: Budget,
}

/// A body that counts until its last byte was written, or it is dropped.
struct Counted {
    body: Bytes,
    budget: Budget,
    /// The connection's own count, where it has one.
    held: Option<Arc<AtomicUsize>>,
}

impl Untaken {
    /// A connection may hold so many bytes of large answers.
    pub(super) const fn new(bytes_max: usize, budget: Budget) -> Self {
        Self { bytes_max, held: OnceCell::new(), too_much: Cell::new(false), budget }
    }

    /// The body, counted if it is large.
    pub(super) fn hold(&self, body: Bytes, is_http2: bool) -> Bytes {
        // Over HTTP/1.1 there is one at a time.
        if body.len() <= if is_http2 { TINY_BYTES_MAX } else { SMALL_BYTES_MAX } {
            return body;
        }
        self.count(body, is_http2)
    }

    #[cold]
    fn count(&self, body: Bytes, is_http2: bool) -> Bytes {
        let large = is_http2 && body.len() > SMALL_BYTES_MAX;
        let held = large.then(|| self.held.get_or_init(Arc::default).clone());
        if let Some(held) = &held {
            let before = held.fetch_add(body.len(), Ordering::Relaxed);
            if before > 0 && before + body.len() > self.bytes_max {
                self.too_much.set(true);
            }
        }
        self.budget.add(body.len());
        Bytes::from_owner(Counted { body, budget: self.budget.clone(), held })
    }

    /// Whether it was given more than it may hold.
    pub(super) fn is_too_much(&self) -> bool {
        self.too_much.get()
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.budget.sub(self.body.len());
        if let Some(held) = &self.held {
            held.fetch_sub(self.body.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 100_000;

    fn budget() -> Budget {
        Budget::unlimited()
    }

    fn body(bytes: usize) -> Bytes {
        vec![0; bytes].into()
    }

    #[test]
    fn so_much_may_be_held_and_one_byte_more_may_not() {
        for (second, too_much) in [(MAX - 60_000, false), (MAX - 60_000 + 1, true)] {
            let untaken = Untaken::new(MAX, budget());
            let bodies = [60_000, second].map(|bytes| untaken.hold(body(bytes), true));
            assert_eq!(bodies.map(|body| body.len()), [60_000, second]);
            assert_eq!(untaken.is_too_much(), too_much, "{second}");
        }
    }

    #[test]
    fn what_was_taken_or_is_alone_or_small_is_not_too_much() {
        let untaken = Untaken::new(MAX, budget());
        for _ in 0..3 {
            let mut whole = untaken.hold(body(MAX * 2), true);
            // What is written in pieces counts to its last byte.
            drop(whole.split_to(MAX));
            drop(whole);
        }
        let small: Vec<_> = (0..20).map(|_| untaken.hold(body(SMALL_BYTES_MAX), true)).collect();
        assert!(!untaken.is_too_much());
        let half = untaken.hold(body(MAX), true).split_off(MAX / 2);
        assert!(!untaken.is_too_much());
        drop(untaken.hold(body(SMALL_BYTES_MAX + 1), true));
        assert!(untaken.is_too_much(), "{} and {}", small.len(), half.len());
    }

    #[test]
    fn an_answer_counts_for_the_budget_until_it_is_taken_over_both_protocols() {
        let budget = budget();
        let untaken = Untaken::new(MAX, budget.clone());
        let counted = || budget.total.load(Ordering::Relaxed);
        let (one, two) = (SMALL_BYTES_MAX + 1, TINY_BYTES_MAX + 1);
        let held = [untaken.hold(body(one), false), untaken.hold(body(two), true)];
        assert_eq!(counted(), one + two);
        let small = [untaken.hold(body(one - 1), false), untaken.hold(body(two - 1), true)];
        assert_eq!(counted(), one + two);
        drop((held, small));
        assert_eq!(counted(), 0);
    }
}
