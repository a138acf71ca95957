//! TLS: what the edge shows to clients, and what the hub shows to banks.
//!
//! This file decides protocol versions, verification and resumption, and builds rustls
//! configurations from the PEM files that the table names. It fails closed: a certificate that
//! can't be checked is refused. It must not know what travels inside.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::routes::{ClientAuth, EdgeTls, TargetTls, UpstreamHttp};

/// A file that does not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError {
    /// The file, where one is at fault.
    pub file: Option<PathBuf>,
    /// What is wrong, and what would be right. Never key material.
    pub message: String,
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

/// Builds the edge's configuration: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, client certificates.
///
/// Sessions resume by ticket. A ticket carries the client's certificate, and the walk looks its
/// fingerprint up in the table at each request, so that a client that was taken out is out on a
/// resumed session too. The ticket keys are new with each configuration, so that a changed CA or
/// CRL ends every resumption.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn edge_config(tls: &EdgeTls) -> Result<ServerConfig, TlsError> {
    let provider = provider();
    let roots = Arc::new(read_roots(&tls.client_ca)?);
    let mut crls = Vec::new();
    for file in &tls.client_crl {
        crls.push(read_crl(file)?);
    }
    let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .with_crls(crls)
        // Where CRLs are named, one must cover the client's issuer: an unknown status is refused.
        .only_check_end_entity_revocation();
    if tls.client_auth == ClientAuth::Optional {
        verifier = verifier.allow_unauthenticated();
    }
    let verifier = verifier.build().map_err(|error| of_file(&tls.client_ca, error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(general)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(read_chain(&tls.cert)?, read_key(&tls.key)?)
        .map_err(|error| of_file(&tls.cert, error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(general)?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// Builds the hub's configuration towards one bank, its sessions resumable.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn target_config(tls: &TargetTls, http: UpstreamHttp) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let roots = match &tls.ca {
        Some(file) => read_roots(file)?,
        None => system_roots()?,
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(general)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(general)?
        .with_webpki_verifier(verifier);
    let mut config = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(read_chain(cert)?, read_key(key)?)
            .map_err(|error| of_file(cert, error))?,
        (None, _) | (_, None) => builder.with_no_client_auth(),
    };
    if tls.must_be_asked() {
        super::asked::notice(&mut config);
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

fn read_roots(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(file)? {
        roots.add(certificate).map_err(|error| of_file(file, error))?;
    }
    Ok(roots)
}

/// Where Debian, Fedora, Alpine and SUSE keep the system's CAs.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

fn system_roots() -> Result<RootCertStore, TlsError> {
    let file = SYSTEM_ROOTS.into_iter().map(Path::new).find(|file| file.exists());
    file.map_or_else(|| Err(general("no system CA bundle found; name one with tls.ca")), read_roots)
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| of_file(file, error))?;
    if certificates.is_empty() {
        return Err(of_file(file, "holds no PEM certificate"));
    }
    Ok(certificates)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    // The parser's own message could quote the file; this one can't.
    PrivateKeyDer::from_pem_file(file).map_err(|error| match error {
        rustls::pki_types::pem::Error::Io(error) => of_file(file, error),
        _ => of_file(file, "holds no PEM private key"),
    })
}

fn read_crl(file: &Path) -> Result<CertificateRevocationListDer<'static>, TlsError> {
    CertificateRevocationListDer::from_pem_file(file).map_err(|error| of_file(file, error))
}

fn of_file(file: &Path, error: impl fmt::Display) -> TlsError {
    TlsError { file: Some(file.to_owned()), message: error.to_string() }
}

fn general(error: impl fmt::Display) -> TlsError {
    TlsError { file: None, message: error.to_string() }
}
