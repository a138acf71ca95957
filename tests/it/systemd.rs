//! What systemd hears of the process (`Type=notify`), word by word (sd_notify(3)).

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::Process;
use crate::upgrade::{Heir, went_on};
use crate::world::{Program, Setup, now, until};

/// The place where systemd would listen.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { socket, folder }
    }

    fn launch(&self, variables: &str) -> Program {
        let place = self.folder.path().join("notify");
        let shell = format!("export NOTIFY_SOCKET={} {variables}", place.display());
        Setup::new().gateway("run_dir = \"run\"\nworkers = 2").launch_from(&shell)
    }

    #[track_caller]
    fn hears(&self) -> String {
        let mut word = [0; 256];
        let count = self.socket.recv(&mut word).expect("not a word");
        String::from_utf8(word[..count].to_vec()).unwrap().trim_end().to_owned()
    }
}

#[test]
fn systemd_hears_of_the_start_a_successor_a_reload_and_the_end() {
    let manager = Manager::new();
    let mut program = manager.launch("NOTHING=1");
    assert_eq!(manager.hears(), "READY=1");
    program.upgrade();
    // Before the new process speaks: else it would be nobody's.
    assert_eq!(manager.hears(), format!("MAINPID={}", program.serving()));
    assert_eq!(manager.hears(), "READY=1");
    program.signal("HUP");
    let reloading = manager.hears();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(manager.hears(), "READY=1");
    // The one before has ended, and has not said that the service stops.
    program.signal("TERM");
    assert_eq!(manager.hears(), "STOPPING=1");
    program.ended();
}

#[test]
fn a_successor_that_does_not_take_over_is_never_the_main_process() {
    let manager = Manager::new();
    let mut program = manager.launch("NOTHING=1");
    assert_eq!(manager.hears(), "READY=1");
    // From a process that has given that away, systemd would not take it back.
    drop(Heir::ready(&program));
    until("it is over", || (went_on(&program) == 1).then_some(()));
    // Nor is one that still starts when the service is stopped.
    let _heir = Heir::ask(&program);
    program.signal("TERM");
    assert_eq!(manager.hears(), "STOPPING=1");
    program.ended();
}

#[test]
fn a_hangup_right_after_the_start_reloads_and_kills_nobody() {
    let manager = Manager::new();
    for _ in 0..10 {
        let process = Process::start_from(&manager.folder.path().join("notify"));
        assert_eq!(manager.hears(), "READY=1");
        process.hang_up();
        let reloading = manager.hears();
        assert!(reloading.starts_with("RELOADING=1\n"), "{reloading}");
        assert_eq!(manager.hears(), "READY=1");
    }
}

#[test]
fn a_manager_that_does_not_listen_does_not_hold_up_the_end() {
    let manager = Manager::new();
    let mut program = manager.launch("NOTHING=1");
    assert_eq!(manager.hears(), "READY=1");
    // Its socket is full: whoever says more would wait.
    let other = UnixDatagram::unbound().unwrap();
    other.connect(manager.folder.path().join("notify")).unwrap();
    other.set_nonblocking(true).unwrap();
    while other.send(b"X=1").is_ok() {}
    let told = now();
    program.signal("TERM");
    program.ended();
    assert!(told.elapsed() < Duration::from_secs(12), "{:?}", told.elapsed());
}

#[test]
fn systemd_is_told_again_and_again_that_the_workers_turn() {
    let manager = Manager::new();
    let program = manager.launch("WATCHDOG_USEC=1000000");
    let mut heard = Vec::new();
    until("signs of life", || {
        heard.push(manager.hears());
        (heard.iter().filter(|word| *word == "WATCHDOG=1").count() > 3).then_some(())
    });
    // A process that is stopped gives none.
    program.signal("STOP");
    let stat = format!("/proc/{}/stat", program.serving());
    until("it is stopped", || fs::read_to_string(&stat).unwrap().contains(") T ").then_some(()));
    manager.socket.set_nonblocking(true).unwrap();
    while manager.socket.recv(&mut [0; 256]).is_ok() {}
    manager.socket.set_nonblocking(false).unwrap();
    manager.socket.set_read_timeout(Some(Duration::from_millis(1_500))).unwrap();
    assert!(manager.socket.recv(&mut [0; 256]).is_err());
    program.signal("CONT");
}
