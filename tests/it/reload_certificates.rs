//! Certificates and keys are rotated while calls go on, at the edge and towards banks; a broken
//! one changes nothing.

use std::sync::Arc;
use std::time::Duration;

use corgate::ids::Fingerprint;
use corgate::sim::pki::Identity;
use rustls::HandshakeKind;

use crate::ask::{Ask, BANK, Http};
use crate::load::Load;
use crate::shake::Shake;
use crate::world::{Setup, World, bank, client_config, pki, until};

const REFUSED: &str = "corgate_reloads_total{outcome=\"refused\"}";

/// The certificate that the edge shows to whoever connects now.
fn shown(world: &World) -> Fingerprint {
    Shake::make(world, &Arc::new(client_config(1)), &Ask::token()).unwrap().shown
}

fn write(world: &World, stem: &str, identity: &Identity) {
    world.write(&format!("{stem}.pem"), identity.cert_pem());
    world.write(&format!("{stem}.key"), identity.key_pem());
}

fn edge(name: &str) -> Identity {
    pki().hub_ca.server(name, &["localhost", "127.0.0.1"]).unwrap()
}

over_both! {
    fn the_edges_certificate_is_rotated_without_a_failed_call(http) {
        let world = World::new();
        let load = Load::start(&world, 1);
        let mut old = world.client(http, 1);
        old.call(Ask::token()).good();
        let remembers = Arc::new(client_config(1));
        let shake = || Shake::make(&world, &remembers, &Ask::token()).unwrap();
        assert_eq!(shake().kind, HandshakeKind::Full);
        assert_eq!(shown(&world), pki().edge.fingerprint());
        let fresh = edge("corgate development edge, the second");
        write(&world, "edge", &fresh);
        let (status, report) = world.reload();
        assert_eq!((status, report["outcome"].as_str()), (200, Some("applied")), "{report:#}");
        let keys = &report["changes"][1]["keys"];
        assert_eq!(keys[0]["key"], "serial", "{report:#}");
        assert_eq!(shown(&world), fresh.fingerprint());
        // Who was there is not touched, and its ticket is still good.
        let handshakes = world.metric("corgate_handshakes_total");
        old.call(Ask::token()).good();
        let after = shake();
        assert_eq!((after.kind, after.answered), (HandshakeKind::Resumed, true));
        load.stop();
        assert!(world.metric("corgate_handshakes_total") > handshakes);
        assert_eq!(world.metric("corgate_handshakes_failed_total"), 0);
    }

    fn a_broken_certificate_of_the_edge_is_refused(http) {
        let world = World::new();
        let load = Load::start(&world, 1);
        let other = edge("another");
        let expired = pki().hub_ca.expired_server("expired", &["localhost"]).unwrap();
        let (cert, key) = (other.cert_pem(), other.key_pem());
        for (cert, key, words) in [
            (cert, pki().edge.key_pem(), "edge.pem"),
            (pki().edge.cert_pem(), key, "edge.pem"),
            ("nonsense", key, "holds no PEM certificate"),
            (cert, "nonsense", "holds no PEM private key"),
            (expired.cert_pem(), expired.key_pem(), "has expired on 20"),
        ] {
            world.write("edge.pem", cert);
            world.write("edge.key", key);
            let (status, report) = world.reload();
            assert_eq!(status, 422, "{report:#}");
            let problem = report["problems"][0].as_str().unwrap();
            assert!(problem.contains(words), "{problem}");
            assert_eq!(shown(&world), pki().edge.fingerprint());
            world.call(http, Ask::token()).good();
        }
        load.stop();
        assert_eq!(world.metric("corgate_generation"), 1);
    }

    fn what_the_hub_shows_to_banks_is_rotated_without_a_failed_call(http) {
        let world = World::new();
        let load = Load::start(&world, 1);
        world.call(http, Ask::token()).good();
        let fresh = pki().hub_ca.client("corgate development hub, the second").unwrap();
        write(&world, "hub", &fresh);
        let (status, report) = world.reload();
        assert_eq!((status, report["outcome"].as_str()), (200, Some("applied")), "{report:#}");
        // Calls that had begun may end on what there was; all others are made under the new one.
        load.more(8);
        world.bank.clear();
        load.more(20);
        load.stop();
        let requests = world.bank.requests();
        assert!(requests.len() >= 20);
        for request in requests {
            assert_eq!(request.certificate, Some(fresh.fingerprint()));
        }
    }

    fn a_broken_certificate_towards_a_bank_leaves_that_bank_the_one_it_has(http) {
        let world = World::new();
        let load = Load::start(&world, 1);
        world.write("hub.key", edge("another").key_pem());
        world.rewrite("[[target]]", "[[target]]\nname = \"another\"");
        world.rewrite("[gateway.limits]", "[gateway.limits]\nbody_bytes_max = 2000");
        let (status, report) = world.reload();
        assert_eq!((status, report["outcome"].as_str()), (200, Some("partial")), "{report:#}");
        assert_eq!(report["set_aside"][0]["targets"][0], BANK);
        let problem = report["set_aside"][0]["problems"][0].as_str().unwrap();
        assert!(problem.contains("hub.pem"), "{problem}");
        assert_eq!(world.metric("corgate_targets_quarantined"), 1);
        let (_, shown) = world.page_of(&format!("/banks/{BANK}"));
        // The rest of its new entry holds.
        assert!(shown["name"] == "another" && shown["quarantined"].is_array(), "{shown:#}");
        world.call(http, Ask::token()).good();
        for request in world.bank.requests() {
            assert_eq!(request.certificate, Some(pki().hub.fingerprint()));
        }
        world.call(http, Ask::token().body_bytes(2_001)).platform(413);
        load.stop();
        world.write("hub.key", pki().hub.key_pem());
        world.rewrite("name = \"another\"", "name = \"a third\"");
        assert_eq!(world.reload().1["outcome"], "applied");
        let (_, shown) = world.page_of(&format!("/banks/{BANK}"));
        assert!(shown["name"] == "a third" && shown["quarantined"].is_null(), "{shown:#}");
    }

    fn a_broken_certificate_does_not_keep_a_suspended_bank_open(http) {
        let other_files =
            "tls = { ca = 'banks-ca.pem', cert = 'hub.pem', key = 'new.key' }\nname = 'another'\n";
        for files in ["", other_files] {
            let world = World::new();
            world.call(http, Ask::token()).good();
            world.write("hub.pem", edge("another").cert_pem());
            world.write("new.key", pki().hub.key_pem());
            world.rewrite("[[target]]", &format!("[[target]]\n{files}status = \"suspended\""));
            let (status, report) = world.reload();
            assert_eq!((status, report["outcome"].as_str()), (200, Some("partial")), "{report:#}");
            assert_eq!(report["set_aside"][0]["targets"][0], BANK);
            world.call(http, Ask::token()).platform(403).logged("target_suspended");
            world.bank_heard(1);
        }
    }

    fn a_broken_certificate_under_a_new_name_leaves_the_banks_entry_as_it_was(http) {
        let world = World::new();
        let files = "tls = { ca = \"banks-ca.pem\", cert = \"hub.pem\", key = \"new.key\" }";
        world.write("new.key", edge("another").key_pem());
        world.rewrite("[[target]]", &format!("[[target]]\n{files}\nname = \"another\""));
        let (status, report) = world.reload();
        assert_eq!((status, report["outcome"].as_str()), (200, Some("partial")), "{report:#}");
        let (_, shown) = world.page_of(&format!("/banks/{BANK}"));
        assert!(shown["name"].is_null() && shown["quarantined"].is_array(), "{shown:#}");
        world.call(http, Ask::token()).good();
    }

    fn an_expired_certificate_towards_a_bank_is_refused_under_a_new_name_too(http) {
        let world = World::new();
        let expired = pki().hub_ca.expired_server("expired", &["localhost"]).unwrap();
        write(&world, "late", &expired);
        let table = std::fs::read_to_string(world.file("routes.toml")).unwrap();
        let files = "tls = { ca = \"banks-ca.pem\", cert = \"late.pem\", key = \"late.key\" }";
        let port = world.bank.address().port();
        let known = table.replace("[[target]]", &format!("[[target]]\n{files}"));
        let new = format!(
            "{table}\n[[target]]\nid = \"NEW\"\nupstream = \"https://127.0.0.1:{port}\"\n\
             allow_private_addresses = true\n{files}\n"
        );
        for (table, id) in [(known, BANK), (new, "NEW")] {
            world.write("routes.toml", &table);
            // It does not come to be in use by being refused once.
            for _ in 0..2 {
                let (status, report) = world.reload();
                let outcome = report["outcome"].as_str();
                assert_eq!((status, outcome), (200, Some("partial")), "{report:#}");
                assert_eq!(report["set_aside"][0]["targets"][0], id);
                let problem = report["set_aside"][0]["problems"][0].as_str().unwrap();
                assert!(problem.contains("late.pem: has expired on 20"), "{problem}");
            }
            world.call(http, Ask::token()).good();
        }
        world.call(http, Ask::token().bank("NEW")).platform(500).logged("internal");
    }

    fn no_connection_to_a_bank_outlives_the_ca_that_it_was_made_under(http) {
        no_connection_outlives_its_ca(http, "1.1");
        no_connection_outlives_its_ca(http, "2");
    }
}

fn no_connection_outlives_its_ca(http: Http, upstream: &str) {
    let breaker = "breaker = { failures = 1000, open_for = \"1s\" }";
    let world = Setup::new().target(&format!("http = \"{upstream}\"\n{breaker}")).start();
    let mut client = world.client(http, 1);
    client.call(Ask::token()).good();
    world.write("banks-ca.pem", pki().stranger_ca.pem());
    assert_eq!(world.reload().1["outcome"], "applied");
    world.bank.clear();
    // An idle connection is there, and is not used.
    for _ in 0..5 {
        client.call(Ask::token()).platform(502).logged("tls_failed");
    }
    world.bank_heard(0);
    let both = format!("{}{}", pki().banks_ca.pem(), pki().stranger_ca.pem());
    world.write("banks-ca.pem", &both);
    assert_eq!(world.reload().1["outcome"], "applied");
    client.call(Ask::token()).good();
}

#[test]
fn a_key_that_lost_its_line_ends_is_shown_nowhere() {
    let world = World::new();
    let flat = |pem: &str| pem.replace('\n', "");
    let (cert, key) = (flat(pki().edge.cert_pem()), flat(pki().edge.key_pem()));
    let inside: String = pki().edge.key_pem().lines().filter(|line| !line.contains('-')).collect();
    let numbers = |text: &str| format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned();
    let pieces: Vec<_> = (0..inside.len() / 12)
        .map(|number| &inside[number * 12..][..12])
        .flat_map(|piece| [piece.to_owned(), numbers(piece)])
        .collect();
    pieces.iter().for_each(|piece| world.notes().learn(piece));
    let is_silent = |page: &str| {
        for piece in &pieces {
            assert!(!page.contains(piece.as_str()), "{page}");
        }
    };
    for text in [key.clone(), cert + &key] {
        world.write("edge.pem", &text);
        let (status, report) = world.reload();
        assert_eq!(status, 422, "{report:#}");
        is_silent(&report.to_string());
        is_silent(&world.admin("/diff").1);
    }
    world.write("edge.pem", pki().edge.cert_pem());
    world.write("hub.pem", &key);
    let (_, report) = world.reload();
    assert_eq!(report["outcome"], "partial", "{report:#}");
    is_silent(&report.to_string());
    ["/reload", "/banks"].iter().for_each(|path| is_silent(&world.admin(path).1));
}

#[test]
fn a_certificate_that_is_not_yet_good_is_taken_up_when_its_date_has_come() {
    let world = Setup::new().gateway("watch = \"100ms\"").start();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = time::OffsetDateTime::now_utc() + Duration::from_secs(4);
    world.write("edge.key", &key.serialize_pem());
    world.write("edge.pem", &params.self_signed(&key).unwrap().pem());
    let (status, report) = world.reload();
    assert_eq!(status, 422, "{report:#}");
    let problem = report["problems"][0].as_str().unwrap();
    assert!(problem.contains("is good from 20"), "{problem}");
    // No file changes any more.
    world.counts("corgate_generation", 2);
    assert_eq!(world.page_of("/reload").1["set_aside"], serde_json::json!([]));
}

#[test]
fn a_bank_whose_certificates_were_never_good_comes_when_they_are() {
    let late = bank();
    let lines = "tls = { ca = \"later.pem\" }";
    let setup = Setup::new().file("later.pem", "nonsense");
    let world = setup.target_at("LATER", late.address().port(), lines).start();
    world.call(Http::One, Ask::token().bank("LATER")).platform(500).logged("internal");
    world.write("later.pem", pki().banks_ca.pem());
    let (_, report) = world.reload();
    assert_eq!(report["outcome"], "applied", "{report:#}");
    world.call(Http::One, Ask::token().bank("LATER")).good();
}

#[test]
fn a_mounted_secret_is_taken_up_when_its_link_is_swung() {
    let world = Setup::new().gateway("watch = \"100ms\"").start();
    let load = Load::start(&world, 1);
    let link = |from: &str, to: &str| {
        let new = world.file("new-link");
        std::os::unix::fs::symlink(from, &new).unwrap();
        std::fs::rename(new, world.file(to)).unwrap();
    };
    let fresh = edge("corgate development edge, mounted");
    for folder in ["first", "second"] {
        std::fs::create_dir(world.file(folder)).unwrap();
        for name in ["edge.pem", "edge.key"] {
            std::fs::copy(world.file(name), world.file(folder).join(name)).unwrap();
        }
    }
    write(&world, "second/edge", &fresh);
    // As a cluster mounts it: each file a link through a folder that is a link itself.
    link("first", "..data");
    link("..data/edge.pem", "edge.pem");
    link("..data/edge.key", "edge.key");
    assert_eq!(world.reload().1["outcome"], "unchanged");
    assert_eq!(shown(&world), pki().edge.fingerprint());
    link("second", "..data");
    until("the second certificate", || (shown(&world) == fresh.fingerprint()).then_some(()));
    load.stop();
}

#[test]
fn a_certificate_that_comes_before_its_key_is_taken_up_with_it() {
    let world = Setup::new().gateway("watch = \"100ms\"").start();
    let load = Load::start(&world, 1);
    let fresh = edge("corgate development edge, in two steps");
    world.write("edge.pem", fresh.cert_pem());
    until("the refusal", || (world.metric(REFUSED) > 0).then_some(()));
    assert_eq!(shown(&world), pki().edge.fingerprint());
    world.write("edge.key", fresh.key_pem());
    until("the second certificate", || (shown(&world) == fresh.fingerprint()).then_some(()));
    load.stop();
}

#[test]
fn twenty_changes_good_and_bad_fail_no_call() {
    let world = World::new();
    let load = Load::start(&world, 1);
    let good = std::fs::read_to_string(world.file("routes.toml")).unwrap();
    for round in 0..20 {
        match round % 4 {
            0 => write(&world, "edge", &edge("corgate development edge, again")),
            1 => write(&world, "hub", &pki().hub_ca.client("the hub, again").unwrap()),
            2 => world.write("routes.toml", &good.replace("[[target]]", "[[target]")),
            _ => {
                let name = format!("[[target]]\nname = \"round {round}\"");
                world.write("routes.toml", &good.replace("[[target]]", &name));
            }
        }
        let (status, report) = world.reload();
        assert_eq!(status, if round % 4 == 2 { 422 } else { 200 }, "{report:#}");
        if round % 4 == 2 {
            world.write("routes.toml", &good);
        }
        load.more(4);
    }
    load.stop();
    assert_eq!(world.metric("corgate_reloads_total{outcome=\"applied\"}"), 15);
    assert_eq!(world.metric(REFUSED), 5);
}
