//! Whose handshake a thread is at, so that a refusal can be told with an address.
//!
//! rustls asks its verifier in the middle of a handshake that some task polls, and tells it nothing
//! of the connection. This file decides what is known of it there. It must not know what for.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;

thread_local! {
    static PEER: Cell<Option<IpAddr>> = const { Cell::new(None) };
}

/// Runs a handshake with this peer.
pub(in crate::edge) async fn handshake_with<F: Future>(peer: IpAddr, handshake: F) -> F::Output {
    let mut handshake = pin!(handshake);
    poll_fn(|cx| {
        PEER.set(Some(peer));
        let polled = handshake.as_mut().poll(cx);
        PEER.set(None);
        polled
    })
    .await
}

/// The peer whose handshake this thread is at; none outside of handshakes.
pub(super) fn peer() -> Option<IpAddr> {
    PEER.get()
}
