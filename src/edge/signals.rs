//! Signals: what each of them does to the process.
//!
//! This file decides that none ends it but those that are meant to. Stop: SIGTERM, SIGINT, SIGQUIT,
//! and SIGXCPU, which comes before the kernel's own end (RLIMIT_CPU). SIGHUP reloads, SIGUSR1 opens
//! the access log anew, SIGUSR2 upgrades. All others whose default would end the process
//! (signal(7)) are heard and do nothing: SIGALRM, SIGPIPE, SIGXFSZ (a write beyond RLIMIT_FSIZE
//! then fails with EFBIG, and calls go on), real-time signals, and so on. Left as they are: what
//! nobody can catch (SIGKILL, SIGSTOP), what a terminal stops and continues a job with, and what
//! only a broken program gets (SIGSEGV, SIGABRT, …). It must not know what a drain is.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::StartError;

/// Signals that are heard and do nothing.
const IGNORED: [libc::c_int; 8] = [
    libc::SIGALRM,
    libc::SIGIO,
    libc::SIGPIPE,
    libc::SIGPROF,
    libc::SIGPWR,
    libc::SIGSTKFLT,
    libc::SIGVTALRM,
    libc::SIGXFSZ,
];

/// The signals that ask for something. From the moment that they are heard none kills the process,
/// and none is lost.
#[derive(Debug)]
pub struct SignalStreams {
    pub(super) reload: Signal,
    pub(super) reopen: Signal,
    pub(super) upgrade: Signal,
}

impl SignalStreams {
    /// Hears all signals but those that stop: until there is something to drain, they end the
    /// process as they always do.
    ///
    /// # Errors
    /// [`StartError`] when signals can't be received.
    pub fn open() -> Result<Self, StartError> {
        hear(|| {
            let real_time = libc::SIGRTMIN()..=libc::SIGRTMAX();
            for number in IGNORED.into_iter().chain(real_time) {
                // That it is heard is all: its handler stays (tokio::signal).
                drop(signal(SignalKind::from_raw(number))?);
            }
            Ok(Self {
                reload: signal(SignalKind::hangup())?,
                reopen: signal(SignalKind::user_defined1())?,
                upgrade: signal(SignalKind::user_defined2())?,
            })
        })
    }
}

/// Those that stop the process.
#[derive(Debug)]
pub(super) struct StopSignals([Signal; 4]);

impl StopSignals {
    /// Hears them.
    ///
    /// # Errors
    /// [`StartError`] when signals can't be received.
    pub(super) fn open() -> Result<Self, StartError> {
        hear(|| {
            Ok(Self([
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::quit())?,
                signal(SignalKind::from_raw(libc::SIGXCPU))?,
            ]))
        })
    }

    /// Waits for the first of them.
    pub(super) async fn recv(self) {
        let [mut terminate, mut interrupt, mut quit, mut cpu] = self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            _ = cpu.recv() => {}
        }
    }
}

/// A runtime is wanted only to begin with; any later one hears them.
fn hear<T>(begin: impl FnOnce() -> std::io::Result<T>) -> Result<T, StartError> {
    let begun = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let _inside = runtime.enter();
        begin()
    };
    begun().map_err(|error| StartError::new("signals can't be received", error))
}
