//! Signals: what others send by habit ends no process, and each does what README says of it.

use std::fs;

use crate::ask::{Ask, Http};
use crate::world::{Setup, tell, until};

/// Those that end or stop a process on purpose, or because it is broken; see `src/edge/signals.rs`.
const MEANT: [(&str, &[u32]); 4] = [
    ("stop it", &[2, 3, 9, 15, 24]),
    ("upgrade", &[12]),
    ("a job of a terminal", &[19, 20, 21, 22]),
    ("a broken program, or the library's own", &[4, 5, 6, 7, 8, 11, 31, 32, 33]),
];

#[test]
fn no_signal_ends_the_process_but_those_that_are_meant_to() {
    let mut program = Setup::new().launch();
    let process = program.serving();
    let is_meant = |number: &u32| MEANT.iter().any(|(_, numbers)| numbers.contains(number));
    for number in (1..=64).filter(|number| !is_meant(number)) {
        assert!(tell(process, &number.to_string()), "no signal {number}");
        // A signal is there before what the process is asked next.
        assert_eq!(program.admin("/livez").map(|answer| answer.0).ok(), Some(200), "{number}");
        assert!(program.is_alive(process), "signal {number} ended it");
    }
    program.client(Http::One).call(Ask::token()).good();
    program.signal("TERM");
    program.ended();
}

#[test]
fn the_end_of_its_time_on_the_processor_drains_it() {
    let mut program = Setup::new().gateway("drain_delay = \"1s\"").launch();
    program.signal("XCPU");
    until("it is unready", || (program.admin("/readyz").unwrap().0 == 503).then_some(()));
    program.client(Http::One).call(Ask::token()).good();
    program.ended();
}

#[test]
fn sigusr1_opens_the_access_log_anew() {
    let program = Setup::new().launch();
    program.client(Http::One).call(Ask::token()).good();
    let lines = |name: &str| fs::read_to_string(program.path(name)).unwrap_or_default();
    until("its line", || lines("access.log").ends_with('\n').then_some(()));
    fs::rename(program.path("access.log"), program.path("access.log.1")).unwrap();
    program.signal("USR1");
    // Without a line that would find out.
    until("a new file", || program.path("access.log").exists().then_some(()));
    program.client(Http::One).call(Ask::token()).good();
    until("its line", || lines("access.log").ends_with('\n').then_some(()));
    assert_eq!(lines("access.log.1").lines().count(), 1);
}
