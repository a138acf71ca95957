//! The layer that asks whether the bank is called at all, and tells how the call went.
//!
//! This file decides what counts: for the breaker, for the one of several addresses that was asked,
//! and as a bank's wish to be left alone. It must not know how calls are sent.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use http::StatusCode;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{Fate, Outbound};
use crate::answer::asked_wait;
use crate::breaker::{Failure, Watched};
use crate::dialect::{Host, ProviderAnswer};
use crate::edge::now;
use crate::fault::Fault;
use crate::ids::ClientKey;
use crate::snapshot::Route;

#[derive(Debug, Clone)]
pub(super) struct BreakerLayer {
    route: Arc<Route>,
    host: Host,
}

impl BreakerLayer {
    pub(super) const fn new(route: Arc<Route>, host: Host) -> Self {
        Self { route, host }
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded { inner, route: self.route.clone(), host: self.host }
    }
}

#[derive(Debug)]
pub(super) struct Guarded<S> {
    inner: S,
    route: Arc<Route>,
    host: Host,
}

impl<S> Service<Outbound> for Guarded<S>
where
    S: Service<Outbound, Response = ProviderAnswer, Error = Fault>,
{
    type Response = ProviderAnswer;
    type Error = Fault;
    type Future = GuardedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, outbound: Outbound) -> Self::Future {
        let (route, now) = (&self.route, outbound.started);
        let client = outbound.client;
        if let Some(wait) = route.patience.wait_of(now, route.asker(client)) {
            return GuardedFuture::refused(Fault::ProviderBusy(Some(wait)));
        }
        match route.breaker.admit(now, Some(client)) {
            Ok(watched) => {
                let fate = outbound.fate.clone();
                let (route, host) = (route.clone(), self.host);
                GuardedFuture {
                    inner: Some(self.inner.call(outbound)),
                    verdict: Some(Verdict { watched, route, host, fate, client }),
                    refusal: None,
                }
            }
            Err(wait) => GuardedFuture::refused(Fault::BreakerOpen(wait)),
        }
    }
}

pin_project! {
    /// Owes the breaker a verdict; dropped without one, it says that nothing was learned.
    pub(super) struct GuardedFuture<F> {
        #[pin]
        inner: Option<F>,
        verdict: Option<Verdict>,
        refusal: Option<Fault>,
    }
}

impl<F> GuardedFuture<F> {
    const fn refused(fault: Fault) -> Self {
        Self { inner: None, verdict: None, refusal: Some(fault) }
    }
}

impl<F: Future<Output = Result<ProviderAnswer, Fault>>> Future for GuardedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            let refusal = this.refusal.take();
            return Poll::Ready(Err(refusal.unwrap_or(Fault::Internal("polled again"))));
        };
        let outcome = ready!(inner.poll(cx));
        if let Some(verdict) = this.verdict.take() {
            verdict.tell(&outcome);
        }
        Poll::Ready(outcome)
    }
}

/// What is told once a call is over.
struct Verdict {
    watched: Watched,
    route: Arc<Route>,
    host: Host,
    fate: Rc<Fate>,
    client: ClientKey,
}

impl Verdict {
    /// Failures on the way and the bank's own 5xx count; its 4xx are the client's affair.
    fn tell(self, outcome: &Result<ProviderAnswer, Fault>) {
        let Self { watched, route, host, fate, client } = self;
        let endpoints = route.endpoints(host);
        if let Ok(answer) = outcome
            && matches!(answer.status.as_u16(), 429 | 503)
        {
            learn_wait(&route, answer, client);
        }
        let failure = match outcome {
            Ok(answer) => answer.status.is_server_error().then_some(Failure::Call),
            Err(fault) if fault.is_of_the_way() => Some(Failure::Way),
            Err(fault) if fault.counts_for_breaker() => Some(Failure::Call),
            Err(_) => return watched.abandon(),
        };
        let one_of_several = match failure {
            Some(failure) => watched.fail(now(), failure),
            None => {
                watched.succeed();
                false
            }
        };
        let Some(endpoint) = fate.trail.get().endpoint.filter(|_| endpoints.are_several()) else {
            return;
        };
        match failure {
            // What could not be reached was left out when it was tried.
            Some(Failure::Way) => {}
            Some(Failure::Call) => endpoints.fail(endpoint, now(), client, one_of_several),
            None => endpoints.succeed(endpoint),
        }
    }
}

/// A bank that says when it wants to be called again is not called before that: by nobody after a
/// 503, by this client after a 429.
fn learn_wait(route: &Route, answer: &ProviderAnswer, client: ClientKey) {
    #[expect(clippy::disallowed_methods, reason = "the edge is where time is read")]
    let clock = SystemTime::now();
    if let Some(wait) = asked_wait(&answer.headers, Some(clock)) {
        let wait = wait.min(route.target.retry_after_max);
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            route.patience.learn(now(), wait);
        } else {
            route.patience.learn_for(now(), wait, route.asker(client));
        }
    }
}
