//! What has to run as long as the gateway serves: its workers, its listeners.
//!
//! This file decides what becomes of the process when one of them ends: it is not ready any more,
//! it says so once, and it ends, so that whoever supervises it starts another. A socket that nobody
//! accepts from would let its callers wait. It must not know what they do.

use std::sync::Arc;

use super::hub::Hub;

/// Something that has to run. Dropped while the gateway serves, also by a panic, it ends the
/// process.
#[derive(Debug)]
pub(super) struct Supervised {
    hub: Arc<Hub>,
    what: &'static str,
    /// Whose it is; none where it is the process' own.
    worker: Option<usize>,
    told_to_end: bool,
}

impl Supervised {
    /// From here on, until the gateway leaves.
    pub(super) fn new(hub: Arc<Hub>, what: &'static str, worker: Option<usize>) -> Self {
        Self { hub, what, worker, told_to_end: false }
    }

    /// It ends because it was told to: another process does its work.
    pub(super) fn end(mut self) {
        self.told_to_end = true;
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if self.told_to_end || self.hub.stage().is_leaving() {
            return;
        }
        if self.hub.fail() {
            let (what, worker) = (self.what, self.worker);
            tracing::error!(what, worker, "it ended, and the process ends: it can't serve without");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::hub::Stage;
    use crate::edge::names::SystemNames;
    use crate::routes::{MemorySources, load};
    use crate::snapshot::Snapshot;

    fn hub() -> Arc<Hub> {
        let text = "[gateway]\ninsecure_plain_listen = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\n\
                    insecure_header_identity = true\n\
                    [[api]]\ncontract = 'blink-fi'\nbase_path = '/v'\n";
        let sources = MemorySources::default().file("routes.toml", text);
        let table = load("routes.toml".as_ref(), &sources).unwrap().table;
        let names = Arc::new(SystemNames);
        let snapshot = Snapshot::build(table, None);
        Arc::new(Hub::new(snapshot, None, None, Arc::default(), names, 1))
    }

    /// A worker that does this.
    fn run(hub: &Arc<Hub>, work: impl FnOnce() + Send + 'static) {
        let supervised = Supervised::new(hub.clone(), "worker", Some(0));
        let thread = std::thread::spawn(move || {
            let _supervised = supervised;
            work();
        });
        let _ = thread.join();
    }

    #[test]
    fn a_worker_that_ends_makes_the_process_not_ready_and_ends_it() {
        let panics: fn() = || std::panic::resume_unwind(Box::new("a bug"));
        for work in [panics, || {}] {
            let hub = hub();
            assert_eq!((hub.stage(), hub.has_failed()), (Stage::Serving, false));
            run(&hub, work);
            assert_eq!((hub.stage(), hub.has_failed()), (Stage::Unready, true));
            // It is said once.
            assert!(!hub.fail());
        }
    }

    #[test]
    fn what_is_told_to_end_fails_nobody() {
        let hub = hub();
        Supervised::new(hub.clone(), "admin listener", None).end();
        assert_eq!((hub.stage(), hub.has_failed()), (Stage::Serving, false));
    }

    #[test]
    fn a_worker_that_ends_with_its_gateway_is_as_it_should_be() {
        let hub = hub();
        hub.advance(Stage::Leaving);
        run(&hub, || {});
        assert!(!hub.has_failed());
    }
}
