//! The listening sockets: one for each worker and address, all on the same port (SO_REUSEPORT).

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use super::worker::Ear;
use super::{StartError, worker_count};
use crate::routes::Gateway;

/// Connections that may wait to be accepted, for each socket.
const BACKLOG: i32 = 4096;

/// Sockets kept by an earlier process, by name; and where new ones are left for a later one.
pub(crate) trait Inheritance {
    /// The socket of that name, if there is one.
    fn take(&mut self, name: &str) -> Option<TcpListener>;
    /// Leaves a socket for whoever comes next.
    fn leave(&mut self, name: &str, listener: &TcpListener);
}

/// All sockets of a gateway.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The addresses, in the table's order.
    pub(super) addresses: Vec<SocketAddr>,
    /// Each worker's own.
    pub(super) ears: Vec<Vec<Ear>>,
    /// The admin listener's.
    pub(super) admin: TcpListener,
    /// Its address.
    pub(super) admin_address: SocketAddr,
}

impl Bound {
    /// Binds what was not inherited.
    ///
    /// # Errors
    /// [`StartError`] names the address.
    pub(crate) fn bind(
        gateway: &Gateway,
        mut inheritance: Option<&mut dyn Inheritance>,
    ) -> Result<Self, StartError> {
        let workers = worker_count(gateway)
            .map_err(|error| StartError::new("the number of cores is unknown", error))?;
        let mut addresses = Vec::new();
        let mut ears: Vec<Vec<Ear>> = (0..workers).map(|_| Vec::new()).collect();
        for listen in &gateway.listen {
            let mut address = listen.address;
            for (number, own) in ears.iter_mut().enumerate() {
                let name = format!("{}#{number}", listen.address);
                let listener = obtain(&name, address, true, &mut inheritance)?;
                // The first socket settles a port that the table leaves open (0).
                address = local(&listener, address)?;
                own.push(Ear { listener, tls: listen.tls });
            }
            addresses.push(address);
        }
        let wanted = gateway.admin.address;
        let admin = obtain(&format!("{wanted}#admin"), wanted, false, &mut inheritance)?;
        let admin_address = local(&admin, wanted)?;
        Ok(Self { addresses, ears, admin, admin_address })
    }

    /// The names of all sockets of a gateway, as [`Inheritance`] knows them.
    pub(crate) fn names(gateway: &Gateway) -> Vec<String> {
        let workers = worker_count(gateway).unwrap_or(1);
        let of_workers = gateway.listen.iter().flat_map(|listen| {
            (0..workers).map(move |number| format!("{}#{number}", listen.address))
        });
        of_workers.chain([format!("{}#admin", gateway.admin.address)]).collect()
    }
}

fn obtain(
    name: &str,
    address: SocketAddr,
    shared: bool,
    inheritance: &mut Option<&mut dyn Inheritance>,
) -> Result<TcpListener, StartError> {
    if let Some(listener) = inheritance.as_mut().and_then(|old| old.take(name)) {
        return Ok(listener);
    }
    let listener = bind(address, shared)
        .map_err(|error| StartError::new(format!("{address} can't be listened on"), error))?;
    if let Some(inheritance) = inheritance {
        inheritance.leave(name, &listener);
    }
    Ok(listener)
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn local(listener: &TcpListener, wanted: SocketAddr) -> Result<SocketAddr, StartError> {
    listener
        .local_addr()
        .map_err(|error| StartError::new(format!("{wanted} has no local address"), error))
}
