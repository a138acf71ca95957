//! Whether a bank asked who calls: without that, mutual TLS is one-sided and nobody would notice.
//!
//! rustls asks the resolver for a certificate only where the server asked for one, in the middle of
//! a handshake that some task polls. This file decides how that is noticed for each handshake apart
//! while all share one configuration, so that sessions resume. No session of a handshake in which
//! nobody asked is kept: a resumed one does not ask again. It must not know what follows from it.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use rustls::client::{
    ClientSessionStore, ResolvesClientCert, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, NamedGroup, SignatureScheme};

use super::tls::SmallSessions;

/// What is known of the handshake that this thread is polling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handshake {
    /// None is.
    None,
    /// The server has not asked.
    Silent,
    /// It has.
    Asked,
}

thread_local! {
    static HANDSHAKE: Cell<Handshake> = const { Cell::new(Handshake::None) };
}

/// Makes a configuration notice whether its certificate is asked for.
pub(super) fn notice(config: &mut ClientConfig) {
    let resolver = config.client_auth_cert_resolver.clone();
    config.client_auth_cert_resolver = Arc::new(Noticing(resolver));
    config.resumption = Resumption::store(Arc::new(Sessions(SmallSessions::default())));
}

/// Runs a handshake, and tells whether the server asked for a certificate in it.
pub(super) async fn watch<F: Future>(handshake: F) -> (F::Output, bool) {
    let mut handshake = pin!(handshake);
    let mut seen = Handshake::Silent;
    poll_fn(|cx| {
        HANDSHAKE.set(seen);
        let polled = handshake.as_mut().poll(cx);
        seen = HANDSHAKE.replace(Handshake::None);
        polled.map(|output| (output, seen == Handshake::Asked))
    })
    .await
}

#[derive(Debug)]
struct Noticing(Arc<dyn ResolvesClientCert>);

impl ResolvesClientCert for Noticing {
    fn resolve(
        &self,
        root_hint_subjects: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        HANDSHAKE.set(Handshake::Asked);
        self.0.resolve(root_hint_subjects, schemes)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.0.has_certs()
    }
}

#[derive(Debug)]
struct Sessions(SmallSessions);

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(server_name)
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        if HANDSHAKE.get() != Handshake::Silent {
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
        if HANDSHAKE.get() != Handshake::Silent {
            self.0.insert_tls13_ticket(name, value);
        }
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(name)
    }
}
