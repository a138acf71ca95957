//! A stage for native contracts: a system that records what it hears and answers as it is told.
//!
//! This file decides what it means that a call passed as it was. It must not know any system.

use std::sync::{Arc, Mutex};

use corgate::sim::server::{Answer as Said, Party, Received, Reply, Server};
use http::StatusCode;

use crate::answer::Answer;
use crate::ask::{Ask, Http};
use crate::world::{Setup, World, listening};

/// Where native contracts are mounted.
pub(crate) const MOUNT: &str = "/native";
/// The target behind them.
pub(crate) const SYSTEM: &str = "1000";
/// What stands before each path at that target.
pub(crate) const UPSTREAM_BASE: &str = "/base/v9";

/// A mounted contract with its system.
pub(crate) struct Stage {
    pub(crate) world: World,
    server: Server,
    script: Arc<Script>,
}

struct Script(Mutex<Said>);

impl Party for Script {
    fn answer(&self, _: &Received) -> Reply {
        self.0.lock().unwrap().clone().into()
    }

    fn reset(&self) {}
}

/// What a system says.
pub(crate) fn said(status: u16, body: &str) -> Said {
    let answer = Said::new(StatusCode::from_u16(status).unwrap());
    if body.is_empty() {
        return answer;
    }
    answer.with("Content-Type", "application/json").body(body.to_owned())
}

impl Stage {
    /// The contract, all of whose calls go to one target.
    pub(crate) fn new(contract: &str) -> Self {
        Self::with(contract, &format!("target = \"{SYSTEM}\""), "targets = [\"*\"]", "")
    }

    /// The contract with these lines of its mount, of the client and of the target.
    pub(crate) fn with(contract: &str, mount: &str, client: &str, target: &str) -> Self {
        Self::on(Setup::new(), contract, mount, client, target)
    }

    fn on(setup: Setup, contract: &str, mount: &str, client: &str, target: &str) -> Self {
        let script = Arc::new(Script(Mutex::new(said(200, "{}"))));
        let server = Server::start(listening(), Arc::clone(&script) as Arc<dyn Party>).unwrap();
        let api =
            format!("\n[[api]]\ncontract = \"{contract}\"\nbase_path = \"{MOUNT}\"\n{mount}\n");
        let target = format!("base_path = \"{UPSTREAM_BASE}\"\n{target}");
        let setup = setup.client(client).more(&api);
        let world = setup.target_at(SYSTEM, server.address().port(), &target).start();
        Self { world, server, script }
    }

    /// A document of the test's own, all of whose calls go to one target.
    pub(crate) fn of_document(document: &str) -> Self {
        let mount = format!("target = \"{SYSTEM}\"");
        let setup = Setup::new().file("own.yaml", document);
        let client = "targets = [\"*\"]\nnative_client_ids = [\"client-as-the-system-has-it\"]";
        Self::on(setup, "own.yaml", &mount, client, "")
    }

    /// What the system says from now on.
    pub(crate) fn say(&self, said: Said) {
        *self.script.0.lock().unwrap() = said;
    }

    /// What the system has heard so far.
    pub(crate) fn heard(&self) -> Vec<Received> {
        self.server.requests()
    }

    /// The call passes over HTTP/1.1 and over HTTP/2: the system hears its method, path, query and
    /// bytes, and the client what the system says. Gives what was heard, and the last answer.
    #[track_caller]
    pub(crate) fn passes(&self, ask: &Ask, said: Said) -> (Received, Answer) {
        let (status, body) = (said.status, said.body.clone());
        self.say(said);
        let mut last = None;
        for http in [Http::One, Http::Two] {
            let before = self.heard().len();
            let answer = self.world.call(http, ask.clone());
            assert_eq!(answer.status, status, "{answer:?}");
            assert_eq!(answer.body, body);
            assert_eq!(answer.header("x-corapi-source"), Some("PROVIDER"), "{answer:?}");
            let heard = self.heard();
            assert_eq!(heard.len(), before + 1);
            let heard = heard.last().unwrap().clone();
            assert_eq!(heard.method, ask.method);
            let below = ask.target.strip_prefix(MOUNT).unwrap();
            assert_eq!(heard.path, format!("{UPSTREAM_BASE}{below}"));
            assert_eq!(heard.body, ask.body, "the bytes are the client's");
            for name in ["authorization", "content-type", "accept"] {
                let sent = ask.values(name);
                assert_eq!(heard.header_all(name).len(), sent.len(), "{name}");
                assert!(heard.header_all(name).iter().all(|v| sent.contains(&v.as_bytes())));
            }
            for name in ["x-correlation-id", "x-corapi-client-id", "x-corapi-target-id"] {
                assert_eq!(heard.header_all(name), Vec::<&str>::new());
            }
            last = Some((heard, answer));
        }
        last.unwrap()
    }

    /// The call is refused, and the system hears nothing of it.
    #[track_caller]
    pub(crate) fn refuses(&self, ask: &Ask, status: u16, fault: &str) -> Answer {
        let before = self.heard().len();
        let answer = self.world.call(Http::One, ask.clone());
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("x-corapi-source"), Some("PLATFORM"), "{answer:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{answer:?}");
        assert_eq!(self.heard().len(), before, "the system heard of it");
        answer.logged(fault)
    }

    /// The same, with an OAuth error.
    #[track_caller]
    pub(crate) fn refuses_oauth(&self, ask: &Ask, status: u16, error: &str, fault: &str) {
        let answer = self.refuses(ask, status, fault);
        let json = answer.json();
        assert_eq!(json["error"], error, "{answer:?}");
        assert!(json["error_description"].is_string(), "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json;charset=UTF-8"));
    }
}

#[test]
fn a_native_mount_needs_exactly_one_way_to_a_target() {
    let bank = crate::world::bank();
    let load = |contract: &str, way: &str| {
        let api = format!("\n[[api]]\ncontract = \"{contract}\"\nbase_path = \"/n\"\n{way}\n");
        Setup::new().more(&api).load(&bank).err().unwrap_or_default()
    };
    for way in ["target = \"IIDX00001\"", "target_header = \"X-T\"", "target_query = \"t\""] {
        assert_eq!(load("konsentus", way), "", "{way}");
    }
    for (contract, way, part) in [
        ("konsentus", "", "can find its target"),
        ("flinks", "target = \"IIDX00001\"\ntarget_query = \"t\"", "three ways"),
        ("oxlin", "target = \"IIDX09999\"", "there is no target"),
        ("oxlin", "target_header = \"provider_id\"", "no field name"),
        ("blink-six", "target = \"IIDX00001\"", "says itself"),
    ] {
        let report = load(contract, way);
        assert!(report.contains(part), "{contract} {way}: {report}");
    }
}

#[test]
fn hop_by_hop_fields_and_what_nobody_declared_stay_behind() {
    let stage = Stage::new("oxlin");
    let ask = Ask::native("GET", "/native/providers/87", "")
        .with("Authorization", "Bearer native-token-1")
        .with("X-CorAPI-Client-ID", "CIDX0000000009")
        .with("X-PSU-IP-Address", "10.0.0.1")
        .with("X-Secret", "nobody-declared-me")
        .with("Cookie", "session=nobody-declared-me");
    let reply = said(200, "{}").with("Server", "x").with("Set-Cookie", "a=b").with("X-Odd", "1");
    let (heard, answer) = stage.passes(&ask, reply.with("WWW-Authenticate", "Bearer"));
    for name in ["x-psu-ip-address", "x-secret", "cookie", "x-correlation-id"] {
        assert_eq!(heard.header(name), None, "{name}");
    }
    assert_eq!(heard.header("via"), Some("1.1 corgate"));
    assert!(heard.header("traceparent").is_some());
    assert_eq!(answer.header("x-odd"), None);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[test]
fn a_target_is_named_by_a_field_or_by_a_parameter_within_the_allow_list() {
    let client = format!("targets = [\"{SYSTEM}\"]");
    let by_header = Stage::with("oxlin", "target_header = \"X-Bank\"", &client, "");
    let ask = Ask::native("GET", "/native/keys/1", "").with("Authorization", "Bearer a-token-1");
    by_header.passes(&ask.clone().with("X-Bank", SYSTEM), said(200, "{}"));
    by_header.passes(&ask, said(200, "{}"));
    let named = |bank: &str| ask.clone().with("X-Bank", bank);
    by_header.refuses_oauth(&named("IIDX00001"), 403, "unauthorized_client", "target_forbidden");
    by_header.refuses_oauth(&named("nobody"), 400, "invalid_request", "header_malformed");
    let twice = named(SYSTEM).with("X-Bank", SYSTEM);
    by_header.refuses_oauth(&twice, 400, "invalid_request", "header_malformed");

    let by_query = Stage::with("oxlin", "target_query = \"bank\"", "targets = [\"*\"]", "");
    by_query.passes(&ask.clone().query(&format!("bank={SYSTEM}")), said(200, "{}"));
    by_query.refuses_oauth(&ask, 400, "invalid_request", "parameter_missing");
    by_query.refuses_oauth(&ask.query("bank=x"), 400, "invalid_request", "parameter_malformed");
}

#[test]
fn a_suspended_or_unknown_client_and_a_target_in_maintenance_are_refused() {
    let ask = Ask::native("GET", "/native/keys/1", "").with("Authorization", "Bearer a-token-1");
    let mount = format!("target = \"{SYSTEM}\"");
    let suspended = "targets = [\"*\"]\nstatus = \"suspended\"";
    let stage = Stage::with("oxlin", &mount, suspended, "");
    stage.refuses_oauth(&ask, 403, "unauthorized_client", "client_suspended");
    let stage = Stage::with("oxlin", &mount, "targets = [\"*\"]", "status = \"maintenance\"");
    stage.refuses_oauth(&ask, 503, "temporarily_unavailable", "target_maintenance");
    let tls = "client_auth = \"optional\"";
    let world = Setup::new()
        .tls(tls)
        .more("[[api]]\ncontract = \"oxlin\"\nbase_path = \"/native\"\ntarget = \"IIDX00001\"\n")
        .start();
    let client = corgate::sim::client::ClientTls::new(crate::world::pki().hub_ca.cert(), None);
    let nobody = corgate::sim::client::Client::tls(world.address(0), client.unwrap());
    world.client_with(Http::One, nobody).call(ask).logged("certificate_missing").platform(401);
    world.bank_heard(0);
}

#[test]
fn the_longest_mount_wins_whatever_the_order() {
    let world = Setup::new()
        .more("[[api]]\ncontract = \"blink-six\"\nbase_path = \"\"\n")
        .more("[[api]]\ncontract = \"oxlin\"\nbase_path = \"/n\"\ntarget = \"IIDX00001\"\n")
        .start();
    let ask = Ask::native("GET", "/n/keys/1", "");
    let answer = world.call(Http::One, ask).logged("bearer_missing");
    assert_eq!(answer.status, 401);
}

#[test]
fn a_switch_of_protocols_is_refused() {
    let stage = Stage::new("oxlin");
    *stage.script.0.lock().unwrap() = said(101, "").with("Upgrade", "odd");
    let ask = Ask::native("GET", "/native/keys/1", "").with("Authorization", "Bearer a-token-1");
    let answer = stage.world.call(Http::One, ask).logged("response_malformed");
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["error"], "server_error");
}

#[test]
fn native_calls_are_counted_by_their_operation_id() {
    let stage = Stage::new("oxlin");
    let ask = Ask::native("GET", "/native/keys/1", "").with("Authorization", "Bearer a-token-1");
    stage.passes(&ask, said(200, "{}"));
    let (_, text) = stage.world.admin("/metrics");
    let counted = |line: &str| line.contains("call=\"oxlinKey\"") && line.ends_with(" 2");
    assert!(text.lines().any(counted), "{text}");
    let line = stage.world.line(|line| line["operation"] == "oxlinKey");
    assert_eq!(line["target"], SYSTEM);
    assert_eq!(line["provider_status"], 200);
}
