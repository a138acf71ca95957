//! Housekeeping: memory that nobody needs any more is given back, now and then, on a thread apart.
//!
//! What has to go through all clients or all names has no place in a worker: its calls would wait
//! for it. This file decides when that is done. It must not know what is kept, nor why.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::hub::Hub;

/// How often it is done.
const INTERVAL: Duration = Duration::from_secs(60);
/// So many clients are gone through at once; then calls have the processor to themselves.
const CLIENTS_AT_ONCE: usize = 256;
/// For so long.
const REST: Duration = Duration::from_millis(1);

/// The thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct Housekeeping(#[expect(dead_code, reason = "its end is what is told")] Sender<()>);

/// Starts the thread. It does not keep the hub alive.
///
/// # Errors
/// The thread can't be made.
pub(super) fn spawn(hub: &Arc<Hub>) -> io::Result<Housekeeping> {
    let (goes_on, end) = channel();
    let hub = Arc::downgrade(hub);
    let thread = std::thread::Builder::new().name("housekeeping".to_owned());
    thread.spawn(move || run(&hub, &end))?;
    Ok(Housekeeping(goes_on))
}

fn run(hub: &Weak<Hub>, end: &Receiver<()>) {
    let ends_within = |time| end.recv_timeout(time) != Err(RecvTimeoutError::Timeout);
    while !ends_within(INTERVAL) {
        let Some(hub) = hub.upgrade() else { return };
        // A bug ends one round and not the thread; the hook for panics has said so.
        let round = AssertUnwindSafe(|| tidy(&hub, ends_within));
        if let Ok(true) = catch_unwind(round) {
            return;
        }
    }
}

/// One round. Says whether the thread is to end.
fn tidy(hub: &Hub, ends_within: impl Fn(Duration) -> bool) -> bool {
    hub.commons.book.forget_unused();
    hub.doors.forget_unused();
    let snapshot = hub.snapshot.load_full();
    let gates = snapshot.callers.iter().filter_map(|caller| caller.target_gate.as_ref());
    for (number, gate) in gates.enumerate() {
        gate.forget_idle();
        if number % CLIENTS_AT_ONCE == CLIENTS_AT_ONCE - 1 && ends_within(REST) {
            return true;
        }
    }
    false
}
