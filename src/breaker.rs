//! The breaker: stops calling a bank that fails, and lets one call through to see if it is back.
//!
//! This file decides when a bank counts as down. Only faults that are the bank's count, never its
//! 4xx (CONTRACT 4.6). It works with one endpoint, and it is handed the time. It must not know
//! what a call is.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::deadline::later;
use crate::routes;

/// One target's breaker, shared by all workers.
#[derive(Debug)]
pub struct Breaker {
    rule: routes::Breaker,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls pass; so many failed in a row.
    Closed { failures: u32 },
    /// No call passes until then.
    Open { until: Instant },
    /// One call is under way to see; the others wait for its verdict, or for its time to run out.
    Probing { until: Instant },
}

/// What a call under way owes the breaker: a verdict, also when it is dropped.
#[derive(Debug)]
pub struct Watched {
    breaker: Arc<Breaker>,
    probing: bool,
    reported: bool,
}

/// What [`Breaker`] is doing, for metrics and the status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Calls pass.
    Closed,
    /// No call passes.
    Open,
    /// One call passes.
    HalfOpen,
}

impl Breaker {
    /// A closed breaker.
    pub const fn new(rule: routes::Breaker) -> Self {
        Self { rule, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Lets a call through, or says how long to wait.
    ///
    /// # Errors
    /// The time until the breaker will let a call through.
    pub fn admit(self: &Arc<Self>, now: Instant) -> Result<Watched, Duration> {
        let mut state = self.lock();
        let probing = match *state {
            State::Closed { .. } => false,
            State::Open { until } | State::Probing { until } if now < until => {
                return Err(until - now);
            }
            State::Open { .. } | State::Probing { .. } => {
                *state = State::Probing { until: later(now, self.rule.open_for) };
                true
            }
        };
        drop(state);
        Ok(Watched { breaker: self.clone(), probing, reported: false })
    }

    /// A look at the bank, not a call, went well. One that was answered closes the breaker; a
    /// connection alone lets the next call see.
    pub fn looked_well(&self, now: Instant, answered: bool) {
        let mut state = self.lock();
        *state = match *state {
            State::Open { .. } if !answered => State::Open { until: now },
            State::Open { .. } => State::Closed { failures: 0 },
            // Its verdict is under way, and it knows more.
            unchanged @ (State::Closed { .. } | State::Probing { .. }) => unchanged,
        };
    }

    /// What it is doing.
    pub fn position(&self, now: Instant) -> Position {
        match *self.lock() {
            State::Closed { .. } => Position::Closed,
            State::Open { until } if now < until => Position::Open,
            State::Open { .. } | State::Probing { .. } => Position::HalfOpen,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is a plain value: a panic elsewhere can't leave it half written.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Watched {
    /// The bank answered.
    pub fn succeed(mut self) {
        self.reported = true;
        let mut state = self.breaker.lock();
        // A call that was let through before the breaker opened says nothing about now.
        if self.probing || matches!(*state, State::Closed { failures: 1.. }) {
            *state = State::Closed { failures: 0 };
        }
    }

    /// The bank failed.
    pub fn fail(mut self, now: Instant) {
        self.reported = true;
        let rule = self.breaker.rule;
        let mut state = self.breaker.lock();
        *state = match *state {
            State::Closed { failures } if failures + 1 < rule.failures.get() => {
                State::Closed { failures: failures + 1 }
            }
            State::Closed { .. } => State::Open { until: later(now, rule.open_for) },
            State::Probing { .. } if self.probing => {
                State::Open { until: later(now, rule.open_for) }
            }
            unchanged @ (State::Open { .. } | State::Probing { .. }) => unchanged,
        };
    }

    /// Nothing was learned about the bank: the fault was ours, or the caller left.
    pub fn abandon(self) {
        drop(self);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.probing && !self.reported {
            // The probe died without a verdict: let the next call be the probe, now.
            let mut state = self.breaker.lock();
            if let State::Probing { until } = *state {
                *state = State::Open { until: until - self.breaker.rule.open_for };
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's first instant has to come from somewhere")]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(5);

    fn breaker() -> Arc<Breaker> {
        let failures = NonZeroU32::new(2).unwrap();
        Arc::new(Breaker::new(routes::Breaker { failures, open_for: OPEN_FOR }))
    }

    #[test]
    fn it_opens_after_so_many_failures_in_a_row_and_no_sooner() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.admit(now).unwrap().fail(now);
        breaker.admit(now).unwrap().succeed();
        breaker.admit(now).unwrap().fail(now);
        assert_eq!(breaker.position(now), Position::Closed);
        breaker.admit(now).unwrap().fail(now);
        assert_eq!(breaker.admit(now).unwrap_err(), OPEN_FOR);
        assert_eq!(breaker.position(now), Position::Open);
    }

    #[test]
    fn half_open_lets_exactly_one_call_through() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.admit(now).unwrap().fail(now);
        breaker.admit(now).unwrap().fail(now);
        let later = now + OPEN_FOR;
        let probe = breaker.admit(later).unwrap();
        assert!(breaker.admit(later).is_err());
        probe.succeed();
        assert_eq!(breaker.position(later), Position::Closed);
        breaker.admit(later).unwrap().succeed();
    }

    #[test]
    fn a_failed_probe_opens_it_again_and_an_abandoned_one_leaves_the_place_to_the_next() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.admit(now).unwrap().fail(now);
        breaker.admit(now).unwrap().fail(now);
        let later = now + OPEN_FOR;
        breaker.admit(later).unwrap().abandon();
        let probe = breaker.admit(later).unwrap();
        probe.fail(later);
        assert_eq!(breaker.admit(later).unwrap_err(), OPEN_FOR);
    }

    #[test]
    fn a_look_that_was_answered_closes_it_and_a_connection_lets_one_call_through() {
        let (breaker, now) = (breaker(), Instant::now());
        let open = || (0..2).for_each(|_| breaker.admit(now).unwrap().fail(now));
        open();
        breaker.looked_well(now, false);
        let trial = breaker.admit(now).unwrap();
        assert!(breaker.admit(now).is_err());
        breaker.looked_well(now, true);
        assert!(breaker.admit(now).is_err(), "the call under way decides");
        trial.succeed();
        open();
        breaker.looked_well(now, true);
        assert_eq!(breaker.position(now), Position::Closed);
    }

    #[test]
    fn a_straggler_from_before_does_not_close_it() {
        let (breaker, now) = (breaker(), Instant::now());
        let straggler = breaker.admit(now).unwrap();
        breaker.admit(now).unwrap().fail(now);
        breaker.admit(now).unwrap().fail(now);
        straggler.succeed();
        assert_eq!(breaker.position(now), Position::Open);
    }
}
