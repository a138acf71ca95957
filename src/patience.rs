//! The patience with a bank that asked to be left alone: `Retry-After` of its 429 or 503.
//!
//! This file decides until when nobody calls. It is handed the time, and all of it is monotonic: a
//! clock that jumps shortens or lengthens no wait. It must not know how a wait was said.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One bank's, shared by all workers.
#[derive(Debug, Default)]
pub struct Patience {
    /// Whether there may be something to wait for: what a call looks at.
    asked: AtomicBool,
    kept: Mutex<Option<Wait>>,
}

/// A wait that was asked for.
#[derive(Debug, Clone, Copy)]
struct Wait {
    said: Instant,
    until: Instant,
}

impl Patience {
    /// The bank wants to be left alone for so long. A longer wait that it asked for before stays.
    pub fn learn(&self, now: Instant, wait: Duration) {
        let Some(until) = now.checked_add(wait).filter(|until| *until > now) else { return };
        let mut kept = self.lock();
        *kept = kept.filter(|before| before.until > until).or(Some(Wait { said: now, until }));
        self.asked.store(true, Ordering::Relaxed);
    }

    /// The bank is believed for no longer than this, from when it asked: also what it asked for
    /// before.
    pub fn shorten(&self, wait_max: Duration) {
        if let Some(wait) = self.lock().as_mut() {
            wait.until =
                wait.said.checked_add(wait_max).map_or(wait.until, |end| end.min(wait.until));
        }
    }

    /// How long it still wants to be left alone; none where it may be called.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        if !self.asked.load(Ordering::Relaxed) {
            return None;
        }
        let mut kept = self.lock();
        let wait = kept.and_then(|wait| wait.until.checked_duration_since(now));
        let wait = wait.filter(|wait| !wait.is_zero());
        if wait.is_none() {
            *kept = None;
            self.asked.store(false, Ordering::Relaxed);
        }
        wait
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Wait>> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's first instant has to come from somewhere")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_waits_as_long_as_it_was_asked_to_and_no_longer() {
        let (patience, now) = (Patience::default(), Instant::now());
        assert_eq!(patience.wait(now), None);
        patience.learn(now, 5 * SECOND);
        patience.learn(now, SECOND);
        assert_eq!(patience.wait(now + SECOND), Some(4 * SECOND));
        assert_eq!(patience.wait(now + 5 * SECOND), None);
        assert_eq!(patience.wait(now), None, "forgotten once it was over");
        patience.learn(now, 9 * SECOND);
        patience.shorten(20 * SECOND);
        assert_eq!(patience.wait(now), Some(9 * SECOND));
        patience.shorten(2 * SECOND);
        assert_eq!(patience.wait(now + SECOND), Some(SECOND), "counted from when it asked");
        assert_eq!(patience.wait(now + 2 * SECOND), None);
        patience.learn(now, Duration::ZERO);
        patience.learn(now, Duration::MAX);
        assert_eq!(patience.wait(now), None);
    }
}
