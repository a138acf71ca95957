//! Konsentus' `errors`, and what each becomes (DIALECTS 4.2).
//!
//! This file decides whose fault an answer is and which of its words the client may read. It must
//! not know what was asked.

use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::Value;

use crate::answer::{Answer, whole_seconds};
use crate::dialect::reply::complaint::Complaint;
use crate::dialect::reply::members::without_mark;
use crate::dialect::reply::redact::{redact, sent};
use crate::dialect::{Asked, Held, ProviderAnswer};
use crate::fault::Fault;
use crate::oauth::ErrorCode;

/// How many entries of `errors` are looked at, and how many are told.
const ENTRIES_MAX: usize = 16;
const TOLD_MAX: usize = 3;
/// So many characters of a code and a title are searched for words.
const SEARCHED_CHARS: usize = 1024;
/// Longest id of an entry that is told.
const ID_BYTES_MAX: usize = 64;
/// Longest link that is told.
const LINK_BYTES_MAX: usize = 512;

/// One entry of `errors` (seed: "id, code, title, link", all strings).
#[derive(Debug)]
struct Entry<'a> {
    id: &'a str,
    code: &'a str,
    title: &'a str,
    link: &'a str,
}

/// Hears an answer that is no success.
pub(super) fn hear(
    asked: &Asked<'_>,
    held: Option<&Held>,
    answer: &ProviderAnswer,
) -> Result<Answer, Fault> {
    let said = Said { asked, held: held.map(Held::expose) };
    let json = serde_json::from_slice(without_mark(&answer.body)).unwrap_or_default();
    let entries = read(&json);
    let wait = Complaint::read(answer).retry_after;
    let row = asked.target.translation.overrides.iter().find(|row| {
        let fits = |code: &str| entries.iter().any(|entry| entry.code == code);
        row.status == answer.status && row.code.as_deref().is_none_or(fits)
    });
    if let Some(row) = row {
        let mut answer = said.refusal(row.becomes, row.error, &entries);
        if matches!(row.becomes.as_u16(), 429 | 503) {
            let seconds = whole_seconds(wait.unwrap_or_default());
            answer.headers.insert(RETRY_AFTER, seconds.into());
        }
        return Ok(answer);
    }
    let (status, error) = match answer.status.as_u16() {
        400 if is_about_the_code(&entries) => (StatusCode::BAD_REQUEST, ErrorCode::InvalidGrant),
        400 => (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest),
        // The hub's Basic credentials or its ccg_token: nothing that the client could mend.
        401 => return Err(Fault::CredentialsRejected),
        403 => (StatusCode::FORBIDDEN, ErrorCode::AccessDenied),
        429 | 503 => return Err(Fault::ProviderBusy(wait)),
        300..=399 => return Err(Fault::ResponseMalformed("redirect")),
        500..=599 => return Err(Fault::ProviderFailed),
        _ => return Err(Fault::ResponseMalformed("status")),
    };
    Ok(said.refusal(status, error, &entries))
}

fn read(json: &Value) -> Vec<Entry<'_>> {
    let entries = json.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let entry = |value| {
        let text = |name| Value::get(value, name).and_then(Value::as_str).unwrap_or_default();
        Entry { id: text("id"), code: text("code"), title: text("title"), link: text("link") }
    };
    entries.iter().take(ENTRIES_MAX).map(entry).collect()
}

/// Whether an entry speaks of a code that is no longer good. The list of codes is not public, so
/// the words decide; a target's own rows decide before them.
fn is_about_the_code(entries: &[Entry<'_>]) -> bool {
    entries.iter().any(|entry| {
        let searched = |text: &str| text.chars().take(SEARCHED_CHARS).collect::<String>();
        let text = format!("{} {}", searched(entry.code), searched(entry.title)).to_lowercase();
        let words: Vec<_> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(word));
        has(&["code", "authcode"])
            && !has(&["missing", "required"])
            && (has(&["expired", "used", "invalid", "unknown"]) || text.contains("not found"))
    })
}

/// What the provider was told, and may have repeated in its words.
struct Said<'a> {
    asked: &'a Asked<'a>,
    held: Option<&'a str>,
}

impl Said<'_> {
    fn refusal(&self, status: StatusCode, error: ErrorCode, entries: &[Entry<'_>]) -> Answer {
        let told = entries.iter().take(TOLD_MAX).filter_map(|entry| self.sentence(entry));
        let told: Vec<_> = told.collect();
        let description = match (told.is_empty(), error) {
            (false, _) => told.join("; "),
            (true, ErrorCode::AccessDenied) => "target denied access".to_owned(),
            (true, _) => "target refused the request".to_owned(),
        };
        let link = entries.first().map(|entry| entry.link).filter(|link| self.is_link(link));
        Answer::of_refusal(status, error, &description, link)
    }

    /// `CODE: TITLE (id ID)`, as far as an entry has them, without secrets. The id is the one
    /// opaque word that may stand: the provider finds the occurrence by it.
    fn sentence(&self, entry: &Entry<'_>) -> Option<String> {
        let text = match (entry.code, entry.title) {
            (code, "") => code.to_owned(),
            ("", title) => title.to_owned(),
            (code, title) => format!("{code}: {title}"),
        };
        let mut text = redact(&text, self.asked, self.held.as_slice())?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let is_id = (1..=ID_BYTES_MAX).contains(&entry.id.len()) && entry.id.bytes().all(plain);
        if is_id && !self.is_repeated_in(entry.id) {
            text.push_str(&format!(" (id {})", entry.id));
        }
        Some(text)
    }

    /// Whether a link may be passed on: whole, for a browser, and with nothing secret in it.
    fn is_link(&self, link: &str) -> bool {
        let plain = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        let rest = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
        rest.is_some_and(|rest| {
            !rest.is_empty()
                && link.len() <= LINK_BYTES_MAX
                && !rest.starts_with('/')
                && !rest.contains(['@', '?'])
                && rest.bytes().all(plain)
                && !self.is_repeated_in(link)
        })
    }

    /// Whether a text has the code, the username or the `ccg_token` of the call in it.
    fn is_repeated_in(&self, text: &str) -> bool {
        sent(self.asked)
            .chain(self.held)
            .filter(|value| value.len() > 3)
            .any(|value| text.contains(value))
    }
}
