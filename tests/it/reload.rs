//! A changed table, taken up while calls go on: what is good is served, what is broken changes
//! nothing, or its own bank alone.

use std::time::Duration;

use serde_json::Value;

use crate::ask::{Ask, BANK, Http};
use crate::load::Load;
use crate::world::{Setup, World, bank, closed_port, now, until};

const OTHER: &str = "IIDX00002";

/// A bank's file.
fn bank_file(id: &str, port: u16, lines: &str) -> String {
    format!(
        "[[target]]\nid = \"{id}\"\nupstream = \"https://127.0.0.1:{port}\"\n\
         allow_private_addresses = true\n{lines}\n"
    )
}

/// The names of what changed, with their signs' words: `target IIDX00002 added`.
fn changes(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let changes = report["changes"].as_array().cloned().unwrap_or_default();
    let line = |change: &Value| {
        format!("{} {} {}", text(&change["part"]), text(&change["name"]), text(&change["how"]))
    };
    changes.iter().map(line).collect()
}

#[track_caller]
fn applied(world: &World) -> Value {
    let (status, report) = world.reload();
    assert_eq!((status, report["outcome"].as_str()), (200, Some("applied")), "{report:#}");
    report
}

over_both! {
    fn a_target_comes_and_goes_while_calls_go_on(http) {
        let (other, world) = (bank(), World::new());
        let load = Load::start(&world, 1);
        world.call(http, Ask::token().bank(OTHER)).platform(400).logged("target_unknown");

        let table = std::fs::read_to_string(world.file("routes.toml")).unwrap();
        let entry = bank_file(OTHER, other.address().port(), "");
        world.write("routes.toml", &format!("{table}\n{entry}"));
        assert_eq!(changes(&applied(&world)), [format!("target {OTHER} added")]);
        load.more(8);
        world.call(http, Ask::token().bank(OTHER)).good();
        assert_eq!(other.requests().len(), 1);

        world.write("routes.toml", &table);
        assert_eq!(changes(&applied(&world)), [format!("target {OTHER} removed")]);
        world.call(http, Ask::token().bank(OTHER)).platform(400).logged("target_unknown");
        load.stop();
        assert_eq!(world.metric("corgate_generation"), 3);
        assert_eq!(world.metric("corgate_reloads_total{outcome=\"applied\"}"), 2);
        // A reload that left the bank alone left its connections alone.
        assert!(world.bank.connections() <= 8, "{}", world.bank.connections());
    }

    fn a_broken_operators_file_changes_nothing(http) {
        let world = World::new();
        let load = Load::start(&world, 1);
        let good = std::fs::read_to_string(world.file("routes.toml")).unwrap();
        for broken in [
            "[gateway".to_owned(),
            String::new(),
            good.replace("workers = 1", "workers = 1\nwrokers = 2"),
            good.replace("edge.pem", "nowhere.pem"),
            good.replace(BANK, "a bank"),
        ] {
            world.write("routes.toml", &broken);
            let (status, report) = world.reload();
            assert_eq!((status, report["outcome"].as_str()), (422, Some("refused")), "{report:#}");
            assert!(report["problems"][0].as_str().unwrap().contains("routes.toml"), "{report:#}");
            load.more(4);
            world.call(http, Ask::token()).good();
        }
        std::fs::remove_file(world.file("routes.toml")).unwrap();
        assert_eq!(world.reload().0, 422);
        load.stop();
        assert_eq!(world.metric("corgate_reloads_total{outcome=\"refused\"}"), 6);
        assert_eq!(world.metric("corgate_generation"), 1);
        world.write("routes.toml", &good);
        let (status, report) = world.reload();
        assert_eq!((status, report["outcome"].as_str()), (200, Some("unchanged")), "{report:#}");
    }

    fn a_broken_banks_file_is_set_aside_alone(http) {
        let (one, two) = (bank(), bank());
        let file = |bank: &corgate::sim::bank::Bank, id: &str, lines: &str| {
            bank_file(id, bank.address().port(), lines)
        };
        let world = Setup::new()
            .top("include = [\"banks/*.toml\"]\n[[included]]\nallow_private_addresses = true")
            .file("banks/one.toml", &file(&one, "ONE", ""))
            .file("banks/two.toml", &file(&two, "TWO", ""))
            .start();
        let load = Load::start(&world, 1);
        world.write("banks/one.toml", &file(&one, "ONE", "colour = \"red\""));
        world.write("banks/two.toml", &file(&two, "TWO", "name = \"Second\""));
        let (status, report) = world.reload();
        assert_eq!((status, report["outcome"].as_str()), (200, Some("partial")), "{report:#}");
        assert_eq!(changes(&report), ["target TWO changed"]);
        assert_eq!(report["set_aside"][0]["targets"][0], "ONE");
        let problem = report["set_aside"][0]["problems"][0].as_str().unwrap().to_owned();
        assert!(problem.contains("one.toml") && problem.contains("colour"), "{problem}");

        world.call(http, Ask::token().bank("ONE")).good();
        world.call(http, Ask::token().bank("TWO")).good();
        assert_eq!(world.metric("corgate_targets_quarantined"), 1);
        assert_eq!(world.metric("corgate_files_set_aside"), 1);
        let (_, shown) = world.page_of("/banks/ONE");
        assert_eq!(shown["quarantined"][0], problem.as_str());
        assert_eq!(world.page_of("/banks/TWO").1["quarantined"], Value::Null);
        assert_eq!(world.page_of("/reload").1["set_aside"][0]["targets"][0], "ONE");

        world.write("banks/one.toml", &file(&one, "ONE", "name = \"First\""));
        assert_eq!(changes(&applied(&world)), ["target ONE changed"]);
        assert_eq!(world.metric("corgate_targets_quarantined"), 0);
        world.call(http, Ask::token().bank("ONE")).good();
        load.stop();
    }

    fn a_reload_gives_nobody_a_fresh_burst(http) {
        let limit = "targets = [\"*\"]\nlimit = { rate = \"1/h\", burst = 2 }\n\
                     target_limit = { rate = \"1/h\", burst = 2 }";
        let world = Setup::new().client(limit).start();
        let mut client = world.client(http, 1);
        client.call(Ask::token()).good();
        client.call(Ask::token()).good();
        world.rewrite("burst = 2 }\ntarget_limit", "burst = 2 }\nname = \"a\"\ntarget_limit");
        world.rewrite("[[target]]", "[[target]]\nname = \"another\"");
        applied(&world);
        client.call(Ask::token()).platform(429).logged("rate_limited");
    }

    fn an_open_breaker_stays_open(http) {
        let (_closed, port) = closed_port();
        let world = Setup::new()
            .upstream(&format!("\"https://127.0.0.1:{port}\""))
            .target("breaker = { failures = 1, open_for = \"10m\" }")
            .start();
        world.call(http, Ask::token()).platform(502).logged("connect_failed");
        world.call(http, Ask::token()).platform(503).logged("breaker_open");
        world.rewrite("[[target]]", "[[target]]\nname = \"another\"");
        applied(&world);
        world.call(http, Ask::token()).platform(503).logged("breaker_open");
        // What was counted goes on from where it was.
        assert_eq!(world.metric(&format!("corgate_target_calls_total{{target=\"{BANK}\"}}")), 3);
    }

    fn a_call_that_is_under_way_keeps_its_place_and_its_answer(http) {
        let world = Setup::new().target("concurrency = 1").start();
        let slow = world.client(http, 1).call_meanwhile(Ask::magic("sim-delay-1500"));
        until("the call at the bank", || (world.bank.requests().len() == 1).then_some(()));
        world.rewrite("[[target]]", "[[target]]\nname = \"another\"");
        applied(&world);
        world.call(http, Ask::token()).platform(503).logged("target_busy");
        slow.join().unwrap().good();
        world.call(http, Ask::token()).good();
    }

    fn calls_under_way_count_for_a_concurrency_that_changes_meanwhile(http) {
        let world = Setup::new().target("concurrency = 3").start();
        let slow = [1, 2].map(|_| {
            world.client(http, 1).call_meanwhile(Ask::magic("sim-delay-2500"))
        });
        until("the calls at the bank", || (world.bank.requests().len() == 2).then_some(()));
        world.rewrite("concurrency = 3", "concurrency = 2");
        applied(&world);
        world.call(http, Ask::token()).platform(503).logged("target_busy");
        let in_flight = format!("corgate_target_in_flight{{target=\"{BANK}\"}}");
        assert_eq!(world.metric(&in_flight), 2);
        for slow in slow {
            slow.join().unwrap().good();
        }
        world.call(http, Ask::token()).good();
        world.counts(&in_flight, 0);
    }
}

#[test]
fn what_only_a_new_process_takes_up_is_said_and_left() {
    let world = World::new();
    world.rewrite("workers = 1", "workers = 2");
    world.rewrite("listen = \"127.0.0.1:0\"", "insecure_plain_listen = \"127.0.0.1:1\"");
    world.rewrite("access.log", "elsewhere.log");
    world.rewrite("[gateway.tls]", "insecure_header_identity = true\n[gateway.tls]");
    world.rewrite("[gateway.limits]", "[gateway.limits]\nbody_bytes_max = 2000");
    let report = applied(&world);
    let mut waiting: Vec<_> =
        report["needs_new_process"].as_array().unwrap().iter().map(|key| key.as_str()).collect();
    waiting.sort_unstable();
    let keys = ["access_log.path", "insecure_header_identity", "insecure_plain_listen", "listen"];
    assert_eq!(waiting, keys.into_iter().chain(["workers"]).map(Some).collect::<Vec<_>>());
    assert_eq!(world.metric("corgate_keys_waiting"), 5);
    assert!(!world.file("elsewhere.log").exists());
    // The rest is taken up.
    world.call(Http::One, Ask::token().body_bytes(2_001)).platform(413);
    world.call(Http::One, Ask::token()).good();
    // Nothing more to take up: what waits is no change.
    let (_, report) = world.reload();
    assert_eq!(report["outcome"], "unchanged", "{report:#}");
    assert_eq!(report["needs_new_process"].as_array().unwrap().len(), 5);
}

#[test]
fn a_plan_says_what_a_reload_would_do_and_does_not() {
    let world = World::new();
    world.rewrite("[[target]]", "[[target]]\nname = \"another\"");
    for _ in 0..2 {
        let (status, plan) = world.page_of("/diff");
        assert_eq!((status, plan["outcome"].as_str()), (200, Some("applied")));
        assert_eq!(plan["changes"][0]["keys"][0]["key"], "name");
        assert_eq!(plan["changes"][0]["keys"][0]["to"], "another");
    }
    assert_eq!(world.metric("corgate_generation"), 1);
    assert_eq!(world.page_of(&format!("/banks/{BANK}")).1["name"], Value::Null);
    world.write("routes.toml", "nonsense");
    assert_eq!(world.page_of("/diff").0, 422);
    assert_eq!(world.metric("corgate_reloads_total{outcome=\"refused\"}"), 0);
}

#[test]
fn a_secret_that_changes_is_named_and_not_shown() {
    let world = Setup::new()
        .target("headers = { X-Api-Key = \"${file:key}\" }")
        .file("key", "first-secret-value")
        .start();
    world.write("key", "second-secret-value");
    let report = applied(&world).to_string();
    assert!(report.contains("\"headers.x-api-key\",\"hidden\":true"), "{report}");
    for secret in ["first-secret-value", "second-secret-value"] {
        world.notes().learn(secret);
        assert!(!report.contains(secret), "{report}");
    }
    world.call(Http::One, Ask::token()).good();
    assert_eq!(world.bank.requests()[0].header("X-Api-Key"), Some("second-secret-value"));
}

#[test]
fn reloads_at_once_are_made_one_by_one() {
    let world = World::new();
    let load = Load::start(&world, 1);
    world.rewrite("[[target]]", "[[target]]\nname = \"another\"");
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| world.reload())).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    for (status, report) in &outcomes {
        assert_eq!(*status, 200);
        assert!(["applied", "unchanged"].contains(&report["outcome"].as_str().unwrap()));
    }
    assert!(outcomes.iter().any(|(_, report)| report["outcome"] == "applied"));
    load.stop();
    assert_eq!(world.metric("corgate_generation"), 2);
    assert_eq!(world.metric("corgate_reloads_total{outcome=\"applied\"}"), 1);
}

#[test]
fn a_pipe_instead_of_a_file_holds_nothing_up() {
    let world = World::new();
    std::fs::remove_file(world.file("routes.toml")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(world.file("routes.toml")).status();
    assert!(made.unwrap().success());
    let started = now();
    let (status, report) = world.reload();
    assert_eq!(status, 422);
    assert!(report["problems"][0].as_str().unwrap().contains("regular file"), "{report:#}");
    assert!(started.elapsed() < Duration::from_secs(10));
    world.call(Http::One, Ask::token()).good();
}

#[test]
fn a_changed_file_is_taken_up_by_itself() {
    let other = bank();
    let world = Setup::new()
        .gateway("watch = \"100ms\"")
        .top("include = [\"banks/*.toml\"]\n[[included]]\nallow_private_addresses = true")
        .file("banks/one.toml", "")
        .start();
    let load = Load::start(&world, 1);
    world.write("banks/other.toml", &bank_file(OTHER, other.address().port(), ""));
    world.counts("corgate_reloads_total{outcome=\"applied\"}", 1);
    world.call(Http::One, Ask::token().bank(OTHER)).good();
    // A broken one is tried once, and again when it changed.
    let good = std::fs::read_to_string(world.file("routes.toml")).unwrap();
    world.write("routes.toml", "nonsense");
    world.counts("corgate_reloads_total{outcome=\"refused\"}", 1);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(world.metric("corgate_reloads_total{outcome=\"refused\"}"), 1);
    world.write("routes.toml", &good.replace("[[target]]", "[[target]]\nname = \"another\""));
    world.counts("corgate_reloads_total{outcome=\"applied\"}", 2);
    load.stop();
}

#[test]
fn a_table_that_is_in_no_file_is_not_reloaded() {
    let world = Setup::new().edit(|_| {}).start();
    assert_eq!(world.reload().0, 409);
    assert_eq!(world.page_of("/diff").0, 409);
    assert_eq!(world.page_of("/reload").1["config"], Value::Null);
}
