//! A worker: one thread, one runtime, its own listening sockets and its own ways to the banks.
//!
//! This file decides who is let in, and where. No worker waits for another one.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout_at};

use super::access_log::LogBuffer;
use super::clock::Stamp;
use super::forward::Forwarder;
use super::guard::Scratch;
use super::guests::Guests;
use super::hands::Handed;
use super::handshakes::Handshakes;
use super::hub::{Hub, Stage};
use super::meters::WorkerMeters;
use super::sockets;
use super::stay::Stays;
use super::supervised::Supervised;
use crate::deadline::later;

/// How often a worker flushes its lines and sweeps its idle connections.
const TICK: Duration = Duration::from_millis(200);
/// How long accepting rests when the process has no descriptors left: no spin, no lost listener.
const ACCEPT_REST: Duration = Duration::from_millis(20);
/// How long a listener that closes waits for handshakes of TCP that have begun, and a worker for
/// its banks to take its leave.
const CLOSING: Duration = Duration::from_millis(100);
/// How often a leaving worker looks whether it is done.
const LEAVE_TICK: Duration = Duration::from_millis(10);

/// What one thread has to itself.
pub(super) struct Worker {
    pub(super) number: usize,
    pub(super) hub: Arc<Hub>,
    pub(super) forwarder: Forwarder,
    pub(super) log: LogBuffer,
    pub(super) stamp: Stamp,
    pub(super) scratch: Scratch,
    pub(super) guests: Guests,
    /// False once its tasks are about to be dropped.
    pub(super) alive: AtomicBool,
    /// Its connections.
    pub(super) stays: Stays,
    pub(super) handshakes: Handshakes,
    /// Connections over TLS whose handshake has not begun.
    pub(super) pending: Cell<usize>,
    /// Listeners that are not closed yet.
    listening: Cell<usize>,
    /// Exchanges that go on without their caller.
    unfinished: Cell<usize>,
}

/// An exchange that goes on though its caller left; a drain waits until it is dropped.
pub(super) struct Unfinished(Rc<Worker>);

impl Unfinished {
    pub(super) fn new(worker: Rc<Worker>) -> Self {
        worker.unfinished.set(worker.unfinished.get() + 1);
        Self(worker)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.unfinished.set(self.0.unfinished.get().saturating_sub(1));
    }
}

/// One worker's listening socket.
#[derive(Debug)]
pub(super) struct Ear {
    pub(super) listener: TcpListener,
    pub(super) tls: bool,
}

/// Starts a worker on a thread of its own.
///
/// # Errors
/// The thread or its runtime can't be made.
pub(super) fn spawn(number: usize, hub: Arc<Hub>, ears: Vec<Ear>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let _supervised = Supervised::new(hub.clone(), "worker", Some(number));
        let worker = Rc::new(Worker {
            number,
            forwarder: Forwarder::new(
                hub.configs.clone(),
                hub.tokens.clone(),
                hub.flights.clone(),
                hub.commons.clone(),
                number,
            ),
            log: LogBuffer::new(hub.log.clone()),
            stamp: Stamp::default(),
            scratch: Scratch::new(),
            guests: Guests::new(),
            alive: AtomicBool::new(true),
            stays: Stays::default(),
            handshakes: Handshakes::default(),
            pending: Cell::new(0),
            listening: Cell::new(0),
            unfinished: Cell::new(0),
            hub,
        });
        let tasks = LocalSet::new();
        tasks.block_on(&runtime, worker.clone().run(ears));
        worker.alive.store(false, Ordering::Relaxed);
        drop(tasks);
        worker.log.flush();
        drop(worker);
        // A look-up that hangs (getaddrinfo) has a thread of its own, which nobody can end: the
        // last step does not wait for it.
        runtime.shutdown_background();
    })
}

impl Worker {
    pub(super) fn meters(&self) -> &WorkerMeters {
        self.hub.meters.of_worker(self.number)
    }

    /// Whether a task that is begun now can run.
    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    async fn run(self: Rc<Self>, ears: Vec<Ear>) {
        self.listening.set(ears.len());
        for ear in ears {
            let worker = self.clone();
            let supervised = Supervised::new(self.hub.clone(), "listener", Some(self.number));
            tokio::task::spawn_local(async move {
                if let Err(error) = worker.clone().accept(ear).await {
                    tracing::error!(worker = worker.number, %error, "a listener failed");
                }
                worker.listening.set(worker.listening.get().saturating_sub(1));
                drop(supervised);
            });
        }
        let worker = self.clone();
        let supervised = Supervised::new(self.hub.clone(), "hand-over", Some(self.number));
        tokio::task::spawn_local(async move {
            worker.take_handed().await;
            drop(supervised);
        });
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.hub.stage().is_leaving() {
            tokio::select! {
                _ = ticks.tick() => {
                    self.tidy();
                    self.guests.look(&self.hub).await;
                }
                () = self.hub.leaving() => {}
            }
        }
        // Who is out is out, also in a drain: it may last for an hour.
        let mut next_look = tokio::time::Instant::now();
        while self.is_busy() && self.hub.stage() != Stage::Over {
            sleep(LEAVE_TICK).await;
            self.log.flush();
            if tokio::time::Instant::now() >= next_look {
                self.guests.look(&self.hub).await;
                next_look = later(tokio::time::Instant::now(), TICK);
            }
        }
        // Banks are told, too.
        self.forwarder.close();
        let end = tokio::time::Instant::now() + CLOSING;
        while self.forwarder.is_driving() && tokio::time::Instant::now() < end {
            sleep(LEAVE_TICK).await;
        }
    }

    /// Whether a drain has something to wait for.
    fn is_busy(&self) -> bool {
        // What is handed to it counts already; see `Hands::hand`.
        std::sync::atomic::fence(Ordering::SeqCst);
        let connections = self.hub.hands.connections(self.number);
        self.listening.get() + connections + self.unfinished.get() > 0
    }

    fn tidy(&self) {
        self.meters().rounds.fetch_add(1, Ordering::Relaxed);
        self.log.flush();
        self.make_way();
        let snapshot = self.hub.snapshot.load();
        self.forwarder.look_around(&snapshot.probed, unix_seconds());
        if self.number == 0 {
            self.hub.flights.sweep();
        }
        self.forwarder.sweep(|route| {
            let current = snapshot.route(route.target.id.as_str());
            current.is_some_and(|current| current.number == route.number)
        });
    }

    async fn accept(self: Rc<Self>, ear: Ear) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(ear.listener)?;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.hub.leaving() => return self.let_in_the_last(listener, ear.tls).await,
            };
            match accepted {
                Ok((socket, from)) => self.seat(socket, from, ear.tls),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) if is_deaf(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(worker = self.number, %error, "accepting rests");
                    self.make_room_for_descriptors();
                    sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    /// Lets a connection in here, or has another worker do so that has clearly fewer.
    fn seat(self: &Rc<Self>, socket: TcpStream, from: SocketAddr, tls: bool) {
        let hands = &self.hub.hands;
        let best = hands.best(self.number);
        if best == self.number {
            hands.enter(self.number);
            return self.let_in(socket, from, tls, 0);
        }
        let Ok(socket) = socket.into_std() else { return };
        let is_serving = || !self.hub.stage().is_leaving();
        if let Err(handed) = hands.hand(best, Handed { socket, from, tls, tried: 0 }, is_serving) {
            hands.enter(self.number);
            self.let_in_handed(handed);
        }
    }

    /// Lets in what other workers accepted, to the end.
    async fn take_handed(self: Rc<Self>) {
        let Some(mut receiver) = self.hub.hands.receiver(self.number) else { return };
        while let Some(handed) = receiver.recv().await {
            self.let_in_handed(handed);
        }
    }

    fn let_in_handed(self: &Rc<Self>, handed: Handed) {
        let Handed { socket, from, tls, tried } = handed;
        match TcpStream::from_std(socket) {
            Ok(socket) => self.let_in(socket, from, tls, tried),
            Err(_) => self.hub.hands.leave(self.number),
        }
    }

    /// Lets in who has connected already, or is about to; then the listener closes.
    ///
    /// Who has not begun is refused when it is closed. Who was half way would be reset, so nobody
    /// new may begin while those who have come to their end.
    async fn let_in_the_last(
        self: &Rc<Self>,
        listener: tokio::net::TcpListener,
        tls: bool,
    ) -> io::Result<()> {
        let handed_over = self.hub.handed_over.load(Ordering::Acquire);
        if !handed_over && sockets::refuse_beginners(&listener) {
            let end = tokio::time::Instant::now() + CLOSING;
            while let Ok(accepted) = timeout_at(end, listener.accept()).await {
                match accepted {
                    Ok((socket, from)) => {
                        self.hub.hands.enter(self.number);
                        self.let_in(socket, from, tls, 0);
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(_) => sleep(ACCEPT_REST).await,
                }
            }
        }
        // The kernel is asked, not tokio: its readiness may lag behind.
        let listener = listener.into_std()?;
        let end = tokio::time::Instant::now() + CLOSING;
        loop {
            match listener.accept() {
                Ok((socket, from)) => {
                    if socket.set_nonblocking(true).is_ok() {
                        self.hub.hands.enter(self.number);
                        self.let_in_handed(Handed { socket, from, tls, tried: 0 });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_of_one_connection(&error) => {}
                // Whoever waits is reset when it closes, so it is tried for a little longer.
                Err(error) if tokio::time::Instant::now() >= end => return Err(error),
                Err(_) => sleep(ACCEPT_REST).await,
            }
        }
    }
}

/// The wall clock: for windows of maintenance, and nothing else here.
#[expect(clippy::disallowed_methods, reason = "the edge is where time is read")]
fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Whether a listening socket accepts nothing any more (accept(2)): it is closed, or shut down by
/// whoever has a copy of it.
fn is_deaf(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EBADF | libc::ENOTSOCK))
}

/// Errors that `accept` passes on from a connection that died in the queue (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
