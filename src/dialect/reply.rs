//! What a bank's answer is made into: tokens, an empty 200, a verdict on a username.
//!
//! This file decides what a good answer must have and what of it is passed on; what is none is
//! [`complaint`]'s. It must not know any dialect.

pub(super) mod complaint;
pub(super) mod members;
pub(super) mod redact;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use self::members::Members;
use super::{Asked, Heard, Oddity, ProviderAnswer, Turn};
use crate::answer::{Answer, Source};
use crate::fault::Fault;
use crate::wiped::Wiped;

/// Members of a token answer that the hub writes itself, or that say who the hub is at the bank.
const HUBS_OWN: [&str; 7] = [
    "access_token",
    "token_type",
    "expires_in",
    "refresh_token",
    "scope",
    "client_id",
    "client_secret",
];
/// Most members that pass without being known, and how long one's name may be.
const EXTRA_MEMBERS_MAX: usize = 64;
const EXTRA_NAME_BYTES_MAX: usize = 128;
/// How long they may be together: an id token and some details fit in.
const EXTRA_BYTES_MAX: usize = 64 * 1024;
/// Longest name of a token type: one is an absolute URI at most (RFC 6749 section 8.1).
const TOKEN_TYPE_BYTES_MAX: usize = 128;
/// What the tokens of a usual answer take.
const TOKENS_BYTES: usize = 512;
/// A secret shorter than this is not looked for: it stands in any text by chance.
const SECRET_BYTES_MIN: usize = 4;

/// The JSON object of a good answer.
///
/// # Errors
/// [`Fault::ResponseMalformed`] where it is none, such as a page for people.
pub(super) fn object(answer: &ProviderAnswer) -> Result<Members<'_>, Fault> {
    Members::read(&answer.body).ok_or(Fault::ResponseMalformed("no JSON object"))
}

/// Tokens for the client (RFC 6749 section 5.1). `presented` is the refresh token of the call,
/// which stays good where no new one came (section 6); `withheld` are members that have no place
/// here, and `hidden` is what the hub put into the request.
///
/// Members that nobody here knows pass as the bank wrote them, for a client that does (`id_token`,
/// `authorization_details`, `grant_id`); "the client MUST ignore unrecognized value names". Those
/// that are too many, too long or no JSON that everybody reads are left out.
///
/// # Errors
/// [`Fault::ResponseMalformed`] without an access token, or with a type of token that is none.
pub(super) fn tokens(
    asked: &Asked<'_>,
    object: &Members<'_>,
    presented: Option<&str>,
    withheld: &[&str],
    hidden: &[&str],
) -> Result<Turn, Fault> {
    let access = object.text("access_token");
    let access = access.ok_or(Fault::ResponseMalformed("no access_token"))?;
    let (kind, oddity) = token_type(object)?;
    let default_life = asked.target.translation.default_expires_in.map(|life| life.as_secs());
    let mut tokens = Wiped::with_capacity(TOKENS_BYTES);
    tokens.extend(b"{\"access_token\":");
    tokens.extend_json(&access);
    tokens.extend(b",\"token_type\":");
    tokens.extend_json(&kind);
    if let Some(seconds) = object.seconds("expires_in").or(default_life) {
        tokens.extend(format!(",\"expires_in\":{seconds}").as_bytes());
    }
    if let Some(refresh) = object.text("refresh_token").or(presented.map(Cow::Borrowed)) {
        tokens.extend(b",\"refresh_token\":");
        tokens.extend_json(&refresh);
    }
    if let Some(scope) = object.text("scope") {
        tokens.extend(b",\"scope\":");
        tokens.extend_json(&scope);
    }
    push_extra(object, withheld, hidden, &mut tokens);
    tokens.push(b'}');
    Ok(Turn::Done(Heard { answer: of_json(tokens), oddity }))
}

/// The type of a token. Bearer is said in bLink's own word, whatever letters a bank takes for it
/// (Apigee's `BearerToken` too); it is also what is meant where a bank says nothing. Another type,
/// such as `DPoP`, passes as it is: the client has to know it, and must not use the token else
/// (RFC 6749 section 7.1), but its code is spent and the token is nobody else's.
fn token_type<'b>(object: &Members<'b>) -> Result<(Cow<'b, str>, Option<Oddity>), Fault> {
    const BEARER: Cow<'static, str> = Cow::Borrowed("bearer");
    let is_bearer = |kind: &str| {
        ["bearer", "bearertoken"].iter().any(|known| kind.trim().eq_ignore_ascii_case(known))
    };
    match object.text("token_type") {
        Some(kind) if is_bearer(&kind) => Ok((BEARER, None)),
        Some(kind) if is_type_name(&kind) => Ok((kind, None)),
        None if !object.has("token_type") || object.is_empty_text("token_type") => {
            Ok((BEARER, Some(Oddity::TokenAnswer)))
        }
        Some(_) | None => Err(Fault::ResponseMalformed("token_type")),
    }
}

/// `type-name` or an absolute URI (RFC 6749 appendix A.13).
fn is_type_name(kind: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/?#[]@!$&'()*+,;=%~".contains(&byte);
    kind.len() <= TOKEN_TYPE_BYTES_MAX && kind.bytes().all(is_plain)
}

fn push_extra(object: &Members<'_>, withheld: &[&str], hidden: &[&str], tokens: &mut Wiped) {
    let mut passed: Vec<&str> = Vec::new();
    let mut room = EXTRA_BYTES_MAX;
    for (name, raw) in object.iter() {
        let bytes = name.len() + raw.len();
        let passes = passed.len() < EXTRA_MEMBERS_MAX
            && bytes <= room
            && is_extra_name(name)
            && ![&HUBS_OWN[..], withheld, &passed].iter().any(|known| known.contains(&name))
            && !hidden.iter().any(|one| one.len() >= SECRET_BYTES_MIN && raw.contains(one))
            // What is no JSON to a strict reader would cost the client the whole answer.
            && serde_json::from_str::<Value>(raw).is_ok();
        if passes {
            for piece in [",\"", name, "\":", raw] {
                tokens.extend(piece.as_bytes());
            }
            room -= bytes;
            passed.push(name);
        }
    }
}

/// Whether a name can be written as it is.
fn is_extra_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\<>&".contains(&byte);
    (1..=EXTRA_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain)
}

/// A revocation that was carried out, or of what was no good already (RFC 7009 section 2.2).
pub(super) fn revoked() -> Turn {
    done(Answer::of_provider(StatusCode::OK, HeaderMap::new(), Bytes::new()))
}

/// What an answer with tokens gave, as far as the hub remembers it.
pub(crate) struct Given<'b> {
    /// The access token.
    pub(crate) access_token: Cow<'b, str>,
    /// The refresh token.
    pub(crate) refresh_token: Option<Cow<'b, str>>,
    /// How long the access token lives.
    pub(crate) seconds: Option<u64>,
}

/// Reads what an answer gave, however its bank writes it; nothing where it has no access token.
pub(crate) fn given(body: &[u8]) -> Option<Given<'_>> {
    let object = Members::read(body)?;
    Some(Given {
        access_token: object.text("access_token")?,
        refresh_token: object.text("refresh_token"),
        seconds: object.seconds("expires_in"),
    })
}

/// What the bank makes of a username.
pub(super) fn username(asked: &Asked<'_>, found: &str, folds_case: bool) -> Turn {
    let given = asked.form.value("username").unwrap_or_default();
    let same =
        if folds_case { given.to_lowercase() == found.to_lowercase() } else { given == found };
    done(of_json(json!({ "valid_username": same }).to_string()))
}

/// The end.
pub(super) const fn done(answer: Answer) -> Turn {
    Turn::Done(Heard { answer, oddity: None })
}

fn of_json(text: impl Into<Bytes>) -> Answer {
    Answer { source: Source::Provider, ..Answer::of_platform(text.into()) }
}
