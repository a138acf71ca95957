//! A worker: one thread, one runtime, its own listening sockets and its own ways to the banks.
//!
//! This file decides who is let in. Nothing that a worker does waits for another one.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::access_log::LogBuffer;
use super::clock::Stamp;
use super::connection::{serve_plain, serve_tls};
use super::forward::Forwarder;
use super::guard::Scratch;
use super::hub::{Door, Hub, Stage};
use super::meters::WorkerMeters;

/// How often a worker flushes its lines and sweeps its idle connections.
const TICK: Duration = Duration::from_millis(200);
/// One worker drops full buckets of client-target limits once in about so many ticks (a minute).
const FORGET_TICKS: u32 = 300;
/// How long accepting rests when the process has no descriptors left: no spin, no lost listener.
const ACCEPT_REST: Duration = Duration::from_millis(20);
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
    /// False once its tasks are about to be dropped.
    pub(super) alive: AtomicBool,
    connections: Cell<usize>,
    handshakes: Cell<usize>,
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
        let worker = Rc::new(Worker {
            number,
            forwarder: Forwarder::new(hub.configs.clone(), hub.tokens.clone(), hub.flights.clone()),
            log: LogBuffer::new(hub.log.clone()),
            stamp: Stamp::default(),
            scratch: Scratch::new(),
            alive: AtomicBool::new(true),
            connections: Cell::new(0),
            handshakes: Cell::new(0),
            hub,
        });
        let tasks = LocalSet::new();
        tasks.block_on(&runtime, worker.clone().run(ears));
        worker.alive.store(false, Ordering::Relaxed);
        drop(tasks);
        worker.log.flush();
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

    /// A handshake is over, well or not.
    pub(super) fn end_handshake(&self) {
        self.handshakes.set(self.handshakes.get().saturating_sub(1));
    }

    async fn run(self: Rc<Self>, ears: Vec<Ear>) {
        for ear in ears {
            let worker = self.clone();
            tokio::task::spawn_local(async move {
                if let Err(error) = worker.clone().accept(ear).await {
                    tracing::error!(worker = worker.number, %error, "a listener failed");
                }
            });
        }
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.hub.stage() == Stage::Serving {
            tokio::select! {
                _ = ticks.tick() => self.tidy(),
                () = self.hub.leaving() => {}
            }
        }
        while self.connections.get() > 0 && self.hub.stage() != Stage::Over {
            sleep(LEAVE_TICK).await;
            self.log.flush();
        }
    }

    fn tidy(&self) {
        self.log.flush();
        let snapshot = self.hub.snapshot.load();
        if self.number == 0 && fastrand::u32(..FORGET_TICKS) == 0 {
            snapshot
                .callers
                .iter()
                .filter_map(|caller| caller.target_gate.as_ref())
                .for_each(|gate| gate.forget_idle());
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
                () = self.hub.leaving() => return self.let_in_the_last(listener, ear.tls),
            };
            match accepted {
                Ok((socket, from)) => self.let_in(socket, from, ear.tls),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(worker = self.number, %error, "accepting rests");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    /// Lets in who has connected and waits: a listener that closes resets them.
    fn let_in_the_last(
        self: &Rc<Self>,
        listener: tokio::net::TcpListener,
        tls: bool,
    ) -> io::Result<()> {
        // The kernel is asked, not tokio: its readiness may lag behind.
        let listener = listener.into_std()?;
        while let Ok((socket, from)) = listener.accept() {
            socket.set_nonblocking(true)?;
            self.let_in(TcpStream::from_std(socket)?, from, tls);
        }
        Ok(())
    }

    /// Admits a connection, or drops it at a limit.
    fn let_in(self: &Rc<Self>, socket: TcpStream, from: SocketAddr, tls: bool) {
        let snapshot = self.hub.snapshot.load();
        let limits = &snapshot.table.gateway.limits;
        let meters = self.meters();
        let door = Door::open(&self.hub, from.ip(), limits);
        let crowded = tls && self.handshakes.get() >= limits.handshakes_max;
        let (Some(door), false) = (door, crowded) else {
            meters.connections_refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        meters.connections.fetch_add(1, Ordering::Relaxed);
        // A small answer must not wait for an acknowledgement (Nagle); without it, it still goes.
        let _ = socket.set_nodelay(true);
        self.connections.set(self.connections.get() + 1);
        self.handshakes.set(self.handshakes.get() + usize::from(tls));
        let worker = self.clone();
        let config = if tls { self.hub.tls.load().as_ref().clone() } else { None };
        tokio::task::spawn_local(async move {
            match (tls, config) {
                (false, _) => serve_plain(worker.clone(), socket, from).await,
                (true, Some(config)) => serve_tls(worker.clone(), socket, from, config).await,
                (true, None) => worker.end_handshake(),
            }
            worker.connections.set(worker.connections.get().saturating_sub(1));
            drop(door);
        });
    }
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
