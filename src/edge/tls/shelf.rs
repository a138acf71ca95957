//! Reads the files that TLS rests on, each once: what was checked is what is used, also when a
//! file changes meanwhile.
//!
//! This file decides what a file has to hold. It must not know which configuration it is for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::anchors::Anchors;
use super::papers::Paper;
use super::{TlsError, leaf_of, of_file, provider};
use crate::x509::{Certificate, RevocationList, Wanted, check_pem};

/// Longest file that is read, in bytes: a revocation list can be long.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What is said of a file whose blocks can't be decoded. The parser's own message would quote it:
/// of a file that lost its line ends, all of it, with the key that may be in it.
const NO_PEM: &str = "holds no PEM that can be read: what stands between `-----BEGIN ...-----` and \
                      `-----END ...-----` is no base64, or cut off";

/// A file's bytes, wiped when they are dropped, or why they can't be read.
type Bytes = Result<Rc<Zeroizing<Vec<u8>>>, TlsError>;

/// The bytes of files, as they were when they were first asked for.
#[derive(Debug)]
pub(in crate::edge) struct Shelf {
    now: i64,
    read: RefCell<HashMap<PathBuf, Bytes>>,
    anchors: RefCell<HashMap<(PathBuf, Whose), Arc<Anchors>>>,
}

/// Who has chosen the CAs of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// The operator, who may have taken the wrong file.
    Operators,
    /// The system.
    Systems,
}

impl Shelf {
    /// An empty shelf at this time, in Unix seconds.
    pub(in crate::edge) fn new(now: i64) -> Self {
        Self { now, read: RefCell::default(), anchors: RefCell::default() }
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

    /// The certificates of a file.
    pub(super) fn read_chain(&self, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let bytes = self.check(file, Wanted::Certificates)?;
        CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| of_file(file, NO_PEM))
    }

    pub(super) fn read_key(&self, file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.check(file, Wanted::Key)?)
            .map_err(|_| of_file(file, NO_PEM))
    }

    /// Every revocation list of a file: those of several CAs may stand one behind the other.
    pub(super) fn read_lists(
        &self,
        file: &Path,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        CertificateRevocationListDer::pem_slice_iter(&self.check(file, Wanted::Lists)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| of_file(file, NO_PEM))
    }

    /// A file's bytes, when they hold what is wanted and nothing that would be passed over.
    fn check(&self, file: &Path, wanted: Wanted) -> Bytes {
        let bytes = self.bytes(file)?;
        check_pem(&file.display().to_string(), &bytes, wanted)
            .map_err(|problem| of_file(file, problem))?;
        Ok(bytes)
    }

    /// The CAs of a file, each file's once: a table may have a hundred thousand banks.
    pub(super) fn anchors(&self, file: &Path, whose: Whose) -> Result<Arc<Anchors>, TlsError> {
        if let Some(known) = self.anchors.borrow().get(&(file.to_owned(), whose)) {
            return Ok(known.clone());
        }
        let mut anchors = Anchors::new(provider().signature_verification_algorithms);
        for certificate in self.read_chain(file)? {
            let parsed = parse(file, &certificate)?;
            if whose == Whose::Operators && is_no_authority(&parsed) {
                return Err(of_file(file, no_authority(&parsed.shown_subject())));
            }
            anchors
                .add(&certificate, &parsed)
                .map_err(|error| of_file(file, format_args!("holds no CA to trust: {error}")))?;
        }
        let anchors = Arc::new(anchors);
        self.anchors.borrow_mut().insert((file.to_owned(), whose), anchors.clone());
        Ok(anchors)
    }

    /// A party's own certificate.
    pub(super) fn certificate(&self, role: &'static str, file: &Path) -> Result<Paper, TlsError> {
        let chain = self.read_chain(file)?;
        let leaf = parse(file, leaf_of(file, &chain)?)?;
        let serial = leaf.serial.iter().map(|octet| format!("{octet:02x}")).collect();
        Ok(Paper {
            not_before: Some(leaf.not_before),
            not_after: Some(leaf.not_after),
            serial: Some(serial),
            ..self.paper(role, file)?
        })
    }

    /// Certificates of authorities.
    pub(super) fn authorities(&self, role: &'static str, file: &Path) -> Result<Paper, TlsError> {
        let chain = self.read_chain(file)?;
        // One that can't be read for its date is the verifier's to refuse.
        let ends = chain.iter().filter_map(|one| Some(parse(file, one).ok()?.not_after));
        Ok(Paper { not_after: ends.min(), ..self.paper(role, file)? })
    }

    /// Revocation lists. Their end is the first `nextUpdate`.
    pub(super) fn lists(&self, file: &Path) -> Result<Paper, TlsError> {
        let lists = self.read_lists(file)?;
        let ends = lists.iter().map(|list| RevocationList::next_update_of(list));
        let ends = ends.collect::<Result<Vec<_>, _>>().map_err(|fault| of_file(file, fault))?;
        Ok(Paper { not_after: ends.into_iter().min(), ..self.paper("client_crl", file)? })
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

fn parse<'c>(file: &Path, der: &'c CertificateDer<'_>) -> Result<Certificate<'c>, TlsError> {
    Certificate::parse(der).map_err(|_| of_file(file, "holds a certificate that can't be read"))
}

/// Whether a certificate can't be a CA's. One of version 1 does not say; one that has certified
/// itself is its own, whatever it says.
fn is_no_authority(certificate: &Certificate<'_>) -> bool {
    let is_its_own = certificate.issuer == certificate.subject;
    certificate.has_extensions && certificate.is_ca != Some(true) && !is_its_own
}

fn no_authority(name: &str) -> String {
    format!(
        "holds the certificate of `{name}`, which is no CA (basicConstraints): whoever has its \
         key could certify others; name the CA that has certified it"
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    /// No key, but as long as one, and no two parts of it alike.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
                       MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgk3Vd8uXw2bTz5Yq7\n\
                       Jr1oL6eNc9sPfWhCDRK4xZBvUiShRANCAATyE0aGtMpQjX8nFlH5VbwO2YzKrS7d\n\
                       -----END PRIVATE KEY-----\n";
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

    /// Asserts that no eight octets of the key stand in a problem, nor as a list of numbers.
    #[track_caller]
    fn is_hidden(problem: &str) {
        for line in KEY.lines().filter(|line| !line.starts_with('-')) {
            for octets in line.as_bytes().windows(8) {
                let text = std::str::from_utf8(octets).unwrap();
                assert!(!problem.contains(text), "{problem}");
                let numbers = format!("{octets:?}");
                assert!(!problem.contains(numbers.trim_matches(['[', ']'])), "{problem}");
            }
        }
    }

    #[test]
    fn a_key_that_lost_its_line_ends_is_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("both.pem");
        let flat = |pem: &str| pem.replace('\n', "");
        let key = flat(KEY);
        for text in [
            key.clone(),
            format!("{key}\n"),
            flat(CERTIFICATE) + &key,
            format!("{CERTIFICATE}{key}\n"),
            key.replacen("KEY-----", "KEY-----\n", 1),
            key.replace("-----END", "\n-----END"),
            KEY.replace("-----END PRIVATE KEY-----", ""),
            KEY.replace("-----BEGIN PRIVATE KEY-----", ""),
        ] {
            std::fs::write(&file, &text).unwrap();
            let shelf = Shelf::new(0);
            let problems = [
                shelf.read_chain(&file).map(drop),
                shelf.read_lists(&file).map(drop),
                shelf.read_key(&file).map(drop),
                shelf.certificate("edge", &file).map(drop),
                shelf.authorities("client_ca", &file).map(drop),
                shelf.lists(&file).map(drop),
            ];
            problems.iter().filter_map(|read| read.as_ref().err()).for_each(|problem| {
                is_hidden(&problem.to_string());
                is_hidden(&format!("{problem:?}"));
            });
            assert!(problems.iter().any(Result::is_err), "{text}");
        }
        std::fs::write(&file, &key).unwrap();
        for problem in [
            Shelf::new(0).read_chain(&file).unwrap_err(),
            Shelf::new(0).read_lists(&file).unwrap_err(),
        ] {
            assert!(problem.message.contains("a line of its own"), "{problem}");
        }
    }
}
