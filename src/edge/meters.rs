//! The counters: what workers count, each for itself, summed when somebody looks.
//!
//! Labels come from closed sets (calls, statuses, codes) and, for banks, from the table; nothing a
//! stranger sends becomes a label. This file must not know how metrics are written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::answer::Source;
use crate::contract::{Label, Operation};
use crate::record::{Record, STATUS_CLIENT_GONE};

/// Keys are words of our own, so a fast hash is safe for them.
pub(super) type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// Upper bounds of the histograms' buckets, in microseconds.
pub(super) const BUCKETS_US: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

/// One kind of answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Kind {
    /// The call; none when no operation was found.
    pub call: Option<Label>,
    /// The status, or 499.
    pub status: u16,
    /// `PLATFORM`, `PROVIDER`, or none when nobody was answered.
    pub source: Option<&'static str>,
    /// The fault's code.
    pub fault: Option<&'static str>,
}

/// How many took how long.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Histogram {
    /// Counts by bucket; the last is everything above.
    pub buckets: [u64; BUCKETS_US.len() + 1],
    /// The sum of all, in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    fn add(&mut self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let index = BUCKETS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket += 1;
        }
        self.sum_us = self.sum_us.saturating_add(us);
    }

    fn merge(&mut self, other: &Self) {
        for (sum, more) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += more;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }
}

/// What was counted about exchanges.
#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    /// Answers by kind.
    pub answers: HashMap<Kind, u64>,
    /// Whole exchanges, by call.
    pub exchanges: HashMap<Label, Histogram>,
    /// The bank's part of them, by call.
    pub providers: HashMap<Label, Histogram>,
    /// Limits that would have refused, but run in shadow, by scope.
    pub shadows: HashMap<&'static str, u64>,
    /// Oddities in banks' answers.
    pub oddities: HashMap<&'static str, u64>,
    /// Connections that were cut for how they behaved, by what they did.
    pub cuts: HashMap<&'static str, u64>,
}

/// One worker's meters.
#[derive(Debug, Default)]
pub(super) struct WorkerMeters {
    counts: Mutex<Counts>,
    /// Connections that were let in.
    pub connections: AtomicU64,
    /// Connections that were turned away at a limit.
    pub connections_refused: AtomicU64,
    /// TLS handshakes that failed or timed out.
    pub handshakes_failed: AtomicU64,
    /// TLS handshakes that resumed a session.
    pub handshakes_resumed: AtomicU64,
    /// TLS handshakes that ended well.
    pub handshakes: AtomicU64,
    /// How often the worker has tidied up: a sign of life, for the watchdog alone.
    pub rounds: AtomicU64,
}

/// The meters of all workers.
#[derive(Debug)]
pub(super) struct Meters(Vec<WorkerMeters>);

impl Meters {
    /// Meters for so many workers.
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| WorkerMeters::default()).collect())
    }

    /// One worker's own; workers beyond the number share the last.
    #[expect(clippy::expect_used, reason = "`new` makes at least one")]
    pub(super) fn of_worker(&self, worker: usize) -> &WorkerMeters {
        self.0.get(worker).or_else(|| self.0.last()).expect("there is at least one worker")
    }

    /// The sum of one counter over all workers.
    pub(super) fn sum(&self, counter: impl Fn(&WorkerMeters) -> &AtomicU64) -> u64 {
        self.0.iter().map(|worker| counter(worker).load(Ordering::Relaxed)).sum()
    }

    /// One counter of each worker.
    pub(super) fn each(&self, counter: impl Fn(&WorkerMeters) -> &AtomicU64) -> Vec<u64> {
        self.0.iter().map(|worker| counter(worker).load(Ordering::Relaxed)).collect()
    }

    /// The sum of all counts over all workers.
    pub(super) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for worker in &self.0 {
            sum.merge(&worker.lock());
        }
        sum
    }
}

impl WorkerMeters {
    /// Counts one exchange. The lock is this worker's own; only a scrape ever waits for it.
    pub(super) fn count(&self, record: &Record<'_>, duration: Duration) {
        let call = record.operation.map(Operation::label);
        let kind = Kind {
            call: call.clone(),
            status: record.status.map_or(STATUS_CLIENT_GONE, |status| status.as_u16()),
            source: record.source.map(Source::as_str),
            fault: record.fault.as_ref().map(|fault| fault.row().code),
        };
        let mut counts = self.lock();
        *counts.answers.entry(kind).or_default() += 1;
        if let Some(call) = call {
            if let Some(waited) = record.trail.duration {
                counts.providers.entry(call.clone()).or_default().add(waited);
            }
            counts.exchanges.entry(call).or_default().add(duration);
        }
        if let Some(scope) = record.shadow {
            *counts.shadows.entry(scope.as_str()).or_default() += 1;
        }
        if let Some(oddity) = record.oddity {
            *counts.oddities.entry(oddity.as_str()).or_default() += 1;
        }
    }

    /// Counts a connection that was cut.
    pub(super) fn count_cut(&self, kind: &'static str) {
        *self.lock().cuts.entry(kind).or_default() += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn merge(&mut self, other: &Self) {
        add_all(&mut self.answers, &other.answers, |sum, more| *sum += more);
        add_all(&mut self.exchanges, &other.exchanges, Histogram::merge);
        add_all(&mut self.providers, &other.providers, Histogram::merge);
        add_all(&mut self.shadows, &other.shadows, |sum, more| *sum += more);
        add_all(&mut self.oddities, &other.oddities, |sum, more| *sum += more);
        add_all(&mut self.cuts, &other.cuts, |sum, more| *sum += more);
    }
}

fn add_all<K: Clone + Eq + std::hash::Hash, V: Default>(
    into: &mut HashMap<K, V>,
    from: &HashMap<K, V>,
    add: impl Fn(&mut V, &V),
) {
    for (key, value) in from {
        add(into.entry(key.clone()).or_default(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_count_apart_and_are_summed() {
        let meters = Meters::new(2);
        for worker in [0, 1, 1] {
            meters.of_worker(worker).count(&Record::default(), Duration::from_micros(50));
        }
        let kind = Kind { call: None, status: 499, source: None, fault: None };
        assert_eq!(meters.counts().answers[&kind], 3);
    }

    #[test]
    fn a_histogram_puts_a_bound_into_its_own_bucket() {
        let mut histogram = Histogram::default();
        for us in [50, 51, 10_000_000, 10_000_001] {
            histogram.add(Duration::from_micros(us));
        }
        assert_eq!(histogram.buckets[0], 1);
        assert_eq!(histogram.buckets[1], 1);
        assert_eq!(histogram.buckets[15], 1);
        assert_eq!(histogram.buckets[16], 1);
    }
}
