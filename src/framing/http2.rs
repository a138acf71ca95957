//! What two parsers could read in two ways in the head of an HTTP/2 request.
//!
//! The library has refused what breaks RFC 9113 by itself. This file decides what is refused
//! besides, so that a head means the same over both protocols: which server is asked, and how long
//! the body is. It must not know what a path means. A fragment in `:path` can't be seen here: the
//! library cuts it off before anybody could look.

use http::header::{CONTENT_LENGTH, HOST};
use http::request;

use super::{PLAIN_IN_HOST, check_host};
use crate::fault::Fault;

/// Checks `:scheme`, `:authority`, `host` and `content-length` (RFC 9113 section 8.3.1).
///
/// # Errors
/// [`Fault::HttpMalformed`].
pub fn check_http2_head(head: &request::Parts) -> Result<(), Fault> {
    if head.uri.scheme_str().is_some_and(|scheme| !matches!(scheme, "https" | "http")) {
        return Err(Fault::HttpMalformed(":scheme"));
    }
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    if let Some(authority) = authority {
        // No userinfo: `@` stands in no host (RFC 9110 section 4.2.4).
        check_host(authority)?;
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    if let Some(host) = hosts.next() {
        let host = host.as_bytes().trim_ascii();
        if hosts.next().is_some() || host.is_empty() || !PLAIN_IN_HOST.has_all(host) {
            return Err(Fault::HttpMalformed("Host"));
        }
        if authority.is_some_and(|authority| !authority.eq_ignore_ascii_case(host)) {
            return Err(Fault::HttpMalformed("Host differs from :authority"));
        }
    }
    if head.headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Fault::HttpMalformed("Content-Length twice"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{Request, Version};

    use super::*;

    fn check(uri: &str, fields: &[(&str, &str)]) -> Result<(), Fault> {
        let mut request = Request::builder().version(Version::HTTP_2).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        check_http2_head(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_head_that_names_one_server_and_one_length_is_good() {
        let good: [(&str, &[(&str, &str)]); 5] = [
            ("https://hub.example/a", &[]),
            ("http://hub.example:443/a", &[("host", "HUB.example:443")]),
            ("/a", &[("host", "hub.example")]),
            ("/a", &[]),
            ("https://[::1]:443/a?b=c", &[("content-length", "5")]),
        ];
        for (uri, fields) in good {
            assert_eq!(check(uri, fields), Ok(()), "{uri} {fields:?}");
        }
    }

    #[test]
    fn what_two_servers_could_read_in_two_ways_is_malformed() {
        let bad: [(&str, &[(&str, &str)]); 9] = [
            ("ftp://hub.example/a", &[]),
            ("x://hub.example/a", &[]),
            ("https://anna@hub.example/a", &[]),
            ("https://anna:pw@hub.example/a", &[("host", "hub.example")]),
            ("https://hub.example/a", &[("host", "evil.example")]),
            ("https://hub.example/a", &[("host", "hub.example:443")]),
            ("https://hub.example/a", &[("host", "hub.example"), ("host", "hub.example")]),
            ("/a", &[("host", "anna@hub.example")]),
            ("/a", &[("content-length", "5"), ("content-length", "5")]),
        ];
        for (uri, fields) in bad {
            let checked = check(uri, fields);
            assert!(matches!(checked, Err(Fault::HttpMalformed(_))), "{uri} {fields:?}");
        }
    }
}
