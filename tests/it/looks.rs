//! Looks at banks that nobody calls.

use corgate::sim::bank::{Bank, BankConfig};
use corgate::sim::server::Listening;

use crate::ask::{Ask, BANK, Http};
use crate::world::{Setup, World, bank, listening, until};

fn looked(world: &World) -> u64 {
    world.metric(&format!("corgate_target_probes_total{{target=\"{BANK}\"}}"))
}

fn shown(world: &World, key: &str) -> serde_json::Value {
    let (_, text) = world.admin(&format!("/banks/{BANK}"));
    serde_json::from_str::<serde_json::Value>(&text).unwrap()[key].clone()
}

#[test]
fn nobody_is_looked_at_unless_the_table_wants_it() {
    let world = World::new();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(world.bank.connections(), 0);
    assert!(shown(&world, "probes").is_null());
}

#[test]
fn an_idle_bank_is_looked_at_by_a_connection_that_is_then_used() {
    let world = Setup::new().target("probe = { after = \"300ms\" }").start();
    until("a look", || (looked(&world) > 0).then_some(()));
    world.bank_heard(0);
    let before = world.bank.connections();
    assert!(before > 0);
    let answer = world.call(Http::One, Ask::token()).good();
    assert_eq!(world.line_of(&answer)["reused"], true);
}

#[test]
fn a_path_is_asked_for_with_get_over_the_banks_own_connections() {
    let lines = "probe = { after = \"200ms\", path = \"/health\" }\nheaders = { X-Key = \"k\" }";
    let world = Setup::new().target(lines).start();
    until("three looks", || (looked(&world) >= 3).then_some(()));
    let heard = world.bank.requests();
    assert_eq!((heard[0].method.as_str(), heard[0].path.as_str()), ("GET", "/health"));
    assert_eq!(heard[0].header("User-Agent"), Some("corgate-probe"));
    assert_eq!(heard[0].header("X-Key"), Some("k"));
    assert_eq!(heard[0].certificate, Some(crate::world::pki().hub.fingerprint()));
    assert_eq!(world.bank.connections(), 1);
}

#[test]
fn a_look_closes_an_open_breaker() {
    let breaker = "breaker = { failures = 1, open_for = \"10m\" }";
    for (probe, position) in [
        ("probe = { after = \"200ms\", path = \"/health\" }", "closed"),
        // A connection shows less: the next call sees.
        ("probe = { after = \"200ms\" }", "half_open"),
    ] {
        let world = Setup::new().target(&format!("{breaker}\n{probe}")).start();
        world.call(Http::One, Ask::magic("sim-reset")).platform(502);
        assert_eq!(shown(&world, "breaker"), "open");
        until(position, || (shown(&world, "breaker") == position).then_some(()));
        world.call(Http::One, Ask::token()).good();
        assert_eq!(shown(&world, "breaker"), "closed");
    }
}

#[test]
fn looks_that_fail_open_the_breaker_before_a_call_does() {
    let bank: Bank = bank();
    let address = bank.address();
    let world = Setup::new()
        .upstream(&format!("\"https://{address}\""))
        .target(
            "probe = { after = \"150ms\", path = \"/health\" }\n\
             breaker = { failures = 2, open_for = \"10m\" }",
        )
        .start();
    drop(bank);
    until("an open breaker", || (shown(&world, "breaker") == "open").then_some(()));
    world.call(Http::One, Ask::token()).platform(503).logged("breaker_open");
    let again = || {
        let listening = Listening { address, ..listening() };
        Bank::start(BankConfig::new(listening)).ok()
    };
    let _bank = until("its port", again);
    until("a closed breaker", || (shown(&world, "breaker") == "closed").then_some(()));
    world.call(Http::One, Ask::token()).good();
}

#[test]
fn looks_rest_while_a_bank_is_closed_or_wants_to_be_left_alone() {
    let probe = "probe = { after = \"100ms\" }";
    let closed = [
        "status = \"maintenance\"".to_owned(),
        "status = \"suspended\"".to_owned(),
        crate::windows::window(-60, 600),
    ];
    for lines in closed {
        let world = Setup::new().target(&format!("{probe}\n{lines}")).start();
        std::thread::sleep(std::time::Duration::from_millis(600));
        assert_eq!(looked(&world), 0, "{lines}");
        assert_eq!(world.bank.connections(), 0, "{lines}");
    }
    let world = Setup::new().target(probe).start();
    world.call(Http::One, Ask::magic("sim-retry-after-600")).provided(503);
    let before = looked(&world);
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert!(looked(&world) <= before + 1, "one may have been under way");
}
