//! Any text, and a very long one.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::{GATEWAY, good, load, load_text, target};
use crate::routes::MemorySources;

/// Lines that are nearly right, so that a random file reaches the readers.
fn line() -> impl Strategy<Value = String> {
    let keys = "(include|gateway|listen|id|targets|certificates|limit|rate|upstream|paths|tls|\
                headers|timeouts|total|contract|base_path|status|[a-z_.\"]{0,8})";
    let values = "('[^'\n]{0,20}'|[0-9]{1,5}|true|\\[('[A-Z*]{1,3}', ?){0,3}\\]|\
                  \\{ ?(rate|ca|token|A) = ('[0-9a-z/$\\{\\}:]{0,8}'|1) ?\\}|\\PC{0,20})";
    prop_oneof![
        4 => (keys, values).prop_map(|(key, value)| format!("{key} = {value}")),
        2 => "\\[(gateway|gateway\\.tls|\\[target\\]|\\[client\\]|\\[api\\])\\]",
        1 => "\\PC{0,40}",
    ]
}

proptest! {
    #[test]
    fn any_text_is_loaded_or_refused(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_nearly_right_text_is_loaded_or_refused(
        lines in proptest::collection::vec(line(), 0..30),
        newline in "(\n|\r\n)",
    ) {
        check(&lines.join(&newline));
        check(&format!("{GATEWAY}{}", lines.join(&newline)));
        check_included(&lines.join(&newline));
        check_included(&target("A", &lines.join(&newline)));
    }
}

/// A refusal names at least one error, in a place that exists, and can be printed.
fn check(text: &str) {
    let _ = crate::routes::load_text(text);
    if let Err(report) = load_text(text) {
        assert!(report.errors() > 0);
        let lines = text.split('\n').count();
        for place in report.problems.iter().filter_map(|problem| problem.place.as_ref()) {
            assert!((1..=lines).contains(&place.line));
            assert!(place.text.get(place.marked.clone()).is_some());
        }
        assert!(report.to_string().contains("error"));
    }
}

/// Whatever stands in an included file: the operator's table stands, and no secret was reached.
fn check_included(text: &str) {
    let operators = format!("include = ['a.toml']\n{GATEWAY}{}", target("MINE", ""));
    let world = MemorySources::default()
        .file("routes.toml", &operators)
        .file("a.toml", text)
        .file("key", "hunter2");
    let loaded = load(&world).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(&*loaded.table.targets["MINE"].source, Path::new("routes.toml"));
    assert!(loaded.table.clients.is_empty() && loaded.table.gateway.tls.is_none());
    for target in loaded.table.targets.values() {
        assert!(!target.allow_private_addresses && target.tls.ca.is_none());
        assert!(target.headers.iter().all(|(_, value)| value != "hunter2"));
    }
}

/// `count` targets as a hub would write them.
fn targets(count: u32) -> String {
    let mut text = GATEWAY.to_owned();
    for number in 0..count {
        let _ = write!(
            text,
            "[[target]]\nid = \"IIDX{number:06}\"\nname = \"Bank {number}\"\n\
             upstream = [\"https://bank-{number}.example:7443\"]\n\
             paths = {{ token = \"/auth/token\", revoke = \"/auth/revoke\" }}\n\
             timeouts = {{ connect = \"2s\", total = \"10s\" }}\n\
             limit = {{ rate = \"200/s\", burst = 400 }}\nheaders = {{ X-Bank = \"{number}\" }}\n\n"
        );
    }
    text
}

/// The promise is 2 s for 100,000 targets; hostile texts may take longer, and end. To measure:
/// `cargo test --release --no-default-features --lib hundred -- --ignored --nocapture`.
#[test]
#[ignore = "measures; run it in a release build"]
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn a_hundred_thousand_targets_load_in_two_seconds() {
    let each_twice = targets(50_000) + &targets(50_000).replace(GATEWAY, "");
    for (what, text, seconds_max) in [
        ("right", targets(100_000), 2),
        ("each with a mistake", targets(100_000).replace("burst", "burts"), 2),
        ("each twice", each_twice, 2),
        ("one line", format!("x = [{}]", "1, ".repeat(5_000_000)), 10),
        ("no TOML", "= =\n".repeat(1_000_000), 10),
    ] {
        let begun = std::time::Instant::now();
        let result = load_text(&text);
        let spent = begun.elapsed();
        let (mib, loaded) = (text.len() / 1_048_576, result.is_ok());
        println!("{what}: {mib} MiB, loaded: {loaded}, {spent:?}");
        assert!(spent.as_secs() < seconds_max, "{what}: {spent:?}");
    }
}

#[test]
fn many_targets_are_found_by_id() {
    let table = load_text(&targets(2_000)).unwrap_or_else(|report| panic!("{report}")).table;
    assert_eq!(table.targets.len(), 2_000);
    assert_eq!(table.targets["IIDX001999"].name.as_deref(), Some("Bank 1999"));
    let one = good(&target("T", "")).table;
    assert!(one.targets.contains_key("T"));
}
