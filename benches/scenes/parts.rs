//! The steps of the walk, each by itself.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Duration;

use corgate::answer::{Answer, Manner};
use corgate::contract::{AuthorizationPolicy, Operation, Waivers};
use corgate::fault::Fault;
use corgate::framing::{HeadLimits, Scan};
use corgate::ids::{ClientId, CorrelationId, TargetId};
use corgate::limiter::{Gate, KeyedGate, admit_client, admit_target};
use corgate::oauth::form::Form;
use corgate::record::{Connection, Record};
use corgate::routes::Quota;
use governor::clock::DefaultClock;
use http::{HeaderMap, Method};

use super::Work;
use super::world::{PLENTY, TOKEN_FORM, World, call, target_id};

/// The scan of a head's bytes, before the HTTP library sees them.
pub(super) fn framing() -> Work {
    let call = call("token", TOKEN_FORM);
    let mut head = format!("POST {} HTTP/1.1\r\n", call.head.uri).into_bytes();
    for (name, value) in &call.head.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let limits = HeadLimits { head_bytes_max: 16_384, fields_max: 64, uri_bytes_max: 8_192 };
    Box::new(move || {
        let scanned = Scan::default().read(black_box(&head), &limits);
        assert!(matches!(black_box(scanned), Ok(Some(_))));
    })
}

/// Every rule that the contract has for a token call's header fields.
pub(super) fn contract_head() -> Work {
    let operation = token_operation();
    let headers = call("token", TOKEN_FORM).head.headers;
    Box::new(move || check_head(operation, black_box(&headers)))
}

/// The form, read.
pub(super) fn form() -> Work {
    Box::new(|| assert!(black_box(Form::parse(black_box(TOKEN_FORM.as_bytes()))).is_ok()))
}

/// The form, read, and every rule that the contract has for it.
pub(super) fn contract_body() -> Work {
    let operation = token_operation();
    Box::new(move || check_body(operation, black_box(TOKEN_FORM.as_bytes())))
}

/// All checks of a token call together.
pub(super) fn contract_all() -> Work {
    let operation = token_operation();
    let headers = call("token", TOKEN_FORM).head.headers;
    Box::new(move || {
        check_head(operation, black_box(&headers));
        check_body(operation, black_box(TOKEN_FORM.as_bytes()));
    })
}

/// The client's bucket, the (client, target) pair's, and the target's.
pub(super) fn limits() -> Work {
    // One call a nanosecond: no bench empties it.
    let quota = Quota {
        rate: NonZeroU32::new(1_000_000_000).unwrap(),
        period: Duration::from_secs(1),
        burst: NonZeroU32::MAX,
        shadow: false,
    };
    let client = Gate::new(quota, DefaultClock::default());
    let pair = KeyedGate::new(quota, DefaultClock::default());
    let target = Gate::new(quota, DefaultClock::default());
    let id = TargetId::parse("IIDX000007").unwrap();
    let key = ClientId::parse("CIDX0000000001").unwrap().key();
    Box::new(move || {
        let admitted = admit_client(key, Some(&client)).unwrap();
        let permit = admit_target(&admitted, Some((&pair, black_box(&id))), Some(&target));
        assert!(black_box(permit).is_ok());
    })
}

/// A target, found among so many.
pub(super) fn route(targets: usize) -> Work {
    let world = World::new(targets, PLENTY);
    // Steps of a prime: neighbours in time are no neighbours in the table.
    let ids: Vec<String> =
        (0..targets.min(1_000)).map(|step| target_id(step * 7_919 % targets)).collect();
    let mut ids = ids.into_iter().cycle();
    let mut next = move || ids.next().unwrap_or_default();
    let asked: Vec<String> = (0..1_000).map(|_| next()).collect();
    let mut at = 0;
    Box::new(move || {
        at = (at + 1) % asked.len();
        assert!(black_box(world.hub.route(black_box(&asked[at]))).is_some());
    })
}

/// An answer made of a fault, marked.
pub(super) fn fault() -> Work {
    let fault = Fault::HeaderMissing("X-Correlation-ID".into());
    let correlation = CorrelationId::parse(&"by-hand".parse().unwrap()).unwrap();
    Box::new(move || {
        let mut answer = Answer::of_fault(black_box(&fault), Manner::default());
        answer.mark(&correlation);
        black_box(answer);
    })
}

/// The access line of a token call.
pub(super) fn line() -> Work {
    let world = World::new(10, PLENTY);
    let mut record = Record::default();
    let answer = world.walk(&call("token", TOKEN_FORM), &mut record);
    assert_eq!(answer.status, 200);
    record.trail.duration = Some(Duration::from_micros(1_234));
    let mut line = Vec::with_capacity(1_024);
    Box::new(move || {
        line.clear();
        let connection = Connection {
            peer: "127.0.0.1",
            protocol: "http/1.1",
            tls: Some("1.3"),
            time: "2026-01-02T03:04:05.678Z",
            duration: Duration::from_micros(2_345),
            client_gone: false,
        };
        black_box(&record).write_line(&connection, &mut line);
        black_box(&line);
    })
}

fn token_operation() -> &'static Operation {
    let world = World::new(10, PLENTY);
    let api = world.hub.table.apis.first().unwrap();
    api.contract.find(&Method::POST, "/oauth/token").unwrap()
}

fn check_head(operation: &Operation, headers: &HeaderMap) {
    let head = &operation.head;
    assert!(black_box(head.check_correlation_id(headers)).is_ok());
    assert!(black_box(head.client_id(headers)).is_ok());
    assert!(black_box(head.fields(headers)).is_ok());
    assert!(black_box(head.target_id(headers)).is_ok());
    assert!(black_box(head.authorization(headers, AuthorizationPolicy::Refuse)).is_ok());
    assert!(black_box(head.media(headers)).is_ok());
}

fn check_body(operation: &Operation, body: &[u8]) {
    assert!(black_box(operation.body.check(body, Waivers::default())).is_ok());
}
