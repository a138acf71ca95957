//! Exchanges that must not happen twice at once: a refresh of a token that is good once.
//!
//! This file decides who goes and who waits. Its keys live as long as an exchange, and as the
//! replay window that the table gives it. It must not know what an exchange is about.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use dashmap::{DashMap, Entry};
use tokio::sync::watch;

use crate::conversation::{FlightKey, Outcome};

/// Most outcomes that are kept for a replay at once; beyond them, none is kept.
const KEPT_MAX: usize = 10_000;

/// The exchanges under way, and those just over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flights(Arc<DashMap<FlightKey, watch::Receiver<Option<Outcome>>>>);

/// Takes the key out again, however the exchange ends.
struct Landing<'f> {
    flights: &'f Flights,
    key: FlightKey,
    keep: bool,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.flights.0.remove(&self.key);
        }
    }
}

enum Role {
    Leads(watch::Sender<Option<Outcome>>),
    Follows(watch::Receiver<Option<Outcome>>),
}

impl Flights {
    /// Runs `exchange`, or waits for the one that is under way with the same key.
    pub(super) async fn alone(
        &self,
        key: FlightKey,
        replay: Duration,
        exchange: impl Future<Output = Outcome>,
    ) -> Outcome {
        loop {
            match self.role(key) {
                Role::Leads(tell) => {
                    let mut landing = Landing { flights: self, key, keep: false };
                    let outcome = exchange.await;
                    landing.keep = self.keeps(replay, &outcome);
                    if landing.keep {
                        self.forget_later(key, replay);
                    }
                    let _ = tell.send(Some(outcome.clone()));
                    return outcome;
                }
                Role::Follows(mut told) => {
                    if let Ok(outcome) = told.wait_for(Option::is_some).await
                        && let Some(outcome) = outcome.clone()
                    {
                        return outcome;
                    }
                    // Who led gave up before its request was sent: somebody else goes.
                }
            }
        }
    }

    fn role(&self, key: FlightKey) -> Role {
        match self.0.entry(key) {
            Entry::Occupied(entry) => Role::Follows(entry.get().clone()),
            Entry::Vacant(entry) => {
                let (tell, told) = watch::channel(None);
                entry.insert(told);
                Role::Leads(tell)
            }
        }
    }

    /// Only a good answer is given again: a refusal can be asked for anew.
    fn keeps(&self, replay: Duration, outcome: &Outcome) -> bool {
        let good = matches!(&outcome.0, Ok(heard) if heard.answer.status.is_success());
        good && !replay.is_zero() && self.0.len() < KEPT_MAX
    }

    fn forget_later(&self, key: FlightKey, replay: Duration) {
        let flights = self.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(replay).await;
            flights.0.remove(&key);
        });
    }
}
