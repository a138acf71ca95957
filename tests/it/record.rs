//! CONTRACT 4.8: the access line, the metrics and the admin pages.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::ask::{Ask, BANK, CLIENT, Http, unique};
use crate::world::{Setup, World};

fn names(line: &Value) -> BTreeSet<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

over_both! {
    fn the_line_of_a_good_call(http) {
        let world = World::new();
        let ask = Ask::token();
        let answer = world.call(http, ask.clone()).good();
        let line = world.line_of(&answer);
        let all = [
            "time", "correlation_id", "operation", "client", "target", "peer", "protocol", "tls",
            "status", "source", "endpoint", "dials", "provider_status", "provider_us", "trace_id",
            "bytes_in", "bytes_out", "duration_us",
        ];
        assert_eq!(names(&line), all.into());
        let protocol = if http == Http::One { "http/1.1" } else { "h2" };
        for (name, value) in [
            ("operation", "token"),
            ("client", CLIENT),
            ("target", BANK),
            ("peer", "127.0.0.1"),
            ("protocol", protocol),
            ("tls", "1.3"),
            ("source", "PROVIDER"),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
        let port = world.bank.address().port();
        assert_eq!(line["endpoint"], format!("https://127.0.0.1:{port}"));
        for (name, value) in [
            ("status", 200),
            ("provider_status", 200),
            ("dials", 1),
            ("bytes_in", ask.body.len()),
            ("bytes_out", answer.body.len()),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
        assert!(line["duration_us"].as_u64() >= line["provider_us"].as_u64());
        let time = line["time"].as_str().unwrap();
        assert_eq!((time.len(), time.ends_with('Z')), (24, true), "{time}");
    }

    fn the_line_of_a_call_on_a_kept_connection(http) {
        let world = World::new();
        world.call(http, Ask::token()).good();
        let answer = world.call(http, Ask::token()).good();
        let line = world.line_of(&answer);
        assert_eq!(line["reused"], true);
        assert_eq!(line.get("dials"), None);
    }

    fn the_line_of_a_refusal(http) {
        let world = World::new();
        let answer = world.call(http, Ask::token().without("User-Agent")).platform(400);
        let line = world.line_of(&answer);
        let all = [
            "time", "correlation_id", "operation", "client", "peer", "protocol", "tls", "status",
            "source", "fault", "detail", "origin", "bytes_in", "bytes_out", "duration_us",
        ];
        assert_eq!(names(&line), all.into());
        for (name, value) in [
            ("fault", "header_missing"),
            ("detail", "User-Agent"),
            ("origin", "client"),
            ("source", "PLATFORM"),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
    }

    fn a_bad_correlation_id_is_measured_and_not_written(http) {
        let world = World::new();
        let bad = format!("{}-{}", unique("bad"), "x".repeat(60));
        let answer = world.call(http, Ask::token().set("X-Correlation-ID", &bad)).platform(400);
        let line = world.line_of(&answer);
        assert_eq!(line["refused_id_bytes"], bad.len());
        assert_eq!(line["refused_id_hash"].as_str().unwrap().len(), 8);
    }

    fn a_correlation_id_can_not_break_its_line(http) {
        let world = World::new();
        let odd = r#"x","status":200,"y":"\"}"#;
        let answer = world.call(http, Ask::token().set("X-Correlation-ID", odd)).good();
        let line = world.line_of(&answer);
        assert_eq!(line["correlation_id"], odd);
        assert_eq!(line.get("y"), None);
    }

    fn a_log_of_many_calls_has_a_line_for_each(http) {
        let world = World::new();
        let mut client = world.client(http, 1);
        for number in 0..50 {
            let ask = if number % 5 == 0 { Ask::token().method("GET") } else { Ask::token() };
            client.call(ask);
        }
        // That each line is there, once, is checked at the end of every world.
        world.bank_heard(40);
    }
}

#[test]
fn metrics_count_what_happened() {
    let world = World::new();
    for _ in 0..3 {
        world.call(Http::One, Ask::token()).good();
    }
    world.call(Http::Two, Ask::revoke()).good();
    world.call(Http::One, Ask::magic("sim-status-400")).provided(400);
    world.call(Http::One, Ask::magic("sim-reset")).platform(502);
    world.call(Http::Two, Ask::token().method("GET")).platform(405);
    world.call(Http::Two, Ask::token().target("/")).platform(404);
    for (series, count) in [
        (r#"answers_total{call="token",status="200",source="PROVIDER",fault="none"}"#, 3),
        (r#"answers_total{call="revoke",status="200",source="PROVIDER",fault="none"}"#, 1),
        (r#"answers_total{call="token",status="400",source="PROVIDER",fault="none"}"#, 1),
        (
            r#"answers_total{call="token",status="502",source="PLATFORM",fault="connection_lost"}"#,
            1,
        ),
        (r#"answers_total{call="none",status="405",source="PLATFORM",fault="method_refused"}"#, 1),
        (r#"answers_total{call="none",status="404",source="PLATFORM",fault="path_unknown"}"#, 1),
        (r#"exchange_seconds_count{call="token"}"#, 5),
        (r#"provider_seconds_count{call="revoke"}"#, 1),
        (r#"target_calls_total{target="IIDX00001"}"#, 6),
        (r#"target_client_errors_total{target="IIDX00001"}"#, 1),
        (r#"target_provider_errors_total{target="IIDX00001"}"#, 1),
        (r#"target_platform_errors_total{target="IIDX00001"}"#, 0),
        ("handshakes_total", 8),
        ("connections_total", 8),
    ] {
        assert_eq!(world.metric(&format!("corgate_{series}")), count, "{series}");
    }
}

#[test]
fn metrics_are_open_metrics() {
    let world = World::new();
    world.call(Http::One, Ask::token()).good();
    let (status, text) = world.admin("/metrics");
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut described = BTreeSet::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            described.extend(comment.split(' ').nth(1).map(ToOwned::to_owned));
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(value.parse::<f64>().is_ok() || value == "+Inf", "{line}");
        let name = series.split('{').next().unwrap();
        let family = ["_total", "_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        assert!(described.contains(family), "{line}");
        let labels_closed = !series.contains('{') || series.ends_with('}');
        assert!(labels_closed && name.starts_with("corgate_"), "{line}");
    }
}

#[test]
fn no_label_comes_from_a_stranger() {
    let world = World::new();
    let strange = unique("strange-target");
    world.call(Http::One, Ask::token().bank("STRANGE-TARGET")).platform(400);
    world.call(Http::One, Ask::token().target(&format!("/{strange}"))).platform(404);
    world.call(Http::One, Ask::token().method("STRANGE")).platform(405);
    let (_, text) = world.admin("/metrics");
    assert!(!text.to_lowercase().contains("strange"), "{text}");
}

#[test]
fn the_admin_pages_answer() {
    let world = Setup::new().target("name = \"Alpine Bank\"\npaths = { username = false }").start();
    assert_eq!(world.admin("/livez"), (200, "ok\n".to_owned()));
    assert_eq!(world.admin("/readyz"), (200, "ready\n".to_owned()));
    world.call(Http::One, Ask::token()).good();
    let (status, text) = world.admin("/banks");
    assert_eq!(status, 200);
    let banks: Value = serde_json::from_str(&text).unwrap();
    let bank = &banks[0];
    for (name, value) in [
        ("id", BANK),
        ("name", "Alpine Bank"),
        ("dialect", "blink"),
        ("status", "active"),
        ("breaker", "closed"),
    ] {
        assert_eq!(bank[name], value, "{name}");
    }
    assert_eq!(bank["calls"], 1);
    assert_eq!(bank["in_flight"], 0);
    assert_eq!(bank["capabilities"]["authorization_code"], true);
    assert_eq!(bank["capabilities"]["refresh_token"], true);
    assert_eq!(bank["capabilities"]["username"], false);
    assert_eq!(world.admin("/banks/IIDX00001").0, 200);
    assert_eq!(world.admin("/banks/IIDX99999").0, 404);
    assert_eq!(world.admin("/").0, 404);
}

#[test]
fn a_bank_without_a_word_in_the_log_is_no_bank_with_errors() {
    let world = World::new();
    world.call(Http::One, Ask::magic("sim-status-404")).provided(404);
    let (_, text) = world.admin("/banks/IIDX00001");
    let bank: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&bank["client_errors"], &bank["provider_errors"]), (&1.into(), &0.into()));
}

#[test]
#[should_panic(expected = "stands in the access log")]
fn a_secret_in_the_access_log_would_be_found() {
    let world = World::new();
    let answer = world.call(Http::One, Ask::token()).good();
    world.notes().learn(answer.correlation());
}

#[test]
#[should_panic(expected = "stands in /banks")]
fn a_secret_on_a_page_would_be_found() {
    let world = Setup::new().target("name = \"A name for people\"").start();
    world.notes().learn("name for people");
}

#[test]
#[should_panic(expected = "lines for")]
fn an_answer_without_its_line_would_be_found() {
    let world = World::new();
    world.notes().expect_line("nobody", 200);
}
