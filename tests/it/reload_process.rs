//! The program itself: SIGHUP reloads it, and `corgate diff` says before what that will change.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use crate::world::{Serving, World, closed_port, tell, until};

/// A gateway in a process of its own; killed when it is dropped.
struct Process {
    child: Child,
    admin: SocketAddr,
    table: PathBuf,
    _folder: tempfile::TempDir,
}

fn corgate() -> Command {
    Command::new(env!("CARGO_BIN_EXE_corgate"))
}

fn diff(arguments: &[&Path]) -> Output {
    corgate().arg("diff").args(arguments).output().unwrap()
}

#[track_caller]
fn ends_with(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    (out, err)
}

fn table(address: SocketAddr, admin: SocketAddr, lines: &str) -> String {
    format!(
        "[gateway]\ninsecure_plain_listen = \"{address}\"\nadmin = \"{admin}\"\nwatch = \"off\"\n\
         insecure_header_identity = true\nworkers = 1\n[[api]]\ncontract = \"blink-fi\"\n\
         [[client]]\nid = \"C\"\ntargets = [\"*\"]\n\
         [[target]]\nid = \"T\"\nupstream = \"https://bank.test\"\n\
         headers = {{ X-Api-Key = \"${{env:KEY}}\" }}\n{lines}\n"
    )
}

impl Process {
    /// `diff` asks where the table says, so that has to have the ports. One that somebody else got
    /// meanwhile ends the process, and it is tried again with others.
    fn start() -> Self {
        until("a process with the ports of its table", || {
            let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let (address, admin) = (free(), free());
            let folder = tempfile::tempdir().unwrap();
            let (path, log) = (folder.path().join("routes.toml"), folder.path().join("log"));
            fs::write(&path, table(address, admin, "")).unwrap();
            let mut command = corgate();
            command.env("KEY", "the-key-of-the-bank").stderr(File::create(&log).unwrap());
            command.args(["--log-format", "json", "run", "--config"]).arg(&path);
            let child = command.spawn().unwrap();
            let mut process = Self { child, admin, table: path, _folder: folder };
            let serves = until("its word, or its end", || {
                let said = Serving::all(&fs::read_to_string(&log).unwrap()).pop();
                let ended = process.child.try_wait().unwrap().map(|_| false);
                said.map(|_| true).or(ended)
            });
            serves.then_some(process)
        })
    }

    fn rewrite(&self, lines: &str) {
        let text = fs::read_to_string(&self.table).unwrap();
        fs::write(&self.table, format!("{text}{lines}\n")).unwrap();
    }

    fn hang_up(&self) {
        assert!(tell(self.child.id(), "HUP"));
    }

    fn metric(&self, series: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let value = |line: &str| Some(line.strip_prefix(series)?.trim().to_owned());
        text.lines().find_map(value)
    }

    #[track_caller]
    fn counts(&self, series: &str, value: &str) {
        until(series, || (self.metric(series).as_deref() == Some(value)).then_some(()));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_hangup_reloads_and_diff_says_before_what_it_will_change() {
    let process = Process::start();
    // The key is in the gateway's environment, not in ours: the gateway compares by itself.
    let (out, _) = ends_with(&diff(&[&process.table]), 0);
    assert_eq!(out, "");
    process.rewrite("name = \"Alpine\"\n[target.breaker]\nfailures = 9");
    let (out, _) = ends_with(&diff(&[&process.table]), 1);
    let wanted = "~ target T\n    name: (not set) -> Alpine\n    breaker.failures: 5 -> 9\n";
    assert_eq!(out, wanted);
    process.hang_up();
    process.counts("corgate_generation", "2");
    ends_with(&diff(&[&process.table]), 0);

    process.rewrite("colour = \"red\"");
    let (_, err) = ends_with(&diff(&[&process.table]), 2);
    assert!(err.contains("would be refused") && err.contains("colour"), "{err}");
    process.hang_up();
    process.counts("corgate_reloads_total{outcome=\"refused\"}", "1");
    process.counts("corgate_generation", "2");
}

#[test]
fn diff_compares_two_tables_and_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text.replace("${env:KEY}", &format!("${{file:key-{name}}}"))).unwrap();
        fs::write(folder.path().join(format!("key-{name}")), format!("secret-of-{name}")).unwrap();
        path
    };
    let old = write("old", table(address(1), address(2), ""));
    let new = write("new", table(address(3), address(2), "status = \"suspended\""));
    let compare = |more: &[&str]| {
        corgate().arg("diff").arg(&new).arg("--against").arg(&old).args(more).output().unwrap()
    };
    let (out, err) = ends_with(&compare(&[]), 1);
    let wanted = "~ gateway\n    insecure_plain_listen: 127.0.0.1:1 -> 127.0.0.1:3 (needs a new \
                  process)\n~ target T\n    headers.x-api-key: changed (not shown)\n    \
                  status: active -> suspended\n";
    assert_eq!(out, wanted, "{err}");
    let (json, _) = ends_with(&compare(&["--json"]), 1);
    for text in [&out, &err, &json] {
        assert!(!text.contains("secret-of"), "{text}");
    }
    let same = corgate().arg("diff").arg(&new).arg("--against").arg(&new).output().unwrap();
    ends_with(&same, 0);
}

#[test]
fn diff_says_when_nobody_can_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, port) = closed_port();
    let nobody = SocketAddr::from(([127, 0, 0, 1], port));
    let path = folder.path().join("routes.toml");
    fs::write(&path, table(nobody, nobody, "")).unwrap();
    let (_, err) = ends_with(&diff(&[&path]), 2);
    assert!(err.contains("can't be asked"), "{err}");
    let (_, err) = ends_with(&diff(&[&folder.path().join("none.toml")]), 2);
    assert!(err.contains("none.toml"), "{err}");
}

#[test]
fn diff_says_when_the_gateway_serves_another_file() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.toml");
    fs::write(&path, "").unwrap();
    let address = world.running().admin.to_string();
    let output = corgate().arg("diff").arg(&path).args(["--against", &address]).output().unwrap();
    let (_, err) = ends_with(&output, 0);
    assert!(err.contains("was started with") && err.contains("that is compared"), "{err}");
}
