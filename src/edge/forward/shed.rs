//! The outermost layer: a bank whose places are taken, all or this client's share of them, sheds
//! the call at once.
//!
//! tower's own `ConcurrencyLimit` under `LoadShed` keeps a reserved place in every service that
//! found the limit full; with one service a worker, a small limit would starve the other workers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::Outbound;
use crate::concurrency::{ConcurrencyLimit, ConcurrencyPermit, Full};
use crate::dialect::ProviderAnswer;
use crate::fault::Fault;

#[derive(Debug, Clone)]
pub(super) struct ShedLayer {
    places: ConcurrencyLimit,
}

impl ShedLayer {
    pub(super) const fn new(places: ConcurrencyLimit) -> Self {
        Self { places }
    }
}

impl<S> Layer<S> for ShedLayer {
    type Service = Shed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Shed { inner, places: self.places.clone() }
    }
}

#[derive(Debug)]
pub(super) struct Shed<S> {
    inner: S,
    places: ConcurrencyLimit,
}

impl<S> Service<Outbound> for Shed<S>
where
    S: Service<Outbound, Response = ProviderAnswer, Error = Fault>,
{
    type Response = ProviderAnswer;
    type Error = Fault;
    type Future = ShedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, outbound: Outbound) -> Self::Future {
        let place = self.places.acquire(outbound.client);
        let inner = place.is_ok().then(|| self.inner.call(outbound));
        ShedFuture { inner, place }
    }
}

pin_project! {
    /// Holds the place until the call is over. Without a place there is no call.
    pub(super) struct ShedFuture<F> {
        #[pin]
        inner: Option<F>,
        place: Result<ConcurrencyPermit, Full>,
    }
}

impl<F: Future<Output = Result<ProviderAnswer, Fault>>> Future for ShedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        match (this.inner.as_pin_mut(), this.place) {
            (Some(inner), _) => inner.poll(cx),
            (None, Err(full)) => Poll::Ready(Err(Fault::TargetBusy(full.as_str()))),
            (None, Ok(_)) => Poll::Ready(Err(Fault::Internal("a place without a call"))),
        }
    }
}
