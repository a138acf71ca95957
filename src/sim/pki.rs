//! The development PKI: every certificate of the simulated world, made at run time.
//!
//! This file decides who is certified by whom. It must not know which listener shows what.
//! Nothing here is for production: keys lie in plain files, and nobody checks who asks.

mod authority;
pub(in crate::sim) mod folder;

pub use authority::{Authority, Identity};
pub use folder::PRIVATE_KEY_LABEL;

use std::fmt;
use std::io;
use std::path::Path;

/// What every simulated server is reached by.
const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why the development PKI could not be made.
#[derive(Debug)]
pub enum PkiError {
    /// A certificate could not be made.
    Certificate(rcgen::Error),
    /// A file could not be written.
    File(io::Error),
    /// rustls does not take what was made.
    Tls(rustls::Error),
}

impl fmt::Display for PkiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => write!(f, "development certificate: {error}"),
            Self::File(error) => write!(f, "development certificate file: {error}"),
            Self::Tls(error) => write!(f, "development certificate in TLS: {error}"),
        }
    }
}

impl std::error::Error for PkiError {}

impl From<rcgen::Error> for PkiError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error)
    }
}

impl From<io::Error> for PkiError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<rustls::Error> for PkiError {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error)
    }
}

/// The authorities of the simulated world, and the two certificates of the hub itself.
pub struct DevPki {
    /// Certifies the hub: its edge, and what it shows to banks.
    pub hub_ca: Authority,
    /// Certifies the clients (third parties).
    pub clients_ca: Authority,
    /// Certifies the banks.
    pub banks_ca: Authority,
    /// An authority that nobody trusts.
    pub stranger_ca: Authority,
    /// What the gateway shows to clients.
    pub edge: Identity,
    /// What the gateway shows to banks.
    pub hub: Identity,
}

impl DevPki {
    /// Makes the authorities and the hub's certificates.
    ///
    /// # Errors
    /// [`PkiError::Certificate`] when the crypto library fails.
    pub fn new() -> Result<Self, PkiError> {
        let hub_ca = Authority::new("corgate development hub CA")?;
        let edge = hub_ca.server("corgate development edge", &LOOPBACK_NAMES)?;
        let hub = hub_ca.client("corgate development hub")?;
        Ok(Self {
            clients_ca: Authority::new("corgate development clients CA")?,
            banks_ca: Authority::new("corgate development banks CA")?,
            stranger_ca: Authority::new("corgate development stranger CA")?,
            hub_ca,
            edge,
            hub,
        })
    }

    /// A client's certificate.
    ///
    /// # Errors
    /// As [`DevPki::new`].
    pub fn client(&self, id: &str) -> Result<Identity, PkiError> {
        self.clients_ca.client(id)
    }

    /// A certificate that carries a client's id and comes from an authority that nobody trusts.
    ///
    /// # Errors
    /// As [`DevPki::new`].
    pub fn stranger(&self, id: &str) -> Result<Identity, PkiError> {
        self.stranger_ca.client(id)
    }

    /// The certificate of the bank `NAME.bank.test`, good for loopback too.
    ///
    /// # Errors
    /// As [`DevPki::new`].
    pub fn bank(&self, name: &str) -> Result<Identity, PkiError> {
        self.banks_ca.server(name, &bank_names(&bank_host(name)))
    }

    /// A bank's certificate that has expired.
    ///
    /// # Errors
    /// As [`DevPki::new`].
    pub fn expired_bank(&self, name: &str) -> Result<Identity, PkiError> {
        self.banks_ca.expired_server(name, &bank_names(&bank_host(name)))
    }

    /// A bank's certificate from an authority that nobody trusts.
    ///
    /// # Errors
    /// As [`DevPki::new`].
    pub fn stranger_bank(&self, name: &str) -> Result<Identity, PkiError> {
        self.stranger_ca.server(name, &bank_names(&bank_host(name)))
    }

    /// PEM: the clients CA's revocation list, with these clients on it.
    ///
    /// # Errors
    /// As [`DevPki::new`].
    pub fn clients_crl(&self, revoked: &[&Identity]) -> Result<String, PkiError> {
        self.clients_ca.revocation_list(revoked)
    }

    /// Writes the authorities' and the hub's files into `folder`, made if it is not there:
    /// `hub-ca.pem`, `clients-ca.pem`, `banks-ca.pem`, `clients.crl.pem` (revokes nobody),
    /// `edge.pem` and `.key`, `hub.pem` and `.key`.
    ///
    /// # Errors
    /// [`PkiError::File`] when a file can't be written.
    pub fn write(&self, folder: &Path) -> Result<(), PkiError> {
        folder::make(folder)?;
        folder::write_public(folder, "hub-ca.pem", self.hub_ca.pem())?;
        folder::write_public(folder, "clients-ca.pem", self.clients_ca.pem())?;
        folder::write_public(folder, "banks-ca.pem", self.banks_ca.pem())?;
        folder::write_public(folder, "clients.crl.pem", &self.clients_crl(&[])?)?;
        self.edge.write(folder, "edge")?;
        self.hub.write(folder, "hub")
    }
}

impl Identity {
    /// Writes `STEM.pem` and `STEM.key` into `folder`; only the owner can read the key.
    ///
    /// # Errors
    /// [`PkiError::File`] when a file can't be written.
    pub fn write(&self, folder: &Path, stem: &str) -> Result<(), PkiError> {
        folder::make(folder)?;
        folder::write_public(folder, &format!("{stem}.pem"), self.cert_pem())?;
        folder::write_key(folder, &format!("{stem}.key"), self.key_pem())?;
        Ok(())
    }
}

/// The name that a simulated bank's certificate carries beside loopback.
pub fn bank_host(name: &str) -> String {
    format!("{name}.bank.test")
}

fn bank_names(host: &str) -> Vec<&str> {
    LOOPBACK_NAMES.into_iter().chain([host]).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::ids::Fingerprint;

    #[test]
    fn every_certificate_has_a_fingerprint_of_its_own() {
        let pki = DevPki::new().unwrap();
        let (one, two) = (pki.client("CIDX0000000001").unwrap(), pki.client("CIDX1").unwrap());
        assert_eq!(one.fingerprint(), Fingerprint::of_der(one.cert()));
        assert_ne!(one.fingerprint(), two.fingerprint());
    }

    #[test]
    fn keys_are_for_the_owner_alone_and_say_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("pki");
        DevPki::new().unwrap().write(&inside).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&inside), 0o700);
        assert_eq!(mode(&inside.join("edge.key")), 0o600);
        let key = std::fs::read_to_string(inside.join("edge.key")).unwrap();
        assert!(key.starts_with(PRIVATE_KEY_LABEL), "{key}");
    }

    #[test]
    fn what_was_written_is_read_back_by_rustls() {
        use rustls_pki_types::pem::PemObject as _;
        let folder = tempfile::tempdir().unwrap();
        let pki = DevPki::new().unwrap();
        pki.write(folder.path()).unwrap();
        let path = |name: &str| folder.path().join(name);
        rustls_pki_types::PrivateKeyDer::from_pem_file(path("edge.key")).unwrap();
        let edge = rustls_pki_types::CertificateDer::from_pem_file(path("edge.pem")).unwrap();
        assert_eq!(&edge, pki.edge.cert());
        let crl = path("clients.crl.pem");
        rustls_pki_types::CertificateRevocationListDer::from_pem_file(crl).unwrap();
    }
}
