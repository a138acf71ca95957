//! Which answers are kept, until when, and for whom.
//!
//! This file decides how many there may be: all together, of one client, and in bytes. One client
//! can't take all the room. It must not know what an answer is.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::conversation::FlightKey;
use crate::ids::ClientId;

/// Most answers that are kept at once.
pub(super) const KEPT_MAX: usize = 10_000;
/// Most of them for one client.
pub(super) const KEPT_OF_CLIENT_MAX: usize = 2_500;
/// Most bytes of all of them.
pub(super) const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most bytes of one.
pub(super) const KEPT_BYTES_EACH_MAX: usize = 256 * 1024;

/// What is noted of one kept answer.
#[derive(Debug)]
pub(super) struct Slip {
    pub(super) key: FlightKey,
    pub(super) until: Instant,
    pub(super) client: ClientId,
    pub(super) bytes: usize,
}

/// All slips, by number and by their end.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    slips: HashMap<u64, Slip>,
    by_end: BTreeMap<(Instant, u64), FlightKey>,
    by_client: HashMap<ClientId, usize>,
    bytes: usize,
}

impl Shelf {
    /// Notes an answer; false where there is no room.
    pub(super) fn put(&mut self, number: u64, slip: Slip) -> bool {
        let of_client = self.by_client.get(&slip.client).copied().unwrap_or_default();
        let full = self.slips.len() >= KEPT_MAX
            || of_client >= KEPT_OF_CLIENT_MAX
            || slip.bytes > KEPT_BYTES_EACH_MAX
            || self.bytes + slip.bytes > KEPT_BYTES_MAX;
        if full {
            return false;
        }
        self.by_client.insert(slip.client.clone(), of_client + 1);
        self.bytes += slip.bytes;
        self.by_end.insert((slip.until, number), slip.key);
        self.slips.insert(number, slip);
        true
    }

    /// Takes one out, if it is there.
    pub(super) fn take(&mut self, number: u64) {
        let Some(slip) = self.slips.remove(&number) else { return };
        self.by_end.remove(&(slip.until, number));
        self.bytes -= slip.bytes;
        if let Some(count) = self.by_client.get_mut(&slip.client) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&slip.client);
            }
        }
    }

    /// One whose time is over.
    pub(super) fn first_ended(&self, now: Instant) -> Option<(FlightKey, u64)> {
        let ((until, number), key) = self.by_end.first_key_value()?;
        (*until <= now).then_some((*key, *number))
    }

    /// How many there are, and how many bytes.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.slips.len(), self.bytes)
    }
}

/// A copy that is overwritten when the last who holds it lets go.
pub(super) fn wiped(body: &Bytes) -> Bytes {
    Bytes::from_owner(Zeroizing::new(body.to_vec()))
}
