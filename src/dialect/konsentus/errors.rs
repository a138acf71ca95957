//! Konsentus' `errors`, and what each becomes (DIALECTS 4.2).
//!
//! This file decides whose fault an answer is and which of its words the client may read. It must
//! not know what was asked beyond the grant.

use http::StatusCode;
use serde_json::Value;

use super::super::{Asked, ProviderAnswer, foreign};
use crate::answer::Answer;
use crate::fault::Fault;
use crate::oauth::ErrorCode;

/// How many entries of `errors` are told.
const TOLD_MAX: usize = 3;

/// One entry of `errors` (seed: "id, code, title, link", all strings).
#[derive(Debug, Default)]
struct Entry<'a> {
    id: &'a str,
    code: &'a str,
    title: &'a str,
    link: &'a str,
}

/// Hears an answer that is no success.
pub(super) fn hear(asked: &Asked<'_>, answer: &ProviderAnswer) -> Result<Answer, Fault> {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let entries = read(&json);
    let codes: Vec<_> = entries.iter().map(|entry| entry.code).collect();
    if let Some(found) = foreign::find_override(asked, answer.status, &codes) {
        return Ok(say(asked, found.becomes, found.error, &entries));
    }
    let (status, error) = match answer.status.as_u16() {
        400 if is_about_the_code(&entries) => (StatusCode::BAD_REQUEST, ErrorCode::InvalidGrant),
        400 => (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest),
        403 => (StatusCode::FORBIDDEN, ErrorCode::AccessDenied),
        _ => return Err(foreign::fault_of(answer)),
    };
    Ok(say(asked, status, error, &entries))
}

fn read(json: &Value) -> Vec<Entry<'_>> {
    let entries = json.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let entry = |value| {
        let text = |name| Value::get(value, name).and_then(Value::as_str).unwrap_or_default();
        Entry { id: text("id"), code: text("code"), title: text("title"), link: text("link") }
    };
    entries.iter().map(entry).collect()
}

/// Whether an entry speaks of a code that is no longer good. The list of codes is not public, so
/// the words decide; a target's overrides decide before them.
fn is_about_the_code(entries: &[Entry<'_>]) -> bool {
    entries.iter().any(|entry| {
        let text = format!("{} {}", entry.code, entry.title).to_lowercase();
        let words: Vec<_> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(word));
        let missing = has(&["missing", "required"]);
        !missing
            && (has(&["code", "authcode"]) || text.contains("auth_code"))
            && (has(&["expired", "used", "invalid", "unknown"]) || text.contains("not found"))
    })
}

fn say(asked: &Asked<'_>, status: StatusCode, error: ErrorCode, entries: &[Entry<'_>]) -> Answer {
    let told: Vec<_> = entries.iter().take(TOLD_MAX).filter_map(Entry::sentence).collect();
    let description = match (told.is_empty(), error) {
        (false, _) => told.join("; "),
        (true, ErrorCode::AccessDenied) => "provider denied access".to_owned(),
        (true, _) => "provider refused the request".to_owned(),
    };
    let link = entries.first().map(|entry| entry.link).filter(|link| foreign::is_web_uri(link));
    Answer::of_refusal(status, error, &foreign::redacted(asked, &description), link)
}

impl Entry<'_> {
    /// `CODE: TITLE (id ID)`, as far as it has them.
    fn sentence(&self) -> Option<String> {
        let mut text = match (self.code, self.title) {
            ("", "") => return None,
            (code, "") => code.to_owned(),
            ("", title) => title.to_owned(),
            (code, title) => format!("{code}: {title}"),
        };
        if !self.id.is_empty() {
            text.push_str(&format!(" (id {})", self.id));
        }
        Some(text)
    }
}
