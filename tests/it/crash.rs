//! What goes wrong around the process: it is killed, or there is no room for its log.

use std::fs;

use crate::ask::{Ask, Http};
use crate::world::{Program, Setup, until};

/// The whole lines of a log, as they are parsed; a last one that was cut does not count.
fn lines(program: &Program, name: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(program.path(name)).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect("no JSON")).collect()
}

#[test]
fn a_process_that_was_killed_starts_again_and_its_log_goes_on() {
    let mut program = Setup::new().gateway("run_dir = \"run\"").launch();
    for count in 1..=3 {
        program.client(Http::One).call(Ask::token()).good();
        until("its line", || (lines(&program, "access.log").len() == count).then_some(()));
        program.signal("KILL");
        program.ended();
        program.start_again();
        assert_eq!(program.admin("/readyz").unwrap().0, 200);
    }
}

#[test]
fn without_room_for_the_log_calls_go_on_and_lost_lines_are_counted() {
    // The largest file that the process may write, in units of 512 bytes. Beyond it, the kernel
    // sends SIGXFSZ, which would end a process that does not expect it.
    let program = Setup::new().launch_from("ulimit -f 64");
    let mut client = program.client(Http::One);
    let mut calls = 0;
    until("lines that are lost", || {
        for _ in 0..20 {
            client.call(Ask::token()).good();
            calls += 1;
        }
        (program.metric("corgate_access_lines_dropped_total") > 0).then_some(())
    });
    until("each line is written or counted as lost", || {
        let written = program.metric("corgate_access_lines_total");
        let lost = program.metric("corgate_access_lines_dropped_total");
        (written + lost == calls).then_some(())
    });
    let kept = lines(&program, "access.log").len();
    assert_eq!(kept as u64, program.metric("corgate_access_lines_total"));
    until("it says so", || program.said("access lines are lost; calls go on").pop());
    // There is room again.
    fs::rename(program.path("access.log"), program.path("access.log.1")).unwrap();
    client.call(Ask::token()).good();
    until("the next line", || (lines(&program, "access.log").len() == 1).then_some(()));
    until("it says so", || program.said("access lines are written again").pop());
}
