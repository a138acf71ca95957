//! Files of banks while the gateway runs and beyond its life: what one writer does changes nothing
//! for anybody else.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

use corgate::edge::names::{LookUp, Names};
use corgate::routes::{Sources as _, SystemSources};
use serde_json::Value;

use crate::ask::{Ask, Http};
use crate::world::{Program, Setup, World, bank, client_id, now, until};

const INCLUDE: &str = "include = [\"banks/*.toml\"]\n";
const PRIVATE: &str = "[[included]]\nallow_private_addresses = true\n";

/// A bank's file.
fn file(id: &str, port: u16, lines: &str) -> String {
    format!(
        "[[target]]\nid = \"{id}\"\nupstream = \"https://127.0.0.1:{port}\"\n\
         allow_private_addresses = true\n{lines}\n"
    )
}

/// Does something to a file five times a second, until it is dropped.
struct Restless {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Restless {
    fn start(mut touch: impl FnMut(u64) + Send + 'static) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let end = ends.clone();
        let thread = std::thread::spawn(move || {
            for count in 0.. {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                touch(count);
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        Self { ends, thread: Some(thread) }
    }
}

impl Drop for Restless {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// Takes client 2 out of the table, and says how long it stayed in.
#[track_caller]
fn out_after(world: &World) -> Duration {
    world.client(Http::One, 2).call(Ask::token().client(&client_id(2))).good();
    let since = now();
    let text = fs::read_to_string(world.file("routes.toml")).unwrap();
    let entry = text.find("[[client]]\nid = \"").expect("a client");
    let second = text[entry + 1..].find("[[client]]").expect("two clients") + entry + 1;
    let end = text[second + 1..].find("\n[").map_or(text.len(), |at| second + 1 + at);
    world.write("routes.toml", &format!("{}{}", &text[..second], &text[end..]));
    until("client 2 is out", || {
        let answer = world.client(Http::One, 2).call(Ask::token().client(&client_id(2)));
        (answer.status == 401).then_some(())
    });
    since.elapsed()
}

fn watched() -> Setup {
    Setup::new().gateway("watch = \"100ms\"").top(&format!("{INCLUDE}{PRIVATE}"))
}

/// The wait for a file that does not stand still is 5 s; the rest is for a busy machine.
const BOUND: Duration = Duration::from_secs(15);

#[test]
fn who_touches_a_file_all_the_time_keeps_nobodys_change_away() {
    let other = bank();
    let text = file("ONE", other.address().port(), "");
    let world = watched().and_client(2, "targets = [\"*\"]").file("banks/one.toml", &text).start();
    let path = world.file("banks/one.toml");
    let touching = Restless::start(move |count| {
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(count + 1)).unwrap();
    });
    let waited = out_after(&world);
    assert!(waited < BOUND, "{waited:?}");
    // Its text is as it was: nobody is worse off.
    world.call(Http::One, Ask::token().bank("ONE")).good();
    assert_eq!(world.metric("corgate_targets_quarantined"), 0);
    drop(touching);
}

#[test]
fn who_writes_a_file_all_the_time_is_left_out_alone() {
    let other = bank();
    let port = other.address().port();
    let world = watched()
        .and_client(2, "targets = [\"*\"]")
        .file("banks/one.toml", &file("ONE", port, ""))
        .start();
    let path = world.file("banks/one.toml");
    let writing = Restless::start(move |count| {
        fs::write(&path, file("ONE", port, &format!("name = \"{count}\"\n# {}", "-".repeat(99))))
            .unwrap();
    });
    let waited = out_after(&world);
    assert!(waited < BOUND, "{waited:?}");
    // It is served on, by what is known to be good.
    world.call(Http::One, Ask::token().bank("ONE")).good();
    drop(writing);
    world.counts("corgate_targets_quarantined", 0);
    let name = || world.page_of("/banks/ONE").1["name"].as_str().map(str::to_owned);
    let last = fs::read_to_string(world.file("banks/one.toml")).unwrap();
    until("its last text", || last.contains(&format!("name = {:?}", name()?)).then_some(()));
}

/// A name server that leads every name to this host.
#[derive(Debug)]
struct Loopback;

impl Names for Loopback {
    fn look_up(&self, _: &str) -> LookUp {
        Box::pin(async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) })
    }
}

#[test]
fn a_banks_file_can_not_call_the_gateways_own_addresses() {
    let grants = format!("{INCLUDE}{PRIVATE}insecure_plain_upstream = true\n");
    let names = Arc::new(Loopback);
    let world = watched().names(names).top(&grants).file("banks/one.toml", "").start();
    let admin = world.running().admin.port();
    // The table's port is 0, so that only the dialler can know.
    let hosts = ["127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "own.test"];
    for (number, host) in hosts.iter().enumerate() {
        let id = format!("OWN{number}");
        let text = format!(
            "[[target]]\nid = \"{id}\"\nupstream = \"http://{host}:{admin}\"\n\
             allow_private_addresses = true\ninsecure_plain_upstream = true\n\
             paths = {{ token = \"/reload\" }}\n"
        );
        world.write("banks/one.toml", &text);
        until("the entry", || (world.page_of(&format!("/banks/{id}")).0 == 200).then_some(()));
        let reloads = world.metric("corgate_reloads_total{outcome=\"unchanged\"}");
        world.call(Http::One, Ask::token().bank(&id)).platform(502).logged("address_forbidden");
        assert_eq!(world.metric("corgate_reloads_total{outcome=\"unchanged\"}"), reloads);
    }
}

#[test]
fn a_banks_file_reads_no_secret_and_no_pipe() {
    let world = watched().file("hub-key", "the-hubs-own-key").file("banks/one.toml", "").start();
    world.notes().learn("the-hubs-own-key");
    let port = bank().address().port();
    let made = std::process::Command::new("mkfifo").arg(world.file("banks/pipe")).status().unwrap();
    assert!(made.success());
    for reference in [
        "${file:../hub-key}",
        "${file:pipe}",
        "${file:/proc/self/environ}",
        "${file:/proc/kmsg}",
        "${env:PATH}",
    ] {
        let since = now();
        let lines = format!("headers = {{ X-Key = \"{reference}\" }}");
        world.write("banks/one.toml", &file("ONE", port, &lines));
        let (status, report) = world.reload();
        assert_eq!((status, report["outcome"].as_str()), (200, Some("partial")), "{report:#}");
        let problem = report["set_aside"][0]["problems"][0].as_str().unwrap();
        assert!(problem.contains("grants it to this file"), "{problem}");
        assert!(since.elapsed() < Duration::from_secs(10));
        assert_eq!(world.page_of("/banks/ONE").0, 404);
    }
}

/// A process with two banks in files of their own.
fn program(gateway: &str) -> (corgate::sim::bank::Bank, Program) {
    let other = bank();
    let program = Setup::new()
        .gateway(gateway)
        .top(&format!("{INCLUDE}{PRIVATE}"))
        .file("banks/one.toml", &file("ONE", other.address().port(), "name = \"First\""))
        .launch();
    (other, program)
}

#[track_caller]
fn serves_by_its_last_good_entry(program: &Program) {
    program.client(Http::One).call(Ask::token().bank("ONE")).good();
    let (_, page) = program.admin("/banks/ONE").unwrap();
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["name"], "First");
    assert!(page["quarantined"][0].as_str().unwrap().contains("one.toml"), "{page:#}");
    assert_eq!(program.metric("corgate_targets_quarantined"), 1);
    assert_eq!(program.metric("corgate_files_set_aside"), 1);
}

#[track_caller]
fn is_kept(program: &Program) {
    let kept = |entry: fs::DirEntry| entry.file_name().to_str().unwrap().ends_with(".toml");
    until("its file is kept", || {
        let mut entries = fs::read_dir(program.path("run/state/last-good")).ok()?.flatten();
        entries.any(kept).then_some(())
    });
}

#[test]
fn a_bank_whose_file_is_broken_is_served_by_the_next_process_too() {
    let (other, mut program) = program("run_dir = \"run\"\nwatch = \"100ms\"\n");
    is_kept(&program);
    fs::write(program.path("banks/one.toml"), "[[target]]\nid = \"ONE\"\noops").unwrap();
    until("it is set aside", || (program.metric("corgate_files_set_aside") == 1).then_some(()));
    serves_by_its_last_good_entry(&program);

    // An upgrade says it.
    let before = program.serving();
    let output = program.command("upgrade");
    assert!(output.status.success(), "{output:?}\n{}", program.log());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("served by their last good entries: ONE"), "{told}");
    until("the end of the process before", || (!program.is_alive(before)).then_some(()));
    serves_by_its_last_good_entry(&program);
    assert!(!program.said("set aside; what was good of it is served on").is_empty());

    // And a restart, more than once: what is broken writes nothing over.
    for _ in 0..2 {
        program.signal("TERM");
        program.ended();
        program.start_again();
        serves_by_its_last_good_entry(&program);
        assert_eq!(program.reload(), "partial");
        serves_by_its_last_good_entry(&program);
    }
    // Mended, it is as any other.
    fs::write(program.path("banks/one.toml"), file("ONE", other.address().port(), "")).unwrap();
    until("it is taken up", || (program.metric("corgate_files_set_aside") == 0).then_some(()));
    program.client(Http::One).call(Ask::token().bank("ONE")).good();
}

#[test]
fn an_upgrade_that_would_lose_a_bank_wants_to_be_forced() {
    let (_other, mut program) = program("run_dir = \"run\"\nwatch = \"off\"\n");
    let kept = program.path("run/state/last-good");
    is_kept(&program);
    fs::write(program.path("banks/one.toml"), "oops").unwrap();
    // Others can reach it: it is not believed, and stops nobody.
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o755)).unwrap();
    let first = program.serving();
    let output = program.command("upgrade");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("--force") && told.contains("one.toml"), "{told}");
    assert_eq!((program.serving(), program.is_alive(first)), (first, true));
    program.client(Http::One).call(Ask::token().bank("ONE")).good();

    let mut forced = std::process::Command::new(env!("CARGO_BIN_EXE_corgate"));
    forced.args(["upgrade", "--force", "--config"]).arg(program.path("routes.toml"));
    let output = forced.output().unwrap();
    assert!(output.status.success(), "{output:?}\n{}", program.log());
    until("the end of the first", || (!program.is_alive(first)).then_some(()));
    let answer = program.client(Http::One).call(Ask::token().bank("ONE"));
    answer.platform(400);
    program.client(Http::One).call(Ask::token()).good();
}

#[test]
fn a_file_full_of_mistakes_is_told_in_few_words() {
    let other = bank();
    let many = |lines: &str| {
        let ids = (0..30).map(|number| format!("MANY{number}"));
        ids.map(|id| file(&id, other.address().port(), lines)).collect::<String>()
    };
    let world =
        Setup::new().top(&format!("{INCLUDE}{PRIVATE}")).file("banks/many.toml", &many("")).start();
    let mistakes: String = (0..9).map(|number| format!("wrong{number} = 1\n")).collect();
    world.write("banks/many.toml", &many(&mistakes));
    let (_, report) = world.reload();
    assert_eq!(report["set_aside"][0]["problems"].as_array().unwrap().len(), 6, "{report:#}");
    let told = report["set_aside"][0]["problems"][5].as_str().unwrap();
    assert!(told.contains("265 more"), "{told}");
    // It stands at each of its banks.
    let page = world.page_of("/banks/MANY7").1;
    assert_eq!(page["quarantined"].as_array().unwrap().len(), 6, "{page:#}");
    world.call(Http::One, Ask::token().bank("MANY7")).good();
}

#[test]
fn a_new_file_that_claims_anothers_id_is_set_aside_alone() {
    let (thief, other) = (bank(), bank());
    let world = Setup::new()
        .top(&format!("{INCLUDE}{PRIVATE}"))
        .file("banks/two.toml", &file("TWO", other.address().port(), ""))
        .start();
    world.write("banks/new.toml", &file("TWO", thief.address().port(), ""));
    let (_, report) = world.reload();
    assert_eq!(report["outcome"], "partial", "{report:#}");
    let aside = report["set_aside"].as_array().unwrap();
    assert_eq!(aside.len(), 1, "{report:#}");
    assert!(aside[0]["file"].as_str().unwrap().ends_with("new.toml"), "{report:#}");
    world.call(Http::One, Ask::token().bank("TWO")).good();
    assert_eq!(world.metric("corgate_targets_quarantined"), 0);
    // Also while the owner's own file is broken.
    world.write("banks/two.toml", "oops");
    assert_eq!(world.reload().1["set_aside"].as_array().unwrap().len(), 2);
    world.call(Http::One, Ask::token().bank("TWO")).good();
    assert_eq!(thief.requests().len(), 0);
}

#[test]
fn no_file_holds_a_reader_up_or_is_longer_than_it_may_be() {
    let place = tempfile::tempdir().unwrap();
    let pipe = place.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for path in [&pipe, Path::new("/dev/zero"), Path::new("/dev/null"), place.path()] {
        let error = SystemSources.read(path, 100).unwrap_err();
        assert_eq!(error.to_string(), "is no regular file", "{}", path.display());
    }
    // It says that it has no length, and goes on for ever or waits for more.
    assert!(SystemSources.read(Path::new("/proc/kmsg"), 100).is_err());
    assert!(SystemSources.read(Path::new("/proc/self/environ"), 1).is_err());
}

#[test]
fn a_name_within_a_folder_leads_to_nothing_outside() {
    let place = tempfile::tempdir().unwrap();
    let (folder, outside) = (place.path().join("folder"), place.path().join("outside"));
    fs::create_dir_all(folder.join("..2026")).unwrap();
    fs::write(&outside, "secret").unwrap();
    fs::write(folder.join("..2026/key"), "mine").unwrap();
    symlink("..2026", folder.join("..data")).unwrap();
    symlink("..data/key", folder.join("key")).unwrap();
    symlink("../outside", folder.join("link")).unwrap();
    symlink("..", folder.join("up")).unwrap();
    let read = |name: &str| SystemSources.read_within(&folder, name, 100);
    // As secrets are mounted.
    assert_eq!(read("key").unwrap(), "mine");
    assert_eq!(SystemSources.locate(&folder, "key").unwrap(), folder.join("key"));
    let absolute = outside.to_str().unwrap();
    for name in ["../outside", "link", "up/outside", "key/../../outside", absolute, "", "."] {
        let error = read(name).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{name}: {error}");
        assert!(SystemSources.locate(&folder, name).is_err(), "{name}");
    }
    assert_eq!(read("none").unwrap_err().kind(), std::io::ErrorKind::NotFound);
}
