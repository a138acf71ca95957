//! A bank that asks to be left alone is left alone: its `Retry-After` is learned.

use crate::ask::{Ask, BANK, Http, unique};
use crate::native::{MOUNT, SYSTEM, Stage, said};
use crate::world::{Setup, World, until};

const UNAVAILABLE: &str = "target is temporarily unavailable";

fn waits(world: &World, bank: &str) -> serde_json::Value {
    let (_, text) = world.admin(&format!("/banks/{bank}"));
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["retry_after_s"].clone()
}

over_both! {
    fn a_banks_retry_after_is_kept_for_everybody(http) {
        let world = Setup::new().target("retry_after_max = \"1h\"").start();
        assert!(waits(&world, BANK).is_null());
        world.call(http, Ask::magic("sim-retry-after-600")).provided(503);
        for ask in [Ask::token(), Ask::revoke(), Ask::username()] {
            let answer = world
                .call(http, ask)
                .refused(503, "temporarily_unavailable", UNAVAILABLE)
                .logged("provider_busy");
            assert!((590..=600).contains(&answer.seconds("retry-after")));
        }
        assert!((590..=600).contains(&waits(&world, BANK).as_u64().unwrap()));
        let metric = world.metric(&format!("corgate_target_wait_seconds{{target=\"{BANK}\"}}"));
        assert!((590..=600).contains(&metric));
        world.bank_heard(1);
    }

    fn a_retry_after_that_is_a_date_is_counted_from_the_banks_own(http) {
        // The bank's clock stands in 1994: only how its two dates differ counts.
        let world = Setup::new().target("retry_after_max = \"1h\"").start();
        world.call(http, Ask::magic("sim-busy-until-600")).provided(429);
        let answer = world.call(http, Ask::token()).platform(503).logged("provider_busy");
        assert!((590..=600).contains(&answer.seconds("retry-after")));
        world.bank_heard(1);
    }

    fn once_it_has_passed_the_bank_is_called_again(http) {
        let world = Setup::new().target("retry_after_max = \"300ms\"").start();
        world.call(http, Ask::magic("sim-retry-after-86400")).provided(503);
        world.call(http, Ask::token()).platform(503).says("retry-after", "1");
        until("the end of the wait", || {
            (world.call(http, Ask::token()).status == 200).then_some(())
        });
        assert!(waits(&world, BANK).is_null());
    }

    fn a_table_may_want_a_banks_retry_after_not_to_be_learned(http) {
        let world = Setup::new().target("retry_after_max = \"0ms\"").start();
        world.call(http, Ask::magic("sim-retry-after-600")).provided(503);
        world.call(http, Ask::token()).good();
    }

    fn a_busy_status_without_a_wait_teaches_nothing(http) {
        let world = World::new();
        world.call(http, Ask::magic("sim-status-503")).provided(503);
        world.call(http, Ask::magic("sim-status-429")).provided(429);
        world.call(http, Ask::token()).good();
    }
}

#[test]
fn a_native_systems_retry_after_is_kept_too() {
    let stage = Stage::new("flinks");
    let ask = || {
        let token = format!("Bearer {}", unique("flinks-token"));
        Ask::native("GET", &format!("{MOUNT}/accounts?limit=10"), "").with("Authorization", token)
    };
    stage.say(said(429, "{}").with("Retry-After", "30"));
    let first = stage.world.call(Http::One, ask()).provided(429);
    assert_eq!(first.header("retry-after"), Some("30"));
    stage.say(said(200, "{}"));
    let answer = stage.refuses(&ask(), 503, "provider_busy");
    assert!((25..=30).contains(&answer.seconds("retry-after")));
    // It is this client's wait, and not the system's.
    assert!(waits(&stage.world, SYSTEM).is_null());
    let (_, page) = stage.world.page_of(&format!("/banks/{SYSTEM}"));
    assert_eq!(page["clients_waiting"], 1);
}
