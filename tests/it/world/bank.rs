//! Banks of all tempers, and places where a bank should be and is not.
//!
//! This file decides how they are started. It must not know what they are asked.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use corgate::sim::bank::{Bank, BankConfig};
use corgate::sim::server::{Listening, ServerTls};
use socket2::{Domain, Socket, Type};

use super::pki;
use crate::ask::unique;

/// TLS as a bank should have it.
pub(crate) fn listening() -> Listening {
    let identity = pki().bank("it").unwrap();
    Listening::tls(ServerTls::mutual(&identity, pki().hub_ca.cert()).unwrap())
}

/// A correct bank. Its tokens are like no other bank's.
pub(crate) fn bank() -> Bank {
    bank_with(listening())
}

/// A correct bank behind another listener.
pub(crate) fn bank_with(listening: Listening) -> Bank {
    let random = unique("seed").bytes().fold(7, |seed: u64, byte| {
        seed.wrapping_mul(1_099_511_628_211).wrapping_add(u64::from(byte))
    });
    Bank::start(BankConfig { seed: random, ..BankConfig::new(listening) }).unwrap()
}

/// A port that refuses connections for as long as the socket is held.
pub(crate) fn closed_port() -> (Socket, u16) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

/// Something that is no bank: it says `greeting` to whoever connects, reads what comes, and never
/// says more. With an empty greeting it is one that hangs.
pub(crate) struct Stub(SocketAddr);

impl Stub {
    pub(crate) fn start(greeting: &'static [u8]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with the process; nothing waits for it.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || hold(stream, greeting));
            }
        });
        Self(address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port()
    }
}

fn hold(mut stream: TcpStream, greeting: &[u8]) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let _ = stream.write_all(greeting);
    let mut sink = [0; 1024];
    while matches!(stream.read(&mut sink), Ok(1..)) {}
}
