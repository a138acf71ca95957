//! `maintenance`: how a window is written, and what is none.

use super::{bad, good, target};
use crate::routes::table::Window;

fn windows(rows: &str) -> Vec<Window> {
    let text = target("T", &format!("maintenance = [{rows}]"));
    good(&text).table.targets["T"].maintenance.0.clone()
}

fn problems(rows: &str) -> Vec<String> {
    bad(&target("T", &format!("maintenance = [{rows}]")))
}

#[test]
fn a_window_is_once_or_weekly() {
    let once = vec![Window::Once { start: 1_796_590_800, end: 1_796_605_200 }];
    assert_eq!(
        windows("{ start = '2026-12-06T22:00:00+01:00', end = '2026-12-07T01:00:00Z' }"),
        once
    );
    assert_eq!(windows("{ start = 2026-12-06T22:00:00+01:00, end = 2026-12-07T01:00:00Z }"), once);
    // Monday 00:30 in Zurich's winter is still Sunday in UTC.
    assert_eq!(
        windows("{ day = 'monday', from = '00:30', to = '04:00', offset = '+01:00' }"),
        [Window::Weekly { start: 6 * 86_400 + 84_600, length: 12_600 }]
    );
    assert_eq!(
        windows("{ day = 'sun', from = '23:00', to = '01:00' }"),
        [Window::Weekly { start: 6 * 86_400 + 82_800, length: 7_200 }]
    );
}

#[test]
fn what_is_no_window_is_refused_and_the_right_way_is_named() {
    let once = "{ start = '2026-12-06T22:00:00Z', end = '2026-12-07T01:00:00Z' }";
    let weekly = "{ day = 'sunday', from = '02:00', to = '04:00' }";
    windows(&format!("{once}, {weekly}"));
    for rows in [
        "{}",
        "{ start = '2026-12-06T22:00:00Z' }",
        "{ start = '2026-12-06T22:00:00', end = '2026-12-07T01:00:00Z' }",
        "{ start = 2026-12-06, end = '2026-12-07T01:00:00Z' }",
        "{ start = '2026-12-07T01:00:00Z', end = '2026-12-07T01:00:00Z' }",
        "{ start = '2026-12-07T01:00:00Z', end = '2027-12-07T01:00:00Z' }",
        "{ day = 'someday', from = '02:00', to = '04:00' }",
        "{ day = 'sunday', from = '24:00', to = '04:00' }",
        "{ day = 'sunday', from = '02:00', to = '02:00' }",
        "{ day = 'sunday', from = '02:00' }",
        "{ day = 'sunday', from = '02:00', to = '04:00', offset = 'CET' }",
        "{ day = 'sunday', from = '02:00', to = '04:00', start = '2026-12-06T22:00:00Z' }",
    ] {
        assert_eq!(problems(rows).len(), 1, "{rows}: {:?}", problems(rows));
    }
    assert!(problems(&format!("{once}, {once}"))[0].contains("overlaps"));
    assert!(problems(&format!("{weekly}, {weekly}"))[0].contains("overlaps"));
    let many: Vec<_> = (0..33)
        .map(|hour| {
            let (day, hour) = (1 + hour / 24, hour % 24);
            let at = format!("2026-12-{day:02}T{hour:02}");
            format!("{{ start = '{at}:00:00Z', end = '{at}:59:00Z' }}")
        })
        .collect();
    assert!(problems(&many.join(","))[0].contains("33 windows"));
}

#[test]
fn a_description_says_which_window_is_and_which_comes_next() {
    let rows = "maintenance = [{ start = '2026-12-06T22:00:00Z', end = '2026-12-07T01:00:00Z' }]";
    let table = good(&(target("T", rows) + &target("U", ""))).table;
    let said = |at: &str| {
        table.describe_windows(chrono::DateTime::parse_from_rfc3339(at).unwrap().timestamp())
    };
    assert_eq!(
        said("2026-12-01T00:00:00Z"),
        "
MAINTENANCE
  id  in maintenance until  next from             next until
  T   -                     2026-12-06T22:00:00Z  2026-12-07T01:00:00Z
"
    );
    let within = said("2026-12-06T23:00:00Z");
    assert!(within.contains("T   2026-12-07T01:00:00Z  -          -"), "{within}");
    assert_eq!(good(&target("U", "")).table.describe_windows(0), "");
}
