//! The verifiers that handshakes ask: of a client's chain at the edge, and of a bank's at a dial.
//!
//! This file decides what is asked beside the chain: revocation of clients, names of banks, and
//! which CAs' names a client is sent to choose its certificate by. It must not know how a way to
//! an anchor is found.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage};

use super::anchors::{Anchors, refusal};
use super::peer::peer;
use super::revocation::Revocation;
use crate::ids::Fingerprint;
use crate::x509::Certificate;

/// Most bytes of CAs' names that a client is sent. Java refuses messages of more than 32 KiB, and
/// from 64 KiB on the length does not fit into its field (RFC 5246 section 7.4.4).
const HINT_BYTES_MAX: usize = 16 * 1024;

/// Verifies clients.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    anchors: Arc<Anchors>,
    revocation: Option<Arc<Revocation>>,
    hints: Vec<DistinguishedName>,
    mandatory: bool,
}

impl ClientVerifier {
    /// A verifier; where there are no lists, nobody is looked up.
    pub(super) fn new(
        anchors: Arc<Anchors>,
        revocation: Option<Arc<Revocation>>,
        mandatory: bool,
    ) -> Self {
        let hints = hints(&anchors).unwrap_or_default();
        Self { anchors, revocation, hints, mandatory }
    }
}

/// The names of CAs that clients are sent.
///
/// # Errors
/// How many bytes they would be, where that is too much: then none are sent, and a client chooses
/// by itself.
pub(super) fn hints(anchors: &Anchors) -> Result<Vec<DistinguishedName>, usize> {
    let mut hints: Vec<DistinguishedName> = Vec::new();
    let (mut seen, mut bytes) = (std::collections::HashSet::new(), 0_usize);
    for anchor in anchors.iter() {
        if seen.insert(anchor.subject()) {
            let hint = DistinguishedName::in_sequence(anchor.subject());
            // Each stands behind its length.
            bytes = bytes.saturating_add(hint.as_ref().len() + 2);
            hints.push(hint);
        }
    }
    if bytes > HINT_BYTES_MAX { Err(bytes) } else { Ok(hints) }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let usage = KeyUsage::client_auth();
        let verified = self.anchors.verify(end_entity, intermediates, now, usage, &|verified| {
            let revocation = self.revocation.as_ref();
            revocation.map_or(Ok(()), |revocation| revocation.check(&self.anchors, verified, now))
        });
        match verified {
            Ok(()) => Ok(ClientCertVerified::assertion()),
            Err(error) => {
                // Its own name is the client's to tell; what tables and logs know it by is this.
                let certificate = Fingerprint::of_der(end_entity);
                let issuer = Certificate::parse(end_entity).ok().map(|one| one.shown_issuer());
                let peer = peer().map(tracing::field::display);
                tracing::info!(
                    %certificate, issuer, peer, %error, "a client's certificate is refused"
                );
                Err(error)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, self.anchors.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, self.anchors.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.anchors.algorithms().supported_schemes()
    }
}

/// Verifies banks.
#[derive(Debug)]
pub(super) struct BankVerifier(pub(super) Arc<Anchors>);

impl ServerCertVerifier for BankVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.verify(end_entity, intermediates, now, KeyUsage::server_auth(), &|_| Ok(()))?;
        let bank = EndEntityCert::try_from(end_entity).map_err(refusal)?;
        bank.verify_is_valid_for_subject_name(server_name).map_err(refusal)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, self.0.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, self.0.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.algorithms().supported_schemes()
    }
}
