//! Which bytes of a TLS 1.3 server's handshake messages are a session ticket that is not taken.
//!
//! A ticket has up to 64 KiB, and a TLS library that puts a message together before it reads it
//! has its own limit below that; a ticket is never needed (RFC 8446 section 4.6.1). This file
//! decides that one which does not stand whole in one record is passed over, without being kept.
//! It must not know how a record is protected.

use std::ops::Range;

/// Follows the handshake messages of one direction, in the records that they stand in.
#[derive(Debug, Default)]
pub struct Tickets {
    /// What came of a message's head that is not whole: its kind, and its length in three bytes.
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// What is to come of the message.
    left: usize,
    /// Whether the message is passed over.
    passes_over: bool,
}

/// Kind and length.
const HEAD_BYTES: usize = 4;
/// `new_session_ticket` (RFC 8446 section 4).
const NEW_SESSION_TICKET: u8 = 4;

impl Tickets {
    /// Whether the last message so far is one that is passed over, and not yet over.
    pub const fn are_cut(&self) -> bool {
        self.passes_over && (self.left > 0 || self.head_bytes > 0)
    }

    /// The next record of handshake messages came. What is to be read of it is all in one piece: a
    /// ticket that is passed over begins in another record, or ends in another.
    pub fn follow(&mut self, record: &[u8]) -> Range<usize> {
        let (mut start, mut at) = (0, 0);
        let mut end = 0;
        while at < record.len() {
            let rest = record.get(at..).unwrap_or_default();
            if self.left == 0 && self.head_bytes == 0 {
                self.passes_over = is_cut_ticket(rest);
            }
            at += self.take(rest);
            if self.passes_over {
                // Where nothing was read before it, what is read begins behind it.
                start = if end == start { at } else { start };
                end = end.max(start);
            } else {
                end = at;
            }
        }
        start..end
    }

    /// Takes a part of a message: of its head, or of the rest.
    fn take(&mut self, rest: &[u8]) -> usize {
        if self.left > 0 {
            let taken = self.left.min(rest.len());
            self.left -= taken;
            return taken;
        }
        let mut taken = 0;
        for byte in rest {
            let Some(place) = self.head.get_mut(self.head_bytes) else { break };
            *place = *byte;
            self.head_bytes += 1;
            taken += 1;
        }
        if self.head_bytes == HEAD_BYTES {
            self.left = length(self.head);
            self.head_bytes = 0;
        }
        taken
    }
}

/// Whether a ticket begins here that ends in another record.
fn is_cut_ticket(rest: &[u8]) -> bool {
    let is_ticket = rest.first() == Some(&NEW_SESSION_TICKET);
    let whole = rest.split_first_chunk().is_some_and(|(head, body)| body.len() >= length(*head));
    is_ticket && !whole
}

fn length([_, high, middle, low]: [u8; HEAD_BYTES]) -> usize {
    u32::from_be_bytes([0, high, middle, low]) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u8, length: u16) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        [&[kind, 0, high, low][..], &vec![kind; length.into()]].concat()
    }

    /// What is read of messages that come in records.
    fn read(tickets: &mut Tickets, records: &[Vec<u8>]) -> Vec<u8> {
        records.iter().flat_map(|record| record[tickets.follow(record)].to_vec()).collect()
    }

    #[test]
    fn a_ticket_in_one_record_is_read_and_a_cut_one_is_not() {
        let ticket = message(4, 300);
        assert_eq!(read(&mut Tickets::default(), std::slice::from_ref(&ticket)), ticket);
        for cut in 1..ticket.len() {
            let mut tickets = Tickets::default();
            assert_eq!(read(&mut tickets, &[ticket[..cut].to_vec()]), b"", "{cut}");
            assert!(tickets.are_cut(), "{cut}");
            assert_eq!(read(&mut tickets, &[ticket[cut..].to_vec()]), b"", "{cut}");
            assert!(!tickets.are_cut(), "{cut}");
        }
    }

    #[test]
    fn what_stands_between_two_cut_tickets_is_read() {
        let (ticket, other) = (message(4, 50), message(24, 1));
        let between = [&ticket[10..], &other, &ticket[..20]].concat();
        let records = [ticket[..10].to_vec(), between, ticket[20..].to_vec(), other.clone()];
        let both = [&other[..], &other].concat();
        assert_eq!(read(&mut Tickets::default(), &records), both);
    }

    proptest! {
        #[test]
        fn all_but_cut_tickets_is_read_however_the_messages_are_cut(
            messages in proptest::collection::vec((3_u8..6, 0_u16..40), 0..8),
            cuts in proptest::collection::vec(1_usize..30, 0..20),
        ) {
            let (mut bytes, mut spans) = (Vec::new(), Vec::new());
            for (kind, length) in messages {
                let message = message(kind, length);
                spans.push((kind, bytes.len()..bytes.len() + message.len()));
                bytes.extend(message);
            }
            let (mut records, mut ends, mut from) = (Vec::new(), Vec::new(), 0);
            for cut in cuts.into_iter().chain([bytes.len()]) {
                let to = (from + cut).min(bytes.len());
                records.push(bytes[from..to].to_vec());
                ends.push(to);
                from = to;
            }
            let is_cut = |span: &Range<usize>| {
                ends.iter().any(|end| span.start < *end && *end < span.end)
            };
            let wanted: Vec<u8> = spans
                .iter()
                .filter(|(kind, span)| *kind != 4 || !is_cut(span))
                .flat_map(|(_, span)| bytes[span.clone()].to_vec())
                .collect();
            let mut tickets = Tickets::default();
            prop_assert_eq!(read(&mut tickets, &records), wanted);
            prop_assert!(!tickets.are_cut());
        }
    }
}
