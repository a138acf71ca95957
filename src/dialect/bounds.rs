//! What both sides' words may become: in every dialect and every call, bytes that go out are
//! bounded by a constant times the bytes that came in.
//!
//! This file decides the constants. It must not know any dialect.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::*;

use super::golden::table;
use super::{Asked, Held, ProviderAnswer, Turn, hear, open};
use crate::contract::{AuthorizationPolicy, Waivers};
use crate::framing::fields::Fields;
use crate::ids::{ClientId, CorrelationId};
use crate::oauth::Call;
use crate::routes::RouteTable;

/// What an octet may become in JSON (`\u0001`); in a form it is half of that.
const GROWTH_MAX: usize = 6;
/// What is neither side's: names of members, credentials of the hub.
const OWN_BYTES: usize = 1024;
/// Longest refusal of a bank that is translated.
const REFUSAL_BYTES_MAX: usize = 2048;

const DIALECTS: [(&str, &str); 5] = [
    ("blink", ""),
    (
        "oauth2",
        "oauth2 = { client_id = 'hub', client_secret = '${env:SECRET}', username = \
         'introspection', username_parameter = 'login' }",
    ),
    ("flinks", "flinks = { client_id = 'hub', client_secret = '${env:SECRET}' }"),
    (
        "konsentus",
        "konsentus = { basic = '${env:SECRET}', fi_reference_id = 'FI', ccg = { token = \
         '${env:SECRET}' } }",
    ),
    (
        "oxlin",
        "oxlin = { client_id = 'hub', client_secret = '${env:SECRET}', username = 'profile', \
         authorization_code = 'upstream' }",
    ),
];

/// The call's own parameters, by its number.
const FORMS: [(Call, &str); 4] = [
    (
        Call::Token,
        "grant_type=authorization_code&code=c-1&redirect_uri=https://a/cb&client_id=C&username=a",
    ),
    (Call::Token, "grant_type=refresh_token&refresh_token=r-1&client_id=C&username=anna"),
    (Call::Revoke, "token=t-1&client_id=C"),
    (Call::Username, "username=anna"),
];

/// One call in one dialect: how many bytes the request and the answer have.
fn play(dialect: &RouteTable, form: usize, more: &str, step: u8, said: &ProviderAnswer) -> Played {
    let (call, form) = FORMS[form % FORMS.len()];
    let operations = &dialect.apis[0].contract.operations;
    let operation = operations.iter().find(|operation| operation.call() == Some(call)).unwrap();
    let body = Bytes::from(format!("{form}{more}"));
    let Ok(form) = operation.body.check(&body, Waivers::default()) else {
        return Played::default();
    };
    let headers: HeaderMap =
        [(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer AT-presented"))]
            .into_iter()
            .collect();
    let asked = Asked {
        call,
        head: &operation.head,
        authorization: AuthorizationPolicy::Refuse,
        target: dialect.targets.values().next().unwrap(),
        client_id: &ClientId::parse("C").unwrap(),
        client: &HeaderValue::from_static("C"),
        target_id: &HeaderValue::from_static("T"),
        correlation: &CorrelationId::parse(&HeaderValue::from_static("corr-1")).unwrap(),
        traceparent: HeaderValue::from_static("00-trace-parent-01"),
        headers: &headers,
        body: &body,
        form: &form,
        told: None,
        moment: None,
    };
    let held = Held::fixed("held-token");
    let request = match open(&asked, Some(&held)) {
        Ok(Turn::Ask(_, request)) => request.body.len(),
        Ok(Turn::Done(_)) | Err(_) => 0,
    };
    let (answer, status) = match hear(&asked, Some(&held), step, said.clone()) {
        Ok(Turn::Done(heard)) => (heard.answer.body.len(), heard.answer.status.as_u16()),
        Ok(Turn::Ask(_, request)) => (request.body.len(), 200),
        Err(_) => (0, 502),
    };
    Played { form: body.len(), request, answer, status }
}

#[derive(Default)]
struct Played {
    form: usize,
    request: usize,
    answer: usize,
    status: u16,
}

/// Words that stand in each other, in what replaces them, and in what JSON writes longer.
const WORD: &str = "(unknown|\\[red|acte|d\\]|redacted|\\\\u0001|ä|A1|CH93 0076|x{1,40}| )";

proptest! {
    #[test]
    fn no_answer_and_no_request_grows_beyond_what_came_in(
        dialect in 0..DIALECTS.len(),
        form in 0..FORMS.len(),
        step in 0_u8..5,
        values in proptest::collection::vec(proptest::collection::vec(WORD, 1..4), 0..58),
        status in prop_oneof![Just(200_u16), Just(201), 400_u16..430, Just(503)],
        words in proptest::collection::vec(WORD, 0..400),
        member in prop_oneof![Just("error_description"), Just("access_token"), Just("title")],
    ) {
        let (name, entry) = DIALECTS[dialect];
        let table = table(name, entry);
        let encode = |words: &Vec<String>| {
            super::request::form([("", &*words.concat())]).into_text().unwrap()
        };
        let more: Vec<_> =
            values.iter().enumerate().map(|(n, value)| format!("&p{n}{}", encode(value))).collect();
        let words = words.concat();
        let body = format!(
            "{{\"error\":\"invalid_grant\",\"{member}\":\"{words}\",\"active\":true,\
             \"username\":\"{words}\",\
             \"errors\":[{{\"code\":\"{words}\",\"title\":\"{words}\",\"id\":\"1\"}}],\
             \"data\":{{\"access_token\":\"{words}\",\"token_type\":\"bearer\"}}}}"
        );
        let said = ProviderAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: Fields::new(),
            body: body.clone().into(),
        };
        let played = play(&table, form, &more.concat(), step, &said);
        let came = played.form + body.len();
        prop_assert!(played.request <= GROWTH_MAX * played.form + OWN_BYTES, "{}", played.request);
        prop_assert!(played.answer <= GROWTH_MAX * came + OWN_BYTES, "{}", played.answer);
        if name != "blink" && played.status >= 300 {
            prop_assert!(played.answer <= REFUSAL_BYTES_MAX, "{name}: {}", played.answer);
        }
    }
}
