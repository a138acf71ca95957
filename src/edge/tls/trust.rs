//! Whom the edge trusts: the client CAs and their revocation lists, as they are now.
//!
//! A resumed handshake does not ask the verifier, and an open connection does not ask it again;
//! this file is where both are checked. It decides until when a check holds. It must not know what
//! becomes of a connection.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Shelf, TlsError, of_file, provider};
use crate::ids::Fingerprint;
use crate::routes::{ClientAuth, EdgeTls};

/// Most certificates whose check is remembered.
const CHECKED_MAX: usize = 10_000;
/// So many of them are forgotten where there is no room for one more: a part, whose checks are made
/// anew one by one, and not all in one moment.
const FORGOTTEN_AT_ONCE: usize = 64;

/// Why a connection that was good has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::edge) enum Ending {
    /// No client's entry has its certificate any more.
    TakenOff,
    /// A revocation list names it.
    Revoked,
    /// Its time is over.
    Expired,
    /// Its CA is not trusted any more, or its status can't be told: a list is missing or too old.
    Untrusted,
}

impl Ending {
    /// All of them.
    pub(in crate::edge) const ALL: [Self; 4] =
        [Self::TakenOff, Self::Revoked, Self::Expired, Self::Untrusted];

    /// Its name in logs and metrics.
    pub(in crate::edge) const fn as_str(self) -> &'static str {
        match self {
            Self::TakenOff => "taken_off",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Untrusted => "untrusted",
        }
    }
}

/// The verifier, and what it has said.
#[derive(Debug)]
pub(in crate::edge) struct Trust {
    verifier: Arc<dyn ClientCertVerifier>,
    /// When each revocation list is too old to be believed, in Unix seconds. Which of them a
    /// certificate rests on is the verifier's to know, so that all are dates to ask it again.
    lists_until: Vec<i64>,
    /// Until when each certificate that was checked is good, in Unix seconds.
    checked: DashMap<Fingerprint, i64>,
}

impl Trust {
    /// Trust in the table's CAs.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub(super) fn build(tls: &EdgeTls, shelf: &Shelf) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in shelf.read_chain(&tls.client_ca)? {
            roots.add(certificate).map_err(|error| of_file(&tls.client_ca, error))?;
        }
        let (mut crls, mut lists_until) = (Vec::new(), Vec::new());
        for file in &tls.client_crl {
            crls.extend(shelf.read_lists(file)?);
            if !tls.accepts_expired_crl {
                lists_until.extend(shelf.list_ends(file)?);
            }
        }
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .with_crls(crls)
            // Where CRLs are named, one must cover the client's issuer: an unknown status is
            // refused.
            .only_check_end_entity_revocation();
        if !tls.accepts_expired_crl {
            // A list that is too old does not know who was revoked since.
            verifier = verifier.enforce_revocation_expiration();
        }
        if tls.client_auth == ClientAuth::Optional {
            verifier = verifier.allow_unauthenticated();
        }
        let verifier = verifier.build().map_err(|error| of_file(&tls.client_ca, error))?;
        Ok(Self { verifier, lists_until, checked: DashMap::new() })
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.verifier.clone()
    }

    /// Whether a chain would be let in now, and until when that holds, in Unix seconds. Whoever
    /// shows it has proved before that it has the key.
    ///
    /// # Errors
    /// Why not.
    pub(in crate::edge) fn check(
        &self,
        fingerprint: &Fingerprint,
        chain: &[CertificateDer<'_>],
        now: i64,
    ) -> Result<i64, Ending> {
        if let Some(until) = self.checked.get(fingerprint).filter(|until| now < **until) {
            return Ok(*until);
        }
        let Some((leaf, between)) = chain.split_first() else { return Err(Ending::Untrusted) };
        let seconds = Duration::from_secs(u64::try_from(now).unwrap_or(0));
        let verified =
            self.verifier.verify_client_cert(leaf, between, UnixTime::since_unix_epoch(seconds));
        verified.map_err(|error| ending(&error))?;
        Ok(self.note(fingerprint, chain, now))
    }

    /// A chain has just been let in by the verifier: until when that holds, in Unix seconds.
    pub(in crate::edge) fn note(
        &self,
        fingerprint: &Fingerprint,
        chain: &[CertificateDer<'_>],
        now: i64,
    ) -> i64 {
        if let Some(until) = self.checked.get(fingerprint).filter(|until| now < **until) {
            return *until;
        }
        let until = self.holds_until(chain, now);
        if self.checked.len() >= CHECKED_MAX {
            let some: Vec<_> =
                self.checked.iter().take(FORGOTTEN_AT_ONCE).map(|it| *it.key()).collect();
            for fingerprint in some {
                self.checked.remove(&fingerprint);
            }
        }
        self.checked.insert(*fingerprint, until);
        until
    }

    /// Until when a check holds: the first date in the chain, or of a list, that is to come.
    fn holds_until(&self, chain: &[CertificateDer<'_>], now: i64) -> i64 {
        let ends = chain.iter().filter_map(|certificate| {
            let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
            Some(parsed.validity().not_after.timestamp())
        });
        // A date itself is still good (RFC 5280 section 4.1.2.5).
        let ends = ends.chain(self.lists_until.iter().copied()).map(|end| end.saturating_add(1));
        ends.filter(|end| *end > now).min().unwrap_or(i64::MAX)
    }
}

fn ending(error: &Error) -> Ending {
    match error {
        Error::InvalidCertificate(CertificateError::Revoked) => Ending::Revoked,
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => Ending::Expired,
        _ => Ending::Untrusted,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
        KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
    };

    use super::*;

    /// An authority whose revocation list ends with this year, its list, and one of its clients.
    struct Authority {
        pem: String,
        list: String,
        client: CertificateDer<'static>,
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
        params
    }

    fn authority(name: &str, year: i32) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut of_authority = params(name);
        of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        of_authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = of_authority.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(of_authority, key);
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&issuer).unwrap().pem().unwrap();
        let client = params("client").signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        Authority { pem, list, client: client.der().clone() }
    }

    #[test]
    fn every_list_that_lapses_ends_its_clients_and_not_the_first_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (one, two) = (authority("one", 2031), authority("two", 2032));
        let [begins_2030, begins_2031, begins_2032] =
            [2030, 2031, 2032].map(|year| date_time_ymd(year, 1, 1).unix_timestamp());
        std::fs::write(path("ca.pem"), one.pem + &two.pem).unwrap();
        std::fs::write(path("one"), &one.list).unwrap();
        std::fs::write(path("two"), &two.list).unwrap();
        std::fs::write(path("both"), one.list + &two.list).unwrap();
        for files in [["one", "two"].as_slice(), &["both"]] {
            let tls = EdgeTls {
                cert: path("unused"),
                key: path("unused"),
                client_ca: path("ca.pem"),
                client_crl: files.iter().map(|name| path(name)).collect(),
                client_auth: ClientAuth::Required,
                accepts_expired_crl: false,
            };
            let trust = Trust::build(&tls, &Shelf::new(begins_2030)).unwrap();
            let check = |client: &CertificateDer<'static>, now: i64| {
                trust.check(&Fingerprint::of_der(client), std::slice::from_ref(client), now)
            };
            for client in [&one.client, &two.client] {
                assert_eq!(check(client, begins_2030), Ok(begins_2031 + 1));
            }
            assert_eq!(check(&one.client, begins_2031 + 1), Err(Ending::Untrusted));
            assert_eq!(check(&two.client, begins_2031 + 1), Ok(begins_2032 + 1));
            assert_eq!(check(&two.client, begins_2032 + 1), Err(Ending::Untrusted));
            // A clock that jumped forward and came back keeps nobody out.
            assert_eq!(check(&one.client, begins_2030), Ok(begins_2031 + 1));
        }
    }
}
