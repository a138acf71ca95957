//! The conversation with a bank: the last stretch of the walk, turn by turn.
//!
//! This file decides in which order a dialect is asked and the bank is: the hub's own token first
//! where one is needed, then request and answer until the dialect is done. It must not know any
//! dialect.

use std::sync::Arc;

use http::HeaderMap;

use crate::answer::Answer;
use crate::callers::Peer;
use crate::deadline::seconds;
use crate::dialect::held::{DEFAULT_LIFE, HeldKey};
use crate::dialect::told::{Owner, Tokens, Told};
use crate::dialect::{self, Asked, Heard, Recipe, TURNS_MAX, Turn};
use crate::exchange::{Banks, Entropy, Setting};
use crate::fault::Fault;
use crate::ids::ClientId;
use crate::limiter::Permit;
use crate::oauth::Call;
use crate::record::Trail;
use crate::routes::UnknownTokens;
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
    if let Err(fault) = check_owner(setting, asked) {
        return (Err(fault), Trail::default());
    }
    let Some(flight) = Flight::of(asked, setting.peer) else {
        let outcome = converse(setting, permit, route, asked).await;
        learn(setting, asked, &outcome);
        return outcome;
    };
    let replay = asked.target.translation.replay_window.unwrap_or_default();
    let talk = async {
        let outcome = converse(setting, permit, route, asked).await;
        // Only of the call that was carried: who waits has said nothing to the bank.
        learn(setting, asked, &outcome);
        outcome
    };
    // Boxed, so that the room that it needs is not every call's.
    Box::pin(setting.banks.alone(flight, replay, talk)).await
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
                Turn::Ask(step, request) => (step, request),
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
            Turn::Ask(..) => Err(Fault::Internal("a conversation without an end")),
        }
    };
    let heard = heard.await;
    (heard, trail)
}

/// A refresh that must not happen twice at once.
#[derive(Debug, Clone)]
pub struct Flight {
    /// What names it: the bank, the client and the token. Not the certificate: while a client
    /// rolls its certificates over, its instances show different ones.
    pub key: FlightKey,
    /// All that it asks for. The answer to a question is no answer to another one.
    pub question: FlightKey,
    /// Whose it is.
    pub client: ClientId,
}

/// Part of a [`Flight`]: only a hash is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlightKey(HeldKey);

impl FlightKey {
    /// As it travels to another process.
    pub const fn bytes(&self) -> &[u8; 32] {
        self.0.bytes()
    }

    /// As it came from another process.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(HeldKey::from_bytes(bytes))
    }
}

impl Flight {
    /// The flight of a call, where the bank's refresh tokens are good once (DIALECTS 2.3). A code
    /// exchange is none: the same code twice is an attack, not a coincidence.
    fn of(asked: &Asked<'_>, peer: &Peer) -> Option<Self> {
        if asked.call != Call::Token || !asked.target.translation.rotates_refresh_tokens {
            return None;
        }
        let token = presented(asked)?;
        // Whoever only says who it is does not share with who has shown it.
        let shown = if peer.fingerprint.is_some() { "shown" } else { "said" };
        let parts = [asked.target.id.as_str(), asked.client_id.as_str(), shown, token];
        // Parameters have no order, and one without a value is as good as none (RFC 6749 section
        // 3.2).
        let mut pairs: Vec<_> = asked.form.pairs().filter(|(_, value)| !value.is_empty()).collect();
        pairs.sort_unstable();
        let pairs: Vec<_> = pairs.into_iter().flat_map(|(name, value)| [name, value]).collect();
        Some(Self {
            key: FlightKey(HeldKey::of(&parts)),
            question: FlightKey(HeldKey::of(&pairs)),
            client: asked.client_id.clone(),
        })
    }
}

/// The flight of a form, for tests of who goes and who waits.
#[cfg(test)]
pub(crate) fn flight_of(client: ClientId, token: &str, form: &str) -> Flight {
    let key = FlightKey(HeldKey::of(&[client.as_str(), token]));
    Flight { key, question: FlightKey(HeldKey::of(&[form])), client }
}

/// The refresh token of a refresh.
fn presented<'a>(asked: &'a Asked<'_>) -> Option<&'a str> {
    let is_refresh = asked.form.value("grant_type") == Some("refresh_token");
    asked.form.value("refresh_token").filter(|_| is_refresh)
}

/// A token that the call is about has to be this client's, where the bank can't tell: it knows one
/// client only, the hub (RFC 6749 section 10.4, RFC 7009 section 2.1).
fn check_owner<B, E>(setting: &Setting<'_, '_, B, E>, asked: &Asked<'_>) -> Result<(), Fault> {
    if !asked.target.dialect.shares_registration(asked.client_id) {
        return Ok(());
    }
    let (token, refusal) = match asked.call {
        Call::Token => (presented(asked), Fault::TokenUnowned),
        Call::Revoke => (asked.form.value("token"), Fault::TokenUnowned),
        Call::Username => (bearer(asked.headers), Fault::BearerUnknown),
    };
    let Some(token) = token else { return Ok(()) };
    let (memory, now) = (&setting.hub.memory, setting.now);
    match memory.owner(asked.target.id.as_str(), asked.client_id.as_str(), token, now) {
        Owner::Own => Ok(()),
        Owner::Another => Err(refusal),
        Owner::Unknown => match asked.target.translation.unknown_tokens {
            UnknownTokens::Refuse => Err(refusal),
            UnknownTokens::Learn if memory.is_complete(now) => Err(refusal),
            UnknownTokens::Learn | UnknownTokens::Pass => Ok(()),
        },
    }
}

/// What the hub remembers of the Bearer token of this call.
pub(crate) fn recall<B, E>(
    setting: &Setting<'_, '_, B, E>,
    route: &Route,
    client: &ClientId,
    headers: &HeaderMap,
) -> Option<Told> {
    if !route.target.remembers_tokens() {
        return None;
    }
    let (target, token) = (route.target.id.as_str(), bearer(headers)?);
    setting.hub.memory.recall(target, client.as_str(), token, setting.now)
}

/// Learns from a call that was carried, where the target's entry has a use for it: whose the tokens
/// of a good answer are, and what was revoked.
fn learn<B, E>(setting: &Setting<'_, '_, B, E>, asked: &Asked<'_>, outcome: &Outcome) {
    let target = asked.target;
    match asked.call {
        Call::Token => {
            let wanted =
                target.remembers_tokens() || target.dialect.shares_registration(asked.client_id);
            if let (true, Ok(heard)) = (wanted, &outcome.0) {
                remember(setting, asked, &heard.answer);
            }
        }
        Call::Revoke if target.translation.assert_username => {
            let (heard, trail) = outcome;
            let kept = heard.as_ref().is_ok_and(|heard| heard.answer.status.is_client_error());
            // A bank that was asked may have revoked it, whatever became of its answer.
            let asked_bank = trail.duration.is_some() || heard.is_ok();
            if let (false, true, Some(token)) = (kept, asked_bank, asked.form.value("token")) {
                let (memory, client) = (&setting.hub.memory, asked.client_id.as_str());
                memory.forget_name(target.id.as_str(), client, token, setting.now);
            }
        }
        Call::Revoke | Call::Username => {}
    }
}

/// Remembers the tokens of a good token answer.
fn remember<B, E>(setting: &Setting<'_, '_, B, E>, asked: &Asked<'_>, answer: &Answer) {
    if answer.status != 200 {
        return;
    }
    // As members: what else a bank writes there, such as a number that is none, is nobody's loss.
    let Some(given) = dialect::given(&answer.body) else { return };
    // A refresh may come without a name (`username_on_refresh`): the hub can't vouch for one.
    let username =
        asked.form.value("username").filter(|_| asked.target.translation.assert_username);
    let tokens = Tokens {
        target: asked.target.id.as_str(),
        client: asked.client_id.as_str(),
        // A bank that says it as no number lets nobody down.
        access: (&given.access_token, given.seconds.map_or(DEFAULT_LIFE, seconds)),
        refresh: given.refresh_token.as_deref(),
        presented: presented(asked),
        username,
    };
    setting.hub.memory.tell(&tokens, setting.now);
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
