//! What has to run as long as the gateway serves: its workers, and their listeners.
//!
//! This file decides what becomes of the process when one of them ends: it is not ready any more, it
//! says so once, and it ends, so that whoever supervises it starts another. A socket that nobody
//! accepts from would let its callers wait. It must not know what they do.

use std::sync::Arc;

use super::hub::Hub;

/// Something that has to run. Dropped while the gateway serves, also by a panic, it ends the process.
#[derive(Debug)]
pub(super) struct Supervised {
    hub: Arc<Hub>,
    what: &'static str,
    worker: usize,
}

impl Supervised {
    /// From here on, until the gateway leaves.
    pub(super) fn new(hub: Arc<Hub>, what: &'static str, worker: usize) -> Self {
        Self { hub, what, worker }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if self.hub.stage().is_leaving() {
            return;
        }
        if self.hub.fail() {
            let (what, worker) = (self.what, self.worker);
            tracing::error!(what, worker, "it ended, and the process ends: it can't serve without");
        }
    }
}
