//! CONTRACT 4.6: a bank that can't be reached, or is not who it should be.
//!
//! No byte of a request is sent to whoever is there instead.

use std::sync::Arc;
use std::time::Duration;

use corgate::ids::TargetId;
use corgate::sim::bank::Bank;
use corgate::sim::server::{Listening, ServerTls};

use crate::ask::{Ask, BANK, Http};
use crate::world::{Setup, Stub, World, bank, bank_with, closed_port, now, pki};

const UNREACHED: &str = "target could not be reached";
const LATE: &str = "target did not respond in time";

/// A bank behind this listener, as the only one there is.
fn with_bank(listening: Listening) -> World {
    Setup::new().bank(bank_with(listening)).start()
}

/// A listener with this certificate, which asks for the hub's.
fn showing(identity: &corgate::sim::pki::Identity) -> Listening {
    Listening::tls(ServerTls::mutual(identity, pki().hub_ca.cert()).unwrap())
}

#[track_caller]
fn unreached(world: &World, http: Http, fault: &str, proxy_status: &str) {
    for ask in [Ask::token(), Ask::revoke(), Ask::username()] {
        world
            .call(http, ask)
            .refused(502, "server_error", UNREACHED)
            .says("proxy-status", &format!("corgate; error={proxy_status}"))
            .logged(fault);
    }
    world.bank_heard(0);
}

over_both! {
    fn row_4_6_a_port_that_refuses(http) {
        let (_held, port) = closed_port();
        let world = Setup::new().upstream(&format!("\"https://127.0.0.1:{port}\"")).start();
        unreached(&world, http, "connect_failed", "connection_refused");
    }

    fn row_4_6_a_name_that_does_not_exist(http) {
        let world = Setup::new().upstream("\"https://nonexistent.invalid\"").start();
        unreached(&world, http, "dns_failed", "dns_error");
    }

    fn row_4_6_a_name_that_leads_to_a_private_address(http) {
        // What a hostile name server would say; `localhost` stands for any such name.
        let bank = bank();
        let upstream = format!("\"https://localhost:{}\"", bank.address().port());
        let world = Setup::new()
            .bank(bank)
            .upstream(&upstream)
            .edit(|table| {
                let target = table.targets.get_mut(&TargetId::parse(BANK).unwrap()).unwrap();
                Arc::get_mut(target).unwrap().allow_private_addresses = false;
            })
            .start();
        unreached(&world, http, "address_forbidden", "destination_ip_prohibited");
        assert_eq!(world.bank.connections(), 0);
    }

    fn row_4_6_an_expired_certificate(http) {
        let world = with_bank(showing(&pki().expired_bank("it").unwrap()));
        unreached(&world, http, "tls_failed", "tls_certificate_error");
    }

    fn row_4_6_a_certificate_of_an_unknown_authority(http) {
        let world = with_bank(showing(&pki().stranger_bank("it").unwrap()));
        unreached(&world, http, "tls_failed", "tls_certificate_error");
    }

    fn row_4_6_a_certificate_of_another_name(http) {
        let other = pki().banks_ca.server("other", &["other.bank.test"]).unwrap();
        let world = with_bank(showing(&other));
        unreached(&world, http, "tls_failed", "tls_certificate_error");
    }

    fn row_4_6_a_good_certificate_where_another_name_is_asked_for(http) {
        let world = Setup::new().target("tls = { server_name = \"other.bank.test\" }").start();
        unreached(&world, http, "tls_failed", "tls_certificate_error");
    }

    fn row_4_6_a_certificate_of_the_hubs_own_clients(http) {
        let client = pki().clients_ca.server("it", &["127.0.0.1"]).unwrap();
        let world = with_bank(showing(&client));
        unreached(&world, http, "tls_failed", "tls_certificate_error");
    }

    fn row_4_6_plain_http_where_tls_should_be(http) {
        let world = with_bank(Listening::plain());
        unreached(&world, http, "tls_failed", "tls_certificate_error");
    }

    fn row_4_6_garbage_where_tls_should_be(http) {
        let stub = Stub::start(b"220 mail.example ESMTP\r\n");
        let upstream = format!("\"https://127.0.0.1:{}\"", stub.port());
        let world = Setup::new().upstream(&upstream).start();
        unreached(&world, http, "tls_failed", "tls_certificate_error");
    }

    fn row_4_6_a_bank_that_does_not_know_the_hub(http) {
        let identity = pki().bank("it").unwrap();
        let tls = ServerTls::mutual(&identity, pki().stranger_ca.cert()).unwrap();
        let world = with_bank(Listening::tls(tls));
        // Over TLS 1.3 the refusal comes after the hub's part of the handshake: it may show as a
        // connection that was lost.
        world.call(http, Ask::token()).refused(502, "server_error", UNREACHED);
        world.bank_heard(0);
    }

    fn row_4_6_a_bank_that_asks_for_no_certificate(http) {
        // Again and again: no resumed session may stand for one in which nobody asked.
        let identity = pki().bank("it").unwrap();
        for tls in [ServerTls::one_sided(&identity), ServerTls::one_sided_tls12(&identity)] {
            let world = with_bank(Listening::tls(tls.unwrap()));
            unreached(&world, http, "tls_failed", "tls_certificate_error");
        }
    }

    fn a_bank_may_go_without_the_hubs_certificate_where_the_table_says_so(http) {
        let identity = pki().bank("it").unwrap();
        let tls = ServerTls::one_sided(&identity).unwrap();
        let world = Setup::new()
            .bank(bank_with(Listening::tls(tls)))
            .target("tls = { cert_optional = true }")
            .start();
        world.call(http, Ask::token()).good();
        assert_eq!(world.bank.requests()[0].certificate, None);
    }

    fn a_resumed_session_stands_for_one_in_which_the_bank_asked(http) {
        let world = Setup::new().target("idle_connections_max = 0").start();
        for _ in 0..3 {
            world.call(http, Ask::token()).good();
        }
        let shown = world.bank.requests().into_iter().map(|request| request.certificate);
        assert!(shown.into_iter().all(|shown| shown == Some(pki().hub.fingerprint())));
        assert_eq!(world.bank.connections(), 3);
    }

    fn row_4_6_a_bank_that_speaks_tls_1_0_alone(http) {
        // Its alert: fatal, protocol_version.
        let stub = Stub::start(b"\x15\x03\x01\x00\x02\x02\x46");
        let upstream = format!("\"https://127.0.0.1:{}\"", stub.port());
        let world = Setup::new().upstream(&upstream).start();
        unreached(&world, http, "tls_failed", "tls_certificate_error");
    }

    fn row_4_6_a_handshake_that_never_ends(http) {
        let stub = Stub::start(b"");
        let world = Setup::new()
            .upstream(&format!("\"https://127.0.0.1:{}\"", stub.port()))
            .target("timeouts = { connect = \"200ms\", first_byte = \"5s\", total = \"10s\" }")
            .start();
        let started = now();
        world
            .call(http, Ask::token())
            .refused(504, "server_error", LATE)
            .says("proxy-status", "corgate; error=connection_timeout")
            .logged("connect_timeout");
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    fn a_bank_without_http_2_where_http_2_is_asked_for(http) {
        // The listener speaks both; what it can't do is plain HTTP/2 by ALPN.
        let world = Setup::new().bank(bank_with(Listening::plain())).target("http = \"2\"").start();
        unreached(&world, http, "tls_failed", "tls_certificate_error");
    }

    fn the_second_address_is_tried_where_the_first_refuses(http) {
        let (_held, port) = closed_port();
        let bank = bank();
        let upstream = format!(
            "[\"https://127.0.0.1:{port}\", \"https://127.0.0.1:{}\"]",
            bank.address().port()
        );
        let world = Setup::new().bank(bank).upstream(&upstream).start();
        let answer = world.call(http, Ask::token()).good();
        let line = world.line_of(&answer);
        assert_eq!(line["dials"], 2);
        let end = format!(":{}", world.bank.address().port());
        assert!(line["endpoint"].as_str().unwrap().ends_with(&end));
        for _ in 0..3 {
            world.call(http, Ask::token()).good();
        }
        world.bank_heard(4);
        assert_eq!(world.bank.connections(), 1);
    }
}

#[test]
fn the_second_address_takes_over_when_the_first_goes_away() {
    let (first, second): (Bank, Bank) = (bank(), bank());
    let ports = [first.address().port(), second.address().port()];
    let upstream =
        format!("[\"https://127.0.0.1:{}\", \"https://127.0.0.1:{}\"]", ports[0], ports[1]);
    let world = Setup::new().bank(second).upstream(&upstream).start();
    world.call(Http::One, Ask::token()).good();
    assert_eq!(first.requests().len(), 1);
    drop(first);
    // A connection that the bank closed while it rested is not used again.
    std::thread::sleep(Duration::from_millis(50));
    world.call(Http::One, Ask::token()).good();
    world.bank_heard(1);
}

#[test]
fn a_table_that_leads_to_a_private_address_by_accident_does_not_load() {
    let world = World::new();
    let text = "\n[[target]]\nid = \"IIDX00009\"\nupstream = \"https://localhost:1\"\n";
    let report = Setup::new().more(text).load(&world.bank).unwrap_err();
    assert!(report.contains("is a private address"), "{report}");
}

#[test]
fn why_a_bank_was_refused_stands_in_no_answer() {
    let world = with_bank(showing(&pki().expired_bank("it").unwrap()));
    let answer = world.call(Http::One, Ask::token()).platform(502);
    let text = format!("{:?} {:?}", answer.headers, answer.body).to_lowercase();
    for word in ["expired", "127.0.0.1", "x509", "rustls", "corgate development"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
}
