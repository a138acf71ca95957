//! Who holds how much of the process: open connections and buffered bytes, all together and of each
//! holder.
//!
//! This file decides who counts as one holder: an address (IPv4), a network of 64 bits (IPv6, which
//! a host has to itself: RFC 6177), or a client's certificate. Nobody is remembered who holds
//! nothing, so that memory is bounded by connections. It must not know who is closed where there is
//! no room.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::{DashMap, Entry};

use super::hub::Hub;
use crate::ids::Fingerprint;
use crate::routes::EdgeLimits;

/// Who holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// Whoever comes from there; see [`network_of`].
    Network(IpAddr),
    /// Whoever shows this certificate.
    Certificate(Fingerprint),
}

/// Where there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowd {
    /// In all.
    All,
    /// For this holder.
    Of(Holder),
}

/// What one holder holds.
#[derive(Debug, Default)]
pub(super) struct Account {
    connections: AtomicUsize,
    /// Bytes of requests and answers.
    pub(super) buffered: AtomicUsize,
}

/// All holders.
#[derive(Debug, Default)]
pub(super) struct Doors {
    open: AtomicUsize,
    accounts: DashMap<Holder, Arc<Account>>,
}

/// One open connection; counted until it is dropped.
#[derive(Debug)]
pub(super) struct Door {
    hub: Arc<Hub>,
    network: Holder,
    certificate: Option<Holder>,
    account: Arc<Account>,
}

/// The address whose connections count together with those of `address`.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        four @ IpAddr::V4(_) => four,
    }
}

impl Doors {
    /// Connections that are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Forgets who holds nothing any more.
    pub(super) fn forget_unused(&self) {
        self.accounts.retain(|_, account| {
            let load = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
            load(&account.connections) > 0 || load(&account.buffered) > 0
        });
    }

    fn enter_all(&self, connections_max: usize) -> bool {
        let room = |open: usize| (open < connections_max).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }

    /// One more connection of a holder, if it may have that many.
    fn enter(&self, holder: Holder, connections_max: usize) -> Option<Arc<Account>> {
        let account = self.accounts.entry(holder).or_default();
        // Only changed under the entry's lock, so nobody comes in between.
        let before = account.connections.load(Ordering::Relaxed);
        if before >= connections_max {
            return None;
        }
        account.connections.store(before + 1, Ordering::Relaxed);
        Some(account.clone())
    }

    fn leave(&self, holder: Holder) {
        if let Entry::Occupied(entry) = self.accounts.entry(holder) {
            let account = entry.get();
            let left = account.connections.load(Ordering::Relaxed).saturating_sub(1);
            account.connections.store(left, Ordering::Relaxed);
            // Bytes of calls that go on without their caller still count.
            if left == 0 && account.buffered.load(Ordering::Relaxed) == 0 {
                entry.remove();
            }
        }
    }
}

impl Door {
    /// Lets a connection in, if the limits have room for it.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn open(
        hub: &Arc<Hub>,
        address: IpAddr,
        limits: &EdgeLimits,
    ) -> Result<Self, Crowd> {
        let doors = &hub.doors;
        if !doors.enter_all(limits.connections_max) {
            return Err(Crowd::All);
        }
        let network = Holder::Network(network_of(address));
        let Some(account) = doors.enter(network, limits.connections_per_address_max) else {
            doors.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Crowd::Of(network));
        };
        Ok(Self { hub: hub.clone(), network, certificate: None, account })
    }

    /// Counts it for the certificate that it has shown, too; what it buffers counts for that alone.
    ///
    /// # Errors
    /// Where that holder may have no more.
    pub(super) fn identify(
        &mut self,
        certificate: Fingerprint,
        limits: &EdgeLimits,
    ) -> Result<(), Crowd> {
        let holder = Holder::Certificate(certificate);
        let account = self.hub.doors.enter(holder, limits.connections_per_certificate_max);
        self.account = account.ok_or(Crowd::Of(holder))?;
        self.certificate = Some(holder);
        Ok(())
    }

    /// Whose it is.
    pub(super) fn account(&self) -> &Arc<Account> {
        &self.account
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let doors = &self.hub.doors;
        doors.open.fetch_sub(1, Ordering::Relaxed);
        doors.leave(self.network);
        if let Some(certificate) = self.certificate {
            doors.leave(certificate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_64_bits_counts_as_one_address_and_so_does_an_ipv4_address_in_ipv6() {
        let network = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2::ffff"), "2001:db8:1:2::");
        assert_ne!(network("2001:db8:1:3::1"), network("2001:db8:1:2::1"));
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn a_holder_may_have_so_many_and_is_forgotten_with_the_last() {
        let doors = Doors::default();
        let holder = Holder::Network(network_of("2001:db8::1".parse().unwrap()));
        assert!(doors.enter(holder, 2).is_some());
        assert!(doors.enter(holder, 2).is_some());
        assert!(doors.enter(holder, 2).is_none());
        doors.leave(holder);
        assert!(doors.enter(holder, 2).is_some());
        doors.leave(holder);
        doors.leave(holder);
        assert!(doors.accounts.is_empty());
        // What it still buffers is not forgotten with its connections.
        let account = doors.enter(holder, 2).unwrap();
        account.buffered.store(7, Ordering::Relaxed);
        doors.leave(holder);
        doors.forget_unused();
        assert!(Arc::ptr_eq(&account, &doors.enter(holder, 2).unwrap()));
        doors.leave(holder);
        account.buffered.store(0, Ordering::Relaxed);
        doors.forget_unused();
        assert!(doors.accounts.is_empty());
    }
}
