//! The program gives way to its successor: no call is lost, and a successor that does not get to
//! serve changes nothing.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::ask::{Ask, Http};
use crate::world::{Program, Setup, until};

const RUN_DIR: &str = "run_dir = \"run\"\n";

fn setup() -> Setup {
    Setup::new().gateway(RUN_DIR)
}

/// Calls on connections of their own, as many as reach every listening socket.
#[track_caller]
fn all_are_served(program: &Program) {
    for number in 0..40 {
        let http = if number % 2 == 0 { Http::One } else { Http::Two };
        program.client(http).call(Ask::token()).good();
    }
}

/// Asks for the sockets as a successor does; all but the first word of what comes is left unread.
fn take(program: &Program) -> Socket {
    let line = Socket::new(Domain::UNIX, Type::from(5), None).unwrap();
    line.connect(&SockAddr::unix(program.path("run/upgrade.sock")).unwrap()).unwrap();
    line.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    line.send(b"take 1").unwrap();
    assert_eq!(line.recv(&mut [std::mem::MaybeUninit::uninit(); 8]).unwrap(), 1);
    line
}

#[test]
fn a_successor_serves_on_the_same_sockets_and_the_other_one_ends() {
    let mut program = setup().launch();
    let (address, admin, first) = (program.address(), program.admin_address(), program.serving());
    let mut open = program.client(Http::One);
    open.call(Ask::token()).good();
    let mode = |name| fs::metadata(program.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("run"), 0o700);
    for _ in 0..2 {
        program.upgrade();
        assert_eq!((program.address(), program.admin_address()), (address, admin));
        assert_eq!(program.admin("/readyz").unwrap().0, 200);
        all_are_served(&program);
    }
    assert_ne!(program.serving(), first);
    // The process before has closed it, as one that was quiet.
    open.call(Ask::token()).good();
    program.signal("TERM");
    program.ended();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_signal_starts_the_successor_too() {
    let mut program = setup().launch();
    let first = program.serving();
    program.signal("USR2");
    until("a successor", || (program.serving() != first).then_some(()));
    until("the end of the first", || (!program.is_alive(first)).then_some(()));
    all_are_served(&program);
}

#[test]
fn a_successor_that_can_not_start_changes_nothing() {
    let mut program = setup().launch();
    let first = program.serving();
    program.edit("[gateway.tls]", "nonsense = 1\n[gateway.tls]");
    let output = program.command("upgrade");
    assert_eq!(output.status.code(), Some(2));
    program.signal("USR2");
    until("it says so", || program.said("no upgrade; this process goes on").pop());
    assert!(program.is_alive(first));
    all_are_served(&program);
    program.edit("nonsense = 1\n", "");
    program.upgrade();
    all_are_served(&program);
}

#[test]
fn a_successor_that_dies_before_it_serves_changes_nothing() {
    let mut program = setup().launch();
    let address = program.address();
    for count in 1..=3 {
        let line = take(&program);
        // It has copies of the sockets now. One successor at a time:
        let second = program.command("upgrade");
        assert_eq!(second.status.code(), Some(2), "{second:?}");
        drop(line);
        until("it is over", || {
            let said = "the new process did not get to serve; this one goes on";
            (program.said(said).len() == count).then_some(())
        });
    }
    all_are_served(&program);
    program.upgrade();
    all_are_served(&program);
    program.signal("TERM");
    program.ended();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn more_workers_and_fewer_and_no_connection_is_lost() {
    let program = &mut Setup::new().gateway(&format!("{RUN_DIR}workers = 2")).launch();
    for (before, after) in [(2, 5), (5, 1), (1, 3)] {
        program.edit(&format!("workers = {before}"), &format!("workers = {after}"));
        program.upgrade();
        all_are_served(program);
    }
}

#[test]
fn a_new_listener_is_opened_and_one_that_is_gone_is_closed() {
    let mut program = setup().launch();
    let admin = "admin = \"127.0.0.1:0\"";
    program.edit(admin, &format!("insecure_plain_listen = \"127.0.0.2:0\"\n{admin}"));
    program.upgrade();
    let start = program.said("serving").pop().unwrap();
    let addresses = start["fields"]["addresses"].as_str().unwrap().trim_matches(['[', ']']);
    let plain: SocketAddr = addresses.rsplit_once(", ").unwrap().1.parse().unwrap();
    TcpStream::connect(plain).unwrap();
    all_are_served(&program);
    program.edit(&format!("insecure_plain_listen = \"127.0.0.2:0\"\n{admin}"), admin);
    program.upgrade();
    assert!(TcpStream::connect(plain).is_err());
    all_are_served(&program);
}

#[test]
fn without_a_process_before_it_an_upgrade_is_a_start() {
    let mut program = setup().launch();
    program.signal("KILL");
    program.ended();
    // What was left in the run directory by a process that was killed is in nobody's way.
    assert!(program.path("run/upgrade.sock").exists());
    let output = program.command("upgrade");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    program.start_again();
    all_are_served(&program);
    program.upgrade();
    all_are_served(&program);
}

#[test]
fn a_second_process_started_by_mistake_ends_and_takes_nothing() {
    let program = setup().launch();
    let (address, admin) = (program.address(), program.admin_address());
    program.edit("listen = \"127.0.0.1:0\"", &format!("listen = \"{address}\""));
    program.edit("admin = \"127.0.0.1:0\"", &format!("admin = \"{admin}\""));
    assert_eq!(program.run_another(&[]).code(), Some(2));
    all_are_served(&program);
    assert!(program.log().lines().count() > 0);
}

#[test]
fn a_run_directory_that_others_can_reach_is_refused() {
    let program = setup().launch();
    fs::set_permissions(program.path("run"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(program.run_another(&["--upgrade"]).code(), Some(2));
    let output = program.command("upgrade");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("its mode is 0755, and 0700 would be right"), "{said}");
    all_are_served(&program);
}

#[test]
fn without_a_run_directory_there_is_no_upgrade() {
    let program = Setup::new().launch();
    let output = program.command("upgrade");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("an upgrade needs `gateway.run_dir`"), "{said}");
    assert_eq!(program.run_another(&["--upgrade"]).code(), Some(2));
    all_are_served(&program);
}
