//! Who is let in by a worker, and who makes room for that.
//!
//! This file decides that nobody new is turned away for those who hold connections without a call:
//! at a limit the one that has waited longest, of who has the most, is closed. It must not know
//! what a connection says.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::connection::{serve_plain, serve_tls};
use super::cut::Cut;
use super::doors::{Crowd, Door};
use super::hands::Handed;
use super::stay::{Stay, Stays, Step};
use super::worker::Worker;
use crate::ids::Fingerprint;
use crate::routes::EdgeLimits;

/// A connection that this worker has, counted until this is dropped: also when its task panics.
struct Present {
    worker: Rc<Worker>,
    /// Its number among the worker's, once it is let in.
    number: Option<u64>,
}

impl Drop for Present {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.worker.stays.remove(number);
        }
        self.worker.hub.hands.leave(self.worker.number);
    }
}

/// A connection over TLS whose handshake has not begun, counted until this is dropped.
pub(super) struct Pending(Rc<Worker>);

impl Pending {
    fn new(worker: Rc<Worker>) -> Self {
        worker.pending.set(worker.pending.get() + 1);
        Self(worker)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.set(self.0.pending.get().saturating_sub(1));
    }
}

impl Worker {
    /// Admits a connection that counts as this worker's already, or drops it at a limit; `tried`
    /// other workers had no room.
    pub(super) fn let_in(
        self: &Rc<Self>,
        socket: TcpStream,
        from: SocketAddr,
        tls: bool,
        tried: usize,
    ) {
        let snapshot = self.hub.snapshot.load();
        let gateway = &snapshot.table.gateway;
        let meters = self.meters();
        let mut present = Present { worker: self.clone(), number: None };
        let Some(door) = self.open_door(from.ip(), tls, &gateway.limits, gateway.drain_quiet)
        else {
            drop(present);
            return self.hand_on(socket, from, tls, tried);
        };
        meters.connections.fetch_add(1, Ordering::Relaxed);
        // A small answer must not wait for an acknowledgement (Nagle); without it, it still goes.
        let _ = socket.set_nodelay(true);
        let step = if tls { Step::Silent } else { Step::Open };
        let stay = Rc::new(Stay::new(from.ip(), step, door));
        present.number = Some(self.stays.add(stay.clone()));
        let pending = tls.then(|| Pending::new(self.clone()));
        let side = if tls { self.hub.tls.load().as_ref().clone() } else { None };
        tokio::task::spawn_local(async move {
            let worker = present.worker.clone();
            match (pending, side) {
                (None, _) => serve_plain(worker, stay.clone(), socket, from).await,
                (Some(pending), Some(side)) => {
                    serve_tls(worker, stay.clone(), pending, socket, from, side).await;
                }
                (Some(_), None) => {}
            }
            // The place in the hub's own count is left before the worker's.
            stay.leave();
            drop(present);
        });
    }

    /// Has another worker look among its connections for one that makes room.
    fn hand_on(&self, socket: TcpStream, from: SocketAddr, tls: bool, tried: usize) {
        let hands = &self.hub.hands;
        let tried = tried + 1;
        let is_serving = || tried < hands.workers() && !self.hub.stage().is_leaving();
        let handed = match socket.into_std() {
            Ok(socket) if is_serving() => Handed { socket, from, tls, tried },
            _ => return self.refuse(),
        };
        if hands.hand(hands.next(self.number), handed, is_serving).is_err() {
            self.refuse();
        }
    }

    fn refuse(&self) {
        self.meters().connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    fn open_door(
        &self,
        address: IpAddr,
        tls: bool,
        limits: &EdgeLimits,
        quiet: Duration,
    ) -> Option<Door> {
        let is_crowded = tls && self.pending.get() >= limits.handshakes_pending_max;
        if is_crowded && self.displace(Stays::make_room_for_silence) == 0 {
            return None;
        }
        let opened = Door::open(&self.hub, address, limits).or_else(|crowd| {
            self.displace(|stays| stays.make_room(crowd, quiet));
            Door::open(&self.hub, address, limits)
        });
        opened.ok()
    }

    /// Closes some connections, and counts them.
    fn displace(&self, make_room: impl FnOnce(&Stays) -> usize) -> usize {
        let closed = make_room(&self.stays);
        (0..closed).for_each(|_| self.meters().count_cut(Cut::Room.as_str()));
        closed
    }

    /// Counts a connection for the certificate that it has shown.
    ///
    /// # Errors
    /// That has too many, and none of them is idle.
    pub(super) fn identify(
        &self,
        stay: &Stay,
        certificate: Fingerprint,
        limits: &EdgeLimits,
    ) -> Result<(), Crowd> {
        let Err(crowd) = stay.identify(certificate, limits) else { return Ok(()) };
        let quiet = self.hub.snapshot.load().table.gateway.drain_quiet;
        self.displace(|stays| stays.make_room(crowd, quiet));
        stay.identify(certificate, limits)
    }

    /// Room where the process has no descriptors left.
    pub(super) fn make_room_for_descriptors(&self) {
        let quiet = self.hub.snapshot.load().table.gateway.drain_quiet;
        self.displace(|stays| stays.make_room(Crowd::All, quiet));
    }

    /// Handshakes that stand still give way to those that wait.
    pub(super) fn make_way(&self) {
        let stalled = self.handshakes.stalled(Instant::now());
        self.displace(|_| stalled.iter().map(|stay| stay.close()).count());
    }
}
