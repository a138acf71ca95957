//! Windows of maintenance: known beforehand, and told to the second.

use std::time::SystemTime;

use chrono::DateTime;

use crate::ask::{Ask, BANK, unique};
use crate::native::{MOUNT, SYSTEM, Stage};
use crate::world::{Setup, World};

#[expect(clippy::disallowed_methods, reason = "windows are about the wall clock")]
fn clock() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// So many seconds from now.
fn moment(seconds: i64) -> String {
    DateTime::from_timestamp(clock() + seconds, 0).unwrap().to_rfc3339()
}

pub(crate) fn window(start: i64, end: i64) -> String {
    format!("maintenance = [{{ start = \"{}\", end = \"{}\" }}]", moment(start), moment(end))
}

fn shown(world: &World) -> serde_json::Value {
    serde_json::from_str(&world.admin(&format!("/banks/{BANK}")).1).unwrap()
}

over_both! {
    fn row_4_4_16_within_a_window_calls_are_told_when_it_ends(http) {
        let world = Setup::new().target(&window(-60, 600)).start();
        for ask in [Ask::token(), Ask::revoke(), Ask::username()] {
            let answer = world
                .call(http, ask)
                .refused(503, "temporarily_unavailable", "target is temporarily unavailable")
                .logged("target_maintenance");
            assert!((540..=600).contains(&answer.seconds("retry-after")));
        }
        assert!(shown(&world)["maintenance_until"].is_string());
        world.bank_heard(0);
    }

    fn before_and_behind_a_window_calls_pass(http) {
        let world = Setup::new().target(&window(300, 600)).start();
        world.call(http, Ask::token()).good();
        let shown = shown(&world);
        assert!(shown["maintenance_until"].is_null());
        assert!(shown["next_maintenance"]["start"].is_string(), "{shown}");
        let world = Setup::new().target(&window(-600, -300)).start();
        world.call(http, Ask::token()).good();
    }

    fn a_weekly_window_holds_at_its_hour(http) {
        // Two days on end, so that no midnight comes between.
        let day = |days: i64| {
            DateTime::from_timestamp(clock() + days * 86_400, 0).unwrap().format("%A").to_string()
        };
        let weekly = |days: i64| {
            format!("{{ day = \"{}\", from = \"00:00\", to = \"23:59\" }}", day(days))
        };
        let both = format!("maintenance = [{}, {}]", weekly(0), weekly(1));
        let world = Setup::new().target(&both).start();
        let minute = clock() % 86_400 / 60;
        if minute < 23 * 60 + 58 {
            world.call(http, Ask::token()).platform(503).logged("target_maintenance");
        }
    }
}

#[test]
fn a_native_call_within_a_window_is_refused_too() {
    let target = format!("target = \"{SYSTEM}\"");
    let stage = Stage::with("flinks", &target, "targets = [\"*\"]", &window(-60, 600));
    let token = format!("Bearer {}", unique("flinks-token"));
    let ask = Ask::native("GET", &format!("{MOUNT}/accounts?limit=10"), "");
    let answer = stage.refuses(&ask.with("Authorization", token), 503, "target_maintenance");
    assert!((540..=600).contains(&answer.seconds("retry-after")));
}
