//! Names of banks, looked up for all workers: who is asked, how often, and what is believed.
//!
//! This file decides that an answer is good for as long as the table says, that the last good one
//! is kept while name servers fail, and that nobody's thread waits for one. Which addresses may be
//! called is the dialler's to decide.

mod threads;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use self::threads::Threads;
use super::local_failure::{is_local, is_without_sockets};
use crate::deadline::later;
use crate::fault::{Fault, Name};

/// What a look-up gives.
pub type LookUp = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Whoever knows the addresses of names.
pub trait Names: fmt::Debug + Send + Sync {
    /// Looks a name up. It must not block: the future is polled on a worker.
    fn look_up(&self, host: &str) -> LookUp;
}

/// The system's own resolver (getaddrinfo), on threads of its own: so many and no more, and one for
/// a name, because nobody can end one that hangs.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNames;

impl Names for SystemNames {
    fn look_up(&self, host: &str) -> LookUp {
        Box::pin(SYSTEM.look_up(host))
    }
}

/// The process has one resolver.
static SYSTEM: Threads = Threads::new(getaddrinfo);

fn getaddrinfo(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Longest look-up; one that takes longer has failed.
const LOOK_UP_MAX: Duration = Duration::from_secs(10);
/// So soon after a failure the same name is not looked up again.
const FAILURE_REST: Duration = Duration::from_millis(500);
/// A name that nobody asked for so long is forgotten.
const UNUSED_MAX: Duration = Duration::from_secs(86_400);
/// More than a table of the largest size has in use.
const NAMES_MANY: usize = 100_000;
/// A name that nobody asked for so long is forgotten where there are more.
const UNUSED_MAX_OF_MANY: Duration = Duration::from_secs(300);

/// What is known of all names, shared by all workers.
#[derive(Debug)]
pub(super) struct Book {
    names: Arc<dyn Names>,
    pages: DashMap<Name, Arc<Page>>,
}

#[derive(Debug)]
struct Page {
    known: Mutex<Known>,
    changed: Notify,
}

#[derive(Debug)]
struct Known {
    /// The last good answer.
    addresses: Option<Arc<[IpAddr]>>,
    /// When it came.
    good_since: Instant,
    /// When a look-up last failed.
    failed_at: Option<Instant>,
    /// Whether it failed because the hub itself could not ask.
    failed_locally: bool,
    /// Whether one is under way.
    asking: bool,
    /// When the last one began.
    asked_at: Instant,
    used: Instant,
}

/// A look-up under way. Its end is told also when it is dropped with its worker.
struct Asking(Arc<Page>);

impl Book {
    pub(super) fn new(names: Arc<dyn Names>) -> Self {
        Self { names, pages: DashMap::new() }
    }

    /// The addresses of a name, no older than `every`. Where a new answer does not come within
    /// `wait`, or is a failure, the last good one.
    ///
    /// # Errors
    /// [`Fault::DnsFailed`] where there never was a good one; [`Fault::LocalFailure`] where the hub
    /// could not even ask.
    pub(super) async fn resolve(
        &self,
        host: &Name,
        every: Duration,
        wait: Duration,
    ) -> Result<Arc<[IpAddr]>, Fault> {
        let page = self.page(host);
        loop {
            let mut changed = std::pin::pin!(page.changed.notified());
            // From here on a change is not missed, whenever the await below begins.
            changed.as_mut().enable();
            if self.ask_if_old(host, &page, every) {
                let known = page.lock();
                let fault =
                    if known.failed_locally { Fault::LocalFailure } else { Fault::DnsFailed };
                return known.addresses.clone().ok_or(fault);
            }
            let (last_good, asked_at) = {
                let known = page.lock();
                (known.addresses.clone(), known.asked_at)
            };
            match last_good {
                None => changed.await,
                Some(last_good) => {
                    // Counted from the question: who comes later waits for it the less.
                    if timeout_at(later(asked_at, wait), changed).await.is_err() {
                        return Ok(last_good);
                    }
                }
            }
        }
    }

    /// The last good answer, if there is one; asks for a new one where it is older than `every`.
    pub(super) fn known(&self, host: &Name, every: Duration) -> Option<Arc<[IpAddr]>> {
        let page = self.page(host);
        self.ask_if_old(host, &page, every);
        page.lock().addresses.clone()
    }

    /// Forgets what nobody has asked for in a long time; where there are very many names, as of
    /// entries that come and go, in a short one.
    pub(super) fn forget_unused(&self) {
        let now = Instant::now();
        let most = if self.pages.len() > NAMES_MANY { UNUSED_MAX_OF_MANY } else { UNUSED_MAX };
        self.pages.retain(|_, page| now.saturating_duration_since(page.lock().used) < most);
    }

    /// Whether what is known will do; if not, a look-up is under way when this returns.
    fn ask_if_old(&self, host: &Name, page: &Arc<Page>, every: Duration) -> bool {
        let now = Instant::now();
        let mut known = page.lock();
        known.used = now;
        let age = now.saturating_duration_since(known.good_since);
        let fresh = known.addresses.is_some() && age < every;
        let rests = known.failed_at.is_some_and(|at| now < at + FAILURE_REST);
        if fresh || (rests && !known.asking) {
            return true;
        }
        if !known.asking {
            (known.asking, known.asked_at) = (true, now);
            drop(known);
            let (asking, looking) = (Asking(page.clone()), self.names.look_up(host));
            let host = host.clone();
            tokio::task::spawn_local(async move {
                let found = timeout(LOOK_UP_MAX, looking).await;
                asking.learn(&host, found.unwrap_or_else(|late| Err(late.into())));
            });
        }
        false
    }

    fn page(&self, host: &Name) -> Arc<Page> {
        if let Some(page) = self.pages.get(host) {
            return page.clone();
        }
        self.pages.entry(host.clone()).or_insert_with(Page::new).clone()
    }
}

impl Page {
    fn new() -> Arc<Self> {
        let now = Instant::now();
        let known = Known {
            addresses: None,
            good_since: now,
            failed_at: None,
            failed_locally: false,
            asking: false,
            asked_at: now,
            used: now,
        };
        Arc::new(Self { known: Mutex::new(known), changed: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Plain values: a panic elsewhere can't leave them half written.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asking {
    fn learn(&self, host: &str, found: io::Result<Vec<IpAddr>>) {
        let now = Instant::now();
        let mut known = self.0.lock();
        match found {
            Ok(mut addresses) if !addresses.is_empty() => {
                let mut seen = std::collections::HashSet::new();
                addresses.retain(|address| seen.insert(*address));
                known.addresses = Some(addresses.into());
                (known.good_since, known.failed_at) = (now, None);
            }
            failed => {
                known.failed_at = Some(now);
                known.failed_locally = failed.as_ref().is_err_and(is_local) || is_without_sockets();
                let kept = known.addresses.is_some();
                let error = failed.err().map(|error| error.to_string());
                let error = error.as_deref().unwrap_or("no address");
                tracing::warn!(host, error, kept_the_last_answer = kept, "a name does not resolve");
            }
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.lock().asking = false;
        self.0.changed.notify_waiters();
    }
}
