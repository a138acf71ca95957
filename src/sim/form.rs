//! Forms, read by simulated banks and written by the simulated client. The reader is not the
//! gateway's, on purpose: it must not share its mistakes.
//!
//! This file decides how a form is read and written. It must not know what stands in it.

use std::borrow::Cow;

/// The decoded pairs of a form, in order.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`. What is broken is kept as it stands: to refuse
    /// it is the gateway's part, and the bank shows what got through.
    pub(super) fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        };
        Self(text.split('&').filter(|text| !text.is_empty()).map(pair).collect())
    }

    /// The first value under this name that is not empty (RFC 6749 section 3.2: an empty one is
    /// as good as none).
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let named = self.0.iter().find(|(present, value)| present == name && !value.is_empty());
        named.map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    let mut bytes = Vec::with_capacity(spaced.len());
    let mut rest = spaced.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let value = hex(*high).zip(hex(*low)).map_or(b'%', |(high, low)| high << 4 | low);
                bytes.push(value);
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// A form as `application/x-www-form-urlencoded`.
pub fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pair = |(name, value): (&str, &str)| format!("{}={}", escape(name), escape(value));
    pairs.into_iter().map(pair).collect::<Vec<_>>().join("&")
}

fn escape(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._".contains(&byte);
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let escape = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    Cow::Owned(text.bytes().map(escape).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_it_was_written() {
        let pairs = [("username", "Anna Müller+&=%"), ("empty", ""), ("code", "a.b-c_d*")];
        let form = Form::read(encode(pairs).as_bytes());
        assert_eq!(form.value("username"), Some("Anna Müller+&=%"));
        assert_eq!(form.value("empty"), None);
        assert_eq!(form.value("code"), Some("a.b-c_d*"));
        assert_eq!(Form::read(b"a=%zz%4&b").value("a"), Some("%zz%4"));
    }
}
