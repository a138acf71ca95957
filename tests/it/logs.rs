//! Logs that nobody reads, and causes that come a thousand times: neither stops anybody.

use std::fs;
use std::time::Duration;

use crate::ask::{Ask, Http};
use crate::world::{Program, Setup, Stub, now, until};

/// A shell that reads the process log until the gateway is ready, and then holds it and reads no
/// more. It ends by itself.
const STDERR_NOBODY_READS: &str = "d=$(dirname \"$5\"); mkfifo \"$d/pipe\"; \
    { sed -u '/\"message\":\"ready\"/q'; exec sleep 100; } \
    <\"$d/pipe\" >>\"$d/corgate.log\" 2>&1 & exec 2>\"$d/pipe\"";

/// The access log is a pipe that somebody has open and does not read.
const ACCESS_LOG_NOBODY_READS: &str = "d=$(dirname \"$5\"); mkfifo \"$d/access.log\"; \
    exec 9<>\"$d/access.log\"; sleep 100 <&9 >/dev/null 2>&1 & exec 9>&-";

/// How soon a process that drains nothing ends, beside a busy machine.
const END: Duration = Duration::from_secs(12);

#[track_caller]
fn ends_soon(program: &mut Program) {
    let process = program.serving();
    let told = now();
    program.signal("TERM");
    until("its end", || (!program.is_alive(process)).then_some(()));
    assert!(told.elapsed() < END, "{:?}", told.elapsed());
}

#[test]
fn a_process_log_that_nobody_reads_stops_no_call_and_not_the_end() {
    let shell = format!("export RUST_LOG=trace; {STDERR_NOBODY_READS}");
    let mut program = Setup::new().launch_from(&shell);
    // The library for HTTP/2 says a lot at that level.
    let mut client = program.client(Http::Two);
    until("lines that are lost", || {
        for _ in 0..20 {
            client.call(Ask::token()).good();
        }
        (program.metric("corgate_log_lines_dropped_total") > 0).then_some(())
    });
    for _ in 0..20 {
        client.call(Ask::token()).good();
    }
    assert_eq!(program.admin("/livez").unwrap().0, 200);
    ends_soon(&mut program);
}

#[test]
fn an_access_log_that_nobody_reads_stops_no_call_and_not_the_end() {
    let mut program = Setup::new().launch_from(ACCESS_LOG_NOBODY_READS);
    let mut client = program.client(Http::One);
    // More than a pipe holds.
    for _ in 0..400 {
        client.call(Ask::token()).good();
    }
    assert_eq!(program.admin("/livez").unwrap().0, 200);
    ends_soon(&mut program);
    let lost = program.said("access lines are lost: nobody took them before the end").pop();
    assert!(lost.unwrap()["fields"]["lost"].as_u64() > Some(0));
}

#[test]
fn an_access_log_that_is_a_pipe_without_a_reader_is_refused_and_not_waited_for() {
    let mut program = Setup::new().launch();
    program.signal("TERM");
    program.ended();
    fs::remove_file(program.path("access.log")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(program.path("access.log")).status();
    assert!(made.unwrap().success());
    assert_eq!(program.run_another(&[]).code(), Some(2));
    assert!(program.log().contains("it is a pipe that nobody reads"), "{}", program.log());
}

#[test]
fn a_rotated_access_log_that_can_not_be_opened_anew_loses_no_line() {
    let program = Setup::new().launch();
    let mut client = program.client(Http::One);
    let lines = |name: &str| fs::read_to_string(program.path(name)).unwrap_or_default();
    client.call(Ask::token()).good();
    until("its line", || lines("access.log").ends_with('\n').then_some(()));
    // As a logrotate does whose new file is another user's: nobody may write there.
    fs::rename(program.path("access.log"), program.path("access.log.1")).unwrap();
    fs::create_dir(program.path("access.log")).unwrap();
    client.call(Ask::token()).good();
    until("its line", || (lines("access.log.1").lines().count() == 2).then_some(()));
    let said = "the access log can't be opened anew: lines go to the file before";
    until("it says so", || program.said(said).pop());
    fs::remove_dir(program.path("access.log")).unwrap();
    client.call(Ask::token()).good();
    until("its line", || (lines("access.log").lines().count() == 1).then_some(()));
    assert_eq!(program.metric("corgate_access_lines_total"), 3);
    assert_eq!(program.metric("corgate_access_lines_dropped_total"), 0);
}

#[test]
fn a_bank_whose_tls_fails_has_one_line_in_the_process_log() {
    // It says what no TLS server says.
    let stub = Stub::start(b"220 mail.example ESMTP\r\n");
    let upstream = format!("\"https://127.0.0.1:{}\"", stub.port());
    let target = "breaker = { failures = 1000 }";
    let program = Setup::new().upstream(&upstream).target(target).launch();
    let mut client = program.client(Http::One);
    for _ in 0..60 {
        assert_eq!(client.call(Ask::token()).status, 502);
    }
    let repeated = || program.metric("corgate_log_lines_repeated_total");
    until("the others are counted", || (repeated() >= 40).then_some(()));
    let said = until("the line", || {
        let lines = program.said("TLS failed").len();
        (lines > 0).then_some(lines)
    });
    // One in ten seconds, and this may take longer on a busy machine.
    assert!(said <= 4, "{}", program.log());
}
