//! Golden files: whole conversations with a bank, played without sockets and kept in
//! `tests/golden`, so that a reader sees what goes over the wire. `UPDATE_GOLDEN=1 cargo test`
//! writes them anew.
//!
//! This file decides how a conversation is written down. It must not know any dialect.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::held::read_answer;
use super::told::{Memory, Told};
use super::{Asked, Held, ProviderAnswer, ProviderRequest, Recipe, TURNS_MAX, Turn};
use crate::answer::{Answer, Manner};
use crate::contract::{AuthorizationPolicy, Contract};
use crate::fault::Fault;
use crate::ids::{ClientId, CorrelationId};
use crate::oauth::Call;
use crate::oauth::form::Form;
use crate::routes::{MemorySources, Target, load_with};

/// A call, and what the bank says to it.
#[derive(Clone, Copy)]
pub(super) struct Scene {
    /// The file's name.
    pub(super) name: &'static str,
    /// What it shows.
    pub(super) shows: &'static str,
    /// The bank's entry in the table, without its id.
    pub(super) target: &'static str,
    /// Which call.
    pub(super) call: Call,
    /// The client's form.
    pub(super) form: &'static str,
    /// The client's Bearer token.
    pub(super) bearer: Option<&'static str>,
    /// Whether the hub saw that token issued, and whether it has ended since.
    pub(super) told: Option<Ended>,
    /// The bank's answers, in order: status, a field, body.
    pub(super) answers: &'static [Said],
}

/// Whether a token has ended.
#[derive(Clone, Copy)]
pub(super) struct Ended(pub(super) bool);

/// An answer of the bank: status, fields, body.
pub(super) type Said = (u16, &'static [(&'static str, &'static str)], &'static str);

/// The client of every scene.
const CLIENT: &str = "CIDX0000000002";

/// Plays every scene and compares each with its file; a file without a scene is a mistake too.
pub(super) fn check(folder: &str, scenes: &[Scene]) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let mut names = BTreeSet::new();
    for scene in scenes {
        let file = format!("{}.txt", scene.name);
        compare(&folder.join(&file), &play(scene));
        assert!(names.insert(file), "{} stands twice", scene.name);
    }
    let written = std::fs::read_dir(&folder).unwrap();
    let written = written.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(written.collect::<BTreeSet<_>>(), names);
}

#[expect(clippy::disallowed_methods, reason = "the one switch of the golden files")]
fn compare(path: &Path, text: &str) {
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(text == expected, "{} is out of date:\n{text}", path.display());
}

/// The bank of a scene. Its secrets are in the environment, and there is a file of one.
pub(super) fn target(lines: &str) -> Arc<Target> {
    let text = format!(
        "[gateway]\ninsecure_plain_listen = '127.0.0.1:8080'\ninsecure_header_identity = true\n\
         [[api]]\ncontract = 'blink-fi'\n[[target]]\nid = 'IIDX00007'\n{lines}\n"
    );
    let sources = MemorySources::default()
        .file("routes.toml", &text)
        .with_variable("BASIC", "api-consumer-id:password")
        .with_variable("CCG_TOKEN", "ccg-token-of-the-table")
        .with_variable("EIDAS", "ZWlkYXMtY2VydGlmaWNhdGU=")
        .with_variable("SECRET", "the-hubs-own-secret");
    let loaded = load_with(Path::new("routes.toml"), &sources, &mut Contract::compile);
    let table = loaded.unwrap_or_else(|report| panic!("{report}")).table;
    Arc::clone(table.targets.values().next().unwrap())
}

fn play(scene: &Scene) -> String {
    let target = target(scene.target);
    let contract = Contract::BUILT_IN[0];
    let contract = Contract::compile(contract.0, contract.1).unwrap();
    let operation = contract.operations.iter().find(|o| o.call == scene.call).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-psu-ip-address", "192.0.2.7"), ("user-agent", "client/1")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(bearer) = scene.bearer {
        let value = HeaderValue::from_str(&format!("Bearer {bearer}")).unwrap();
        headers.insert(http::header::AUTHORIZATION, value);
    }
    let (client, target_id) =
        (HeaderValue::from_static(CLIENT), HeaderValue::from_static("IIDX00007"));
    let body = Bytes::from_static(scene.form.as_bytes());
    let asked = Asked {
        call: scene.call,
        head: &operation.head,
        authorization: AuthorizationPolicy::Refuse,
        target: &target,
        client_id: &ClientId::parse(CLIENT).unwrap(),
        client: &client,
        target_id: &target_id,
        correlation: &CorrelationId::fresh(uuid::Uuid::from_u128(7)),
        traceparent: HeaderValue::from_static(
            "00-00000000000000000000000000000007-0000000000000007-01",
        ),
        headers: &headers,
        body: &body,
        form: &Form::parse(&body).unwrap(),
        told: scene.told.map(told),
    };
    let mut play = Play { scene, asked: &asked, text: String::new(), answers: scene.answers };
    play.all();
    play.text
}

#[expect(clippy::disallowed_methods, reason = "a test's first instant has to come from somewhere")]
fn told(Ended(ended): Ended) -> Told {
    let (memory, now) = (Memory::default(), Instant::now());
    memory.tell("T", "token", "name", Duration::from_secs(u64::from(!ended)), now);
    memory.recall("T", "token", now).unwrap()
}

/// A scene under way.
struct Play<'s> {
    scene: &'s Scene,
    asked: &'s Asked<'s>,
    text: String,
    answers: &'static [Said],
}

impl Play<'_> {
    fn all(&mut self) {
        let Scene { shows, call, form, bearer, .. } = *self.scene;
        self.line(&format!("# {shows}\n\n-> {}", call.as_str()));
        if let Some(bearer) = bearer {
            self.line(&format!("authorization: Bearer {bearer}"));
        }
        self.line(&format!("\n{form}\n"));
        let mut held = None;
        let outcome = self.converse(&mut held);
        if let (Err(Fault::CredentialsRejected), Some(held)) = (&outcome, &held)
            && Held::key(held).is_some()
        {
            self.line("(the held token is forgotten)\n");
        }
        let (answer, code) = match outcome {
            Ok(answer) => (answer, None),
            Err(fault) => (Answer::of_fault(&fault, Manner::default()), Some(fault.row().code)),
        };
        let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
        self.line(&format!("<- {} {}{code}", answer.status.as_u16(), answer.source.as_str()));
        self.fields(&answer.headers);
        self.body(&answer.body);
        assert!(self.answers.is_empty(), "{}: answers that nobody asked for", self.scene.name);
    }

    fn converse(&mut self, kept: &mut Option<Held>) -> Result<Answer, Fault> {
        *kept = match super::recipe(self.asked)? {
            None => None,
            Some(Recipe::Static(held)) => Some(held),
            Some(Recipe::Fetch { key, request, token_pointer, expires_pointer, default_life }) => {
                let answer = self.ask(&request);
                let read =
                    read_answer(key, &answer, &token_pointer, &expires_pointer, default_life);
                Some(read?.0)
            }
        };
        let mut turn = super::open(self.asked, kept.as_ref())?;
        for number in 0..TURNS_MAX {
            let request = match turn {
                Turn::Done(heard) => return Ok(heard.answer),
                Turn::Ask(request) => request,
            };
            let answer = self.ask(&request);
            turn = super::hear(self.asked, kept.as_ref(), number, answer)?;
        }
        panic!("{}: no end", self.scene.name);
    }

    fn ask(&mut self, request: &ProviderRequest) -> ProviderAnswer {
        let origin = &self.asked.target.origins(request.host)[0];
        self.line(&format!("=> {} {origin}{}", request.method, request.path));
        self.fields(&request.headers);
        self.body(&request.body);
        let ((status, fields, body), rest) = self.answers.split_first().unwrap();
        self.answers = rest;
        let mut headers = HeaderMap::new();
        for (name, value) in *fields {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        self.line(&format!("<= {status}"));
        self.fields(&headers);
        self.body(body.as_bytes());
        let status = StatusCode::from_u16(*status).unwrap();
        ProviderAnswer { status, headers, body: Bytes::from_static(body.as_bytes()) }
    }

    fn line(&mut self, line: &str) {
        writeln!(self.text, "{line}").unwrap();
    }

    fn fields(&mut self, headers: &HeaderMap) {
        for (name, value) in headers {
            self.line(&format!("{name}: {}", value.to_str().unwrap()));
        }
    }

    fn body(&mut self, body: &[u8]) {
        if !body.is_empty() {
            self.line(&format!("\n{}", std::str::from_utf8(body).unwrap()));
        }
        self.line("");
    }
}
