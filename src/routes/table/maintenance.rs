//! When a bank is closed on purpose: windows that are known beforehand.
//!
//! This file decides whether a moment lies in a window, when that one ends and which one is next.
//! It is handed the wall clock, in seconds since 1970: a clock that jumps changes the next answer
//! and leaves nothing behind.

use std::fmt;
use std::time::{Duration, SystemTime};

/// Seconds of a week.
pub const WEEK_S: i64 = 7 * 86_400;
/// 1970 began on a Thursday: so many seconds behind the start of a week.
const EPOCH_IN_WEEK_S: i64 = 3 * 86_400;

/// One window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Once, in seconds since 1970; `end` is the first second after it.
    Once {
        /// Its first second.
        start: i64,
        /// The first second after it.
        end: i64,
    },
    /// Each week.
    Weekly {
        /// Its first second, counted from Monday 00:00 UTC, below [`WEEK_S`].
        start: i64,
        /// How long it lasts, in seconds; below [`WEEK_S`].
        length: i64,
    },
}

/// In UTC, for people.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Once { start, end } => write!(f, "{} to {}", date(start), date(end)),
            Self::Weekly { start, length } => {
                // 1970-01-05 was a Monday.
                let at = date(start + WEEK_S - EPOCH_IN_WEEK_S);
                let (day, rest) = at.split_once(", ").unwrap_or_default();
                let time = rest.split(' ').nth(3).unwrap_or_default();
                write!(f, "each {day} at {time} GMT for {} min", length / 60)
            }
        }
    }
}

fn date(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since)
}

/// All windows of one bank.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Maintenance(pub Vec<Window>);

impl Window {
    /// The run of it that `now` is in, or else the next one, as start and end.
    fn run(self, now: i64) -> Option<(i64, i64)> {
        match self {
            Self::Once { start, end } => (now < end).then_some((start, end)),
            Self::Weekly { start, length } => {
                let into_week = (now + EPOCH_IN_WEEK_S - start).rem_euclid(WEEK_S);
                let last = now - into_week;
                let start = if into_week < length { last } else { last + WEEK_S };
                Some((start, start + length))
            }
        }
    }

    /// Whether two windows of one kind have a second in common. One that comes once may lie over
    /// one that comes each week.
    pub fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::Once { start, end }, Self::Once { start: other, end: other_end }) => {
                start < other_end && other < end
            }
            (
                Self::Weekly { start, length },
                Self::Weekly { start: other, length: other_length },
            ) => {
                (other - start).rem_euclid(WEEK_S) < length
                    || (start - other).rem_euclid(WEEK_S) < other_length
            }
            (Self::Once { .. }, Self::Weekly { .. }) | (Self::Weekly { .. }, Self::Once { .. }) => {
                false
            }
        }
    }
}

impl Maintenance {
    /// Whether there is none, so that nobody has to ask the clock.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The end of the window that `now` is in; of those that follow on it without a gap, the last.
    pub fn end(&self, now: i64) -> Option<i64> {
        let mut end = None;
        // Each window is entered at most once, so that a full week of them ends this too.
        for _ in 0..self.0.len() {
            let at = end.unwrap_or(now);
            let runs = self.0.iter().filter_map(|window| window.run(at));
            match runs.filter(|(start, _)| *start <= at).map(|(_, end)| end).max() {
                Some(later) => end = Some(later),
                None => break,
            }
        }
        end
    }

    /// The next window that begins after `now`, as start and end.
    pub fn next(&self, now: i64) -> Option<(i64, i64)> {
        let run = |window: &Window| {
            let (start, end) = window.run(now)?;
            if start > now { Some((start, end)) } else { window.run(end) }
        };
        self.0.iter().filter_map(run).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-12-07, a Monday, 00:00 UTC.
    const MONDAY: i64 = 1_796_601_600;
    const HOUR: i64 = 3_600;

    #[test]
    fn a_window_reads_well() {
        let once = Window::Once { start: MONDAY, end: MONDAY + HOUR };
        let text = "Mon, 07 Dec 2026 00:00:00 GMT to Mon, 07 Dec 2026 01:00:00 GMT";
        assert_eq!(once.to_string(), text);
        let weekly = Window::Weekly { start: WEEK_S - HOUR, length: 2 * HOUR };
        assert_eq!(weekly.to_string(), "each Sun at 23:00:00 GMT for 120 min");
    }

    #[test]
    fn a_window_holds_its_first_second_and_not_its_end() {
        let once = Maintenance(vec![Window::Once { start: 100, end: 200 }]);
        assert_eq!(
            [99, 100, 199, 200].map(|now| once.end(now)),
            [None, Some(200), Some(200), None]
        );
        assert_eq!(once.next(99), Some((100, 200)));
        assert_eq!(once.next(100), None);
    }

    #[test]
    fn a_weekly_window_comes_again_also_over_the_end_of_the_week() {
        // Sunday 23:00 to Monday 01:00.
        let weekly = Window::Weekly { start: WEEK_S - HOUR, length: 2 * HOUR };
        let weekly = Maintenance(vec![weekly]);
        assert_eq!(weekly.end(MONDAY), Some(MONDAY + HOUR));
        assert_eq!(weekly.end(MONDAY + HOUR), None);
        let next = MONDAY + WEEK_S - HOUR;
        assert_eq!(weekly.next(MONDAY), Some((next, next + 2 * HOUR)));
        assert_eq!(weekly.next(MONDAY + HOUR), Some((next, next + 2 * HOUR)));
        assert_eq!(weekly.end(next - 1), None);
        assert_eq!(weekly.end(next), Some(next + 2 * HOUR));
    }

    #[test]
    fn windows_without_a_gap_are_one_for_who_waits() {
        let windows = [(100, 200), (200, 300), (400, 500)];
        let windows = windows.map(|(start, end)| Window::Once { start, end }).to_vec();
        assert_eq!(Maintenance(windows).end(150), Some(300));
        let whole_week: Vec<_> =
            (0..7).map(|day| Window::Weekly { start: day * 86_400, length: 86_400 }).collect();
        let end = Maintenance(whole_week).end(MONDAY).unwrap();
        assert_eq!(end, MONDAY + WEEK_S);
    }

    #[test]
    fn overlaps_are_seen_also_over_the_end_of_the_week() {
        let weekly = |start, length| Window::Weekly { start, length };
        assert!(weekly(WEEK_S - HOUR, 2 * HOUR).overlaps(weekly(0, HOUR)));
        assert!(weekly(0, HOUR).overlaps(weekly(WEEK_S - HOUR, 2 * HOUR)));
        assert!(!weekly(0, HOUR).overlaps(weekly(HOUR, HOUR)));
        let once = |start, end| Window::Once { start, end };
        assert!(once(1, 3).overlaps(once(2, 4)));
        assert!(!once(1, 2).overlaps(once(2, 3)));
    }
}
