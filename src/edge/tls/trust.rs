//! Whom the edge trusts: the client CAs and their revocation lists, as they are now.
//!
//! A resumed handshake does not ask the verifier, and an open connection does not ask it again;
//! this file is where both are checked. It decides until when a check holds. It must not know what
//! becomes of a connection.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, Error};

use super::anchors::{Anchor, Anchors};
use super::revocation::Revocation;
use super::shelf::Whose;
use super::verifier::{ClientVerifier, hints};
use super::{Shelf, TlsError, of_file};
use crate::ids::Fingerprint;
use crate::routes::{ClientAuth, EdgeTls};
use crate::x509::Certificate;

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
    verifier: Arc<ClientVerifier>,
    anchors: Arc<Anchors>,
    /// The lists, where any are named.
    revocation: Option<Arc<Revocation>>,
    /// When each revocation list is too old to be believed, in Unix seconds. Which of them a
    /// certificate rests on is the verifier's to know, so that all are dates to ask it again.
    lists_until: Vec<i64>,
    /// Until when each certificate that was checked is good, in Unix seconds.
    checked: DashMap<Fingerprint, i64>,
    /// What the operator should know of the files: nothing of it keeps them from being used.
    pub(in crate::edge) notices: Vec<TlsError>,
}

impl Trust {
    /// Trust in the table's CAs. `previous` is what is trusted until now, none at the start.
    ///
    /// # Errors
    /// [`TlsError`] names the file. Lists that would let nobody in are an error, and so are lists
    /// that would shut out everybody of a CA whose clients are let in now.
    pub(super) fn build(
        tls: &EdgeTls,
        shelf: &Shelf,
        previous: Option<&Self>,
    ) -> Result<Self, TlsError> {
        let anchors = shelf.anchors(&tls.client_ca, Whose::Operators)?;
        let told = anchors.notices().map(|notice| of_file(&tls.client_ca, notice));
        let mut notices: Vec<_> = told.collect();
        if let Err(bytes) = hints(&anchors) {
            notices.push(of_file(&tls.client_ca, too_many_hints(bytes)));
        }
        let mut revocation = None;
        if !tls.client_crl.is_empty() {
            let mut lists = Revocation::new(tls.accepts_expired_crl);
            for file in &tls.client_crl {
                notices.extend(lists.add(&anchors, file, shelf.read_lists(file)?)?);
            }
            notices.extend(check_coverage(tls, &anchors, &lists, previous)?);
            check_age(&lists, previous, shelf.now())?;
            notices.extend(told_of_lists(tls, &anchors, &mut lists, shelf.now()));
            revocation = Some(Arc::new(lists));
        }
        let lists_until = revocation.as_ref().map(|lists| lists.ends()).unwrap_or_default();
        let mandatory = tls.client_auth == ClientAuth::Required;
        let verifier = ClientVerifier::new(anchors.clone(), revocation.clone(), mandatory);
        let verifier = Arc::new(verifier);
        Ok(Self { verifier, anchors, revocation, lists_until, checked: DashMap::new(), notices })
    }

    /// Whether clients of a CA are let in as far as lists go.
    fn lets_in(&self, anchor: &Anchor) -> bool {
        let same = |one: &Anchor| one.key() == anchor.key() && one.subject() == anchor.subject();
        let covers = |lists: &Arc<Revocation>| lists.file_of(anchor).is_some();
        self.anchors.iter().any(same) && self.revocation.as_ref().is_none_or(covers)
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
        let ends = chain.iter().filter_map(|one| Some(Certificate::parse(one).ok()?.not_after));
        // A date itself is still good (RFC 5280 section 4.1.2.5).
        let ends = ends.chain(self.lists_until.iter().copied()).map(|end| end.saturating_add(1));
        ends.filter(|end| *end > now).min().unwrap_or(i64::MAX)
    }
}

/// Finds the CAs that no list covers: an unknown status is refused, so that none of their clients
/// is let in. Gives back what the operator should know.
///
/// # Errors
/// That would be everybody, or everybody of a CA whose clients are let in now.
fn check_coverage(
    tls: &EdgeTls,
    anchors: &Anchors,
    lists: &Revocation,
    previous: Option<&Trust>,
) -> Result<Vec<TlsError>, TlsError> {
    let bare: Vec<_> = anchors.iter().filter(|one| lists.file_of(one).is_none()).collect();
    let first = tls.client_crl.first().unwrap_or(&tls.client_ca);
    let authorities = tls.client_ca.display();
    if bare.len() == anchors.iter().count() {
        let and_others = if tls.client_crl.len() > 1 { ", and so do all others" } else { "" };
        return Err(of_file(
            first,
            format_args!(
                "holds no list that a CA of {authorities} has signed{and_others}, so that no \
                 client could be let in; name the lists of these CAs, or no list"
            ),
        ));
    }
    for anchor in &bare {
        let Some(before) = previous.filter(|before| before.lets_in(anchor)) else { continue };
        let file = before.revocation.as_ref().and_then(|lists| lists.file_of(anchor));
        return Err(of_file(
            file.unwrap_or(first),
            format_args!(
                "holds no list of `{}` of {authorities}, nor does another file of `client_crl`, \
                 so that its clients, who are let in now, would be shut out",
                anchor.shown
            ),
        ));
    }
    let told = bare.iter().take(BARE_SHOWN_MAX).map(|anchor| {
        of_file(
            &tls.client_ca,
            format_args!(
                "no file of `client_crl` holds a list of `{}`: nobody whom it has certified is \
                 let in",
                anchor.shown
            ),
        )
    });
    Ok(told.collect())
}

/// Most CAs without a list that are told one by one.
const BARE_SHOWN_MAX: usize = 20;

/// Refuses a list that is older than the one in use: who was revoked in between would be let in
/// again.
///
/// # Errors
/// The file that holds it.
fn check_age(lists: &Revocation, previous: Option<&Trust>, now: i64) -> Result<(), TlsError> {
    let before = previous.and_then(|before| before.revocation.as_ref());
    let Some((file, name)) = before.and_then(|before| lists.older_than(before, now)) else {
        return Ok(());
    };
    Err(of_file(
        file,
        format_args!(
            "holds a list of `{name}` that is older than the one in use, so that who was revoked \
             in between would be let in again; name the newest one (a new process takes any)",
        ),
    ))
}

/// What the operator should know of lists that can be used.
fn told_of_lists(
    tls: &EdgeTls,
    anchors: &Anchors,
    lists: &mut Revocation,
    now: i64,
) -> Vec<TlsError> {
    let revoked = lists.look_up_anchors(anchors);
    let revoked = revoked.into_iter().take(BARE_SHOWN_MAX).map(|anchor| {
        let name = &anchor.shown;
        of_file(
            &tls.client_ca,
            format_args!(
                "`{name}` is revoked by a CA of this file: nobody whom it has certified is let in"
            ),
        )
    });
    let mut told: Vec<_> = revoked.collect();
    let mute = anchors.iter().filter(|anchor| lists.has_no_clients(anchor)).take(BARE_SHOWN_MAX);
    told.extend(mute.filter_map(|anchor| {
        let name = &anchor.shown;
        Some(of_file(
            lists.file_of(anchor)?,
            format_args!(
                "holds of `{name}` a list of CAs alone (onlyContainsCACerts), and no file holds \
                 one of its clients: nobody whom it has certified itself is let in"
            ),
        ))
    }));
    told.extend(lists.of_the_future(now).take(BARE_SHOWN_MAX).map(|(file, name)| {
        of_file(
            file,
            format_args!(
                "holds a list of `{name}` that was made in the future (thisUpdate): \
                 whose clock is wrong?"
            ),
        )
    }));
    told
}

fn too_many_hints(bytes: usize) -> String {
    format!(
        "its CAs' names are {bytes} bytes, more than clients can read; they are sent none, and \
         choose their certificate by themselves"
    )
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
mod tests;
