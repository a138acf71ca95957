//! The ledgers of a storm: what was asked, what came of it, and whether both ends agree.
//!
//! This file decides what is a failure: anything but the one right answer. It must not know how
//! calls are made.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer that belongs to it.
    Good,
    /// Another one.
    Wrong(String),
    /// None.
    Failed(String),
}

/// What the clients know.
#[derive(Default)]
pub(super) struct Ledger {
    /// By id and code.
    calls: Mutex<HashMap<(String, String), Outcome>>,
    /// Connections that were opened.
    pub(super) connections: AtomicU64,
    /// Connections whose end was announced: `Connection: close`, GOAWAY.
    pub(super) announced: AtomicU64,
    /// Connections that ended without a word, with nothing under way.
    pub(super) unannounced: AtomicU64,
    /// Calls that GOAWAY kept from being opened, and that were asked on the next connection.
    pub(super) after_goaway: AtomicU64,
    /// Clients that went home because nobody listened any more.
    pub(super) refused: AtomicU64,
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The sums of both ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) asked: usize,
    pub(super) good: usize,
    pub(super) failed: usize,
    pub(super) wrong: usize,
    /// Answered, though no bank has heard it.
    pub(super) lost: usize,
    /// Heard by a bank more than once.
    pub(super) doubled: usize,
    /// Heard by a bank, though nobody has asked it so.
    pub(super) swapped: usize,
    /// Without exactly one good line in the access log.
    pub(super) unlogged: usize,
    pub(super) connections: u64,
    pub(super) announced: u64,
    pub(super) unannounced: u64,
    pub(super) refused: u64,
    pub(super) after_goaway: u64,
    /// What went wrong, the first of it.
    pub(super) examples: Vec<String>,
}

impl Ledger {
    pub(super) fn note(&self, id: String, code: String, outcome: Outcome) {
        let before = self.calls.lock().unwrap().insert((id, code), outcome);
        assert_eq!(before, None, "an id was used twice");
    }

    /// How many calls have come to an end.
    pub(super) fn len(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// Compares with what the banks heard and the gateway logged.
    pub(super) fn compare(
        &self,
        heard: &HashMap<(String, String), u32>,
        logged: &HashMap<String, u32>,
    ) -> Sums {
        let calls = self.calls.lock().unwrap();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut sums = Sums {
            asked: calls.len(),
            swapped: heard.keys().filter(|key| !calls.contains_key(*key)).count(),
            connections: load(&self.connections),
            announced: load(&self.announced),
            unannounced: load(&self.unannounced),
            refused: load(&self.refused),
            after_goaway: load(&self.after_goaway),
            ..Sums::default()
        };
        let mut examples = BTreeMap::new();
        for (key, outcome) in &*calls {
            let times = heard.get(key).copied().unwrap_or(0);
            sums.doubled += usize::from(times > 1);
            let good = *outcome == Outcome::Good;
            sums.lost += usize::from(good && times == 0);
            sums.unlogged += usize::from(good && logged.get(&key.0) != Some(&1));
            let what = match outcome {
                Outcome::Good => {
                    sums.good += 1;
                    continue;
                }
                Outcome::Wrong(what) => {
                    sums.wrong += 1;
                    what
                }
                Outcome::Failed(what) => {
                    sums.failed += 1;
                    what
                }
            };
            *examples.entry(what).or_insert(0) += 1;
        }
        let example = |(what, times): (&String, u32)| format!("{times} x {what}");
        sums.examples = examples.into_iter().map(example).take(10).collect();
        sums
    }
}

impl Sums {
    /// No call failed, got lost, was doubled or got another one's answer.
    pub(super) fn is_clean(&self) -> bool {
        let Self { failed, wrong, lost, doubled, swapped, unlogged, .. } = self;
        let unannounced = usize::try_from(self.unannounced).unwrap();
        failed + wrong + lost + doubled + swapped + unlogged + unannounced == 0
            && self.good == self.asked
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in [
            ("calls asked", self.asked),
            ("  answered, each with its own answer", self.good),
            ("  failed", self.failed),
            ("  wrong or another's answer", self.wrong),
            ("  answered without the bank", self.lost),
            ("  sent to a bank twice", self.doubled),
            ("  at a bank as nobody asked it", self.swapped),
            ("  without its one line in the log", self.unlogged),
        ] {
            writeln!(f, "{name:40} {count:>9}")?;
        }
        for (name, count) in [
            ("connections opened", self.connections),
            ("  closed as announced", self.announced),
            ("  closed without a word", self.unannounced),
            ("  calls that moved on after GOAWAY", self.after_goaway),
            ("  refused at the end", self.refused),
        ] {
            writeln!(f, "{name:40} {count:>9}")?;
        }
        self.examples.iter().try_for_each(|example| writeln!(f, "  {example}"))
    }
}

#[test]
fn the_ledgers_see_what_is_lost_doubled_and_swapped() {
    let ledger = Ledger::default();
    let key = |id: &str| (id.to_owned(), "c".to_owned());
    for id in ["good", "lost", "doubled", "unlogged"] {
        ledger.note(id.to_owned(), "c".to_owned(), Outcome::Good);
    }
    ledger.note("failed".to_owned(), "c".to_owned(), Outcome::Failed("why".to_owned()));
    let heard = [("good", 1), ("doubled", 2), ("unlogged", 1), ("stranger", 1)];
    let heard = heard.into_iter().map(|(id, times)| (key(id), times)).collect();
    let logged = ["good", "lost", "doubled"].map(|id| (id.to_owned(), 1)).into();
    let sums = ledger.compare(&heard, &logged);
    let Sums { good, failed, lost, doubled, swapped, unlogged, .. } = sums;
    assert_eq!((good, failed, lost, doubled, swapped, unlogged), (4, 1, 1, 1, 1, 1));
    assert!(!sums.is_clean());
}
