//! Tokens that the hub holds itself: what one is needed for, and how it is asked for.
//!
//! This file decides what names a held token, how its answer is read, and when it counts as old.
//! It must not know where tokens are kept, nor the clock.

use std::time::Duration;

use serde_json::Value;
use sha2::Digest as _;
use zeroize::Zeroizing;

use super::reply::members::without_mark;
use super::{ProviderAnswer, ProviderRequest, coding};
use crate::fault::{Fault, Name};

/// Longest a held token is kept when its answer does not say how long it lives.
pub const DEFAULT_LIFE: Duration = Duration::from_secs(300);
/// Longest a held token is kept, whatever its answer says.
const LIFE_MAX: Duration = Duration::from_secs(86_400);
/// A held token is replaced so long before its end, or a tenth of its life if that is shorter:
/// it must still be good when the bank reads it.
const MARGIN_MAX: Duration = Duration::from_secs(30);

/// Longest held token, in bytes: it travels in a field or a body of each call.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Longest answer with one, once it is decoded.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What names a held token: a hash over the target, the credentials and whom it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeldKey([u8; 32]);

impl HeldKey {
    /// The key for all that makes one token differ from another. Each part is delimited, so that
    /// two lists of parts never run together.
    pub fn of(parts: &[&str]) -> Self {
        let mut digest = sha2::Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        Self(digest.finalize().into())
    }

    /// As it travels to another process.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// As it came from another process.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// How to come by a held token.
#[derive(Debug)]
pub enum Recipe {
    /// The table has it.
    Static(Held),
    /// The bank gives it.
    Fetch {
        /// Its name.
        key: HeldKey,
        /// What to ask.
        request: Box<ProviderRequest>,
        /// Where in the JSON answer the token is (RFC 6901).
        token_pointer: Name,
        /// Where its life in seconds is.
        expires_pointer: Name,
        /// Its life where the answer does not say.
        default_life: Duration,
    },
}

/// A held token. Its text is wiped when it is dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Held {
    key: Option<HeldKey>,
    token: Zeroizing<String>,
}

impl Held {
    /// A token that the table has.
    pub fn fixed(token: &str) -> Self {
        Self { key: None, token: Zeroizing::new(token.to_owned()) }
    }

    /// The token's text, for a header or body. Whoever asks must not print it.
    pub fn expose(&self) -> &str {
        &self.token
    }

    /// The name that it is kept under; none for a token of the table.
    pub const fn key(&self) -> Option<HeldKey> {
        self.key
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held(…)")
    }
}

/// Reads a held token out of its answer: the token, and how long it may be used.
///
/// # Errors
/// [`Fault::CredentialsRejected`] when the bank refuses the hub; [`Fault::ResponseMalformed`] when
/// the answer has no token where the recipe says.
pub fn read_answer(
    key: HeldKey,
    answer: &ProviderAnswer,
    token_pointer: &str,
    expires_pointer: &str,
    default_life: Duration,
) -> Result<(Held, Duration), Fault> {
    match answer.status.as_u16() {
        200..=299 => {}
        400 | 401 | 403 => return Err(Fault::CredentialsRejected),
        429 | 503 => return Err(Fault::ProviderBusy(None)),
        _ => return Err(Fault::ResponseMalformed("held token status")),
    }
    let answer = coding::decoded(answer.clone(), ANSWER_BYTES_MAX)?;
    let mut json: Value = serde_json::from_slice(without_mark(&answer.body))
        .map_err(|_| Fault::ResponseMalformed("held token answer"))?;
    // Taken out, not copied.
    let Some(Value::String(token)) = json.pointer_mut(token_pointer) else {
        return Err(Fault::ResponseMalformed("held token missing"));
    };
    let token = Zeroizing::new(std::mem::take(token));
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Fault::ResponseMalformed("held token too long"));
    }
    let life = json.pointer(expires_pointer).and_then(seconds_of).map(Duration::from_secs);
    let life = life.unwrap_or(default_life).min(LIFE_MAX);
    let held = Held { key: Some(key), token };
    Ok((held, life - MARGIN_MAX.min(life / 10)))
}

/// Whole seconds, as a number or, as some banks write them, as a text. Any number: whoever counts
/// with it has to bound it.
fn seconds_of(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> ProviderAnswer {
        ProviderAnswer {
            status: http::StatusCode::from_u16(status).unwrap(),
            headers: crate::framing::fields::Fields::new(),
            body: body.into(),
        }
    }

    fn read(status: u16, body: &'static str) -> Result<(Held, Duration), Fault> {
        let key = HeldKey::of(&["a"]);
        read_answer(key, &answer(status, body), "/data/t", "/data/e", DEFAULT_LIFE)
    }

    #[test]
    fn a_held_token_is_replaced_before_its_end() {
        let (held, life) = read(201, r#"{"data":{"t":"secret","e":3600}}"#).unwrap();
        assert_eq!((held.expose(), life), ("secret", Duration::from_secs(3570)));
        assert_eq!(
            read(200, r#"{"data":{"t":"x","e":"100"}}"#).unwrap().1,
            Duration::from_secs(90)
        );
        assert_eq!(read(200, r#"{"data":{"t":"x"}}"#).unwrap().1, Duration::from_secs(270));
        let most = LIFE_MAX - MARGIN_MAX;
        for forever in ["9223372036854775807", "18446744073709551615", "\"9223372036854775807\""] {
            let body = format!(r#"{{"data":{{"t":"x","e":{forever}}}}}"#);
            assert_eq!(read(200, body.leak()).unwrap().1, most);
        }
        assert_eq!(format!("{held:?}"), "Held(…)");
    }

    #[test]
    fn a_refusal_is_the_hubs_affair_and_not_the_clients() {
        assert_eq!(read(401, "{}").unwrap_err(), Fault::CredentialsRejected);
        assert_eq!(read(503, "{}").unwrap_err(), Fault::ProviderBusy(None));
        assert!(matches!(read(200, "<html>"), Err(Fault::ResponseMalformed(_))));
        assert!(matches!(read(200, "{}"), Err(Fault::ResponseMalformed(_))));
    }

    #[test]
    fn parts_of_a_key_never_run_together() {
        assert_ne!(HeldKey::of(&["ab", "c"]), HeldKey::of(&["a", "bc"]));
    }
}
