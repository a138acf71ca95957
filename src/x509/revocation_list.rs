//! One certificate revocation list (RFC 5280 section 5), read once into what is looked up later.
//!
//! A list may have half a million entries: of each only the serial number is kept, in sorted rows
//! of equal length. This file decides which lists can be used at all: complete ones of their own
//! issuer. It must not know whether a list is to be believed; who has the issuer's key verifies
//! [`Signed`].

mod serials;

use std::fmt;

use self::serials::Serials;
use super::certificate::{AUTHORITY_KEY_ID, Certificate, uris_of};
use super::der::{self, Extension, NotDer, Reader, tag};
use super::name::{canonical, shown};
use super::validity;

/// A list, and what of it has to be verified.
#[derive(Debug)]
pub struct RevocationList {
    /// Its issuer's name, as names are compared.
    pub issuer: Vec<u8>,
    /// The same, for messages.
    pub shown_issuer: String,
    /// Which key of its issuer has signed it, as it says.
    pub authority_key_id: Option<Vec<u8>>,
    /// When it was made, in Unix seconds.
    pub this_update: i64,
    /// When the next one is due.
    pub next_update: i64,
    /// Which certificates it is about.
    pub scope: Scope,
    /// Its number, without leading zeros; longer is greater.
    number: Vec<u8>,
    serials: Serials,
}

/// What was signed, by what, with which result.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The bytes that were signed.
    pub message: &'a [u8],
    /// The content of the AlgorithmIdentifier.
    pub algorithm: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

/// Which certificates of its issuer a list is about (RFC 5280 section 5.2.5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Where it is found: certificates that name other places are not in it. Empty for all.
    uris: Vec<Box<[u8]>>,
    users_only: bool,
    authorities_only: bool,
}

/// Why a list can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFault {
    /// It is none.
    NotDer,
    /// It holds only what has changed since another list.
    Delta,
    /// It is about a part of its issuer's certificates, and has no name to know that part by.
    NamelessScope,
    /// It is about some reasons alone.
    SomeReasons,
    /// It is about certificates of other issuers.
    Indirect,
    /// It is about attribute certificates.
    AttributeCertificates,
    /// An extension of it, or of an entry, that nobody may pass over.
    CriticalExtension(String),
    /// It does not say when the next one is due.
    NoNextUpdate,
}

impl fmt::Display for ListFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complete = "name the complete list of this CA instead";
        match self {
            Self::NotDer => f.write_str("holds a revocation list that can't be read"),
            Self::Delta => write!(
                f,
                "holds a delta list (deltaCRLIndicator), which names only what has changed since \
                 another list; {complete}"
            ),
            Self::NamelessScope => write!(
                f,
                "holds a list whose issuingDistributionPoint has no URI, so that nobody can tell \
                 which certificates it is about; {complete}"
            ),
            Self::SomeReasons => write!(
                f,
                "holds a list of some reasons alone (onlySomeReasons), so that who is on another \
                 one would be let in; {complete}"
            ),
            Self::Indirect => write!(
                f,
                "holds an indirect list (indirectCRL), which speaks for other issuers; name a \
                 list that each CA has signed itself"
            ),
            Self::AttributeCertificates => write!(
                f,
                "holds a list of attribute certificates alone (onlyContainsAttributeCerts); \
                 {complete}"
            ),
            Self::CriticalExtension(id) => write!(
                f,
                "holds a list with a critical extension that is not known here ({id}), so that \
                 it must not be used (RFC 5280 section 5.2)"
            ),
            Self::NoNextUpdate => write!(
                f,
                "holds a list without nextUpdate, so that nobody can tell when it is too old \
                 (RFC 5280 section 5.1.2.5)"
            ),
        }
    }
}

impl From<NotDer> for ListFault {
    fn from(NotDer: NotDer) -> Self {
        Self::NotDer
    }
}

impl RevocationList {
    /// Reads one.
    ///
    /// # Errors
    /// [`ListFault`] when it can't be used.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Signed<'_>), ListFault> {
        let signed = Self::signed(bytes)?;
        let list = read(der::only(signed.message, tag::SEQUENCE)?, signed.algorithm)?;
        Ok((list, signed))
    }

    /// What of one has to be verified, without reading what it says.
    ///
    /// # Errors
    /// [`NotDer`]
    pub fn signed(bytes: &[u8]) -> Result<Signed<'_>, NotDer> {
        let mut outer = Reader::new(der::only(bytes, tag::SEQUENCE)?);
        let message = outer.element()?.whole;
        let algorithm = outer.expect(tag::SEQUENCE)?;
        let signature = outer.expect(tag::BIT_STRING)?;
        outer.end()?;
        let Some((0, signature)) = signature.split_first() else { return Err(NotDer) };
        Ok(Signed { message, algorithm, signature })
    }

    /// When the next one is due, in Unix seconds, without reading who is on it.
    ///
    /// # Errors
    /// [`ListFault`] when it can't be read that far.
    pub fn next_update_of(bytes: &[u8]) -> Result<i64, ListFault> {
        let signed = Self::signed(bytes)?;
        let mut inside = Reader::new(der::only(signed.message, tag::SEQUENCE)?);
        inside.optional(tag::INTEGER)?;
        inside.expect(tag::SEQUENCE)?;
        inside.expect(tag::SEQUENCE)?;
        validity::read(&mut inside)?;
        next_update(&mut inside)
    }

    /// Whether it names this serial number.
    pub fn revokes(&self, serial: &[u8]) -> bool {
        self.serials.contains(serial)
    }

    /// How many it names.
    pub const fn len(&self) -> usize {
        self.serials.len()
    }

    /// Whether it names none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it was made after another one of the same issuer and scope.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let age = |list: &Self| (list.this_update, list.number.len());
        (age(self), &self.number) > (age(other), &other.number)
    }
}

impl Scope {
    /// Whether a list of this scope is about clients at all.
    pub const fn has_clients(&self) -> bool {
        !self.authorities_only
    }

    /// Whether a list of this scope is about a certificate: an authority's, or a client's.
    pub fn covers(&self, certificate: &Certificate<'_>, is_authority: bool) -> bool {
        if self.users_only && is_authority || self.authorities_only && !is_authority {
            return false;
        }
        self.uris.is_empty()
            || !certificate.has_distribution_points()
            || certificate.names_list_at(&self.uris)
    }
}

fn read(list: &[u8], algorithm: &[u8]) -> Result<RevocationList, ListFault> {
    let mut inside = Reader::new(list);
    inside.optional(tag::INTEGER)?;
    if inside.expect(tag::SEQUENCE)? != algorithm {
        return Err(ListFault::NotDer);
    }
    let issuer = inside.expect(tag::SEQUENCE)?;
    let this_update = validity::read(&mut inside)?;
    let next_update = next_update(&mut inside)?;
    let entries = inside.optional(tag::SEQUENCE)?.unwrap_or_default();
    let mut read = RevocationList {
        issuer: canonical(issuer),
        shown_issuer: shown(issuer),
        authority_key_id: None,
        this_update,
        next_update,
        scope: Scope::default(),
        number: Vec::new(),
        serials: Serials::default(),
    };
    if let Some(tagged) = inside.optional(tag::constructed(0))? {
        for extension in der::extensions(der::only(tagged, tag::SEQUENCE)?) {
            read.note(extension?)?;
        }
    }
    inside.end()?;
    read.serials = serials_of(entries)?;
    Ok(read)
}

fn next_update(inside: &mut Reader<'_>) -> Result<i64, ListFault> {
    if validity::is_next(*inside) {
        Ok(validity::read(inside)?)
    } else {
        Err(ListFault::NoNextUpdate)
    }
}

impl RevocationList {
    fn note(&mut self, extension: Extension<'_>) -> Result<(), ListFault> {
        let Extension { id, critical, value } = extension;
        match id {
            CRL_NUMBER => {
                let number = der::only(value, tag::INTEGER)?;
                self.number = without_zeros(number).to_vec();
            }
            DELTA => return Err(ListFault::Delta),
            ISSUING_DISTRIBUTION_POINT => self.scope = scope(der::only(value, tag::SEQUENCE)?)?,
            AUTHORITY_KEY_ID => {
                let mut inside = Reader::new(der::only(value, tag::SEQUENCE)?);
                self.authority_key_id = inside.optional(tag::primitive(0))?.map(<[u8]>::to_vec);
            }
            _ if critical => return Err(ListFault::CriticalExtension(dotted(id))),
            _ => {}
        }
        Ok(())
    }
}

fn scope(point: &[u8]) -> Result<Scope, ListFault> {
    let mut inside = Reader::new(point);
    let place = inside.optional(tag::constructed(0))?;
    let mut flag = |number: u8| match inside.optional(tag::primitive(number))? {
        None | Some([0]) => Ok(false),
        Some([0xff]) => Ok(true),
        Some(_) => Err(NotDer),
    };
    let (users_only, authorities_only) = (flag(1)?, flag(2)?);
    if inside.optional(tag::primitive(3))?.is_some() {
        return Err(ListFault::SomeReasons);
    }
    let mut flag = |number: u8| inside.optional(tag::primitive(number));
    let (indirect, attributes) = (flag(4)?, flag(5)?);
    inside.end()?;
    let is_set = |flag: Option<&[u8]>| flag.is_some_and(|value| value != [0]);
    if is_set(indirect) {
        return Err(ListFault::Indirect);
    }
    if is_set(attributes) {
        return Err(ListFault::AttributeCertificates);
    }
    let uris: Vec<_> = place.into_iter().flat_map(uris_of).map(Into::into).collect();
    if uris.is_empty() {
        return Err(ListFault::NamelessScope);
    }
    Ok(Scope { uris, users_only, authorities_only })
}

fn serials_of(entries: &[u8]) -> Result<Serials, ListFault> {
    let mut serials = serials::Builder::default();
    let mut reader = Reader::new(entries);
    while !reader.is_empty() {
        let mut entry = Reader::new(reader.expect(tag::SEQUENCE)?);
        serials.add(entry.expect(tag::INTEGER)?);
        validity::read(&mut entry)?;
        if let Some(extensions) = entry.optional(tag::SEQUENCE)? {
            for extension in der::extensions(extensions) {
                let extension = extension?;
                match extension.id {
                    CERTIFICATE_ISSUER => return Err(ListFault::Indirect),
                    REASON_CODE => drop(der::only(extension.value, tag::ENUMERATED)?),
                    INVALIDITY_DATE => {}
                    id if extension.critical => {
                        return Err(ListFault::CriticalExtension(dotted(id)));
                    }
                    _ => {}
                }
            }
        }
        entry.end()?;
    }
    Ok(serials.build())
}

const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
const REASON_CODE: &[u8] = &[0x55, 0x1d, 21];
const INVALIDITY_DATE: &[u8] = &[0x55, 0x1d, 24];
const DELTA: &[u8] = &[0x55, 0x1d, 27];
const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 29];

/// An INTEGER's content without leading zeros, so that two ways to write one number are one.
fn without_zeros(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|octet| **octet == 0).count();
    integer.get(zeros..).unwrap_or_default()
}

/// An object identifier in its usual form.
fn dotted(id: &[u8]) -> String {
    let mut arcs = Vec::new();
    let mut arc = 0_u64;
    for octet in id.iter().take(ID_OCTETS_MAX) {
        arc = arc << 7 | u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            if arcs.is_empty() {
                let first = (arc / 40).min(2);
                arcs.push(first.to_string());
                arc -= first * 40;
            }
            arcs.push(arc.to_string());
            arc = 0;
        }
    }
    arcs.join(".")
}

/// Most octets of an identifier that are shown.
const ID_OCTETS_MAX: usize = 32;

#[cfg(test)]
mod tests;
