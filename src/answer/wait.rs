//! `Retry-After` as a bank says it (RFC 9110 section 10.2.3): seconds, or a date.
//!
//! This file decides how long that is. A date is counted from the answer's own `Date`, so that the
//! bank's clock is compared with itself; without one, from the clock that is handed in. It must not
//! know what is made of it.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};

use crate::framing::fields::Fields;

/// How long the sender wants to be left alone; none where it says nothing that can be read, or a
/// moment that has passed.
pub fn asked_wait(headers: &Fields, now: Option<SystemTime>) -> Option<Duration> {
    let text = headers.get(&RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too large to be read is a long time.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let said_at = headers.get(&DATE).and_then(|value| date(value.to_str().ok()?)).or(now)?;
    date(text)?.duration_since(said_at).ok().filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(retry_after: &str, date: Option<&str>, now: Option<u64>) -> Option<u64> {
        let mut headers = Fields::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        let now = now.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        asked_wait(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_in_any_of_its_three_forms() {
        assert_eq!(wait("120", None, None), Some(120));
        assert_eq!(wait(" 7 ", None, None), Some(7));
        assert_eq!(wait("99999999999999999999", None, None), Some(u64::MAX));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for later in [
            "Sun, 06 Nov 1994 08:50:37 GMT",
            "Sunday, 06-Nov-94 08:50:37 GMT",
            "Sun Nov  6 08:50:37 1994",
        ] {
            assert_eq!(wait(later, Some(date), None), Some(60), "{later}");
            // 784111777 is that `Date`; the bank's own counts, whatever the hub's clock says.
            assert_eq!(wait(later, None, Some(784_111_777)), Some(60), "{later}");
            assert_eq!(wait(later, Some(date), Some(0)), Some(60), "{later}");
            assert_eq!(wait(later, None, None), None, "{later}");
        }
        assert_eq!(wait(date, Some("Sun, 06 Nov 1994 08:50:37 GMT"), None), None);
        assert_eq!(wait(date, Some(date), None), None);
        for bad in ["", "-1", "+5", "1.5", "soon", "1, 2"] {
            assert_eq!(wait(bad, Some(date), Some(0)), None, "{bad}");
        }
    }

    #[test]
    fn a_clock_that_jumps_moves_no_wait_but_that_of_a_date_without_its_own() {
        let (date, minute_later) =
            ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:37 GMT");
        let clock = 784_111_777;
        for jumped in [clock, clock - 86_400, clock + 3_600] {
            assert_eq!(wait("60", None, Some(jumped)), Some(60));
            assert_eq!(wait(minute_later, Some(date), Some(jumped)), Some(60));
        }
        // Capped by whoever learns it (`retry_after_max`), and counted by `Instant` from then on.
        assert_eq!(wait(minute_later, None, Some(clock - 86_400)), Some(86_460));
        assert_eq!(wait(minute_later, None, Some(clock + 3_600)), None);
    }
}
