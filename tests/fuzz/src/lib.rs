//! What the fuzz targets hold corgate to. Each target is one line; the promises are here.
//!
//! This file decides what may never happen, whatever comes in. It must not know which fuzzer asks.

mod answers;
mod bank;

use std::collections::HashSet;
use std::sync::LazyLock;

pub use bank::bank_framing;
use corgate::contract::{AuthorizationPolicy, Contract, Operation, Waivers};
use corgate::fault::{Fault, Name, Origin};
use corgate::frames::Ledger;
use corgate::framing::{Head, HeadLimits, Scan};
use corgate::ids::CorrelationId;
use corgate::oauth::form::Form;
use corgate::routes::{MemorySources, RouteTable, load_with};
use corgate::snapshot::Snapshot;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Small, so that a fuzzer finds them.
const LIMITS: HeadLimits = HeadLimits { head_bytes_max: 512, fields_max: 8, uri_bytes_max: 128 };

static CONTRACTS: LazyLock<Vec<Contract>> = LazyLock::new(|| {
    let compile = |(name, document): (&str, &str)| Contract::compile(name, document).unwrap();
    Contract::BUILT_IN.into_iter().map(compile).collect()
});

/// The calls of the consent flow; the rules of the others are [`native`]'s.
fn calls() -> impl Iterator<Item = &'static Operation> {
    operations().filter(|operation| operation.call().is_some())
}

fn operations() -> impl Iterator<Item = &'static Operation> {
    CONTRACTS.iter().flat_map(|contract| &contract.operations)
}

/// A refusal is the client's fault, and its sentence may stand in an answer.
fn assert_is_refusal(fault: &Fault) {
    let (row, sentence) = (fault.row(), fault.sentence());
    assert_eq!(row.origin, Origin::Client, "{fault:?}");
    assert!((400..500).contains(&row.status) || row.status == 505, "{fault:?}");
    assert!(corgate::oauth::is_description(&sentence), "{sentence:?}");
}

/// A form has each name once, no NUL, and the same value for it however it is asked. It keeps the
/// body rules of every contract or is refused.
pub fn form(body: &[u8]) {
    match Form::parse(body) {
        Err(fault) => assert_is_refusal(&fault),
        Ok(form) => {
            let mut names = HashSet::new();
            for (name, value) in form.pairs() {
                assert!(!name.is_empty() && names.insert(name), "a name stands twice");
                assert!(!name.contains('\0') && !value.contains('\0'));
                assert_eq!(form.value(name), Some(value).filter(|value| !value.is_empty()));
            }
        }
    }
    for operation in calls() {
        for username_on_refresh in [false, true] {
            let checked = operation.body.check(body, Waivers { username_on_refresh });
            let _ = checked.inspect_err(assert_is_refusal);
        }
    }
}

/// Header fields, `name: value` on each line, against the head rules of every contract.
pub fn head(lines: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(100) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    for operation in calls() {
        let rules = &operation.head;
        match rules.check_correlation_id(&headers) {
            Ok(()) => {
                let value = headers.get("x-correlation-id");
                let value = value.expect("every call requires a correlation id");
                let id = CorrelationId::parse(value).expect("what was checked is an id");
                assert!((1..=64).contains(&id.as_str().len()));
            }
            Err(fault) => assert_is_refusal(&fault),
        }
        for id in [rules.client_id(&headers), rules.target_id(&headers)] {
            match id {
                Ok(Some(id)) => assert!((1..=30).contains(&id.len())),
                Ok(None) => {}
                Err(fault) => assert_is_refusal(&fault),
            }
        }
        let _ = rules.fields(&headers).inspect_err(assert_is_refusal);
        let _ = rules.media(&headers).inspect_err(assert_is_refusal);
        let checked = rules.authorization(&headers, AuthorizationPolicy::Refuse);
        let _ = checked.inspect_err(assert_is_refusal);
    }
}

/// A head has one verdict, however its bytes are cut into reads; and one that passes has the same
/// end, the same fields and the same length for the parser behind.
pub fn framing(bytes: &[u8]) {
    let whole = Scan::default().read(bytes, &LIMITS);
    for cut in [1, 2, 7, 64] {
        let pieces = in_pieces(bytes, cut);
        assert_eq!(whole, pieces, "cut into pieces of {cut}");
    }
    match whole {
        Ok(Some(head)) => assert_parser_agrees(bytes, &head),
        Ok(None) => assert!(bytes.len() < LIMITS.head_bytes_max),
        Err(fault) => {
            assert_is_refusal(&fault);
            assert!(fault.closes_connection());
        }
    }
}

/// The verdict when the bytes come in pieces: the first one that does not ask for more.
fn in_pieces(bytes: &[u8], piece_bytes: usize) -> Result<Option<Head>, Fault> {
    let mut scan = Scan::default();
    for end in (piece_bytes..bytes.len()).step_by(piece_bytes) {
        let verdict = scan.read(&bytes[..end], &LIMITS);
        if !matches!(verdict, Ok(None)) {
            return verdict;
        }
    }
    scan.read(bytes, &LIMITS)
}

fn assert_parser_agrees(bytes: &[u8], head: &Head) {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(bytes);
    assert_eq!(parsed, Ok(httparse::Status::Complete(head.bytes)));
    let values = |name: &str| {
        let fields = request.headers.iter();
        let fields = fields.filter(move |field| field.name.eq_ignore_ascii_case(name));
        fields.map(|field| field.value).collect::<Vec<_>>()
    };
    assert!(values("transfer-encoding").is_empty());
    match values("content-length")[..] {
        [] => assert_eq!(head.body_bytes, 0),
        [digits] => {
            let digits = std::str::from_utf8(digits).unwrap().trim();
            assert_eq!(digits.parse(), Ok(head.body_bytes));
        }
        [..] => panic!("two lengths passed"),
    }
}

/// A contract compiles, or every mistake has a place and a message.
pub fn openapi(document: &str) {
    if let Err(errors) = Contract::compile("fuzz", document) {
        assert!(!errors.is_empty());
        assert!(errors.iter().all(|error| !error.message.is_empty()));
    }
}

/// A table loads and can be described and served, or every mistake is named.
pub fn routes(text: &str) {
    let files = ["edge.pem", "edge.key", "ca.pem", "hub.pem", "hub.key"];
    let world = files.iter().fold(MemorySources::default(), |world, file| world.present(file));
    let world = world.file("routes.toml", text).with_variable("KEY", "secret-in-a-variable");
    // Contracts are `openapi`'s; without rules they cost nothing.
    let mut compile = |name: &str, _: &str| {
        let name: Name = name.into();
        let (title, version) = (name.clone(), "1".into());
        let (operations, notes) = (Vec::new(), Vec::new());
        Ok(Contract { title, version, name, operations, native: None, notes })
    };
    match load_with("routes.toml".as_ref(), &world, &mut compile) {
        Ok(loaded) => {
            assert!(!loaded.table.describe().to_string().contains("secret-in-a-variable"));
            drop(Snapshot::build(loaded.table, None));
        }
        Err(report) => {
            assert!(report.errors() > 0);
            assert!(!report.to_string().contains("secret-in-a-variable"));
        }
    }
}

/// The frames of a connection: what is remembered is bounded, and does not depend on the reads.
pub fn frames(bytes: &[u8]) {
    let (mut whole, mut pieces) = (Ledger::new(100, 10), Ledger::new(100, 10));
    whole.hear(bytes);
    bytes.chunks(5).for_each(|piece| pieces.hear(piece));
    assert_eq!(whole.open_streams(), pieces.open_streams());
    assert_eq!(whole.is_overdrawn(), pieces.is_overdrawn());
    whole.say(bytes);
    assert!(whole.open_streams() <= pieces.open_streams());
}

macro_rules! dialects {
    ($($name:ident: $dialect:literal;)*) => {$(
        /// A bank's answer in this dialect.
        pub fn $name(input: &[u8]) {
            static TABLE: LazyLock<RouteTable> = LazyLock::new(|| answers::table($dialect));
            answers::answer(&TABLE, input);
        }
    )*};
}

dialects! {
    blink_answer: "blink";
    oauth2_answer: "oauth2";
    flinks_answer: "flinks";
    konsentus_answer: "konsentus";
    oxlin_answer: "oxlin";
}

/// A native call and its answer: a path, a query, a body.
pub fn native(input: &[u8]) {
    answers::native_call(operations(), input);
}
