//! The layer that cuts a call at the target's total deadline. A dripping answer can't extend it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower::{Layer, Service};

use super::Outbound;
use crate::deadline::later;
use crate::dialect::ProviderAnswer;
use crate::fault::Fault;

#[derive(Debug, Clone, Copy)]
pub(super) struct DeadlineLayer {
    total: Duration,
}

impl DeadlineLayer {
    pub(super) const fn new(total: Duration) -> Self {
        Self { total }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadline { inner, total: self.total }
    }
}

#[derive(Debug)]
pub(super) struct Deadline<S> {
    inner: S,
    total: Duration,
}

impl<S> Service<Outbound> for Deadline<S>
where
    S: Service<Outbound, Response = ProviderAnswer, Error = Fault>,
{
    type Response = ProviderAnswer;
    type Error = Fault;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, outbound: Outbound) -> Self::Future {
        let end = later(outbound.started, self.total);
        DeadlineFuture { inner: self.inner.call(outbound), sleep: sleep_until(end.into()) }
    }
}

pin_project! {
    /// The call and its end, whichever comes first. Dropping the call closes its connection.
    pub(super) struct DeadlineFuture<F> {
        #[pin]
        inner: F,
        #[pin]
        sleep: Sleep,
    }
}

impl<F: Future<Output = Result<ProviderAnswer, Fault>>> Future for DeadlineFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Poll::Ready(outcome) = this.inner.poll(cx) {
            return Poll::Ready(outcome);
        }
        this.sleep.poll(cx).map(|()| Err(Fault::ResponseTimeout))
    }
}
