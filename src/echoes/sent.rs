//! The correlation ids that were sent to a bank, and what of an answer is one of them.
//!
//! This file decides how long an id is remembered, and when a text is an id that was sent, or has a
//! part of one in it. It must not know connections, and it keeps hashes, no ids.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::HeaderValue;

/// An id that was sent, without what a bank may change about it: case, and all but letters and
/// digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SentId {
    whole: u64,
    /// Its first and its last [`PART_BYTES`]; 0 where it has fewer.
    parts: [u64; 2],
}

/// A part of an id that is shorter than this can be met by chance.
pub(super) const PART_BYTES: usize = 16;

impl SentId {
    /// The id of a call.
    pub fn of(id: &HeaderValue) -> Self {
        let id = id.as_bytes();
        let parts = if folded(id).nth(PART_BYTES - 1).is_some() {
            let mut last = [0; PART_BYTES];
            last.iter_mut().rev().zip(folded(id).rev()).for_each(|(place, byte)| *place = byte);
            [hash(folded(id).take(PART_BYTES)), hash(last.into_iter())]
        } else {
            [0; 2]
        };
        Self { whole: whole(id), parts }
    }
}

/// What stands in the fields of an answer for its correlation id, and is not the call's own.
#[derive(Debug, Default)]
pub struct Strange {
    wholes: Vec<u64>,
    /// In their order.
    parts: Vec<u64>,
}

/// Of an id in an answer, parts are looked for in so many letters and digits: more than an id has
/// that was sent, by far.
const SEARCHED_BYTES: usize = 1024;

impl Strange {
    /// Of an answer with these ids, to a call with `own`.
    pub(super) fn of<'v>(
        answered: impl Iterator<Item = &'v HeaderValue>,
        own: &HeaderValue,
    ) -> Self {
        let mut strange = Self::default();
        let own_parts: Vec<u64> = parts(own).collect();
        for id in answered.filter(|id| !is_same(id.as_bytes(), own)) {
            let texts = texts(id).filter(|text| !text.is_empty() && !is_same(text, own));
            strange.wholes.extend(texts.map(whole));
            strange.parts.extend(parts(id).filter(|part| !own_parts.contains(part)));
        }
        strange.parts.sort_unstable();
        strange
    }

    /// Whether nothing is strange.
    pub(super) const fn is_nothing(&self) -> bool {
        self.wholes.is_empty()
    }

    /// Whether an id that was sent is in it: as a whole, of whatever length, or a telling part.
    pub fn has(&self, sent: &SentId) -> bool {
        let is_part = |part: &u64| *part != 0 && self.parts.binary_search(part).is_ok();
        self.wholes.contains(&sent.whole) || sent.parts.iter().any(is_part)
    }
}

/// The ids that one worker sent to one bank: those of all calls that are under way, and of the last
/// ones that are over. Others look in where an answer is not plainly the call's own.
#[derive(Debug, Default)]
pub struct SentIds(Mutex<Places>);

/// As many as there were calls at once, and [`KEPT`] more.
#[derive(Debug, Default)]
struct Places {
    ids: Vec<SentId>,
    /// Those of calls that are over, the oldest first.
    over: VecDeque<usize>,
}

/// So many ids of calls that are over are kept. Each connection knows its own besides.
const KEPT: usize = 128;

impl SentIds {
    /// This id is sent. Its place is kept until [`Self::end`].
    pub fn begin(&self, id: SentId) -> usize {
        let mut places = self.places();
        let oldest = if places.over.len() >= KEPT { places.over.pop_front() } else { None };
        if let Some(place) = oldest
            && let Some(kept) = places.ids.get_mut(place)
        {
            *kept = id;
            return place;
        }
        places.ids.push(id);
        places.ids.len() - 1
    }

    /// The call that has this place is over.
    pub fn end(&self, place: usize) {
        self.places().over.push_back(place);
    }

    /// Whether one of them is in an answer.
    pub fn are_in(&self, strange: &Strange) -> bool {
        self.places().ids.iter().any(|sent| strange.has(sent))
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a text is an id, as it was sent or as banks write it.
pub(super) fn is_same(text: &[u8], id: &HeaderValue) -> bool {
    text == id.as_bytes() || folded(text).next().is_some() && folded(text).eq(folded(id.as_bytes()))
}

/// What a field says: all of it, and each member of it as a list.
pub(super) fn texts(id: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let members = id.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    [id.as_bytes()].into_iter().chain(members)
}

/// Letters and digits, in small letters.
pub(super) fn folded(id: &[u8]) -> impl DoubleEndedIterator<Item = u8> {
    let bytes = id.iter().filter(|byte| byte.is_ascii_alphanumeric());
    bytes.map(u8::to_ascii_lowercase)
}

/// An id of signs alone is what it is.
fn whole(id: &[u8]) -> u64 {
    if folded(id).next().is_some() { hash(folded(id)) } else { hash(id.iter().copied()) }
}

/// Every part of an id that is long enough to tell.
fn parts(id: &HeaderValue) -> impl Iterator<Item = u64> {
    let text: Vec<u8> = folded(id.as_bytes()).take(SEARCHED_BYTES).collect();
    let last = (text.len() + 1).saturating_sub(PART_BYTES);
    (0..last).filter_map(move |start| {
        let part = text.get(start..start + PART_BYTES)?;
        Some(hash(part.iter().copied()))
    })
}

/// FNV-1a in 64 bits, and never 0, which stands for nothing.
pub(super) fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.fold(0xcbf2_9ce4_8422_2325, step).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> HeaderValue {
        format!("id{number}").parse().unwrap()
    }

    fn knows(ids: &SentIds, number: usize) -> bool {
        ids.are_in(&Strange::of([&id(number)].into_iter(), &HeaderValue::from_static("own")))
    }

    #[test]
    fn the_ids_of_long_ago_are_forgotten() {
        let ids = SentIds::default();
        for number in 0..=KEPT {
            ids.end(ids.begin(SentId::of(&id(number))));
        }
        assert!(!knows(&ids, 0));
        assert!((1..=KEPT).all(|number| knows(&ids, number)));
    }

    #[test]
    fn the_id_of_a_call_that_is_under_way_is_not_forgotten() {
        let ids = SentIds::default();
        let under_way: Vec<_> = (0..1_000).map(|id_of| ids.begin(SentId::of(&id(id_of)))).collect();
        for number in 1_000..5_000 {
            ids.end(ids.begin(SentId::of(&id(number))));
        }
        assert!((0..1_000).all(|number| knows(&ids, number)));
        assert_eq!(ids.places().ids.len(), 1_000 + KEPT, "and no more is kept");
        under_way.into_iter().for_each(|place| ids.end(place));
        for number in 5_000..6_000 {
            ids.end(ids.begin(SentId::of(&id(number))));
        }
        assert_eq!(ids.places().ids.len(), 1_000 + KEPT);
    }
}
