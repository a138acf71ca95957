//! TLS: what the edge shows to clients, and what the hub shows to banks.
//!
//! This file decides protocol versions and resumption, and builds rustls configurations from the
//! PEM files that the table names. It fails closed: a certificate that can't be checked is refused.
//! It must not know what travels inside.

mod anchors;
mod papers;
mod peer;
mod revocation;
mod sessions;
mod shelf;
mod ticketless;
mod trust;
mod verifier;

pub(super) use self::papers::{Paper, Papers};
pub(super) use self::peer::handshake_with;
pub(super) use self::sessions::SmallSessions;
pub(super) use self::shelf::Shelf;
pub(super) use self::trust::{Ending, Trust};

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::ProducesTickets;
use rustls::{ClientConfig, Error, InconsistentKeys, ServerConfig};

use self::sessions::SmallTickets;
use self::shelf::Whose;
use self::verifier::BankVerifier;
use crate::routes::{EdgeTls, TargetTls, UpstreamHttp};

/// A file that does not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsError {
    /// The file, where one is at fault.
    pub(super) file: Option<PathBuf>,
    /// What is wrong, and what would be right. Never key material.
    pub(super) message: String,
    /// When it will be right by itself, in Unix seconds: a certificate that is not yet good.
    pub(super) good_from: Option<i64>,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}: {}", file.display(), self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for TlsError {}

/// The edge's side of TLS: what it shows, and whom it trusts.
#[derive(Debug)]
pub(super) struct EdgeSide {
    /// For handshakes: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, client certificates.
    pub(super) config: Arc<ServerConfig>,
    /// Whom it trusts now. The same as the side before where nothing about it changed.
    pub(super) trust: Arc<Trust>,
    /// The files behind it.
    pub(super) papers: Papers,
    asked: EdgeTls,
}

impl EdgeSide {
    /// Builds the edge's side. What did not change since `previous` is taken over as it is;
    /// `in_use` are all files in use before, none at the start.
    ///
    /// Sessions resume by ticket. The tickets' keys live on while the client CA is the same, so
    /// that a new certificate of the edge or a new revocation list ends no resumption; who
    /// resumes is checked against the trust of now ([`Trust::check`]).
    ///
    /// # Errors
    /// [`TlsError`] names the file. A changed certificate or list that is out of its time is one,
    /// too: what is there already is better. At the start there is nothing better to keep; it is
    /// served, and said.
    pub(super) fn build(
        tls: &EdgeTls,
        shelf: &Shelf,
        previous: Option<&Arc<Self>>,
        in_use: Option<&Papers>,
    ) -> Result<Arc<Self>, TlsError> {
        let mut papers = Papers::default();
        papers.add(shelf.certificate("edge", &tls.cert)?);
        papers.add(shelf.key(&tls.key)?);
        papers.add(shelf.authorities("client_ca", &tls.client_ca)?);
        for file in &tls.client_crl {
            papers.add(shelf.lists(file)?);
        }
        if let Some(old) = previous.filter(|old| old.asked == *tls && old.papers == papers) {
            return Ok(old.clone());
        }
        papers.check_times(in_use, shelf.now(), tls.accepts_expired_crl)?;
        let old_papers = previous.map(|old| &old.papers);
        let same = |files: &[PathBuf]| {
            old_papers.is_some_and(|old| files.iter().all(|file| old.same(&papers, file)))
        };
        let same_ca = previous.filter(|old| {
            old.asked.client_ca == tls.client_ca
                && old.asked.client_auth == tls.client_auth
                && same(std::slice::from_ref(&tls.client_ca))
        });
        let same_lists = same_ca.filter(|old| {
            old.asked.client_crl == tls.client_crl
                && old.asked.accepts_expired_crl == tls.accepts_expired_crl
                && same(&tls.client_crl)
        });
        let trust = match same_lists {
            Some(old) => old.trust.clone(),
            None => Arc::new(Trust::build(tls, shelf, previous.map(|old| &*old.trust))?),
        };
        let ticketer = match same_ca {
            Some(old) => old.config.ticketer.clone(),
            None => {
                let ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(general)?;
                Arc::new(SmallTickets(ticketer))
            }
        };
        let config = Arc::new(edge_config(tls, shelf, &trust, ticketer)?);
        Ok(Arc::new(Self { config, trust, papers, asked: tls.clone() }))
    }
}

impl EdgeSide {
    /// Tells the operator what should be known of the files, and keeps nothing from being used.
    /// What was told of the side before is not told again.
    pub(super) fn tell(&self, before: Option<&Self>) {
        if before.is_some_and(|before| Arc::ptr_eq(&before.trust, &self.trust)) {
            return;
        }
        for notice in &self.trust.notices {
            tracing::warn!("{notice}");
        }
    }
}

fn edge_config(
    tls: &EdgeTls,
    shelf: &Shelf,
    trust: &Trust,
    ticketer: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(general)?
        .with_client_cert_verifier(trust.verifier())
        .with_single_cert(shelf.read_chain(&tls.cert)?, shelf.read_key(&tls.key)?)
        .map_err(|error| of_pair(&tls.cert, &tls.key, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = ticketer;
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// The files behind a setting towards a bank, as they are now.
///
/// # Errors
/// [`TlsError`] names the file.
pub(super) fn target_papers(tls: &TargetTls, shelf: &Shelf) -> Result<Papers, TlsError> {
    let mut papers = Papers::default();
    match &tls.ca {
        Some(file) => papers.add(shelf.authorities("bank_ca", file)?),
        None => papers.add(shelf.authorities("system_ca", system_roots()?)?),
    }
    if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
        papers.add(shelf.certificate("hub", cert)?);
        papers.add(shelf.key(key)?);
    }
    Ok(papers)
}

/// What should be known of the CAs of a setting towards a bank. The system's are not the
/// operator's to choose.
pub(super) fn target_notices(tls: &TargetTls, shelf: &Shelf) -> Vec<TlsError> {
    let anchors = tls.ca.as_ref().map(|file| (file, shelf.anchors(file, Whose::Operators)));
    let Some((file, Ok(anchors))) = anchors else { return Vec::new() };
    anchors.notices().map(|notice| of_file(file, notice)).collect()
}

/// Builds the hub's configuration towards one bank, its sessions resumable.
///
/// # Errors
/// [`TlsError`] names the file.
pub(super) fn target_config(
    tls: &TargetTls,
    http: UpstreamHttp,
    shelf: &Shelf,
) -> Result<ClientConfig, TlsError> {
    let anchors = match &tls.ca {
        Some(file) => shelf.anchors(file, Whose::Operators)?,
        None => shelf.anchors(system_roots()?, Whose::Systems)?,
    };
    let ciphers = ticketless::ticketless(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::new(ciphers))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(general)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(BankVerifier(anchors)));
    let mut config = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(shelf.read_chain(cert)?, shelf.read_key(key)?)
            .map_err(|error| of_pair(cert, key, &error))?,
        (None, _) | (_, None) => builder.with_no_client_auth(),
    };
    if tls.must_be_asked() {
        super::asked::notice(&mut config);
    } else {
        config.resumption = Resumption::store(Arc::new(SmallSessions::default()));
    }
    config.alpn_protocols = match http {
        UpstreamHttp::Http1 => vec![b"http/1.1".to_vec()],
        UpstreamHttp::Http2 => vec![b"h2".to_vec()],
    };
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Where Debian, Fedora, Alpine and SUSE keep the system's CAs.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

fn system_roots() -> Result<&'static Path, TlsError> {
    let file = SYSTEM_ROOTS.into_iter().map(Path::new).find(|file| file.exists());
    file.ok_or_else(|| general("no system CA bundle found; name one with tls.ca"))
}

/// The first of a chain, which is whose it is.
fn leaf_of<'c>(
    file: &Path,
    chain: &'c [CertificateDer<'static>],
) -> Result<&'c CertificateDer<'static>, TlsError> {
    chain.first().ok_or_else(|| of_file(file, "holds no PEM certificate"))
}

/// Why a certificate and a key can't be used together.
fn of_pair(cert: &Path, key: &Path, error: &Error) -> TlsError {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => of_file(
            key,
            format_args!(
                "is not the key of the certificate in {}; where that file holds several, its own \
                 has to be the first",
                cert.display()
            ),
        ),
        Error::InvalidCertificate(_) => of_file(cert, error),
        // The provider could not read the key, and says nothing of what is in it.
        _ => of_file(key, "holds a private key that can't be used; an EC or RSA key in PKCS#8 can"),
    }
}

fn of_file(file: &Path, error: impl fmt::Display) -> TlsError {
    TlsError { file: Some(file.to_owned()), message: error.to_string(), good_from: None }
}

fn general(error: impl fmt::Display) -> TlsError {
    TlsError { file: None, message: error.to_string(), good_from: None }
}
