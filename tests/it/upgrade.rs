//! The program gives way to its successor: no call is lost, and a successor that does not get to
//! serve changes nothing.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::io::Read as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::ask::{Ask, Http};
use crate::world::{Program, Setup, tell, until};

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

/// A successor, as the process that serves knows it: by its words.
pub(crate) struct Heir(Socket);

impl Heir {
    /// Asks for the sockets.
    pub(crate) fn ask(program: &Program) -> Self {
        let line = Socket::new(Domain::UNIX, Type::from(5), None).unwrap();
        line.connect(&SockAddr::unix(program.path("run/upgrade.sock")).unwrap()).unwrap();
        line.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let heir = Self(line);
        heir.say("take 2");
        heir
    }

    /// Gets all of them, and says that it serves; now it is offered the place.
    pub(crate) fn ready(program: &Program) -> Self {
        let heir = Self::ask(program);
        let count: usize = heir.hears().parse().unwrap();
        for _ in 0..count {
            assert!(heir.hears().starts_with("127.0.0.1:0#"));
        }
        heir.say(&format!("ready {}", std::process::id()));
        assert_eq!(heir.hears(), "leaving");
        heir
    }

    fn say(&self, word: &str) {
        self.0.send(word.as_bytes()).unwrap();
    }

    /// The next word; the socket that may come with it is let go.
    #[track_caller]
    pub(crate) fn hears(&self) -> String {
        let mut word = [0; 256];
        let count = (&self.0).read(&mut word).expect("not a word");
        String::from_utf8(word[..count].to_vec()).unwrap()
    }
}

/// What the process that serves says each time when it has not been succeeded.
pub(crate) fn went_on(program: &Program) -> usize {
    program.said("the new process did not get to serve; this one goes on").len()
}

fn run_dir(program: &Program) -> Vec<String> {
    let entries = fs::read_dir(program.path("run")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
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
    assert_eq!(run_dir(&program), ["upgrade.sock"]);
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
        let heir = Heir::ask(&program);
        assert_eq!(heir.hears().len(), 1);
        // It has copies of the sockets now. One successor at a time:
        let second = program.command("upgrade");
        assert_eq!(second.status.code(), Some(2), "{second:?}");
        drop(heir);
        until("it is over", || (went_on(&program) == count).then_some(()));
    }
    all_are_served(&program);
    program.upgrade();
    all_are_served(&program);
    program.signal("TERM");
    program.ended();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_successor_that_hangs_up_when_the_other_one_would_leave_changes_nothing() {
    let mut program = setup().launch();
    let first = program.serving();
    for count in 1..=3 {
        drop(Heir::ready(&program));
        until("it is over", || (went_on(&program) == count).then_some(()));
        assert!(program.is_alive(first));
        all_are_served(&program);
    }
    program.upgrade();
    all_are_served(&program);
}

#[test]
fn a_successor_that_hangs_when_the_other_one_would_leave_can_not_take_over_later() {
    let mut program = setup().launch();
    let first = program.serving();
    let heir = Heir::ready(&program);
    let refused = heir.hears();
    assert!(refused.starts_with("no: "), "{refused}");
    assert!(heir.0.send(b"taken").is_err());
    until("it says so", || (went_on(&program) == 1).then_some(()));
    assert!(program.is_alive(first));
    all_are_served(&program);
    program.upgrade();
    all_are_served(&program);
}

#[test]
fn a_successor_that_can_not_say_its_last_word_ends() {
    let program = setup().launch();
    let path = program.path("run/upgrade.sock");
    for is_ready in [false, true] {
        // In the place of the process that serves, one that goes on at the last moment.
        fs::remove_file(&path).unwrap();
        let socket = Socket::new(Domain::UNIX, Type::from(5), None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(1).unwrap();
        let other = std::thread::spawn(move || {
            let heir = Heir(socket.accept().unwrap().0);
            assert_eq!(heir.hears(), "take 2");
            heir.say("0");
            if is_ready {
                assert!(heir.hears().starts_with("ready "));
            }
            heir.0.shutdown(Shutdown::Read).unwrap();
            if is_ready {
                heir.say("leaving");
            }
            heir.say("no: it took too long");
            // Its end is not what it is known by.
            (socket, heir)
        });
        assert_eq!(program.run_another(&["--upgrade"]).code(), Some(2));
        other.join().unwrap();
        assert_eq!(run_dir(&program), ["upgrade.sock"]);
    }
    all_are_served(&program);
}

#[test]
fn the_other_one_leaves_when_its_successor_has_taken_over_and_hung_up() {
    let mut program = setup().launch();
    let first = program.serving();
    let heir = Heir::ready(&program);
    heir.say("taken");
    assert_eq!(heir.hears(), "yours");
    // It leaves once it is hung up on, not before: nobody else could be asked for a successor.
    assert!(program.is_alive(first));
    drop(heir);
    until("the end of the first", || (!program.is_alive(first)).then_some(()));
}

#[test]
fn a_process_told_to_stop_while_its_successor_starts_drains_as_ever() {
    let mut program = Setup::new().gateway(&format!("{RUN_DIR}drain_delay = \"2s\"")).launch();
    let _heir = Heir::ask(&program);
    let mut client = program.client(Http::One);
    client.call(Ask::token()).good();
    program.signal("TERM");
    // It is not succeeded, so it still answers for itself, and serves until the delay is over.
    until("it is unready", || (program.admin("/readyz").unwrap().0 == 503).then_some(()));
    client.call(Ask::token()).good();
    program.ended();
}

#[test]
fn a_process_told_to_stop_leaves_no_successor_behind_that_it_has_started() {
    let mut program = setup().launch();
    let first = program.serving();
    // Whoever its successor asks does not answer: it hangs in its start.
    let path = program.path("run/upgrade.sock");
    fs::remove_file(&path).unwrap();
    let silent = Socket::new(Domain::UNIX, Type::from(5), None).unwrap();
    silent.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    silent.listen(1).unwrap();
    program.signal("USR2");
    let started = until("a successor", || program.said("a new process starts").pop());
    let (_line, _) = silent.accept().unwrap();
    let successor = u32::try_from(started["fields"]["process"].as_u64().unwrap()).unwrap();
    assert!(program.is_alive(successor));
    assert!(tell(first, "TERM"));
    until("the end of the first", || (!program.is_alive(first)).then_some(()));
    assert!(!program.is_alive(successor), "nobody looks after it");
}

#[test]
fn a_process_without_descriptors_says_why_it_gives_no_sockets() {
    let program = &Setup::new().gateway(&format!("{RUN_DIR}workers = 2\nwatch = \"off\"")).launch();
    let process = program.serving();
    let taken: HashSet<u32> = fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    // Room for the call itself and for one of the three sockets.
    let last = (0..).filter(|number| !taken.contains(number)).nth(1).unwrap();
    let limit = |count: &str| {
        let (process, limit) = (process.to_string(), format!("--nofile={count}:"));
        let mut command = Command::new("prlimit");
        assert!(command.args(["--pid", &process, &limit]).status().unwrap().success());
    };
    limit(&(last + 1).to_string());
    let refused = Heir::ask(program).hears();
    assert!(refused.starts_with("no: its sockets can't be copied: Too many open"), "{refused}");
    limit("1024");
    all_are_served(program);
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
    assert_eq!(run_dir(&program), ["upgrade.sock"]);
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
