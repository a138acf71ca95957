//! Reads `headers` of a target: fields that the bank wants to see on every request.
//!
//! This file decides which fields a table may set. It must not show what it sets them to.

use http::{HeaderName, HeaderValue};

use crate::routes::page::{At, Wrong};
use crate::routes::reader::{Reader, shorten};

/// Most fields that a table adds.
const HEADERS_MAX: usize = 16;

/// Longest value of one, in bytes.
const VALUE_BYTES_MAX: usize = 16 * 1_024;

/// Fields that belong to one connection (RFC 9110 section 7.6.1) or that corgate writes itself:
/// a second one would contradict it, or let a table undo what the gateway promises.
const REFUSED: [&str; 23] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-correlation-id",
];

/// Beginnings of names that belong to the hub's own fields.
const REFUSED_PREFIXES: [&str; 2] = ["x-corapi-", "x-psu-"];

/// Reads the fields, their secrets resolved, their values marked sensitive.
pub(super) fn read(section: &Reader<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let written = section.secrets("headers");
    if written.len() > HEADERS_MAX {
        let what = format!("`headers` has {} fields", written.len());
        let right = format!("at most {HEADERS_MAX}");
        section.page.error(section.key_span("headers"), Wrong::new(what).right(right));
    }
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    // Each is compared with all before it: that there are too many has been said.
    for (name, value) in written.into_iter().take(HEADERS_MAX) {
        let Some(name) = section.parsed(name, parse_field_name) else { continue };
        if headers.iter().any(|(other, _)| *other == name.value) {
            let what = format!("the field `{}` is set twice", name.value);
            let right = "names of fields differ by more than their case";
            section.page.error(name.span, Wrong::new(what).right(right));
        }
        if let Some(value) = read_value(section, value) {
            headers.push((name.value, value));
        }
    }
    headers
}

fn read_value(section: &Reader<'_>, text: At<&str>) -> Option<HeaderValue> {
    let parse = |text: &str| {
        let secret = section.page.references().resolve(text).map_err(|what| {
            Wrong::new(what).right("`${env:NAME}` or `${file:path}`, set and not empty")
        })?;
        parse_field_value(secret.expose())
    };
    let mut value = section.parsed(text, parse)?.value;
    // Keeps it out of `Debug` output, and out of HTTP/2's compression table.
    value.set_sensitive(true);
    Some(value)
}

/// Narrower than RFC 9110 section 5.5: no tabs, no bytes beyond ASCII, no spaces at the ends.
fn parse_field_value(text: &str) -> Result<HeaderValue, Wrong> {
    let shaped = text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text;
    let shaped = shaped && text.len() <= VALUE_BYTES_MAX;
    let value = HeaderValue::from_str(text).ok().filter(|_| shaped);
    value.ok_or_else(|| {
        Wrong::new("this value can't stand in a header field")
            .right("at most 16 KiB of visible ASCII characters, with spaces only between them")
    })
}

pub(super) fn parse_field_name(text: &str) -> Result<HeaderName, Wrong> {
    let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        Wrong::new(format!("`{}` is no name of a header field", shorten(text)))
            .right("letters, digits and hyphens, such as `X-Api-Key`")
    })?;
    let hubs_own = REFUSED_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
    if hubs_own || REFUSED.contains(&name.as_str()) {
        return Err(Wrong::new(format!("the field `{name}` can't be set"))
            .right("corgate writes it itself, or it belongs to one connection"));
    }
    Ok(name)
}
