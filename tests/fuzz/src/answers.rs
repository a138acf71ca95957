//! Banks' answers: whatever a bank says, it becomes an answer of ours or a fault of its own.
//!
//! This file decides what may never come of an answer: a panic, a status that is none, a secret of
//! the hub's in what the client gets, more bytes than both sides' words account for. An input is a
//! status, a line of fields each, an empty line, and the body; its first byte says which call is
//! answered, and after which step. Where that byte is 128 or more, a line of the client's own comes
//! first: more of its form, so that the fuzzer chooses what is looked for and where it stands.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use corgate::contract::{AuthorizationPolicy, Operation, Waivers};
use corgate::dialect::held::{Recipe, read_answer};
use corgate::dialect::{Asked, Moment, ProviderAnswer, Turn, hear, native, open, recipe};
use corgate::fault::Fault;
use corgate::ids::{ClientId, CorrelationId};
use corgate::oauth::Call;
use corgate::oauth::form::Form;
use corgate::routes::{MemorySources, RouteTable, Target, load};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// What the hub knows and a client must not.
const SECRET: &str = "hub-secret-1";
/// What the client sent and an error of a foreign bank must not repeat.
const CODE: &str = "client-code-1";

/// Bytes of an answer that are neither side's words.
const BYTES_OF_OUR_OWN: usize = 512;
/// Longest refusal in OAuth's words: a description, a link, and three entries of Konsentus.
const REFUSAL_BYTES_MAX: usize = 2048;

/// A bank of this dialect, called `T`.
pub(super) fn table(dialect: &str) -> RouteTable {
    let settings = match dialect {
        "oauth2" => {
            "[target.oauth2]\nclient_id = 'hub'\nclient_secret = '${env:SECRET}'\n\
             username = 'introspection'"
        }
        "flinks" => "[target.flinks]\nclient_id = 'hub'\nclient_secret = '${env:SECRET}'",
        "konsentus" => {
            "[target.konsentus]\nbasic = '${env:SECRET_PAIR}'\nfi_reference_id = 'FI'\n\
             psp = { CIDX1 = { ccg = { headers = { eidas = '${env:SECRET}' } } } }"
        }
        "oxlin" => {
            "[target.oxlin]\nclient_id = 'hub'\nclient_secret = '${env:SECRET}'\n\
             authorization_code = 'upstream'\nusername = 'profile'\n\
             redirect_uri = 'https://hub.example/cb'"
        }
        _ => "",
    };
    let text = format!(
        "[gateway]\ninsecure_plain_listen = '127.0.0.1:8080'\ninsecure_header_identity = true\n\
         [[api]]\ncontract = 'blink-fi'\n[[target]]\nid = 'T'\nupstream = 'https://bank.example'\n\
         dialect = '{dialect}'\n{settings}\n"
    );
    let sources = MemorySources::default().file("routes.toml", &text);
    let sources = sources.with_variable("SECRET", SECRET);
    let sources = sources.with_variable("SECRET_PAIR", &format!("hub:{SECRET}"));
    let loaded = load(Path::new("routes.toml"), &sources);
    loaded.unwrap_or_else(|report| panic!("{report}")).table
}

/// The status, the fields and the body of an answer; nothing where there is no status.
fn parse(input: &[u8]) -> Option<ProviderAnswer> {
    let (status, rest) = input.split_first_chunk::<3>()?;
    let status = StatusCode::from_bytes(status).ok()?;
    let mut headers = HeaderMap::new();
    let mut rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if line.is_empty() || headers.len() > 60 {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    Some(ProviderAnswer { status, headers: headers.into(), body: Bytes::copy_from_slice(rest) })
}

const fn form_of(call: Call, refresh: bool) -> &'static [u8] {
    match call {
        Call::Token if refresh => {
            b"grant_type=refresh_token&refresh_token=client-code-1&client_id=CIDX1&username=anna"
        }
        Call::Token => {
            b"grant_type=authorization_code&code=client-code-1&client_id=CIDX1&username=anna\
              &redirect_uri=https://app.example/cb"
        }
        Call::Revoke => b"token=client-code-1&token_type_hint=refresh_token&client_id=CIDX1",
        Call::Username => b"username=client-code-1",
    }
}

/// One answer to one call of one dialect.
pub(super) fn answer(table: &RouteTable, input: &[u8]) {
    let Some((choice, input)) = input.split_first() else { return };
    let (more, input) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) if choice & 128 != 0 => (&input[..end], &input[end + 1..]),
        _ => (&[][..], input),
    };
    let Some(answer) = parse(input) else { return };
    let target: &Arc<Target> = table.targets.values().next().unwrap();
    let call = [Call::Token, Call::Revoke, Call::Username][usize::from(choice % 3)];
    let operation =
        table.apis[0].contract.operations.iter().find(|one| one.call() == Some(call)).unwrap();
    let separator: &[u8] = if more.is_empty() { b"" } else { b"&" };
    let body = Bytes::from([form_of(call, choice & 8 != 0), separator, more].concat());
    // What the contract refuses is never asked.
    let Ok(form) = operation.body.check(&body, Waivers::default()) else { return };
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer client-code-1"));
    let asked = Asked {
        call,
        head: &operation.head,
        authorization: AuthorizationPolicy::Refuse,
        target,
        client_id: &ClientId::parse("CIDX1").unwrap(),
        client: &HeaderValue::from_static("CIDX1"),
        target_id: &HeaderValue::from_static("T"),
        correlation: &CorrelationId::parse(&HeaderValue::from_static("corr-1")).unwrap(),
        traceparent: HeaderValue::from_static("00-trace-parent-01"),
        headers: &headers,
        body: &body,
        form: &form,
        told: None,
        moment: target.dialect.signs().then_some(Moment { unix_seconds: 1, nonce: [1; 16] }),
    };
    converse(&asked, (choice >> 4) & 7, answer);
}

fn converse(asked: &Asked<'_>, step: u8, answer: ProviderAnswer) {
    let heard_bytes = asked.body.len() + answer.body.len() + BYTES_OF_OUR_OWN;
    // A body is decoded within the target's limit, which is fixed.
    let is_coded = answer.headers.contains(&http::header::CONTENT_ENCODING);
    let held = match recipe(asked) {
        Err(fault) => return assert_speakable(&fault),
        Ok(None) => None,
        Ok(Some(Recipe::Static(held))) => Some(held),
        Ok(Some(Recipe::Fetch { key, token_pointer, expires_pointer, default_life, .. })) => {
            match read_answer(key, &answer, &token_pointer, &expires_pointer, default_life) {
                Ok((held, _)) => Some(held),
                Err(fault) => return assert_speakable(&fault),
            }
        }
    };
    if let Err(fault) = open(asked, held.as_ref()) {
        return assert_speakable(&fault);
    }
    match hear(asked, held.as_ref(), step, answer) {
        Err(fault) => assert_speakable(&fault),
        Ok(Turn::Ask(_, request)) => {
            assert!(request.path.starts_with('/'), "{}", request.path);
        }
        Ok(Turn::Done(heard)) => {
            let answer = heard.answer;
            assert!((200..600).contains(&answer.status.as_u16()), "{}", answer.status);
            let is_translated = !matches!(asked.target.dialect, corgate::routes::Dialect::Blink);
            // Six times: `\u0001` is what one octet of a text may become in JSON.
            let bytes_max = heard_bytes * 6;
            assert!(is_coded || answer.body.len() <= bytes_max, "{}", answer.body.len());
            if is_translated && !answer.body.is_empty() {
                let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
                assert!(said.is_object(), "{said}");
            }
            if is_translated && !answer.status.is_success() {
                assert_silent(&answer.body, CODE);
                assert!(answer.body.len() <= REFUSAL_BYTES_MAX, "{}", answer.body.len());
                // A username is checked with the client's token; the bank is not sent the secret.
                if asked.call != Call::Username {
                    assert_silent(&answer.body, SECRET);
                }
            }
        }
    }
}

fn assert_silent(body: &[u8], secret: &str) {
    let text = String::from_utf8_lossy(body);
    assert!(!text.contains(secret), "{secret} stands in {text}");
}

/// A fault can be told: its sentence may stand in an answer, whoever it blames.
fn assert_speakable(fault: &Fault) {
    assert!(corgate::oauth::is_description(&fault.sentence()), "{fault:?}");
    assert!((400..600).contains(&fault.row().status), "{fault:?}");
}

/// Native contracts: a path, a query and a body against every operation's rules, and an answer.
pub(super) fn native_call<'o>(operations: impl Iterator<Item = &'o Operation>, input: &[u8]) {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (path, query, body) = (next(), next(), next());
    let path = String::from_utf8_lossy(path);
    for operation in operations {
        let corgate::contract::Kind::Native(rules) = &operation.kind else { continue };
        let mut wrong = Vec::new();
        rules.check_path(&path, &mut wrong);
        match Form::parse(query) {
            Ok(query) => rules.check_query(&query, &mut wrong),
            Err(fault) => assert_speakable(&fault),
        }
        for kind in 0..2 {
            let credentials = corgate::contract::Credentials::Basic;
            if let Err(fault) = rules.check_body(body, kind, credentials, &mut wrong) {
                assert_speakable(&fault);
            }
        }
        wrong.iter().for_each(assert_speakable);
        if let Some(answer) = parse(body)
            && let Ok(answer) = native::answer(rules, answer, 1024 * 1024)
        {
            assert!((200..600).contains(&answer.status.as_u16()));
        }
    }
}
