//! Each number and duration at the ends of its range, and one beyond.

use super::{bad, good, target};
use crate::routes::load::load_with;
use crate::routes::reference::{self, Kind, ShortTime};
use crate::routes::{MemorySources, Report};
use std::path::Path;
use std::time::Duration;

/// A file in which one key of one section has a value.
fn written(section: &str, key: &str, value: &str) -> String {
    let (gateway, rest) = match section {
        "gateway" => (format!("{key} = {value}"), String::new()),
        "gateway.limits" => (format!("limits = {{ {key} = {value} }}"), String::new()),
        "gateway.access_log" => (format!("access_log = {{ {key} = {value} }}"), String::new()),
        "included" => (String::new(), format!("[[included]]\n{key} = {value}")),
        "target" => (String::new(), target("T", &format!("{key} = {value}"))),
        "target_defaults" => (String::new(), format!("[target_defaults]\n{key} = {value}")),
        "limit" => {
            let limit = format!("limit = {{ rate = '1/s', {key} = {value} }}");
            (String::new(), target("T", &limit))
        }
        "target.timeouts" if key != "total" => {
            (String::new(), target("T", &format!("timeouts = {{ total = '5m', {key} = {value} }}")))
        }
        "target.answers" => {
            let other = if key == "status" { "becomes" } else { "status" };
            let row = format!("{{ error = 'invalid_grant', {other} = 400, {key} = {value} }}");
            let bank = "dialect = 'oauth2'\noauth2 = { authentication = 'none', client_id = 'x' }";
            (String::new(), target("T", &format!("{bank}\nanswers = [{row}]")))
        }
        nested => {
            let table = nested.strip_prefix("target.").unwrap();
            (String::new(), target("T", &format!("{table} = {{ {key} = {value} }}")))
        }
    };
    format!(
        "[gateway]\ninsecure_plain_listen = '127.0.0.1:8080'\ninsecure_header_identity = true\n\
         {gateway}\n[[api]]\ncontract = 'blink-fi'\n{rest}"
    )
}

fn report(section: &str, key: &str, value: &str) -> Option<Report> {
    super::load_text(&written(section, key, value)).err()
}

#[test]
fn a_value_beyond_its_range_is_refused_and_the_range_is_named() {
    let mut checked = 0;
    for section in reference::ALL {
        for row in section.rows {
            let (inside, beyond) = match row.kind {
                Kind::Count { min, max, .. } => (
                    [min.to_string(), max.to_string()],
                    [min.checked_sub(1).map(|n| n.to_string()), Some((max + 1).to_string())],
                ),
                Kind::Time { min_ms, max_ms, .. } => (
                    [format!("'{min_ms}ms'"), format!("'{max_ms}ms'")],
                    [min_ms.checked_sub(1), Some(max_ms + 1)]
                        .map(|ms| ms.map(|ms| format!("'{ms}ms'"))),
                ),
                _ => continue,
            };
            checked += 1;
            for value in inside {
                // A request line can't be longer than the head that holds it.
                if row.key != "uri_bytes_max" || value != "65536" {
                    let report = report(section.name, row.key, &value);
                    assert_eq!(report, None, "{} = {value}", row.key);
                }
            }
            for value in beyond.into_iter().flatten() {
                let report = report(section.name, row.key, &value).unwrap();
                assert_eq!(report.problems.len(), 1, "{report}");
                let right = report.problems[0].right.as_deref().unwrap();
                assert!(right.contains(" to "), "{right}");
            }
        }
    }
    assert!(checked > 30, "{checked}");
}

#[test]
fn numbers_are_whole_and_not_negative() {
    for value in ["-1", "1.5", "'1'", "99999999999999999999999", "true", "[1]", "1979-05-27"] {
        assert!(report("target", "concurrency", value).is_some(), "{value}");
    }
    for value in ["1_000", "0x10", "+5"] {
        assert_eq!(report("target", "concurrency", value), None, "{value}");
    }
}

#[test]
fn deadlines_agree() {
    let with = |timeouts: &str| target("T", &format!("timeouts = {timeouts}"));
    good(&with("{ connect = '8s', first_byte = '8s', total = '8s' }"));
    good(&with("{ total = '10ms' }"));
    for timeouts in
        ["{ first_byte = '8001ms' }", "{ connect = '2s', total = '1s' }", "{ connect = '9s' }"]
    {
        let problems = bad(&with(timeouts));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("longer than `total`"), "{problems:?}");
    }
}

#[test]
fn a_duration_is_printed_in_its_largest_whole_unit() {
    for (ms, text) in [(0, "0ms"), (250, "250ms"), (1_500, "1500ms"), (90_000, "90s")] {
        assert_eq!(ShortTime(Duration::from_millis(ms)).to_string(), text);
    }
    assert_eq!(ShortTime(Duration::from_secs(86_400)).to_string(), "24h");
}

#[test]
fn how_many_of_a_thing_is_limited() {
    let upstream = |count: u32| {
        let list: Vec<_> = (0..count).map(|n| format!("'https://bank-{n}.example'")).collect();
        format!("[[target]]\nid = 'T'\nupstream = [{}]\n", list.join(", "))
    };
    good(&upstream(16));
    assert_eq!(bad(&upstream(17)).len(), 1);
    assert_eq!(bad(&upstream(0)).len(), 1);
    let headers = |count: u32| {
        let list: Vec<_> = (0..count).map(|n| format!("X-{n} = 'v'")).collect();
        target("T", &format!("headers = {{ {} }}", list.join(", ")))
    };
    good(&headers(16));
    assert_eq!(bad(&headers(17)).len(), 1);
    let apis = |count: u32| -> String {
        (0..count)
            .map(|n| format!("[[api]]\ncontract = 'blink-fi'\nbase_path = '/{n}'\n"))
            .collect()
    };
    good(&apis(63));
    assert_eq!(bad(&apis(64)).len(), 1);
}

#[test]
fn problems_beyond_the_limit_are_counted() {
    let text =
        "x = 1\n".to_owned() + &(0..1_000).map(|n| format!("key{n} = 1\n")).collect::<String>();
    let sources = MemorySources::default().file("r", &text);
    let mut compile = |_: &str, _: &str| Err(Vec::new());
    let report = load_with(Path::new("r"), &sources, &mut compile).unwrap_err();
    assert_eq!(report.problems.len(), crate::routes::PROBLEMS_MAX);
    assert_eq!(report.errors(), 1_003);
    assert!(report.to_string().ends_with("1003 errors (803 not shown)\n"));
}

#[test]
fn a_run_directory_fits_into_a_sockets_path_and_its_sockets_into_a_hand_over() {
    let errors = |lines: &str| {
        let report = super::load_text(&written("gateway", "run_dir", lines)).err();
        report.map_or_else(String::new, |report| report.to_string())
    };
    assert_eq!(errors(&format!("'/{}'", "x".repeat(79))), "");
    assert!(errors(&format!("'/{}'", "x".repeat(80))).contains("at most 80: it holds a socket"));
    assert!(errors("''").contains("`run_dir` is empty"));
    let many = (1..=31).map(|port| format!("'127.0.0.1:{}'", 9_000 + port)).collect::<Vec<_>>();
    let with = |workers: u32| format!("'run'\nworkers = {workers}\nlisten = [{}]", many.join(", "));
    assert!(!errors(&with(127)).contains("too many to hand over"));
    assert!(errors(&with(128)).contains("4097 sockets with the admin's"), "{}", errors(&with(128)));
}
