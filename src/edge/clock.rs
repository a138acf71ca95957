//! The time of day, as access lines say it.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use chrono::DateTime;

use crate::deadline::Moment;

/// Writes RFC 3339 in UTC with milliseconds; the part up to the second is kept while it lasts.
#[derive(Debug, Default)]
pub(super) struct Stamp(RefCell<(u64, String)>);

impl Stamp {
    /// Hands the current time to `use_it`.
    pub(super) fn now<R>(&self, use_it: impl FnOnce(&str) -> R) -> R {
        #[expect(clippy::disallowed_methods, reason = "the edge is where time is read")]
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.at(since, use_it)
    }

    fn at<R>(&self, since_epoch: Duration, use_it: impl FnOnce(&str) -> R) -> R {
        let mut kept = self.0.borrow_mut();
        let (second, text) = &mut *kept;
        if text.is_empty() || *second != since_epoch.as_secs() {
            *second = since_epoch.as_secs();
            let date = DateTime::from_timestamp(i64::try_from(*second).unwrap_or(0), 0);
            let date = date.unwrap_or_default();
            *text = date.format("%Y-%m-%dT%H:%M:%S.").to_string();
        }
        let whole = text.len();
        let millis = since_epoch.subsec_millis();
        for digit in [millis / 100, millis / 10 % 10, millis % 10] {
            text.push(char::from_digit(digit, 10).unwrap_or('0'));
        }
        text.push('Z');
        let used = use_it(text);
        text.truncate(whole);
        used
    }
}

impl Moment for tokio::time::Instant {
    fn checked_later(self, wait: Duration) -> Option<Self> {
        self.checked_add(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_rfc_3339_with_milliseconds() {
        let stamp = Stamp::default();
        let text = |millis| stamp.at(Duration::from_millis(millis), str::to_owned);
        assert_eq!(text(1_767_323_045_007), "2026-01-02T03:04:05.007Z");
        assert_eq!(text(1_767_323_045_999), "2026-01-02T03:04:05.999Z");
        assert_eq!(text(1_767_323_046_000), "2026-01-02T03:04:06.000Z");
    }

    #[test]
    fn a_stamp_follows_a_clock_that_jumps() {
        let stamp = Stamp::default();
        let text = |seconds| stamp.at(Duration::from_secs(seconds), str::to_owned);
        let now = 1_767_323_045;
        assert_eq!(text(now), "2026-01-02T03:04:05.000Z");
        assert_eq!(text(now - 86_400), "2026-01-01T03:04:05.000Z");
        assert_eq!(text(now + 3_600), "2026-01-02T04:04:05.000Z");
        assert_eq!(text(now), "2026-01-02T03:04:05.000Z");
    }
}
