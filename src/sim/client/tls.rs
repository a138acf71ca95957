//! TLS of the simulated client.
//!
//! This file decides whom the client trusts and what it shows. It must not know what is called.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::CallError;
use crate::sim::pki::{Identity, PkiError, folder};

/// A client's side of TLS.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<rustls::ClientConfig>,
    server_name: ServerName<'static>,
}

impl ClientTls {
    /// Trusts `server_ca` alone, expects `localhost`, and shows `identity`, if any.
    ///
    /// # Errors
    /// [`PkiError::Tls`] when rustls does not take the certificates.
    pub fn new(
        server_ca: &CertificateDer<'static>,
        identity: Option<&Identity>,
    ) -> Result<Self, PkiError> {
        let shown = identity.map(|identity| (vec![identity.cert().clone()], identity.key()));
        Self::build(server_ca, shown)
    }

    /// As [`ClientTls::new`], from PEM files: the CA, and the certificate and key to show.
    ///
    /// # Errors
    /// [`PkiError::File`] when a file can't be read, [`PkiError::Tls`] as above.
    pub fn from_files(server_ca: &Path, shown: Option<(&Path, &Path)>) -> Result<Self, PkiError> {
        let ca = folder::read_chain(server_ca)?;
        let ca = ca.first().ok_or_else(|| folder::unreadable(server_ca, &"no certificate"))?;
        let shown = match shown {
            None => None,
            Some((cert, key)) => Some((folder::read_chain(cert)?, folder::read_key(key)?)),
        };
        Self::build(ca, shown)
    }

    /// Expects (and asks for, by SNI) another name.
    ///
    /// # Errors
    /// [`PkiError::Tls`] when it is no DNS name or address.
    pub fn server_name(self, name: &str) -> Result<Self, PkiError> {
        Ok(Self { server_name: parse_name(name)?, ..self })
    }

    fn build(
        server_ca: &CertificateDer<'static>,
        shown: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> Result<Self, PkiError> {
        let mut roots = RootCertStore::empty();
        roots.add(server_ca.clone())?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        };
        Ok(Self { config: Arc::new(config), server_name: parse_name("localhost")? })
    }

    pub(super) async fn connect(
        &self,
        tcp: TcpStream,
        http2: bool,
    ) -> Result<TlsStream<TcpStream>, CallError> {
        let mut config = (*self.config).clone();
        config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(self.server_name.clone(), tcp).await.map_err(CallError::Handshake)
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, PkiError> {
    ServerName::try_from(name.to_owned())
        .map_err(|error| PkiError::Tls(rustls::Error::General(error.to_string())))
}
