//! How many calls one bank has at once, and how the clients share these places.
//!
//! This file decides that no client can hold all of them while there are others: one that holds
//! some gets another only while enough stay free for the rest, as a switch shares its buffers among
//! ports (the dynamic thresholds of Choudhury and Hahne). Nobody waits: a full bank sheds. A call
//! holds its place until the bank's part is over, also when its caller has left. It must not know
//! what a call is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::ClientKey;

/// A client may hold so many times what stays free: three quarters of all places where it calls
/// alone, and the last one never where it holds any.
const SHARE_OF_FREE: u32 = 3;

/// Whether a client that holds so many gets one more, where `left` stay free for the others then.
pub const fn may_have_more(held: u32, left: u32) -> bool {
    held == 0 || held < left.saturating_mul(SHARE_OF_FREE)
}

/// One bank's places.
#[derive(Debug, Clone)]
pub struct ConcurrencyLimit {
    /// Shared with the entries before: their calls are at the same bank.
    shared: Arc<Shared>,
    calls_max: u32,
}

#[derive(Debug, Default)]
struct Shared {
    /// Whether the table has more than one client.
    several_clients: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: u32,
    /// Only of clients that hold some: never more than there are places.
    held: HashMap<ClientKey, u32, foldhash::fast::RandomState>,
}

/// One taken place; given back when dropped.
#[derive(Debug)]
pub struct ConcurrencyPermit {
    shared: Arc<Shared>,
    client: ClientKey,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All,
    /// The client holds its share; what is free is for others.
    Share,
}

impl Full {
    /// The text for the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all places are taken",
            Self::Share => "the client's share of the places is taken",
        }
    }
}

impl ConcurrencyLimit {
    /// So many places, all of them free.
    pub fn new(calls_max: u32) -> Self {
        Self { shared: Arc::default(), calls_max }
    }

    /// As many as `calls_max` now; those that are taken stay so, also where they are more.
    pub fn resized(&self, calls_max: u32) -> Self {
        Self { shared: self.shared.clone(), calls_max }
    }

    /// Whether there is anybody to share with: the only client of a table may have all places.
    pub fn set_several_clients(&self, several: bool) {
        self.shared.several_clients.store(several, Ordering::Relaxed);
    }

    /// Whether there is.
    pub fn has_several_clients(&self) -> bool {
        self.shared.several_clients.load(Ordering::Relaxed)
    }

    /// Takes one for a client.
    ///
    /// # Errors
    /// [`Full`] where none is free, or none for this client.
    pub fn acquire(&self, client: ClientKey) -> Result<ConcurrencyPermit, Full> {
        let several = self.has_several_clients();
        let mut state = self.shared.lock();
        let left = self.calls_max.checked_sub(state.taken.saturating_add(1)).ok_or(Full::All)?;
        let held = state.held.entry(client).or_default();
        if several && !may_have_more(*held, left) {
            return Err(Full::Share);
        }
        *held += 1;
        state.taken += 1;
        Ok(ConcurrencyPermit { shared: self.shared.clone(), client })
    }

    /// How many are taken.
    pub fn taken(&self) -> u32 {
        self.shared.lock().taken
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain values: a panic elsewhere can't leave them half written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.taken = state.taken.saturating_sub(1);
        if let Some(held) = state.held.get_mut(&self.client) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                state.held.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ClientId;

    fn client(number: u32) -> ClientKey {
        ClientId::parse(&format!("C{number}")).unwrap().key()
    }

    fn shared(calls_max: u32) -> ConcurrencyLimit {
        let limit = ConcurrencyLimit::new(calls_max);
        limit.set_several_clients(true);
        limit
    }

    /// Takes as many as there are for this client.
    fn take_all(limit: &ConcurrencyLimit, number: u32) -> Vec<ConcurrencyPermit> {
        std::iter::from_fn(|| limit.acquire(client(number)).ok()).collect()
    }

    #[test]
    fn one_client_never_holds_the_last_place_while_there_are_others() {
        for calls_max in 2..200 {
            let limit = shared(calls_max);
            let held = take_all(&limit, 1);
            assert!(held.len() < calls_max as usize, "{calls_max}");
            assert!(held.len() as u32 >= calls_max * 3 / 4 - 1, "{calls_max}: {}", held.len());
            assert_eq!(limit.acquire(client(1)).unwrap_err(), Full::Share);
            limit.acquire(client(2)).unwrap();
        }
        assert_eq!(take_all(&shared(1), 1).len(), 1);
    }

    #[test]
    fn a_hundred_greedy_clients_leave_room_for_the_next_until_each_has_one() {
        let limit = shared(64);
        let held: Vec<_> = (0..64).map(|number| take_all(&limit, number)).collect();
        let counts: Vec<_> = held.iter().map(Vec::len).collect();
        assert_eq!(counts[..5], [48, 12, 3, 1, 0]);
        assert_eq!(limit.acquire(client(99)).unwrap_err(), Full::All);
    }

    #[test]
    fn what_one_gives_back_goes_to_the_others_first() {
        let limit = shared(8);
        let mut first = take_all(&limit, 1);
        let second = take_all(&limit, 2);
        assert_eq!((first.len(), second.len()), (6, 1));
        first.pop();
        assert_eq!(limit.acquire(client(1)).unwrap_err(), Full::Share, "it holds 5 of 8");
        let more = limit.acquire(client(2)).unwrap();
        drop((first, second, more));
        assert_eq!(limit.taken(), 0);
        assert!(limit.shared.lock().held.is_empty(), "nothing is kept of who holds nothing");
    }

    #[test]
    fn the_only_client_of_a_table_may_have_all() {
        let limit = ConcurrencyLimit::new(4);
        let held = take_all(&limit, 1);
        assert_eq!(held.len(), 4);
        assert_eq!(limit.acquire(client(1)).unwrap_err(), Full::All);
        limit.set_several_clients(true);
        drop(held);
        assert_eq!(take_all(&limit, 1).len(), 3);
    }
}
