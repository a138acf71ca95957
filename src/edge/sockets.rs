//! The listening sockets: one for each worker and address, all on the same port (SO_REUSEPORT).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

use super::estate::{Estate, admin_name, worker_name};
use super::worker::Ear;
use super::{StartError, worker_count};
use crate::routes::Gateway;

/// Connections that may wait to be accepted, for each socket.
const BACKLOG: i32 = 4096;

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
    /// Binds what was not inherited, and keeps copies of all for whoever comes next.
    ///
    /// The admin listener comes first: it alone can't be bound twice, so a second process that is
    /// started by mistake ends there, before clients connect to it.
    ///
    /// # Errors
    /// [`StartError`] names the address.
    pub(crate) fn bind(gateway: &Gateway, estate: &Estate) -> Result<Self, StartError> {
        let workers = worker_count(gateway)
            .map_err(|error| StartError::new("the number of cores is unknown", error))?;
        let wanted = gateway.admin.address;
        let admin = obtain(&admin_name(wanted), wanted, false, estate)?;
        let admin_address = local(&admin, wanted)?;
        let mut addresses = Vec::new();
        let mut ears: Vec<Vec<Ear>> = (0..workers).map(|_| Vec::new()).collect();
        for listen in &gateway.listen {
            let mut address = listen.address;
            for (number, own) in ears.iter_mut().enumerate() {
                let name = worker_name(listen.address, number);
                let listener = obtain(&name, address, true, estate)?;
                // The first socket settles a port that the table leaves open (0).
                address = local(&listener, address)?;
                own.push(Ear { listener, tls: listen.tls });
            }
            let surplus = estate.take_surplus(listen.address);
            for (number, listener) in surplus.into_iter().enumerate() {
                let_beginners_in(&listener);
                if let Some(own) = ears.get_mut(number % workers) {
                    own.push(Ear { listener, tls: listen.tls });
                }
            }
            addresses.push(address);
        }
        estate.forget_the_rest();
        Ok(Self { addresses, ears, admin, admin_address })
    }
}

fn obtain(
    name: &str,
    address: SocketAddr,
    shared: bool,
    estate: &Estate,
) -> Result<TcpListener, StartError> {
    if let Some(listener) = estate.take(name) {
        let_beginners_in(&listener);
        return Ok(listener);
    }
    let listener = bind(address, shared)
        .map_err(|error| StartError::new(format!("{address} can't be listened on"), error))?;
    estate.keep(name, &listener);
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

/// Lets the kernel drop every segment that asks for a new connection, while those that are half way
/// go on. Whoever is dropped asks again after a second, and is refused then. Says whether it works
/// here; it must never be asked for of a socket that another process goes on with.
pub(super) fn refuse_beginners<S: AsFd>(listener: &S) -> bool {
    // In classic BPF, on the TCP header: flags & (SYN | ACK) == SYN drops, all else passes.
    const FLAGS_AT: u32 = 13;
    const SYN: u32 = 0x02;
    const SYN_ACK: u32 = 0x12;
    let (load, and) = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, libc::BPF_ALU | libc::BPF_AND);
    let (equal, answer) = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::BPF_RET);
    let step = |code: u32, jt, jf, k| SockFilter::new(code as u16, jt, jf, k);
    SockRef::from(listener)
        .attach_filter(&[
            step(load, 0, 0, FLAGS_AT),
            step(and, 0, 0, SYN_ACK),
            step(equal, 0, 1, SYN),
            step(answer, 0, 0, 0),
            step(answer, 0, 0, u32::MAX),
        ])
        .is_ok()
}

/// Undoes [`refuse_beginners`], should the process before this one have asked for it: what it asks
/// of a socket holds for all copies of it.
fn let_beginners_in(listener: &TcpListener) {
    // As a rule there is no filter, and the kernel says so.
    let _ = SockRef::from(listener).detach_filter();
}

fn local(listener: &TcpListener, wanted: SocketAddr) -> Result<SocketAddr, StartError> {
    listener
        .local_addr()
        .map_err(|error| StartError::new(format!("{wanted} has no local address"), error))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_inherited_socket_lets_beginners_in_again() {
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let before = bind(address, true).unwrap();
        let bound = before.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&bound, Duration::from_millis(300));
        assert!(refuse_beginners(&before));
        assert!(connect().is_err());
        let name = worker_name(address, 0);
        let copy = before.try_clone().unwrap();
        let estate = Estate::new([(name.clone(), copy)].into());
        let _ours = obtain(&name, address, true, &estate).unwrap();
        connect().unwrap();
    }
}
