//! The body of a request, read from hyper.
//!
//! This file decides when a body is whole: over HTTP/2 only with END_STREAM (RFC 9113 section
//! 8.1.1). The library takes a stream that its peer reset with NO_ERROR for one that ended. It must
//! not know what is in a body.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use super::buffered::Kept;
use super::worker::Worker;
use crate::exchange::RequestBody;
use crate::fault::Fault;
use crate::wiped::Wiped;

/// How much of a body that nobody wants is still taken in.
const UNWANTED_BYTES_MAX: usize = 128 * 1024;

/// A body and the time it has.
pub(super) struct TimedBody<'k> {
    incoming: Option<Incoming>,
    deadline: Duration,
    /// For a body in HTTP/2, which outlives a refusal: see `drop`.
    worker: Option<Rc<Worker>>,
    /// What its exchange keeps.
    kept: &'k Kept<'k>,
    /// Whether there was room for its head.
    room: Result<(), Fault>,
}

impl<'k> TimedBody<'k> {
    pub(super) const fn new(
        incoming: Incoming,
        deadline: Duration,
        worker: Option<Rc<Worker>>,
        kept: &'k Kept<'k>,
        room: Result<(), Fault>,
    ) -> Self {
        Self { incoming: Some(incoming), deadline, worker, kept, room }
    }
}

impl RequestBody for TimedBody<'_> {
    fn declared_bytes(&self) -> Option<u64> {
        self.incoming.as_ref().and_then(|incoming| incoming.size_hint().exact())
    }

    async fn read(mut self, bytes_max: usize) -> Result<Bytes, Fault> {
        self.room.clone()?;
        self.kept.check()?;
        let Some(incoming) = self.incoming.take() else { return Ok(Bytes::new()) };
        let reading = read_all(incoming, bytes_max, self.kept, self.worker.is_some());
        let mut reading = pin!(reading);
        // Nearly always it came with its head: then no clock is read and no timer made.
        let there = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await;
        match there {
            Poll::Ready(read) => read,
            Poll::Pending => {
                let read = timeout(self.deadline, reading).await;
                read.unwrap_or(Err(Fault::BodyTimeout))
            }
        }
    }
}

impl Drop for TimedBody<'_> {
    /// A request that was refused by its head leaves a body on its way. To let go of it would reset
    /// the stream, and a client whose calls are refused often would lose its connection to the
    /// limit on resets. So what comes is taken in and forgotten, in bounds.
    fn drop(&mut self) {
        let (Some(incoming), Some(worker)) = (self.incoming.take(), self.worker.take()) else {
            return;
        };
        if incoming.is_end_stream() || !worker.is_alive() {
            return;
        }
        let deadline = self.deadline;
        tokio::task::spawn_local(async move {
            let _ = timeout(deadline, take_in(incoming)).await;
        });
    }
}

async fn take_in(mut incoming: Incoming) {
    let mut taken = 0;
    while let Some(Ok(frame)) = incoming.frame().await {
        taken += frame.data_ref().map_or(0, Bytes::len);
        if taken > UNWANTED_BYTES_MAX {
            return;
        }
    }
}

async fn read_all(
    mut incoming: Incoming,
    bytes_max: usize,
    kept: &Kept<'_>,
    is_http2: bool,
) -> Result<Bytes, Fault> {
    let (mut first, mut whole) = (Bytes::new(), Wiped::default());
    // What it will be at most; no more room than that is made while it comes.
    let declared = incoming.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let whole_bytes = declared.unwrap_or(bytes_max).min(bytes_max);
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(|_| Fault::BodyAborted)?.into_data() else { continue };
        if first.len().max(whole.len()) + data.len() > bytes_max {
            return Err(Fault::BodyTooLarge);
        }
        // Over HTTP/1.1 the library's buffer is about as large as what it reads, besides our copy.
        kept.keep(if is_http2 { data.len() } else { 2 * data.len() })?;
        // A form comes in one piece, which is then not copied: it lies in the library's memory.
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        // What was copied is let go of: it would keep the library's buffer, which is larger.
        let copied = std::mem::take(&mut first);
        whole.extend_towards(&copied, whole_bytes);
        whole.extend_towards(&data, whole_bytes);
    }
    // A reset without an error, or a connection that is gone, is not the body's end.
    if is_http2 && !incoming.is_end_stream() {
        return Err(Fault::BodyAborted);
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}
