//! A certificate authority of the simulated world, and what it signs.
//!
//! This file decides what stands in a development certificate. It must not know who uses it.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use super::PkiError;
use crate::ids::Fingerprint;

/// How long an authority lives: a demo folder that was forgotten stops working by itself.
const AUTHORITY_DAYS: i64 = 30;
/// How long a certificate lives.
const LEAF_DAYS: i64 = 14;
/// Certificates begin a little in the past, for clocks that are behind.
const BACKDATED_SECONDS: i64 = 3_600;
const DAY_SECONDS: i64 = 86_400;

/// A certificate and its private key.
pub struct Identity {
    cert_pem: String,
    key_pem: String,
    cert: CertificateDer<'static>,
    key_pkcs8: Vec<u8>,
    fingerprint: Fingerprint,
    serial: SerialNumber,
}

impl Identity {
    /// The certificate, as PEM.
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// The private key, as PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The certificate, as DER.
    pub fn cert(&self) -> &CertificateDer<'static> {
        &self.cert
    }

    /// The private key, as rustls takes it.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key_pkcs8.clone()))
    }

    /// The fingerprint that a client's entry in `routes.toml` names.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// A certificate authority: its own certificate, and the key it signs with.
pub struct Authority {
    pem: String,
    cert: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority with a fresh key.
    ///
    /// # Errors
    /// [`PkiError::Certificate`] when the crypto library fails.
    pub fn new(name: &str) -> Result<Self, PkiError> {
        let key = KeyPair::generate()?;
        let mut params = dated(name, &[], -BACKDATED_SECONDS, AUTHORITY_DAYS * DAY_SECONDS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            pem: certificate.pem(),
            cert: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The authority's certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The authority's certificate, as DER.
    pub fn cert(&self) -> &CertificateDer<'static> {
        &self.cert
    }

    /// Certifies a TLS client.
    ///
    /// # Errors
    /// As [`Authority::new`].
    pub fn client(&self, name: &str) -> Result<Identity, PkiError> {
        let mut params = dated(name, &[], -BACKDATED_SECONDS, LEAF_DAYS * DAY_SECONDS)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.certify(params)
    }

    /// Certifies a TLS client for so many seconds from now.
    ///
    /// # Errors
    /// As [`Authority::new`].
    pub fn brief_client(&self, name: &str, seconds: i64) -> Result<Identity, PkiError> {
        let mut params = dated(name, &[], -BACKDATED_SECONDS, seconds)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.certify(params)
    }

    /// Certifies a TLS server under these host names and addresses.
    ///
    /// # Errors
    /// As [`Authority::new`].
    pub fn server(&self, name: &str, hosts: &[&str]) -> Result<Identity, PkiError> {
        let mut params = dated(name, hosts, -BACKDATED_SECONDS, LEAF_DAYS * DAY_SECONDS)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.certify(params)
    }

    /// A server's certificate that expired yesterday.
    ///
    /// # Errors
    /// As [`Authority::new`].
    pub fn expired_server(&self, name: &str, hosts: &[&str]) -> Result<Identity, PkiError> {
        let mut params = dated(name, hosts, -LEAF_DAYS * DAY_SECONDS, -DAY_SECONDS)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.certify(params)
    }

    /// PEM: a certificate revocation list with these certificates on it.
    ///
    /// # Errors
    /// As [`Authority::new`].
    pub fn revocation_list(&self, revoked: &[&Identity]) -> Result<String, PkiError> {
        self.brief_revocation_list(revoked, AUTHORITY_DAYS * DAY_SECONDS)
    }

    /// The same, with a `nextUpdate` so many seconds from now.
    ///
    /// # Errors
    /// As [`Authority::new`].
    pub fn brief_revocation_list(
        &self,
        revoked: &[&Identity],
        seconds: i64,
    ) -> Result<String, PkiError> {
        let start = date(-BACKDATED_SECONDS);
        let entry = |identity: &&Identity| RevokedCertParams {
            serial_number: identity.serial.clone(),
            revocation_time: start,
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: start,
            next_update: date(seconds),
            crl_number: serial(),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.pem()?)
    }

    fn certify(&self, mut params: CertificateParams) -> Result<Identity, PkiError> {
        let key = KeyPair::generate()?;
        let serial = serial();
        params.serial_number = Some(serial.clone());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            cert: certificate.der().clone(),
            key_pkcs8: key.serialize_der(),
            fingerprint: Fingerprint::of_der(certificate.der()),
            serial,
        })
    }
}

/// Parameters that hold from `from` to `until`, in seconds from now.
fn dated(name: &str, hosts: &[&str], from: i64, until: i64) -> Result<CertificateParams, PkiError> {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts)?;
    (params.not_before, params.not_after) = (date(from), date(until));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "DEVELOPMENT ONLY");
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// A serial number that no other certificate has: 16 random octets, positive (RFC 5280 4.1.2.2).
fn serial() -> SerialNumber {
    let mut octets = uuid::Uuid::new_v4().into_bytes();
    if let Some(first) = octets.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    SerialNumber::from_slice(&octets)
}

/// A date so many seconds from now.
fn date(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::seconds(seconds)
}
