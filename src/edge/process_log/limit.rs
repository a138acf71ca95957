//! One line for a cause and an interval: what the process log leaves out.
//!
//! This file decides what a cause is: a place in the code, and the words of its fields. Numbers are
//! not among them: a count or a worker makes no other cause. What a stranger or a bank can bring
//! about a thousand times a second is said once; what the operator did (a reload, an upgrade, a
//! start) is said each time. Either way a place in the code has a limit, so that no number of banks
//! fills a disk. It must not know what is said.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::COUNTS;
use crate::edge::now;

/// How long a cause that was told is not told again.
pub const REPEAT_REST: Duration = Duration::from_secs(10);
/// Most lines of one place in the code in that time, each of another cause.
const CAUSES_MAX: usize = 20;
/// The same, of what the operator did.
const OPERATOR_MAX: usize = 500;
/// Where what the operator did is told; a name is a module, and with `::` at its end all below.
const OPERATOR: [&str; 9] = [
    "corgate",
    "corgate::cli::",
    "corgate::edge",
    "corgate::edge::chassis",
    "corgate::edge::handover",
    "corgate::edge::process_log",
    "corgate::edge::reload",
    "corgate::edge::reload::",
    "corgate::edge::successor",
];

/// The filter.
#[derive(Debug, Default)]
pub struct LineLimit(Mutex<HashMap<Identifier, Place>>);

/// A place in the code that says something.
#[derive(Debug)]
struct Place {
    since: Instant,
    lines: usize,
    causes: HashSet<u64>,
}

impl LineLimit {
    /// Whether this is told.
    fn tells(&self, place: Identifier, operator: bool, cause: Option<u64>, now: Instant) -> bool {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Place { since: now, lines: 0, causes: HashSet::new() };
        let place = places.entry(place).or_insert_with(fresh);
        if now.saturating_duration_since(place.since) >= REPEAT_REST {
            *place = fresh();
        }
        let most = if operator { OPERATOR_MAX } else { CAUSES_MAX };
        let tells = place.lines < most && cause.is_none_or(|cause| place.causes.insert(cause));
        place.lines += usize::from(tells);
        tells
    }
}

/// A layer of its own: as a filter of another one (`Filter::event_enabled`) it would disable what
/// comes after, too.
impl<S: Subscriber> Layer<S> for LineLimit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // Whoever wants more than that asked for all of it.
        if *metadata.level() > Level::INFO {
            return true;
        }
        let operator = is_operators(metadata.target());
        let mut words = Words(DefaultHasher::new());
        event.record(&mut words);
        let cause = (!operator).then(|| words.0.finish());
        let tells = self.tells(metadata.callsite(), operator, cause, now());
        if !tells {
            COUNTS.repeated.fetch_add(1, Ordering::Relaxed);
        }
        tells
    }
}

fn is_operators(target: &str) -> bool {
    OPERATOR.iter().any(|module| match module.strip_suffix("::") {
        Some(_) => target.starts_with(module),
        None => target == *module,
    })
}

/// A hash of the fields that are words.
struct Words(DefaultHasher);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Text(&mut self.0);
        // A hash takes everything.
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{}={value:?};", field.name()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        (field.name(), value).hash(&mut self.0);
    }

    fn record_u64(&mut self, _: &Field, _: u64) {}

    fn record_i64(&mut self, _: &Field, _: i64) {}

    fn record_f64(&mut self, _: &Field, _: f64) {}
}

/// Text that is hashed and not kept.
struct Text<'h>(&'h mut DefaultHasher);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use tracing::Metadata;
    use tracing::subscriber::Interest;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// How many lines are told of those that `say` says.
    fn told(say: impl FnOnce()) -> usize {
        let said = Said::default();
        let out = said.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || out.clone());
        let subscriber = tracing_subscriber::registry().with(layer).with(LineLimit::default());
        tracing::subscriber::with_default(subscriber, say);
        let said = said.0.lock().unwrap();
        said.iter().filter(|byte| **byte == b'\n').count()
    }

    #[test]
    fn a_cause_is_told_once_and_another_one_too() {
        let lines = told(|| {
            for number in 0..400 {
                let bank = if number % 2 == 0 { "A" } else { "B" };
                tracing::warn!(target: "corgate::edge::forward::dial", bank, number, "failed");
            }
        });
        assert_eq!(lines, 2);
    }

    #[test]
    fn a_place_in_the_code_has_a_limit_however_many_causes_there_are() {
        let lines = told(|| {
            for number in 0..400 {
                let words = format!("peer {number}");
                tracing::info!(target: "corgate::edge::connection", words, "a stranger");
            }
        });
        assert_eq!(lines, CAUSES_MAX);
    }

    #[test]
    fn what_the_operator_did_is_told_each_time_up_to_a_limit() {
        let say = |times: usize| {
            told(|| {
                for _ in 0..times {
                    tracing::error!(target: "corgate::edge::reload::report", "refused");
                }
            })
        };
        assert_eq!(say(100), 100);
        assert_eq!(say(OPERATOR_MAX + 100), OPERATOR_MAX);
    }

    #[test]
    fn a_cause_is_told_again_once_it_has_rested() {
        let limit = LineLimit::default();
        let place = {
            struct Site;
            impl tracing::Callsite for Site {
                fn set_interest(&self, _: Interest) {}
                fn metadata(&self) -> &Metadata<'_> {
                    unreachable!("nobody asks")
                }
            }
            static SITE: Site = Site;
            Identifier(&SITE)
        };
        let start = now();
        let tells = |at: Duration| limit.tells(place.clone(), false, Some(7), start + at);
        assert!(tells(Duration::ZERO));
        assert!(!tells(REPEAT_REST - Duration::from_millis(1)));
        assert!(tells(REPEAT_REST));
    }
}
