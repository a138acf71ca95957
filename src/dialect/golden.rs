//! Golden files of the dialects: what a call becomes at a bank, and what its answer becomes here.
//!
//! Each case is one file of `tests/golden`, held to its bytes; `UPDATE_GOLDEN=1 cargo
//! test` writes them anew. This file decides how a conversation is written down, and what holds in
//! every one. It must not know any dialect.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::held::read_answer;
use super::told::{Memory, Tokens, Told};
use super::{
    Asked, Heard, Held, Moment, Oddity, ProviderAnswer, ProviderRequest, Recipe, TURNS_MAX, Turn,
};
use crate::answer::{Answer, Manner};
use crate::contract::AuthorizationPolicy;
use crate::fault::Fault;
use crate::ids::{ClientId, CorrelationId};
use crate::oauth::Call;
use crate::oauth::form::Form;
use crate::routes::{MemorySources, RouteTable, Target, load};

/// What the table's `${env:SECRET}` is.
pub(super) const SECRET: &str = "test-secret:1";

/// What the table's `${file:hub.pem}` is: a key on P-256.
const KEY: &str = include_str!("../../tests/keys/es256.pem");
/// The moment of every call that is signed.
const NONCE: [u8; 16] = 0x1234_5678_9abc_def0_u128.to_be_bytes();
const MOMENT: Moment = Moment { unix_seconds: 1_790_000_000, nonce: NONCE };

/// What a bank answers: status, fields, body.
pub(super) type Said = (u16, &'static [(&'static str, &'static str)], &'static str);

/// One conversation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    /// Its file's name.
    pub(super) name: &'static str,
    /// Lines of the bank's entry, after `dialect`.
    pub(super) target: &'static str,
    /// The call.
    pub(super) call: Call,
    /// Its form.
    pub(super) form: &'static str,
    /// What the bank says to each request; as many as there are requests.
    pub(super) said: &'static [Said],
    /// What it shows; a line at the top of the file.
    pub(super) shows: &'static str,
    /// What the hub remembers of the client's Bearer token; `None` for nothing.
    pub(super) told: Option<Ended>,
}

/// Whether a token has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended(pub(super) bool);

impl Case {
    /// A case of which there is nothing more to say.
    pub(super) const fn of(
        name: &'static str,
        target: &'static str,
        call: Call,
        form: &'static str,
        said: &'static [Said],
    ) -> Self {
        Self { name, target, call, form, said, shows: "", told: None }
    }
}

/// Plays every case and holds it against its file in `tests/golden/<dialect>/<group>`; a file
/// without a case is a mistake.
pub(super) fn check(dialect: &str, group: &str, cases: &[Case]) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let folder = golden.join(dialect).join(group);
    let mut stale = Vec::new();
    for case in cases {
        let text = play(dialect, case);
        let file = folder.join(format!("{}.txt", case.name));
        if updates() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        if std::fs::read_to_string(&file).unwrap_or_default() != text {
            stale.push(format!("{}:\n{text}", file.display()));
        }
    }
    assert!(stale.is_empty(), "out of date:\n{}", stale.join("\n"));
    let is_known = |file: &PathBuf| {
        cases.iter().any(|case| file.file_stem().is_some_and(|stem| stem == case.name))
    };
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let orphans: Vec<_> = files.filter(|file| !is_known(file)).collect();
    assert!(orphans.is_empty(), "no case for {orphans:?}");
}

#[expect(clippy::disallowed_methods, reason = "the one switch of the golden files")]
fn updates() -> bool {
    std::env::var("UPDATE_GOLDEN").is_ok()
}

pub(super) fn table(dialect: &str, target: &str) -> RouteTable {
    let text = format!(
        "[gateway]
insecure_plain_listen = '127.0.0.1:8080'
insecure_header_identity = true
[[api]]
contract = 'blink-fi'
[[target]]
id = 'T'
upstream = 'https://bank.example'
dialect = '{dialect}'
{target}
"
    );
    let sources = MemorySources::default().file("routes.toml", &text).file("hub.pem", KEY);
    let sources = sources.with_variable("SECRET", SECRET);
    load(Path::new("routes.toml"), &sources).unwrap_or_else(|report| panic!("{report}")).table
}

/// A whole conversation, written down.
fn play(dialect: &str, case: &Case) -> String {
    let table = table(dialect, case.target);
    let target: &Arc<Target> = table.targets.values().next().unwrap();
    let operations = &table.apis[0].contract.operations;
    let operation =
        operations.iter().find(|operation| operation.call() == Some(case.call)).unwrap();
    let body = Bytes::from_static(case.form.as_bytes());
    let headers = client_fields();
    let asked = Asked {
        call: case.call,
        head: &operation.head,
        authorization: AuthorizationPolicy::Forward,
        target,
        client_id: &ClientId::parse("CIDX1").unwrap(),
        client: &HeaderValue::from_static("CIDX1"),
        target_id: &HeaderValue::from_static("T"),
        correlation: &CorrelationId::parse(&HeaderValue::from_static("corr-1")).unwrap(),
        traceparent: HeaderValue::from_static("00-trace-parent-01"),
        headers: &headers,
        body: &body,
        form: &Form::parse(&body).unwrap(),
        told: case.told.map(told),
        moment: target.dialect.signs().then_some(MOMENT),
    };
    let shows = if case.shows.is_empty() { String::new() } else { format!("{}\n\n", case.shows) };
    let mut text = format!("{shows}# bLink {}\n", case.call.as_str());
    if case.call == Call::Username {
        text.push_str("authorization: Bearer AT-presented\n");
    }
    writeln!(text, "{}", case.form).unwrap();
    let mut play = Play { name: case.name, asked: &asked, said: case.said.iter(), text: &mut text };
    let mut held = None;
    let outcome = play.converse(&mut held);
    assert_eq!(play.said.next(), None, "{}: it was not asked", case.name);
    match outcome {
        Ok(heard) => write_answer(&mut text, heard.answer, heard.oddity.map(Oddity::as_str)),
        Err(fault) => {
            if let (Fault::CredentialsRejected, Some(_)) = (&fault, held.and_then(|h| h.key())) {
                text.push_str("\n(the held token is forgotten)\n");
            }
            write_fault(&mut text, &fault);
        }
    }
    text
}

/// A conversation under way, in the order of `conversation`.
struct Play<'p> {
    name: &'static str,
    asked: &'p Asked<'p>,
    said: std::slice::Iter<'static, Said>,
    text: &'p mut String,
}

impl Play<'_> {
    fn converse(&mut self, held: &mut Option<Held>) -> Result<Heard, Fault> {
        *held = match super::recipe(self.asked)? {
            None => None,
            Some(Recipe::Static(held)) => Some(held),
            Some(Recipe::Fetch { key, request, token_pointer, expires_pointer, default_life }) => {
                let answer = self.ask(&request);
                let kept =
                    read_answer(key, &answer, &token_pointer, &expires_pointer, default_life);
                Some(kept?.0)
            }
        };
        let mut turn = super::open(self.asked, held.as_ref())?;
        for _ in 0..TURNS_MAX {
            let (step, answer) = match turn {
                Turn::Done(heard) => return Ok(heard),
                Turn::Ask(step, request) => (step, self.ask(&request)),
            };
            turn = super::hear(self.asked, held.as_ref(), step, answer)?;
        }
        match turn {
            Turn::Done(heard) => Ok(heard),
            Turn::Ask(..) => panic!("{}: no end", self.name),
        }
    }

    fn ask(&mut self, request: &ProviderRequest) -> ProviderAnswer {
        assert_no_leak(request);
        let said = self.said.next().unwrap_or_else(|| panic!("{}: asks again", self.name));
        write_request(self.text, self.asked.target, request);
        write_said(self.text, said);
        provider_answer(said)
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's first instant has to come from somewhere")]
fn told(Ended(ended): Ended) -> Told {
    let (memory, now) = (Memory::default(), Instant::now());
    let life = Duration::from_secs(u64::from(!ended));
    let (target, client, access) = ("T", "CIDX1", ("token", life));
    let (refresh, presented, username) = (None, None, Some("name"));
    memory.tell(&Tokens { target, client, access, refresh, presented, username }, now);
    memory.recall("T", "CIDX1", "token", now).unwrap()
}

/// A client's fields, with all that must stay behind.
fn client_fields() -> HeaderMap {
    [
        ("authorization", "Bearer AT-presented"),
        ("user-agent", "client/1"),
        ("x-corapi-client-id", "CIDX1"),
        ("x-corapi-target-id", "T"),
        ("x-psu-ip-address", "192.0.2.1"),
        ("x-correlation-id", "corr-1"),
        ("cookie", "client-cookie"),
    ]
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .into_iter()
    .collect()
}

/// What holds for every request in a foreign language.
fn assert_no_leak(request: &ProviderRequest) {
    for (name, value) in request.headers.iter() {
        let text = format!("{name}: {}", value.to_str().unwrap());
        for leak in ["x-corapi", "x-psu", "cookie", "client/1", "CIDX1", "192.0.2.1"] {
            assert!(!text.contains(leak), "{text}");
        }
    }
}

fn provider_answer((status, fields, body): &Said) -> ProviderAnswer {
    let fields = fields
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    ProviderAnswer {
        status: StatusCode::from_u16(*status).unwrap(),
        headers: fields.collect(),
        body: Bytes::from_static(body.as_bytes()),
    }
}

fn write_request(text: &mut String, target: &Target, request: &ProviderRequest) {
    let origin = &target.origins(request.host)[0];
    writeln!(text, "\n=> {} {origin}{}", request.method, request.path).unwrap();
    write_fields(text, request.headers.iter());
    writeln!(text, "{}", std::str::from_utf8(&request.body).unwrap()).unwrap();
}

fn write_said(text: &mut String, (status, fields, body): &Said) {
    writeln!(text, "\n<= {status}").unwrap();
    for (name, value) in *fields {
        writeln!(text, "{name}: {value}").unwrap();
    }
    writeln!(text, "{body}").unwrap();
}

fn write_fault(text: &mut String, fault: &Fault) {
    let detail = fault.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let code = format!("{}{detail}", fault.row().code);
    write_answer(text, Answer::of_fault(fault, Manner::default()), Some(&code));
}

fn write_answer(text: &mut String, mut answer: Answer, remark: Option<&str>) {
    answer.mark(&CorrelationId::parse(&HeaderValue::from_static("corr-1")).unwrap());
    let body = std::str::from_utf8(&answer.body).unwrap();
    assert!(!body.contains(SECRET), "{body}");
    let remark = remark.map(|remark| format!("  # {remark}")).unwrap_or_default();
    writeln!(text, "\n<- {}{remark}", answer.status.as_u16()).unwrap();
    write_fields(text, answer.headers.iter());
    writeln!(text, "{body}").unwrap();
}

fn write_fields<'f>(
    text: &mut String,
    fields: impl Iterator<Item = (&'f HeaderName, &'f HeaderValue)>,
) {
    let mut lines: Vec<_> =
        fields.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap())).collect();
    lines.sort();
    text.push_str(&lines.concat());
}
