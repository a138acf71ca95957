//! Dialling: from one of a target's addresses to a connection that speaks HTTP.
//!
//! This file decides which addresses a name may not resolve to, how the time is shared among those
//! that remain, and whom the hub does not speak to. No byte of a request is written here, so all of
//! it may be tried again.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Weak;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Fate;
use super::http2::{self, Shared};
use super::pool::Single;
use super::recorded::Recorded;
use super::wire::Wire;
use crate::deadline::later;
use crate::dialect::Host;
use crate::edge::asked;
use crate::edge::clients::ClientConfigs;
use crate::edge::commons::Commons;
use crate::edge::local_failure::is_local;
use crate::fault::Fault;
use crate::routes::{Origin, Scheme, Target, UpstreamHttp, is_private_address};
use crate::snapshot::Route;

/// A fresh connection, by what it can carry.
pub(super) enum Dialled {
    /// HTTP/1.1.
    Single(Single),
    /// HTTP/2.
    Shared(Shared),
}

/// Makes connections to one target.
pub(super) struct Dialer {
    route: Arc<Route>,
    host: Host,
    configs: Arc<ClientConfigs>,
    commons: Arc<Commons>,
    /// Where among a name's addresses the next dial begins.
    skew: Cell<usize>,
    driving: Weak<()>,
}

/// What a connection will be known by.
#[derive(Clone, Copy)]
struct Place {
    endpoint: usize,
    /// The address, if it came from a name.
    named: Option<IpAddr>,
}

impl Dialer {
    pub(super) const fn new(
        route: Arc<Route>,
        host: Host,
        configs: Arc<ClientConfigs>,
        commons: Arc<Commons>,
        driving: Weak<()>,
    ) -> Self {
        Self { route, host, configs, commons, skew: Cell::new(0), driving }
    }

    fn target(&self) -> &Target {
        &self.route.target
    }

    /// Connects to one of the target's places, within its connect deadline.
    pub(super) async fn dial(&self, endpoint: usize, fate: &Fate) -> Result<Dialled, Fault> {
        fate.note(|trail| {
            trail.dials += 1;
            trail.endpoint = Some(endpoint);
        });
        self.route.tally.dials.fetch_add(1, Ordering::Relaxed);
        let origins = self.target().origins(self.host);
        let origin = origins.get(endpoint).ok_or(Fault::Internal("target host"))?;
        let end = later(Instant::now(), self.target().timeouts.connect);
        let dialled = timeout_at(end, self.connect(origin, endpoint, end)).await;
        let dialled = dialled.unwrap_or(Err(Fault::ConnectTimeout));
        if dialled.is_err() {
            // The address that hangs or refuses is not the first to be tried next time.
            self.skew.set(self.skew.get().wrapping_add(1));
        }
        dialled
    }

    /// Whether an address is still one of a place's own; asks anew where that is not known for
    /// sure any more.
    pub(super) fn leads_right(&self, endpoint: usize, address: IpAddr) -> bool {
        let Some(origin) = self.target().origins(self.host).get(endpoint) else { return false };
        let known = self.commons.book.known(&origin.host, self.target().resolve_every);
        known.is_none_or(|addresses| addresses.contains(&address))
    }

    /// Tries one address after the other; each has an equal share of the time that is left.
    async fn connect(
        &self,
        origin: &Origin,
        endpoint: usize,
        end: Instant,
    ) -> Result<Dialled, Fault> {
        let (mut addresses, is_name) = self.resolve(origin).await?;
        let count = addresses.len().max(1);
        addresses.rotate_left(self.skew.get() % count);
        let mut last = Fault::ConnectFailed;
        for (tried, address) in addresses.into_iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(count - tried).unwrap_or(1);
            let place = Place { endpoint, named: is_name.then_some(address.ip()) };
            match timeout(share, self.reach(origin, address, place)).await {
                Ok(Ok(dialled)) => return Ok(dialled),
                // Another address would not help, and nothing was learned of this one.
                Ok(Err(Fault::LocalFailure)) => return Err(Fault::LocalFailure),
                Ok(Err(fault)) => last = fault,
                Err(_) => last = Fault::ConnectTimeout,
            }
        }
        Err(last)
    }

    async fn reach(
        &self,
        origin: &Origin,
        address: SocketAddr,
        place: Place,
    ) -> Result<Dialled, Fault> {
        let unreached = |error: io::Error| {
            if !is_local(&error) {
                return Fault::ConnectFailed;
            }
            tracing::error!(target_id = %self.target().id, %error, "the hub itself can't dial");
            Fault::LocalFailure
        };
        // Whatever the table allows: the hub's own call to its admin listener is nobody's wish.
        if self.commons.is_own(address, None) {
            return Err(Fault::AddressForbidden);
        }
        let socket = TcpStream::connect(address).await.map_err(unreached)?;
        let local = socket.local_addr().ok().map(|local| local.ip());
        if self.commons.is_own(address, local) {
            return Err(Fault::AddressForbidden);
        }
        socket.set_nodelay(true).map_err(|_| Fault::ConnectFailed)?;
        let Place { endpoint, named: address } = place;
        let single = |wire| Ok(Dialled::Single(Single::new(wire, endpoint, address)));
        match (origin.scheme, self.target().http) {
            (Scheme::Http, UpstreamHttp::Http1) => single(Wire::plain(socket)),
            (Scheme::Http, UpstreamHttp::Http2) => self.speak(socket, place).await,
            (Scheme::Https, UpstreamHttp::Http1) => {
                let (recorded, session) = self.secure(origin, socket).await?.into_inner();
                single(Wire::tls(recorded, session))
            }
            (Scheme::Https, UpstreamHttp::Http2) => {
                let stream = self.secure(origin, socket).await?;
                self.speak(stream, place).await
            }
        }
    }

    async fn secure(
        &self,
        origin: &Origin,
        socket: TcpStream,
    ) -> Result<TlsStream<Recorded>, Fault> {
        let target = self.target();
        let config = self.configs.get(target).map_err(|error| {
            tracing::error!(target_id = %target.id, %error, "no TLS towards target");
            Fault::Internal("TLS configuration of the target")
        })?;
        let name = self.server_name(origin)?;
        let handshake = TlsConnector::from(config).connect(name, Recorded::new(socket));
        let (stream, was_asked) = asked::watch(handshake).await;
        let stream = stream.map_err(|error| {
            tracing::warn!(target_id = %target.id, %origin, %error, "TLS failed");
            Fault::TlsFailed
        })?;
        let session = &stream.get_ref().1;
        // A resumed session stands for the one before it, in which the bank had asked.
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        if target.tls.must_be_asked() && !was_asked && !resumed {
            tracing::error!(
                target_id = %target.id, %origin,
                "the bank asks for no certificate, so it can't know who calls; \
                 `cert_optional = true` if it is meant to be so"
            );
            return Err(Fault::TlsFailed);
        }
        let agreed = session.alpn_protocol() == Some(b"h2");
        if (target.http == UpstreamHttp::Http2) != agreed {
            tracing::warn!(target_id = %target.id, %origin, "no HTTP/2 by ALPN");
            return Err(Fault::TlsFailed);
        }
        Ok(stream)
    }

    async fn speak<S>(&self, stream: S, place: Place) -> Result<Dialled, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Place { endpoint, named: address } = place;
        let driving = self.driving.upgrade();
        http2::open(stream, endpoint, address, driving).await.map(Dialled::Shared)
    }

    /// The addresses of an origin, and whether they are those of a name. What the operator wrote
    /// down as an address is taken as it is; what a name server says is not, unless the table
    /// allows it (RFC 9209 `destination_ip_prohibited`).
    async fn resolve(&self, origin: &Origin) -> Result<(Vec<SocketAddr>, bool), Fault> {
        if let Ok(address) = origin.host.parse::<IpAddr>() {
            return Ok((vec![SocketAddr::new(address, origin.port)], false));
        }
        let target = self.target();
        // Half of the time at most goes to a name server that is slow to say what is known.
        let wait = target.timeouts.connect / 2;
        let found = self.commons.book.resolve(&origin.host, target.resolve_every, wait).await?;
        let allowed: Vec<_> = found
            .iter()
            .filter(|found| target.allow_private_addresses || !is_private_address(**found))
            .map(|found| SocketAddr::new(*found, origin.port))
            .collect();
        if allowed.is_empty() { Err(Fault::AddressForbidden) } else { Ok((allowed, true)) }
    }

    fn server_name(&self, origin: &Origin) -> Result<ServerName<'static>, Fault> {
        let name = self.target().tls.server_name.as_ref().unwrap_or(&origin.host);
        ServerName::try_from(name.to_string()).map_err(|_| Fault::Internal("server name"))
    }
}
