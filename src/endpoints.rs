//! The addresses of one bank: which is asked first, and which is left out for a while.
//!
//! This file decides that the least busy one goes first, that one which fails is left out while
//! another is up, and that it comes back by way of one call. Never all are left out: whether a bank
//! as a whole is called is the breaker's. It is handed the time. It must not know what an address
//! is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::ids::ClientKey;
use crate::routes;

/// Most addresses of one bank.
pub const ENDPOINTS_MAX: usize = 16;

/// One bank's addresses, shared by all workers.
#[derive(Debug)]
pub struct Endpoints {
    rule: routes::Breaker,
    count: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    endpoints: [Endpoint; ENDPOINTS_MAX],
    /// Where the search begins, so that of two that are as busy each has its turn.
    turn: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Endpoint {
    in_flight: u32,
    /// So many calls in a row failed.
    failures: u32,
    /// Whose call the first of them was.
    first: Option<ClientKey>,
    /// Whether another client's failed, too.
    several: bool,
    /// It is left out until then; after that one call is let through to see.
    ejected: Option<Instant>,
}

/// The order in which one call tries the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    order: [u8; ENDPOINTS_MAX],
    count: usize,
}

/// A call at an address; counted until it is dropped.
#[derive(Debug)]
pub struct Visit(Option<(Arc<Endpoints>, usize)>);

/// What the status page says of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Calls that it has now.
    pub in_flight: u32,
    /// Whether it is left out.
    pub ejected: bool,
}

impl Endpoints {
    /// So many addresses, all of them good.
    pub fn new(count: usize, rule: routes::Breaker) -> Self {
        Self { rule, count: count.min(ENDPOINTS_MAX), state: Mutex::default() }
    }

    /// Whether there is anything to choose.
    pub const fn are_several(&self) -> bool {
        self.count > 1
    }

    /// The order for one call: the least busy first, the ones that are left out last. One whose
    /// time is over is tried first, by this call alone.
    pub fn order(&self, now: Instant) -> Order {
        let mut order = [0; ENDPOINTS_MAX];
        if !self.are_several() {
            return Order { order, count: self.count };
        }
        let mut state = self.lock();
        let turn = state.turn;
        state.turn = turn.wrapping_add(1) % self.count;
        let slots = order.iter_mut().take(self.count);
        for (step, slot) in slots.enumerate() {
            // Below 16, so it fits.
            *slot = ((turn + step) % self.count) as u8;
        }
        let due = |endpoint: &Endpoint| endpoint.ejected.is_some_and(|until| until <= now);
        let trial = state.endpoints.iter().take(self.count).position(due);
        if let Some(endpoint) = trial.and_then(|trial| state.endpoints.get_mut(trial)) {
            // Until this call has told, or for as long again, nobody else tries it.
            endpoint.ejected = now.checked_add(self.rule.open_for);
        }
        let rank = |index: u8| {
            let index = usize::from(index);
            let endpoint = state.endpoints.get(index).copied().unwrap_or_default();
            (trial != Some(index), endpoint.ejected.is_some(), endpoint.in_flight)
        };
        if let Some(order) = order.get_mut(..self.count) {
            // Stable: among equals, the turn decides.
            order.sort_by_key(|index| rank(*index));
        }
        Order { order, count: self.count }
    }

    /// A call goes to an address.
    pub fn visit(self: &Arc<Self>, index: usize) -> Visit {
        if !self.are_several() {
            return Visit(None);
        }
        self.change(index, |endpoint| endpoint.in_flight += 1);
        Visit(Some((self.clone(), index)))
    }

    /// It answered.
    pub fn succeed(&self, index: usize) {
        self.change(index, |endpoint| {
            *endpoint = Endpoint { in_flight: endpoint.in_flight, ..Endpoint::default() };
        });
    }

    /// It failed a call that it was sent: so many in a row, and it is left out. Where calls of
    /// other clients go well (`one_of_several`), those of one alone are no reason: it may be about
    /// them.
    pub fn fail(&self, index: usize, now: Instant, client: ClientKey, one_of_several: bool) {
        self.change(index, |endpoint| {
            let first = *endpoint.first.get_or_insert(client);
            endpoint.several |= first != client || !one_of_several;
        });
        self.note(index, now, 1);
    }

    /// It could not be reached: left out at once, for nobody is there.
    pub fn unreached(&self, index: usize, now: Instant) {
        self.change(index, |endpoint| endpoint.several = true);
        self.note(index, now, self.rule.failures.get());
    }

    /// A look at it, not a call, went well. One that was answered brings it back; a connection
    /// alone lets the next call see.
    pub fn looked_well(&self, index: usize, now: Instant, answered: bool) {
        if answered {
            return self.succeed(index);
        }
        self.change(index, |endpoint| endpoint.ejected = endpoint.ejected.map(|_| now));
    }

    /// What the status page says, in the order of the table.
    pub fn views(&self) -> Vec<View> {
        let state = self.lock();
        let view = |endpoint: &Endpoint| View {
            in_flight: endpoint.in_flight,
            ejected: endpoint.ejected.is_some(),
        };
        state.endpoints.iter().take(self.count).map(view).collect()
    }

    fn note(&self, index: usize, now: Instant, failures: u32) {
        if !self.are_several() {
            return;
        }
        let mut state = self.lock();
        let others = state.endpoints.iter().take(self.count).enumerate();
        let another_is_up =
            others.into_iter().any(|(other, state)| other != index && state.ejected.is_none());
        let Some(endpoint) = state.endpoints.get_mut(index) else { return };
        endpoint.failures = endpoint.failures.saturating_add(failures);
        let is_out = endpoint.ejected.is_some();
        let fails = endpoint.failures >= self.rule.failures.get() && endpoint.several;
        if is_out || (fails && another_is_up) {
            endpoint.ejected = now.checked_add(self.rule.open_for);
        }
    }

    fn change(&self, index: usize, change: impl FnOnce(&mut Endpoint)) {
        if self.are_several()
            && let Some(endpoint) = self.lock().endpoints.get_mut(index)
        {
            change(endpoint);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain values: a panic elsewhere can't leave it half written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Order {
    /// Where there is nothing to choose.
    pub const ONE: Self = Self { order: [0; ENDPOINTS_MAX], count: 1 };

    /// The addresses, by their place in the table.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.order.iter().take(self.count).map(|index| usize::from(*index))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some((endpoints, index)) = &self.0 {
            endpoints.change(*index, |endpoint| endpoint.in_flight -= 1);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's first instant has to come from somewhere")]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(5);

    fn endpoints(count: usize) -> Arc<Endpoints> {
        let failures = NonZeroU32::new(2).unwrap();
        Arc::new(Endpoints::new(count, routes::Breaker { failures, open_for: OPEN_FOR }))
    }

    fn client(number: u32) -> ClientKey {
        crate::ids::ClientId::parse(&format!("C{number}")).unwrap().key()
    }

    fn order(endpoints: &Endpoints, now: Instant) -> Vec<usize> {
        endpoints.order(now).iter().collect()
    }

    #[test]
    fn the_least_busy_goes_first_and_among_equals_each_has_its_turn() {
        let (endpoints, now) = (endpoints(3), Instant::now());
        let firsts: Vec<_> = (0..6).map(|_| order(&endpoints, now)[0]).collect();
        assert_eq!(firsts, [0, 1, 2, 0, 1, 2]);
        let (_one, _other) = (endpoints.visit(0), endpoints.visit(2));
        for _ in 0..3 {
            assert_eq!(order(&endpoints, now)[0], 1);
        }
        drop(endpoints.visit(1));
        assert_eq!(endpoints.views()[1].in_flight, 0);
    }

    #[test]
    fn one_that_fails_is_left_out_and_comes_back_by_way_of_one_call() {
        let (endpoints, now) = (endpoints(2), Instant::now());
        endpoints.fail(0, now, client(1), false);
        endpoints.succeed(0);
        endpoints.fail(0, now, client(1), false);
        assert!(!endpoints.views()[0].ejected);
        endpoints.fail(0, now, client(1), false);
        for _ in 0..4 {
            assert_eq!(order(&endpoints, now), [1, 0]);
        }
        let later = now + OPEN_FOR;
        assert_eq!(order(&endpoints, later), [0, 1], "one call sees whether it is back");
        assert_eq!(order(&endpoints, later), [1, 0], "and no other");
        endpoints.fail(0, later, client(1), false);
        assert_eq!(order(&endpoints, later), [1, 0]);
        assert_eq!(order(&endpoints, later + OPEN_FOR), [0, 1]);
        endpoints.succeed(0);
        assert!(!endpoints.views()[0].ejected);
    }

    #[test]
    fn one_client_among_several_has_no_address_left_out() {
        let (endpoints, now) = (endpoints(2), Instant::now());
        for _ in 0..99 {
            endpoints.fail(0, now, client(1), true);
        }
        assert!(!endpoints.views()[0].ejected);
        endpoints.fail(0, now, client(2), true);
        assert!(endpoints.views()[0].ejected, "two clients, and none between them");
    }

    #[test]
    fn a_trial_that_nobody_tells_of_is_made_again() {
        let (endpoints, now) = (endpoints(2), Instant::now());
        endpoints.unreached(0, now);
        assert_eq!(order(&endpoints, now + OPEN_FOR), [0, 1]);
        assert_eq!(order(&endpoints, now + 2 * OPEN_FOR), [0, 1]);
    }

    #[test]
    fn a_look_that_was_answered_brings_it_back_and_a_connection_lets_a_call_see() {
        let (endpoints, now) = (endpoints(2), Instant::now());
        endpoints.unreached(0, now);
        endpoints.looked_well(0, now, false);
        assert!(endpoints.views()[0].ejected);
        assert_eq!(order(&endpoints, now), [0, 1]);
        assert_eq!(order(&endpoints, now), [1, 0]);
        endpoints.looked_well(0, now, true);
        assert!(!endpoints.views()[0].ejected);
    }

    #[test]
    fn never_all_are_left_out() {
        let (two, now) = (endpoints(2), Instant::now());
        two.unreached(1, now);
        two.unreached(0, now);
        assert_eq!(order(&two, now), [0, 1]);
        assert!(!two.views()[0].ejected);
        let one = endpoints(1);
        one.unreached(0, now);
        assert_eq!(order(&one, now), [0]);
        assert!(!one.views()[0].ejected);
    }
}
