//! TLS sessions that are kept, and tickets that are given: small ones.
//!
//! A bank's ticket and chain may have 64 KiB each, eight of them for each of its names: and a
//! ticket that nearly fills its field does not fit into the next ClientHello beside the rest. A
//! ticket of the edge holds the client's whole chain. Whatever is larger than an honest session
//! needs is not kept: the next handshake is a full one. This file decides how large that is. It
//! must not know who resumes.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::server::ProducesTickets;

/// So many tickets are kept, as rustls does by itself: of 32 names, eight each.
const SESSIONS_MAX: usize = 256;
/// Most bytes of a bank's ticket and its chain together.
const SESSION_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of a ticket that a client is given.
const TICKET_BYTES_MAX: usize = 16 * 1024;

/// Keeps banks' sessions.
#[derive(Debug)]
pub(in crate::edge) struct SmallSessions(ClientSessionMemoryCache);

impl Default for SmallSessions {
    fn default() -> Self {
        Self(ClientSessionMemoryCache::new(SESSIONS_MAX))
    }
}

impl ClientSessionStore for SmallSessions {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(server_name)
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        if is_small(&value) {
            self.0.set_tls12_session(name, value);
        }
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(server_name)
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.0.remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        if is_small(&value) {
            self.0.insert_tls13_ticket(name, value);
        }
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(name)
    }
}

/// Whether a session is small. Its parts are the library's own; in its form for debugging, ticket
/// and chain stand as hexadecimal digits, and its secret does not stand at all.
fn is_small(session: &impl fmt::Debug) -> bool {
    let mut digits = Digits { left: 2 * SESSION_BYTES_MAX };
    write!(digits, "{session:?}").is_ok()
}

/// Counts what is written, and ends it at a number.
struct Digits {
    left: usize,
}

impl fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.left = self.left.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// Gives tickets that are small.
#[derive(Debug)]
pub(super) struct SmallTickets(pub(super) Arc<dyn ProducesTickets>);

impl ProducesTickets for SmallTickets {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        if plain.len() > TICKET_BYTES_MAX { None } else { self.0.encrypt(plain) }
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_at_length_is_not_small() {
        assert!(is_small(&"a".repeat(2 * SESSION_BYTES_MAX - 2)));
        assert!(!is_small(&"a".repeat(2 * SESSION_BYTES_MAX - 1)));
    }
}
