//! One change of what is remembered, as bytes of a fixed length.
//!
//! This file decides the bytes. It must not know where they are kept.

use super::Memory;
use super::book::{Entry, Hash};

/// A record's length. A fixed one, so that a broken record hides no other.
pub const RECORD_BYTES: usize = 64;
const KEEP: u64 = 0x636f_7267_7401_0001;
const FORGET: u64 = 0x636f_7267_7401_0002;
const BEGUN: u64 = 0x636f_7267_7401_0003;

/// A change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// This is remembered.
    Keep(Hash, Entry),
    /// This is not, any more.
    Forget(Hash),
    /// Since this moment, in Unix milliseconds, nothing is missing.
    Begun(u64),
}

impl Record {
    /// The bytes, sealed with the memory's key.
    pub fn to_bytes(&self, memory: &Memory) -> [u8; RECORD_BYTES] {
        let words = match *self {
            Self::Keep([high, low], Entry { owner, ends, name, consent }) => {
                [KEEP, high, low, owner, ends, name, consent]
            }
            Self::Forget([high, low]) => [FORGET, high, low, 0, 0, 0, 0],
            Self::Begun(at) => [BEGUN, at, 0, 0, 0, 0, 0],
        };
        let mut bytes = [0; RECORD_BYTES];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        let (text, seal) = bytes.split_at_mut(RECORD_BYTES - 8);
        seal.copy_from_slice(&memory.seal(text).to_be_bytes());
        bytes
    }

    /// Reads a record; none where it is not as it was written with this key.
    pub fn read(bytes: &[u8; RECORD_BYTES], memory: &Memory) -> Option<Self> {
        let (text, seal) = bytes.split_at(RECORD_BYTES - 8);
        if memory.seal(text).to_be_bytes() != *seal {
            return None;
        }
        let mut words = text.chunks_exact(8).map(|word| word.try_into().map(u64::from_be_bytes));
        let mut word = || words.next()?.ok();
        let (kind, hash) = (word()?, [word()?, word()?]);
        let entry = Entry { owner: word()?, ends: word()?, name: word()?, consent: word()? };
        match kind {
            KEEP => Some(Self::Keep(hash, entry)),
            FORGET => Some(Self::Forget(hash)),
            BEGUN => Some(Self::Begun(hash[0])),
            _ => None,
        }
    }
}
