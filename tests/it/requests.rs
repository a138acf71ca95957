//! CONTRACT 4.7: exactly what a bank receives, header by header.

use std::collections::BTreeSet;

use corgate::sim::server::Received;

use crate::ask::{Ask, BANK, CLIENT, Http};
use crate::world::{Setup, World};

/// What a client could send to be taken for somebody else, or to be remembered.
const FORGED: [(&str, &str); 22] = [
    ("Forwarded", "for=192.0.2.1;proto=http"),
    ("X-Forwarded-For", "192.0.2.1"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Real-IP", "192.0.2.1"),
    ("Client-Cert", ":ZXZpbA==:"),
    ("Client-Cert-Chain", ":ZXZpbA==:"),
    ("X-SSL-Client-Cert", "evil"),
    ("X-CorAPI-Source", "PROVIDER"),
    ("Cookie", "session=secret-session"),
    ("Proxy-Authorization", "Basic c2VjcmV0OnNlY3JldA=="),
    ("Accept-Encoding", "gzip, br"),
    ("Accept-Language", "de-CH"),
    ("Referer", "https://app.example/?code=secret"),
    ("Origin", "https://app.example"),
    ("X-Unknown", "unknown"),
    ("tracestate", "vendor=value"),
    ("baggage", "a=b"),
    ("X-Request-ID", "another-id"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("If-None-Match", "\"x\""),
    ("Range", "bytes=0-1"),
];

const CALLERS_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A good request with everything that must not reach the bank.
fn forged() -> Ask {
    FORGED
        .iter()
        .fold(Ask::token(), |ask, (name, value)| ask.with(name, value))
        .with("traceparent", format!("00-{CALLERS_TRACE}-00f067aa0ba902b7-01"))
        .with("X-PSU-IP-Address", "2001:db8::7")
        .with("X-PSU-User-Agent", "Mozilla/5.0 (Möwe)")
        .with("X-PSU-Accept-Lang", "de")
        .with("Accept", "application/json;q=0.5, */*;q=0.1")
        .with("Via", "1.0 somebody")
}

/// The names of the fields, in small letters.
fn names(request: &Received) -> BTreeSet<String> {
    request.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect()
}

#[track_caller]
fn says(request: &Received, name: &str, value: &str) {
    assert_eq!(request.header_all(name), [value], "{name}");
}

/// Checks all of a request but `Host`, which HTTP/2 has another word for.
fn check(request: &Received, ask: &Ask) {
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, "/oauth/token");
    assert_eq!(request.body, ask.body);
    says(request, "X-CorAPI-Client-ID", CLIENT);
    says(request, "X-CorAPI-Target-ID", BANK);
    let correlation = std::str::from_utf8(ask.values("X-Correlation-ID")[0]).unwrap();
    says(request, "X-Correlation-ID", correlation);
    says(request, "User-Agent", "it/1");
    says(request, "X-PSU-IP-Address", "2001:db8::7");
    says(request, "X-PSU-User-Agent", "Mozilla/5.0 (Möwe)");
    says(request, "X-PSU-Accept-Lang", "de");
    says(request, "Content-Type", "application/x-www-form-urlencoded");
    says(request, "Content-Length", &ask.body.len().to_string());
    says(request, "Accept", "application/json");
    says(request, "Accept-Encoding", "identity");
    says(request, "Via", "1.1 corgate");
    check_trace(request.header("traceparent").unwrap());
}

/// A fresh trace: nothing of the caller's is in it.
fn check_trace(traceparent: &str) {
    let parts: Vec<_> = traceparent.split('-').collect();
    let [version, trace, parent, flags] = parts[..] else { panic!("{traceparent}") };
    assert_eq!((version, trace.len(), parent.len(), flags.len()), ("00", 32, 16, 2));
    assert!(traceparent.bytes().all(|b| b == b'-' || matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    assert_ne!(trace, CALLERS_TRACE);
    assert_ne!(trace, "0".repeat(32));
    assert_ne!(parent, "00f067aa0ba902b7");
}

over_both! {
    fn the_bank_receives_what_the_contract_says_and_nothing_else(http) {
        let world = World::new();
        let ask = forged();
        let answer = world.call(http, ask.clone()).good();
        let received = world.bank.requests();
        check(&received[0], &ask);
        says(&received[0], "Host", &format!("127.0.0.1:{}", world.bank.address().port()));
        let all = [
            "accept", "accept-encoding", "content-length", "content-type", "host", "traceparent",
            "user-agent", "via", "x-corapi-client-id", "x-corapi-target-id", "x-correlation-id",
            "x-psu-accept-lang", "x-psu-ip-address", "x-psu-user-agent",
        ];
        assert_eq!(names(&received[0]), all.map(ToOwned::to_owned).into());
        let line = world.line_of(&answer);
        assert_eq!(line["caller_trace_id"], CALLERS_TRACE);
        let traceparent = received[0].header("traceparent").unwrap();
        assert!(traceparent.contains(line["trace_id"].as_str().unwrap()));
    }

    fn over_http_2_the_bank_receives_the_same(http) {
        let world = Setup::new().target("http = \"2\"").start();
        let ask = forged();
        world.call(http, ask.clone()).good();
        let received = world.bank.requests();
        assert_eq!(received[0].version, "HTTP/2.0");
        check(&received[0], &ask);
        says(&received[0], ":authority", &format!("127.0.0.1:{}", world.bank.address().port()));
        assert!(!names(&received[0]).contains("host"));
        assert!(!names(&received[0]).contains("connection"));
    }

    fn each_call_has_a_trace_of_its_own(http) {
        let world = World::new();
        for _ in 0..5 {
            world.call(http, Ask::token()).good();
        }
        let traces: BTreeSet<_> = world
            .bank
            .requests()
            .iter()
            .map(|request| request.header("traceparent").unwrap().to_owned())
            .collect();
        assert_eq!(traces.len(), 5);
    }

    fn a_broken_traceparent_is_no_reason_to_refuse(http) {
        let world = World::new();
        let zeros = format!("00-{}-{}-01", "0".repeat(32), "0".repeat(16));
        for bad in ["", "00-0-0-0", "ff-x", "garbage", &zeros] {
            let answer = world.call(http, Ask::token().with("traceparent", bad)).good();
            assert_eq!(world.line_of(&answer).get("caller_trace_id"), None, "{bad}");
        }
        world.bank_heard(5);
    }

    fn the_token_of_a_validation_travels_and_no_other_authorization_does(http) {
        let world = World::new();
        world.call(http, Ask::username().set("Authorization", "bEARER sim-static")).good();
        says(&world.bank.requests()[0], "Authorization", "bEARER sim-static");
        world.call(http, Ask::token()).good();
        assert!(!names(&world.bank.requests()[1]).contains("authorization"));
    }

    fn an_answer_tells_no_client_who_the_bank_is(http) {
        let world = World::new();
        let answer = world.call(http, Ask::token()).good();
        let port = world.bank.address().port().to_string();
        assert!(!format!("{:?}", answer.headers).contains(&port));
    }
}

#[test]
fn fields_that_connection_names_stay_behind_and_required_ones_do_not() {
    let world = World::new();
    let mut wire = world.wire();
    let nominated = "X-PSU-IP-Address, X-Correlation-ID, X-CorAPI-Client-ID, keep-alive";
    let ask = Ask::token()
        .with("X-PSU-IP-Address", "192.0.2.1")
        .with("X-PSU-User-Agent", "stays")
        .with("Connection", nominated)
        .with("Keep-Alive", "timeout=5")
        .with("TE", "trailers")
        .with("Upgrade", "h2c")
        .with("Proxy-Connection", "keep-alive")
        .with("HTTP2-Settings", "AAMAAABkAAQAAP__");
    wire.send(ask.bytes());
    wire.answer().good();
    let received = world.bank.requests();
    let names = names(&received[0]);
    for name in [
        "x-psu-ip-address",
        "connection",
        "keep-alive",
        "te",
        "upgrade",
        "proxy-connection",
        "http2-settings",
    ] {
        assert!(!names.contains(name), "{name}: {names:?}");
    }
    says(&received[0], "X-PSU-User-Agent", "stays");
    let correlation = std::str::from_utf8(ask.values("X-Correlation-ID")[0]).unwrap();
    says(&received[0], "X-Correlation-ID", correlation);
    says(&received[0], "X-CorAPI-Client-ID", CLIENT);
}

#[test]
fn the_name_of_a_bank_is_its_host() {
    let world = World::new();
    let upstream = format!("\"https://localhost:{}\"", world.bank.address().port());
    let hub = Setup::new().upstream(&upstream).start();
    hub.call(Http::One, Ask::token()).good();
    says(&world.bank.requests()[0], "Host", &format!("localhost:{}", world.bank.address().port()));
}
