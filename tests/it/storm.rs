//! A storm: everything that an operator does, under a steady load of real TLS clients, and each
//! call is looked for at both ends. `make storm` runs the long one.
//!
//! This file decides what is done and in which order. It must not know how calls are made.

mod bank;
mod client;
mod ledger;

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use corgate::sim::pki::Authority;

use self::bank::StormBank;
use self::client::{Storm, speak_http1, speak_http2};
use self::ledger::Sums;
use crate::ask::{BANK, CLIENT};
use crate::world::{
    Program, Setup, client_config, client_config_of, identity, now, pki, until, wait,
};

/// What is done to the gateway while it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// The program replaces itself.
    Upgrade,
    /// The access log is renamed.
    RotateLog,
    /// The table changes and is taken up.
    Reload,
    /// The table is broken, and is not taken up.
    BrokenReload,
    /// The edge gets another certificate.
    Certificate,
    /// Clients' certificates come from another CA: both are good, clients move, the old one goes.
    Authority,
}

/// How hard it blows.
struct Weather {
    /// Clients with a connection of their own in HTTP/1.1.
    http1: usize,
    /// Clients with a connection of its own for each call.
    hasty: usize,
    /// Connections in HTTP/2, and the streams that share each.
    http2: (usize, usize),
    /// Calls between two acts, at least.
    calls: usize,
    acts: Vec<Act>,
}

/// A storm and the gateway that stands in it.
struct Scene {
    program: Program,
    banks: Vec<StormBank>,
    storm: Arc<Storm>,
    /// How often the log was rotated.
    logs: usize,
    /// The banks' `concurrency`, which changes at each reload.
    places: usize,
    /// What the clients show.
    fingerprint: String,
}

const SECOND_BANK: &str = "IIDX00002";

impl Scene {
    fn set() -> Self {
        let banks: Vec<_> = (0..2).map(|_| StormBank::start()).collect();
        let upstream = format!("\"https://127.0.0.1:{}\"", banks[0].port());
        let program = Setup::new()
            .gateway(
                "run_dir = \"run\"\nworkers = 2\ndrain_timeout = \"15s\"\ndrain_quiet = \"2s\"",
            )
            .upstream(&upstream)
            .target("concurrency = 1000")
            .target_at(SECOND_BANK, banks[1].port(), "http = \"2\"\nconcurrency = 1000")
            .launch();
        let targets = vec![BANK.to_owned(), SECOND_BANK.to_owned()];
        let storm = Storm::new(program.address(), targets, client_config(1));
        let fingerprint = identity(1).fingerprint().to_string();
        Self { program, banks, storm, logs: 0, places: 1_000, fingerprint }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Upgrade => {
                let before = self.program.serving();
                let output = self.program.command("upgrade");
                assert!(output.status.success(), "{output:?}");
                let program = &mut self.program;
                // Waits out the drain now and then, so that not all of them are there at once.
                until("its drain", || (!program.is_alive(before)).then_some(()));
            }
            Act::RotateLog => {
                self.logs += 1;
                let name = format!("access.log.{}", self.logs);
                fs::rename(self.program.path("access.log"), self.program.path(&name)).unwrap();
            }
            Act::Reload => {
                let (from, to) = (self.places, self.places + 1);
                let places = |places| format!("concurrency = {places}");
                self.program.edit(&places(from), &places(to));
                self.places = to;
                assert_eq!(self.program.reload(), "applied");
            }
            Act::BrokenReload => {
                self.program.edit("[gateway.tls]", "nonsense = 1\n[gateway.tls]");
                assert_eq!(self.program.reload(), "refused");
                self.program.edit("nonsense = 1\n", "");
            }
            Act::Certificate => {
                let edge = pki().hub_ca.server("another edge", &["localhost", "127.0.0.1"]);
                let edge = edge.unwrap();
                edge.write(&self.program.path(""), "edge").unwrap();
                assert_eq!(self.program.reload(), "applied");
                assert_eq!(wait(self.storm.shown()).as_ref(), Some(edge.cert()));
            }
            Act::Authority => self.change_authority(),
        }
    }

    fn change_authority(&mut self) {
        let authority = Authority::new("another clients CA").unwrap();
        let identity = authority.client(CLIENT).unwrap();
        let (old, new) = (self.fingerprint.clone(), identity.fingerprint().to_string());
        let file = self.program.path("clients-ca.pem");
        let before = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{before}{}", authority.pem())).unwrap();
        self.program.edit(&format!("[\"{old}\"]"), &format!("[\"{old}\", \"{new}\"]"));
        assert_eq!(self.program.reload(), "applied");
        self.storm.renew(client_config_of(&identity, rustls::ALL_VERSIONS));
        until("every client has moved", || self.storm.is_renewed().then_some(()));
        fs::write(&file, authority.pem()).unwrap();
        self.program.edit(&format!("[\"{old}\", \"{new}\"]"), &format!("[\"{new}\"]"));
        assert_eq!(self.program.reload(), "applied");
        self.fingerprint = new;
    }

    /// Waits for so many more calls.
    fn wait_for_calls(&self, calls: usize) {
        let end = self.storm.ledger.len() + calls;
        while self.storm.ledger.len() < end {
            let before = self.storm.ledger.len();
            until("a call", || (self.storm.ledger.len() > before).then_some(()));
        }
    }

    /// How often each id stands in the access logs with a status of 200.
    fn logged(&self) -> HashMap<String, u32> {
        let mut logged = HashMap::new();
        let rotated = (1..=self.logs).map(|number| format!("access.log.{number}"));
        for name in rotated.chain(["access.log".to_owned()]) {
            for line in fs::read_to_string(self.program.path(&name)).unwrap_or_default().lines() {
                let line: serde_json::Value = serde_json::from_str(line).expect("a torn line");
                if line["status"] == 200 {
                    let id = line["correlation_id"].as_str().unwrap().to_owned();
                    *logged.entry(id).or_default() += 1;
                }
            }
        }
        logged
    }

    fn sums(&self) -> Sums {
        let mut heard = HashMap::new();
        for bank in &self.banks {
            for (key, times) in bank.books.calls() {
                *heard.entry(key).or_default() += times;
            }
        }
        self.storm.ledger.compare(&heard, &self.logged())
    }
}

/// Lets it blow, and ends with a drain under load.
fn blow(weather: &Weather) -> Sums {
    let mut scene = Scene::set();
    let started = now();
    let Weather { http1, hasty, http2, .. } = *weather;
    let storm = scene.storm.clone();
    let clients = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let mut clients = tokio::task::JoinSet::new();
            for number in 0..http1 + hasty {
                clients.spawn(speak_http1(storm.clone(), number < http1));
            }
            for _ in 0..http2.0 {
                let trunk = client::Trunk::default();
                for _ in 0..http2.1 {
                    clients.spawn(speak_http2(storm.clone(), trunk.clone()));
                }
            }
            clients.join_all().await;
        });
    });
    scene.wait_for_calls(weather.calls);
    let mut done: HashMap<String, (u32, Duration)> = HashMap::new();
    for act in &weather.acts {
        let began = now();
        scene.act(*act);
        let entry = done.entry(format!("{act:?}")).or_default();
        *entry = (entry.0 + 1, entry.1.max(began.elapsed()));
        scene.wait_for_calls(weather.calls);
    }
    scene.storm.last.store(true, Ordering::Release);
    scene.program.signal("TERM");
    scene.program.ended();
    // Whoever is still there finds nobody and goes home.
    clients.join().unwrap();
    scene.storm.over.store(true, Ordering::Release);
    let sums = scene.sums();
    eprintln!("{:40} {:>9.1?}", "storm", started.elapsed());
    for (act, (times, longest)) in &done {
        eprintln!("  {act:38} {times:>9}   the longest {longest:.1?}");
    }
    eprintln!("{:40} {:>9}", "  drain at the end", 1);
    eprint!("{sums}");
    sums
}

#[test]
fn a_short_storm_loses_nothing() {
    use Act::{Authority, BrokenReload, Certificate, Reload, RotateLog, Upgrade};
    let acts = vec![
        Reload,
        RotateLog,
        Upgrade,
        BrokenReload,
        Certificate,
        Reload,
        Authority,
        Upgrade,
        RotateLog,
        Reload,
    ];
    let sums = blow(&Weather { http1: 8, hasty: 4, http2: (2, 4), calls: 150, acts });
    assert!(sums.is_clean(), "{sums}");
}

/// `make storm`: 100 reloads, and between them all that happens more rarely. So many calls between
/// two acts as `STORM_CALLS` says.
#[test]
#[ignore = "it takes minutes: make storm"]
fn a_long_storm_loses_nothing() {
    let mut acts = Vec::new();
    for number in 1..=100 {
        acts.push(Act::Reload);
        for (act, every) in [
            (Act::Upgrade, 5),
            (Act::BrokenReload, 10),
            (Act::RotateLog, 20),
            (Act::Certificate, 33),
            (Act::Authority, 45),
        ] {
            if number % every == 0 {
                acts.push(act);
            }
        }
    }
    let calls = std::env::var_os("STORM_CALLS");
    let calls = calls.map_or(400, |calls| calls.to_str().unwrap().parse().unwrap());
    let sums = blow(&Weather { http1: 16, hasty: 8, http2: (4, 8), calls, acts });
    assert!(sums.is_clean(), "{sums}");
}
