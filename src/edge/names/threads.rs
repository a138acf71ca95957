//! Threads for look-ups that block, and that nobody can end.
//!
//! This file decides how many there are. A thread whose caller has given up goes on until the
//! system's resolver returns, so whoever asks for the same name again waits for that one instead of
//! taking another; and at the limit a look-up waits for a thread, within its own deadline. The end
//! of the process waits for none of them. It must not know what is looked up, nor why.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// Most look-ups at once.
const THREADS_MAX: usize = 64;
/// What the resolver and its modules (nsswitch) need.
const STACK_BYTES: usize = 1024 * 1024;

/// What a look-up found. An error is kept in words: it goes to all who wait.
type Found = Result<Vec<IpAddr>, Arc<io::Error>>;

/// A resolver that blocks.
type Resolve = fn(&str) -> io::Result<Vec<IpAddr>>;

/// The threads of a resolver.
#[derive(Debug)]
pub(super) struct Threads {
    resolve: Resolve,
    free: Semaphore,
    /// Look-ups under way, by their names.
    under_way: Mutex<Option<HashMap<String, watch::Receiver<Option<Found>>>>>,
}

impl Threads {
    pub(super) const fn new(resolve: Resolve) -> Self {
        let free = Semaphore::const_new(THREADS_MAX);
        Self { resolve, free, under_way: Mutex::new(None) }
    }

    /// Looks a name up, or waits for the look-up of it that is under way.
    pub(super) fn look_up(
        &'static self,
        host: &str,
    ) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send + use<> {
        let host = host.to_owned();
        async move {
            let asked = self.asked(&host);
            let mut answer = match asked {
                Some(answer) => answer,
                None => {
                    let closed = |_| io::Error::other("no thread for look-ups");
                    let free = self.free.acquire().await.map_err(closed)?;
                    self.ask(host, free)?
                }
            };
            let found = answer.wait_for(Option::is_some).await;
            // A resolver that panics has told nobody.
            let found = found.ok().and_then(|found| found.clone());
            match found {
                Some(Ok(addresses)) => Ok(addresses),
                Some(Err(error)) => Err(io::Error::new(error.kind(), error)),
                None => Err(io::Error::other("the look-up ended without an answer")),
            }
        }
    }

    fn asked(&self, host: &str) -> Option<watch::Receiver<Option<Found>>> {
        self.lock().as_ref()?.get(host).cloned()
    }

    fn ask(
        &'static self,
        host: String,
        free: SemaphorePermit<'static>,
    ) -> io::Result<watch::Receiver<Option<Found>>> {
        let (tell, answer) = watch::channel(None);
        {
            let mut under_way = self.lock();
            let under_way = under_way.get_or_insert_default();
            // Somebody may have asked while we waited for a thread.
            if let Some(answer) = under_way.get(&host) {
                return Ok(answer.clone());
            }
            under_way.insert(host.clone(), answer.clone());
        }
        let asking = UnderWay { threads: self, host };
        let thread = std::thread::Builder::new().name("look-up".to_owned());
        thread.stack_size(STACK_BYTES).spawn(move || {
            let found = (self.resolve)(&asking.host).map_err(Arc::new);
            drop(asking);
            let _ = tell.send(Some(found));
            drop(free);
        })?;
        Ok(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<String, watch::Receiver<Option<Found>>>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a look-up out of the list, however it ends.
struct UnderWay {
    threads: &'static Threads,
    host: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(under_way) = self.threads.lock().as_mut() {
            under_way.remove(&self.host);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    static HANGING: AtomicUsize = AtomicUsize::new(0);

    /// Hangs for ever where the name says so.
    fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
        if host.starts_with("hangs") {
            HANGING.fetch_add(1, Ordering::SeqCst);
            loop {
                std::thread::park();
            }
        }
        if host == "panics" {
            panic!("a resolver that a test has broken");
        }
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    }

    static THREADS: Threads = Threads::new(resolve);

    #[tokio::test]
    async fn a_name_that_hangs_holds_one_thread_however_often_it_is_asked_for() {
        let soon = Duration::from_millis(20);
        for _ in 0..10 {
            assert!(timeout(soon, THREADS.look_up("hangs")).await.is_err());
        }
        // Others are answered, and what panics leaves nothing behind.
        for name in ["good", "panics", "panics", "good"] {
            let found = THREADS.look_up(name).await;
            assert_eq!(found.is_ok(), name == "good", "{name}");
        }
        // Beyond the limit nobody gets a thread, and nobody waits for longer than they want to.
        for number in 0..THREADS_MAX + 5 {
            let host = format!("hangs{number}");
            drop(timeout(Duration::from_millis(2), THREADS.look_up(&host)).await);
        }
        assert!(timeout(soon, THREADS.look_up("good")).await.is_err());
        assert!(HANGING.load(Ordering::SeqCst) <= THREADS_MAX);
    }
}
