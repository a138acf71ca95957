//! Certificates, keys and lists that hold something else than they should: `check`, `run` and a
//! reload say the same of them, and a reload changes nothing.

use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ask::{Ask, Http};
use crate::world::{Program, Setup, World, identity, pki};

fn check(program: &Program) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corgate"));
    command.arg("check").arg(program.path("routes.toml")).output().unwrap()
}

/// The octets that a PEM block encodes.
fn der(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with(['-', '#']));
    STANDARD.decode(lines.collect::<String>()).unwrap()
}

/// Files of the edge, what is written into them, and what has to be said.
fn broken() -> Vec<(&'static str, Vec<u8>, Vec<&'static str>)> {
    let (ca, key) = (pki().clients_ca.pem(), pki().hub.key_pem());
    let list = pki().clients_crl(&[]).unwrap();
    let glued = format!("{}{}", ca.trim_end(), pki().stranger_ca.pem());
    let text = |text: String| text.into_bytes();
    vec![
        ("edge.key", text(key.to_owned()), vec!["is not the key of the certificate", "edge.pem"]),
        ("edge.key", text(key.replace("PRIVATE", "ENCRYPTED PRIVATE")), vec!["openssl pkey -in"]),
        ("edge.key", der(key), vec!["private key in DER", "openssl pkey -inform der"]),
        ("edge.pem", text(String::new()), vec!["is empty"]),
        ("edge.pem", text(ca.replace("CERTIFICATE", "TRUSTED CERTIFICATE")), vec!["openssl x509"]),
        ("clients-ca.pem", text(glued), vec!["a line of its own"]),
        ("clients-ca.pem", der(ca), vec!["holds DER", "openssl x509 -inform der"]),
        ("clients-ca.pem", text(identity(1).cert_pem().to_owned()), vec!["is no CA"]),
        ("clients.crl.pem", der(&list), vec!["holds DER", "openssl crl -inform der"]),
        ("clients.crl.pem", text(ca.to_owned()), vec!["no PEM revocation list", "`CERTIFICATE`"]),
        (
            "clients.crl.pem",
            text(pki().stranger_ca.revocation_list(&[]).unwrap()),
            vec!["no client could be let in"],
        ),
    ]
}

#[test]
fn check_run_and_reload_say_the_same_of_every_file_of_the_edge() {
    let program = Setup::new().tls("client_crl = [\"clients.crl.pem\"]").launch();
    let good = check(&program);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    for (name, bytes, words) in broken() {
        let before = std::fs::read(program.path(name)).unwrap();
        std::fs::write(program.path(name), &bytes).unwrap();
        let checked = check(&program);
        let said = String::from_utf8(checked.stderr).unwrap();
        assert_eq!(checked.status.code(), Some(1), "{name}: {said}");
        let log_before = program.log().len();
        assert_eq!(program.run_another(&[]).code(), Some(2), "{name}");
        let ran = program.log()[log_before..].to_owned();
        let log_before = program.log().len();
        assert_eq!(program.reload(), "refused", "{name}");
        let reloaded = program.log()[log_before..].to_owned();
        for text in [&said, &ran, &reloaded] {
            for word in words.iter().chain([&name]) {
                assert!(text.contains(word), "{name}: {word}: {text}");
            }
            let secret = pki().hub.key_pem().lines().nth(1).unwrap();
            assert!(!text.contains(secret), "{text}");
        }
        program.client(Http::One).call(Ask::token()).good();
        std::fs::write(program.path(name), &before).unwrap();
    }
    assert_eq!(check(&program).status.code(), Some(0));
}

#[test]
fn check_names_the_banks_whose_certificates_can_not_be_used() {
    let program = Setup::new().launch();
    std::fs::write(program.path("hub.key"), pki().edge.key_pem()).unwrap();
    let checked = check(&program);
    let said = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    for word in ["can't be called: IIDX00001", "hub.key", "is not the key"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn lists_that_would_let_nobody_in_are_refused_and_the_one_before_counts_on() {
    let world = Setup::new()
        .and_client(2, "targets = [\"*\"]")
        .tls("client_crl = [\"clients.crl.pem\"]")
        .start();
    world.write("clients.crl.pem", &pki().clients_crl(&[identity(2)]).unwrap());
    assert_eq!(world.reload().0, 200);
    let is_out = |world: &World| world.client(Http::One, 2).try_call(Ask::token()).is_err();
    assert!(is_out(&world));
    for list in [pki().stranger_ca.revocation_list(&[]).unwrap(), String::new()] {
        world.write("clients.crl.pem", &list);
        let (status, report) = world.reload();
        let problem = report["problems"][0].as_str().unwrap_or_default();
        assert_eq!(status, 422, "{report:#}");
        assert!(problem.contains("clients.crl.pem"), "{problem}");
        world.call(Http::One, Ask::token()).good();
        assert!(is_out(&world));
    }
}
