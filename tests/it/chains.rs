//! Chains of certificates that a stranger, or a bank, makes long to verify; sessions that a bank
//! makes large; and intermediates that were revoked.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ProducesTickets;
use rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::ask::{Ask, Http};
use crate::bank_bytes::whole_request;
use crate::h2_bank::{self, FrameBank};
use crate::shake::Shake;
use crate::world::{Setup, World, now, pki, runtime, wait};

/// A chain, and the key of its first certificate.
struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str, extensions: u64) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let unknown = |id| CustomExtension::from_oid_content(&[1, 2, 3, id], vec![5, 0]);
    params.custom_extensions = (0..extensions).map(unknown).collect();
    params
}

/// Certificates of one name that may all have certified each other, and one below them.
fn tangled(count: usize, extensions: u64) -> Shown {
    let mut chain = Vec::new();
    let mut issuer = None;
    for _ in 0..count {
        let (params, key) = (authority("x", extensions), KeyPair::generate().unwrap());
        chain.push(params.self_signed(&key).unwrap().der().clone());
        issuer = Some(Issuer::new(params, key));
    }
    let key = KeyPair::generate().unwrap();
    let own = params("stranger").signed_by(&key, &issuer.unwrap()).unwrap();
    chain.insert(0, own.der().clone());
    Shown { chain, key }
}

/// One certificate that nobody knows: what an ordinary handshake that fails shows.
fn plain() -> Shown {
    let key = KeyPair::generate().unwrap();
    Shown { chain: vec![params("stranger").self_signed(&key).unwrap().der().clone()], key }
}

impl Shown {
    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }

    fn client(&self) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(pki().hub_ca.cert().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(self.chain.clone(), self.key())
            .unwrap();
        Arc::new(config)
    }
}

/// How long the gateway takes for something, at best.
fn least(mut work: impl FnMut()) -> Duration {
    let mut took = || {
        let started = now();
        work();
        started.elapsed()
    };
    (0..5).map(|_| took()).min().unwrap()
}

/// Beyond what an ordinary one takes. Before, it was seconds for the worst of them.
const MORE_AT_MOST: Duration = Duration::from_millis(250);

#[test]
fn a_strangers_chain_takes_about_as_long_as_any_that_is_refused() {
    let world = World::new();
    let shake = |shown: &Shown| {
        let config = shown.client();
        least(|| {
            let shaken = Shake::make(&world, &config, &Ask::token());
            assert!(shaken.is_none_or(|shake| !shake.answered));
        })
    };
    let ordinary = shake(&plain());
    for (count, extensions) in [(23, 180), (11, 400), (4, 60)] {
        let took = shake(&tangled(count, extensions));
        assert!(took < ordinary + MORE_AT_MOST, "{count} {extensions}: {took:?}, {ordinary:?}");
    }
    world.call(Http::One, Ask::token()).good();
    world.counts_at_least("corgate_handshakes_failed_total", 20);
    world.bank_heard(1);
}

/// A bank that shows a chain and gives tickets of a size.
struct Listener {
    port: u16,
    resumed: Arc<AtomicUsize>,
    shaken: Arc<AtomicUsize>,
    heard: Arc<AtomicUsize>,
}

/// How it speaks.
#[derive(Clone, Copy)]
struct Speech {
    /// The size of its tickets.
    ticket: usize,
    /// The largest of its records.
    fragment: Option<usize>,
    version: &'static SupportedProtocolVersion,
    /// The port of who answers what is asked over HTTP/2.
    http2: Option<u16>,
}

const SPEECH: Speech =
    Speech { ticket: 0, fragment: None, version: &rustls::version::TLS13, http2: None };

/// Tickets that are padded to a size.
#[derive(Debug)]
struct Padded(Arc<dyn ProducesTickets>, usize);

impl ProducesTickets for Padded {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut ticket = self.0.encrypt(plain)?;
        let length = u16::try_from(ticket.len()).unwrap().to_be_bytes();
        ticket.resize(self.1.max(ticket.len()), 0);
        Some([&length[..], &ticket].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (length, rest) = cipher.split_first_chunk()?;
        self.0.decrypt(rest.get(..usize::from(u16::from_be_bytes(*length)))?)
    }
}

impl Listener {
    /// Each connection has one call.
    fn start(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        speech: Speech,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[speech.version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let tickets = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        config.ticketer = Arc::new(Padded(tickets, speech.ticket));
        config.send_tls13_tickets = 4;
        // Other sizes of records, too: some servers write small ones.
        config.max_fragment_size = speech.fragment;
        config.alpn_protocols = speech.http2.iter().map(|_| b"h2".to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = wait(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let bank =
            Self { port, resumed: Arc::default(), shaken: Arc::default(), heard: Arc::default() };
        let counts = (bank.resumed.clone(), bank.shaken.clone(), bank.heard.clone());
        runtime().spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, (resumed, shaken, heard)) = (acceptor.clone(), counts.clone());
                runtime().spawn(async move {
                    let Ok(mut stream) = acceptor.accept(socket).await else { return };
                    shaken.fetch_add(1, Ordering::SeqCst);
                    if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                        resumed.fetch_add(1, Ordering::SeqCst);
                    }
                    if let Some(port) = speech.http2 {
                        let answers = (Ipv4Addr::LOCALHOST, port);
                        let mut answers = TcpStream::connect(answers).await.unwrap();
                        let _ = copy_bidirectional(&mut stream, &mut answers).await;
                        return;
                    }
                    let mut bytes = Vec::new();
                    while whole_request(&bytes).is_none() {
                        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    heard.fetch_add(1, Ordering::SeqCst);
                    let body = r#"{"access_token":"at-1","token_type":"bearer"}"#;
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        bank
    }

    fn world(&self, lines: &str) -> World {
        Setup::new().upstream(&format!("\"https://127.0.0.1:{}\"", self.port)).target(lines).start()
    }
}

/// The simulated banks ask for the hub's certificate; these do not.
const UNASKED: &str = "tls = { cert_optional = true }";

#[test]
fn a_banks_chain_takes_about_as_long_as_any_that_is_refused() {
    let dial = |shown: &Shown| {
        let bank = Listener::start(shown.chain.clone(), shown.key(), SPEECH);
        let world = bank.world(&format!("breaker = {{ failures = 1000 }}\n{UNASKED}"));
        least(|| {
            world.call(Http::One, Ask::token()).platform(502);
        })
    };
    let ordinary = dial(&plain());
    for (count, extensions) in [(23, 180), (4, 60)] {
        let took = dial(&tangled(count, extensions));
        assert!(took < ordinary + MORE_AT_MOST, "{count} {extensions}: {took:?}, {ordinary:?}");
    }
}

fn ticketing(speech: Speech) -> Listener {
    let identity = pki().bank("it").unwrap();
    Listener::start(vec![identity.cert().clone()], identity.key(), speech)
}

fn count(number: &AtomicUsize) -> usize {
    number.load(Ordering::SeqCst)
}

/// The largest that fits into its field, behind its two bytes of length.
const LARGEST: usize = 65_533;

#[test]
fn a_bank_whose_tickets_are_large_is_called_as_any_other() {
    let sizes = [(200, true), (15_000, true), (17_000, false), (40_000, false), (LARGEST, false)];
    for (ticket, resumes) in sizes {
        let bank = ticketing(Speech { ticket, ..SPEECH });
        let world = bank.world(UNASKED);
        for _ in 0..6 {
            world.call(Http::One, Ask::token()).good();
        }
        assert_eq!(count(&bank.shaken), 6, "{ticket}");
        assert_eq!(count(&bank.resumed) > 0, resumes, "{ticket}");
    }
}

/// Hundreds of records that are nothing but tickets come before the answer.
#[test]
fn a_bank_whose_large_tickets_come_in_small_records_is_called_as_any_other() {
    let bank = ticketing(Speech { ticket: LARGEST, fragment: Some(512), ..SPEECH });
    let world = bank.world(UNASKED);
    for _ in 0..3 {
        world.call(Http::One, Ask::token()).good();
    }
}

#[test]
fn a_bank_of_http2_whose_tickets_are_large_is_called_as_any_other() {
    for fragment in [None, Some(512)] {
        let answers = FrameBank::start(&[], |stream, heard| {
            h2_bank::good(stream, heard.stream);
            true
        });
        let speech = Speech { ticket: LARGEST, fragment, http2: Some(answers.port()), ..SPEECH };
        let bank = ticketing(speech);
        let world = bank.world(&format!("http = \"2\"\n{UNASKED}"));
        for _ in 0..3 {
            world.call(Http::One, Ask::token()).good();
        }
        assert_eq!((count(&bank.shaken), answers.heard()), (1, 3));
    }
}

/// There a ticket is a part of the handshake (RFC 5077 section 3.3), and can't be passed over: the
/// largest cost a dial, and no call is spent on it.
#[test]
fn a_bank_of_tls_1_2_is_called_with_large_tickets_or_hears_nothing() {
    for (ticket, is_called) in [(200, true), (40_000, true), (LARGEST, false)] {
        let version = &rustls::version::TLS12;
        let bank = ticketing(Speech { ticket, version, ..SPEECH });
        let world = bank.world(UNASKED);
        for _ in 0..3 {
            let answer = world.call(Http::One, Ask::token());
            if is_called {
                answer.good();
            } else {
                answer.platform(502);
            }
        }
        assert_eq!(count(&bank.heard), if is_called { 3 } else { 0 }, "{ticket}");
    }
}

#[test]
fn clients_of_an_intermediate_that_its_root_revokes_are_out() {
    let (root, root_key) = (authority("clients root", 0), KeyPair::generate().unwrap());
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let root = Issuer::new(root, root_key);
    let (mut between, key) = (authority("between", 0), KeyPair::generate().unwrap());
    between.serial_number = Some(SerialNumber::from(77));
    let between_own = between.signed_by(&key, &root).unwrap();
    let (between_der, between_pem) = (between_own.der().clone(), between_own.pem());
    let between = Issuer::new(between, key);
    let key = KeyPair::generate().unwrap();
    let own = params("client").signed_by(&key, &between).unwrap().der().clone();
    let shown = Shown { chain: vec![own, between_der], key };
    let list = |issuer: &Issuer<'_, KeyPair>, revoked: &[u64]| {
        let entry = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1 + u8::try_from(revoked.len()).unwrap()),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(issuer).unwrap().pem().unwrap()
    };
    let lists = |revoked: &[u64]| list(&root, revoked) + &list(&between, &[]);
    let world = Setup::new()
        .tls("client_crl = [\"lists.pem\"]")
        .file("lists.pem", &(lists(&[]) + &pki().clients_crl(&[]).unwrap()))
        .file("clients-ca.pem", &(root_pem.clone() + pki().clients_ca.pem()))
        .start();
    // It is known to nobody: what counts is whether it is heard at all.
    let config = shown.client();
    let shake = || Shake::make(&world, &config, &Ask::token()).is_some_and(|shake| shake.answered);
    assert!(shake());
    // The older list stands first, as a list that was appended to would have it.
    let both = lists(&[]) + &lists(&[77]) + &pki().clients_crl(&[]).unwrap();
    world.write("lists.pem", &both);
    let (status, report) = world.reload();
    assert_eq!(status, 200, "{report:#}");
    assert!(!shake());
    world.call(Http::One, Ask::token()).good();
    // Neither an older list nor trust in the intermediate itself lets them in again.
    world.write("lists.pem", &(lists(&[]) + &pki().clients_crl(&[]).unwrap()));
    let (status, report) = world.reload();
    assert_eq!(status, 422, "{report:#}");
    assert!(!shake());
    world.write("lists.pem", &both);
    world.write("clients-ca.pem", &(root_pem + &between_pem + pki().clients_ca.pem()));
    let (status, report) = world.reload();
    assert_eq!(status, 200, "{report:#}");
    assert!(!shake());
    world.call(Http::One, Ask::token()).good();
}
