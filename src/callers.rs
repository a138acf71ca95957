//! Who is calling: a certificate's fingerprint becomes a registered client.
//!
//! This file decides identity. It comes from the handshake; a header can only agree with it
//! (CONTRACT decision 3). It must not know what the caller wants.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::HeaderValue;

use crate::fault::Fault;
use crate::ids::{ClientId, ClientKey, Fingerprint, TargetId};
use crate::limiter::{Gate, KeyedGate, clock};
use crate::routes::{Client, ClientStatus, Quota, RouteTable};

/// What the connection says about the other side.
#[derive(Debug, Clone)]
pub struct Peer {
    /// SHA-256 of the client certificate that the TLS handshake verified.
    pub fingerprint: Option<Fingerprint>,
    /// Whether that certificate has ended since: revoked, expired, or taken off its entry.
    pub ended: bool,
    /// The address that the connection came from.
    pub address: IpAddr,
}

/// A client, as identified on this connection, with its limits.
#[derive(Debug)]
pub struct Caller {
    /// Its entry in the table.
    pub client: Arc<Client>,
    /// What its calls are counted under.
    pub key: ClientKey,
    /// Its id, as the value of a header field.
    pub wire_id: HeaderValue,
    /// All its calls.
    pub gate: Option<Arc<Gate>>,
    /// Its calls to each target.
    pub target_gate: Option<Arc<KeyedGate<TargetId>>>,
}

/// Every caller that there can be.
#[derive(Debug)]
pub struct Callers {
    by_certificate: HashMap<Fingerprint, Arc<Caller>, RandomState>,
    by_id: HashMap<ClientId, Arc<Caller>, RandomState>,
    insecure_header_identity: bool,
}

impl Callers {
    /// Makes the registry of a table. A client whose quota did not change keeps its buckets from
    /// `previous`, so that a reload gives nobody a fresh burst.
    pub fn build(table: &RouteTable, previous: Option<&Self>) -> Self {
        let by_id: HashMap<_, _, RandomState> = table
            .clients
            .values()
            .map(|client| {
                let old = previous.and_then(|callers| callers.by_id.get(&client.id));
                (client.id.clone(), Arc::new(Caller::build(client, old)))
            })
            .collect();
        let by_certificate = table
            .certificates
            .iter()
            .filter_map(|(print, client)| Some((*print, by_id.get(&client.id)?.clone())))
            .collect();
        let insecure_header_identity = table.gateway.insecure_header_identity;
        Self { by_certificate, by_id, insecure_header_identity }
    }

    /// Finds the caller (CONTRACT 4.4 rows 8 and 9). `claimed` is the client-id header's value.
    ///
    /// # Errors
    /// A 401 fault when nobody is identified or the header disagrees; `ClientSuspended` unless
    /// `open_to_suspended`.
    pub fn identify(
        &self,
        peer: &Peer,
        claimed: Option<&str>,
        open_to_suspended: bool,
    ) -> Result<&Arc<Caller>, Fault> {
        if peer.ended {
            return Err(Fault::CertificateEnded);
        }
        let caller = match (&peer.fingerprint, claimed) {
            (Some(fingerprint), _) => {
                self.by_certificate.get(fingerprint).ok_or(Fault::ClientUnknown)?
            }
            (None, Some(claimed)) if self.insecure_header_identity => {
                self.by_id.get(claimed).ok_or(Fault::ClientUnknown)?
            }
            (None, _) => return Err(Fault::CertificateMissing),
        };
        if claimed.is_some_and(|claimed| claimed != caller.client.id.as_str()) {
            return Err(Fault::ClientMismatch);
        }
        match caller.client.status {
            ClientStatus::Suspended if !open_to_suspended => Err(Fault::ClientSuspended),
            ClientStatus::Suspended | ClientStatus::Active => Ok(caller),
        }
    }

    /// Whether a certificate is in somebody's entry.
    pub fn knows(&self, fingerprint: &Fingerprint) -> bool {
        self.by_certificate.contains_key(fingerprint)
    }

    /// Every caller, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Caller>> {
        self.by_id.values()
    }
}

impl Caller {
    fn build(client: &Arc<Client>, old: Option<&Arc<Self>>) -> Self {
        let gate = keep_or_make(
            client.limit,
            old.and_then(|old| old.gate.as_ref()),
            Gate::quota,
            |quota| Gate::new(quota, clock()),
        );
        let target_gate = keep_or_make(
            client.target_limit,
            old.and_then(|old| old.target_gate.as_ref()),
            KeyedGate::quota,
            |quota| KeyedGate::new(quota, clock()),
        );
        let wire_id = wire_id(client.id.as_str());
        Self { client: client.clone(), key: client.id.key(), wire_id, gate, target_gate }
    }
}

/// A party's id as a header value. Ids are plain ASCII, so there always is one.
pub(crate) fn wire_id(id: &str) -> HeaderValue {
    HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

/// The old gate where its quota is still right, else a new one; none where there is no quota.
pub(crate) fn keep_or_make<G>(
    quota: Option<Quota>,
    old: Option<&Arc<G>>,
    quota_of: impl Fn(&G) -> Quota,
    make: impl Fn(Quota) -> G,
) -> Option<Arc<G>> {
    let quota = quota?;
    match old {
        Some(gate) if quota_of(gate) == quota => Some(gate.clone()),
        Some(_) | None => Some(Arc::new(make(quota))),
    }
}
