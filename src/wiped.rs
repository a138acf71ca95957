//! Octets that are overwritten before their memory is given back.
//!
//! The bodies of calls have codes, tokens and names of people in them, and what is freed stays in
//! memory until somebody else writes there. This file decides how octets of our own are
//! overwritten: by one fill that the compiler must not leave out. The volatile writes of
//! `Zeroizing`, one for each octet, would cost a call thousands of instructions. It must not know
//! what the octets are.

use std::fmt;
use std::ops::Deref;

use bytes::{Bytes, BytesMut};

/// Overwrites octets.
pub fn wipe(octets: &mut [u8]) {
    octets.fill(0);
    zeroize::optimization_barrier(octets);
}

/// Octets that are overwritten when they are dropped, and wherever they move to when they grow.
#[derive(Default)]
pub struct Wiped(Vec<u8>);

impl Wiped {
    /// None, with room for so many.
    pub fn with_capacity(octets: usize) -> Self {
        Self(Vec::with_capacity(octets))
    }

    /// Makes room for so many more; what lies elsewhere then is overwritten there.
    pub fn reserve(&mut self, more: usize) {
        if self.0.capacity() - self.0.len() < more {
            self.move_over(more);
        }
    }

    #[cold]
    fn move_over(&mut self, more: usize) {
        let room = (self.0.len() + more).max(2 * self.0.capacity());
        let mut moved = Self::with_capacity(room);
        moved.0.extend_from_slice(&self.0);
        *self = moved;
    }

    /// Adds octets.
    pub fn extend(&mut self, octets: &[u8]) {
        self.reserve(octets.len());
        self.0.extend_from_slice(octets);
    }

    /// Adds octets to what will have `whole` in the end: it grows twofold, and to no more
    /// room than that.
    pub fn extend_towards(&mut self, octets: &[u8], whole: usize) {
        let wanted = self.0.len() + octets.len();
        if self.0.capacity() < wanted {
            let mut moved = Self::with_capacity(whole.min(2 * wanted).max(wanted));
            moved.0.extend_from_slice(&self.0);
            *self = moved;
        }
        self.0.extend_from_slice(octets);
    }

    /// Adds a text as JSON writes it.
    pub fn extend_json(&mut self, text: &str) {
        // An octet becomes six at most, `\u0000`.
        self.reserve(6 * text.len() + 2);
        // To write a text to a Vec can't fail.
        let _ = serde_json::to_writer(&mut self.0, text);
    }

    /// Adds one octet.
    pub fn push(&mut self, octet: u8) {
        self.reserve(1);
        self.0.push(octet);
    }

    /// What a buffer has, which is overwritten there.
    pub fn take(from: &mut BytesMut) -> Self {
        let taken = Self(from.to_vec());
        wipe(from);
        taken
    }

    /// The text of these octets, which nobody overwrites any more.
    ///
    /// # Errors
    /// They are not UTF-8.
    pub fn into_text(mut self) -> Result<String, std::str::Utf8Error> {
        std::str::from_utf8(&self.0)?;
        // Looked at already: this takes the memory over.
        String::from_utf8(std::mem::take(&mut self.0)).map_err(|error| error.utf8_error())
    }
}

/// Makes room in a buffer for so many octets more; what lies elsewhere then is overwritten there.
pub fn grow(buffer: &mut BytesMut, more: usize) {
    if buffer.capacity() - buffer.len() < more {
        let mut moved = BytesMut::with_capacity(buffer.len() + more);
        moved.extend_from_slice(buffer);
        wipe(&mut std::mem::replace(buffer, moved));
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for Wiped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Wiped {
    fn from(octets: Vec<u8>) -> Self {
        Self(octets)
    }
}

impl From<Wiped> for Bytes {
    fn from(octets: Wiped) -> Self {
        if octets.is_empty() { Self::new() } else { Self::from_owner(octets) }
    }
}

/// How many there are.
impl fmt::Debug for Wiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wiped").field("octets", &self.0.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_overwritten_where_they_lie() {
        let mut octets = *b"a secret";
        wipe(&mut octets);
        assert_eq!(octets, [0; 8]);
    }

    #[test]
    fn what_is_taken_out_of_a_buffer_does_not_stay_there() {
        let mut buffer = BytesMut::from(&b"secret"[..]);
        assert_eq!(&*Wiped::take(&mut buffer), b"secret");
        assert_eq!(&buffer[..], [0; 6]);
    }

    #[test]
    fn what_has_a_known_end_takes_no_more_room_than_that() {
        let mut form = Wiped::default();
        for _ in 0..64 {
            form.extend_towards(&[b'a'; 1024], 64 * 1024);
        }
        assert_eq!((form.len(), form.0.capacity()), (64 * 1024, 64 * 1024));
        form.extend_towards(b"beyond", 64 * 1024);
        assert!(form.ends_with(b"abeyond"));
    }

    #[test]
    fn a_buffer_grows_with_what_it_has() {
        let mut buffer = BytesMut::from(&b"secret"[..]);
        grow(&mut buffer, 10_000);
        assert_eq!(&buffer[..], b"secret");
        assert!(buffer.capacity() >= 10_006);
        let mut wiped = Wiped::default();
        for piece in [&b"a"[..], b"bc", &[b'd'; 1000]] {
            wiped.extend(piece);
        }
        wiped.extend_json("\"\u{1}ä");
        assert!(wiped.starts_with(b"abcd") && wiped.ends_with("\"\\\"\\u0001ä\"".as_bytes()));
        assert_eq!(format!("{wiped:?}"), format!("Wiped {{ octets: {}, .. }}", wiped.len()));
        let bytes = Bytes::from(wiped);
        assert!(bytes.starts_with(b"abcd"));
    }
}
