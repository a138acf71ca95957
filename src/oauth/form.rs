//! The form that OAuth's parameters travel in: `application/x-www-form-urlencoded`, read strictly.
//!
//! This file decides what a well-formed body is and hands out its parameters, decoded. It must not
//! know which parameters a contract asks for.

use std::borrow::Cow;
use std::fmt;

use crate::fault::Fault;
use crate::ids::hex_value;
use crate::octets::Octets;
use crate::wiped::wipe;

/// Most parameters in one form. Also what keeps the search for repeated names cheap.
pub const PAIRS_MAX: usize = 64;
/// Longest parameter name, in bytes, after decoding.
pub const NAME_BYTES_MAX: usize = 128;

/// A parsed form: every parameter stands once, every text is UTF-8 without NUL.
///
/// Texts borrow from the body where nothing in them was encoded. `Debug` shows only how many there
/// are: values are codes, tokens and usernames, and a body of another kind makes its secrets names.
#[derive(Clone, PartialEq, Eq)]
pub struct Form<'b> {
    pairs: Vec<Pair<'b>>,
    is_plain: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Pair<'b> {
    name: Cow<'b, str>,
    value: Cow<'b, str>,
}

/// What was decoded is a copy of a secret, and of our own.
impl Drop for Pair<'_> {
    fn drop(&mut self) {
        for text in [&mut self.name, &mut self.value] {
            if let Cow::Owned(text) = text {
                wipe(&mut std::mem::take(text).into_bytes());
            }
        }
    }
}

impl<'b> Form<'b> {
    /// Parses a body (RFC 6749 appendix B; the WHATWG URL standard's urlencoded parser where the
    /// RFC is silent): `+` is a space, a parameter without `=` has an empty value, and empty
    /// segments (`a=1&&b=2`, a trailing `&`) count for nothing. A raw `;` or control character
    /// stands for itself, and makes that the bytes may not travel on; see [`Form::is_plain`].
    ///
    /// # Errors
    /// The first violation in the order of the bytes. [`Fault::FormMalformed`] names the rule: bad
    /// percent-encoding, invalid UTF-8, NUL, an empty name, a name over [`NAME_BYTES_MAX`], more
    /// than [`PAIRS_MAX`] parameters. [`Fault::ParameterRepeated`]: a name stands twice, known or
    /// not, empty or not (RFC 6749 section 3.2: "MUST NOT be included more than once").
    pub fn parse(body: &'b [u8]) -> Result<Self, Fault> {
        match Self::parse_plain(body) {
            Err(RAW) => Ok(Self { is_plain: false, ..Self::read(body, &RAW_NAME, &RAW_VALUE)? }),
            parsed => parsed,
        }
    }

    /// The same for bytes that travel on as they are: what some servers take for a separator, and
    /// others not, is refused.
    ///
    /// # Errors
    /// As above; a raw `;` or control character besides.
    pub fn parse_plain(body: &'b [u8]) -> Result<Self, Fault> {
        Self::read(body, &NAME, &VALUE)
    }

    fn read(body: &'b [u8], names: &Piece, values: &Piece) -> Result<Self, Fault> {
        // A check of the whole body holds for each piece, because pieces end at ASCII bytes.
        let mut rest = std::str::from_utf8(body).map_err(|_| Fault::FormMalformed("UTF-8"))?;
        if memchr::memchr(0, body).is_some() {
            return Err(Fault::FormMalformed("NUL"));
        }
        let mut pairs: Vec<Pair<'b>> = Vec::with_capacity(PAIRS_TYPICAL);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('&') {
                rest = after;
                continue;
            }
            if pairs.len() == PAIRS_MAX {
                return Err(Fault::FormMalformed("too many parameters"));
            }
            let (name, after) = names.read(rest)?;
            let (value, after) = match after.strip_prefix('=') {
                Some(value) => values.read(value)?,
                None => (Cow::Borrowed(""), after),
            };
            rest = match after.strip_prefix('&') {
                Some(rest) => rest,
                None if after.is_empty() => after,
                None => return Err(RAW),
            };
            let pair = Pair { name, value };
            if pair.name.is_empty() {
                return Err(Fault::FormMalformed("empty name"));
            }
            if pair.name.len() > NAME_BYTES_MAX {
                return Err(Fault::FormMalformed("name too long"));
            }
            if pairs.iter().any(|earlier| earlier.name == pair.name) {
                return Err(Fault::ParameterRepeated);
            }
            pairs.push(pair);
        }
        Ok(Self { pairs, is_plain: true })
    }

    /// Whether all servers read the same parameters in its bytes. A raw `;` divides them for some
    /// (HTML 4.01 appendix B.2.2), and what a raw control character is nobody says: such a form has
    /// to be written anew before another server reads it.
    pub const fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The decoded value of a parameter. `None` also where it is empty: "Parameters sent without a
    /// value MUST be treated as if they were omitted from the request" (RFC 6749 section 3.2).
    pub fn value(&self, name: &str) -> Option<&str> {
        let pair = self.pairs.iter().find(|pair| pair.name == name)?;
        if pair.value.is_empty() { None } else { Some(&pair.value) }
    }

    /// Every parameter, decoded, in the order of the body; those without a value too.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|pair| (&*pair.name, &*pair.value))
    }
}

impl fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("parameters", &self.pairs.len()).finish_non_exhaustive()
    }
}

/// A piece of a form: the octets of a name or a value that stand for themselves. One that is not of
/// them is a space, an encoded octet, the piece's end, or one that not all read in the same way.
struct Piece(Octets);

/// The refusal of a raw octet where none may stand.
const RAW: Fault = Fault::FormMalformed("raw octet");

static RAW_NAME: Piece = Piece(Octets::all_but(b"&=%+"));
static RAW_VALUE: Piece = Piece(Octets::all_but(b"&%+"));
static NAME: Piece = Piece(Octets::all_but(b"&=%+;").without_controls());
static VALUE: Piece = Piece(Octets::all_but(b"&%+;").without_controls());

impl Piece {
    /// Reads one from the start of a text, and gives the rest, from what ended it.
    fn read<'b>(&self, text: &'b str) -> Result<(Cow<'b, str>, &'b str), Fault> {
        let (plain, rest) = self.plain(text);
        if rest.starts_with(['%', '+']) {
            return self.decode(plain, rest).map(|(piece, rest)| (Cow::Owned(piece), rest));
        }
        Ok((Cow::Borrowed(plain), rest))
    }

    /// Decodes what follows on octets that stood for themselves.
    fn decode<'b>(&self, plain: &str, rest: &'b str) -> Result<(String, &'b str), Fault> {
        // As much as this piece can need: where it grew, some of it would be left behind.
        let end = memchr::memchr(b'&', rest.as_bytes()).unwrap_or(rest.len());
        let mut bytes = Vec::with_capacity(plain.len() + end);
        bytes.extend_from_slice(plain.as_bytes());
        let decoded = self.decode_into(&mut bytes, rest);
        let piece = String::from_utf8(bytes).map_err(|error| {
            wipe(&mut error.into_bytes());
            Fault::FormMalformed("UTF-8")
        });
        match (decoded, piece) {
            (Ok(rest), piece) => Ok((piece?, rest)),
            (Err(fault), piece) => {
                wipe(&mut piece.map(String::into_bytes).unwrap_or_default());
                Err(fault)
            }
        }
    }

    fn decode_into<'b>(&self, bytes: &mut Vec<u8>, mut rest: &'b str) -> Result<&'b str, Fault> {
        loop {
            let mut octets = rest.as_bytes().iter();
            match octets.next() {
                Some(b'+') => bytes.push(b' '),
                Some(b'%') => bytes.push(octet(octets.next(), octets.next())?),
                Some(_) | None => return Ok(rest),
            }
            // Only ASCII was taken, so this cuts no character.
            let after = rest.get(rest.len() - octets.len()..).unwrap_or_default();
            let (plain, after) = self.plain(after);
            bytes.extend_from_slice(plain.as_bytes());
            rest = after;
        }
    }

    /// Splits before the first octet that does not stand for itself; that is ASCII.
    fn plain<'b>(&self, text: &'b str) -> (&'b str, &'b str) {
        text.split_at_checked(self.0.prefix(text.as_bytes())).unwrap_or((text, ""))
    }
}

/// The octet of a percent-encoding (RFC 3986 section 2.1: `"%" HEXDIG HEXDIG`).
fn octet(high: Option<&u8>, low: Option<&u8>) -> Result<u8, Fault> {
    let digit = |byte: Option<&u8>| byte.copied().and_then(hex_value);
    match (digit(high), digit(low)) {
        (Some(0), Some(0)) => Err(Fault::FormMalformed("NUL")),
        (Some(high), Some(low)) => Ok(high << 4 | low),
        (Some(_) | None, None) | (None, Some(_)) => Err(Fault::FormMalformed("percent-encoding")),
    }
}

/// Parameters for which the first allocation suffices; a token call has at most seven.
const PAIRS_TYPICAL: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(body: &[u8]) -> Fault {
        Form::parse(body).unwrap_err()
    }

    #[test]
    fn values_are_decoded_and_borrowed_where_nothing_was_encoded() {
        let form = Form::parse(b"plain=a-b.c&plus=a+b&percent=%C3%A4%2b&raw=\xc3\xa4").unwrap();
        assert_eq!(form.value("plain"), Some("a-b.c"));
        assert_eq!(form.value("plus"), Some("a b"));
        assert_eq!(form.value("percent"), Some("ä+"));
        assert_eq!(form.value("raw"), Some("ä"));
        assert_eq!(form.value("absent"), None);
        let borrowed: Vec<bool> =
            form.pairs.iter().map(|pair| matches!(pair.value, Cow::Borrowed(_))).collect();
        assert_eq!(borrowed, [true, false, false, true]);
    }

    #[test]
    fn names_are_decoded_before_they_are_compared() {
        assert_eq!(Form::parse(b"%63ode=1").unwrap().value("code"), Some("1"));
        assert_eq!(refusal(b"code=1&%63ode=2"), Fault::ParameterRepeated);
    }

    #[test]
    fn an_empty_value_is_absent_but_still_counts_as_sent() {
        for body in [&b"code="[..], b"code", b"&code=&"] {
            let form = Form::parse(body).unwrap();
            assert_eq!(form.value("code"), None);
            assert_eq!(form.pairs().collect::<Vec<_>>(), [("code", "")]);
        }
        assert_eq!(refusal(b"code=&code="), Fault::ParameterRepeated);
        assert_eq!(refusal(b"code&code=1"), Fault::ParameterRepeated);
    }

    #[test]
    fn empty_segments_count_for_nothing_and_empty_names_are_refused() {
        assert_eq!(Form::parse(b"").unwrap().pairs().count(), 0);
        assert_eq!(Form::parse(b"&&a=1&&b=2&").unwrap().pairs().count(), 2);
        for body in [&b"=1"[..], b"a=1&=2", b"="] {
            assert_eq!(refusal(body), Fault::FormMalformed("empty name"));
        }
    }

    #[test]
    fn only_the_first_equals_sign_divides() {
        assert_eq!(Form::parse(b"token=YQ==").unwrap().value("token"), Some("YQ=="));
    }

    #[test]
    fn bad_encodings_are_refused_by_their_rule() {
        for body in [&b"a=%"[..], b"a=%4", b"a=%4g", b"a=%g4", b"a=%%41", b"%=1", b"a=%+1"] {
            assert_eq!(refusal(body), Fault::FormMalformed("percent-encoding"));
        }
        for body in [&b"a=%FF"[..], b"a=\xff", b"%C3=1", b"a=%ED%A0%80", b"a=%C0%80"] {
            assert_eq!(refusal(body), Fault::FormMalformed("UTF-8"));
        }
        for body in [&b"a=%00"[..], b"a=\0", b"a%00=1"] {
            assert_eq!(refusal(body), Fault::FormMalformed("NUL"));
        }
    }

    #[test]
    fn what_some_take_for_a_separator_is_never_plain() {
        for octet in [";", "\n", "\r\n", "\t", "\u{1}", "\u{7f}", "&amp;", "%41;", "+;"] {
            for body in [
                format!("username=anna{octet}client_id=OTHER"),
                format!("a=1&b{octet}=2"),
                format!("{octet}a=1"),
                format!("a=1{octet}"),
                format!("flag{octet}"),
            ] {
                let plain = Form::parse_plain(body.as_bytes());
                assert_eq!(plain, Err(Fault::FormMalformed("raw octet")), "{body:?}");
                assert!(!Form::parse(body.as_bytes()).unwrap().is_plain(), "{body:?}");
            }
        }
        let form = Form::parse(b"a=1%3bb%0A2&c=x&amp=1").unwrap();
        assert_eq!((form.value("a"), form.value("amp")), (Some("1;b\n2"), Some("1")));
        assert!(form.is_plain());
        let form = Form::parse(b"username=anna;client_id=x&b=1").unwrap();
        assert_eq!(form.value("username"), Some("anna;client_id=x"));
        // NUL is no character of a form, raw or not.
        assert_eq!(refusal(b"a=1;\0"), Fault::FormMalformed("NUL"));
    }

    #[test]
    fn at_most_64_parameters() {
        let body = |count: usize| {
            (0..count).map(|index| format!("p{index}=1")).collect::<Vec<_>>().join("&")
        };
        assert_eq!(Form::parse(body(PAIRS_MAX).as_bytes()).unwrap().pairs().count(), PAIRS_MAX);
        let over = body(PAIRS_MAX + 1);
        assert_eq!(refusal(over.as_bytes()), Fault::FormMalformed("too many parameters"));
    }

    #[test]
    fn a_name_has_at_most_128_bytes_after_decoding() {
        let name = "%61".repeat(NAME_BYTES_MAX);
        assert!(Form::parse(name.as_bytes()).is_ok());
        let over = format!("{name}b=1");
        assert_eq!(refusal(over.as_bytes()), Fault::FormMalformed("name too long"));
    }

    #[test]
    fn debug_shows_nothing_that_was_sent() {
        let form = Form::parse(b"code=s3cret&username=a%40b").unwrap();
        assert_eq!(format!("{form:?}"), "Form { parameters: 2, .. }");
    }

    /// An encoder of its own, so that the reader is not checked against itself.
    fn encode(pairs: &[(String, String)]) -> String {
        let text = |text: &str| {
            text.bytes()
                .map(|byte| match byte {
                    b' ' => "+".to_owned(),
                    b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                        char::from(byte).to_string()
                    }
                    other => format!("%{other:02X}"),
                })
                .collect::<String>()
        };
        let pairs = pairs.iter().map(|(name, value)| format!("{}={}", text(name), text(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    fn unique_pairs() -> impl Strategy<Value = Vec<(String, String)>> {
        let name = "[^\0]{1,20}";
        let pairs = proptest::collection::btree_map(name, "[^\0]{0,20}", 0..PAIRS_MAX);
        pairs.prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(body: Vec<u8>) {
            let _ = Form::parse(&body);
        }

        #[test]
        fn any_form_like_text_is_read_without_a_panic(body in "[a%0-9+&=\u{0}-\u{ff}]{0,200}") {
            let _ = Form::parse(body.as_bytes());
        }

        #[test]
        fn what_was_encoded_is_read_back(pairs in unique_pairs()) {
            let body = encode(&pairs);
            let form = Form::parse(body.as_bytes()).unwrap();
            let read: Vec<(&str, &str)> = form.pairs().collect();
            let sent: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (&**n, &**v)).collect();
            prop_assert_eq!(read, sent);
        }

        #[test]
        fn a_repeated_name_is_always_refused(pairs in unique_pairs(), at: prop::sample::Index) {
            prop_assume!(!pairs.is_empty() && pairs.len() < PAIRS_MAX);
            let mut pairs = pairs;
            let again = (at.get(&pairs).0.clone(), "other".to_owned());
            pairs.push(again);
            let body = encode(&pairs);
            prop_assert_eq!(Form::parse(body.as_bytes()).unwrap_err(), Fault::ParameterRepeated);
        }
    }
}
