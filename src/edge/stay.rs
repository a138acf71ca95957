//! A connection as its worker knows it, from accept to its end.
//!
//! This file decides what is known of each, so that one can be found and told to end: because its
//! client is out, or because there is no room. It must not know how a connection is ended.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::doors::{Account, Crowd, Door, Holder, network_of};
use super::progress::Progress;
use super::reusable::{Candidate, pick};
use crate::ids::Fingerprint;
use crate::routes::EdgeLimits;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is to send a ClientHello.
    Silent,
    /// That is there, and the handshake waits for its place.
    Waiting,
    /// Its handshake is under way.
    Shaking,
    /// It may ask.
    Open,
}

/// What a connection and its worker tell each other.
#[derive(Debug)]
pub(super) struct Stay {
    /// Whether it is to end.
    over: Cell<bool>,
    /// Whether its client is out.
    out: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    step: Cell<Step>,
    since: Cell<Instant>,
    network: IpAddr,
    certificate: Cell<Option<Fingerprint>>,
    progress: OnceCell<Rc<Progress>>,
    door: RefCell<Option<Door>>,
    account: RefCell<Arc<Account>>,
}

impl Stay {
    /// A connection that was let in.
    pub(super) fn new(address: IpAddr, step: Step, door: Door) -> Self {
        let account = RefCell::new(door.account().clone());
        Self {
            over: Cell::new(false),
            out: Cell::new(false),
            waker: RefCell::new(None),
            step: Cell::new(step),
            since: Cell::new(Instant::now()),
            network: network_of(address),
            certificate: Cell::new(None),
            progress: OnceCell::new(),
            door: RefCell::new(Some(door)),
            account,
        }
    }

    /// Whether it is to end.
    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Whether its client is out, and so may not ask any more.
    pub(super) fn is_out(&self) -> bool {
        self.out.get()
    }

    /// Whom to wake when it is to end.
    pub(super) fn wake(&self, waker: &Waker) {
        self.waker.replace(Some(waker.clone()));
    }

    /// Its client is out.
    pub(super) fn put_out(&self) {
        self.out.set(true);
        self.end();
    }

    /// There is no room for it. Its place is free from now on.
    pub(super) fn close(&self) {
        self.leave();
        self.end();
    }

    /// It does not count any more.
    pub(super) fn leave(&self) {
        self.door.take();
    }

    fn end(&self) {
        self.over.set(true);
        self.rouse();
    }

    /// Wakes who waits.
    pub(super) fn rouse(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// How far it has come.
    pub(super) fn step(&self) -> Step {
        self.step.get()
    }

    /// It has come further.
    pub(super) fn advance(&self, step: Step) {
        self.step.set(step);
        self.since.set(Instant::now());
    }

    /// Since when it is at its step.
    pub(super) fn since(&self) -> Instant {
        self.since.get()
    }

    /// Where it comes from.
    pub(super) fn network(&self) -> IpAddr {
        self.network
    }

    /// It may ask from now on, and this says whether it does.
    pub(super) fn open(&self, progress: Rc<Progress>) {
        self.advance(Step::Open);
        let _ = self.progress.set(progress);
    }

    /// Whose bytes it buffers.
    pub(super) fn account(&self) -> Arc<Account> {
        self.account.borrow().clone()
    }

    /// Counts it for the certificate that it has shown.
    ///
    /// # Errors
    /// That has too many.
    pub(super) fn identify(
        &self,
        certificate: Fingerprint,
        limits: &EdgeLimits,
    ) -> Result<(), Crowd> {
        let mut door = self.door.borrow_mut();
        // One that is to end is nobody's any more.
        let Some(door) = door.as_mut() else { return Ok(()) };
        door.identify(certificate, limits)?;
        self.certificate.set(Some(certificate));
        self.account.replace(door.account().clone());
        Ok(())
    }

    fn candidate(&self, number: u64, now: Instant, quiet: Duration) -> Candidate {
        let progress = self.progress.get();
        let has_asked = progress.is_some_and(|progress| progress.has_asked());
        let holder = match self.certificate.get() {
            Some(certificate) => Some(Holder::Certificate(certificate)),
            None => has_asked.then_some(Holder::Network(self.network)),
        };
        let since = progress.map_or(self.since.get(), |progress| progress.phase().1);
        let waited = now.saturating_duration_since(since);
        let reusable = match self.step.get() {
            Step::Silent | Step::Waiting => true,
            Step::Shaking => waited >= STALLED,
            Step::Open => {
                // Whoever asks often is not cut off between two requests.
                let rested = holder.is_none() || waited >= quiet;
                rested && progress.is_some_and(|progress| progress.is_reusable())
            }
        };
        let reusable = reusable && !self.is_over();
        Candidate { number, holder, network: self.network, since, reusable }
    }
}

/// A worker's connections.
#[derive(Debug, Default)]
pub(super) struct Stays {
    all: RefCell<HashMap<u64, Rc<Stay>, foldhash::fast::RandomState>>,
    next: Cell<u64>,
    /// Where nothing could be closed, and when that was seen.
    full: Cell<Option<(Crowd, Instant)>>,
}

impl Stays {
    /// One more.
    pub(super) fn add(&self, stay: Rc<Stay>) -> u64 {
        let number = self.next.replace(self.next.get() + 1);
        self.all.borrow_mut().insert(number, stay);
        number
    }

    /// One less.
    pub(super) fn remove(&self, number: u64) {
        self.all.borrow_mut().remove(&number);
    }

    /// Closes what waits longest of who has most, so that somebody new has room. `quiet` is how
    /// long a connection that was in use must have been idle for that. Says how many were closed.
    pub(super) fn make_room(&self, crowd: Crowd, quiet: Duration) -> usize {
        let now = Instant::now();
        let is_full = |(seen, at)| seen == crowd && now.saturating_duration_since(at) < FULL_FOR;
        if self.full.get().is_some_and(is_full) {
            return 0;
        }
        let closed = self.look_for_room(crowd, quiet);
        self.full.set((closed == 0).then_some((crowd, now)));
        closed
    }

    fn look_for_room(&self, crowd: Crowd, quiet: Duration) -> usize {
        self.close_some(
            |stay| match crowd {
                Crowd::All => true,
                Crowd::Of(Holder::Network(network)) => stay.network == network,
                Crowd::Of(Holder::Certificate(print)) => stay.certificate.get() == Some(print),
            },
            quiet,
        )
    }

    /// The same among those that have not begun their handshake.
    pub(super) fn make_room_for_silence(&self) -> usize {
        // Who is silent goes before who has said all that was asked of it.
        let at = |step: Step| self.close_some(|stay| stay.step.get() == step, Duration::ZERO);
        let closed = at(Step::Silent);
        if closed > 0 { closed } else { at(Step::Waiting) }
    }

    fn close_some(&self, among: impl Fn(&Stay) -> bool, quiet: Duration) -> usize {
        let all = self.all.borrow();
        let now = Instant::now();
        let candidates: Vec<_> = all
            .iter()
            .filter(|(_, stay)| !stay.is_over() && among(stay))
            .map(|(number, stay)| stay.candidate(*number, now, quiet))
            .collect();
        // Several at once where they are many, so that not every newcomer costs a look at all.
        let most = (candidates.len() / LOOKS_FOR_ONE).clamp(1, CLOSED_AT_ONCE_MAX);
        let closed: Vec<_> = pick(&candidates, most);
        closed.iter().filter_map(|number| all.get(number)).for_each(|stay| stay.close());
        closed.len()
    }
}

/// After so long without its end a handshake waits for its peer, and not for us.
pub(super) const STALLED: Duration = Duration::from_secs(1);
/// For so long nobody looks again where nothing could be closed: not every newcomer of a flood
/// costs a look at all.
const FULL_FOR: Duration = Duration::from_millis(20);
/// One is closed for each so many that are looked at, up to so many at once.
const LOOKS_FOR_ONE: usize = 256;
const CLOSED_AT_ONCE_MAX: usize = 16;
