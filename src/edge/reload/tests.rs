//! That reloads leave nothing behind, and go on.

use super::*;
use crate::edge::{Given, start};
use crate::routes::{self, SystemSources};

const TABLE: &str = "[gateway]\ninsecure_plain_listen = '127.0.0.1:0'\nworkers = 1\n\
                     admin = '127.0.0.1:0'\nwatch = 'off'\ninsecure_header_identity = true\n\
                     [[api]]\ncontract = 'blink-fi'\nbase_path = '/v'\n\
                     [[target]]\nid = 'T'\nupstream = 'https://bank.test'\n";

#[test]
fn a_table_that_was_replaced_is_freed_however_many_reloads_changed_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.toml");
    std::fs::write(&file, TABLE).unwrap();
    let loaded = routes::load(&file, &SystemSources).unwrap();
    let running = start(Given::from_file(loaded, &file)).unwrap();
    let reload = || {
        let reloader = running.hub.reloader.get().unwrap();
        let answer = reloader.ask(Task::Reload, Cause::Admin).unwrap();
        answer.blocking_recv().unwrap().outcome
    };
    let mut served = Vec::new();
    for name in ["one", "two"] {
        served.push(Arc::downgrade(&running.hub.snapshot.load_full()));
        std::fs::write(&file, format!("{TABLE}name = '{name}'\n")).unwrap();
        assert_eq!(reload(), Outcome::Applied);
        for _ in 0..2 {
            assert_eq!(reload(), Outcome::Unchanged);
        }
    }
    let end = now() + Duration::from_secs(30);
    while served.iter().any(|table| table.strong_count() > 0) {
        assert!(now() < end, "a table that serves nobody is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
    running.stop();
}

#[test]
fn a_large_tables_reloads_leave_the_processor_to_calls() {
    for (spent, rest) in [(0, 0), (10, 40), (2_000, 8_000), (60_000, 30_000)] {
        let [spent, rest] = [spent, rest].map(Duration::from_millis);
        assert_eq!(rest_after(spent), rest);
    }
    assert_eq!(rest_after(Duration::MAX), REST_MAX);
}

#[test]
fn a_reload_that_panics_is_not_the_last_one() {
    assert_eq!(guarded(|| 1), Some(1));
    assert_eq!(guarded(|| -> u8 { panic!("as a fault of our own would") }), None);
    assert_eq!(guarded(|| 2), Some(2));
}
