//! The syntax of a URI reference (RFC 3986), for `redirect_uri`.
//!
//! This file decides whether a text is one. It must not know which URIs a client registered: the
//! exact match is the bank's (RFC 6749 section 3.1.2.3).

use std::net::Ipv6Addr;

/// `URI-reference = URI / relative-ref` (RFC 3986 section 4.1). The empty text is one.
pub(super) fn is_uri_reference(text: &str) -> bool {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    is_made_of(fragment, |byte| is_pchar(byte) || matches!(byte, b'/' | b'?'))
        && is_made_of(query, |byte| is_pchar(byte) || matches!(byte, b'/' | b'?'))
        && without_scheme(rest).is_some_and(is_authority_and_path)
}

/// Takes a scheme off. `None` where a colon stands in the first segment and what is before it is no
/// scheme: "path-noscheme ; begins with a non-colon segment" (section 4.2).
fn without_scheme(text: &str) -> Option<&str> {
    let first_segment = text.split('/').next().unwrap_or_default();
    let Some((scheme, _)) = first_segment.split_once(':') else { return Some(text) };
    let shaped = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    if shaped { text.get(scheme.len() + 1..) } else { None }
}

fn is_authority_and_path(text: &str) -> bool {
    let path = match text.strip_prefix("//") {
        None => text,
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !is_authority(authority) {
                return false;
            }
            path
        }
    };
    is_made_of(path, |byte| is_pchar(byte) || byte == b'/')
}

/// `authority = [ userinfo "@" ] host [ ":" port ]` (section 3.2).
fn is_authority(text: &str) -> bool {
    let (userinfo, host) = text.rsplit_once('@').unwrap_or(("", text));
    is_made_of(userinfo, |byte| is_plain(byte) || byte == b':') && is_host_and_port(host)
}

fn is_host_and_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        None => {
            let (name, port) = text.split_once(':').unwrap_or((text, ""));
            (is_made_of(name, is_plain), port)
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
        && address.bytes().all(|byte| is_plain(byte) || byte == b':')
}

/// Whether every byte is allowed or part of a percent-encoding (section 2.1).
fn is_made_of(text: &str, is_allowed: impl Fn(u8) -> bool) -> bool {
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let holds = if byte == b'%' {
            rest.next().is_some_and(|digit| digit.is_ascii_hexdigit())
                && rest.next().is_some_and(|digit| digit.is_ascii_hexdigit())
        } else {
            is_allowed(byte)
        };
        if !holds {
            return false;
        }
    }
    true
}

/// `pchar`, but for percent-encodings (section 3.3).
fn is_pchar(byte: u8) -> bool {
    is_plain(byte) || matches!(byte, b':' | b'@')
}

/// `unreserved / sub-delims` (sections 2.2 and 2.3).
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~')
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
        )
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
