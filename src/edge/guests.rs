//! A worker's open connections by the certificate that they were opened with, so that one can be
//! told when its client is out.
//!
//! This file decides who is out: whose certificate was taken off its entry, revoked, has expired,
//! or would not be let in now. It looks when something changed or a date has come, never at a
//! request, and only those who are out are woken. It must not know how a connection is ended.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ServerConnection};

use super::hub::Hub;
use super::stay::Stay;
use super::tls::{EdgeSide, Ending, Trust};
use super::unix_now;
use super::worker::Worker;
use crate::ids::Fingerprint;

/// How many certificates are looked at before others get their turn.
const LOOKS_AT_ONCE: usize = 32;

/// One worker's guests.
#[derive(Debug, Default)]
pub(super) struct Guests {
    parties: RefCell<HashMap<Fingerprint, Party>>,
    next: Cell<u64>,
    /// The generation that was looked at last.
    generation: Cell<u64>,
    /// When the next date comes, in Unix seconds.
    until: Cell<i64>,
}

/// All connections with one certificate.
#[derive(Debug)]
struct Party {
    chain: Vec<CertificateDer<'static>>,
    /// Under which trust the chain was found good.
    trust: Arc<Trust>,
    /// Until when that holds.
    until: i64,
    /// Whether a client's entry had the certificate when it was last looked at. A stranger is
    /// answered with 401 and may keep its connection.
    known: bool,
    stays: HashMap<u64, Rc<Stay>>,
}

/// A guest's place; it leaves when this is dropped.
pub(super) struct Seat {
    worker: Rc<Worker>,
    fingerprint: Fingerprint,
    number: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut parties = self.worker.guests.parties.borrow_mut();
        if let Some(party) = parties.get_mut(&self.fingerprint) {
            party.stays.remove(&self.number);
            if party.stays.is_empty() {
                parties.remove(&self.fingerprint);
            }
        }
    }
}

/// Seats whoever has shaken hands under `side`.
///
/// A handshake that resumed did not ask the verifier, and one that began before a reload asked
/// the one of then: both are checked against the trust of now.
///
/// # Errors
/// Why the caller is not let in.
pub(super) fn seat(
    worker: &Rc<Worker>,
    stay: &Rc<Stay>,
    session: &ServerConnection,
    fingerprint: Option<Fingerprint>,
    side: &EdgeSide,
) -> Result<Option<Seat>, Ending> {
    let (Some(fingerprint), Some(chain)) = (fingerprint, session.peer_certificates()) else {
        return Ok(None);
    };
    let hub = &worker.hub;
    let tls = hub.tls.load();
    let trust = Option::as_ref(&tls).map_or(&side.trust, |current| &current.trust);
    let now = unix_now();
    let guests = &worker.guests;
    let mut parties = guests.parties.borrow_mut();
    let was_asked =
        session.handshake_kind() != Some(HandshakeKind::Resumed) && Arc::ptr_eq(trust, &side.trust);
    let seated = parties.get(&fingerprint).filter(|party| Arc::ptr_eq(&party.trust, trust));
    let until = match seated {
        Some(party) if now < party.until => party.until,
        _ if was_asked => trust.note(&fingerprint, chain, now),
        _ => trust.check(&fingerprint, chain, now)?,
    };
    let party = parties.entry(fingerprint).or_insert_with(|| Party {
        chain: chain.to_vec(),
        trust: trust.clone(),
        until,
        known: hub.snapshot.load().callers.knows(&fingerprint),
        stays: HashMap::new(),
    });
    let number = guests.next.replace(guests.next.get() + 1);
    party.stays.insert(number, stay.clone());
    guests.until.set(guests.until.get().min(until));
    drop(parties);
    Ok(Some(Seat { worker: worker.clone(), fingerprint, number }))
}

impl Guests {
    pub(super) fn new() -> Self {
        Self { until: Cell::new(i64::MAX), ..Self::default() }
    }

    /// Tells those who are out, if anything has changed since the last look.
    pub(super) async fn look(&self, hub: &Hub) {
        let (generation, now) = (hub.standing.generation(), unix_now());
        let changed = self.generation.replace(generation) != generation;
        if !changed && now < self.until.get() {
            return;
        }
        self.until.set(i64::MAX);
        let prints: Vec<_> = self.parties.borrow().keys().copied().collect();
        for (looked, print) in (1_usize..).zip(prints) {
            self.look_at(&print, hub, now);
            if looked.is_multiple_of(LOOKS_AT_ONCE) {
                tokio::task::yield_now().await;
            }
        }
    }

    fn look_at(&self, print: &Fingerprint, hub: &Hub, now: i64) {
        let mut parties = self.parties.borrow_mut();
        let Some(party) = parties.get_mut(print) else { return };
        let tls = hub.tls.load();
        match party.judge(print, hub, Option::as_ref(&tls).map(|side| &side.trust), now) {
            Ok(()) => self.until.set(self.until.get().min(party.until)),
            Err(why) => {
                let connections = party.stays.len();
                let reason = why.as_str();
                tracing::info!(certificate = %print, reason, connections, "a client is out");
                hub.standing.count_ended(why, connections);
                // Who comes with this certificate from now on is another party.
                let party = parties.remove(print);
                party.iter().flat_map(|party| party.stays.values()).for_each(|stay| stay.put_out());
            }
        }
    }
}

impl Party {
    fn judge(
        &mut self,
        print: &Fingerprint,
        hub: &Hub,
        trust: Option<&Arc<Trust>>,
        now: i64,
    ) -> Result<(), Ending> {
        let known = hub.snapshot.load().callers.knows(print);
        if self.known && !known {
            return Err(Ending::TakenOff);
        }
        self.known = known;
        let Some(trust) = trust else { return Ok(()) };
        if !Arc::ptr_eq(trust, &self.trust) || now >= self.until {
            self.until = trust.check(print, &self.chain, now)?;
            self.trust = trust.clone();
        }
        Ok(())
    }
}
