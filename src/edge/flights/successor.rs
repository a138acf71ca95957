//! Where a successor asks about refreshes, until this process ends.
//!
//! This file decides that a refresh is under way in one place: whoever asks is a caller like any
//! other ([`Flights::alone`]), and where nobody goes yet, it goes for all. It must not know what a
//! refresh is.

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use super::message::{Ended, Question, Word, hear, say};
use super::predecessor::check_peer;
use super::{Flights, Receipt};
use crate::conversation::Outcome;

/// Most questions at once; others wait in the socket's queue.
const QUESTIONS_MAX: usize = 512;
/// How long a question may take to come, and an answer to be taken.
const WORD_MAX: Duration = Duration::from_secs(5);
/// How long a successor may take for its exchange before somebody else goes.
const LEASE_MAX: Duration = Duration::from_secs(120);
/// How long the end waits until what is known has been said.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The thread that answers. Dropped, it ends, and its socket is gone.
#[derive(Debug)]
pub(in crate::edge) struct FlightsServer {
    path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FlightsServer {
    /// Listens at that place, which must be private.
    ///
    /// # Errors
    /// The socket, or the thread, can't be made.
    pub(in crate::edge) fn start(flights: Flights, path: PathBuf) -> io::Result<Self> {
        let listener = StdListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("flights".to_owned()).spawn(move || {
            let served = LocalSet::new().block_on(&runtime, serve(flights, listener, stopped));
            if let Err(error) = served {
                tracing::error!(%error, "a successor can't ask about refreshes");
            }
            runtime.shutdown_background();
        })?;
        Ok(Self { path, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for FlightsServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread for a successor's refreshes panicked");
        }
    }
}

async fn serve(
    flights: Flights,
    listener: StdListener,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(QUESTIONS_MAX));
    // Those that wait for an exchange of this process.
    let owed = Arc::new(AtomicUsize::new(0));
    loop {
        let next = async {
            let place = room.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            _ = &mut stopped => break,
        };
        let Ok((stream, _)) = accepted else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let (flights, debt) = (flights.clone(), Debt::new(owed.clone()));
        spawn_local(async move {
            let _place = place;
            if check_peer(&stream).is_ok() {
                let _ = answer(flights, stream, debt).await;
            }
        });
    }
    let settled = async {
        while owed.load(Ordering::Acquire) > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = timeout(LAST_WORD, settled).await;
    Ok(())
}

/// Counts who is owed an answer by this process.
struct Debt(Arc<AtomicUsize>);

impl Debt {
    fn new(owed: Arc<AtomicUsize>) -> Self {
        owed.fetch_add(1, Ordering::AcqRel);
        Self(owed)
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn answer(flights: Flights, mut stream: UnixStream, debt: Debt) -> io::Result<()> {
    let question: Question = timeout(WORD_MAX, hear(&mut stream)).await??;
    let (flight, replay) = question.flight().ok_or(io::ErrorKind::InvalidData)?;
    // Where it goes itself, it has the line and tells how it ended; or its end is told here.
    let line = RefCell::new(Some((stream, debt)));
    let (broken, breaks) = oneshot::channel::<()>();
    let theirs = async {
        let taken = line.take();
        match taken {
            Some((stream, debt)) => match leave_it_to(stream, debt).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    let _ = broken.send(());
                    pending().await
                }
            },
            None => pending().await,
        }
    };
    let (outcome, receipt) = tokio::select! {
        outcome = flights.alone(flight, replay, theirs) => outcome,
        // Given up before it was over: whoever waits here goes.
        Ok(()) = breaks => return Ok(()),
    };
    let Some((mut stream, _debt)) = line.take() else {
        // It was the successor's, who keeps it until its caller has it.
        receipt.into_iter().for_each(Receipt::delivered);
        return Ok(());
    };
    let word = Word::Ended(Box::new(Ended::of(&outcome)));
    timeout(WORD_MAX, say(&mut stream, &word)).await?
}

/// The successor goes, and tells how it ended.
async fn leave_it_to(mut stream: UnixStream, debt: Debt) -> io::Result<Outcome> {
    timeout(WORD_MAX, say(&mut stream, &Word::Go)).await??;
    drop(debt);
    match timeout(LEASE_MAX, hear(&mut stream)).await?? {
        Word::Ended(ended) => ended.outcome().ok_or_else(|| io::ErrorKind::NotFound.into()),
        Word::Go => Err(io::ErrorKind::InvalidData.into()),
    }
}
