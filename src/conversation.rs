//! The conversation with a bank: the last stretch of the walk, turn by turn.
//!
//! This file decides in which order a dialect is asked and the bank is: the hub's own token first
//! where one is needed, then request and answer until the dialect is done. It must not know any
//! dialect.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use crate::answer::Answer;
use crate::callers::Peer;
use crate::dialect::held::{DEFAULT_LIFE, HeldKey};
use crate::dialect::told::Told;
use crate::dialect::{self, Asked, Heard, Recipe, TURNS_MAX, Turn};
use crate::exchange::{Banks, Entropy, Setting};
use crate::fault::Fault;
use crate::limiter::Permit;
use crate::oauth::Call;
use crate::record::Trail;
use crate::snapshot::Route;

/// How a conversation ended, and what is known of the way.
pub type Outcome = (Result<Heard, Fault>, Trail);

/// Talks with the bank; for a refresh token that is good once, alone.
pub(crate) async fn hold<B: Banks, E: Entropy>(
    setting: &Setting<'_, '_, B, E>,
    permit: &Permit,
    route: &Arc<Route>,
    asked: &Asked<'_>,
) -> Outcome {
    let Some(key) = FlightKey::of(asked, setting.peer) else {
        return converse(setting, permit, route, asked).await;
    };
    let replay = asked.target.translation.replay_window.unwrap_or_default();
    let talk = converse(setting, permit, route, asked);
    // Boxed, so that the room that it needs is not every call's.
    Box::pin(setting.banks.alone(key, replay, talk)).await
}

async fn converse<B: Banks, E: Entropy>(
    setting: &Setting<'_, '_, B, E>,
    permit: &Permit,
    route: &Arc<Route>,
    asked: &Asked<'_>,
) -> Outcome {
    let mut trail = Trail::default();
    let heard = async {
        if let Some(told) = asserted(setting, asked)? {
            return Ok(told);
        }
        let held = match dialect::recipe(asked)? {
            None => None,
            Some(Recipe::Static(held)) => Some(held),
            // Boxed, as in `hold`.
            Some(recipe) => Some(Box::pin(setting.banks.held(permit, route, recipe)).await?),
        };
        let mut turn = dialect::open(asked, held.as_ref())?;
        for _ in 0..TURNS_MAX {
            let (step, request) = match turn {
                Turn::Done(heard) => return Ok(heard),
                Turn::Ask(request) => (0, request),
                Turn::Then(step, request) => (step, request),
            };
            let (answer, way) = setting.banks.forward(permit, route, request).await;
            trail = way;
            turn = dialect::hear(asked, held.as_ref(), step, answer?).inspect_err(|fault| {
                if let (Fault::CredentialsRejected, Some(held)) = (fault, &held) {
                    setting.banks.evict(held);
                }
            })?;
        }
        match turn {
            Turn::Done(heard) => Ok(heard),
            Turn::Ask(_) | Turn::Then(..) => Err(Fault::Internal("a conversation without an end")),
        }
    };
    let heard = heard.await;
    (heard, trail)
}

/// What names a refresh that must not happen twice at once: the bank, the client with its
/// certificate, and the token. Only a hash of the token is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlightKey(HeldKey);

impl FlightKey {
    /// The key of a call, where the bank's refresh tokens are good once (DIALECTS 2.3). A code
    /// exchange has none: the same code twice is an attack, not a coincidence.
    fn of(asked: &Asked<'_>, peer: &Peer) -> Option<Self> {
        if asked.call != Call::Token || !asked.target.translation.rotates_refresh_tokens {
            return None;
        }
        let is_refresh = asked.form.value("grant_type") == Some("refresh_token");
        let token = asked.form.value("refresh_token").filter(|_| is_refresh)?;
        let certificate = peer.fingerprint.map(|print| print.to_string()).unwrap_or_default();
        let parts = [asked.target.id.as_str(), asked.client_id.as_str(), &certificate, token];
        Some(Self(HeldKey::of(&parts)))
    }
}

/// What the hub remembers of the Bearer token of this call.
pub(crate) fn recall<B, E>(
    setting: &Setting<'_, '_, B, E>,
    route: &Route,
    headers: &HeaderMap,
) -> Option<Told> {
    if !route.target.remembers_tokens() {
        return None;
    }
    let token = bearer(headers)?;
    setting.hub.memory.recall(route.target.id.as_str(), token, setting.now)
}

/// Remembers the token of a good token answer, where the target's entry has a use for it.
pub(crate) fn remember<B, E>(setting: &Setting<'_, '_, B, E>, asked: &Asked<'_>, answer: &Answer) {
    if asked.call != Call::Token || answer.status != 200 || !asked.target.remembers_tokens() {
        return;
    }
    let Ok(token) = serde_json::from_slice::<TokenAnswer<'_>>(&answer.body) else { return };
    let life = Duration::from_secs(token.expires_in.unwrap_or(DEFAULT_LIFE.as_secs()));
    let username = asked.form.value("username").unwrap_or_default();
    if username.is_empty() && asked.target.translation.assert_username {
        // A refresh may come without a name (`username_on_refresh`): the hub can't vouch for one.
        return;
    }
    let target = asked.target.id.as_str();
    setting.hub.memory.tell(target, &token.access_token, username, life, setting.now);
}

#[derive(serde::Deserialize)]
struct TokenAnswer<'a> {
    access_token: std::borrow::Cow<'a, str>,
    expires_in: Option<u64>,
}

/// The hub's own answer to a username check, where the table wants it (DIALECTS 2.5): it proves
/// that the name is the one that came with the token, and no more.
fn asserted<B, E>(
    setting: &Setting<'_, '_, B, E>,
    asked: &Asked<'_>,
) -> Result<Option<Heard>, Fault> {
    if asked.call != Call::Username || !asked.target.translation.assert_username {
        return Ok(None);
    }
    let told = asked.told.filter(|told| !told.expired).ok_or(Fault::BearerUnknown)?;
    let target = asked.target.id.as_str();
    let username = asked.form.value("username").unwrap_or_default();
    let same = setting.hub.memory.is_same_name(&told, target, username);
    let answer = Answer::of_platform(format!("{{\"valid_username\":{same}}}").into());
    Ok(Some(Heard { answer, oddity: None }))
}

/// The token of `Authorization: Bearer`; its form was checked with the head.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    value.split_once(' ').map(|(_, token)| token.trim_start())
}
