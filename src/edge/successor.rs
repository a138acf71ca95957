//! The successor: how the process that serves gives way to the next one.
//!
//! This file decides when a hand-over counts: as soon as the successor says that it has taken over,
//! and not before. Until then this process accepts and serves as ever, so a successor that never
//! starts, dies or hangs costs nothing. It must not know how a drain goes.

use std::io;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use super::estate::Estate;
use super::flights::{Flights, FlightsServer};
use super::handover::{
    LEAVING, Line, Listening, READY, SPAWN, STARTUP_MAX, TAKE, TAKEN, WORD_MAX, YOURS,
};
use super::run_dir::RunDir;
use super::{notify, now};

/// How often a process looks whether the successor that it started is still there.
const LOOK: Duration = Duration::from_millis(20);
/// How long a process that is drained waits to tell of its successor.
const LAST_WORD: Duration = Duration::from_secs(1);
/// What makes a process take the sockets of the one before it.
const UPGRADE: &str = "--upgrade";

/// Gives the sockets of a process to its successor. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Succession(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    estate: Arc<Estate>,
    /// Where successors come.
    place: Option<RunDir>,
    /// Whether somebody else has copies of the sockets: then nothing may be done to them.
    shared: Arc<AtomicBool>,
    /// The process that took over.
    taken: watch::Sender<Option<u32>>,
    /// One successor at a time, and one that we start.
    taking: Mutex<()>,
    starting: Mutex<()>,
    /// Held while a successor that serves takes over: nobody may be killed meanwhile.
    deciding: Mutex<()>,
    /// This process was told to stop: it starts nobody any more, and gives up whom it started.
    stopping: AtomicBool,
    /// The successor that was started and has not taken over yet.
    child: Mutex<Option<u32>>,
    /// The refreshes that a successor asks about.
    flights: Flights,
    /// Who answers it, from the hand-over to the end.
    flights_server: Mutex<Option<FlightsServer>>,
}

impl Succession {
    /// `shared` is told whether the sockets are also somebody else's.
    pub(super) fn new(
        estate: Arc<Estate>,
        place: Option<RunDir>,
        shared: Arc<AtomicBool>,
        flights: Flights,
    ) -> Self {
        let (taken, _) = watch::channel(None);
        let (taking, starting, deciding, stopping, child) = Default::default();
        Self(Arc::new(Shared {
            estate,
            place,
            shared,
            taken,
            taking,
            starting,
            deciding,
            stopping,
            child,
            flights,
            flights_server: Mutex::default(),
        }))
    }

    /// Tells which process took over, when one did.
    pub(super) fn watch(&self) -> watch::Receiver<Option<u32>> {
        self.0.taken.subscribe()
    }

    /// Listens for a successor, on a thread that ends with the process.
    ///
    /// # Errors
    /// The socket can't take its place, or the thread can't be made.
    pub(super) fn listen(&self, mut listening: Listening) -> io::Result<()> {
        listening.show()?;
        let succession = self.clone();
        std::thread::Builder::new().name("upgrade".to_owned()).spawn(move || {
            loop {
                match listening.accept() {
                    Ok(line) => succession.answer(line),
                    Err(error) => {
                        tracing::warn!(%error, "the upgrade socket rests");
                        std::thread::sleep(Duration::from_secs(1));
                    }
                }
            }
        })?;
        Ok(())
    }

    /// Answers on a thread of its own: who asks for a successor waits until it has asked, too.
    fn answer(&self, line: Line) {
        let succession = self.clone();
        let thread = std::thread::Builder::new().name("upgrade-call".to_owned());
        let heard = |line: &Line| line.check_peer().and_then(|()| line.hear());
        let spawned = thread.spawn(move || match heard(&line).as_deref() {
            Ok(TAKE) => succession.hand_over(&line),
            Ok(SPAWN) => succession.start_successor(|outcome| match outcome {
                Ok(process) => drop(line.say(&format!("process {process} has taken over"))),
                Err(why) => line.refuse(&why),
            }),
            Ok(other) => line.refuse(&format!("this version does not know `{other}`")),
            Err(error) => tracing::warn!(%error, "a call on the upgrade socket has no answer"),
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "a call on the upgrade socket can't be answered");
        }
    }

    fn hand_over(&self, line: &Line) {
        let Ok(taking) = self.0.taking.try_lock() else {
            return line.refuse("another process is taking over");
        };
        if self.successor().is_some() {
            return line.refuse("another process has taken over");
        }
        let sockets = match self.0.estate.copies(&self.0.shared) {
            Ok(sockets) => sockets,
            Err(why) => return line.refuse(&why),
        };
        // Before it can serve anybody: a refresh may come to either of us from then on.
        let server = self.answer_about_flights();
        let ready = until_ready(line, &sockets);
        drop(sockets);
        let deciding = lock(&self.0.deciding);
        let process = match ready.and_then(|process| self.give_way(line, process)) {
            Ok(process) => process,
            Err(error) => {
                self.0.shared.store(false, Ordering::Release);
                // Whoever hears of it may ask anew at once.
                drop((deciding, taking));
                line.refuse("it took too long, or said what was not expected");
                tracing::error!(%error, "the new process did not get to serve; this one goes on");
                return;
            }
        };
        *self.0.flights_server.lock().unwrap_or_else(PoisonError::into_inner) = server;
        tracing::info!(process, "another process has taken over");
        self.0.taken.send_replace(Some(process));
    }

    /// Lets a successor ask which refreshes are under way here.
    fn answer_about_flights(&self) -> Option<FlightsServer> {
        let path = self.0.place.as_ref()?.new_flights_socket();
        FlightsServer::start(self.0.flights.clone(), path)
            .inspect_err(|error| {
                tracing::warn!(%error, "a successor can't ask about refreshes");
            })
            .ok()
    }

    /// Offers to leave. Once the new process has taken us at our word, there is no way back.
    fn give_way(&self, line: &Line, process: u32) -> io::Result<u32> {
        line.wait_at_most(WORD_MAX)?;
        line.say(LEAVING)?;
        match line.hear_or_close()?.as_str() {
            TAKEN => self.0.estate.set_succeeded(true),
            other => return Err(unexpected(other)),
        }
        // systemd has to know before the new process speaks to it, and not before this is settled:
        // from then on it does not listen to us.
        notify::main_process(process);
        let _ = line.say(YOURS);
        // It hangs up once it can be asked for a successor of its own.
        let _ = line.hear();
        Ok(process)
    }

    fn successor(&self) -> Option<u32> {
        *self.0.taken.borrow()
    }

    /// Starts the program anew, as it was started, waits until it has taken over, and tells which
    /// process that is. If it has not, it tells why, and this process serves as before.
    pub(super) fn start_successor(&self, tell: impl FnOnce(Result<u32, String>)) {
        match self.0.starting.try_lock() {
            // Held until it is told: the process does not end before.
            Ok(_one) => tell(self.start()),
            Err(_) => tell(Err("a new process is being started already".to_owned())),
        }
    }

    fn start(&self) -> Result<u32, String> {
        if let Some(process) = self.successor() {
            return Err(format!("process {process} has taken over already"));
        }
        if self.0.stopping.load(Ordering::Acquire) {
            return Err("this process was told to stop".to_owned());
        }
        let mut child =
            spawn().map_err(|error| format!("the program can't be started: {error}"))?;
        self.set_child(Some(child.id()));
        tracing::info!(process = child.id(), "a new process starts");
        let outcome = self.wait_for(&mut child).or_else(|why| self.give_up(&mut child, why));
        self.set_child(None);
        outcome
    }

    fn set_child(&self, process: Option<u32>) {
        *self.0.child.lock().unwrap_or_else(PoisonError::into_inner) = process;
    }

    /// From now on nobody is started, and who is being started is ended: a process that nobody
    /// waits for would serve on when this one, and whoever told it to stop, are gone.
    pub(super) fn start_no_more(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    /// Whether a successor that this process started is still on its way.
    pub(super) fn is_starting(&self) -> bool {
        self.0.child.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Ends a successor that did not get to serve, unless it has taken over in the last moment.
    fn give_up(&self, child: &mut Child, why: String) -> Result<u32, String> {
        let _deciding = lock(&self.0.deciding);
        if let Some(process) = self.successor() {
            return Ok(process);
        }
        let _ = child.kill();
        let _ = child.wait();
        if let Some(place) = &self.0.place {
            place.forget(child.id());
        }
        Err(why)
    }

    /// Waits until whoever asked for a successor has been told of it. One that is still on its way
    /// does not outlive this process.
    pub(super) fn finish(&self) {
        let end = now() + LAST_WORD;
        while self.0.starting.try_lock().is_err() && now() < end {
            std::thread::sleep(LOOK);
        }
        let child = *self.0.child.lock().unwrap_or_else(PoisonError::into_inner);
        let child = child.filter(|_| self.successor().is_none()).map(u32::cast_signed);
        if let Some(child) = child.and_then(Pid::from_raw) {
            let _ = kill_process(child, Signal::KILL);
        }
        // Whoever waits there for an exchange that has ended is told.
        drop(self.0.flights_server.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn wait_for(&self, child: &mut Child) -> Result<u32, String> {
        let end = now() + STARTUP_MAX;
        while now() < end {
            if let Some(process) = self.successor() {
                return Ok(process);
            }
            if self.0.stopping.load(Ordering::Acquire) {
                return Err("this process was told to stop meanwhile".to_owned());
            }
            match child.try_wait() {
                Ok(None) => std::thread::sleep(LOOK),
                Ok(Some(status)) => {
                    return Err(format!("the new process ended with {status}; its log says why"));
                }
                Err(error) => return Err(format!("the new process is lost: {error}")),
            }
        }
        Err("the new process does not get to serve".to_owned())
    }
}

/// Gives copies of the sockets, and waits until the new process, whose id is told, serves on them.
fn until_ready(line: &Line, sockets: &[(String, TcpListener)]) -> io::Result<u32> {
    line.send_sockets(sockets)?;
    line.wait_at_most(STARTUP_MAX)?;
    let word = line.hear_or_close()?;
    let process = word.strip_prefix(READY).and_then(|process| process.parse().ok());
    process.ok_or_else(|| unexpected(&word))
}

fn unexpected(word: &str) -> io::Error {
    io::Error::other(format!("it said `{word}`"))
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program by the name that it was started by, which may be another file by now.
fn spawn() -> io::Result<Child> {
    let mut words = std::env::args_os();
    let program = words.next().ok_or(io::ErrorKind::NotFound)?;
    let mut words: Vec<_> = words.collect();
    if !words.iter().any(|word| word == UPGRADE) {
        words.push(UPGRADE.into());
    }
    // The watchdog's settings name this process.
    let mut command = Command::new(program);
    command.args(words).env_remove("WATCHDOG_PID").stdin(Stdio::null()).spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn a_successor_that_takes_over_in_the_last_moment_is_not_killed() {
        let succession = Succession::new(Arc::default(), None, Arc::default(), Flights::default());
        let (mut child, other) = (sleeper(), succession.clone());
        let deciding = lock(&succession.0.deciding);
        let waiting = std::thread::spawn(move || {
            let outcome = other.give_up(&mut child, "too late".to_owned());
            (outcome, child)
        });
        // Whether it waits already or comes later: it must not act before this is settled.
        std::thread::yield_now();
        succession.0.taken.send_replace(Some(7));
        drop(deciding);
        let (outcome, mut child) = waiting.join().unwrap();
        assert_eq!(outcome, Ok(7));
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_successor_that_does_not_get_to_serve_is_ended() {
        let succession = Succession::new(Arc::default(), None, Arc::default(), Flights::default());
        let mut child = sleeper();
        let outcome = succession.give_up(&mut child, "too late".to_owned());
        assert_eq!(outcome, Err("too late".to_owned()));
        assert!(child.try_wait().unwrap().is_some());
    }
}
