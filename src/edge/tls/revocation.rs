//! Who was revoked: the lists of `client_crl`, verified and indexed when they are loaded.
//!
//! A list counts for the CA whose key has signed it, so that two CAs of one name each have their
//! own; of several lists of one CA and one scope the newest decides (RFC 5280 section 6.3.3). Each
//! certificate of a chain is looked up, not the client's own alone, and a certificate that no list
//! covers is refused. A list of a CA that is not among the anchors may be an intermediate's: it is
//! verified once, when that intermediate is first seen in a chain that holds. An anchor that
//! another anchor has certified is looked up, too, when all lists are there. This file decides all
//! that. It must not know where a chain comes from.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::{CertificateRevocationListDer, UnixTime};
use rustls::{CertificateError, Error};

use super::TlsError;
use super::anchors::{Anchor, Anchors, Verified};
use super::of_file;
use crate::ids::Fingerprint;
use crate::x509::{Certificate, RevocationList, canonical};

/// Most keys of one name of intermediates that lists are verified for.
const KEYS_MAX: usize = 8;

/// All lists, by who has signed them.
pub(super) struct Revocation {
    anchors: HashMap<Vec<u8>, Vec<Issuer>>,
    others: HashMap<Vec<u8>, Others>,
    /// Anchors that another anchor has certified and revoked, by their certificates' hashes.
    revoked_anchors: HashSet<Fingerprint>,
    accepts_expired: bool,
}

/// The lists of one key.
#[derive(Default)]
struct Issuer {
    /// The content of its SubjectPublicKeyInfo.
    key: Vec<u8>,
    lists: Vec<Arc<Listed>>,
}

struct Listed {
    list: RevocationList,
    file: Arc<Path>,
}

/// Lists of one name that no anchor has signed.
#[derive(Default)]
struct Others {
    lists: Vec<(Arc<Listed>, CertificateRevocationListDer<'static>)>,
    /// Keys of that name that were seen in chains that hold.
    seen: Mutex<Vec<Issuer>>,
}

impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = self.all().count();
        f.debug_struct("Revocation").field("lists", &lists).finish_non_exhaustive()
    }
}

impl Revocation {
    /// No list yet.
    pub(super) fn new(accepts_expired: bool) -> Self {
        Self {
            anchors: HashMap::new(),
            others: HashMap::new(),
            revoked_anchors: HashSet::new(),
            accepts_expired,
        }
    }

    /// Takes the lists of a file in. Gives back what the operator should know of them.
    ///
    /// # Errors
    /// [`TlsError`] names the file: a list that can't be used at all.
    pub(super) fn add(
        &mut self,
        anchors: &Anchors,
        file: &Path,
        lists: Vec<CertificateRevocationListDer<'static>>,
    ) -> Result<Vec<TlsError>, TlsError> {
        let mut notices = Vec::new();
        let shared: Arc<Path> = file.into();
        for der in lists {
            let (list, signed) =
                RevocationList::parse(&der).map_err(|fault| of_file(file, fault))?;
            let name = list.issuer.clone();
            let of_name: Vec<_> =
                anchors.iter().filter(|anchor| canonical(anchor.subject()) == name).collect();
            let signer = |anchor: &&&Anchor| anchors.is_signed_by(&signed, anchor.key());
            let signers: Vec<_> = of_name.iter().filter(signer).map(|one| one.key()).collect();
            let listed = Arc::new(Listed { list, file: shared.clone() });
            if signers.is_empty() {
                notices.push(of_file(file, no_signer(&listed.list, !of_name.is_empty())));
                self.others.entry(name).or_default().lists.push((listed, der));
                continue;
            }
            for key in signers {
                let issuers = self.anchors.entry(name.clone()).or_default();
                match issuers.iter_mut().find(|issuer| issuer.key == key) {
                    Some(issuer) => keep_newest(&mut issuer.lists, listed.clone()),
                    None => issuers.push(Issuer { key: key.to_vec(), lists: vec![listed.clone()] }),
                }
            }
        }
        Ok(notices)
    }

    /// Looks up the anchors that other anchors have certified, such as intermediates beside their
    /// root: an anchor is trusted for itself, but who has revoked it did not mean that. Those that
    /// have certified themselves are not looked up.
    pub(super) fn look_up_anchors<'a>(&mut self, anchors: &'a Anchors) -> Vec<&'a Anchor> {
        let revoked: Vec<_> =
            anchors.iter().filter(|one| self.revokes_anchor(anchors, one)).collect();
        let hashes = revoked.iter().map(|one| Fingerprint::of_der(one.certificate()));
        self.revoked_anchors = hashes.collect();
        revoked
    }

    fn revokes_anchor(&self, anchors: &Anchors, anchor: &Anchor) -> bool {
        let Ok(parsed) = Certificate::parse(anchor.certificate()) else { return false };
        let issuers = self.anchors.get(&canonical(parsed.issuer));
        let names = |issuer: &&Issuer| {
            let mut lists = issuer.lists.iter().map(|listed| &listed.list);
            issuer.key != anchor.key()
                && lists.any(|one| one.scope.covers(&parsed, true) && one.revokes(parsed.serial))
        };
        let mut named = issuers.into_iter().flatten().filter(names).peekable();
        // The signature is read only where a number is on a list.
        if named.peek().is_none() {
            return false;
        }
        // A certificate is signed in the form in which a list is.
        let Ok(signed) = RevocationList::signed(anchor.certificate()) else { return false };
        named.any(|issuer| anchors.is_signed_by(&signed, &issuer.key))
    }

    /// The file that a CA's list is in, if there is one.
    pub(super) fn file_of(&self, anchor: &Anchor) -> Option<&Path> {
        self.lists_of_anchor(anchor).first().map(|listed| &*listed.file)
    }

    /// Whether none of the lists that a CA has is about clients.
    pub(super) fn has_no_clients(&self, anchor: &Anchor) -> bool {
        let mut lists = self.lists_of_anchor(anchor).iter();
        !self.lists_of_anchor(anchor).is_empty() && lists.all(|one| !one.list.scope.has_clients())
    }

    /// The file with a list that is older than the one of the same CA and scope that `before` has,
    /// and whose it is, by its date: not all CAs count in order. Lists of intermediates are told
    /// apart by how they name their key.
    pub(super) fn older_than(&self, before: &Self, now: i64) -> Option<(&Path, &str)> {
        // One whose clock was wrong is replaced by whatever comes.
        let counted = before.all().filter(|had| had.list.this_update <= now);
        for Listed { list: had, .. } in counted {
            let is_same = |one: &&Listed| {
                let list = &one.list;
                list.issuer == had.issuer
                    && list.authority_key_id == had.authority_key_id
                    && list.scope == had.scope
            };
            let mut newest: Option<&Listed> = None;
            for one in self.all().filter(is_same) {
                if newest.is_none_or(|newest| one.list.is_newer_than(&newest.list)) {
                    newest = Some(one);
                }
            }
            let older = newest.filter(|newest| newest.list.this_update < had.this_update);
            if let Some(older) = older {
                return Some((&older.file, &older.list.shown_issuer));
            }
        }
        None
    }

    /// Those that say that they were made in the future.
    pub(super) fn of_the_future(&self, now: i64) -> impl Iterator<Item = (&Path, &str)> {
        let all = self.all().filter(move |listed| listed.list.this_update > now);
        all.map(|listed| (&*listed.file, listed.list.shown_issuer.as_str()))
    }

    fn lists_of_anchor(&self, anchor: &Anchor) -> &[Arc<Listed>] {
        let issuers = self.anchors.get(&canonical(anchor.subject()));
        let mut issuers = issuers.into_iter().flatten();
        issuers.find(|issuer| issuer.key == anchor.key()).map_or(&[], |issuer| &issuer.lists)
    }

    /// When each list is too old to be believed, in Unix seconds; never, where old ones count.
    pub(super) fn ends(&self) -> Vec<i64> {
        let counted = self.all().filter(|_| !self.accepts_expired);
        counted.map(|listed| listed.list.next_update).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Listed> {
        let own = self.anchors.values().flatten().flat_map(|issuer| &issuer.lists);
        let others = self.others.values().flat_map(|others| &others.lists);
        own.chain(others.map(|(listed, _)| listed)).map(|listed| &**listed)
    }

    /// Looks up every certificate of a chain that holds.
    ///
    /// # Errors
    /// One of them is revoked, or nobody can tell.
    pub(super) fn check(
        &self,
        anchors: &Anchors,
        verified: &Verified<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        if !self.revoked_anchors.is_empty()
            && self.revoked_anchors.contains(&Fingerprint::of_der(verified.anchor.certificate()))
        {
            return Err(CertificateError::Revoked.into());
        }
        let chain = &verified.certificates;
        for (depth, certificate) in chain.iter().enumerate() {
            let issuer = chain.get(depth + 1);
            let key = issuer.map_or_else(|| verified.anchor.key(), |issuer| issuer.key);
            let lists = self.lists_of(anchors, &canonical(certificate.issuer), key, issuer);
            self.look_up(&lists, certificate, depth > 0, now)?;
        }
        Ok(())
    }

    /// The lists that a key of a name has signed.
    fn lists_of(
        &self,
        anchors: &Anchors,
        name: &[u8],
        key: &[u8],
        issuer: Option<&Certificate<'_>>,
    ) -> Vec<Arc<Listed>> {
        let of_key = |issuers: &[Issuer]| {
            issuers.iter().find(|issuer| issuer.key == key).map(|issuer| issuer.lists.clone())
        };
        if let Some(lists) = self.anchors.get(name).and_then(|issuers| of_key(issuers)) {
            return lists;
        }
        // What an intermediate must not sign, it has not signed (RFC 5280 section 4.2.1.3).
        let may_sign = issuer.is_some_and(|issuer| issuer.signs_lists);
        let Some(others) = self.others.get(name).filter(|_| may_sign) else { return Vec::new() };
        let mut seen = others.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lists) = of_key(&seen) {
            return lists;
        }
        if seen.len() >= KEYS_MAX {
            return Vec::new();
        }
        let key_id = issuer.and_then(|issuer| issuer.subject_key_id);
        let lists = others.signed_by(anchors, key, key_id);
        seen.push(Issuer { key: key.to_vec(), lists: lists.clone() });
        lists
    }

    fn look_up(
        &self,
        lists: &[Arc<Listed>],
        certificate: &Certificate<'_>,
        is_authority: bool,
        now: UnixTime,
    ) -> Result<(), Error> {
        let (mut is_known, mut too_old) = (false, None);
        for Listed { list, .. } in lists.iter().map(|listed| &**listed) {
            if !list.scope.covers(certificate, is_authority) {
                continue;
            }
            if list.revokes(certificate.serial) {
                // However old the list.
                return Err(CertificateError::Revoked.into());
            }
            let next = u64::try_from(list.next_update).unwrap_or(0);
            if self.accepts_expired || now.as_secs() <= next {
                is_known = true;
            } else {
                too_old = Some(UnixTime::since_unix_epoch(Duration::from_secs(next)));
            }
        }
        match too_old {
            _ if is_known => Ok(()),
            Some(next_update) => {
                let time = now;
                Err(CertificateError::ExpiredRevocationListContext { time, next_update }.into())
            }
            None => Err(CertificateError::UnknownRevocationStatus.into()),
        }
    }
}

impl Others {
    /// The lists of this name that a key has signed: verified here, which takes long for a long
    /// one, and then remembered.
    fn signed_by(&self, anchors: &Anchors, key: &[u8], key_id: Option<&[u8]>) -> Vec<Arc<Listed>> {
        let mut lists = Vec::new();
        for (listed, der) in &self.lists {
            let says = listed.list.authority_key_id.as_deref();
            let is_anothers = says.zip(key_id).is_some_and(|(says, is)| says != is);
            let Ok(signed) = RevocationList::signed(der) else { continue };
            if !is_anothers && anchors.is_signed_by(&signed, key) {
                keep_newest(&mut lists, listed.clone());
            }
        }
        lists
    }
}

/// Of two lists of one scope, the newer one stays.
fn keep_newest(lists: &mut Vec<Arc<Listed>>, listed: Arc<Listed>) {
    let same_scope = lists.iter_mut().find(|one| one.list.scope == listed.list.scope);
    match same_scope {
        Some(one) if listed.list.is_newer_than(&one.list) => *one = listed,
        Some(_) => {}
        None => lists.push(listed),
    }
}

fn no_signer(list: &RevocationList, has_name: bool) -> String {
    let name = &list.shown_issuer;
    if has_name {
        format!(
            "holds a list of `{name}` that no CA of this name in `client_ca` has signed; it \
             counts only for an intermediate of this name that a client sends"
        )
    } else {
        format!(
            "holds a list of `{name}`, which is no CA of `client_ca`; it counts only for an \
             intermediate of this name that a client sends"
        )
    }
}
