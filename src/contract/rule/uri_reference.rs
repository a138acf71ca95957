//! The syntax of a URI reference (RFC 3986), for `redirect_uri`.
//!
//! This file decides whether a text is one. It must not know which URIs a client registered: the
//! exact match is the bank's (RFC 6749 section 3.1.2.3).

use std::net::Ipv6Addr;

use memchr::memchr;

use crate::octets::Octets;

/// `unreserved / sub-delims` (RFC 3986 sections 2.2 and 2.3).
static PLAIN: Octets = Octets::alphanumeric_and(b"-._~!$&'()*+,;=");
/// The same, and what parts a name from a password.
static USERINFO: Octets = Octets::alphanumeric_and(b"-._~!$&'()*+,;=:");
/// `pchar` (section 3.3) but for percent-encodings, and what parts segments.
static PATH: Octets = Octets::alphanumeric_and(b"-._~!$&'()*+,;=:@/");
/// What a query and a fragment are made of (sections 3.4 and 3.5), but for percent-encodings.
static QUERY: Octets = Octets::alphanumeric_and(b"-._~!$&'()*+,;=:@/?");
static SCHEME: Octets = Octets::alphanumeric_and(b"+-.");

/// `URI-reference = URI / relative-ref` (RFC 3986 section 4.1). The empty text is one.
pub(super) fn is_uri_reference(text: &str) -> bool {
    let (rest, fragment) = cut(text, b'#').unwrap_or((text, ""));
    let (rest, query) = cut(rest, b'?').unwrap_or((rest, ""));
    is_made_of(fragment, &QUERY)
        && is_made_of(query, &QUERY)
        && without_scheme(rest).is_some_and(is_authority_and_path)
}

/// Parts a text at the first of an ASCII character.
fn cut(text: &str, mark: u8) -> Option<(&str, &str)> {
    let at = memchr(mark, text.as_bytes())?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Takes a scheme off. `None` where a colon stands in the first segment and what is before it is no
/// scheme: "path-noscheme ; begins with a non-colon segment" (section 4.2).
fn without_scheme(text: &str) -> Option<&str> {
    let Some((scheme, rest)) = cut(text, b':').filter(|(before, _)| !before.contains('/')) else {
        return Some(text);
    };
    let shaped = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && SCHEME.has_all(scheme.as_bytes());
    shaped.then_some(rest)
}

fn is_authority_and_path(text: &str) -> bool {
    let path = match text.strip_prefix("//") {
        None => text,
        Some(rest) => {
            let slash = memchr(b'/', rest.as_bytes());
            let (authority, path) = rest.split_at(slash.unwrap_or(rest.len()));
            if !is_authority(authority) {
                return false;
            }
            path
        }
    };
    is_made_of(path, &PATH)
}

/// `authority = [ userinfo "@" ] host [ ":" port ]` (section 3.2).
fn is_authority(text: &str) -> bool {
    let (userinfo, host) = text.rsplit_once('@').unwrap_or(("", text));
    is_made_of(userinfo, &USERINFO) && is_host_and_port(host)
}

fn is_host_and_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        None => {
            let (name, port) = cut(text, b':').unwrap_or((text, ""));
            (is_made_of(name, &PLAIN), port)
        }
        Some(literal) => {
            let Some((address, after)) = literal.split_once(']') else { return false };
            let port = match after.strip_prefix(':') {
                Some(port) => port,
                None if after.is_empty() => "",
                None => return false,
            };
            (address.parse::<Ipv6Addr>().is_ok() || is_future_address(address), port)
        }
    };
    host && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// `IPvFuture = "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )` (section 3.2.2).
fn is_future_address(text: &str) -> bool {
    let Some((version, address)) = text.strip_prefix(['v', 'V']).and_then(|v| v.split_once('.'))
    else {
        return false;
    };
    !version.is_empty()
        && version.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !address.is_empty()
        && USERINFO.has_all(address.as_bytes())
}

/// Whether every byte is allowed or part of a percent-encoding (section 2.1).
fn is_made_of(text: &str, allowed: &Octets) -> bool {
    let mut rest = text.as_bytes();
    loop {
        match rest.get(allowed.prefix(rest)..) {
            None | Some([]) => return true,
            Some([b'%', high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest = after;
            }
            Some(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_of_the_rfc_and_of_real_clients() {
        for good in [
            "",
            "https://tpp.example/callback",
            "https://user:pw@tpp.example:8443/cb?state=a/b?c#frag/?",
            "http://[2001:db8::1]:80/",
            "http://[v1.a:b]",
            "http://127.0.0.1:/",
            "com.example.app:/oauth2redirect",
            "urn:ietf:wg:oauth:2.0:oob",
            "mailto:John.Doe@example.com",
            "file:///etc/hosts",
            "//host/path",
            "/callback",
            "callback;a=b",
            "./a:b",
            "?q",
            "#f",
            "https://tpp.example/%C3%A4",
            "a:",
            "a:////",
        ] {
            assert!(is_uri_reference(good), "{good}");
        }
    }

    #[test]
    fn what_is_no_reference() {
        for bad in [
            " ",
            "https://tpp.example/a b",
            "https://tpp.example/ä",
            "https://tpp.example/<script>",
            "https://tpp.example/\"",
            "https://tpp.example/a\r\nb",
            "https://tpp.example/%",
            "https://tpp.example/%4",
            "https://tpp.example/%zz",
            "https://tpp.example/#a#b",
            "https://tpp.example:80a/",
            "https://a@b@c/",
            "https://[::1/",
            "https://[::1]x/",
            "https://[1.2.3.4]/",
            "https://[v.a]/",
            "https://tpp.example/[a]",
            "1http://tpp.example/",
            ":a",
            "a b:c",
            "https://tpp.example\\@evil.example/",
        ] {
            assert!(!is_uri_reference(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[a-z:/?#\\[\\]@%0-9ä ]{0,40}") {
            let _ = is_uri_reference(&text);
        }
    }
}
