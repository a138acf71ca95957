//! Who may ask the admin listener: no web page, under any name.
//!
//! A browser on the operator's machine reaches loopback, too. So a page of a stranger could read
//! what is here under a name of its own that it lets point to 127.0.0.1 (DNS rebinding), and could
//! send a POST without being asked (CSRF). This file decides which names are ours, and what a
//! change must carry that a page can't send. It must not know what the pages are.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};
use axum::response::{IntoResponse as _, Response};

/// What a change must carry, as `1`. A page would have to ask first (CORS), and is never
/// told yes.
const CHANGE_HEADER: &str = "x-corgate-admin";
/// What a browser says of where a request comes from (Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";
/// What the probes of load balancers ask, by whatever name. There is nothing to be learned there.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// Why a request is not served.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal(StatusCode, &'static str);

impl Refusal {
    pub(super) fn response(&self) -> Response {
        (self.0, self.1).into_response()
    }
}

/// Whether a request is served; `names` are those that the table adds.
///
/// # Errors
/// [`Refusal`] with a sentence for whoever reads it.
pub(super) fn check<B: http_body::Body>(
    request: &Request<B>,
    names: &[String],
) -> Result<(), Refusal> {
    if !request.body().is_end_stream() {
        return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, "no request here has a body\n"));
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_read && PROBES.contains(&request.uri().path()) {
        return Ok(());
    }
    let (headers, authority) = (request.headers(), request.uri().authority());
    if request.version() >= Version::HTTP_11 && !headers.contains_key(HOST) {
        return Err(Refusal(StatusCode::BAD_REQUEST, "the request has no Host\n"));
    }
    if !has_our_name(headers, names) || !authority.is_none_or(|name| is_ours(name, names)) {
        let why = "the admin listener is not known by this name: ask it by its address, or add the \
                   name to `admin_hosts`\n";
        return Err(Refusal(StatusCode::MISDIRECTED_REQUEST, why));
    }
    if is_of_a_page(headers) {
        return Err(Refusal(StatusCode::FORBIDDEN, "web pages are not served here\n"));
    }
    let is_asked = headers.get(CHANGE_HEADER).is_some_and(|value| value == "1");
    if !is_read && !is_asked {
        let why = "a change needs the header `X-Corgate-Admin: 1`, which no web page can send\n";
        return Err(Refusal(StatusCode::FORBIDDEN, why));
    }
    Ok(())
}

/// A request of HTTP/1.0 may come without a name; no browser sends one.
fn has_our_name(headers: &HeaderMap, names: &[String]) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => true,
        (Some(_), Some(_)) => false,
        (Some(host), None) => {
            let host = Authority::try_from(host.as_bytes());
            host.is_ok_and(|host| is_ours(&host, names))
        }
    }
}

/// An address is nobody's name. A name without a dot is in no public zone, so nobody from outside
/// can let it point here; neither can anybody below `localhost` (RFC 6761). Nothing but a port
/// stands beside it.
fn is_ours(authority: &Authority, names: &[String]) -> bool {
    let host = authority.host();
    let port = authority.as_str().strip_prefix(host).map(|behind| behind.strip_prefix(':'));
    let is_plain = match port {
        Some(Some(port)) => port.bytes().all(|digit| digit.is_ascii_digit()),
        Some(None) => authority.as_str().len() == host.len(),
        None => false,
    };
    if !is_plain {
        return false;
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    bare.parse::<IpAddr>().is_ok()
        || (!host.is_empty() && !host.contains('.'))
        || host.ends_with(".localhost")
        || names.contains(&host)
}

/// A browser says so of all that a page asks for. What somebody typed in has `none`; a page of
/// ours asks for nothing but itself.
fn is_of_a_page(headers: &HeaderMap) -> bool {
    let site = headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
    headers.contains_key(ORIGIN)
        || site.is_some_and(|site| site != b"none" && site != b"same-origin")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn status(method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        let request = Request::builder().method(method).uri(path);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let names = ["corgate.example.net".to_owned()];
        let checked = check(&request.body(Body::empty()).unwrap(), &names);
        checked.map_or_else(|refusal| refusal.0.as_u16(), |()| 200)
    }

    #[test]
    fn a_name_that_a_stranger_can_let_point_here_is_refused() {
        for host in [
            "127.0.0.1:9443",
            "127.0.0.1",
            "[::1]:9443",
            "localhost",
            "LOCALHOST:9443",
            "localhost.",
            "a.localhost",
            "x",
            "10.1.2.3:9443",
            "corgate.example.net",
            "Corgate.Example.Net.:1",
        ] {
            assert_eq!(status("GET", "/metrics", &[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9443",
            "127.0.0.1.evil.example",
            "a.b.",
            "",
            ".",
            "a b",
            "[::1].evil.example",
            "x@localhost",
            "localhost:9x",
        ] {
            assert_eq!(status("GET", "/metrics", &[("host", host)]), 421, "{host}");
            assert_eq!(status("GET", "/livez", &[("host", host)]), 200, "{host}");
        }
        let two = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(status("GET", "/banks", &two), 421);
        let absolute = "http://evil.example/banks";
        assert_eq!(status("GET", absolute, &[("host", "localhost")]), 421);
        assert_eq!(status("GET", "/banks", &[]), 400, "HTTP/1.1 has a Host");
    }

    #[test]
    fn a_change_needs_what_no_web_page_can_send() {
        let (host, ours) = (("host", "127.0.0.1:9443"), ("x-corgate-admin", "1"));
        assert_eq!(status("POST", "/reload", &[host]), 403);
        assert_eq!(status("POST", "/reload", &[host, ("x-corgate-admin", "")]), 403);
        assert_eq!(status("POST", "/reload", &[host, ("x-corgate-admin", "0")]), 403);
        assert_eq!(status("POST", "/reload", &[host, ours]), 200);
        assert_eq!(status("POST", "/reload", &[host, ours, ("origin", "null")]), 403);
        for site in ["cross-site", "same-site", "?"] {
            let site = ("sec-fetch-site", site);
            assert_eq!(status("POST", "/reload", &[host, ours, site]), 403);
            assert_eq!(status("GET", "/diff", &[host, site]), 403);
        }
        assert_eq!(status("GET", "/diff", &[host, ("sec-fetch-site", "none")]), 200);
        // The question that a browser asks before it sends such a header.
        assert_eq!(status("OPTIONS", "/reload", &[host, ("origin", "http://localhost")]), 403);
        assert_eq!(status("POST", "/livez", &[host]), 403);
    }

    #[test]
    fn no_request_has_a_body() {
        let request = Request::get("/metrics").body(Body::from("x")).unwrap();
        assert_eq!(check(&request, &[]).unwrap_err().0, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
