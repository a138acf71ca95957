//! The chassis: pingora's server carries the process: its signals, its services, its end.
//!
//! This file decides how the process lives and dies. What stops it ([`signals`](super::signals))
//! drains it; SIGUSR2 starts a successor, and when that one serves, this process drains too. It
//! ends as soon as it is drained, not after a fixed time. It must not know what is served.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{
    ListenFds, RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch,
};
use pingora_core::services::Service;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use super::estate::Estate;
use super::handover::{Listening, Successor};
use super::run_dir::RunDir;
use super::signals::{SignalStreams, StopSignals};
use super::successor::Succession;
use super::{Given, Running, StartError, handover, notify, start_with};
use crate::routes::Gateway;

/// What becomes of the process that serves already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// There is none.
    Alone,
    /// Its sockets are taken over, and it leaves; if there is none, we start alone.
    Upgrade,
}

/// Why a process ends that has served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to, or another one has taken over.
    Told,
    /// It could not go on: something that it can't serve without has ended.
    Failed,
}

/// Serves until the process is told to stop, or has given way to another one.
///
/// # Errors
/// [`StartError`] when it could not start.
pub fn run(given: Given, start: Start, signals: SignalStreams) -> Result<Ended, StartError> {
    // Before anything is announced: whoever was told of us may send them.
    let stop = StopSignals::open()?;
    let SignalStreams { reload, reopen, upgrade } = signals;
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
    let life = Arc::new(Mutex::new(None));
    server.add_service(EdgeService {
        given: Some((given, start, reload, reopen)),
        life: life.clone(),
        outcome: outcome.clone(),
        failed,
    });
    let asked = Mutex::new(Some((stop, upgrade)));
    let gave_out = Arc::new(AtomicBool::new(false));
    let signals = Signals { life, failure, asked, gave_out: gave_out.clone() };
    server.run(RunArgs { shutdown_signal: Box::new(signals) });
    let failure = lock(&outcome).take();
    let ended = if gave_out.load(Ordering::Acquire) { Ended::Failed } else { Ended::Told };
    failure.map_or(Ok(ended), Err)
}

/// Asks the process that serves with this table's `run_dir` to start its successor.
///
/// # Errors
/// [`StartError`] says why it still serves.
pub fn upgrade(gateway: &Gateway) -> Result<String, StartError> {
    let place = run_dir(gateway)?.ok_or_else(no_run_dir)?;
    handover::ask_for_a_successor(&place)
        .map_err(|why| StartError::new("nothing was upgraded", why))
}

fn run_dir(gateway: &Gateway) -> Result<Option<RunDir>, StartError> {
    gateway.run_dir.as_deref().map(RunDir::open).transpose()
}

fn no_run_dir() -> StartError {
    StartError::new("an upgrade needs `gateway.run_dir`", "the table does not name it")
}

/// A gateway that serves, and what its successor asks.
struct Life {
    running: Running,
    succession: Succession,
    /// Whether the table names a place for it.
    can_upgrade: bool,
}

impl Life {
    fn begin(mut given: Given, start: Start) -> Result<Self, StartError> {
        let place = run_dir(&given.table.gateway)?;
        let before = match (start, &place) {
            (Start::Alone, _) => None,
            (Start::Upgrade, None) => return Err(no_run_dir()),
            (Start::Upgrade, Some(place)) => Successor::ask(place)?,
        };
        let (successor, inherited) = before.unzip();
        if successor.is_some() {
            given.predecessor = place.as_ref().and_then(RunDir::latest_flights_socket);
        }
        if start == Start::Upgrade && successor.is_none() {
            tracing::warn!("no process serves with this `run_dir`: nothing is taken over");
        }
        let listening = place.clone().map(Listening::open).transpose();
        let listening = listening
            .map_err(|error| StartError::new("the upgrade socket can't be made", error))?;
        let estate = Arc::new(Estate::new(inherited.unwrap_or_default()));
        let running = start_with(given, estate.clone())?;
        if let Some(successor) = &successor {
            running.share_sockets(true);
            successor.take_over()?;
            running.share_sockets(false);
        }
        // From here on nothing may fail: there may be nobody else who serves.
        let (handed_over, flights) = (running.hub.handed_over.clone(), running.hub.flights.clone());
        let succession = Succession::new(estate, place, handed_over, flights);
        let can_upgrade = listening.is_some();
        if let Some(Err(error)) = listening.map(|listening| succession.listen(listening)) {
            tracing::error!(%error, "this process can't be upgraded: the upgrade socket failed");
        }
        drop(successor);
        notify::ready();
        tracing::info!(process = std::process::id(), can_upgrade, "ready");
        Ok(Self { running, succession, can_upgrade })
    }
}

/// The gateway as one of pingora's services.
struct EdgeService {
    given: Option<(Given, Start, Signal, Signal)>,
    life: Arc<Mutex<Option<Life>>>,
    outcome: Arc<Mutex<Option<StartError>>>,
    failed: watch::Sender<bool>,
}

#[async_trait]
impl Service for EdgeService {
    // The chassis' own table of sockets stays empty: see `handover`.
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        mut shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
    ) {
        let Some((given, start, reload, reopen)) = self.given.take() else { return };
        // Workers are threads of our own: each wants its own socket and its own runtime.
        let begun = Life::begin(given, start);
        match begun {
            Ok(life) => {
                life.running.hangups(reload).map(tokio::spawn);
                life.running.reopens(reopen).map(tokio::spawn);
                *lock(&self.life) = Some(life);
            }
            Err(error) => {
                *lock(&self.outcome) = Some(error);
                let _ = self.failed.send(true);
            }
        }
        match sd_notify::watchdog_enabled() {
            None => drop(shutdown.changed().await),
            Some(patience) => self.reassure(patience / 2, shutdown).await,
        }
    }

    fn name(&self) -> &'static str {
        "edge"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

impl EdgeService {
    /// Tells systemd's watchdog that every worker still turns its rounds. In a drain there is
    /// nothing to see: its own deadline holds.
    async fn reassure(&self, pause: Duration, mut shutdown: ShutdownWatch) {
        let mut seen = Vec::new();
        loop {
            let rounds = lock(&self.life).as_ref().map(|life| life.running.rounds());
            let turning = match &rounds {
                None => true,
                Some(rounds) => rounds.iter().zip(&seen).all(|(now, before)| now != before),
            };
            if turning {
                notify::alive();
            }
            seen = rounds.unwrap_or_default();
            tokio::select! {
                _ = shutdown.changed() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// Ends the process when it is told to, when another one has taken over, or when it could not
/// start.
struct Signals {
    life: Arc<Mutex<Option<Life>>>,
    failure: watch::Receiver<bool>,
    /// Whether it could not go on.
    gave_out: Arc<AtomicBool>,
    /// What [`Self::recv`] waits for; it is called once.
    asked: Mutex<Option<(StopSignals, Signal)>>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let mut failure = self.failure.clone();
        let asked = lock(&self.asked).take();
        let Some((stop, upgrade)) = asked else { return ShutdownSignal::FastShutdown };
        let stopped = async {
            stop.recv().await;
            self.leave_alone().await;
        };
        tokio::select! {
            () = stopped => {}
            () = self.succeeded(upgrade) => {}
            () = self.failed() => self.gave_out.store(true, Ordering::Release),
            _ = failure.wait_for(|failed| *failed) => {}
        }
        // Workers serve a little before the start is over: then they are drained, too.
        let _ = tokio::time::timeout(START_PATIENCE, self.begun()).await;
        let life = lock(&self.life).take();
        if let Some(Life { running, succession, .. }) = life {
            if running.is_succeeded() {
                tracing::info!("draining: another process serves");
            } else {
                tracing::info!("draining");
                notify::stopping();
            }
            // Draining waits for threads; this runtime has nothing else to do.
            running.stop();
            succession.finish();
        }
        ShutdownSignal::FastShutdown
    }
}

impl Signals {
    /// Waits until the gateway can't go on: a worker has ended.
    async fn failed(&self) {
        loop {
            let hub = lock(&self.life).as_ref().map(|life| life.running.hub.clone());
            match hub {
                Some(hub) => return hub.failed().await,
                None => tokio::time::sleep(START_LOOK).await,
            }
        }
    }

    /// Gives a successor up that was started and does not serve yet: nobody would look after it.
    async fn leave_alone(&self) {
        let succession = lock(&self.life).as_ref().map(|life| life.succession.clone());
        if let Some(succession) = succession {
            succession.start_no_more();
            let end = tokio::time::Instant::now() + START_PATIENCE;
            while succession.is_starting() && tokio::time::Instant::now() < end {
                tokio::time::sleep(START_LOOK).await;
            }
        }
    }

    /// Waits until the start is over, well or not.
    async fn begun(&self) {
        while lock(&self.life).is_none() && !*self.failure.borrow() {
            tokio::time::sleep(START_LOOK).await;
        }
    }

    /// Waits until another process has taken over, and starts one when asked to by SIGUSR2.
    async fn succeeded(&self, mut asked: Signal) {
        loop {
            let succession = lock(&self.life).as_ref().map(|life| life.succession.clone());
            let taken = async {
                match &succession {
                    Some(succession) => {
                        let mut taken = succession.watch();
                        let _ = taken.wait_for(Option::is_some).await;
                    }
                    None => tokio::time::sleep(START_LOOK).await,
                }
            };
            tokio::select! {
                () = taken => if succession.is_some() { return },
                _ = asked.recv() => self.start_successor(),
            }
        }
    }

    fn start_successor(&self) {
        let life = lock(&self.life);
        let Some(life) = life.as_ref().filter(|life| life.can_upgrade) else {
            tracing::error!("no upgrade: it needs `gateway.run_dir`, and a process that serves");
            return;
        };
        let succession = life.succession.clone();
        let thread = std::thread::Builder::new().name("upgrade-start".to_owned());
        let spawned = thread.spawn(move || {
            succession.start_successor(|outcome| {
                if let Err(why) = outcome {
                    tracing::error!(why, "no upgrade; this process goes on");
                }
            });
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "no upgrade; this process goes on");
        }
    }
}

/// How often it is looked whether the start is over.
const START_LOOK: Duration = Duration::from_millis(20);
/// How long a process that is told to stop waits for the end of its start.
const START_PATIENCE: Duration = Duration::from_secs(1);

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
