//! What a test asks: a request that is good until the test spoils it.
//!
//! This file decides what a good request is, and that its secrets are like no other's. It must not
//! know what is answered.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use corgate::sim::form;
use http::{HeaderName, HeaderValue, Request};

/// Where the contract is mounted, unless a test says otherwise.
pub(crate) const BASE: &str = "/consent-flow/v2";
/// The client that calls, unless a test says otherwise.
pub(crate) const CLIENT: &str = "CIDX0000000001";
/// The bank that is called, unless a test says otherwise.
pub(crate) const BANK: &str = "IIDX00001";

/// Which HTTP a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Http {
    /// HTTP/1.1.
    One,
    /// HTTP/2.
    Two,
}

/// A text that occurs nowhere else, so that a search for it finds nothing but itself.
pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{what}-{}-{}", COUNT.fetch_add(1, Ordering::Relaxed), &random[..12])
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    form: Vec<(String, String)>,
    correlated_by: &'static str,
}

/// The hub's own field for the correlation id.
const HUBS: &str = "X-Correlation-ID";

impl Ask {
    /// An authorization code is exchanged. The bank takes any code like it, once.
    pub(crate) fn token() -> Self {
        Self::of("token")
            .param("grant_type", "authorization_code")
            .param("code", &unique("demo-code"))
            .param("redirect_uri", "https://app.example/cb")
            .param("client_id", CLIENT)
            .param("username", &unique("user"))
    }

    /// A token call that asks the bank for mischief.
    pub(crate) fn magic(code: &str) -> Self {
        Self::token().param("code", code)
    }

    /// A token is refreshed.
    pub(crate) fn refresh() -> Self {
        Self::token()
            .param("grant_type", "refresh_token")
            .without_param("code")
            .param("refresh_token", "sim-static")
    }

    /// A token is revoked.
    pub(crate) fn revoke() -> Self {
        Self::of("revoke")
            .param("token", &unique("token"))
            .param("token_type_hint", "access_token")
            .param("client_id", CLIENT)
    }

    /// A username is validated.
    pub(crate) fn username() -> Self {
        Self::of("username")
            .with("Authorization", "Bearer sim-static")
            .param("username", &unique("user"))
    }

    fn of(operation: &str) -> Self {
        Self {
            method: "POST".to_owned(),
            target: format!("{BASE}/oauth/{operation}"),
            headers: Vec::new(),
            body: Vec::new(),
            form: Vec::new(),
            correlated_by: HUBS,
        }
        .with("X-Correlation-ID", unique("id"))
        .with("X-CorAPI-Client-ID", CLIENT)
        .with("X-CorAPI-Target-ID", BANK)
        .with("User-Agent", "it/1")
        .with("Content-Type", "application/x-www-form-urlencoded")
    }

    /// A native call: a method, a path, a body, and no field.
    pub(crate) fn native(method: &str, target: &str, body: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        let (headers, form) = (Vec::new(), Vec::new());
        Self { method, target, headers, body: body.into(), form, correlated_by: HUBS }
    }

    /// Another method.
    pub(crate) fn method(self, method: &str) -> Self {
        Self { method: method.to_owned(), ..self }
    }

    /// Another path, and query.
    pub(crate) fn target(self, target: &str) -> Self {
        Self { target: target.to_owned(), ..self }
    }

    /// A query behind the path.
    pub(crate) fn query(self, query: &str) -> Self {
        let target = format!("{}?{query}", self.target);
        Self { target, ..self }
    }

    /// One more header line.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// No such header line.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self
    }

    /// Exactly this header line of that name.
    pub(crate) fn set(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).with(name, value)
    }

    /// This client, in the header and in the form.
    pub(crate) fn client(self, id: &str) -> Self {
        let in_form = self.form.iter().any(|(name, _)| name == "client_id");
        let ask = self.set("X-CorAPI-Client-ID", id);
        if in_form { ask.param("client_id", id) } else { ask }
    }

    /// This bank.
    pub(crate) fn bank(self, id: &str) -> Self {
        self.set("X-CorAPI-Target-ID", id)
    }

    /// Sets a parameter of the form, where it stands or at the end.
    pub(crate) fn param(mut self, name: &str, value: &str) -> Self {
        match self.form.iter_mut().find(|(present, _)| present == name) {
            Some((_, present)) => value.clone_into(present),
            None => self.form.push((name.to_owned(), value.to_owned())),
        }
        self.written()
    }

    /// One more parameter, whether or not it stands already.
    pub(crate) fn again(mut self, name: &str, value: &str) -> Self {
        self.form.push((name.to_owned(), value.to_owned()));
        self.written()
    }

    /// No such parameter.
    pub(crate) fn without_param(mut self, name: &str) -> Self {
        self.form.retain(|(present, _)| present != name);
        self.written()
    }

    fn written(mut self) -> Self {
        let pairs = self.form.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.body = form::encode(pairs).into_bytes();
        self
    }

    /// These bytes as the body, whatever the form was.
    pub(crate) fn body(self, body: impl AsRef<[u8]>) -> Self {
        Self { body: body.as_ref().to_owned(), ..self }
    }

    /// These bytes behind the body.
    pub(crate) fn and_body(mut self, more: impl AsRef<[u8]>) -> Self {
        self.body.extend_from_slice(more.as_ref());
        self
    }

    /// A body of exactly so many bytes, made so by a parameter that the contract does not know.
    pub(crate) fn body_bytes(self, bytes: usize) -> Self {
        let missing = bytes - self.body.len() - "&padding=".len();
        self.and_body(format!("&padding={}", "p".repeat(missing)))
    }

    /// The values of a header.
    pub(crate) fn values(&self, name: &str) -> Vec<&[u8]> {
        let named = self.headers.iter().filter(|(present, _)| present.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice()).collect()
    }

    /// The field that has the correlation id in this call's document.
    pub(crate) fn correlated_by(self, name: &'static str) -> Self {
        Self { correlated_by: name, ..self }
    }

    /// The id that it has counts for none in its document.
    pub(crate) fn without_correlation(self) -> Self {
        Self { correlated_by: "", ..self }
    }

    /// What it says for a correlation id.
    pub(crate) fn correlation(&self) -> Vec<&[u8]> {
        if self.correlated_by.is_empty() {
            return Vec::new();
        }
        let own = self.values(self.correlated_by);
        if own.is_empty() { self.values(HUBS) } else { own }
    }

    /// For a client library.
    pub(crate) fn request(&self) -> Request<Bytes> {
        let mut request = Request::new(Bytes::from(self.body.clone()));
        *request.method_mut() = self.method.parse().unwrap();
        *request.uri_mut() = self.target.parse().unwrap();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
        }
        request
    }

    /// The head of an HTTP/1.1 request, `Host` and `Content-Length` included, byte by byte.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let framing =
            [("Host", "localhost".to_owned()), ("Content-Length", self.body.len().to_string())];
        for (name, value) in framing {
            if self.values(name).is_empty() {
                head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
        }
        for (name, value) in &self.headers {
            head.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// The whole HTTP/1.1 request.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body.clone()].concat()
    }
}
