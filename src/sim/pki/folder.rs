//! The files of the development PKI.
//!
//! This file decides who may read them, labels the keys and reads all of it back. It must not know
//! what is certified.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::PkiError;

/// The first line of each key file. What stands before `-----BEGIN` is not part of a PEM object
/// (RFC 7468 section 2), so that every reader passes over it.
pub const PRIVATE_KEY_LABEL: &str = "# corgate DEVELOPMENT key: never use it in production.";

/// Makes the folder, for its owner alone. A folder that is there keeps its mode: it is the user's.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a certificate, a list or a CA: anybody may read it.
pub(super) fn write_public(folder: &Path, name: &str, pem: &str) -> io::Result<()> {
    fs::write(folder.join(name), pem)
}

/// Writes a private key: only its owner can read it, also where an older file lay open.
pub(super) fn write_key(folder: &Path, name: &str, pem: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let path = folder.join(name);
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    writeln!(file, "{PRIVATE_KEY_LABEL}")?;
    file.write_all(pem.as_bytes())
}

/// Reads the certificates of a PEM file.
pub(in crate::sim) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(path, &error))
}

/// Reads the private key of a PEM file.
pub(in crate::sim) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, PkiError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable(path, &error))
}

/// Why a PEM file is no good.
pub(in crate::sim) fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> PkiError {
    PkiError::File(io::Error::other(format!("{}: {error}", path.display())))
}
