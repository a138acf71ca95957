//! CONTRACT 4.4, rows 8 and 9, and 4.1: who calls is decided by the handshake.

use corgate::sim::client::{Client, ClientTls};

use crate::ask::{Ask, CLIENT, Http};
use crate::wire::{PATIENCE, Wire};
use crate::world::{Setup, World, client_id, pki, tls_of, wait};

const FAILED: &str = "client authentication failed";
const CHALLENGE: &str = "tls_client_auth realm=\"corgate\"";

/// Client 2 has an entry, client 3 a certificate alone.
fn world() -> World {
    Setup::new().and_client(2, "targets = [\"*\"]").start()
}

over_both! {
    fn row_4_4_08_a_good_certificate_that_is_in_no_entry(http) {
        let world = world();
        let ask = Ask::token().client(&client_id(3));
        let answer = world.client(http, 3).call(ask).refused(401, "invalid_client", FAILED);
        answer.says("www-authenticate", CHALLENGE).logged("client_unknown");
        world.bank_heard(0);
    }

    fn row_4_4_08_another_clients_id_in_the_header(http) {
        let world = world();
        let answer = world.call(http, Ask::token().client(&client_id(2)));
        let answer = answer.refused(401, "invalid_client", FAILED).logged("client_mismatch");
        answer.says("www-authenticate", CHALLENGE);
        world.bank_heard(0);
    }

    fn row_4_4_08_another_clients_id_in_the_form(http) {
        let world = world();
        for ask in [Ask::token(), Ask::revoke(), Ask::refresh()] {
            world
                .call(http, ask.param("client_id", &client_id(2)))
                .refused(401, "invalid_client", FAILED)
                .says("www-authenticate", CHALLENGE)
                .logged("form_client_mismatch");
        }
        world.bank_heard(0);
    }

    fn row_4_4_08_the_three_causes_look_the_same(http) {
        let world = world();
        let unknown = world.client(http, 3).call(Ask::token().client(&client_id(3)));
        let header = world.call(http, Ask::token().client(&client_id(2)));
        let form = world.call(http, Ask::token().param("client_id", &client_id(2)));
        for other in [&header, &form] {
            assert_eq!(unknown.body, other.body);
            let names = |answer: &crate::answer::Answer| {
                let mut names: Vec<_> = answer.headers.keys().cloned().collect();
                names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
                names
            };
            assert_eq!(names(&unknown), names(other));
        }
    }

    fn row_4_4_09_a_suspended_client_may_revoke_and_nothing_else(http) {
        let world = Setup::new().client("targets = [\"*\"]\nstatus = \"suspended\"").start();
        let mut client = world.client(http, 1);
        for ask in [Ask::token(), Ask::refresh(), Ask::username()] {
            client
                .call(ask)
                .refused(403, "unauthorized_client", "client is not active")
                .logged("client_suspended");
        }
        client.call(Ask::revoke()).good();
        world.bank_heard(1);
    }

    fn without_a_certificate_the_call_is_refused_where_it_is_optional(http) {
        let world = Setup::new().tls("client_auth = \"optional\"").start();
        let tls = ClientTls::new(pki().hub_ca.cert(), None).unwrap();
        let mut nobody = world.client_with(http, Client::tls(world.address(0), tls));
        nobody
            .call(Ask::token())
            .refused(401, "invalid_client", FAILED)
            .says("www-authenticate", CHALLENGE)
            .logged("certificate_missing");
        world.bank_heard(0);
        world.call(http, Ask::token()).good();
    }

    fn without_a_certificate_there_is_no_handshake_where_it_is_required(http) {
        let world = World::new();
        let tls = ClientTls::new(pki().hub_ca.cert(), None).unwrap();
        turned_away(http, &world, tls);
    }

    fn a_strangers_certificate_ends_the_handshake(http) {
        let world = World::new();
        let stranger = pki().stranger(CLIENT).unwrap();
        let tls = ClientTls::new(pki().hub_ca.cert(), Some(&stranger)).unwrap();
        turned_away(http, &world, tls);
    }

    fn the_wire_carries_the_certificate_and_the_header_adds_nothing(http) {
        let world = Setup::new().contract("blink-six").start();
        world.call(http, six(Ask::token()).without("X-CorAPI-Client-ID")).good();
        world.call(http, six(Ask::token())).good();
        world
            .call(http, six(Ask::token()).set("X-CorAPI-Client-ID", client_id(2)))
            .refused(401, "invalid_client", FAILED)
            .logged("client_mismatch");
        for request in world.bank.requests() {
            assert_eq!(request.header("X-CorAPI-Client-ID"), Some(CLIENT));
        }
        world.bank_heard(2);
    }
}

/// What `blink-six` asks for besides.
fn six(ask: Ask) -> Ask {
    ask.with("X-PSU-IP-Address", "AUTO").with("X-PSU-User-Agent", "AUTO")
}

refused! { in Setup::new().contract("blink-six").start();
    row_4_4_11_six_requires_the_target:
        six(Ask::token()).without("X-CorAPI-Target-ID")
        => 400 invalid_request header_missing "X-CorAPI-Target-ID header is required";
    row_4_4_17_six_requires_the_psu_address:
        six(Ask::token()).without("X-PSU-IP-Address")
        => 400 invalid_request header_missing "X-PSU-IP-Address header is required";
    row_4_4_18_six_requires_the_psu_agent:
        six(Ask::token()).without("X-PSU-User-Agent")
        => 400 invalid_request header_missing "X-PSU-User-Agent header is required";
    row_4_4_07_six_refuses_a_malformed_client_id_too:
        six(Ask::token()).set("X-CorAPI-Client-ID", "a/b")
        => 400 invalid_request header_malformed "X-CorAPI-Client-ID is malformed";
}

#[test]
fn a_revoked_certificate_ends_the_handshake() {
    // The list is written beside the other files before the gateway starts.
    let revoked = pki().client("CIDX0000000009").unwrap();
    let list = pki().clients_crl(&[&revoked]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("revoked.pem");
    std::fs::write(&file, list).unwrap();
    let world = Setup::new().tls(&format!("client_crl = [\"{}\"]", file.display())).start();
    let tls = ClientTls::new(pki().hub_ca.cert(), Some(&revoked)).unwrap();
    turned_away(Http::One, &world, tls);
    world.call(Http::One, Ask::token()).good();
}

/// The gateway ends the handshake with an alert. Over TLS 1.3 it comes after the client's part of
/// the handshake; nothing is sent before, so that no reset can overtake it.
fn turned_away(http: Http, world: &World, tls: ClientTls) {
    let client = Client::tls(world.address(0), tls);
    let client = if http == Http::Two { client.http2() } else { client };
    match wait(client.raw()) {
        Err(error) => assert!(error.is_tls_refusal(), "{error:?}"),
        Ok(mut stream) => {
            let error = wait(stream.read(PATIENCE)).unwrap_err();
            let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
            assert!(matches!(alert, Some(rustls::Error::AlertReceived(_))), "{error:?}");
        }
    }
    world.counts("corgate_handshakes_failed_total", 1);
}

/// A world with a plain listener, where the header is believed.
fn plain_world() -> World {
    let gateway = "insecure_plain_listen = \"127.0.0.1:0\"\ninsecure_header_identity = true";
    Setup::new().gateway(gateway).start()
}

#[test]
fn on_an_insecure_plain_listener_the_header_is_the_identity() {
    let world = plain_world();
    let mut client = world.client_with(Http::One, Client::plain(world.address(1)));
    client.call(Ask::token()).good();
    client
        .call(Ask::token().client(&client_id(4)))
        .refused(401, "invalid_client", FAILED)
        .logged("client_unknown");
    client
        .call(Ask::token().param("client_id", &client_id(2)))
        .refused(401, "invalid_client", FAILED)
        .logged("form_client_mismatch");
    assert_eq!(world.bank.requests()[0].header("X-CorAPI-Client-ID"), Some(CLIENT));
    world.bank_heard(1);
}

#[test]
fn a_plain_listener_believes_no_header_unless_it_is_told_to() {
    let world = Setup::new().gateway("insecure_plain_listen = \"127.0.0.1:0\"").start();
    let mut client = world.client_with(Http::One, Client::plain(world.address(1)));
    client.call(Ask::token()).refused(401, "invalid_client", FAILED).logged("certificate_missing");
    world.bank_heard(0);
}

#[test]
fn a_certificate_wins_over_the_header_also_where_headers_are_believed() {
    let world = plain_world();
    world
        .call(Http::One, Ask::token().client(&client_id(2)))
        .refused(401, "invalid_client", FAILED)
        .logged("client_mismatch");
}

#[test]
fn plain_http_on_the_tls_port_is_not_answered() {
    let world = World::new();
    let client = Client::plain(world.address(0)).timeout(PATIENCE);
    let mut wire = Wire::new(wait(client.raw()).unwrap(), world.notes().clone());
    wire.send(Ask::token().bytes());
    let bytes = wire.bytes();
    assert!(!bytes.starts_with(b"HTTP"), "{bytes:?}");
    world.bank_heard(0);
}

#[test]
fn a_session_resumes_and_keeps_its_client() {
    let world = world();
    let mut client = world.client_with(Http::One, Client::tls(world.address(0), tls_of(1)));
    client.call(Ask::token()).good();
    client.close();
    client.call(Ask::token()).good();
    world.counts("corgate_handshakes_resumed_total", 1);
    let resumed = client.call(Ask::token().client(&client_id(2)));
    resumed.refused(401, "invalid_client", FAILED).logged("client_mismatch");
    world.bank_heard(2);
}
