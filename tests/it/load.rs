//! Calls that go on while something changes: what fails meanwhile, fails the test.
//!
//! This file decides how the calls are made. It must not know what changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::ask::{Ask, Http};
use crate::world::{World, client_id, until};

/// How long a caller rests between two calls.
const PACE: Duration = Duration::from_millis(2);

/// Good calls, over HTTP/1.1 and HTTP/2, on old connections and on new ones.
pub(crate) struct Load {
    over: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Calls of a client, until they are stopped.
    pub(crate) fn start(world: &World, number: usize) -> Self {
        let (over, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let ways = [(Http::One, true), (Http::Two, true), (Http::One, false), (Http::Two, false)];
        let callers = ways.map(|(http, stays)| {
            let (over, made) = (over.clone(), made.clone());
            let mut client = world.client(http, number);
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    client.call(Ask::token().client(&client_id(number))).good();
                    made.fetch_add(1, Ordering::Relaxed);
                    if !stays {
                        client.close();
                    }
                    // Other tests want the processor, too.
                    std::thread::sleep(PACE);
                }
            })
        });
        let load = Self { over, made, callers: callers.into() };
        load.more(8);
        load
    }

    /// Waits until so many more calls were made: whatever changed, they have met it.
    #[track_caller]
    pub(crate) fn more(&self, calls: u64) {
        let goal = self.made.load(Ordering::Relaxed) + calls;
        until("more calls", || {
            let alive = self.callers.iter().all(|caller| !caller.is_finished());
            assert!(alive, "a call failed");
            (self.made.load(Ordering::Relaxed) >= goal).then_some(())
        });
    }

    /// Stops them. Each of them was good.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.more(20);
        self.over.store(true, Ordering::Relaxed);
        self.callers.into_iter().for_each(|caller| caller.join().expect("a call failed"));
    }
}
