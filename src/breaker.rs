//! The breaker: stops calling a bank that fails, and lets one call through to see if it is back.
//!
//! This file decides when a bank counts as down. Only faults that are the bank's count, never its
//! 4xx (CONTRACT 4.6). Where the way to the bank fails (no connection, no TLS), it fails for
//! everybody, whoever called. What is answered, or never answered, may be about one client's calls
//! alone: that opens it only where it happened to all clients that called lately, and whose calls
//! did not fail is let through to see, whoever else is seeing. It works with one endpoint, and it
//! is handed the time. It must not know what a call is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::deadline::later;
use crate::ids::ClientKey;
use crate::routes;

/// A client whose last call began longer ago says nothing about now.
const LATELY: Duration = Duration::from_secs(10);
/// So many clients are remembered; of more, those that called last.
const CLIENTS_MAX: usize = 64;

/// One target's breaker, shared by all workers.
#[derive(Debug)]
pub struct Breaker {
    rule: routes::Breaker,
    state: Mutex<State>,
    /// Whether all is well: closed, and nothing failed since something went well. Then a call asks
    /// no lock that the workers share.
    quiet: AtomicBool,
    noted: OnceLock<Box<Noted>>,
}

/// Clients whose good calls were noted, and in which second: to note each would say nothing new.
#[derive(Debug)]
struct Noted {
    since: Instant,
    clients: [AtomicU64; NOTED_MAX],
}

/// So many clients' good calls need no lock.
const NOTED_MAX: usize = 64;

#[derive(Debug)]
struct State {
    gate: Gate,
    /// So many calls in a row found no way to the bank.
    unreached: u32,
    /// The clients that called lately, and how that went.
    clients: Vec<Standing>,
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    client: ClientKey,
    /// So many of its calls in a row failed at the bank; none where the last one went well.
    failures: u32,
    last: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// Calls pass.
    Closed,
    /// No call passes until then; where it is not the way that failed, a client whose calls did
    /// not fail has one.
    Open { until: Instant, way: bool },
    /// One call is under way to see; the others wait for its verdict, or for its time to run out.
    /// Where it is not the way that failed, a client whose calls did not fail does not wait.
    Probing { until: Instant, way: bool },
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The way to the bank: nobody can be served.
    Way,
    /// This call: the bank's own 5xx, no answer, a broken one.
    Call,
}

/// What a call under way owes the breaker: a verdict, also when it is dropped.
#[derive(Debug)]
pub struct Watched {
    breaker: Arc<Breaker>,
    /// Whose call it is; none for a look of the hub's own.
    client: Option<ClientKey>,
    admitted: Instant,
    /// Where this call is the one that sees: what the gate was before.
    probing: Option<Gate>,
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
        let state = State { gate: Gate::Closed, unreached: 0, clients: Vec::new() };
        let quiet = AtomicBool::new(true);
        Self { rule, state: Mutex::new(state), quiet, noted: OnceLock::new() }
    }

    /// Lets a call through, or says how long to wait. `client` is whose call it is; none for a look
    /// of the hub's own.
    ///
    /// # Errors
    /// The time until the breaker will let a call through.
    pub fn admit(
        self: &Arc<Self>,
        now: Instant,
        client: Option<ClientKey>,
    ) -> Result<Watched, Duration> {
        let watched = |probing| Watched { breaker: self.clone(), client, admitted: now, probing };
        if self.quiet.load(Ordering::Acquire) {
            return Ok(watched(None));
        }
        let mut state = self.lock();
        let probing = match state.gate {
            Gate::Closed => None,
            Gate::Open { until, way } if now < until && (way || state.has_failed(client)) => {
                return Err(until - now);
            }
            Gate::Probing { until, way } if now < until => {
                if way || state.has_failed(client) {
                    return Err(until - now);
                }
                // The one that sees is a client whose calls fail, or one that may turn out so: it
                // decides nothing for those whose calls did not.
                Some(state.gate)
            }
            before @ (Gate::Open { way, .. } | Gate::Probing { way, .. }) => {
                state.gate = Gate::Probing { until: later(now, self.rule.open_for), way };
                Some(before)
            }
        };
        drop(state);
        Ok(watched(probing))
    }

    /// A look at the bank, not a call, went well. One that was answered closes the breaker; a
    /// connection alone lets the next call see.
    pub fn looked_well(&self, now: Instant, answered: bool) {
        let mut state = self.lock();
        match state.gate {
            Gate::Open { way, .. } if !answered => state.gate = Gate::Open { until: now, way },
            Gate::Open { .. } => state.close(),
            // Its verdict is under way, and it knows more.
            Gate::Closed | Gate::Probing { .. } => {}
        }
        self.publish(&state);
    }

    /// Says whether all is well, before the lock is given back.
    fn publish(&self, state: &State) {
        let quiet = state.gate == Gate::Closed
            && state.unreached == 0
            && state.clients.iter().all(|standing| standing.failures == 0);
        self.quiet.store(quiet, Ordering::Release);
    }

    /// Whether a good call of this client in this second is noted already; it is from now on.
    fn is_noted(&self, client: ClientKey, at: Instant) -> bool {
        let new = || Box::new(Noted { since: at, clients: [const { AtomicU64::new(0) }; _] });
        let noted = self.noted.get_or_init(new);
        let second = at.saturating_duration_since(noted.since).as_secs() + 1;
        let Some(slot) = noted.clients.get(client.part(NOTED_MAX)) else { return false };
        let word = client.mixed_with(second);
        // Read first: to write it at each call would cost the other workers.
        slot.load(Ordering::Relaxed) == word || {
            slot.store(word, Ordering::Relaxed);
            false
        }
    }

    /// What it is doing.
    pub fn position(&self, now: Instant) -> Position {
        match self.lock().gate {
            Gate::Closed => Position::Closed,
            Gate::Open { until, .. } if now < until => Position::Open,
            Gate::Open { .. } | Gate::Probing { .. } => Position::HalfOpen,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is a plain value: a panic elsewhere can't leave it half written.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self) {
        (self.gate, self.unreached) = (Gate::Closed, 0);
        self.clients.iter_mut().for_each(|standing| standing.failures = 0);
    }

    /// What is known of a client; of one too many, whoever called longest ago is forgotten.
    fn standing(&mut self, client: ClientKey, at: Instant) -> Option<&mut Standing> {
        let known = self.clients.iter().position(|standing| standing.client == client);
        let new = Standing { client, failures: 0, last: at };
        let place = match known {
            Some(place) => place,
            None if self.clients.len() < CLIENTS_MAX => {
                self.clients.push(new);
                self.clients.len() - 1
            }
            None => {
                let each = self.clients.iter().enumerate();
                let (place, _) = each.min_by_key(|(_, standing)| standing.last)?;
                *self.clients.get_mut(place)? = new;
                place
            }
        };
        let standing = self.clients.get_mut(place)?;
        standing.last = standing.last.max(at);
        Some(standing)
    }

    /// Those whose last call says something about now.
    fn lately(&self, now: Instant) -> impl Iterator<Item = &Standing> {
        self.clients.iter().filter(move |standing| standing.is_of_late(now))
    }

    /// Whether this client is one of those whose calls failed. A look is not.
    fn has_failed(&self, client: Option<ClientKey>) -> bool {
        let Some(client) = client else { return true };
        self.clients.iter().any(|standing| standing.client == client && standing.failures > 0)
    }

    /// Whether the calls of all clients that called lately failed, and so many together. Each
    /// counts for its share of them and no more: else one whose calls fail all the time would make
    /// the first failure of its neighbour's the last that is needed.
    fn fails_all(&self, now: Instant, failures_max: u32) -> bool {
        let all_fail = self.lately(now).all(|standing| standing.failures > 0);
        let clients = u32::try_from(self.lately(now).count()).unwrap_or(u32::MAX).max(1);
        let share = failures_max.div_ceil(clients);
        let failures = self.lately(now).map(|standing| standing.failures.min(share));
        all_fail && failures.fold(self.unreached, u32::saturating_add) >= failures_max
    }
}

impl Standing {
    fn is_of_late(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < LATELY
    }
}

impl Watched {
    /// The bank answered.
    pub fn succeed(mut self) {
        let is_noted = self.client.is_none_or(|it| self.breaker.is_noted(it, self.admitted));
        if is_noted && self.probing.is_none() && self.breaker.quiet.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.breaker.lock();
        // A call that was let through before the breaker opened says nothing about now.
        if self.probing.take().is_some() {
            state.close();
        }
        if state.gate == Gate::Closed {
            state.unreached = 0;
            let standing = self.client.and_then(|client| state.standing(client, self.admitted));
            if let Some(standing) = standing {
                standing.failures = 0;
            }
        }
        self.breaker.publish(&state);
    }

    /// The bank failed. Says whether calls of other clients went well lately: then it may be about
    /// this client's calls alone.
    pub fn fail(mut self, now: Instant, failure: Failure) -> bool {
        let rule = self.breaker.rule;
        let mut state = self.breaker.lock();
        match (failure, self.client) {
            (Failure::Call, Some(client)) => {
                if let Some(standing) = state.standing(client, now) {
                    standing.failures = standing.failures.saturating_add(1);
                }
            }
            (Failure::Way, _) | (Failure::Call, None) => {
                state.unreached = state.unreached.saturating_add(1);
            }
        }
        let probing = self.probing.take().is_some();
        if probing && failure == Failure::Call {
            // There is a way again, and something else is wrong.
            state.unreached = 0;
        }
        let unreached = state.unreached >= rule.failures.get();
        let open = match state.gate {
            Gate::Closed => unreached || state.fails_all(now, rule.failures.get()),
            Gate::Probing { .. } => probing,
            Gate::Open { .. } => false,
        };
        if open {
            let way = unreached || failure == Failure::Way;
            state.gate = Gate::Open { until: later(now, rule.open_for), way };
            // Who failed before that has nothing to do with it, and may try.
            state.clients.retain(|standing| standing.is_of_late(now));
        }
        self.breaker.publish(&state);
        state
            .lately(now)
            .any(|standing| Some(standing.client) != self.client && standing.failures == 0)
    }

    /// Nothing was learned about the bank: the fault was ours, or the caller left.
    pub fn abandon(self) {
        drop(self);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let Some(before) = self.probing else { return };
        // The probe died without a verdict: let the next call be the probe, now.
        let mut state = self.breaker.lock();
        if let Gate::Probing { .. } = state.gate {
            state.gate = before;
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's first instant has to come from somewhere")]
mod tests;
