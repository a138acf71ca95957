//! The estate: listening sockets by name, from an earlier process and for a later one.
//!
//! This file decides who gets which socket. While a copy of one is open somewhere, the kernel lets
//! clients connect to it; so copies are kept only as long as somebody may inherit them. It must not
//! know how sockets travel.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The name of a worker's socket.
pub(super) fn worker_name(address: SocketAddr, worker: usize) -> String {
    format!("{address}#{worker}")
}

/// The name of the admin listener's socket.
pub(super) fn admin_name(address: SocketAddr) -> String {
    format!("{address}#admin")
}

/// The listening sockets of a process, before and after it.
#[derive(Debug, Default)]
pub(crate) struct Estate {
    inherited: Mutex<HashMap<String, TcpListener>>,
    /// None once nobody inherits any more.
    kept: Mutex<Option<Vec<(String, TcpListener)>>>,
    succeeded: AtomicBool,
}

impl Estate {
    /// The estate of a process that inherited these.
    pub(super) fn new(inherited: HashMap<String, TcpListener>) -> Self {
        let (inherited, kept) = (Mutex::new(inherited), Mutex::new(Some(Vec::new())));
        Self { inherited, kept, succeeded: AtomicBool::new(false) }
    }

    /// The socket of that name, if it was inherited; and from now on it is kept.
    pub(super) fn take(&self, name: &str) -> Option<TcpListener> {
        let listener = lock(&self.inherited).remove(name)?;
        self.keep(name, &listener);
        Some(listener)
    }

    /// The sockets of workers beyond those that there are now. Somebody may be waiting in their
    /// queues, so they are served, not closed.
    pub(super) fn take_surplus(&self, address: SocketAddr) -> Vec<TcpListener> {
        let prefix = worker_name(address, 0);
        let prefix = prefix.trim_end_matches('0');
        let ours = |name: &&String| name.strip_prefix(prefix).is_some_and(|rest| rest != "admin");
        let mut names: Vec<_> = lock(&self.inherited).keys().filter(ours).cloned().collect();
        names.sort();
        names.iter().filter_map(|name| self.take(name)).collect()
    }

    /// Keeps a copy for whoever comes next.
    pub(super) fn keep(&self, name: &str, listener: &TcpListener) {
        if let (Some(kept), Ok(copy)) = (&mut *lock(&self.kept), listener.try_clone()) {
            kept.push((name.to_owned(), copy));
        }
    }

    /// Closes what was inherited and is not listened on any more.
    pub(super) fn forget_the_rest(&self) {
        lock(&self.inherited).clear();
    }

    /// Copies of all sockets, for a successor. `out` is set before there is one, and before the
    /// estate can be closed: whoever has closed it knows whether copies are out.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) fn copies(&self, out: &AtomicBool) -> Result<Vec<(String, TcpListener)>, String> {
        let kept = lock(&self.kept);
        let Some(sockets) = kept.as_ref() else {
            return Err("it is draining".to_owned());
        };
        out.store(true, Ordering::Release);
        let copy = |(name, listener): &(String, TcpListener)| {
            listener.try_clone().map(|listener| (name.clone(), listener))
        };
        sockets.iter().map(copy).collect::<Result<_, _>>().map_err(|error| {
            out.store(false, Ordering::Release);
            format!("its sockets can't be copied: {error}")
        })
    }

    /// Notes whether another process serves on these sockets. That one has copies is not enough:
    /// it may still be starting.
    pub(super) fn set_succeeded(&self, succeeded: bool) {
        self.succeeded.store(succeeded, Ordering::Release);
    }

    /// Whether another process serves on these sockets.
    pub(super) fn is_succeeded(&self) -> bool {
        self.succeeded.load(Ordering::Acquire)
    }

    /// Nobody inherits any more: whoever connects from now on has to be refused, not left to wait.
    pub(super) fn close(&self) {
        lock(&self.kept).take();
        self.forget_the_rest();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fewer_workers_do_not_take_is_surplus_and_the_admins_is_not() {
        let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
        let address = "127.0.0.1:80".parse().unwrap();
        let mut names: Vec<_> = (0..11).map(|worker| worker_name(address, worker)).collect();
        names.extend([admin_name(address), "127.0.0.1:8080#0".to_owned()]);
        let estate = Estate::new(names.iter().map(|name| (name.clone(), listener())).collect());
        assert!(estate.take("127.0.0.1:80#0").is_some());
        assert_eq!(estate.take_surplus(address).len(), 10);
        assert!(estate.take("127.0.0.1:80#1").is_none());
        assert!(estate.take("127.0.0.1:80#admin").is_some());
        let out = AtomicBool::new(false);
        assert_eq!(estate.copies(&out).unwrap().len(), 12);
        assert!(out.into_inner());
    }

    #[test]
    fn what_is_closed_gives_no_copies_and_says_that_none_are_out() {
        let (estate, out) = (Estate::default(), AtomicBool::new(false));
        estate.close();
        assert_eq!(estate.copies(&out).unwrap_err(), "it is draining");
        assert!(!out.into_inner());
    }
}
