//! Which ways lead from a peer's certificate to an anchor, by names and key identifiers alone.
//!
//! A verifier that is given all certificates that a stranger sent tries all ways among them: 24
//! small certificates of one name are 200,000 ways. Here the chain is bounded before anything is
//! verified, and a few ways are picked, the likeliest first; the verifier gets one at a time. This
//! file decides which. It must not know how a signature is verified.

use std::collections::HashMap;
use std::fmt;

use super::certificate::Certificate;
use super::name::canonical;

/// Most certificates of a chain, the peer's own among them.
pub(super) const CERTIFICATES_MAX: usize = 16;
/// Most bytes of a chain: what a session ticket of ours can still carry beside the rest.
pub(super) const CHAIN_BYTES_MAX: usize = 56 * 1024;
/// Most extensions of one certificate. Real ones have about ten.
pub(super) const EXTENSIONS_MAX: usize = 64;
/// Most certificates of one name: CAs that sign each other's keys have two or three.
pub(super) const SAME_SUBJECT_MAX: usize = 4;
/// Most certificates between the peer's own and an anchor, as for the verifier.
const BETWEEN_MAX: usize = 6;
/// Most ways that are handed out.
pub(super) const PATHS_MAX: usize = 8;
/// Most certificates that are looked at on the way.
pub(super) const STEPS_MAX: usize = 256;

/// Anchors by their names.
#[derive(Debug, Default)]
pub struct SubjectIndex {
    exact: HashMap<Vec<u8>, Vec<usize>>,
    folded: HashMap<Vec<u8>, Vec<usize>>,
    key_ids: Vec<Option<Vec<u8>>>,
}

/// A chain that is small enough to be looked at.
#[derive(Debug)]
pub struct Chain<'a> {
    leaf: Certificate<'a>,
    /// The others, each once, with where they stand in what was sent.
    others: Vec<(usize, Certificate<'a>)>,
}

/// A way: which of the certificates that were sent lie between, from the peer's own upwards, and
/// the anchor's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// By their places in what was sent behind the peer's own certificate.
    pub between: Vec<usize>,
    /// The anchor.
    pub anchor: usize,
}

/// Why a chain is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainFault {
    /// The peer's own certificate can't be read.
    Unreadable,
    /// Too many certificates.
    Certificates,
    /// Too many bytes.
    Bytes,
    /// Too many extensions in one of them.
    Extensions,
    /// Too many of one name.
    SameSubject,
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("the peer's certificate can't be read"),
            Self::Certificates => {
                write!(f, "the peer's chain has more than {CERTIFICATES_MAX} certificates")
            }
            Self::Bytes => write!(f, "the peer's chain has more than {CHAIN_BYTES_MAX} bytes"),
            Self::Extensions => write!(
                f,
                "a certificate of the peer's chain has more than {EXTENSIONS_MAX} extensions"
            ),
            Self::SameSubject => write!(
                f,
                "the peer's chain has more than {SAME_SUBJECT_MAX} certificates of one name"
            ),
        }
    }
}

impl std::error::Error for ChainFault {}

impl SubjectIndex {
    /// Adds an anchor: the content of its name, and how it names its key.
    pub fn add(&mut self, subject: &[u8], key_id: Option<&[u8]>) {
        let number = self.key_ids.len();
        self.key_ids.push(key_id.map(<[u8]>::to_vec));
        self.exact.entry(subject.to_vec()).or_default().push(number);
        self.folded.entry(canonical(subject)).or_default().push(number);
    }

    /// The anchors of a name.
    fn of_name(&self, name: &[u8]) -> &[usize] {
        // Nearly every CA writes its name in one way.
        let exact = self.exact.get(name);
        exact.or_else(|| self.folded.get(&canonical(name))).map_or(&[], Vec::as_slice)
    }
}

impl<'a> Chain<'a> {
    /// Takes a chain in: the peer's own certificate, and all others that it sent.
    ///
    /// # Errors
    /// [`ChainFault`] when it is too large to be an honest one.
    pub fn read(leaf: &'a [u8], others: &[&'a [u8]]) -> Result<Self, ChainFault> {
        if others.len() >= CERTIFICATES_MAX {
            return Err(ChainFault::Certificates);
        }
        let bytes = others.iter().fold(leaf.len(), |sum, one| sum.saturating_add(one.len()));
        if bytes > CHAIN_BYTES_MAX {
            return Err(ChainFault::Bytes);
        }
        let parsed = Certificate::parse(leaf).map_err(|_| ChainFault::Unreadable)?;
        let mut chain = Self { leaf: parsed, others: Vec::new() };
        for (place, one) in others.iter().enumerate() {
            // What can't be read leads nowhere; some peers send the same twice.
            if *one == leaf || others.iter().take(place).any(|earlier| earlier == one) {
                continue;
            }
            if let Ok(parsed) = Certificate::parse(one) {
                chain.others.push((place, parsed));
            }
        }
        chain.check()?;
        Ok(chain)
    }

    fn check(&self) -> Result<(), ChainFault> {
        let all = || self.others.iter().map(|(_, one)| one);
        if all().chain([&self.leaf]).any(|one| one.extensions > EXTENSIONS_MAX) {
            return Err(ChainFault::Extensions);
        }
        let same = |one: &Certificate<'_>| all().filter(|two| two.subject == one.subject).count();
        if all().any(|one| same(one) > SAME_SUBJECT_MAX) {
            return Err(ChainFault::SameSubject);
        }
        Ok(())
    }

    /// The ways to an anchor, the likeliest first.
    pub fn paths(&self, anchors: &SubjectIndex, now: i64) -> Vec<Path> {
        let one = |certificate| Step {
            anchors: ranked_anchors(anchors, certificate),
            issuers: self.issuers(certificate, now),
        };
        let steps: Vec<_> = self.others.iter().map(|(_, other)| one(other)).collect();
        let mut search = Search {
            chain: self,
            steps: &steps,
            leads: &leads(&steps),
            visited: 0,
            between: Vec::new(),
            found: Vec::new(),
        };
        search.visit(&one(&self.leaf));
        search.found
    }

    /// Who may have certified this one, the likeliest first.
    fn issuers(&self, certificate: &Certificate<'_>, now: i64) -> Vec<usize> {
        let of_name = |(_, (_, other)): &(usize, &(usize, Certificate<'_>))| {
            other.subject == certificate.issuer
        };
        let mut issuers: Vec<_> = self.others.iter().enumerate().filter(of_name).collect();
        issuers.sort_by_key(|(_, (_, issuer))| {
            let is_good = issuer.not_before <= now && now <= issuer.not_after;
            (mismatch(certificate.authority_key_id, issuer.subject_key_id), !is_good)
        });
        issuers.into_iter().map(|(number, _)| number).collect()
    }
}

/// Where a certificate leads.
struct Step {
    anchors: Vec<usize>,
    /// By their numbers in [`Chain::others`].
    issuers: Vec<usize>,
}

struct Search<'s, 'a> {
    chain: &'s Chain<'a>,
    steps: &'s [Step],
    /// Which of them lead to an anchor at all.
    leads: &'s [bool],
    visited: usize,
    between: Vec<usize>,
    found: Vec<Path>,
}

impl Search<'_, '_> {
    fn visit(&mut self, step: &Step) {
        self.visited += 1;
        for anchor in &step.anchors {
            if self.found.len() < PATHS_MAX {
                let places = self.between.iter().filter_map(|number| self.place(*number));
                self.found.push(Path { between: places.collect(), anchor: *anchor });
            }
        }
        let steps = self.steps;
        for issuer in &step.issuers {
            let goes_on = self.found.len() < PATHS_MAX
                && self.visited < STEPS_MAX
                && self.between.len() < BETWEEN_MAX;
            if !goes_on {
                return;
            }
            let Some(next) = steps.get(*issuer) else { continue };
            if self.leads.get(*issuer) == Some(&true) && !self.is_on_the_way(*issuer) {
                self.between.push(*issuer);
                self.visit(next);
                self.between.pop();
            }
        }
    }

    fn place(&self, number: usize) -> Option<usize> {
        self.chain.others.get(number).map(|(place, _)| *place)
    }

    /// Whether this name and key are on the way already (RFC 4158 section 5.2).
    fn is_on_the_way(&self, number: usize) -> bool {
        let of = |number: usize| self.chain.others.get(number).map(|(_, one)| one);
        let Some(one) = of(number) else { return true };
        self.between
            .iter()
            .filter_map(|number| of(*number))
            .chain([&self.chain.leaf])
            .any(|earlier| earlier.subject == one.subject && earlier.key == one.key)
    }
}

/// The anchors that may have certified this one, the likeliest first.
fn ranked_anchors(anchors: &SubjectIndex, certificate: &Certificate<'_>) -> Vec<usize> {
    let mut ranked = anchors.of_name(certificate.issuer).to_vec();
    ranked.sort_by_key(|number| {
        let key_id = anchors.key_ids.get(*number).and_then(Option::as_deref);
        mismatch(certificate.authority_key_id, key_id)
    });
    ranked.truncate(PATHS_MAX);
    ranked
}

/// 0 where two key identifiers say the same key, 2 where they say another: only an order, because
/// some CAs get them wrong.
fn mismatch(wanted: Option<&[u8]>, is: Option<&[u8]>) -> u8 {
    match (wanted, is) {
        (Some(wanted), Some(is)) if wanted == is => 0,
        (Some(_), Some(_)) => 2,
        (None, _) | (_, None) => 1,
    }
}

/// Which certificates lead to an anchor, over others or not.
fn leads(steps: &[Step]) -> Vec<bool> {
    let mut leads: Vec<_> = steps.iter().map(|step| !step.anchors.is_empty()).collect();
    for _ in 0..BETWEEN_MAX {
        let before = leads.clone();
        for (lead, step) in leads.iter_mut().zip(steps) {
            *lead |= step.issuers.iter().any(|issuer| before.get(*issuer) == Some(&true));
        }
    }
    leads
}

#[cfg(test)]
mod tests;
