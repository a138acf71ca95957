//! Dialling: from a target's addresses to a connection that speaks HTTP.
//!
//! This file decides which address is tried next and which addresses a name may not resolve to.
//! No byte of a request is written here, so all of it may be tried again.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Fate;
use super::pool::{Shared, Single};
use crate::dialect::Host;
use crate::edge::clients::ClientConfigs;
use crate::edge::local::LocalExecutor;
use crate::fault::Fault;
use crate::routes::{Origin, Scheme, Target, UpstreamHttp, is_private_address};

/// Largest head of a bank's answer, in bytes (CONTRACT 4.6).
const RESPONSE_HEAD_BYTES_MAX: usize = 32 * 1024;

/// A fresh connection, by what it can carry.
pub(super) enum Dialled {
    /// HTTP/1.1.
    Single(Single),
    /// HTTP/2.
    Shared(Shared),
}

/// Makes connections to one target.
pub(super) struct Dialer {
    target: Arc<Target>,
    host: Host,
    configs: Arc<ClientConfigs>,
    /// Where the next search begins: the address that last worked.
    first: Cell<usize>,
    /// Where among a name's addresses the next dial begins.
    skew: Cell<usize>,
}

impl Dialer {
    pub(super) const fn new(target: Arc<Target>, host: Host, configs: Arc<ClientConfigs>) -> Self {
        Self { target, host, configs, first: Cell::new(0), skew: Cell::new(0) }
    }

    /// Connects, within the target's connect deadline for all addresses together.
    pub(super) async fn dial(&self, fate: &Fate) -> Result<Dialled, Fault> {
        let search = timeout(self.target.timeouts.connect, self.search(fate)).await;
        let dialled = search.unwrap_or(Err(Fault::ConnectTimeout));
        if dialled.is_err() {
            // The address that hangs or refuses is not the first to be tried next time.
            self.first.set(self.first.get().wrapping_add(1));
            self.skew.set(self.skew.get().wrapping_add(1));
        }
        dialled
    }

    async fn search(&self, fate: &Fate) -> Result<Dialled, Fault> {
        let mut last = Fault::ConnectFailed;
        let origins = self.target.origins(self.host);
        let (first, count) = (self.first.get(), origins.len());
        for step in 0..count {
            let endpoint = first.wrapping_add(step) % count;
            let Some(origin) = origins.get(endpoint) else { continue };
            fate.note(|trail| {
                trail.dials += 1;
                trail.endpoint = Some(endpoint);
            });
            match self.connect(origin, endpoint).await {
                Ok(dialled) => {
                    self.first.set(endpoint);
                    return Ok(dialled);
                }
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn connect(&self, origin: &Origin, endpoint: usize) -> Result<Dialled, Fault> {
        let mut addresses = self.resolve(origin).await?;
        let skew = self.skew.get() % addresses.len().max(1);
        addresses.rotate_left(skew);
        let socket = connect_any(&addresses).await?;
        socket.set_nodelay(true).map_err(|_| Fault::ConnectFailed)?;
        // A second handle on the same socket, for the pool to look at while hyper owns the first.
        let handle = socket.as_fd().try_clone_to_owned().map_err(|_| Fault::ConnectFailed)?;
        let handle = socket2::Socket::from(handle);
        match origin.scheme {
            Scheme::Http => self.speak(socket, handle, endpoint).await,
            Scheme::Https => {
                let config = self.configs.get(&self.target).map_err(|error| {
                    tracing::error!(target_id = %self.target.id, %error, "no TLS towards target");
                    Fault::Internal("TLS configuration of the target")
                })?;
                let name = self.server_name(origin)?;
                let stream = TlsConnector::from(config).connect(name, socket).await;
                let stream = stream.map_err(|error| {
                    tracing::warn!(target_id = %self.target.id, %origin, %error, "TLS failed");
                    Fault::TlsFailed
                })?;
                let agreed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                if (self.target.http == UpstreamHttp::Http2) != agreed {
                    tracing::warn!(target_id = %self.target.id, %origin, "no HTTP/2 by ALPN");
                    return Err(Fault::TlsFailed);
                }
                self.speak(stream, handle, endpoint).await
            }
        }
    }

    async fn speak<S>(
        &self,
        stream: S,
        handle: socket2::Socket,
        endpoint: usize,
    ) -> Result<Dialled, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let stream = TokioIo::new(stream);
        if self.target.http == UpstreamHttp::Http2 {
            let (sender, driver) = http2::Builder::new(LocalExecutor)
                .timer(TokioTimer::new())
                .keep_alive_interval(self.target.timeouts.idle)
                .max_header_list_size(RESPONSE_HEAD_BYTES_MAX as u32)
                .handshake(stream)
                .await
                .map_err(|_| Fault::ConnectFailed)?;
            tokio::task::spawn_local(driver);
            return Ok(Dialled::Shared(Shared { sender, endpoint }));
        }
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(RESPONSE_HEAD_BYTES_MAX)
            .handshake(stream)
            .await
            .map_err(|_| Fault::ConnectFailed)?;
        tokio::task::spawn_local(driver);
        Ok(Dialled::Single(Single { sender, handle, endpoint }))
    }

    /// The addresses of an origin. What the operator wrote down as an address is taken as it is;
    /// what a name server says is not, unless the table allows it (RFC 9209
    /// `destination_ip_prohibited`).
    async fn resolve(&self, origin: &Origin) -> Result<Vec<SocketAddr>, Fault> {
        if let Ok(address) = origin.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, origin.port)]);
        }
        let found = tokio::net::lookup_host((&*origin.host, origin.port)).await;
        let found: Vec<_> = found.map_err(|_| Fault::DnsFailed)?.collect();
        if found.is_empty() {
            return Err(Fault::DnsFailed);
        }
        let allowed: Vec<_> = found
            .into_iter()
            .filter(|found| self.target.allow_private_addresses || !is_private_address(found.ip()))
            .collect();
        if allowed.is_empty() { Err(Fault::AddressForbidden) } else { Ok(allowed) }
    }

    fn server_name(&self, origin: &Origin) -> Result<ServerName<'static>, Fault> {
        let name = self.target.tls.server_name.as_ref().unwrap_or(&origin.host);
        ServerName::try_from(name.to_string()).map_err(|_| Fault::Internal("server name"))
    }
}

async fn connect_any(addresses: &[SocketAddr]) -> Result<TcpStream, Fault> {
    for address in addresses {
        if let Ok(socket) = TcpStream::connect(address).await {
            return Ok(socket);
        }
    }
    Err(Fault::ConnectFailed)
}
