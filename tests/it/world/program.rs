//! The program itself, in a process of its own, and those that take over from it.
//!
//! This file decides how it is started, asked and ended. Its processes are known by their ids: the
//! first is a child, the others name themselves in the log. It must not know what is tested.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use bytes::Bytes;
use corgate::sim::bank::Bank;
use corgate::sim::client::{CallError, Client};
use http::Request;
use serde_json::Value;
use tempfile::TempDir;

use super::{Caller, Notes, tls_of, until, wait};
use crate::ask::Http;
use crate::wire::PATIENCE;

/// A gateway in a process of its own; killed when it is dropped.
pub(crate) struct Program {
    /// It runs as long as the gateway.
    pub(crate) bank: Bank,
    folder: TempDir,
    child: Child,
    notes: Notes,
}

/// What a process says when its ports are its own. No test picks one: another could have it first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Serving {
    process: u32,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Serving {
    /// All that said so in a process log, which is JSON.
    pub(crate) fn all(log: &str) -> Vec<Self> {
        said(log, "serving").iter().filter_map(Self::parse).collect()
    }

    fn parse(line: &Value) -> Option<Self> {
        let fields = &line["fields"];
        let addresses = fields["addresses"].as_str()?.trim_matches(['[', ']']);
        let process = u32::try_from(fields["process"].as_u64()?).ok()?;
        let address = addresses.split(", ").next()?.parse().ok()?;
        Some(Self { process, address, admin: fields["admin"].as_str()?.parse().ok()? })
    }
}

impl Program {
    #[track_caller]
    pub(super) fn start(folder: TempDir, bank: Bank, shell: &str) -> Self {
        let child = spawn(folder.path(), &[], shell);
        let program = Self { bank, folder, child, notes: Notes::default() };
        program.serves(1);
        program
    }

    /// Starts it once more; the one before must have ended.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        let before = self.starts().len();
        self.child = spawn(self.folder.path(), &[], "true");
        self.serves(before + 1);
    }

    /// A second process with this table, and how it ended.
    pub(crate) fn run_another(&self, arguments: &[&str]) -> ExitStatus {
        let mut child = spawn(self.folder.path(), arguments, "true");
        until("its end", || child.try_wait().unwrap())
    }

    /// Runs another command of the program on the table.
    pub(crate) fn command(&self, name: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corgate"));
        command.args([name, "--config"]).arg(self.path("routes.toml")).output().unwrap()
    }

    /// Replaces the process that serves, and waits until the one before has ended.
    #[track_caller]
    pub(crate) fn upgrade(&mut self) {
        let before = self.serving();
        let output = self.command("upgrade");
        assert!(output.status.success(), "{output:?}\n{}", self.log());
        until("the end of the process before", || (!self.is_alive(before)).then_some(()));
    }

    /// Sends a signal to the process that serves.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(tell(self.serving(), signal), "no signal");
    }

    /// Whether one of its processes is still there. A child that has ended is taken note of.
    pub(crate) fn is_alive(&mut self, process: u32) -> bool {
        if process == self.child.id() {
            return self.child.try_wait().unwrap().is_none();
        }
        // One that has ended may wait for its parent, which may be gone.
        let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let state = state.rsplit_once(") ").map_or("", |(_, state)| state);
        !state.is_empty() && !state.starts_with(['Z', 'X'])
    }

    /// Waits for the end of the process that serves.
    #[track_caller]
    pub(crate) fn ended(&mut self) {
        let process = self.serving();
        until("its end", || (!self.is_alive(process)).then_some(()));
    }

    /// The exit code of the first one, once it has ended.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap()?.code()
    }

    /// The process that serves: the last one that said so.
    pub(crate) fn serving(&self) -> u32 {
        self.starts().last().map(|start| start.process).unwrap()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.starts().last().map(|start| start.address).unwrap()
    }

    /// Where its admin listener is.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.starts().last().map(|start| start.admin).unwrap()
    }

    #[track_caller]
    fn serves(&self, count: usize) {
        until("a process that serves", || (self.starts().len() >= count).then_some(()));
    }

    /// Every process that got to serve.
    fn starts(&self) -> Vec<Serving> {
        let ready = self.said("ready");
        let is_ready = |serving: &Serving| {
            ready.iter().any(|ready| ready["fields"]["process"] == serving.process)
        };
        Serving::all(&self.log()).into_iter().filter(is_ready).collect()
    }

    /// The lines of the process log with that message.
    pub(crate) fn said(&self, message: &str) -> Vec<Value> {
        said(&self.log(), message)
    }

    /// The process log, of all processes.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("corgate.log")).unwrap_or_default()
    }

    /// A file of its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes the table, at once.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let path = self.path("routes.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "no {from} in {text}");
        fs::write(self.path("routes.new"), text.replace(from, to)).unwrap();
        fs::rename(self.path("routes.new"), path).unwrap();
    }

    /// Reloads by SIGHUP, and says how that ended.
    #[track_caller]
    pub(crate) fn reload(&self) -> String {
        let outcomes = || {
            let log = self.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let outcome = |line: Value| Some(line["fields"]["outcome"].as_str()?.to_owned());
            lines.filter_map(outcome).collect::<Vec<_>>()
        };
        let before = outcomes().len();
        self.signal("HUP");
        until("the reload", || outcomes().get(before).cloned())
    }

    /// One counter or gauge of `/metrics`; 0 where it is not there.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let (_, text) = self.admin("/metrics").unwrap();
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value).unwrap_or(0)
    }

    /// A client of its own connection, with the certificate of client 1.
    pub(crate) fn client(&self, http: Http) -> Caller {
        let client = Client::tls(self.address(), tls_of(1));
        let client = if http == Http::Two { client.http2() } else { client };
        Caller { client: client.timeout(PATIENCE), notes: self.notes.clone() }
    }

    /// What the admin listener answers.
    pub(crate) fn admin(&self, path: &str) -> Result<(u16, String), CallError> {
        let mut client = Client::plain(self.admin_address()).timeout(PATIENCE);
        let answer = wait(client.call(Request::get(path).body(Bytes::new()).unwrap()))?;
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        Ok((answer.status().as_u16(), text))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let successors = self.said("a new process starts").into_iter();
        for line in successors {
            let process = line["fields"]["process"].as_u64().and_then(|id| u32::try_from(id).ok());
            if let Some(process) = process.filter(|process| self.is_alive(*process)) {
                tell(process, "KILL");
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("process log:\n{}", self.log());
        }
    }
}

fn said(log: &str, message: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["fields"]["message"] == message).collect()
}

/// Sends a signal to a process, and says whether it could. The shell's own `kill`: not every
/// machine has the program.
pub(crate) fn tell(process: u32, signal: &str) -> bool {
    let words = ["-c", "kill -\"$0\" \"$1\"", signal, &process.to_string()];
    Command::new("sh").args(words).status().unwrap().success()
}

/// Starts it from a shell that was told something before.
fn spawn(folder: &Path, arguments: &[&str], shell: &str) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("corgate.log")).unwrap();
    Command::new("sh")
        .args(["-c", &format!("{shell}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_corgate")])
        .args(["--log-format", "json", "run", "--config"])
        .arg(folder.join("routes.toml"))
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}
