//! Looking at banks while nobody calls them.
//!
//! This file decides which bank is looked at and when: only where the table wants it, only one that
//! is open, and only while no call does the same. It must not know how a look is done.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::{Bank, Forwarder};
use crate::breaker::{Failure, Position, Watched};
use crate::dialect::Host;
use crate::edge::now;
use crate::fault::Fault;
use crate::routes::{Probe, TargetStatus};
use crate::snapshot::Route;

/// Most banks that one tick considers: where there are more, it takes several ticks to get round.
const CONSIDERED_MAX: usize = 2_000;
/// Most looks that one tick begins; the next tick goes on with the rest.
const BEGUN_MAX: usize = 16;

/// What a worker knows of the banks that it looks at.
#[derive(Debug, Default)]
pub(super) struct Looks(RefCell<Rounds>);

/// Where the worker is among all banks. Its calls wait for each tick, so a tick does its share and
/// no more, however many banks there are.
#[derive(Debug, Default)]
struct Rounds {
    /// By their routes' numbers.
    seen: HashMap<u64, Seen>,
    /// The place in the list where the next tick begins.
    next: usize,
    /// Counts the rounds: who was not seen in one is not in the table any more.
    round: u64,
    /// How many were seen in this one.
    count: usize,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    calls: u64,
    called_at: Instant,
    looked_at: Instant,
    round: u64,
}

impl Forwarder {
    /// Looks at the banks that are due, among those that are this worker's to look at: each bank
    /// is one worker's.
    pub(in crate::edge) fn look_around(&self, probed: &[Arc<Route>], unix_seconds: i64) {
        let is_mine = |route: &Route| self.commons.is_share_of(self.worker, route.number);
        let due = self.looks.0.borrow_mut().due(probed, is_mine, unix_seconds, now());
        for route in due {
            self.begin_look(&route);
        }
    }

    fn begin_look(&self, route: &Arc<Route>) {
        let path = route.target.probe.as_ref().and_then(|probe| probe.path.clone());
        let mut hosts = vec![self.bank(route, Host::Main)];
        if !route.target.auth_upstream.is_empty() {
            hosts.push(self.bank(route, Host::Auth));
        }
        let route = route.clone();
        tokio::task::spawn_local(async move {
            for bank in hosts {
                // The path is one of the bank itself, not of its authorization server.
                let path = path.clone().filter(|_| bank.host == Host::Main);
                look_at(&route, &bank, path).await;
            }
        });
    }
}

impl Rounds {
    /// The banks to look at in this tick.
    fn due(
        &mut self,
        probed: &[Arc<Route>],
        is_mine: impl Fn(&Route) -> bool,
        unix_seconds: i64,
        now: Instant,
    ) -> Vec<Arc<Route>> {
        let mut due = Vec::new();
        for _ in 0..probed.len().min(CONSIDERED_MAX) {
            if self.next >= probed.len() {
                self.end_round();
            }
            let Some(route) = probed.get(self.next) else { break };
            self.next += 1;
            let Some(probe) = &route.target.probe else { continue };
            if is_mine(route) && self.is_due(route, probe, unix_seconds, now) {
                due.push(route.clone());
                if due.len() == BEGUN_MAX {
                    break;
                }
            }
        }
        due
    }

    /// The next tick begins at the list's head. Forgets whom this round did not see.
    fn end_round(&mut self) {
        let round = self.round;
        if self.seen.len() > self.count {
            self.seen.retain(|_, seen| seen.round == round);
        }
        (self.next, self.round, self.count) = (0, round.wrapping_add(1), 0);
    }

    fn is_due(&mut self, route: &Route, probe: &Probe, unix_seconds: i64, now: Instant) -> bool {
        let round = self.round;
        let calls = route.tally.calls.load(Ordering::Relaxed);
        let seen = self.seen.entry(route.number).or_insert_with(|| {
            // All that are loaded together are not looked at together.
            let ago = probe.after.mul_f64(fastrand::f64());
            let looked_at = now.checked_sub(ago).unwrap_or(now);
            Seen { calls, called_at: looked_at, looked_at, round }
        });
        seen.round = round;
        self.count += 1;
        is_due(seen, route, probe, unix_seconds, now)
    }
}

fn is_due(seen: &mut Seen, route: &Route, probe: &Probe, unix_seconds: i64, now: Instant) -> bool {
    let calls = route.tally.calls.load(Ordering::Relaxed);
    if calls != seen.calls {
        (seen.calls, seen.called_at) = (calls, now);
    }
    let over = |since: Instant| now.saturating_duration_since(since) >= probe.after;
    let target = &route.target;
    let closed = target.status != TargetStatus::Active
        || target.maintenance.end(unix_seconds).is_some()
        || route.patience.wait(now).is_some();
    if closed || !over(seen.looked_at) || !(over(seen.called_at) || is_troubled(route, now)) {
        return false;
    }
    seen.looked_at = now;
    true
}

/// Calls that come do not get through, or not everywhere: they do not show whether it is back.
fn is_troubled(route: &Route, now: Instant) -> bool {
    let ejected = |host| route.endpoints(host).views().iter().any(|endpoint| endpoint.ejected);
    route.breaker.position(now) != Position::Closed || ejected(Host::Main) || ejected(Host::Auth)
}

async fn look_at(route: &Arc<Route>, bank: &Rc<Bank>, path: Option<crate::fault::Name>) {
    let endpoints = route.endpoints(bank.host);
    let closed = route.breaker.position(now()) == Position::Closed;
    let watched = closed.then(|| route.breaker.admit(now(), None).ok()).flatten();
    let mut best = None;
    for endpoint in 0..route.target.origins(bank.host).len() {
        let look = bank.exchange.look(endpoint, path.clone());
        let looked = within(route.target.timeouts.total, look).await;
        route.tally.probes.fetch_add(1, Ordering::Relaxed);
        match looked {
            Ok(answered) => {
                endpoints.looked_well(endpoint, now(), answered);
                best = best.max(Some(answered));
            }
            // Nothing was learned of the bank.
            Err(Fault::LocalFailure) => return,
            Err(fault) => {
                endpoints.unreached(endpoint, now());
                route.tally.probes_failed.fetch_add(1, Ordering::Relaxed);
                let (target, fault) = (&route.target.id, fault.row().code);
                tracing::warn!(target_id = %target, endpoint, fault, "a look at a bank failed");
            }
        }
    }
    conclude(route, watched, best);
}

/// What all addresses together mean for the breaker: one that is well is enough.
fn conclude(route: &Route, watched: Option<Watched>, best: Option<bool>) {
    match (best, watched) {
        (None, Some(watched)) => {
            let _ = watched.fail(now(), Failure::Way);
        }
        (None, None) => {}
        (Some(true), Some(watched)) => watched.succeed(),
        // A connection does not show that calls would be answered.
        (Some(false), Some(watched)) => watched.abandon(),
        (Some(answered), None) => route.breaker.looked_well(now(), answered),
    }
}

async fn within(
    most: Duration,
    look: impl Future<Output = Result<bool, Fault>>,
) -> Result<bool, Fault> {
    timeout(most, look).await.unwrap_or(Err(Fault::ResponseTimeout))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::*;
    use crate::routes::{MemorySources, load};
    use crate::snapshot::Snapshot;

    const AFTER: Duration = Duration::from_secs(3_600);

    /// The routes of so many banks that are looked at once an hour.
    fn probed(count: usize, before: Option<&Snapshot>) -> Snapshot {
        let mut text = "[gateway]\ninsecure_plain_listen = '127.0.0.1:0'\n\
                        insecure_header_identity = true\n[[api]]\ncontract = 'blink-fi'\n"
            .to_owned();
        for number in 0..count {
            let _ = write!(
                text,
                "[[target]]\nid = 'T{number}'\nupstream = 'https://bank.example'\n\
                 probe = {{ after = '1h' }}\n"
            );
        }
        let sources = MemorySources::default().file("routes.toml", &text);
        Snapshot::build(load("routes.toml".as_ref(), &sources).unwrap().table, before)
    }

    #[test]
    fn a_tick_does_its_share_however_many_banks_there_are() {
        const BANKS: usize = 2 * CONSIDERED_MAX + 100;
        let snapshot = probed(BANKS, None);
        let (mut rounds, begun) = (Rounds::default(), now());
        let first = rounds.due(&snapshot.probed, |_| true, 0, begun);
        assert!(first.is_empty() && rounds.seen.len() == CONSIDERED_MAX);
        for _ in 0..2 {
            assert!(rounds.due(&snapshot.probed, |_| true, 0, begun).is_empty());
        }
        assert_eq!(rounds.seen.len(), BANKS);
        // All of them are due at once. Each is looked at once, some at a time.
        let (later, mut looked) = (begun + AFTER, BTreeSet::new());
        for _ in 0..BANKS / BEGUN_MAX + 10 {
            let due = rounds.due(&snapshot.probed, |_| true, 0, later);
            assert!(due.len() <= BEGUN_MAX);
            for route in due {
                assert!(looked.insert(route.number), "one was looked at twice");
            }
        }
        assert_eq!(looked.len(), BANKS);
        // A reload takes one away; it is forgotten when the list was gone through.
        let fewer = probed(BANKS - 1, Some(&snapshot));
        for _ in 0..8 {
            rounds.due(&fewer.probed, |_| true, 0, later);
        }
        assert_eq!(rounds.seen.len(), BANKS - 1);
        // Workers share them, and none is left out.
        let mine = |worker: u64| move |route: &Route| route.number % 2 == worker;
        let counts = [0, 1].map(|worker| {
            let mut rounds = Rounds::default();
            (0..4).for_each(|_| drop(rounds.due(&fewer.probed, mine(worker), 0, later)));
            rounds.seen.len()
        });
        assert_eq!(counts.iter().sum::<usize>(), BANKS - 1);
    }
}
