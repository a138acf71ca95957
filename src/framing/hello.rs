//! A ClientHello, recognised before anybody reads it (RFC 8446 sections 4 and 5.1).
//!
//! This file decides when the first message of a TLS client is whole, by nothing but its lengths.
//! It must not know sockets, nor what the message says.

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hello {
    /// There is more to come.
    Partial,
    /// It is whole, or it is no ClientHello, which TLS itself refuses best.
    Whole,
    /// It is larger than any honest one.
    TooLarge,
}

/// The largest ClientHello that is waited for, in bytes: one with post-quantum keys is below 2 KiB,
/// and a ticket may be large.
pub const HELLO_BYTES_MAX: usize = 16 * 1024;

/// Looks at the first bytes of a connection. The message may stand in several records.
pub fn client_hello(bytes: &[u8]) -> Hello {
    let mut rest = bytes;
    let (mut head, mut have) = ([0_u8; MESSAGE_HEAD], 0_usize);
    while let Some((record, body)) = rest.split_first_chunk::<RECORD_HEAD>() {
        let [kind, major, _, high, low] = *record;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let is_record = KINDS.contains(&kind) && major == 3 && length <= RECORD_BYTES_MAX;
        if !is_record || length == 0 {
            return Hello::Whole;
        }
        let body = body.get(..length).unwrap_or(body);
        // TLS looks at no record before its last byte: to hand it a part would let it wait.
        let is_whole = body.len() == length;
        if kind != HANDSHAKE {
            return if is_whole { Hello::Whole } else { cut(bytes) };
        }
        head.iter_mut().skip(have).zip(body).for_each(|(to, from)| *to = *from);
        have += body.len();
        if have >= MESSAGE_HEAD {
            let [kind, a, b, c] = head;
            let needed = MESSAGE_HEAD + u32::from_be_bytes([0, a, b, c]) as usize;
            if kind == CLIENT_HELLO && needed > HELLO_BYTES_MAX {
                return Hello::TooLarge;
            }
            if is_whole && (kind != CLIENT_HELLO || have >= needed) {
                return Hello::Whole;
            }
        }
        rest = rest.get(RECORD_HEAD + length..).unwrap_or_default();
    }
    match rest.first() {
        // No TLS at all: nothing more has to come to see that.
        Some(kind) if !KINDS.contains(kind) => Hello::Whole,
        Some(_) | None => cut(bytes),
    }
}

fn cut(bytes: &[u8]) -> Hello {
    if bytes.len() >= HELLO_BYTES_MAX { Hello::TooLarge } else { Hello::Partial }
}

const RECORD_HEAD: usize = 5;
const MESSAGE_HEAD: usize = 4;
/// The kinds of records that there are (RFC 8446 section 5.1, RFC 6520).
const KINDS: std::ops::RangeInclusive<u8> = 20..=24;
/// The largest one: 2^14 bytes, and what encryption may add.
const RECORD_BYTES_MAX: usize = 16 * 1024 + 2048;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello of so many bytes, in records of at most `piece`.
    fn hello(bytes: usize, piece: usize) -> Vec<u8> {
        let length = u32::try_from(bytes).unwrap().to_be_bytes();
        let message = [&[CLIENT_HELLO], &length[1..], &vec![7; bytes]].concat();
        let record = |piece: &[u8]| {
            let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
            [&[HANDSHAKE, 3, 1], &length[..], piece].concat()
        };
        message.chunks(piece).flat_map(record).collect()
    }

    #[test]
    fn a_hello_is_whole_with_its_last_byte_however_it_is_cut_into_records() {
        for piece in [1, 3, 4, 100, 517, 16_000] {
            let bytes = hello(517, piece);
            for cut in 0..bytes.len() {
                assert_eq!(client_hello(&bytes[..cut]), Hello::Partial, "{piece} {cut}");
            }
            assert_eq!(client_hello(&bytes), Hello::Whole, "{piece}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_verdict_stands_whatever_comes_behind_it(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            tls in proptest::prelude::any::<bool>(),
        ) {
            let start: &[u8] = if tls { &[HANDSHAKE, 3, 1, 0, 4, CLIENT_HELLO, 0] } else { &[] };
            let bytes = [start, &bytes].concat();
            let mut seen = Hello::Partial;
            for cut in 0..=bytes.len() {
                let now = client_hello(&bytes[..cut]);
                proptest::prop_assert!(seen == Hello::Partial || seen == now, "{cut}");
                seen = now;
            }
        }
    }

    #[test]
    fn what_is_no_hello_is_left_to_tls() {
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], &[21, 3, 1, 0, 2, 1, 0], &[22, 2, 0, 0, 1]] {
            assert_eq!(client_hello(bytes), Hello::Whole, "{bytes:?}");
        }
        assert_eq!(client_hello(&[22, 3, 1, 0, 0]), Hello::Whole);
        assert_eq!(client_hello(&[22, 3, 1, 0, 4, 2, 0, 0, 9]), Hello::Whole);
    }

    #[test]
    fn a_record_that_is_cut_is_no_whole_hello_whatever_is_in_it() {
        for bytes in [
            // Four bytes of a message in a record that says sixteen thousand; no hello; an alert.
            &[22, 3, 1, 0x3f, 0, CLIENT_HELLO, 0, 0, 4, 1, 2, 3, 4][..],
            &[22, 3, 1, 0x3f, 0, 2, 0, 0, 4],
            &[21, 3, 1, 0x3f, 0, 1],
        ] {
            assert_eq!(client_hello(bytes), Hello::Partial, "{bytes:?}");
        }
        assert_eq!(client_hello(&[22, 3, 1, 0xff, 0xff, 1]), Hello::Whole, "no record is so large");
    }

    #[test]
    fn a_hello_beyond_its_bound_is_too_large_as_soon_as_it_says_so() {
        let most = hello(HELLO_BYTES_MAX - MESSAGE_HEAD, 16_384);
        assert_eq!(client_hello(&most[..100]), Hello::Partial);
        let more = hello(HELLO_BYTES_MAX - MESSAGE_HEAD + 1, 16_384);
        assert_eq!(client_hello(&more[..9]), Hello::TooLarge);
        // In records of one byte the bound holds for all bytes.
        assert_eq!(client_hello(&hello(4_000, 1)[..HELLO_BYTES_MAX]), Hello::TooLarge);
    }
}
