//! Tests of the walk under a wall clock that jumps (FAULTS: no call fails, no limit stays stuck).
//!
//! What the wall clock decides, it decides anew at each call: windows of maintenance, and the dates
//! in an assertion. All else counts by [`Instant`], which no jump moves.
#![expect(clippy::disallowed_methods, reason = "a test's first instant comes from somewhere")]

use std::cell::RefCell;
use std::future::ready;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, StatusCode};

use super::*;
use crate::breaker::Position;
use crate::framing::fields::Fields;
use crate::routes::{MemorySources, load};

/// 2026-11-21, 12:00 in UTC.
const NOON: u64 = 1_795_262_400;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// How the clock goes: on, a day back, an hour forward, and about.
const CLOCK: [u64; 6] = [NOON, NOON + 1, NOON - DAY, NOON - DAY + HOUR, NOON + HOUR, NOON + 2];

const TABLE: &str = r#"
[gateway]
insecure_plain_listen = "127.0.0.1:0"
insecure_header_identity = true
[[api]]
contract = "blink-fi"
[[client]]
id = "C"
targets = ["*"]
target_limit = { rate = "1/h", burst = 6 }
[[target]]
id = "SIGNS"
upstream = "https://signs.example"
dialect = "oauth2"
[target.oauth2]
authentication = "private_key_jwt"
client_id = "hub"
private_key = "${file:hub.pem}"
[[target]]
id = "CLOSES"
upstream = "https://closes.example"
maintenance = [{ start = "2026-11-21T12:30:00Z", end = "2026-11-21T13:30:00Z" }]
"#;

/// A bank that answers every call and keeps what it heard.
#[derive(Default)]
struct Bank(RefCell<Vec<ProviderRequest>>);

impl Banks for Bank {
    fn forward(
        &self,
        _: &Permit,
        _: &Arc<Route>,
        request: ProviderRequest,
    ) -> impl Future<Output = (Result<ProviderAnswer, Fault>, Trail)> {
        self.0.borrow_mut().push(request);
        let mut headers = Fields::new();
        headers.insert(http::header::CONTENT_TYPE, "application/json".parse().unwrap());
        let body = Bytes::from_static(br#"{"access_token":"at","token_type":"bearer"}"#);
        ready((Ok(ProviderAnswer { status: StatusCode::OK, headers, body }), Trail::default()))
    }

    fn held(
        &self,
        _: &Permit,
        _: &Arc<Route>,
        _: Recipe,
    ) -> impl Future<Output = Result<Held, Fault>> {
        ready(Err(Fault::Internal("no held tokens here")))
    }

    fn evict(&self, _: &Held) {}

    fn alone(
        &self,
        _: Flight,
        _: Duration,
        exchange: impl Future<Output = Outcome>,
    ) -> impl Future<Output = Outcome> {
        exchange
    }
}

/// A wall clock that the test sets.
struct Clock {
    unix_seconds: u64,
    bits: u128,
}

impl Entropy for Clock {
    fn bits(&mut self) -> u128 {
        self.bits += 1;
        self.bits
    }

    fn unix_seconds(&self) -> u64 {
        self.unix_seconds
    }
}

struct Body(&'static str);

impl RequestBody for Body {
    fn declared_bytes(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }

    fn read(self, _: usize) -> impl Future<Output = Result<Bytes, Fault>> {
        ready(Ok(Bytes::from_static(self.0.as_bytes())))
    }
}

fn hub() -> Snapshot {
    let key = include_str!("../../tests/keys/es256.pem");
    let sources = MemorySources::default().file("routes.toml", TABLE).file("hub.pem", key);
    let loaded = load("routes.toml".as_ref(), &sources);
    Snapshot::build(loaded.unwrap_or_else(|report| panic!("{report}")).table, None)
}

/// One token call at this time of day.
fn call(hub: &Snapshot, bank: &Bank, target: &str, unix_seconds: u64) -> Answer {
    let form = "grant_type=authorization_code&code=abcdefgh&client_id=C&username=anna&\
                redirect_uri=https%3A%2F%2Fc.example%2Fcb";
    let (head, ()) = Request::post("/oauth/token")
        .header("User-Agent", "t")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("X-Correlation-ID", "jump")
        .header("X-CorAPI-Client-ID", "C")
        .header("X-CorAPI-Target-ID", target)
        .body(())
        .unwrap()
        .into_parts();
    let setting = Setting {
        hub,
        peer: &Peer { fingerprint: None, ended: false, address: IpAddr::V4(Ipv4Addr::LOCALHOST) },
        banks: bank,
        entropy: Clock { unix_seconds, bits: u128::from(unix_seconds) << 64 },
        now: Instant::now(),
        refusing: false,
    };
    let mut record = Record::default();
    let walked = pin!(exchange(setting, &head, Body(form), &mut record));
    match { walked }.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// The claims of the assertion in a request.
fn claims(request: &ProviderRequest) -> serde_json::Value {
    let body = std::str::from_utf8(&request.body).unwrap();
    let (_, assertion) = body.split_once("client_assertion=").unwrap();
    let claims = assertion.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

fn seconds(answer: &Answer) -> Option<u64> {
    answer.headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

#[test]
fn an_assertion_has_the_time_of_its_own_call_however_the_clock_jumps() {
    let (hub, bank) = (hub(), Bank::default());
    for time in CLOCK {
        assert_eq!(call(&hub, &bank, "SIGNS", time).status, 200, "{time}");
    }
    let claims: Vec<_> = bank.0.borrow().iter().map(claims).collect();
    for (claims, time) in claims.iter().zip(CLOCK) {
        assert_eq!((claims["iat"].as_u64(), claims["exp"].as_u64()), (Some(time), Some(time + 60)));
    }
    let mut ids: Vec<_> = claims.iter().map(|claims| claims["jti"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), CLOCK.len(), "an assertion was used again");
    assert_eq!(hub.route("SIGNS").unwrap().breaker.position(Instant::now()), Position::Closed);
}

#[test]
fn a_window_is_open_and_closed_by_the_clock_of_now_and_remembers_nothing() {
    let (hub, bank) = (hub(), Bank::default());
    let (from, to) = (NOON + HOUR / 2, NOON + HOUR * 3 / 2);
    for time in CLOCK {
        let answer = call(&hub, &bank, "CLOSES", time);
        if (from..to).contains(&time) {
            assert_eq!((answer.status.as_u16(), seconds(&answer)), (503, Some(to - time)));
        } else {
            assert_eq!(answer.status, 200, "{time}");
        }
    }
}

#[test]
fn a_limit_counts_calls_and_not_the_clocks_jumps() {
    let (hub, bank) = (hub(), Bank::default());
    for time in CLOCK {
        assert_eq!(call(&hub, &bank, "SIGNS", time).status, 200, "{time}: the burst is six");
    }
    // Neither an hour forward nor a day back fills the bucket, or empties it for longer.
    for time in CLOCK {
        let answer = call(&hub, &bank, "SIGNS", time);
        assert_eq!(answer.status, 429, "{time}");
        assert!(seconds(&answer).is_some_and(|wait| (1..=HOUR).contains(&wait)), "{time}");
    }
}
