//! A simulated party's clock: real time, and what a test adds to it.
//!
//! This file decides that time only goes ahead. It must not know what expires.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::lock;

/// Time since the party was started.
#[derive(Debug)]
pub(super) struct Clock {
    opened: Instant,
    ahead: Mutex<Duration>,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { opened: Instant::now(), ahead: Mutex::new(Duration::ZERO) }
    }

    pub(super) fn now(&self) -> Duration {
        self.opened.elapsed() + *lock(&self.ahead)
    }

    /// Moves it ahead.
    pub(super) fn advance(&self, by: Duration) {
        *lock(&self.ahead) += by;
    }
}
