//! The chassis: pingora's server carries the process: signals, services, and the hand-over of
//! listening sockets to the next binary.
//!
//! This file decides how the process lives and dies. SIGTERM and SIGINT drain; the process ends as
//! soon as it is drained, not after a fixed time. It must not know what is served.

use std::net::TcpListener;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{
    Fds, ListenFds, RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch,
};
use pingora_core::services::Service;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::sockets::{Bound, Inheritance};
use super::{Given, Running, StartError, start_on};

/// Serves until the process is told to stop.
///
/// # Errors
/// [`StartError`] when it could not start.
pub fn run(given: Given) -> Result<(), StartError> {
    let outcome = Arc::new(Mutex::new(None));
    let (failed, failure) = watch::channel(false);
    let conf = ServerConf {
        // corgate drains by itself and then asks for a quick end.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        threads: 1,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let names = Bound::names(&given.table.gateway);
    let running = Arc::new(Mutex::new(None));
    let kept = Kept::default();
    server.add_service(EdgeService {
        given: Some(given),
        names,
        kept: kept.clone(),
        running: running.clone(),
        outcome: outcome.clone(),
        failed,
    });
    let signals = Signals { running, kept, failure };
    server.run(RunArgs { shutdown_signal: Box::new(signals) });
    let failure = lock(&outcome).take();
    failure.map_or(Ok(()), Err)
}

/// The copies of the sockets that a later process would inherit. While one of them is open, the
/// kernel lets clients connect to it.
type Kept = Arc<Mutex<Vec<OwnedFd>>>;

/// The gateway as one of pingora's services.
struct EdgeService {
    given: Option<Given>,
    names: Vec<String>,
    kept: Kept,
    running: Arc<Mutex<Option<Running>>>,
    outcome: Arc<Mutex<Option<StartError>>>,
    failed: watch::Sender<bool>,
}

#[async_trait]
impl Service for EdgeService {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        mut shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
    ) {
        let Some(given) = self.given.take() else { return };
        let started = {
            // Workers are threads of our own: each wants its own socket and its own runtime.
            let mut guard = fds.as_ref().map(|fds| fds.lock());
            let mut heir = guard.as_mut().map(|fds| Heir { fds, kept: &self.kept });
            let inheritance = heir.as_mut().map(|heir| heir as &mut dyn Inheritance);
            Bound::bind(&given.table.gateway, inheritance).and_then(|bound| start_on(given, bound))
        };
        match started {
            Ok(running) => {
                running.hangups().map(tokio::spawn);
                *lock(&self.running) = Some(running);
            }
            Err(error) => {
                *lock(&self.outcome) = Some(error);
                let _ = self.failed.send(true);
            }
        }
        let _ = shutdown.changed().await;
    }

    fn name(&self) -> &'static str {
        "edge"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(self.names.clone())
    }
}

/// pingora's table of sockets, as the edge sees it.
struct Heir<'f> {
    fds: &'f mut Fds,
    kept: &'f Kept,
}

impl Inheritance for Heir<'_> {
    fn take(&mut self, name: &str) -> Option<TcpListener> {
        let inherited = *self.fds.get(name)?;
        #[expect(unsafe_code, reason = "the descriptor came over the upgrade socket and is ours")]
        // SAFETY: pingora received this descriptor for us and keeps it only as a number; nobody
        // else closes it, and it is taken once.
        let owned = unsafe { OwnedFd::from_raw_fd(inherited) };
        let listener = TcpListener::from(owned);
        // The table keeps a copy of its own for the process after this one.
        self.leave(name, &listener);
        Some(listener)
    }

    fn leave(&mut self, name: &str, listener: &TcpListener) {
        if let Ok(copy) = listener.as_fd().try_clone_to_owned() {
            self.fds.add(name.to_owned(), copy.as_raw_fd());
            lock(self.kept).push(copy);
        }
    }
}

/// Ends the process when it is told to, or when it could not start.
struct Signals {
    running: Arc<Mutex<Option<Running>>>,
    kept: Kept,
    failure: watch::Receiver<bool>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let mut failure = self.failure.clone();
        tokio::select! {
            () = told_to_stop() => {}
            _ = failure.wait_for(|failed| *failed) => {}
        }
        let running = lock(&self.running).take();
        if let Some(running) = running {
            tracing::info!("draining");
            // Nobody inherits: whoever connects from now on has to be refused, not left to wait.
            lock(&self.kept).clear();
            // Draining waits for threads; this runtime has nothing else to do.
            running.stop();
        }
        ShutdownSignal::FastShutdown
    }
}

async fn told_to_stop() {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        tracing::error!("signals can't be received; end the process by force");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
