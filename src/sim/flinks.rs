//! A simulated Flinks: a token endpoint that takes JSON, a revocation that ends a connection
//! (seeds 002 and 004), and what a data recipient asks besides (`recipient`).
//!
//! This file decides what Flinks answers, and which token is good. It must not know the gateway,
//! nor bLink.

mod recipient;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::bank::Mischief;
use super::form::Form;
use super::lock;
use super::mint::Mint;
use super::server::{Answer, Listening, Party, Received, Reply, Server};

/// How a Flinks is started.
#[derive(Clone)]
pub struct FlinksConfig {
    /// Where and how it listens.
    pub listening: Listening,
    /// The one recipient that it knows.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Its tokens follow from this number.
    pub seed: u64,
}

impl FlinksConfig {
    /// A Flinks that knows the recipient `dc-hub` with the secret `dc-secret`.
    pub fn new(listening: Listening) -> Self {
        let (client_id, client_secret) = ("dc-hub".to_owned(), "dc-secret".to_owned());
        Self { listening, client_id, client_secret, seed: 0 }
    }
}

/// A simulated Flinks that runs until it is dropped.
pub struct Flinks {
    server: Server,
}

impl Flinks {
    /// Starts it on a thread of its own.
    ///
    /// # Errors
    /// When its address can't be bound.
    pub fn start(config: FlinksConfig) -> io::Result<Self> {
        let listening = config.listening.clone();
        let books = Mutex::new(Books::new(config.seed));
        let server = Server::start(listening, Arc::new(Desk { config, books }))?;
        Ok(Self { server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where its control listener is.
    pub fn control(&self) -> Option<SocketAddr> {
        self.server.control()
    }

    /// What it has received, oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.server.requests()
    }
}

/// What it knows: which codes were used, and which connection a token belongs to.
struct Books {
    mint: Mint,
    used: HashSet<String>,
    ended: HashSet<usize>,
    connections: usize,
    /// Tokens of the recipient's own, which belong to no connection.
    own: HashSet<String>,
    access: HashMap<String, usize>,
    refresh: HashMap<String, usize>,
}

impl Books {
    fn new(seed: u64) -> Self {
        Self {
            mint: Mint::new(seed),
            used: HashSet::new(),
            ended: HashSet::new(),
            connections: 0,
            own: HashSet::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
        }
    }

    /// The connection that a token belongs to, while it lasts.
    fn live(&self, tokens: &HashMap<String, usize>, token: &str) -> Option<usize> {
        tokens.get(token).copied().filter(|connection| !self.ended.contains(connection))
    }
}

struct Desk {
    config: FlinksConfig,
    books: Mutex<Books>,
}

impl Party for Desk {
    fn answer(&self, request: &Received) -> Reply {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        match (request.method.as_str(), path) {
            ("POST", "/api/v1/token") => self.token(&Parameters::read(request)),
            ("DELETE" | "POST", "/api/v1/revoke") => self.revoke(request),
            (_, "/api/v1/token" | "/api/v1/revoke") => message(405, "method").into(),
            ("GET", path) if recipient::wants_bearer(path) && !self.knows(request) => {
                message(401, "The access token expired").into()
            }
            ("GET", path) => recipient::answer(path, query).into(),
            _ => message(404, "no such path").into(),
        }
    }

    fn reset(&self) {
        let mut books = lock(&self.books);
        *books = Books::new(self.config.seed);
    }
}

impl Desk {
    fn token(&self, parameters: &Parameters) -> Reply {
        let value = |name| parameters.value(name);
        let known = value("client_id") == Some(&self.config.client_id)
            && value("client_secret") == Some(&self.config.client_secret);
        if !known {
            // Flinks: 400, not 401.
            return refuse("invalid_client").into();
        }
        let grant = value("grant_type");
        if grant == Some("client_credentials") {
            return self.own_token().into();
        }
        let name = if grant == Some("refresh_token") { "refresh_token" } else { "code" };
        let Some(text) = value(name) else { return refuse("invalid_request").into() };
        if let Some(mischief) = Mischief::parse(text) {
            return mischief.spoil(tokens("at-static", Some("rt-static")));
        }
        match grant {
            Some("authorization_code") if value("redirect_uri").is_none() => {
                refuse("invalid_request").into()
            }
            Some("authorization_code") => self.exchange(text).into(),
            Some("refresh_token") => self.refresh(text).into(),
            _ => refuse("unsupported_grant_type").into(),
        }
    }

    /// "Get an access token by passing your client credentials to the /Token endpoint" (seed).
    fn own_token(&self) -> Answer {
        let mut books = lock(&self.books);
        let access = books.mint.next("own");
        books.own.insert(access.clone());
        tokens(&access, None)
    }

    /// Whether the Bearer token is good.
    fn knows(&self, request: &Received) -> bool {
        let bearer = request.header("Authorization").and_then(|text| text.strip_prefix("Bearer "));
        let books = lock(&self.books);
        bearer.is_some_and(|it| books.own.contains(it) || books.live(&books.access, it).is_some())
    }

    fn exchange(&self, code: &str) -> Answer {
        let mut books = lock(&self.books);
        if !code.starts_with("demo-code-") || !books.used.insert(code.to_owned()) {
            return refuse("invalid_grant");
        }
        books.connections += 1;
        let connection = books.connections;
        let access = self.access_token(&mut books, connection);
        let refresh = books.mint.next("rt");
        books.refresh.insert(refresh.clone(), connection);
        tokens(&access, Some(&refresh))
    }

    /// Seed 004: the refresh token "does not change when exchanged", and is not answered.
    fn refresh(&self, refresh: &str) -> Answer {
        let mut books = lock(&self.books);
        match books.live(&books.refresh, refresh) {
            Some(connection) => tokens(&self.access_token(&mut books, connection), None),
            None => refuse("invalid_grant"),
        }
    }

    /// Ends the connection that the Bearer token belongs to.
    fn revoke(&self, request: &Received) -> Reply {
        let bearer = request.header("Authorization").and_then(|text| text.strip_prefix("Bearer "));
        let Some(bearer) = bearer else { return refuse("invalid_request").into() };
        let ended = Answer::new(StatusCode::NO_CONTENT);
        if let Some(mischief) = Mischief::parse(bearer) {
            return mischief.spoil(ended);
        }
        let mut books = lock(&self.books);
        match books.live(&books.access, bearer) {
            Some(connection) => {
                books.ended.insert(connection);
                ended.into()
            }
            None => message(401, "The access token expired").into(),
        }
    }

    /// A JWT without a signature; the seed names its claims.
    fn access_token(&self, books: &mut Books, connection: usize) -> String {
        let claims = json!({
            "client_id": self.config.client_id,
            "sub": format!("user-{connection}"),
            "jti": books.mint.next("at"),
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}.c2ln", part(&json!({ "alg": "none" })), part(&claims));
        books.access.insert(text.clone(), connection);
        text
    }
}

/// A token call's parameters, from JSON or a form.
enum Parameters {
    Json(Value),
    Form(Form),
}

impl Parameters {
    fn read(request: &Received) -> Self {
        match request.header("Content-Type") {
            Some("application/json") => {
                Self::Json(serde_json::from_slice(&request.body).unwrap_or_default())
            }
            _ => Self::Form(Form::read(&request.body)),
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        match self {
            Self::Json(json) => json.get(name).and_then(Value::as_str),
            Self::Form(form) => form.value(name),
        }
    }
}

fn tokens(access: &str, refresh: Option<&str>) -> Answer {
    let mut body = json!({ "access_token": access, "token_type": "Bearer", "expires_in": 300 });
    if let (Some(refresh), Some(body)) = (refresh, body.as_object_mut()) {
        body.insert("refresh_token".to_owned(), refresh.into());
    }
    json_answer(200, &body)
}

fn refuse(error: &str) -> Answer {
    let description = format!("simulated {error}");
    json_answer(400, &json!({ "error": error, "error_description": description }))
}

/// Flinks' other kind of error: without a code.
fn message(status: u16, text: &str) -> Answer {
    json_answer(status, &json!({ "message": text }))
}

fn json_answer(status: u16, body: &Value) -> Answer {
    Answer::new(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST))
        .with("Content-Type", "application/json")
        .body(body.to_string())
}
