//! Records of a bank without the session tickets that are too large to be read.
//!
//! rustls keeps a handshake message until it is whole, and everything of the records around it: at
//! 64 KiB it gives the connection up, and a bank's tickets come behind the request. This file
//! takes out of each decrypted record what [`Tickets`] passes over, before rustls sees it: its own
//! ciphers do all else. It must not know what a session is.

use std::sync::LazyLock;

use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, MessageDecrypter, MessageEncrypter,
    Tls13AeadAlgorithm, UnsupportedOperationError,
};
use rustls::crypto::{CipherSuiteCommon, CryptoProvider};
use rustls::{
    ConnectionTrafficSecrets, ContentType, Error, PeerMisbehaved, SupportedCipherSuite,
    Tls13CipherSuite,
};

use crate::framing::tickets::Tickets;

/// The provider, for connections to banks.
pub(super) fn ticketless(provider: CryptoProvider) -> CryptoProvider {
    let suite = |suite: SupportedCipherSuite| {
        let same = |own: &&&'static Tls13CipherSuite| own.common.suite == suite.suite();
        SUITES.iter().find(same).map_or(suite, |own| SupportedCipherSuite::Tls13(own))
    };
    let cipher_suites = provider.cipher_suites.iter().map(|one| suite(*one)).collect();
    CryptoProvider { cipher_suites, ..provider }
}

/// The library wants suites that live as long as the process: they are made once.
static SUITES: LazyLock<Vec<&'static Tls13CipherSuite>> = LazyLock::new(|| {
    let all = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.iter();
    all.filter_map(SupportedCipherSuite::tls13).map(suite).collect()
});

fn suite(one: &'static Tls13CipherSuite) -> &'static Tls13CipherSuite {
    let CipherSuiteCommon { suite, hash_provider, confidentiality_limit, .. } = one.common;
    Box::leak(Box::new(Tls13CipherSuite {
        common: CipherSuiteCommon { suite, hash_provider, confidentiality_limit },
        hkdf_provider: one.hkdf_provider,
        aead_alg: Box::leak(Box::new(Ticketless(one.aead_alg))),
        quic: None,
    }))
}

struct Ticketless(&'static dyn Tls13AeadAlgorithm);

impl Tls13AeadAlgorithm for Ticketless {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        self.0.encrypter(key, iv)
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        let inner = self.0.decrypter(key, iv);
        Box::new(Decrypter { inner, tickets: Tickets::default(), empty: 0 })
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv)
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

struct Decrypter {
    inner: Box<dyn MessageDecrypter>,
    tickets: Tickets,
    /// So many records, one behind the other, have nothing left.
    empty: usize,
}

/// rustls takes 32 empty records one behind the other for an attack, and a bank may send a ticket
/// in small ones.
const EMPTY_MAX: usize = 24;

/// A ticket of one byte that is good for no time: it counts as something, and is never used.
#[rustfmt::skip]
const NO_TICKET: [u8; 19] = [
    4, 0, 0, 14, // new_session_ticket
    0, 0, 0, 0, 0, 0, 0, 0, // ticket_lifetime, ticket_age_add
    0, 0, 1, 0, 0, 0, // ticket_nonce, ticket, extensions
    22, // The record's own kind (RFC 8446 section 5.2).
];

impl MessageDecrypter for Decrypter {
    fn decrypt<'a>(
        &mut self,
        message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        if self.empty >= EMPTY_MAX && self.tickets.are_cut() {
            return self.decrypt_aside(message, seq);
        }
        let plain = self.inner.decrypt(message, seq)?;
        if plain.typ != ContentType::Handshake {
            return self.beside(plain);
        }
        let read = self.tickets.follow(plain.payload);
        let payload = plain.payload.get(read).unwrap_or_default();
        if payload.is_empty() && !plain.payload.is_empty() {
            self.empty += 1;
            // The library counts it, and has nothing to put together.
            let payload = plain.payload.get(..0).unwrap_or_default();
            return Ok(InboundPlainMessage { typ: ContentType::ApplicationData, payload, ..plain });
        }
        self.empty = 0;
        Ok(InboundPlainMessage { payload, ..plain })
    }
}

impl Decrypter {
    /// A record of another kind. A message's records have none between them (RFC 8446 section
    /// 5.1); an alert ends it.
    fn beside<'a>(
        &mut self,
        plain: InboundPlainMessage<'a>,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        if self.tickets.are_cut() && plain.typ != ContentType::Alert {
            return Err(PeerMisbehaved::MessageInterleavedWithHandshakeMessage.into());
        }
        self.empty = 0;
        Ok(plain)
    }

    /// Decrypts a copy, so that something can be written where nothing would be left.
    #[cold]
    fn decrypt_aside<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let mut copy = message.payload.to_vec();
        let aside = InboundOpaqueMessage::new(message.typ, message.version, &mut copy);
        let plain = self.inner.decrypt(aside, seq)?;
        let (kind, mut written) = (u8::from(plain.typ), NO_TICKET.to_vec());
        if plain.typ == ContentType::Handshake {
            let read = self.tickets.follow(plain.payload);
            let payload = plain.payload.get(read).unwrap_or_default();
            if !payload.is_empty() {
                written = [payload, &[kind]].concat();
            }
        } else {
            let plain = self.beside(plain)?;
            written = [plain.payload, &[kind]].concat();
        }
        self.empty = 0;
        // What is behind the record's kind is padding. A record has room for what was in it; one
        // of fewer bytes than `NO_TICKET` is no honest part of a large ticket.
        message.payload.fill(0);
        let Some(place) = message.payload.get_mut(..written.len()) else {
            return Err(PeerMisbehaved::TooManyEmptyFragments.into());
        };
        place.copy_from_slice(&written);
        message.payload.truncate(written.len());
        message.into_tls13_unpadded_message()
    }
}

#[cfg(test)]
mod tests {
    use rustls::ProtocolVersion;

    use super::*;

    /// Records that nobody has encrypted.
    struct Open;

    impl MessageDecrypter for Open {
        fn decrypt<'a>(
            &mut self,
            message: InboundOpaqueMessage<'a>,
            _: u64,
        ) -> Result<InboundPlainMessage<'a>, Error> {
            message.into_tls13_unpadded_message()
        }
    }

    fn decrypter() -> Decrypter {
        Decrypter { inner: Box::new(Open), tickets: Tickets::default(), empty: 0 }
    }

    /// What the library sees of a record.
    fn see(
        decrypter: &mut Decrypter,
        kind: ContentType,
        content: &[u8],
    ) -> Result<(ContentType, Vec<u8>), Error> {
        // A tag would be behind it.
        let mut record = [content, &[u8::from(kind)]].concat();
        let version = ProtocolVersion::TLSv1_2;
        let message = InboundOpaqueMessage::new(ContentType::ApplicationData, version, &mut record);
        decrypter.decrypt(message, 0).map(|plain| (plain.typ, plain.payload.to_vec()))
    }

    /// The first record of a ticket of 65,000 bytes.
    const FIRST: &[u8] = &[4, 0, 0xfd, 0xe8, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];

    #[test]
    fn a_ticket_in_many_records_is_never_many_empty_ones() {
        let mut decrypter = decrypter();
        let (mut empty, mut most, mut left) = (0, 0, 65_004_usize - FIRST.len());
        assert_eq!(see(&mut decrypter, ContentType::Handshake, FIRST).unwrap().1, b"");
        while left > 0 {
            let content = vec![7; left.min(64)];
            left -= content.len();
            let (kind, payload) = see(&mut decrypter, ContentType::Handshake, &content).unwrap();
            match kind {
                ContentType::ApplicationData => assert!(payload.is_empty()),
                kind => {
                    assert_eq!(kind, ContentType::Handshake);
                    assert_eq!(payload, NO_TICKET[..18]);
                }
            }
            empty = if payload.is_empty() { empty + 1 } else { 0 };
            most = most.max(empty);
        }
        assert!(most <= EMPTY_MAX, "{most}");
        let data = see(&mut decrypter, ContentType::ApplicationData, b"HTTP").unwrap();
        assert_eq!(data, (ContentType::ApplicationData, b"HTTP".to_vec()));
    }

    #[test]
    fn what_is_behind_a_cut_ticket_in_its_last_record_is_read() {
        for records in [1, 40] {
            let mut decrypter = decrypter();
            let rest = records * 20 + 10;
            let [_, _, high, low] = u32::try_from(16 + rest).unwrap().to_be_bytes();
            let head = [&[4, 0, high, low][..], &FIRST[4..]].concat();
            see(&mut decrypter, ContentType::Handshake, &head).unwrap();
            for _ in 0..records {
                see(&mut decrypter, ContentType::Handshake, &[7; 20]).unwrap();
            }
            let update = [24, 0, 0, 1, 0];
            let last = [&[7; 10][..], &update].concat();
            let seen = see(&mut decrypter, ContentType::Handshake, &last).unwrap();
            assert_eq!(seen, (ContentType::Handshake, update.to_vec()));
        }
    }

    #[test]
    fn nothing_but_an_alert_stands_between_the_records_of_a_ticket() {
        for records in [0, 23, 24, 40] {
            let begun = || {
                let mut decrypter = decrypter();
                see(&mut decrypter, ContentType::Handshake, FIRST).unwrap();
                for _ in 0..records {
                    see(&mut decrypter, ContentType::Handshake, &[7; 20]).unwrap();
                }
                decrypter
            };
            let data = see(&mut begun(), ContentType::ApplicationData, b"HTTP");
            let interleaved = PeerMisbehaved::MessageInterleavedWithHandshakeMessage;
            assert_eq!(data, Err(interleaved.into()), "{records}");
            let alert = see(&mut begun(), ContentType::Alert, &[1, 0]).unwrap();
            assert_eq!(alert, (ContentType::Alert, vec![1, 0]), "{records}");
        }
    }

    #[test]
    fn every_suite_of_the_library_passes_tickets_over() {
        let before = rustls::crypto::aws_lc_rs::default_provider();
        let suites = |provider: &CryptoProvider| {
            provider.cipher_suites.iter().map(SupportedCipherSuite::suite).collect::<Vec<_>>()
        };
        let names = suites(&before);
        let after = ticketless(before);
        assert_eq!(suites(&after), names);
        let mut own = after.cipher_suites.iter().filter_map(SupportedCipherSuite::tls13);
        assert!(own.all(|suite| SUITES.iter().any(|one| std::ptr::eq(*one, suite))));
    }
}
