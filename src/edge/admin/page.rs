//! Pages that take work: made apart from the probes, a few at a time, and sent in pieces.
//!
//! This file decides how many of them there are at once, from the moment that one is made until it
//! was taken: a page holds its place for as long as it takes memory. It must not know what stands
//! in one.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Threads that make pages.
pub(super) const THREADS_MAX: usize = 2;
/// Pages that are made or taken at once.
const PAGES_MAX: usize = 8;
/// How long a page waits for its place. Whoever takes nothing of a page loses it sooner
/// (`server`).
const PLACE_WAIT: Duration = Duration::from_secs(10);
/// The pieces that a page is sent in.
const PIECE_BYTES: usize = 64 * 1024;

/// Pages that wait for a place: with those that have one, half of the listener's connections.
const WAITING_MAX: usize = 24;

/// Requests that wait for a reload. Nobody who is being worked for is cut, so with the pages these
/// must leave connections for whoever else asks: three quarters of them at most are taken.
const RELOADS_MAX: usize = 16;

/// The places for pages, and for who waits for a reload.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    places: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    reloads: Arc<Semaphore>,
}

impl Default for Pages {
    fn default() -> Self {
        let semaphore = |places| Arc::new(Semaphore::new(places));
        Self {
            places: semaphore(PAGES_MAX),
            waiting: semaphore(WAITING_MAX),
            reloads: semaphore(RELOADS_MAX),
        }
    }
}

impl Pages {
    /// Makes a page, once there is a place for it.
    pub(super) async fn make<R>(&self, work: impl FnOnce() -> R + Send + 'static) -> Response
    where
        R: IntoResponse,
    {
        let Some(place) = self.place().await else {
            let later = [(header::RETRY_AFTER, "5")];
            let why = "too many pages are being taken\n";
            return (StatusCode::SERVICE_UNAVAILABLE, later, why).into_response();
        };
        match tokio::task::spawn_blocking(move || work().into_response()).await {
            Ok(response) => in_pieces(response, place).await,
            // It panicked, which the process log has.
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

impl Pages {
    /// A place to wait for a reload, until it is dropped; none where too many wait.
    pub(super) fn reload(&self) -> Option<OwnedSemaphorePermit> {
        self.reloads.clone().try_acquire_owned().ok()
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Some(place);
        }
        let _waits = self.waiting.try_acquire().ok()?;
        timeout(PLACE_WAIT, self.places.clone().acquire_owned()).await.ok()?.ok()
    }
}

async fn in_pieces(response: Response, place: OwnedSemaphorePermit) -> Response {
    let (head, body) = response.into_parts();
    // It is one text in memory already.
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Response::from_parts(head, Body::new(Pieces { bytes, _place: place }))
}

/// A page on its way out.
struct Pieces {
    bytes: Bytes,
    _place: OwnedSemaphorePermit,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let count = self.bytes.len().min(PIECE_BYTES);
        let piece = self.bytes.split_to(count);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_page_keeps_its_place_until_it_was_taken_and_the_next_one_does_not_wait_for_ever() {
        let pages = Pages::default();
        let mut taken = Vec::new();
        for _ in 0..PAGES_MAX {
            taken.push(pages.make(|| "page\n").await);
        }
        let refused = pages.make(|| "page\n").await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key(header::RETRY_AFTER));
        // Nor do more wait than may.
        let started = tokio::time::Instant::now();
        let mut waiting: Vec<_> =
            (0..=WAITING_MAX).map(|_| Box::pin(pages.make(|| "page\n"))).collect();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let made = waiting.iter_mut().map(|page| page.as_mut().poll(&mut context).is_ready());
        let refused = made.filter(|made| *made).count();
        assert_eq!((refused, started.elapsed()), (1, Duration::ZERO));
        drop(waiting);
        taken.pop();
        let page = pages.make(|| "x".repeat(3 * PIECE_BYTES + 1)).await;
        assert_eq!(page.status(), StatusCode::OK);
        let bytes = page.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes.len(), 3 * PIECE_BYTES + 1);
    }
}
