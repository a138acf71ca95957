//! The layer that asks the breaker, and tells it how the call went.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::Outbound;
use crate::breaker::{Breaker, Watched};
use crate::dialect::ProviderAnswer;
use crate::fault::Fault;

#[derive(Debug, Clone)]
pub(super) struct BreakerLayer {
    breaker: Arc<Breaker>,
}

impl BreakerLayer {
    pub(super) const fn new(breaker: Arc<Breaker>) -> Self {
        Self { breaker }
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded { inner, breaker: self.breaker.clone() }
    }
}

#[derive(Debug)]
pub(super) struct Guarded<S> {
    inner: S,
    breaker: Arc<Breaker>,
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
        match self.breaker.admit(now()) {
            Ok(watched) => GuardedFuture {
                inner: Some(self.inner.call(outbound)),
                watched: Some(watched),
                wait: Duration::ZERO,
            },
            Err(wait) => GuardedFuture { inner: None, watched: None, wait },
        }
    }
}

pin_project! {
    /// Owes the breaker a verdict; dropped without one, it says that nothing was learned.
    pub(super) struct GuardedFuture<F> {
        #[pin]
        inner: Option<F>,
        watched: Option<Watched>,
        wait: Duration,
    }
}

impl<F: Future<Output = Result<ProviderAnswer, Fault>>> Future for GuardedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(Err(Fault::BreakerOpen(*this.wait)));
        };
        let outcome = ready!(inner.poll(cx));
        if let Some(watched) = this.watched.take() {
            tell(watched, &outcome);
        }
        Poll::Ready(outcome)
    }
}

/// Failures on the way and the bank's own 5xx count; its 4xx are the client's affair.
fn tell(watched: Watched, outcome: &Result<ProviderAnswer, Fault>) {
    match outcome {
        Ok(answer) if answer.status.is_server_error() => watched.fail(now()),
        Ok(_) => watched.succeed(),
        Err(fault) if fault.counts_for_breaker() => watched.fail(now()),
        Err(_) => watched.abandon(),
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
