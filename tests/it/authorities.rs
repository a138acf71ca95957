//! CAs that are trusted, and whose clients or banks are let in or told why not.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::ask::{Ask, Http};
use crate::shake::Shake;
use crate::world::{Program, Setup, World, identity, pki, runtime, until, wait};

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name = organisation(name);
    params
}

fn organisation(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::OrganizationName, name);
    distinguished
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()))
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(pki().hub_ca.cert().clone()).unwrap();
    roots
}

/// A client that looks at whose certificate it is asked for.
#[derive(Debug)]
struct Curious {
    shown: Arc<CertifiedKey>,
    asked: AtomicUsize,
    hints: AtomicUsize,
}

impl ResolvesClientCert for Curious {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.hints.store(hints.len(), Ordering::SeqCst);
        Some(self.shown.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// How many CAs' names an honest client is sent, who is let in.
fn hints(world: &World, version: &'static rustls::SupportedProtocolVersion) -> usize {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (chain, key) = (vec![identity(1).cert().clone()], identity(1).key());
    let shown = Arc::new(CertifiedKey::from_der(chain, key, &provider).unwrap());
    let curious = Curious { shown, asked: AtomicUsize::new(0), hints: AtomicUsize::new(0) };
    let curious = Arc::new(curious);
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots())
        .with_client_cert_resolver(curious.clone());
    let shake = Shake::make(world, &Arc::new(config), &Ask::token()).unwrap();
    assert!(shake.answered);
    assert_eq!(curious.asked.load(Ordering::SeqCst), 1);
    curious.hints.load(Ordering::SeqCst)
}

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

#[test]
fn a_trust_list_of_more_than_64_kib_of_names_lets_its_clients_in() {
    // One key for all: they differ in their names.
    let key = KeyPair::generate().unwrap();
    let pem =
        |number: usize| authority(&format!("{number:0>200}")).self_signed(&key).unwrap().pem();
    let many: String = (0..400).map(pem).collect();
    let world = Setup::new().file("clients-ca.pem", &(many + pki().clients_ca.pem())).start();
    let plain = World::new();
    for version in VERSIONS {
        assert_eq!(hints(&world, version), 0);
        assert_eq!(hints(&plain, version), 1);
    }
    world.call(Http::One, Ask::token()).good();
    world.call(Http::Two, Ask::token()).good();
}

/// What can't be checked of a CA between root and leaf, and the word that is said of it.
fn unchecked() -> [(CertificateParams, &'static str); 2] {
    let mut constrained = authority("of a directory");
    constrained.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DirectoryName(organisation("Bug Lab"))],
        excluded_subtrees: Vec::new(),
    });
    let mut policed = authority("of a policy");
    // certificatePolicies: anyPolicy.
    let content = vec![0x30, 8, 0x30, 6, 6, 4, 0x55, 0x1d, 0x20, 0];
    let mut policies = CustomExtension::from_oid_content(&[2, 5, 29, 32], content);
    policies.set_criticality(true);
    policed.custom_extensions.push(policies);
    [(constrained, "nameConstraints"), (policed, "certificatePolicies")]
}

/// A certificate below such a CA, with that one's, and its key.
fn below(
    params: CertificateParams,
    root: &Issuer<'_, KeyPair>,
) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let between = params.signed_by(&key, root).unwrap().der().clone();
    let between_issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let own = self::params("Bug Lab").signed_by(&key, &between_issuer).unwrap().der().clone();
    (vec![own, between], private(&key))
}

fn root() -> (Issuer<'static, KeyPair>, String) {
    let (params, key) = (authority("Bug Lab root"), KeyPair::generate().unwrap());
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

#[test]
fn a_client_below_a_ca_that_can_not_be_checked_is_refused_and_the_log_says_why_and_whom() {
    let (root, pem) = root();
    let program = Setup::new().file("clients-ca.pem", &(pem + pki().clients_ca.pem())).launch();
    for (params, word) in unchecked() {
        let (chain, key) = below(params, &root);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .unwrap()
            .with_root_certificates(roots())
            .with_client_auth_cert(chain, key)
            .unwrap();
        wait(async {
            let socket = TcpStream::connect(program.address()).await.unwrap();
            let connector = TlsConnector::from(Arc::new(config));
            let name = ServerName::try_from("localhost").unwrap();
            if let Ok(mut stream) = connector.connect(name, socket).await {
                // The refusal comes behind the client's own end of the handshake.
                assert!(stream.read_u8().await.is_err());
            }
        });
        let line = until("the refusal", || {
            let lines = program.said("a client's certificate is refused");
            lines.into_iter().find(|line| line["fields"]["error"].to_string().contains(word))
        });
        let fields = &line["fields"];
        assert_eq!(fields["peer"], "127.0.0.1", "{line}");
        assert!(fields["issuer"].to_string().contains("O=of a "), "{line}");
        assert!(fields["error"].to_string().contains("can't be checked"), "{line}");
    }
    program.client(Http::One).call(Ask::token()).good();
}

#[test]
fn a_bank_below_a_ca_that_can_not_be_checked_is_not_called_and_the_log_says_why() {
    let (root, pem) = root();
    for (params, word) in unchecked() {
        let (chain, key) = below(params, &root);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = wait(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let bank = runtime().spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let _ = acceptor.accept(socket).await;
            }
        });
        let program = Setup::new()
            .upstream(&format!("\"https://127.0.0.1:{port}\""))
            .file("banks-ca.pem", &pem)
            .launch();
        program.client(Http::One).call(Ask::token()).platform(502);
        let line = until("the line", || program.said("TLS failed").into_iter().next());
        for word in [word, "can't be checked"] {
            assert!(line["fields"]["error"].to_string().contains(word), "{line}");
        }
        bank.abort();
    }
}

#[test]
fn check_says_of_a_trusted_ca_that_nobody_below_it_will_be_accepted() {
    let key = KeyPair::generate().unwrap();
    let [(constrained, word), _] = unchecked();
    let pem = constrained.self_signed(&key).unwrap().pem();
    let program = Setup::new().launch();
    let said = |program: &Program| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corgate"));
        let checked = command.arg("check").arg(program.path("routes.toml")).output().unwrap();
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap()
    };
    assert!(!said(&program).contains(word));
    for name in ["clients-ca.pem", "banks-ca.pem"] {
        let before = std::fs::read_to_string(program.path(name)).unwrap();
        std::fs::write(program.path(name), format!("{before}{pem}")).unwrap();
        let said = said(&program);
        for word in [name, word, "O=of a directory", "nobody whom it has certified"] {
            assert!(said.contains(word), "{name}: {word}: {said}");
        }
        std::fs::write(program.path(name), before).unwrap();
    }
}
