//! Deadlines that are computed from what others say: `expires_in`, `Retry-After`, a table.
//!
//! `Instant + Duration` panics where the sum is beyond what the system can count, and a bank may
//! say any number. This file decides that such a deadline is far away, and no more. A law of
//! `tests/tidy` has every other file use it.

use std::time::{Duration, Instant};

/// The farthest that is counted to: nothing here lives so long, and every clock can count it.
pub const SPAN_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

/// A point in time that time can be added to.
pub trait Moment: Copy {
    /// So much later, where that can be counted.
    fn checked_later(self, wait: Duration) -> Option<Self>;
}

impl Moment for Instant {
    fn checked_later(self, wait: Duration) -> Option<Self> {
        self.checked_add(wait)
    }
}

/// The moment so much after `moment`; where `wait` is too long to be counted, [`SPAN_MAX`] after
/// it, and at worst `moment` itself.
pub fn later<M: Moment>(moment: M, wait: Duration) -> M {
    moment.checked_later(wait.min(SPAN_MAX)).unwrap_or(moment)
}

/// Whole seconds that somebody else wrote, no more than can be counted with.
pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(SPAN_MAX)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's first instant has to come from somewhere")]
mod tests {
    use super::*;

    #[test]
    fn no_number_makes_a_moment_that_panics() {
        let now = Instant::now();
        for wait in [u64::MAX, i64::MAX as u64, 1 << 62].map(Duration::from_secs) {
            assert_eq!(later(now, wait), now.checked_add(SPAN_MAX).unwrap());
            assert_eq!(later(later(now, wait), wait).duration_since(now), 2 * SPAN_MAX);
        }
        assert_eq!(later(now, Duration::MAX), later(now, SPAN_MAX));
        assert_eq!(later(now, Duration::from_secs(7)).duration_since(now).as_secs(), 7);
        assert_eq!(seconds(u64::MAX), SPAN_MAX);
    }
}
