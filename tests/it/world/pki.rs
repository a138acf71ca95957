//! The certificates of all worlds, made once for the process.
//!
//! This file decides who the clients are. It must not know what they may do.

use std::sync::OnceLock;

use corgate::sim::client::ClientTls;
use corgate::sim::pki::{DevPki, Identity};

/// How many clients there are.
const CLIENTS: usize = 4;

struct Shared {
    pki: DevPki,
    clients: Vec<Identity>,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let pki = DevPki::new().unwrap();
        let clients = (1..=CLIENTS).map(|number| pki.client(&client_id(number)).unwrap()).collect();
        Shared { pki, clients }
    })
}

/// The development PKI.
pub(crate) fn pki() -> &'static DevPki {
    &shared().pki
}

/// The id of a client, from 1.
pub(crate) fn client_id(number: usize) -> String {
    format!("CIDX{number:010}")
}

/// A client's certificate.
pub(crate) fn identity(number: usize) -> &'static Identity {
    &shared().clients[number - 1]
}

/// What a client shows, and whom it trusts.
pub(crate) fn tls_of(number: usize) -> ClientTls {
    let identity = &shared().clients[number - 1];
    ClientTls::new(pki().hub_ca.cert(), Some(identity)).unwrap()
}

/// The same, for a client library of the test's own.
pub(crate) fn client_config(number: usize) -> rustls::ClientConfig {
    client_config_of(&shared().clients[number - 1], rustls::ALL_VERSIONS)
}

/// The same, for a client that shows this, with these versions of TLS.
pub(crate) fn client_config_of(
    identity: &Identity,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pki().hub_ca.cert().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![identity.cert().clone()], identity.key())
        .unwrap()
}

/// The `[[client]]` of a client, with these lines in it.
pub(crate) fn entry(number: usize, lines: &str) -> String {
    let (id, print) = (client_id(number), shared().clients[number - 1].fingerprint());
    format!("\n[[client]]\nid = \"{id}\"\ncertificates = [\"{print}\"]\n{lines}\n")
}
