//! The program itself, in a process of its own: what only the chassis does.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::world::{Serving, now, until};

/// A gateway that listens in plain HTTP; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    folder: tempfile::TempDir,
}

impl Process {
    /// One that serves already.
    fn start() -> Self {
        let process = Self::spawn(|_| {});
        process.serving();
        process
    }

    /// One that tells systemd at that place; it is not waited for.
    pub(crate) fn start_from(notify: &Path) -> Self {
        Self::spawn(|command| {
            command.env("NOTIFY_SOCKET", notify);
        })
    }

    fn spawn(prepare: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("routes.toml");
        let text = "[gateway]\ninsecure_plain_listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
                    insecure_header_identity = true\nworkers = 2\n\
                    [[api]]\ncontract = \"blink-fi\"\n[[client]]\nid = \"C\"\n\
                    targets = [\"*\"]\n[[target]]\nid = \"T\"\n\
                    upstream = \"https://bank.test\"\n";
        fs::write(&table, text).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_corgate"));
        command.args(["--log-format", "json", "run", "--config"]).arg(&table).stderr(log);
        prepare(&mut command);
        Self { child: command.spawn().unwrap(), folder }
    }

    /// Where it listens, once it does.
    fn serving(&self) -> Serving {
        let log = || fs::read_to_string(self.folder.path().join("log")).unwrap();
        until("it listens", || Serving::all(&log()).pop())
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    pub(crate) fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }

    /// What the admin listener answers, once there is one.
    fn admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.serving().admin).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_process_that_drains_refuses_new_connections_and_finishes_what_it_began() {
    let process = Process::start();
    let address = process.serving().address;
    let mut under_way = TcpStream::connect(address).unwrap();
    under_way.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = "POST /oauth/token HTTP/1.1\r\nHost: h\r\nUser-Agent: t\r\nX-CorAPI-Client-ID: C\r\n\
                X-CorAPI-Target-ID: T\r\n\
                X-Correlation-ID: drain\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    under_way.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    under_way.read_exact(&mut interim).unwrap();
    process.terminate();
    let told = now();
    // Not let in and left to wait: refused, though the process still lives.
    while TcpStream::connect(address).is_ok() {
        assert!(told.elapsed() < Duration::from_secs(3), "it still takes connections");
        std::thread::sleep(Duration::from_millis(10));
    }
    under_way.write_all(b"a=b").unwrap();
    let mut answer = String::new();
    under_way.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[test]
fn a_hangup_as_soon_as_it_listens_kills_nobody_and_reloads_once_it_is_ready() {
    for _ in 0..10 {
        let process = Process::spawn(|_| {});
        process.serving();
        process.hang_up();
        let reloaded = "corgate_reloads_total{outcome=\"unchanged\"} 1\n";
        until("the reload", || process.admin("/metrics").contains(reloaded).then_some(()));
    }
}
