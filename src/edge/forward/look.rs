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
use crate::breaker::{Position, Watched};
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
        let mut rounds = self.looks.0.borrow_mut();
        let mut begun = 0;
        for _ in 0..probed.len().min(CONSIDERED_MAX) {
            let Some(route) = probed.get(rounds.next) else {
                rounds.end_round();
                continue;
            };
            rounds.next += 1;
            let Some(probe) = &route.target.probe else { continue };
            if !self.commons.is_share_of(self.worker, route.number)
                || !rounds.is_due(route, probe, unix_seconds)
            {
                continue;
            }
            self.begin_look(route, probe);
            begun += 1;
            if begun == BEGUN_MAX {
                break;
            }
        }
        if rounds.next >= probed.len() {
            rounds.end_round();
        }
    }

    fn begin_look(&self, route: &Arc<Route>, probe: &Probe) {
        let mut hosts = vec![self.bank(route, Host::Main)];
        if !route.target.auth_upstream.is_empty() {
            hosts.push(self.bank(route, Host::Auth));
        }
        let (route, path) = (route.clone(), probe.path.clone());
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
    /// The next tick begins at the list's head. Forgets whom this round did not see.
    fn end_round(&mut self) {
        let round = self.round;
        if self.seen.len() > self.count {
            self.seen.retain(|_, seen| seen.round == round);
        }
        (self.next, self.round, self.count) = (0, round.wrapping_add(1), 0);
    }

    fn is_due(&mut self, route: &Route, probe: &Probe, unix_seconds: i64) -> bool {
        let (now, round) = (now(), self.round);
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
    let watched = closed.then(|| route.breaker.admit(now()).ok()).flatten();
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
        (None, Some(watched)) => watched.fail(now()),
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
