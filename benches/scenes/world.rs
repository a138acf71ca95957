//! The world of the scenes: a table, a caller, and a bank that answers at once from memory.
//!
//! This file decides what is asked and answered. It must not know what is measured.

use std::fmt::Write as _;
use std::future::{Future, ready};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use corgate::answer::Answer;
use corgate::callers::Peer;
use corgate::contract::Contract;
use corgate::conversation::{Flight, Outcome};
use corgate::dialect::{Held, ProviderAnswer, ProviderRequest, Recipe};
use corgate::exchange::{Banks, Entropy, RequestBody, Setting, exchange};
use corgate::fault::Fault;
use corgate::framing::fields::Fields;
use corgate::ids::Fingerprint;
use corgate::limiter::Permit;
use corgate::record::{Record, Trail};
use corgate::routes::{MemorySources, load_with};
use corgate::snapshot::{Route, Snapshot};
use http::{HeaderName, Request, StatusCode, request};

/// The client that calls.
pub(crate) const CLIENT: &str = "CIDX0000000001";
/// More than a bench can use up.
pub(crate) const PLENTY: &str = "{ rate = \"1000000/s\", burst = 1000000 }";
/// The token call's body.
pub(crate) const TOKEN_FORM: &str = "grant_type=authorization_code\
    &code=SplxlOBeZQQYbYS6WxSbIA8f2c1d7e90ab34\
    &redirect_uri=https%3A%2F%2Fledger.example%2Fconsent%2Fcallback\
    &client_id=CIDX0000000001&username=anna.muster";
const TOKEN_ANSWER: &str = "{\"access_token\":\"2YotnFZFEjr1zCsicMWpAA8d4f6b1e\",\
    \"token_type\":\"bearer\",\"expires_in\":86400,\
    \"refresh_token\":\"tGzv3JOkF0XG5Qx2TlKWIA9c7e5a3b\",\"scope\":\"ais\"}";

/// A table, ready to serve, and who calls.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) hub: Snapshot,
    peer: Peer,
    bank: MemoryBank,
    started: Instant,
}

/// A request and its body.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) head: request::Parts,
    pub(crate) body: Bytes,
}

impl World {
    /// A hub with so many targets; the client may make as many calls as `limit` says. It lives as
    /// long as the process: what borrows from it can then move into a scene.
    pub(crate) fn new(targets: usize, limit: &str) -> &'static Self {
        let world = ["edge.pem", "edge.key", "clients-ca.pem"]
            .iter()
            .fold(MemorySources::default(), |world, name| world.present(name))
            .file("routes.toml", &table(targets, limit));
        let loaded = load_with(Path::new("routes.toml"), &world, &mut Contract::compile);
        let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
        let answer = token_answer();
        Box::leak(Box::new(Self {
            hub: Snapshot::build(loaded.table, None),
            peer: Peer {
                fingerprint: Some(fingerprint()),
                ended: false,
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            },
            bank: MemoryBank { answer },
            started: now(),
        }))
    }

    /// One whole walk.
    pub(crate) fn walk(&'static self, call: &Call, record: &mut Record<'static>) -> Answer {
        let setting = Setting {
            hub: &self.hub,
            peer: &self.peer,
            banks: &self.bank,
            entropy: Counter(0x9e37_79b9_7f4a_7c15),
            now: self.started,
            refusing: false,
        };
        block_on(exchange(setting, &call.head, MemoryBody(call.body.clone()), record))
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench stands where the edge does")]
fn now() -> Instant {
    Instant::now()
}

/// A call as a client's HTTP library would send it.
pub(crate) fn call(path: &str, body: &'static str) -> Call {
    let (head, ()) = Request::post(format!("/consent-flow/v2/oauth/{path}"))
        .header("Host", "hub.example")
        .header("User-Agent", "ledger/4.2 (+https://ledger.example)")
        .header("Accept", "application/json")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Content-Length", body.len())
        .header("X-Correlation-ID", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
        .header("X-CorAPI-Client-ID", CLIENT)
        .header("X-CorAPI-Target-ID", target_id(7))
        .header("X-PSU-IP-Address", "192.0.2.17")
        .header("X-PSU-User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0")
        .body(())
        .unwrap()
        .into_parts();
    Call { head, body: Bytes::from_static(body.as_bytes()) }
}

/// The id of a target of the table.
pub(crate) fn target_id(number: usize) -> String {
    format!("IIDX{number:06}")
}

fn table(targets: usize, limit: &str) -> String {
    let fingerprint = fingerprint();
    let mut text = format!(
        "[gateway]\nlisten = \"127.0.0.1:8443\"\n\
         tls = {{ cert = \"edge.pem\", key = \"edge.key\", client_ca = \"clients-ca.pem\" }}\n\
         [[api]]\ncontract = \"blink-fi\"\nbase_path = \"/consent-flow/v2\"\n\
         [[client]]\nid = \"{CLIENT}\"\ncertificates = [\"{fingerprint}\"]\ntargets = [\"*\"]\n\
         limit = {limit}\ntarget_limit = {PLENTY}\n\
         [target_defaults]\nlimit = {PLENTY}\n"
    );
    for number in 0..targets {
        let id = target_id(number);
        let _ = write!(
            text,
            "[[target]]\nid = \"{id}\"\nupstream = \"https://bank-{number}.example:7443\"\n"
        );
    }
    text
}

fn fingerprint() -> Fingerprint {
    Fingerprint::of_der(b"the client's certificate")
}

fn token_answer() -> ProviderAnswer {
    let mut headers = Fields::new();
    for (name, value) in [
        ("content-type", "application/json;charset=UTF-8"),
        ("content-length", "164"),
        ("cache-control", "no-store"),
        ("pragma", "no-cache"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("x-correlation-id", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"),
    ] {
        headers.append(HeaderName::from_static(name), value.parse().unwrap());
    }
    let body = Bytes::from_static(TOKEN_ANSWER.as_bytes());
    ProviderAnswer { status: StatusCode::OK, headers, body }
}

/// A bank that gives the same answer to every request. To copy it costs about what parsing
/// one would have cost.
#[derive(Debug)]
struct MemoryBank {
    answer: ProviderAnswer,
}

impl Banks for MemoryBank {
    fn forward(
        &self,
        _permit: &Permit,
        _route: &Arc<Route>,
        request: ProviderRequest,
    ) -> impl Future<Output = (Result<ProviderAnswer, Fault>, Trail)> {
        std::hint::black_box(request);
        let ProviderAnswer { status, headers, body } = &self.answer;
        let answer =
            ProviderAnswer { status: *status, headers: headers.clone(), body: body.clone() };
        let trail = Trail { endpoint: Some(0), reused: true, ..Trail::default() };
        ready((Ok(answer), Trail { status: Some(*status), ..trail }))
    }

    // Its dialect needs no token of the hub's own, so none is asked for or evicted.
    fn held(
        &self,
        _permit: &Permit,
        _route: &Arc<Route>,
        _recipe: Recipe,
    ) -> impl Future<Output = Result<Held, Fault>> {
        ready(Err(Fault::Internal("no held tokens here")))
    }

    fn evict(&self, _held: &Held) {}

    fn alone(
        &self,
        _flight: Flight,
        _replay: Duration,
        exchange: impl Future<Output = Outcome>,
    ) -> impl Future<Output = Outcome> {
        exchange
    }
}

/// A body that is there already.
struct MemoryBody(Bytes);

impl RequestBody for MemoryBody {
    fn declared_bytes(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }

    fn read(self, _bytes_max: usize) -> impl Future<Output = Result<Bytes, Fault>> {
        ready(Ok(self.0))
    }
}

/// Bits that only look random: what a generator costs is the edge's.
struct Counter(u128);

impl Entropy for Counter {
    fn bits(&mut self) -> u128 {
        self.0 = self.0.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
        self.0
    }

    fn unix_seconds(&self) -> u64 {
        784_111_777
    }
}

/// Nothing here ever waits, so one poll is all it takes.
fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}
