//! Exchanges that must not happen twice at once: a refresh of a token that is good once.
//!
//! This file decides who goes, who waits, and who is given an answer again: within the replay
//! window that the table gives, and for a short time after an answer that its caller can't have
//! got. Whoever asks something else about the same token is refused. It must not know what an
//! exchange is about.

mod message;
mod owed;
mod predecessor;
mod shelf;
mod successor;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_upgrade;

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::{DashMap, Entry};
use tokio::sync::watch;
use tokio::time::Instant;

pub(super) use self::owed::Owed;
use self::predecessor::{Predecessor, Said};
use self::shelf::{Shelf, Slip, wiped};
pub(super) use self::successor::FlightsServer;
use crate::conversation::{Flight, FlightKey, Outcome};
use crate::deadline::later;
use crate::fault::Fault;
use crate::record::Trail;

/// How long an answer is kept whose caller was not seen to get it. A client that lost its answer
/// tries again within its own deadlines, which are shorter than this.
const UNDELIVERED: Duration = Duration::from_secs(60);

/// The exchanges under way, and those just over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flights(Arc<Book>);

#[derive(Debug, Default)]
struct Book {
    flights: DashMap<FlightKey, Flying>,
    shelf: Mutex<Shelf>,
    number: AtomicU64,
    predecessor: Predecessor,
}

/// An exchange under way, or its outcome.
#[derive(Debug)]
struct Flying {
    /// No two have the same.
    number: u64,
    /// What the call that goes asks for.
    question: FlightKey,
    told: watch::Receiver<Option<Outcome>>,
    /// Until when the outcome is kept; none while it is under way.
    until: Option<Instant>,
}

/// Whoever was given an answer and is not yet known to have it. When it is, the answer is
/// forgotten.
#[derive(Debug)]
pub(super) struct Receipt {
    flights: Flights,
    key: FlightKey,
    number: u64,
}

impl Receipt {
    /// The answer was written to a caller that listens.
    pub(super) fn delivered(self) {
        self.flights.forget(self.key, self.number);
    }
}

/// Takes the key out again, however the exchange ends.
struct Landing<'f> {
    flights: &'f Flights,
    key: FlightKey,
    number: u64,
    keep: bool,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.flights.forget(self.key, self.number);
        }
    }
}

enum Role {
    Leads(u64, watch::Sender<Option<Outcome>>),
    Follows(u64, watch::Receiver<Option<Outcome>>),
    /// It asks something else than the one that goes.
    Differs,
}

impl Flights {
    /// Runs `exchange`, or waits for the one that is under way with the same key. The receipt is
    /// for an answer that is kept only until it has arrived.
    pub(super) async fn alone(
        &self,
        flight: Flight,
        replay: Duration,
        exchange: impl Future<Output = Outcome>,
    ) -> (Outcome, Option<Receipt>) {
        let key = flight.key;
        let receipt =
            |number| replay.is_zero().then(|| Receipt { flights: self.clone(), key, number });
        loop {
            match self.role(&flight) {
                Role::Differs => return ((Err(Fault::RefreshDiffers), Trail::default()), None),
                Role::Leads(number, tell) => {
                    let mut landing = Landing { flights: self, key, number, keep: false };
                    let outcome = self.lead(&flight, replay, exchange).await;
                    let kept = self.keep(&flight, number, replay, &outcome);
                    landing.keep = kept.is_some();
                    let receipt = kept.as_ref().and_then(|_| receipt(number));
                    let _ = tell.send(Some(kept.unwrap_or_else(|| outcome.clone())));
                    return (outcome, receipt);
                }
                Role::Follows(number, mut told) => {
                    if let Ok(outcome) = told.wait_for(Option::is_some).await
                        && let Some(outcome) = outcome.clone()
                    {
                        return (outcome, receipt(number));
                    }
                    // Who led gave up before its request was sent: somebody else goes.
                }
            }
        }
    }

    /// Goes, unless the process before this one has gone already.
    async fn lead(
        &self,
        flight: &Flight,
        replay: Duration,
        exchange: impl Future<Output = Outcome>,
    ) -> Outcome {
        if !self.0.predecessor.is_there() {
            return exchange.await;
        }
        match self.0.predecessor.ask(flight, replay).await {
            Said::Outcome(outcome) => *outcome,
            Said::Go(lease) => {
                let outcome = exchange.await;
                lease.tell(&outcome).await;
                outcome
            }
        }
    }

    /// From now on the process before this one is asked, at that socket, until it is gone.
    pub(super) fn set_predecessor(&self, socket: PathBuf) {
        self.0.predecessor.set(socket);
    }

    /// Forgets outcomes whose time is over. Somebody has to call it now and then.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        loop {
            let Some((key, number)) = self.shelf().first_ended(now) else { return };
            self.forget(key, number);
        }
    }

    fn role(&self, flight: &Flight) -> Role {
        let number = self.0.number.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = watch::channel(None);
        let flying = Flying { number, question: flight.question, told, until: None };
        let past = match self.0.flights.entry(flight.key) {
            Entry::Vacant(entry) => {
                entry.insert(flying);
                None
            }
            Entry::Occupied(mut entry) => {
                let there = entry.get();
                if there.until.is_none_or(|until| Instant::now() < until) {
                    if there.question != flight.question {
                        return Role::Differs;
                    }
                    return Role::Follows(there.number, there.told.clone());
                }
                Some(entry.insert(flying))
            }
        };
        if let Some(past) = past {
            self.shelf().take(past.number);
        }
        Role::Leads(number, tell)
    }

    /// Keeps a good answer, where there is room: what is kept of it. A refusal can be asked for
    /// anew.
    fn keep(
        &self,
        flight: &Flight,
        number: u64,
        replay: Duration,
        outcome: &Outcome,
    ) -> Option<Outcome> {
        let (Ok(heard), trail) = outcome else { return None };
        if !heard.answer.status.is_success() {
            return None;
        }
        let life = if replay.is_zero() { UNDELIVERED } else { replay };
        let until = later(Instant::now(), life);
        let slip = Slip {
            key: flight.key,
            until,
            client: flight.client.clone(),
            bytes: heard.answer.body.len(),
        };
        if !self.shelf().put(number, slip) {
            return None;
        }
        if let Some(mut flying) = self.0.flights.get_mut(&flight.key) {
            flying.until = Some(until);
        }
        let mut kept = heard.clone();
        kept.answer.body = wiped(&heard.answer.body);
        Some((Ok(kept), *trail))
    }

    fn forget(&self, key: FlightKey, number: u64) {
        self.shelf().take(number);
        self.0.flights.remove_if(&key, |_, flying| flying.number == number);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
