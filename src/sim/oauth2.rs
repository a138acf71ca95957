//! A simulated bank that speaks OAuth 2.0 as it is written: tokens (RFC 6749), revocation (RFC
//! 7009), introspection (RFC 7662) and userinfo (OpenID Connect).
//!
//! This file decides what such a bank answers. It must not know the gateway, nor bLink.

mod assertions;
mod books;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use self::assertions::Assertions;
use self::books::{Books, Tokens};
use super::bank::Mischief;
use super::form::Form;
use super::lock;
use super::server::{Answer, Listening, Party, Received, Reply, Server};

/// The user of every consent that no test has made: see [`OAuth2Bank::issue_code`].
pub const ANYBODY: &str = "anna.muster";

/// How such a bank is started.
#[derive(Clone)]
pub struct OAuth2Config {
    /// Where and how it listens.
    pub listening: Listening,
    /// The one client that it knows.
    pub client_id: String,
    /// Its secret; `None` where the client shows none.
    pub client_secret: Option<String>,
    /// The public key, as PEM, of the client's assertions; where there is one, nothing else counts.
    pub public_key: Option<String>,
    /// Whether a refresh token is good once (RFC 9700 section 4.14.2).
    pub rotates: bool,
    /// How long it thinks about a token call.
    pub think: Duration,
    /// Its tokens follow from this number.
    pub seed: u64,
}

impl OAuth2Config {
    /// A bank that knows the client `hub` with the secret `hub-secret`, and rotates.
    pub fn new(listening: Listening) -> Self {
        Self {
            listening,
            client_id: "hub".to_owned(),
            client_secret: Some("hub-secret".to_owned()),
            public_key: None,
            rotates: true,
            think: Duration::ZERO,
            seed: 0,
        }
    }
}

/// A simulated bank that runs until it is dropped.
pub struct OAuth2Bank {
    desk: Arc<Desk>,
    server: Server,
}

impl OAuth2Bank {
    /// Starts a bank on a thread of its own.
    ///
    /// # Errors
    /// When its address can't be bound, or `public_key` is none on P-256.
    pub fn start(config: OAuth2Config) -> io::Result<Self> {
        let listening = config.listening.clone();
        let books = Mutex::new(Books::new(config.seed, config.rotates));
        let assertions = config.public_key.as_deref().map(Assertions::new).transpose()?;
        let desk = Arc::new(Desk { config, books, assertions });
        let server = Server::start(listening, Arc::clone(&desk) as Arc<dyn Party>)?;
        Ok(Self { desk, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where its control listener is.
    pub fn control(&self) -> Option<SocketAddr> {
        self.server.control()
    }

    /// A user's consent: a code that is good once. A code `demo-code-…` is one of [`ANYBODY`]'s.
    pub fn issue_code(&self, username: &str) -> String {
        lock(&self.desk.books).issue_code(username)
    }

    /// What it has received, oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.server.requests()
    }
}

struct Desk {
    config: OAuth2Config,
    books: Mutex<Books>,
    assertions: Option<Assertions>,
}

impl Party for Desk {
    fn answer(&self, request: &Received) -> Reply {
        let form = Form::read(&request.body);
        let values = ["code", "refresh_token", "token"].iter().filter_map(|name| form.value(name));
        let mischief = values.chain(bearer(request)).find_map(Mischief::parse);
        let answer = match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/oauth/userinfo") if mischief.is_none() => self.userinfo(request),
            ("GET", "/oauth/userinfo") => good(&json!({ "preferred_username": ANYBODY })),
            ("POST", "/oauth/token" | "/oauth/revoke" | "/oauth/introspect")
                if !self.knows(request, &form) =>
            {
                refuse(401, "invalid_client").with("WWW-Authenticate", "Basic realm=\"bank\"")
            }
            ("POST", path) => match (path, mischief) {
                ("/oauth/token", None) => self.token(&form),
                ("/oauth/token", Some(_)) => granted(&Tokens::fixed(), "ais"),
                ("/oauth/revoke", None) => self.revoke(&form),
                ("/oauth/revoke", Some(_)) => Answer::new(StatusCode::OK),
                ("/oauth/introspect", None) => self.introspect(&form),
                ("/oauth/introspect", Some(_)) => {
                    good(&json!({ "active": true, "username": ANYBODY }))
                }
                _ => refuse(404, "invalid_request"),
            },
            _ => refuse(405, "invalid_request").with("Allow", "POST"),
        };
        let mut reply = match mischief {
            Some(mischief) => mischief.spoil(answer),
            None => answer.into(),
        };
        if request.path == "/oauth/token" {
            reply.wait = reply.wait.max(self.config.think);
        }
        reply
    }

    fn reset(&self) {
        lock(&self.books).reset();
    }
}

impl Desk {
    /// Client authentication (RFC 6749 section 2.3.1): Basic, or in the body; never both.
    /// With a public key: by assertion (RFC 7523 section 2.2), for the token endpoint.
    fn knows(&self, request: &Received, form: &Form) -> bool {
        if let Some(assertions) = &self.assertions {
            let host = request.header("Host").unwrap_or_default();
            let audience = format!("https://{host}/oauth/token");
            let alone =
                request.header("Authorization").is_none() && form.value("client_secret").is_none();
            let good = assertions.accept(form, &self.config.client_id, &audience, unix_seconds());
            return alone && good.is_some();
        }
        let Some(secret) = &self.config.client_secret else {
            return form.value("client_id") == Some(&self.config.client_id);
        };
        let expected = (self.config.client_id.clone(), secret.clone());
        let in_body = form.value("client_id").zip(form.value("client_secret"));
        match (basic(request), in_body) {
            (Some(basic), None) => basic == expected,
            (None, Some((id, secret))) => (id.to_owned(), secret.to_owned()) == expected,
            (Some(_), Some(_)) | (None, None) => false,
        }
    }

    fn token(&self, form: &Form) -> Answer {
        let mut books = lock(&self.books);
        let tokens = match form.value("grant_type") {
            Some("authorization_code") => form.value("code").map(|code| books.exchange(code)),
            Some("refresh_token") => form.value("refresh_token").map(|token| books.refresh(token)),
            _ => return refuse(400, "unsupported_grant_type"),
        };
        match tokens {
            None => refuse(400, "invalid_request"),
            Some(None) => refuse(400, "invalid_grant"),
            Some(Some(tokens)) => granted(&tokens, "ais"),
        }
    }

    /// RFC 7009 section 2.2: 200 also for what is no token.
    fn revoke(&self, form: &Form) -> Answer {
        let Some(token) = form.value("token") else { return refuse(400, "invalid_request") };
        lock(&self.books).revoke(token);
        Answer::new(StatusCode::OK)
    }

    fn introspect(&self, form: &Form) -> Answer {
        let user = form.value("token").and_then(|token| lock(&self.books).user(token));
        good(&match user {
            Some(user) => {
                json!({ "active": true, "username": user, "client_id": self.config.client_id })
            }
            None => json!({ "active": false }),
        })
    }

    fn userinfo(&self, request: &Received) -> Answer {
        match bearer(request).and_then(|token| lock(&self.books).user(token)) {
            Some(user) => good(&json!({ "sub": "1", "preferred_username": user })),
            None => refuse(401, "invalid_token")
                .with("WWW-Authenticate", "Bearer error=\"invalid_token\""),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a bank has a clock of its own")]
fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// A token answer as banks write them: the type in capitals, and an extra member.
fn granted(tokens: &Tokens, scope: &str) -> Answer {
    let mut members = json!({
        "access_token": tokens.access,
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": scope,
        "id_token": "of-no-use",
    });
    if let (Some(refresh), Some(members)) = (&tokens.refresh, members.as_object_mut()) {
        members.insert("refresh_token".to_owned(), refresh.clone().into());
    }
    good(&members)
}

fn good(body: &Value) -> Answer {
    Answer::new(StatusCode::OK)
        .with("Content-Type", "application/json")
        .with("Cache-Control", "no-store")
        .body(body.to_string())
}

fn refuse(status: u16, error: &str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let description = format!("simulated {error}");
    Answer { status, ..good(&json!({ "error": error, "error_description": description })) }
}

fn bearer(request: &Received) -> Option<&str> {
    request.header("Authorization")?.strip_prefix("Bearer ")
}

/// Id and secret of `Basic`, form-decoded.
fn basic(request: &Received) -> Option<(String, String)> {
    let text = request.header("Authorization")?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let pair = Form::read(format!("id={id}&secret={secret}").as_bytes());
    Some((pair.value("id")?.to_owned(), pair.value("secret")?.to_owned()))
}
