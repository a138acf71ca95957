//! Rate limits: governor's GCRA for a client, a (client, target) pair, and a target.
//!
//! This file decides whether one more call fits, and mints the [`Permit`] without which no bank is
//! called. Keys come only from the registry, so memory is bounded by the table. It must not know
//! what the call is, and it reads no clock but governor's own.

use std::hash::Hash;

use governor::clock::{Clock, DefaultClock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, RateLimiter};

use crate::answer::whole_seconds;
use crate::fault::{Fault, LimitScope, Limited};
use crate::ids::ClientKey;
use crate::routes::Quota;

/// The clock of every gate. One is enough, and making one takes microseconds, which counts when a
/// table has a hundred thousand gates.
pub fn clock() -> DefaultClock {
    static CLOCK: std::sync::OnceLock<DefaultClock> = std::sync::OnceLock::new();
    CLOCK.get_or_init(DefaultClock::default).clone()
}

/// Proof that every limit let the exchange through, and whose it is. Only this module can make one.
#[derive(Debug)]
pub struct Permit {
    client: ClientKey,
}

impl Permit {
    /// The client whose call was let through.
    pub const fn client(&self) -> ClientKey {
        self.client
    }
}

/// What the limits said, for the record: the limits that would have refused but run in shadow.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Shadow(Option<LimitScope>);

impl Shadow {
    /// The limit that would have refused.
    pub const fn scope(self) -> Option<LimitScope> {
        self.0
    }
}

/// A limit on one thing: a client, or a target.
#[derive(Debug)]
pub struct Gate<C: Clock = DefaultClock> {
    quota: Quota,
    clock: C,
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
}

impl<C: Clock + Clone> Gate<C> {
    /// A full bucket.
    pub fn new(quota: Quota, clock: C) -> Self {
        let limiter = RateLimiter::direct_with_clock(governor_quota(quota), clock.clone());
        Self { quota, clock, limiter }
    }

    /// The quota it was made from.
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    /// Takes one call out of the bucket.
    fn check(&self, scope: LimitScope) -> Result<Shadow, Fault> {
        let outcome = self.limiter.check();
        outcome.map_or_else(
            |not_until| refuse(self.quota, scope, &not_until, &self.clock),
            |()| Ok(Shadow::default()),
        )
    }
}

/// The parts of a client's map, each with a lock of its own. The map's own choice is four for each
/// core, every part on a cache line of its own: with a hundred thousand clients on a large machine,
/// gigabytes that hold nothing. One client's calls to different banks meet in a part now and then,
/// and for as long as it takes to read.
const SHARDS: usize = 4;

/// Keys come only from the registry, so a fast hash is safe for them.
type Buckets<K> = dashmap::DashMap<K, InMemoryState, foldhash::fast::RandomState>;

/// A limit on each of many things of the same kind: one client's calls to each target.
#[derive(Debug)]
pub struct KeyedGate<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    quota: Quota,
    clock: C,
    limiter: RateLimiter<K, Buckets<K>, C, NoOpMiddleware<C::Instant>>,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> KeyedGate<K, C> {
    /// No bucket yet; each key's is made full at its first call.
    pub fn new(quota: Quota, clock: C) -> Self {
        let hasher = foldhash::fast::RandomState::default();
        let buckets = Buckets::with_capacity_and_hasher_and_shard_amount(0, hasher, SHARDS);
        let limiter = RateLimiter::new(governor_quota(quota), buckets, clock.clone());
        Self { quota, clock, limiter }
    }

    /// The quota it was made from.
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    /// Drops the buckets that are full again: they say nothing that a new one would not.
    pub fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    fn check(&self, key: &K) -> Result<Shadow, Fault> {
        let outcome = self.limiter.check_key(key);
        outcome.map_or_else(
            |not_until| refuse(self.quota, LimitScope::ClientTarget, &not_until, &self.clock),
            |()| Ok(Shadow::default()),
        )
    }
}

/// Proof that the client's own limit let the call through; the first half of a [`Permit`].
#[derive(Debug)]
pub struct Admitted {
    client: ClientKey,
    shadow: Shadow,
}

/// Takes the call out of the client's bucket (CONTRACT decision 4: before the body is read).
///
/// # Errors
/// [`Fault::RateLimited`].
pub fn admit_client<C: Clock + Clone>(
    client: ClientKey,
    gate: Option<&Gate<C>>,
) -> Result<Admitted, Fault> {
    let shadow = gate.map_or(Ok(Shadow::default()), |gate| gate.check(LimitScope::Client))?;
    Ok(Admitted { client, shadow })
}

/// Takes the call out of the pair's bucket, then out of the target's: narrow before shared, so
/// that a refused noisy client does not burn the shared budget.
///
/// # Errors
/// [`Fault::RateLimited`].
pub fn admit_target<K: Hash + Eq + Clone, C: Clock + Clone>(
    admitted: &Admitted,
    pair: Option<(&KeyedGate<K, C>, &K)>,
    target: Option<&Gate<C>>,
) -> Result<(Permit, Shadow), Fault> {
    let pair = pair.map_or(Ok(Shadow::default()), |(gate, key)| gate.check(key))?;
    let target = target.map_or(Ok(Shadow::default()), |gate| gate.check(LimitScope::Target))?;
    let shadow = Shadow(admitted.shadow.0.or(pair.0).or(target.0));
    Ok((Permit { client: admitted.client }, shadow))
}

fn governor_quota(quota: Quota) -> governor::Quota {
    // A rate of at least one call in at most an hour: the period of one call is never zero, and
    // the fallback (one call a second) is unreachable.
    governor::Quota::with_period(quota.period / quota.rate.get())
        .unwrap_or_else(|| governor::Quota::per_second(quota.rate))
        .allow_burst(quota.burst)
}

fn refuse<C: Clock>(
    quota: Quota,
    scope: LimitScope,
    not_until: &NotUntil<C::Instant>,
    clock: &C,
) -> Result<Shadow, Fault> {
    if quota.shadow {
        return Ok(Shadow(Some(scope)));
    }
    let wait = not_until.wait_time_from(clock.now().saturating_sub(0.into()));
    let fill = quota.period.saturating_mul(quota.burst.get()) / quota.rate.get();
    Err(Fault::RateLimited(Limited {
        scope,
        quota: quota.burst.get(),
        window_s: whole_seconds(fill),
        wait,
    }))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn quota(rate: u32, burst: u32, shadow: bool) -> Quota {
        Quota {
            rate: NonZeroU32::new(rate).unwrap(),
            period: Duration::from_secs(1),
            burst: NonZeroU32::new(burst).unwrap(),
            shadow,
        }
    }

    fn client() -> ClientKey {
        crate::ids::ClientId::parse("CIDX0000000001").unwrap().key()
    }

    #[test]
    fn a_burst_passes_and_one_more_is_told_how_long_to_wait() {
        let clock = FakeRelativeClock::default();
        let gate = Gate::new(quota(2, 4, false), clock.clone());
        for _ in 0..4 {
            admit_client(client(), Some(&gate)).unwrap();
        }
        let Err(Fault::RateLimited(limited)) = admit_client(client(), Some(&gate)) else {
            panic!("the fifth call passed");
        };
        assert_eq!((limited.quota, limited.window_s), (4, 2));
        assert_eq!(limited.wait, Duration::from_millis(500));
        clock.advance(limited.wait);
        admit_client(client(), Some(&gate)).unwrap();
        assert!(admit_client(client(), Some(&gate)).is_err());
    }

    #[test]
    fn a_shadow_limit_counts_and_lets_through() {
        let gate = Gate::new(quota(1, 1, true), FakeRelativeClock::default());
        let first = admit_client(client(), Some(&gate)).unwrap();
        assert_eq!(first.shadow.scope(), None);
        let second = admit_client(client(), Some(&gate)).unwrap();
        assert_eq!(second.shadow.scope(), Some(LimitScope::Client));
    }

    #[test]
    fn a_noisy_pair_does_not_burn_the_targets_budget() {
        let clock = FakeRelativeClock::default();
        let pair = KeyedGate::new(quota(1, 1, false), clock.clone());
        let target = Gate::new(quota(2, 2, false), clock);
        let admitted = admit_client::<FakeRelativeClock>(client(), None).unwrap();
        let call = |key: &'static str| {
            admit_target(&admitted, Some((&pair, &key)), Some(&target)).map(|_| ())
        };
        call("noisy").unwrap();
        for _ in 0..10 {
            assert!(matches!(
                call("noisy"),
                Err(Fault::RateLimited(Limited { scope: LimitScope::ClientTarget, .. }))
            ));
        }
        call("quiet").unwrap();
        assert!(matches!(
            call("third"),
            Err(Fault::RateLimited(Limited { scope: LimitScope::Target, .. }))
        ));
    }

    #[test]
    fn a_client_that_calls_nobody_costs_few_locks_whatever_the_number_of_cores() {
        let pair = KeyedGate::new(quota(1, 1, false), FakeRelativeClock::default());
        (0..1_000_u32).for_each(|key| drop(pair.check(&key)));
        let buckets = pair.limiter.into_state_store();
        // While one key is held, all that share its part of the map are: one of `SHARDS`.
        let _held = buckets.get_mut(&0);
        let locked = (1..1_000).filter(|key| buckets.try_get(key).is_locked()).count();
        assert!(locked > 1_000 / (2 * SHARDS) + 50, "{locked} of 1,000");
    }

    #[test]
    fn idle_buckets_are_forgotten() {
        let clock = FakeRelativeClock::default();
        let pair: KeyedGate<u32, _> = KeyedGate::new(quota(1, 1, false), clock.clone());
        for key in 0..100 {
            let _ = pair.check(&key);
        }
        assert_eq!(pair.limiter.len(), 100);
        clock.advance(Duration::from_secs(5));
        pair.forget_idle();
        assert_eq!(pair.limiter.len(), 0);
    }
}
