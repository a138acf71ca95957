//! The world of the demo: certificates, banks, a bank that is away, and the gateway.
//!
//! This file decides who is there and where. It must not know what they are asked.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use socket2::{Domain, Socket, Type};

use super::foreign::ForeignBanks;
use super::routes::{self, ClientEntry, Ports};
use super::step::Certificate;
use super::story::{LEDGER, PENSION, PIGGY};
use crate::cli::{Failure, gateway};
use crate::sim::bank::{Bank, BankConfig, BankPaths};
use crate::sim::client::{Client, ClientTls};
use crate::sim::pki::{DevPki, PkiError};
use crate::sim::server::{Listening, ServerTls};

/// The files of the certificate that nobody trusts.
const STRANGER: &str = "stranger";

/// Everybody that takes part.
pub(super) struct World {
    pub(super) folder: PathBuf,
    pub(super) alpine: Bank,
    pub(super) lakeside: Bank,
    foreign: ForeignBanks,
    pub(super) gateway: SocketAddr,
    pub(super) admin: SocketAddr,
    running: gateway::Running,
    /// Bound and never listening: connecting to it is refused, and nobody else can take it.
    _away: Socket,
}

impl World {
    /// Writes certificates and `routes.toml` into `folder`, starts the banks and the gateway.
    pub(super) fn start(folder: &Path, port: u16) -> Result<Self, Failure> {
        let pki = DevPki::new().map_err(Failure::new)?;
        pki.write(folder).map_err(Failure::new)?;
        let clients = certify(&pki, folder).map_err(Failure::new)?;
        let alpine = start_bank(&pki, folder, "alpine", BankPaths::default(), 1)?;
        let lakeside = start_bank(&pki, folder, "lakeside", BankPaths::below("/auth"), 2)?;
        let foreign = ForeignBanks::start(&pki, folder)?;
        let (away, ghost) = away()?;
        let (gateway, admin) = ports(port)?;
        let ports = Ports {
            gateway,
            admin,
            alpine: alpine.address().port(),
            lakeside: lakeside.address().port(),
            ghost,
        };
        let file = folder.join("routes.toml");
        fs::write(&file, [routes::text(&ports, &clients), foreign.targets()].concat())?;
        let running = gateway::start(gateway::load(&file)?)?;
        let gateway = running.addresses.first().copied();
        Ok(Self {
            folder: folder.to_owned(),
            gateway: gateway.ok_or_else(|| Failure::new("the gateway does not listen"))?,
            admin: running.admin,
            alpine,
            lakeside,
            foreign,
            running,
            _away: away,
        })
    }

    /// A client that shows this certificate to the gateway, from the files that a reader has.
    pub(super) fn client(&self, certificate: Certificate) -> Result<Client, Failure> {
        let stem = match certificate {
            Certificate::Of(id) => id,
            Certificate::Stranger => STRANGER,
        };
        let file = |name: &str| self.folder.join(name);
        let (cert, key) = (file(&format!("{stem}.pem")), file(&format!("{stem}.key")));
        let tls = ClientTls::from_files(&file("hub-ca.pem"), Some((&cert, &key)));
        Ok(Client::tls(self.gateway, tls.map_err(Failure::new)?))
    }

    /// How many requests the banks have received.
    pub(super) fn received(&self) -> usize {
        let own = self.alpine.requests().len() + self.lakeside.requests().len();
        own + self.foreign.received()
    }

    /// Drains the gateway, then ends the banks.
    pub(super) fn stop(self) {
        self.running.stop();
    }
}

/// Writes the certificates of everybody who calls.
fn certify(pki: &DevPki, folder: &Path) -> Result<Vec<ClientEntry>, PkiError> {
    pki.stranger(LEDGER)?.write(folder, STRANGER)?;
    let client = |id| {
        let identity = pki.client(id)?;
        identity.write(folder, id)?;
        Ok(ClientEntry { id, fingerprint: identity.fingerprint() })
    };
    [LEDGER, PIGGY, PENSION].into_iter().map(client).collect()
}

fn start_bank(
    pki: &DevPki,
    folder: &Path,
    name: &str,
    paths: BankPaths,
    seed: u64,
) -> Result<Bank, Failure> {
    let identity = pki.bank(name).map_err(Failure::new)?;
    identity.write(folder, name).map_err(Failure::new)?;
    let tls = ServerTls::mutual(&identity, pki.hub_ca.cert()).map_err(Failure::new)?;
    let control = Some(loopback(0));
    let listening = Listening { control, ..Listening::tls(tls) };
    Ok(Bank::start(BankConfig { paths, seed, ..BankConfig::new(listening) })?)
}

/// A port that refuses connections for as long as the socket is held.
fn away() -> Result<(Socket, u16), Failure> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&loopback(0).into())?;
    let address = socket.local_addr()?.as_socket();
    let port = address.map(|address| address.port());
    Ok((socket, port.ok_or_else(|| Failure::new("no port for the bank that is away"))?))
}

/// The ports of the gateway and its admin listener, so that `routes.toml` can name them.
fn ports(wanted: u16) -> Result<(u16, u16), Failure> {
    if wanted != 0 {
        let next = wanted.checked_add(1).ok_or_else(|| Failure::new("--port is too high"))?;
        return Ok((wanted, next));
    }
    // Both are held until both are known, so that they differ.
    let (gateway, admin) = (TcpListener::bind(loopback(0))?, TcpListener::bind(loopback(0))?);
    Ok((gateway.local_addr()?.port(), admin.local_addr()?.port()))
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
