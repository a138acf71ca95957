//! How the gateway stands to its configuration: which generation serves, what became of reloads,
//! what was set aside, and what will end when.
//!
//! This file decides what is counted. It must not know how a reload is made.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::reload::{Aside, Outcome};
use super::tls::{Ending, Papers};

/// What is counted and kept.
#[derive(Debug, Default)]
pub(super) struct Standing {
    generation: AtomicU64,
    reloads: [AtomicU64; Outcome::ALL.len()],
    ended: [AtomicU64; Ending::ALL.len()],
    now: ArcSwap<Now>,
}

/// What the generation that serves was made of.
#[derive(Debug, Clone, Default)]
pub(super) struct Now {
    /// When it was taken up, or found to be what the files say; in Unix seconds.
    pub(super) good_at: i64,
    /// What was set aside.
    pub(super) aside: Vec<Aside>,
    /// The keys that wait for a new process.
    pub(super) waiting: Vec<String>,
    /// The files that TLS rests on.
    pub(super) papers: Papers,
}

impl Standing {
    /// How often something was taken up, the start included: 1 at first.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A new table or new certificates serve from now on.
    pub(super) fn take_up(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub(super) fn now(&self) -> std::sync::Arc<Now> {
        self.now.load_full()
    }

    pub(super) fn set_now(&self, now: Now) {
        self.now.store(std::sync::Arc::new(now));
    }

    pub(super) fn count_reload(&self, outcome: Outcome) {
        if let Some(count) = self.reloads.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn count_ended(&self, why: Ending, connections: usize) {
        if let Some(count) = self.ended.get(why as usize) {
            count.fetch_add(connections as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn reloads(&self) -> BTreeMap<&'static str, u64> {
        Outcome::ALL.iter().map(|outcome| outcome.as_str()).zip(loaded(&self.reloads)).collect()
    }

    pub(super) fn ended(&self) -> BTreeMap<&'static str, u64> {
        Ending::ALL.iter().map(|why| why.as_str()).zip(loaded(&self.ended)).collect()
    }
}

fn loaded(counts: &[AtomicU64]) -> impl Iterator<Item = u64> {
    counts.iter().map(|count| count.load(Ordering::Relaxed))
}
