//! Reads `maintenance` of a target: when it is closed on purpose.
//!
//! This file decides how a window is written. It must not know what time it is.

use chrono::{DateTime, FixedOffset, NaiveTime, Timelike as _, Weekday};

use crate::routes::page::{At, Wrong};
use crate::routes::reader::{Reader, shorten};
use crate::routes::reference;
use crate::routes::table::{Maintenance, WEEK_S, Window};

/// Most windows of one bank.
const WINDOWS_MAX: usize = 32;
/// Longest window that comes once, in seconds.
const ONCE_S_MAX: i64 = 31 * 86_400;

/// Reads all windows.
pub(super) fn read(section: &Reader<'_>) -> Maintenance {
    let written = section.tables("maintenance", &reference::MAINTENANCE);
    if written.len() > WINDOWS_MAX {
        let what = format!("`maintenance` has {} windows", written.len());
        let right = format!("at most {WINDOWS_MAX}");
        section.page.error(section.key_span("maintenance"), Wrong::new(what).right(right));
    }
    let mut windows: Vec<Window> = Vec::new();
    // Each is compared with all before it: that there are too many has been said.
    for row in written.iter().take(WINDOWS_MAX) {
        let Some(window) = read_window(row) else { continue };
        if windows.iter().any(|other| other.overlaps(window)) {
            let what = "this window overlaps another one";
            row.page.error(row.span, Wrong::new(what).right("one window for both"));
        }
        windows.push(window);
    }
    Maintenance(windows)
}

fn read_window(row: &Reader<'_>) -> Option<Window> {
    // All keys are read, whichever of them belong together: each is told what is wrong with it.
    let (start, end) = (read_moment(row, "start"), read_moment(row, "end"));
    let day = row.parse("day", parse_day);
    let (from, to) = (row.parse("from", parse_time), row.parse("to", parse_time));
    let offset = row.parse("offset", parse_offset);
    let once = row.has("start") || row.has("end");
    let weekly = ["day", "from", "to", "offset"].iter().any(|key| row.has(key));
    if once == weekly {
        let what = "a window is either once or weekly";
        let right = "`start` and `end`, or `day`, `from`, `to` and `offset`";
        row.page.error(row.span, Wrong::new(what).right(right));
        return None;
    }
    if once {
        row.require("start", "2026-12-05T22:00:00+01:00");
        row.require("end", "2026-12-06T02:00:00+01:00");
        return once_of(row, &start?, &end?);
    }
    row.require("day", "\"sunday\"");
    row.require("from", "\"02:00\"");
    row.require("to", "\"04:00\"");
    weekly_of(row, day?.value, &from?, &to?, offset.map_or(0, |offset| offset.value))
}

fn once_of(row: &Reader<'_>, start: &At<i64>, end: &At<i64>) -> Option<Window> {
    let (start, end) = (start.value, end);
    if end.value <= start || end.value - start > ONCE_S_MAX {
        let what = "`end` is not behind `start`, or too far behind it";
        row.page.error(end.span, Wrong::new(what).right("a window of at most 31 days"));
        return None;
    }
    Some(Window::Once { start, end: end.value })
}

fn weekly_of(
    row: &Reader<'_>,
    day: Weekday,
    from: &At<i64>,
    to: &At<i64>,
    offset: i64,
) -> Option<Window> {
    if from.value == to.value {
        let what = "`from` and `to` are the same";
        row.page.error(to.span, Wrong::new(what).right("a `to` on this day or the next"));
        return None;
    }
    let local = i64::from(day.num_days_from_monday()) * 86_400 + from.value;
    let start = (local - offset).rem_euclid(WEEK_S);
    // An end before the start is on the next day.
    Some(Window::Weekly { start, length: (to.value - from.value).rem_euclid(86_400) })
}

fn read_moment(row: &Reader<'_>, key: &'static str) -> Option<At<i64>> {
    let text = row.text_or_date(key)?;
    match DateTime::parse_from_rfc3339(&text.value) {
        Ok(moment) => Some(At { value: moment.timestamp(), span: text.span }),
        Err(_) => {
            let what = format!("`{}` is no moment", shorten(&text.value));
            let right = "RFC 3339 with an offset, such as `2026-12-05T22:00:00+01:00`";
            row.page.error(text.span, Wrong::new(what).right(right));
            None
        }
    }
}

fn parse_day(text: &str) -> Result<Weekday, Wrong> {
    text.parse().map_err(|_| {
        Wrong::new(format!("`{}` is no day of the week", shorten(text)))
            .right("`monday` to `sunday`")
    })
}

fn parse_time(text: &str) -> Result<i64, Wrong> {
    let time = NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| {
        Wrong::new(format!("`{}` is no time of the day", shorten(text)))
            .right("hours and minutes, such as `02:30`")
    })?;
    Ok(i64::from(time.num_seconds_from_midnight()))
}

fn parse_offset(text: &str) -> Result<i64, Wrong> {
    if text == "Z" {
        return Ok(0);
    }
    let offset: FixedOffset = text.parse().map_err(|_| {
        Wrong::new(format!("`{}` is no offset from UTC", shorten(text)))
            .right("`Z`, or hours and minutes such as `+01:00`")
    })?;
    Ok(i64::from(offset.local_minus_utc()))
}
