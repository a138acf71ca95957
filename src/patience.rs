//! The patience with a bank that asked to be left alone: `Retry-After` of its 429 or 503.
//!
//! This file decides who does not call, and until when. A 503 is about the bank: nobody calls. A
//! 429 is about who asked ("the user has sent too many requests", RFC 6585 section 4), so it is
//! kept for the client that got it. Clients that share one registration at the bank may be one user
//! to it: once a second of them gets a 429 while the first one's wait lasts, it is kept for all
//! that share it, and never because of one alone. It is handed the time, and all of it is
//! monotonic: a clock that jumps shortens or lengthens no wait. It must not know how a wait was
//! said.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::ids::ClientKey;

/// Who asks: a client, and whether the bank can tell it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// The client.
    pub client: ClientKey,
    /// Whether it goes by a registration that other clients go by, too.
    pub shares_registration: bool,
}

/// One bank's, shared by all workers.
#[derive(Debug, Default)]
pub struct Patience {
    /// Whether there may be something to wait for: what a call looks at.
    asked: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// A 503: for everybody.
    all: Option<Wait>,
    /// A 429 that more than one got: for all that share a registration.
    sharers: Option<Wait>,
    /// A 429: for one client each, so never more than the table has.
    clients: HashMap<ClientKey, Wait, foldhash::fast::RandomState>,
    /// At so many, those that are over are forgotten.
    clients_max: usize,
}

/// A wait that was asked for.
#[derive(Debug, Clone, Copy)]
struct Wait {
    said: Instant,
    until: Instant,
    shares: bool,
}

/// So many waits are kept before any is looked at for its end.
const CLIENTS_AT_FIRST: usize = 64;

impl Patience {
    /// The bank wants to be left alone by everybody for so long. A longer wait that it asked for
    /// before stays.
    pub fn learn(&self, now: Instant, wait: Duration) {
        let Some(wait) = Wait::of(now, wait, false) else { return };
        let mut kept = self.lock();
        kept.all = Some(wait.or_longer(kept.all));
        self.asked.store(true, Ordering::Relaxed);
    }

    /// The bank wants to be left alone by one client for so long.
    pub fn learn_for(&self, now: Instant, wait: Duration, asker: Asker) {
        let Some(wait) = Wait::of(now, wait, asker.shares_registration) else { return };
        let mut kept = self.lock();
        let also = |(client, other): (&ClientKey, &Wait)| {
            *client != asker.client && other.shares && other.until > now
        };
        if asker.shares_registration && kept.clients.iter().any(also) {
            kept.sharers = Some(wait.or_longer(kept.sharers));
        }
        if kept.clients.len() >= kept.clients_max.max(CLIENTS_AT_FIRST) {
            kept.clients.retain(|_, wait| wait.until > now);
            kept.clients_max = kept.clients.len() * 2;
        }
        let before = kept.clients.get(&asker.client).copied();
        kept.clients.insert(asker.client, wait.or_longer(before));
        self.asked.store(true, Ordering::Relaxed);
    }

    /// The bank is believed for no longer than this, from when it asked: also what it asked for
    /// before.
    pub fn shorten(&self, wait_max: Duration) {
        let mut kept = self.lock();
        let Kept { all, sharers, clients, .. } = &mut *kept;
        for wait in all.iter_mut().chain(sharers).chain(clients.values_mut()) {
            wait.until =
                wait.said.checked_add(wait_max).map_or(wait.until, |end| end.min(wait.until));
        }
    }

    /// How long it still wants to be left alone by everybody; none where it may be called.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.left(|kept| kept.all.and_then(|wait| wait.left(now)), now)
    }

    /// How long this client has to wait; none where it may call.
    pub fn wait_of(&self, now: Instant, asker: Asker) -> Option<Duration> {
        let longest = |kept: &Kept| {
            let sharers = kept.sharers.filter(|_| asker.shares_registration);
            let own = kept.clients.get(&asker.client).copied();
            [kept.all, sharers, own].into_iter().flatten().filter_map(|wait| wait.left(now)).max()
        };
        self.left(longest, now)
    }

    /// How many clients have a wait of their own.
    pub fn clients_waiting(&self, now: Instant) -> usize {
        if !self.asked.load(Ordering::Relaxed) {
            return 0;
        }
        self.lock().clients.values().filter(|wait| wait.until > now).count()
    }

    fn left(&self, look: impl FnOnce(&Kept) -> Option<Duration>, now: Instant) -> Option<Duration> {
        if !self.asked.load(Ordering::Relaxed) {
            return None;
        }
        let mut kept = self.lock();
        let left = look(&kept);
        let is_over = |wait: Option<Wait>| wait.is_none_or(|wait| wait.until <= now);
        // The last wait may be over for everybody: then no call takes the lock any more. Where
        // many wait, whoever still does is asked about, and not all the others.
        if left.is_none() && is_over(kept.all) && is_over(kept.sharers) && kept.is_rested(now) {
            *kept = Kept::default();
            self.asked.store(false, Ordering::Relaxed);
        }
        left
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Plain values: a panic elsewhere can't leave them half written.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Whether no client waits. It looks at few: the first that does ends the search.
    fn is_rested(&self, now: Instant) -> bool {
        self.clients.len() <= CLIENTS_AT_FIRST && self.clients.values().all(|w| w.until <= now)
    }
}

impl Wait {
    fn of(now: Instant, wait: Duration, shares: bool) -> Option<Self> {
        let until = now.checked_add(wait).filter(|until| *until > now)?;
        Some(Self { said: now, until, shares })
    }

    fn or_longer(self, before: Option<Self>) -> Self {
        before.filter(|before| before.until > self.until).unwrap_or(self)
    }

    fn left(self, now: Instant) -> Option<Duration> {
        self.until.checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's first instant has to come from somewhere")]
mod tests {
    use super::*;
    use crate::ids::ClientId;

    const SECOND: Duration = Duration::from_secs(1);

    fn asker(number: usize, shares_registration: bool) -> Asker {
        let client = ClientId::parse(&format!("C{number}")).unwrap().key();
        Asker { client, shares_registration }
    }

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

    #[test]
    fn a_429_is_kept_for_who_got_it_and_a_503_for_all() {
        let (patience, now) = (Patience::default(), Instant::now());
        let (one, other) = (asker(1, false), asker(2, false));
        patience.learn_for(now, 60 * SECOND, one);
        assert_eq!(patience.wait_of(now, one), Some(60 * SECOND));
        assert_eq!(patience.wait_of(now, other), None);
        assert_eq!((patience.wait(now), patience.clients_waiting(now)), (None, 1));
        patience.learn_for(now, 60 * SECOND, other);
        assert_eq!(patience.wait_of(now, asker(3, false)), None, "two are not all");
        patience.learn(now, 5 * SECOND);
        assert_eq!(patience.wait_of(now, asker(3, false)), Some(5 * SECOND));
        assert_eq!(patience.wait_of(now, one), Some(60 * SECOND));
    }

    #[test]
    fn a_429_to_two_that_share_a_registration_is_kept_for_all_that_share_it() {
        let (patience, now) = (Patience::default(), Instant::now());
        patience.learn_for(now, 60 * SECOND, asker(1, true));
        patience.learn_for(now, 60 * SECOND, asker(1, true));
        assert_eq!(patience.wait_of(now, asker(2, true)), None, "one client refuses no other");
        patience.learn_for(now + SECOND, 9 * SECOND, asker(2, true));
        assert_eq!(patience.wait_of(now + SECOND, asker(3, true)), Some(9 * SECOND));
        assert_eq!(patience.wait_of(now + SECOND, asker(4, false)), None);
        assert_eq!(patience.wait_of(now + 10 * SECOND, asker(3, true)), None);
    }

    #[test]
    fn what_is_kept_is_forgotten_once_it_is_over() {
        let (patience, now) = (Patience::default(), Instant::now());
        for round in 0..50_u32 {
            for number in 0..100 {
                let now = now + 10 * SECOND * round;
                patience.learn_for(now, SECOND, asker(number + 100 * round as usize, false));
            }
        }
        assert!(patience.lock().clients.len() <= 300, "{}", patience.lock().clients.len());
    }
}
