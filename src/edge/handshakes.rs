//! A worker's TLS handshakes: how many are under way, and who is next.
//!
//! A handshake takes a place only once its whole ClientHello is there: silence costs a socket and
//! nothing else. This file decides who gets a place that is free: whose network has the fewest
//! already, then who has waited longest; and that a handshake which its peer lets stand gives way
//! to one that waits. It must not know TLS.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Poll;

use tokio::time::Instant;

use super::stay::{STALLED, Stay, Step};

/// The handshakes of one worker.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    under_way: RefCell<Vec<Rc<Stay>>>,
    waiting: RefCell<VecDeque<Rc<Stay>>>,
}

/// A handshake's place, or its wait for one; over when this is dropped.
pub(super) struct Place<'h> {
    handshakes: &'h Handshakes,
    stay: &'h Rc<Stay>,
    under_way_max: usize,
}

impl Handshakes {
    /// Waits for a place, of which there are `under_way_max`.
    pub(super) async fn place<'h>(&'h self, stay: &'h Rc<Stay>, under_way_max: usize) -> Place<'h> {
        stay.advance(Step::Waiting);
        self.waiting.borrow_mut().push_back(stay.clone());
        let place = Place { handshakes: self, stay, under_way_max };
        self.admit(under_way_max);
        poll_fn(|cx| {
            stay.wake(cx.waker());
            if stay.step() == Step::Shaking { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        place
    }

    /// Gives the free places away.
    fn admit(&self, under_way_max: usize) {
        let mut under_way = self.under_way.borrow_mut();
        while under_way.len() < under_way_max
            && let Some(next) = self.take_next(&under_way)
        {
            next.advance(Step::Shaking);
            next.rouse();
            under_way.push(next);
        }
    }

    fn take_next(&self, under_way: &[Rc<Stay>]) -> Option<Rc<Stay>> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < 2 {
            return waiting.pop_front();
        }
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        under_way.iter().for_each(|stay| *counts.entry(stay.network()).or_default() += 1);
        let has = |stay: &Stay| counts.get(&stay.network()).copied().unwrap_or(0);
        // Of equals, the first.
        let (next, _) = waiting.iter().enumerate().min_by_key(|(_, stay)| has(stay))?;
        waiting.remove(next)
    }

    /// Those that stand still and have to give way, as many as wait: of the network that has the
    /// most, the oldest first.
    pub(super) fn stalled(&self, now: Instant) -> Vec<Rc<Stay>> {
        let waiting = self.waiting.borrow().len();
        if waiting == 0 {
            return Vec::new();
        }
        let under_way = self.under_way.borrow();
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        under_way.iter().for_each(|stay| *counts.entry(stay.network()).or_default() += 1);
        let is_stalled = |stay: &&Rc<Stay>| {
            !stay.is_over() && now.saturating_duration_since(stay.since()) >= STALLED
        };
        let mut stalled: Vec<_> = under_way.iter().filter(is_stalled).cloned().collect();
        let has = |stay: &Stay| counts.get(&stay.network()).copied().unwrap_or(0);
        stalled.sort_by_key(|stay| (std::cmp::Reverse(has(stay)), stay.since()));
        stalled.truncate(waiting);
        stalled
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let is_other = |other: &Rc<Stay>| !Rc::ptr_eq(other, self.stay);
        self.handshakes.waiting.borrow_mut().retain(is_other);
        self.handshakes.under_way.borrow_mut().retain(is_other);
        self.handshakes.admit(self.under_way_max);
    }
}
