//! Media types: whether the client takes what an answer can be, and sends what the contract says.
//!
//! This file decides CONTRACT rows 22 to 24. It must not look at a body.

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use super::head::Line;
use crate::fault::{Fault, Name};
use crate::octets::TCHAR;

/// The media types of one operation, lower case and without parameters.
#[derive(Debug)]
pub(super) struct MediaRules {
    /// Every type that an answer can have, errors included.
    pub(super) offered: Vec<Name>,
    /// The type that the request's body must have.
    pub(super) taken: Name,
}

impl MediaRules {
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Fault> {
        self.check_accept(headers)?;
        self.check_content_type(headers)?;
        check_content_encoding(headers)
    }

    /// Row 22. A document that names no type leaves nothing to negotiate.
    pub(super) fn check_accept(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let fits = |offer: &Name| accepts(headers, offer);
        if self.offered.is_empty() || self.offered.iter().any(fits) {
            Ok(())
        } else {
            Err(Fault::NotAcceptable)
        }
    }

    /// Row 23. `Content-Type` is a singleton: two lines are malformed rather than of another type.
    fn check_content_type(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let fits = match Line::find(headers, &CONTENT_TYPE) {
            Line::Absent => false,
            Line::One(value) => is_content_type(value, &self.taken),
            Line::Repeated => {
                let sentence = "Content-Type is malformed".into();
                return Err(Fault::HeaderMalformed("Content-Type".into(), sentence));
            }
        };
        if fits { Ok(()) } else { Err(Fault::MediaTypeRefused(self.taken.clone())) }
    }
}

/// A media type without its parameters, lower case; `None` where `text` is no media type (RFC 9110
/// section 8.3.1: `type "/" subtype parameters`).
pub(super) fn essence(text: &str) -> Option<String> {
    let (essence, _) = text.split_once(';').unwrap_or((text, ""));
    let (kind, subtype) = essence.trim_ascii().split_once('/')?;
    let shaped = is_token(kind) && is_token(subtype);
    shaped.then(|| format!("{kind}/{subtype}").to_ascii_lowercase())
}

/// Row 24. `identity` is no coding, so it may be said, even twice.
pub(super) fn check_content_encoding(headers: &HeaderMap) -> Result<(), Fault> {
    let is_identity = |value: &HeaderValue| {
        value.as_bytes().split(|byte| *byte == b',').all(|coding| {
            let coding = coding.trim_ascii();
            coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
        })
    };
    let plain = headers.get_all(CONTENT_ENCODING).iter().all(is_identity);
    if plain { Ok(()) } else { Err(Fault::CodingRefused) }
}

/// Parameters are allowed, and `charset` can only be what forms are anyway.
pub(super) fn is_content_type(value: &HeaderValue, taken: &str) -> bool {
    if value.as_bytes().eq_ignore_ascii_case(taken.as_bytes()) {
        return true;
    }
    let Ok(text) = value.to_str() else { return false };
    let mut parts = split_unquoted(text, b';');
    let is_taken = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case(taken));
    is_taken
        && parts.all(|part| match part.split_once('=') {
            // RFC 9110 section 5.6.6 allows an empty parameter, as in `a/b;`.
            None => part.is_empty(),
            Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
                let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                bare.unwrap_or(value).eq_ignore_ascii_case("utf-8")
            }
            Some((name, value)) => is_token(name) && (is_token(value) || is_quoted(value)),
        })
}

/// Whether `Accept` admits `offer` (RFC 9110 section 12.5.1): the most specific range that matches
/// decides, and a weight of 0 excludes. No field, or one without any range, admits everything.
///
/// A range with parameters admits, because a client that asks for `application/json;charset=utf-8`
/// can read JSON; but it excludes nothing, because it speaks of one variant only. Ranges that can't
/// be read are passed over, but for the bare `*` and the `q=.2` that old HTTP clients send.
fn accepts(headers: &HeaderMap, offer: &str) -> bool {
    let mut best: Option<(Specificity, bool)> = None;
    let mut has_range = false;
    for value in headers.get_all(ACCEPT) {
        if value.as_bytes().eq_ignore_ascii_case(offer.as_bytes()) {
            // The usual case; nothing is more specific.
            best = best.max(Some((Specificity::Type, true)));
            has_range = true;
            continue;
        }
        let Ok(text) = value.to_str() else {
            has_range = true;
            continue;
        };
        for range in split_unquoted(text, b',').filter(|range| !range.is_empty()) {
            has_range = true;
            best = best.max(read_range(range, offer));
        }
    }
    best.map_or(!has_range, |(_, admitted)| admitted)
}

/// How closely a range names a type; the order of RFC 9110 section 12.5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    /// `*/*`.
    Any,
    /// `application/*`.
    Kind,
    /// `application/json`.
    Type,
}

/// What a media range says of `offer`; `None` where it does not match or can't be read.
fn read_range(range: &str, offer: &str) -> Option<(Specificity, bool)> {
    let mut parts = split_unquoted(range, b';');
    let specificity = specificity(parts.next()?, offer)?;
    let mut is_variant = false;
    let mut admitted = true;
    for part in parts.filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if name.trim_ascii_end().eq_ignore_ascii_case("q") {
            admitted = read_weight(value.trim_ascii_start())?;
            break;
        }
        is_variant = true;
    }
    if is_variant && !admitted { None } else { Some((specificity, admitted)) }
}

fn specificity(range: &str, offer: &str) -> Option<Specificity> {
    if range == "*/*" || range == "*" {
        return Some(Specificity::Any);
    }
    if range.eq_ignore_ascii_case(offer) {
        return Some(Specificity::Type);
    }
    let (kind, _) = offer.split_once('/')?;
    range.strip_suffix("/*")?.eq_ignore_ascii_case(kind).then_some(Specificity::Kind)
}

/// `qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )` (RFC 9110 section 12.4.2), read
/// a little wider; whether it is above zero is all that matters.
fn read_weight(text: &str) -> Option<bool> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digital = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let zero = fraction.bytes().all(|byte| byte == b'0');
    match whole {
        "1" if zero => Some(true),
        "0" if digital => Some(!zero),
        "" if digital && !fraction.is_empty() => Some(!zero),
        _ => None,
    }
}

/// The pieces of `text` between separators that stand outside quoted strings, trimmed.
fn split_unquoted(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        let end = find_unquoted(current, separator);
        rest = end.and_then(|end| current.get(end + 1..));
        let piece = end.and_then(|end| current.get(..end)).unwrap_or(current);
        Some(piece.trim_ascii())
    })
}

fn find_unquoted(text: &str, separator: u8) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    text.bytes().position(|byte| {
        let here = byte == separator && !quoted;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        here
    })
}

/// `token = 1*tchar` (RFC 9110 section 5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty() && TCHAR.has_all(text.as_bytes())
}

fn is_quoted(text: &str) -> bool {
    text.len() >= 2 && text.starts_with('"') && text.ends_with('"')
}

#[cfg(test)]
mod tests;
