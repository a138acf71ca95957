//! The house of a simulated party: its listeners, its journal, its thread.
//!
//! This file decides how a simulated server starts, what it remembers of its callers and how it
//! stops. It must not know what is asked of it: a [`Party`] answers.

mod accept;
mod control;
mod http1;
mod http2;
mod journal;
mod reply;
mod tls;

pub use journal::Received;
pub use reply::{Answer, Delivery, Reply};
pub use tls::ServerTls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use self::journal::House;

/// Who answers: one simulated system, for example a bank.
pub trait Party: Send + Sync + 'static {
    /// Answers a request. It is called on the server's only thread and must not block.
    fn answer(&self, request: &Received) -> Reply;

    /// Forgets everything.
    fn reset(&self);
}

/// How a simulated server listens.
#[derive(Clone)]
pub struct Listening {
    /// Where; port 0 takes a free one.
    pub address: SocketAddr,
    /// TLS, or plain HTTP.
    pub tls: Option<ServerTls>,
    /// Where `/__sim/requests` and `/__sim/reset` are served, in plain HTTP; loopback only.
    pub control: Option<SocketAddr>,
    /// How many requests the journal keeps; older ones are dropped. 0 keeps none, for load.
    pub journal_max: usize,
}

impl Listening {
    /// Plain HTTP on a free port of loopback.
    pub fn plain() -> Self {
        Self { address: loopback(), tls: None, control: None, journal_max: JOURNAL_MAX }
    }

    /// TLS on a free port of loopback.
    pub fn tls(tls: ServerTls) -> Self {
        Self { tls: Some(tls), ..Self::plain() }
    }
}

/// How many requests the journal keeps, unless told otherwise.
pub const JOURNAL_MAX: usize = 1_000;

/// A simulated server that runs, on a thread of its own, until it is dropped.
pub struct Server {
    address: SocketAddr,
    control: Option<SocketAddr>,
    house: Arc<House>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds the listeners and starts the thread.
    ///
    /// # Errors
    /// When an address can't be bound, or the control address is not loopback.
    pub fn start(listening: Listening, party: Arc<dyn Party>) -> io::Result<Self> {
        let front = bind(listening.address)?;
        let control = listening.control.map(bind_control).transpose()?;
        let house = Arc::new(House::new(party, listening.journal_max));
        let mut server = Self {
            address: front.local_addr()?,
            control: control.as_ref().map(TcpListener::local_addr).transpose()?,
            house: Arc::clone(&house),
            stop: None,
            thread: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let doors = accept::Doors { front, tls: listening.tls, control, house };
        let body = move || runtime.block_on(accept::run(doors, stopped));
        server.stop = Some(stop);
        server.thread = Some(std::thread::Builder::new().name("sim".into()).spawn(body)?);
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its control listener is.
    pub fn control(&self) -> Option<SocketAddr> {
        self.control
    }

    /// What it has received, oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.house.requests()
    }

    /// Forgets what it has received. The party's state stays.
    pub fn clear(&self) {
        self.house.clear();
    }

    /// How many connections it has accepted (over TLS: with a finished handshake).
    pub fn connections(&self) -> u64 {
        self.house.connections()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already; there is nobody to hand it to.
            let _ = thread.join();
        }
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn bind_control(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        let text = "the control listener shows everything: it must be on loopback";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    bind(address)
}
