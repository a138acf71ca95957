//! TLS of a simulated server.
//!
//! This file decides which certificate is shown and whose certificates are asked for. It must not
//! know what is said over the connection.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::sim::pki::{Identity, PkiError, folder};

/// A server's side of TLS.
#[derive(Clone)]
pub struct ServerTls(Arc<rustls::ServerConfig>);

impl ServerTls {
    /// Shows `identity`, and demands a client certificate of `client_ca`.
    ///
    /// # Errors
    /// [`PkiError::Tls`] when rustls does not take the certificates.
    pub fn mutual(
        identity: &Identity,
        client_ca: &CertificateDer<'static>,
    ) -> Result<Self, PkiError> {
        Self::build(vec![identity.cert().clone()], identity.key(), Some(client_ca))
    }

    /// Shows `identity`, and asks for no client certificate.
    ///
    /// # Errors
    /// As [`ServerTls::mutual`].
    pub fn one_sided(identity: &Identity) -> Result<Self, PkiError> {
        Self::build(vec![identity.cert().clone()], identity.key(), None)
    }

    /// As [`ServerTls::one_sided`], with TLS 1.2 alone.
    ///
    /// # Errors
    /// As [`ServerTls::mutual`].
    pub fn one_sided_tls12(identity: &Identity) -> Result<Self, PkiError> {
        let chain = vec![identity.cert().clone()];
        Self::build_of(&[&rustls::version::TLS12], chain, identity.key(), None)
    }

    /// As [`ServerTls::mutual`], from PEM files.
    ///
    /// # Errors
    /// [`PkiError::File`] when a file can't be read, [`PkiError::Tls`] as above.
    pub fn from_files(cert: &Path, key: &Path, client_ca: &Path) -> Result<Self, PkiError> {
        let ca = folder::read_chain(client_ca)?;
        let ca = ca.first().ok_or_else(|| folder::unreadable(client_ca, &"no certificate"))?;
        Self::build(folder::read_chain(cert)?, folder::read_key(key)?, Some(ca))
    }

    fn build(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        client_ca: Option<&CertificateDer<'static>>,
    ) -> Result<Self, PkiError> {
        Self::build_of(rustls::DEFAULT_VERSIONS, chain, key, client_ca)
    }

    fn build_of(
        versions: &[&'static rustls::SupportedProtocolVersion],
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        client_ca: Option<&CertificateDer<'static>>,
    ) -> Result<Self, PkiError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(ca.clone())?;
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error| rustls::Error::General(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        tokio_rustls::TlsAcceptor::from(Arc::clone(&self.0))
    }
}
