//! Whose connection is closed where there is no room for a new one.
//!
//! This file decides that (nginx calls such connections reusable): of the holder that has the most,
//! the one that has waited longest without a call under way. Strangers, who have shown no
//! certificate and asked nothing, count as one holder together, so that many addresses of theirs
//! are no more than one; among them it is the address that has the most. It must not know sockets.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use tokio::time::Instant;

use super::doors::Holder;

/// A connection, as far as this matters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Its number in its worker.
    pub(super) number: u64,
    /// Whose it is; nobody's as long as it is a stranger's.
    pub(super) holder: Option<Holder>,
    pub(super) network: IpAddr,
    /// Since when it waits.
    pub(super) since: Instant,
    /// Whether it may be closed.
    pub(super) reusable: bool,
}

/// The numbers of those to be closed, at most `most`: the oldest first.
pub(super) fn pick(candidates: &[Candidate], most: usize) -> Vec<u64> {
    let all: Vec<&Candidate> = candidates.iter().collect();
    let mut chosen = of_who_has_most(&all, |candidate| candidate.holder);
    if chosen.first().is_some_and(|candidate| candidate.holder.is_none()) {
        chosen = of_who_has_most(&chosen, |candidate| candidate.network);
    }
    chosen.retain(|candidate| candidate.reusable);
    chosen.sort_by_key(|candidate| candidate.since);
    chosen.into_iter().take(most).map(|candidate| candidate.number).collect()
}

/// All of the key that has the most, among those that have one to close; of equals, of the one that
/// waits longest.
fn of_who_has_most<'c, K: Hash + Eq>(
    candidates: &[&'c Candidate],
    key: impl Fn(&Candidate) -> K,
) -> Vec<&'c Candidate> {
    let mut counts: HashMap<K, (usize, Option<Instant>)> = HashMap::new();
    for candidate in candidates {
        let (count, oldest) = counts.entry(key(candidate)).or_default();
        *count += 1;
        if candidate.reusable {
            *oldest = Some(oldest.map_or(candidate.since, |oldest| oldest.min(candidate.since)));
        }
    }
    let reusable =
        counts.into_iter().filter_map(|(key, (count, oldest))| Some((key, count, oldest?)));
    let most = reusable.max_by(|(_, one, one_since), (_, other, other_since)| {
        one.cmp(other).then(other_since.cmp(one_since))
    });
    let Some((most, ..)) = most else { return Vec::new() };
    candidates.iter().filter(|candidate| key(candidate) == most).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::Fingerprint;

    struct Crowd(Instant, Vec<Candidate>);

    impl Crowd {
        fn new() -> Self {
            Self(Instant::now(), Vec::new())
        }

        fn add(&mut self, who: &str, age: u64, reusable: bool) -> u64 {
            let number = self.1.len() as u64;
            let network = IpAddr::from([10, 0, 0, who.len() as u8]);
            let holder = match who.chars().next() {
                Some('c') => Some(Holder::Certificate(Fingerprint::of_der(who.as_bytes()))),
                Some('a') => Some(Holder::Network(network)),
                _ => None,
            };
            let since = self.0 - Duration::from_secs(age);
            self.1.push(Candidate { number, holder, network, since, reusable });
            number
        }
    }

    #[test]
    fn the_oldest_of_who_has_most_goes_and_no_neighbour() {
        let mut crowd = Crowd::new();
        crowd.add("c-honest", 900, true);
        crowd.add("c-honest", 800, true);
        let busy = crowd.add("c-greedy", 700, false);
        let newer = crowd.add("c-greedy", 5, true);
        let older = crowd.add("c-greedy", 9, true);
        assert_eq!(pick(&crowd.1, 1), [older]);
        assert_eq!(pick(&crowd.1, 9), [older, newer]);
        assert!(!pick(&crowd.1, 9).contains(&busy));
    }

    #[test]
    fn strangers_of_many_addresses_count_as_one_holder() {
        let mut crowd = Crowd::new();
        for _ in 0..3 {
            crowd.add("a-pool", 900, true);
        }
        let first = crowd.add("s", 2, true);
        for number in 0..4 {
            crowd.add(&"s".repeat(number + 2), 1, true);
        }
        assert_eq!(pick(&crowd.1, 1), [first]);
        // Among them it is the address with the most.
        let third = crowd.add("sss", 0, true);
        assert_eq!(pick(&crowd.1, 2).last(), Some(&third));
    }

    #[test]
    fn who_has_nothing_to_close_is_passed_over() {
        let mut crowd = Crowd::new();
        for _ in 0..5 {
            crowd.add("c-busy", 100, false);
        }
        assert_eq!(pick(&crowd.1, 1), Vec::<u64>::new());
        let idle = crowd.add("c-idle", 1, true);
        assert_eq!(pick(&crowd.1, 1), [idle]);
    }
}
