//! The small languages that values of `routes.toml` are written in: durations, rates, paths,
//! addresses, names.
//!
//! This file decides what a well-formed value is. It must not know which key it stands under.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::page::Wrong;
use super::reader::shorten;
use super::shown::misleads;
use super::table::Watch;
use crate::fault::Name;

/// Longest name for people, in characters.
const NAME_CHARS_MAX: usize = 100;
/// Longest path, in bytes.
const PATH_BYTES_MAX: usize = 1_024;
/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;
/// Longest host name, in bytes (RFC 1035 section 2.3.4).
const HOST_BYTES_MAX: usize = 255;
/// Most calls a period.
const RATE_MAX: u32 = 1_000_000;

/// A rate: so many calls a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) calls: NonZeroU32,
    pub(super) period: Duration,
}

impl Rate {
    /// What a second brings, at least 1: the burst of a quota that names none.
    pub(super) fn burst(self) -> NonZeroU32 {
        let seconds = u32::try_from(self.period.as_secs()).unwrap_or(u32::MAX).max(1);
        NonZeroU32::new(self.calls.get().div_ceil(seconds)).unwrap_or(NonZeroU32::MIN)
    }
}

/// A whole number and a unit: `250ms`, `5s`, `2m`, `1h`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, Wrong> {
    let wrong = || {
        Wrong::new(format!("`{}` is no duration", shorten(text)))
            .right("a whole number and a unit: `250ms`, `5s`, `2m`, `1h`")
    };
    let (number, unit) = split_number(text).ok_or_else(wrong)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

/// How often files are looked at: `off`, or a duration from 100ms to 1h.
pub(super) fn parse_watch(text: &str) -> Result<Watch, Wrong> {
    if text == "off" {
        return Ok(Watch::Off);
    }
    let interval = parse_duration(text)?;
    if interval >= Duration::from_millis(100) && interval <= Duration::from_secs(3_600) {
        return Ok(Watch::Every(interval));
    }
    Err(Wrong::new("`watch` is out of its range").right("a duration from 100ms to 1h, or `off`"))
}

/// A number of calls, `/`, and a period: `50/s`, `600/m`, `1000/h`.
pub(super) fn parse_rate(text: &str) -> Result<Rate, Wrong> {
    let wrong = || {
        Wrong::new(format!("`{}` is no rate", shorten(text))).right(format!(
            "a number from 1 to {RATE_MAX}, `/`, and `s`, `m` or `h`: `50/s`, `600/m`"
        ))
    };
    let (number, period) = split_number(text).ok_or_else(wrong)?;
    let period_s = match period {
        "/s" => 1,
        "/m" => 60,
        "/h" => 3_600,
        _ => return Err(wrong()),
    };
    let calls = u32::try_from(number).ok().filter(|calls| *calls <= RATE_MAX);
    let calls = calls.and_then(NonZeroU32::new).ok_or_else(wrong)?;
    Ok(Rate { calls, period: Duration::from_secs(period_s) })
}

/// Decimal digits, and what follows them.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = text.split_at_checked(end)?;
    digits.parse().ok().map(|number| (number, rest))
}

/// A base path: empty, or `/` and segments (RFC 3986 section 3.3), without `/` at its end.
pub(super) fn parse_base_path(text: &str) -> Result<Name, Wrong> {
    if text.is_empty() {
        return Ok(Arc::from(""));
    }
    if text == "/" {
        return Err(Wrong::new("`/` is no base path").right("`\"\"` where nothing stands before"));
    }
    parse_path(text)
}

/// A whole path: `/` and segments (RFC 3986 section 3.3), without `/` at its end.
pub(super) fn parse_path(text: &str) -> Result<Name, Wrong> {
    let shown = shorten(text);
    let wrong = |what: &str| Wrong::new(format!("the path `{shown}` {what}"));
    let Some(segments) = text.strip_prefix('/') else {
        return Err(
            wrong("does not begin with `/`").right(format!("`/{}`", shown.trim_end_matches('/')))
        );
    };
    if text.len() > PATH_BYTES_MAX {
        return Err(wrong(&format!("is longer than {PATH_BYTES_MAX} bytes")));
    }
    if let Some(without) = text.strip_suffix('/').filter(|without| !without.is_empty()) {
        return Err(wrong("ends with `/`").right(format!("`{}`", shorten(without))));
    }
    if text.contains(['?', '#']) {
        return Err(wrong("has a query or a fragment").right("the path alone"));
    }
    for segment in segments.split('/') {
        if segment.is_empty() {
            return Err(wrong("has an empty segment").right("one `/` between two segments"));
        }
        if matches!(segment, "." | "..") {
            return Err(
                wrong("has a segment `.` or `..`").right("the path that remains without it")
            );
        }
        if !is_segment(segment) {
            return Err(wrong("has a character that can't stand in a path")
                .right("letters, digits, `-._~!$&'()*+,;=:@`, and `%` with two hex digits"));
        }
    }
    Ok(Arc::from(text))
}

/// RFC 3986: `segment-nz = 1*pchar`, `pchar = unreserved / pct-encoded / sub-delims / ":" / "@"`.
fn is_segment(segment: &str) -> bool {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'%' => {
                let mut hex = || bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit());
                hex() && hex()
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte),
        };
        if !fits {
            return false;
        }
    }
    true
}

/// An address to listen on: `0.0.0.0:8443`, `[::1]:8443`.
pub(super) fn parse_listen(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        Wrong::new(format!("`{}` is no address to listen on", shorten(text)))
            .right("an IP address and a port: `0.0.0.0:8443`, `[::]:8443`")
    })
}

/// A host name as a `Host` field has it, without a port; in lower case.
pub(super) fn parse_host_name(text: &str) -> Result<String, Wrong> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if (1..=HOST_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.trim_end_matches('.').to_ascii_lowercase());
    }
    Err(Wrong::new(format!("`{}` is no host name", shorten(text)))
        .right("a name without a port: `corgate.internal`"))
}

/// A name for people: 1 to 100 characters without control characters, and without those that no
/// one sees but that change how what stands around them is shown.
pub(super) fn parse_name(text: &str) -> Result<Name, Wrong> {
    let length = text.chars().count();
    if (1..=NAME_CHARS_MAX).contains(&length) && !text.chars().any(misleads) {
        return Ok(Arc::from(text));
    }
    Err(Wrong::new("this is no name")
        .right(format!("1 to {NAME_CHARS_MAX} characters without control characters")))
}

/// The URL that errors point to: RFC 6749 section 5.2 allows `%x21 / %x23-5B / %x5D-7E`.
pub(super) fn parse_error_uri(text: &str) -> Result<Name, Wrong> {
    let shaped = text.len() <= URL_BYTES_MAX
        && (text.starts_with("https://") || text.starts_with("http://"))
        && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
        && text.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some_and(|h| !h.is_empty()));
    if shaped {
        return Ok(Arc::from(text));
    }
    Err(Wrong::new(format!("`{}` is no URL for `error_uri`", shorten(text)))
        .right("a whole URL, such as `https://docs.hub.example/errors`"))
}

/// A redirection URI (RFC 6749 section 3.1.2): absolute, without a fragment.
pub(super) fn parse_redirect_uri(text: &str) -> Result<Name, Wrong> {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"#\"\\<>^`{|}".contains(&byte);
    if is_scheme && text.len() <= URL_BYTES_MAX && text.bytes().all(is_plain) {
        return Ok(Arc::from(text));
    }
    Err(Wrong::new(format!("`{}` is no redirection URI", shorten(text)))
        .right("a whole URL without a fragment, such as `https://app.example/callback`"))
}

/// A client id of another system (RFC 6749 appendix A.1), without spaces.
pub(super) fn parse_native_client_id(text: &str) -> Result<Name, Wrong> {
    let fits = (1..=NAME_CHARS_MAX).contains(&text.len());
    if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Arc::from(text));
    }
    Err(Wrong::new(format!("`{}` is no client id", shorten(text)))
        .right(format!("1 to {NAME_CHARS_MAX} visible ASCII characters")))
}

/// A field that names a target. An underscore would be a hyphen to some servers before us.
pub(super) fn parse_target_header(text: &str) -> Result<http::HeaderName, Wrong> {
    let name = http::HeaderName::from_bytes(text.as_bytes()).ok();
    name.filter(|name| !name.as_str().contains('_')).ok_or_else(|| {
        Wrong::new(format!("`{}` is no field name", shorten(text)))
            .right("such as `X-CorAPI-Target-ID`")
    })
}

/// The name of a query parameter.
pub(super) fn parse_target_query(text: &str) -> Result<Name, Wrong> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
        return Ok(Arc::from(text));
    }
    Err(Wrong::new(format!("`{}` is no parameter's name", shorten(text)))
        .right("1 to 64 of the characters `A-Z a-z 0-9 - . _ ~`"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        for (text, ms) in
            [("250ms", 250), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in [
            "",
            "5",
            "s",
            "5 s",
            " 5s",
            "5s ",
            "-5s",
            "+5s",
            "1.5s",
            "5S",
            "5sec",
            "5d",
            "1h30m",
            "18446744073709551616s",
            "18446744073709551615h",
            "٥s",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_rate_is_a_number_and_a_period() {
        for (text, calls, period_s, burst) in [
            ("50/s", 50, 1, 50),
            ("600/m", 600, 60, 10),
            ("601/m", 601, 60, 11),
            ("100/h", 100, 3_600, 1),
            ("1000000/s", 1_000_000, 1, 1_000_000),
        ] {
            let rate = parse_rate(text).unwrap();
            assert_eq!(rate.calls.get(), calls, "{text}");
            assert_eq!(rate.period, Duration::from_secs(period_s), "{text}");
            assert_eq!(rate.burst().get(), burst, "{text}");
        }
        for bad in
            ["", "50", "50/", "/s", "0/s", "50/d", "50 /s", "50/s ", "-1/s", "1000001/s", "1.5/s"]
        {
            assert!(parse_rate(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_path_begins_with_a_slash_and_does_not_end_with_one() {
        for good in ["/oauth/token", "/v2", "/a-b_c.d~e/%2F/x:y@z;v=1"] {
            assert_eq!(parse_path(good).as_deref(), Ok(good));
        }
        assert_eq!(parse_base_path("").as_deref(), Ok(""));
        let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
        for bad in [
            "", "/", "oauth", "/oauth/", "//oauth", "/a//b", "/a?b=c", "/a#b", "/a b", "/ä",
            "/../b", "/a/./b", "/%2", "/%zz", "/a\n", &long,
        ] {
            assert!(parse_path(bad).is_err(), "{bad:?}");
        }
        assert!(parse_path(&long[..PATH_BYTES_MAX]).is_ok());
        assert!(parse_base_path("/").is_err());
    }

    #[test]
    fn an_address_has_a_port() {
        for good in ["0.0.0.0:8443", "127.0.0.1:0", "[::1]:8443"] {
            assert!(parse_listen(good).is_ok(), "{good}");
        }
        for bad in ["", "8443", ":8443", "localhost:8443", "0.0.0.0", "::1:8443", "1.2.3.4:65536"] {
            assert!(parse_listen(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_name_has_no_port() {
        assert_eq!(parse_host_name("Corgate.Internal."), Ok("corgate.internal".to_owned()));
        for bad in ["", "corgate:9443", "http://corgate", "a b", "a/b", "*"] {
            assert!(parse_host_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_error_uri_may_stand_in_an_error() {
        assert!(parse_error_uri("https://hub.example/errors?x#y").is_ok());
        for bad in ["", "hub.example", "ftp://hub", "https://", "https://a b", "https://a\"", "x:"]
        {
            assert!(parse_error_uri(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_native_contracts_are_mounted_with() {
        for good in ["https://app.example/cb?x=1", "app:/cb", "http://127.0.0.1:8080/"] {
            assert_eq!(parse_redirect_uri(good).as_deref(), Ok(good));
        }
        for bad in ["", "/cb", "https://a/#f", "https://a/\r\nX: 1", "https://a/ b", "1a:/b", ":a"]
        {
            assert!(parse_redirect_uri(bad).is_err(), "{bad}");
        }
        assert!(
            parse_native_client_id("dc-7tf8").is_ok() && parse_native_client_id("a b").is_err()
        );
        assert!(parse_target_header("X-Bank").is_ok() && parse_target_header("x_bank").is_err());
        assert!(parse_target_query("provider_id").is_ok() && parse_target_query("a=b").is_err());
    }

    /// Numbers with units, paths, and anything.
    const TEXT: &str = r"[0-9]{0,25}(ms|s|m|h|/s|/h)?|[/a-z.%:]{0,30}|\PC{0,40}";

    proptest! {
        /// No text is too odd for a key of the table, and what is taken is taken as it is.
        #[test]
        fn any_text_is_taken_or_refused(text in TEXT) {
            let _ = (parse_duration(&text), parse_listen(&text), parse_target_header(&text));
            if let Ok(rate) = parse_rate(&text) {
                assert!(rate.burst().get() <= 1_000_000, "{text}");
            }
            for parsed in [
                parse_path(&text),
                parse_base_path(&text),
                parse_name(&text),
                parse_error_uri(&text),
                parse_redirect_uri(&text),
                parse_native_client_id(&text),
                parse_target_query(&text),
            ] {
                assert!(parsed.is_err() || parsed.as_deref() == Ok(text.as_str()), "{text}");
            }
        }
    }
}
