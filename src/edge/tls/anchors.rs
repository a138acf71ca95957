//! The CAs that are trusted for something, and the check of a peer's chain against them.
//!
//! A chain is bounded before anything is verified, and `webpki` gets one way to an anchor at a
//! time: a stranger's certificates cost what an ordinary handshake that fails costs. This file
//! decides which ways are tried, and how it is told that none holds. It must not know whether a
//! client or a bank shows the chain.

use std::sync::Arc;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::{CertificateError, Error, ExtendedKeyPurpose, OtherError};
use webpki::{EndEntityCert, KeyUsage};

use crate::x509::{Certificate, Chain, ChainFault, NotDer, Path, Signed, SubjectIndex};

/// Trusted CAs.
#[derive(Debug)]
pub(super) struct Anchors {
    anchors: Vec<Anchor>,
    index: SubjectIndex,
    algorithms: WebPkiSupportedAlgorithms,
    /// The names of those that have certified nobody who is let in.
    barren: Vec<String>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Anchor {
    trusted: TrustAnchor<'static>,
    /// Its certificate: another anchor may have certified it, and revoked it since.
    certificate: CertificateDer<'static>,
    /// Its name, for messages.
    pub(super) shown: String,
}

impl Anchor {
    /// The content of its name.
    pub(super) fn subject(&self) -> &[u8] {
        &self.trusted.subject
    }

    /// The content of its SubjectPublicKeyInfo.
    pub(super) fn key(&self) -> &[u8] {
        &self.trusted.subject_public_key_info
    }

    pub(super) const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

/// A chain whose signatures, dates and purposes hold: the peer's certificate, then who certified
/// each.
pub(super) struct Verified<'v> {
    pub(super) certificates: Vec<Certificate<'v>>,
    pub(super) anchor: &'v Anchor,
}

impl Anchors {
    /// No CA yet.
    pub(super) fn new(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { anchors: Vec::new(), index: SubjectIndex::default(), algorithms, barren: Vec::new() }
    }

    /// Trusts a CA. The second value is its certificate, read.
    ///
    /// # Errors
    /// The verifier can't take it as an anchor.
    pub(super) fn add(
        &mut self,
        certificate: &CertificateDer<'_>,
        parsed: &Certificate<'_>,
    ) -> Result<(), webpki::Error> {
        let trusted = webpki::anchor_from_trusted_cert(certificate)?.to_owned();
        if parsed.constrains_directories && self.barren.len() < BARREN_SHOWN_MAX {
            self.barren.push(parsed.shown_subject());
        }
        self.index.add(&trusted.subject, parsed.subject_key_id);
        let certificate = certificate.clone().into_owned();
        self.anchors.push(Anchor { trusted, certificate, shown: parsed.shown_subject() });
        Ok(())
    }

    /// What the operator should know of them.
    pub(super) fn notices(&self) -> impl Iterator<Item = String> {
        self.barren.iter().map(|name| {
            format!(
                "`{name}` may certify certain directory names alone (nameConstraints), which \
                 can't be checked here: nobody whom it has certified is accepted; trust a CA \
                 without that"
            )
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Anchor> {
        self.anchors.iter()
    }

    pub(super) const fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.algorithms
    }

    /// Verifies a chain for a purpose: one way to an anchor has to hold, and to be accepted.
    ///
    /// # Errors
    /// Why the likeliest of all ways does not hold, or that there is none.
    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
        accept: &dyn Fn(&Verified<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let slices: Vec<&[u8]> = others.iter().map(AsRef::as_ref).collect();
        let chain = Chain::read(leaf, &slices).map_err(|fault| match fault {
            ChainFault::Unreadable => CertificateError::BadEncoding.into(),
            fault => other(fault.to_string()),
        })?;
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let end_entity = EndEntityCert::try_from(leaf).map_err(refusal)?;
        let mut refused = None;
        for path in chain.paths(&self.index, seconds) {
            let verified = self.verify_path(&end_entity, others, &path, now, usage, accept);
            let Err(error) = verified else { return Ok(()) };
            if refused.as_ref().is_none_or(|before| weight(before) < weight(&error)) {
                refused = Some(error);
            }
        }
        Err(refused.unwrap_or_else(|| CertificateError::UnknownIssuer.into()))
    }

    fn verify_path(
        &self,
        leaf: &EndEntityCert<'_>,
        others: &[CertificateDer<'_>],
        path: &Path,
        now: UnixTime,
        usage: KeyUsage,
        accept: &dyn Fn(&Verified<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let unknown = || Error::from(CertificateError::UnknownIssuer);
        let anchor = self.anchors.get(path.anchor).ok_or_else(unknown)?;
        let between: Vec<CertificateDer<'_>> = path
            .between
            .iter()
            .filter_map(|place| others.get(*place))
            .map(|certificate| CertificateDer::from(certificate.as_ref()))
            .collect();
        // The verifier compares names as bytes. The anchor's own is the operator's; written as
        // its issuer's name stands in the certificate below it, it is the same name.
        let below = between.last().map_or_else(|| leaf.issuer(), |last| issuer_of(last));
        let mut trusted = anchor.trusted.clone();
        if !below.is_empty() {
            trusted.subject = below.into();
        }
        let trusted = [trusted];
        let held = leaf
            .verify_for_usage(self.algorithms.all, &trusted, &between, now, usage, None, None)
            .map_err(refusal)?;
        let ders: Vec<_> = held.intermediate_certificates().map(webpki::Cert::der).collect();
        let own = held.end_entity().der();
        let certificates: Result<Vec<_>, NotDer> =
            [&own].into_iter().chain(&ders).map(|der| Certificate::parse(der)).collect();
        let unreadable = |NotDer| Error::from(CertificateError::BadEncoding);
        accept(&Verified { certificates: certificates.map_err(unreadable)?, anchor })
    }

    /// Whether something was signed by the key of this SubjectPublicKeyInfo.
    pub(super) fn is_signed_by(&self, signed: &Signed<'_>, key: &[u8]) -> bool {
        let Some((algorithm, bits)) = Certificate::split_key(key) else { return false };
        let fits = self.algorithms.all.iter().filter(|one| {
            one.signature_alg_id().as_ref() == signed.algorithm
                && one.public_key_alg_id().as_ref() == algorithm
        });
        fits.into_iter()
            .any(|one| one.verify_signature(bits, signed.message, signed.signature).is_ok())
    }
}

/// The name of who certified this one.
fn issuer_of<'c>(certificate: &'c CertificateDer<'_>) -> &'c [u8] {
    Certificate::parse(certificate).map_or(&[], |parsed| parsed.issuer)
}

/// How much a refusal says: that a way ends nowhere says least, that somebody is revoked most.
fn weight(error: &Error) -> u8 {
    match error {
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => 0,
        Error::InvalidCertificate(CertificateError::Revoked) => 2,
        _ => 1,
    }
}

/// What `webpki` says, as rustls says it: alerts are chosen by it. Two refusals are said in words,
/// because they are about the CA and not about who is refused.
pub(super) fn refusal(error: webpki::Error) -> Error {
    use webpki::Error as Webpki;
    let refused = match error {
        Webpki::BadDer | Webpki::BadDerTime | Webpki::TrailingData(_) => {
            CertificateError::BadEncoding
        }
        Webpki::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        Webpki::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }
        }
        Webpki::InvalidCertValidity => CertificateError::Expired,
        Webpki::UnknownIssuer => CertificateError::UnknownIssuer,
        Webpki::CertNotValidForName(context) => CertificateError::NotValidForNameContext {
            expected: context.expected,
            presented: context.presented,
        },
        Webpki::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        Webpki::UnsupportedSignatureAlgorithmContext(context) => {
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: context.signature_algorithm_id,
                supported_algorithms: context.supported_algorithms,
            }
        }
        Webpki::UnsupportedSignatureAlgorithmForPublicKeyContext(context) => {
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: context.signature_algorithm_id,
                public_key_algorithm_id: context.public_key_algorithm_id,
            }
        }
        Webpki::RequiredEkuNotFoundContext(context) => CertificateError::InvalidPurposeContext {
            required: purpose(context.required.oid_values().collect()),
            presented: context.present.into_iter().map(purpose).collect(),
        },
        Webpki::NameConstraintViolation => return other(NAME_CONSTRAINT.to_owned()),
        Webpki::UnsupportedCriticalExtension => return other(CRITICAL_EXTENSION.to_owned()),
        error => CertificateError::Other(OtherError(Arc::new(error))),
    };
    refused.into()
}

/// Most CAs of a file that are told for that.
const BARREN_SHOWN_MAX: usize = 20;

const NAME_CONSTRAINT: &str = "NameConstraintViolation: a CA above it may certify certain names \
                               alone (nameConstraints), and this one is not seen to be one of \
                               them; constraints of directory names and of URIs can't be checked \
                               here and count as not met; trust a CA without them";
const CRITICAL_EXTENSION: &str = "UnsupportedCriticalExtension: a certificate of the chain has a \
                                  critical extension that can't be checked here, such as \
                                  certificatePolicies, so that it must not be accepted (RFC 5280 \
                                  section 4.2)";

fn purpose(id: Vec<usize>) -> ExtendedKeyPurpose {
    match id[..] {
        [1, 3, 6, 1, 5, 5, 7, 3, 1] => ExtendedKeyPurpose::ServerAuth,
        [1, 3, 6, 1, 5, 5, 7, 3, 2] => ExtendedKeyPurpose::ClientAuth,
        _ => ExtendedKeyPurpose::Other(id),
    }
}

/// A refusal in words of our own.
pub(super) fn other(words: String) -> Error {
    CertificateError::Other(OtherError(Arc::new(Words(words)))).into()
}

/// Said as it is: rustls shows it in its form for debugging.
struct Words(String);

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Words {}
