//! The hub's own tokens, kept in memory: fetched once for all who ask, forgotten when refused.
//!
//! This file decides when a token is fetched. Its keys come from the table (targets and clients),
//! so their number is bounded by it. It must not know what a token is for.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;

use crate::deadline::later;
use crate::dialect::Held;
use crate::dialect::held::HeldKey;
use crate::fault::Fault;

/// How long a failed fetch stands for the next ones: a bank that is down is not hammered.
const FAILURE_LIFE: Duration = Duration::from_secs(1);

/// All held tokens.
#[derive(Debug, Default)]
pub(crate) struct HeldTokens {
    slots: DashMap<HeldKey, Arc<Slot>>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Whoever fetches holds it; the others wait, and find the token when they get it.
    fetching: tokio::sync::Mutex<()>,
    kept: Mutex<Option<(Result<Held, Fault>, Instant)>>,
}

impl HeldTokens {
    /// The token, from memory while it is good, else by `fetch`, which gives it with its life.
    pub(super) async fn get(
        &self,
        key: HeldKey,
        fetch: impl Future<Output = Result<(Held, Duration), Fault>>,
    ) -> Result<Held, Fault> {
        let slot = self.slots.entry(key).or_default().clone();
        if let Some(kept) = slot.current() {
            return kept;
        }
        let _fetching = slot.fetching.lock().await;
        if let Some(kept) = slot.current() {
            return kept;
        }
        let (kept, life) = match fetch.await {
            Ok((held, life)) => (Ok(held), life),
            Err(fault) => (Err(fault), FAILURE_LIFE),
        };
        *slot.lock() = Some((kept.clone(), later(Instant::now(), life)));
        kept
    }

    /// Forgets what has ended and nobody asks for: after a reload, nobody may ever again.
    pub(super) fn forget_ended(&self) {
        self.slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.current().is_some());
    }

    /// Forgets exactly this token.
    pub(super) fn evict(&self, held: &Held) {
        let Some(slot) = held.key().and_then(|key| self.slots.get(&key).map(|slot| slot.clone()))
        else {
            return;
        };
        let mut kept = slot.lock();
        if matches!(&*kept, Some((Ok(current), _)) if current == held) {
            *kept = None;
        }
    }
}

impl Slot {
    fn current(&self) -> Option<Result<Held, Fault>> {
        let kept = self.lock();
        kept.as_ref().filter(|(_, until)| Instant::now() < *until).map(|(kept, _)| kept.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Result<Held, Fault>, Instant)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::dialect::ProviderAnswer;
    use crate::dialect::held::{DEFAULT_LIFE, read_answer};

    fn fetched(key: HeldKey, token: &str) -> Result<(Held, Duration), Fault> {
        let answer = ProviderAnswer {
            status: http::StatusCode::OK,
            headers: crate::framing::fields::Fields::new(),
            body: format!("{{\"t\":\"{token}\",\"e\":100}}").into(),
        };
        read_answer(key, &answer, "/t", "/e", DEFAULT_LIFE)
    }

    #[tokio::test(start_paused = true)]
    async fn fifty_who_ask_at_once_cause_one_fetch_and_so_does_its_end() {
        let (tokens, key, fetches) = (HeldTokens::default(), HeldKey::of(&["a"]), Cell::new(0));
        let ask = async || {
            let fetch = async {
                fetches.set(fetches.get() + 1);
                tokio::time::sleep(Duration::from_millis(50)).await;
                fetched(key, &format!("t{}", fetches.get()))
            };
            tokens.get(key, fetch).await.map(|held| held.expose().to_owned())
        };
        for round in 1..=2 {
            let all = (0..50).map(|_| ask());
            for token in join_all(all).await {
                assert_eq!(token, Ok(format!("t{round}")));
            }
            assert_eq!(fetches.get(), round);
            tokio::time::advance(Duration::from_secs(90)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_forgotten_but_not_its_successor() {
        let (tokens, key) = (HeldTokens::default(), HeldKey::of(&["a"]));
        let get = async |token| tokens.get(key, async { fetched(key, token) }).await.unwrap();
        let first = get("one").await;
        tokens.evict(&first);
        let second = get("two").await;
        tokens.evict(&first);
        assert_eq!(get("three").await, second);
    }

    async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
        let mut pending: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
        std::future::poll_fn(|cx| {
            for (future, output) in &mut pending {
                if output.is_none()
                    && let std::task::Poll::Ready(ready) = future.as_mut().poll(cx)
                {
                    *output = Some(ready);
                }
            }
            if pending.iter().all(|(_, output)| output.is_some()) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        pending.into_iter().filter_map(|(_, output)| output).collect()
    }
}
