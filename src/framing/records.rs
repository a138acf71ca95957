//! Where the records of a TLS connection end.
//!
//! This file decides whether what came so far is whole records (RFC 8446 section 5.1): a part of
//! one shows in nothing that was decrypted, and would be the beginning of the next answer. It must
//! not know what is in a record.

/// Bytes of a record's head; the last two are the length of what follows.
const HEAD_BYTES: usize = 5;

/// Follows the bytes of one direction, in pieces of any size.
#[derive(Debug, Default)]
pub struct Records {
    /// What came of a head that is not whole.
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// What is to come of the record.
    left: usize,
}

impl Records {
    /// Whether the next byte is a record's first.
    pub const fn are_whole(&self) -> bool {
        self.head_bytes == 0 && self.left == 0
    }

    /// These bytes came. The usual answer is one record in one piece, and is seen at once.
    pub fn follow(&mut self, bytes: &[u8]) {
        if self.are_whole()
            && let [_, _, _, high, low, body @ ..] = bytes
            && body.len() == usize::from(u16::from_be_bytes([*high, *low]))
        {
            return;
        }
        self.follow_pieces(bytes);
    }

    #[cold]
    fn follow_pieces(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wanted = if self.left > 0 { self.left } else { HEAD_BYTES - self.head_bytes };
            let (piece, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if self.left > 0 {
                self.left -= piece.len();
                continue;
            }
            for byte in piece {
                if let Some(place) = self.head.get_mut(self.head_bytes) {
                    *place = *byte;
                    self.head_bytes += 1;
                }
            }
            if self.head_bytes == HEAD_BYTES {
                let [.., high, low] = self.head;
                self.left = usize::from(u16::from_be_bytes([high, low]));
                self.head_bytes = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(length: u16) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        [&[23, 3, 3, high, low][..], &vec![7; length.into()]].concat()
    }

    #[test]
    fn a_part_of_a_record_is_not_whole() {
        for length in [0, 1, 300] {
            let record = record(length);
            for cut in 0..=record.len() {
                let mut records = Records::default();
                records.follow(&record[..cut]);
                assert_eq!(records.are_whole(), cut == 0 || cut == record.len(), "{length} {cut}");
                records.follow(&record[cut..]);
                assert!(records.are_whole(), "{length} {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_changes_nothing(
            lengths in proptest::collection::vec(0_u16..40, 0..6),
            cuts in proptest::collection::vec(1_usize..30, 0..20),
            surplus in 0_usize..5,
        ) {
            let mut bytes = lengths.into_iter().flat_map(record).collect::<Vec<_>>();
            bytes.extend(std::iter::repeat_n(23, surplus));
            let mut records = Records::default();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (piece, later) = rest.split_at(cut.min(rest.len()));
                records.follow(piece);
                rest = later;
            }
            records.follow(rest);
            prop_assert_eq!(records.are_whole(), surplus == 0);
        }
    }
}
