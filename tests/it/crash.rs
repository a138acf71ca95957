//! What goes wrong around the process: it is killed, or there is no room for its log.

use std::fs;

use rustix::net::Shutdown;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

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

/// Shuts down one of the sockets that a process listens on at a port, as somebody who has a copy of
/// it could. False where this machine lets nobody have one.
fn shut_down_a_listener(process: u32, port: u16) -> bool {
    const LISTENING: &str = "0A";
    let table = fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let place = format!(":{port:04X}");
    let inodes: Vec<_> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words[1].ends_with(&place) && words[3] == LISTENING)
        .map(|words| format!("socket:[{}]", words[9]))
        .collect();
    let id = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    let handle = pidfd_open(id, PidfdFlags::empty()).unwrap();
    for entry in fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten() {
        let leads_to = fs::read_link(entry.path()).unwrap_or_default();
        if inodes.last().is_some_and(|inode| leads_to.to_str() == Some(inode)) {
            let number = entry.file_name().to_str().unwrap().parse().unwrap();
            let copy = pidfd_getfd(&handle, number, PidfdGetfdFlags::empty());
            let Ok(copy) = copy else { return false };
            return rustix::net::shutdown(copy, Shutdown::Both).is_ok();
        }
    }
    false
}

#[test]
fn a_gateway_that_is_deaf_at_a_listener_ends_so_that_another_is_started() {
    let mut program = Setup::new().gateway("workers = 2").launch();
    program.client(Http::One).call(Ask::token()).good();
    if !shut_down_a_listener(program.serving(), program.address().port()) {
        return;
    }
    program.ended();
    assert_eq!(program.exit_code(), Some(3));
    let said = "it ended, and the process ends: it can't serve without";
    assert_eq!(program.said(said).len(), 1);
}
