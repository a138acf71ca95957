//! Reads the files that TLS rests on, each once: what was checked is what is used, also when a
//! file changes meanwhile.
//!
//! This file decides what a file has to hold. It must not know which configuration it is for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;
use zeroize::Zeroizing;

use super::papers::Paper;
use super::{TlsError, leaf_of, of_file};

/// Longest file that is read, in bytes: a revocation list can be long.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A file's bytes, wiped when they are dropped, or why they can't be read.
type Bytes = Result<Rc<Zeroizing<Vec<u8>>>, TlsError>;

/// The bytes of files, as they were when they were first asked for.
#[derive(Debug)]
pub(in crate::edge) struct Shelf {
    now: i64,
    read: RefCell<HashMap<PathBuf, Bytes>>,
}

impl Shelf {
    /// An empty shelf at this time, in Unix seconds.
    pub(in crate::edge) fn new(now: i64) -> Self {
        Self { now, read: RefCell::default() }
    }

    pub(in crate::edge) const fn now(&self) -> i64 {
        self.now
    }

    fn bytes(&self, file: &Path) -> Bytes {
        if let Some(known) = self.read.borrow().get(file) {
            return known.clone();
        }
        let read = read(file).map(Rc::new).map_err(|error| of_file(file, error));
        self.read.borrow_mut().insert(file.to_owned(), read.clone());
        read
    }

    pub(super) fn read_chain(&self, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates = CertificateDer::pem_slice_iter(&self.bytes(file)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| of_file(file, error))?;
        leaf_of(file, &certificates)?;
        Ok(certificates)
    }

    pub(super) fn read_key(&self, file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
        // The parser's own message could quote the file; this one can't.
        PrivateKeyDer::from_pem_slice(&self.bytes(file)?)
            .map_err(|_| of_file(file, "holds no PEM private key"))
    }

    pub(super) fn read_list(
        &self,
        file: &Path,
    ) -> Result<CertificateRevocationListDer<'static>, TlsError> {
        CertificateRevocationListDer::from_pem_slice(&self.bytes(file)?)
            .map_err(|error| of_file(file, error))
    }

    /// A party's own certificate.
    pub(super) fn certificate(&self, role: &'static str, file: &Path) -> Result<Paper, TlsError> {
        let chain = self.read_chain(file)?;
        let leaf = parse(file, leaf_of(file, &chain)?)?;
        let validity = leaf.validity();
        let serial = leaf.raw_serial().iter().map(|octet| format!("{octet:02x}")).collect();
        Ok(Paper {
            not_before: Some(validity.not_before.timestamp()),
            not_after: Some(validity.not_after.timestamp()),
            serial: Some(serial),
            ..self.paper(role, file)?
        })
    }

    /// Certificates of authorities.
    pub(super) fn authorities(&self, role: &'static str, file: &Path) -> Result<Paper, TlsError> {
        let chain = self.read_chain(file)?;
        // One that can't be read for its date is rustls' to refuse.
        let ends = chain.iter().filter_map(|certificate| {
            Some(parse(file, certificate).ok()?.validity().not_after.timestamp())
        });
        Ok(Paper { not_after: ends.min(), ..self.paper(role, file)? })
    }

    /// A revocation list. Its end is its `nextUpdate`.
    pub(super) fn list(&self, file: &Path) -> Result<Paper, TlsError> {
        let list = self.read_list(file)?;
        let (_, parsed) = CertificateRevocationList::from_der(&list)
            .map_err(|_| of_file(file, "holds no revocation list that can be read"))?;
        let end = parsed.next_update().map(|date| date.timestamp());
        Ok(Paper { not_after: end, ..self.paper("client_crl", file)? })
    }

    /// A private key: only whether it is another one.
    pub(super) fn key(&self, file: &Path) -> Result<Paper, TlsError> {
        self.paper("key", file)
    }

    fn paper(&self, role: &'static str, file: &Path) -> Result<Paper, TlsError> {
        let hash = Sha256::digest(&**self.bytes(file)?).into();
        let file = file.to_owned();
        Ok(Paper { role, file, hash, not_before: None, not_after: None, serial: None })
    }
}

fn parse<'c>(file: &Path, der: &'c CertificateDer<'_>) -> Result<X509Certificate<'c>, TlsError> {
    let parsed = X509Certificate::from_der(der).map(|(_, certificate)| certificate);
    parsed.map_err(|_| of_file(file, "holds no certificate that can be read"))
}

fn read(file: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // A pipe would be waited for, and hold up everything.
    if !std::fs::metadata(file)?.is_file() {
        return Err(std::io::Error::other("is no regular file"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    std::fs::File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other("is longer than 64 MiB"));
    }
    Ok(bytes)
}
