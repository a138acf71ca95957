//! The process before this one, asked about each refresh while it drains.
//!
//! This file decides how long that is waited for, and when nobody is asked any more. While two
//! processes serve, a refresh may reach both: the client tries again, on another connection. So
//! whoever is about to go asks the one before first. Either it has it under way and gives its
//! outcome, or it leaves it to us and gives our outcome to whoever comes to it. It must not know
//! what a refresh is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::message::{Ended, Question, Word, hear, say};
use crate::conversation::{Flight, Outcome};

/// How long an outcome is waited for: as long as an exchange may take with most tables. Then we go,
/// because a process that hangs must not hold calls for ever.
const OUTCOME_MAX: Duration = Duration::from_secs(30);

/// How long it may take to be told how ours ended. It is a line in memory.
const TELL_MAX: Duration = Duration::from_secs(1);

/// The process that was there before and may still drain.
#[derive(Debug, Default)]
pub(super) struct Predecessor {
    socket: Mutex<Option<PathBuf>>,
    /// What a call looks at.
    there: AtomicBool,
}

/// What the process before has said.
pub(super) enum Said {
    /// It has asked the bank.
    Outcome(Box<Outcome>),
    /// We go; it waits for how that ends.
    Go(Lease),
}

/// The promise to tell how it ended. Whoever was promised goes by itself when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Lease(Option<UnixStream>);

impl Lease {
    pub(super) async fn tell(self, outcome: &Outcome) {
        let Some(mut stream) = self.0 else { return };
        let word = Word::Ended(Box::new(Ended::of(outcome)));
        // It may be gone by now.
        let _ = timeout(TELL_MAX, say(&mut stream, &word)).await;
    }
}

impl Predecessor {
    /// Sets where it is asked.
    pub(super) fn set(&self, socket: PathBuf) {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
        self.there.store(true, Ordering::Release);
    }

    /// Whether there is somebody to ask.
    pub(super) fn is_there(&self) -> bool {
        self.there.load(Ordering::Acquire)
    }

    /// Asks it. It asks the one before it in its turn.
    pub(super) async fn ask(&self, flight: &Flight, replay: Duration) -> Said {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(socket) = socket else { return Said::Go(Lease::default()) };
        match timeout(OUTCOME_MAX, ask(&socket, flight, replay)).await {
            Ok(Ok((Word::Go, stream))) => return Said::Go(Lease(Some(stream))),
            Ok(Ok((Word::Ended(ended), _))) => {
                if let Some(outcome) = ended.outcome() {
                    return Said::Outcome(Box::new(outcome));
                }
            }
            Ok(Err(error)) if is_gone(&error) => {
                let _ = std::fs::remove_file(&socket);
                self.there.store(false, Ordering::Release);
            }
            // It went away in between.
            Ok(Err(error)) => {
                tracing::warn!(%error, "the process before this one says nothing of a refresh");
            }
            Err(_) => {
                tracing::warn!("the process before this one holds a refresh for too long");
            }
        }
        Said::Go(Lease::default())
    }
}

async fn ask(socket: &Path, flight: &Flight, replay: Duration) -> io::Result<(Word, UnixStream)> {
    let mut stream = UnixStream::connect(socket).await?;
    check_peer(&stream)?;
    say(&mut stream, &Question::of(flight, replay)).await?;
    let word = hear(&mut stream).await?;
    Ok((word, stream))
}

/// The other side must be the same user, as on the upgrade socket.
pub(super) fn check_peer(stream: &UnixStream) -> io::Result<()> {
    if stream.peer_cred()?.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(io::ErrorKind::PermissionDenied.into())
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
