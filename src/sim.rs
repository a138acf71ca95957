//! The simulated world: a bank, the certificates of everybody, and a client.
//!
//! This module decides how parties outside the hub behave, well and badly. It must not know how
//! the gateway is built: it shares no parser, rule or table with it, so that it can find its
//! mistakes.

pub mod bank;
pub mod client;
mod clock;
pub mod flinks;
pub mod form;
pub mod konsentus;
mod mint;
pub mod oauth2;
pub mod oxlin;
pub mod pki;
pub mod server;

#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a simulator's state. A panic elsewhere leaves it as it was: there is nothing to repair.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
