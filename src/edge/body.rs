//! The body of a request, read from hyper.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use crate::exchange::RequestBody;
use crate::fault::Fault;

/// A body and the time it has.
#[derive(Debug)]
pub(super) struct TimedBody {
    pub(super) incoming: Incoming,
    pub(super) deadline: Duration,
}

impl RequestBody for TimedBody {
    fn declared_bytes(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    async fn read(self, bytes_max: usize) -> Result<Bytes, Fault> {
        // A timer is only set when the body is not there yet, which is rare: `timeout` asks first.
        match timeout(self.deadline, read_all(self.incoming, bytes_max)).await {
            Ok(read) => read,
            Err(_) => Err(Fault::BodyTimeout),
        }
    }
}

async fn read_all(mut incoming: Incoming, bytes_max: usize) -> Result<Bytes, Fault> {
    let (mut first, mut more) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(|_| Fault::BodyAborted)?.into_data() else { continue };
        if first.len() + more.len() + data.len() > bytes_max {
            return Err(Fault::BodyTooLarge);
        }
        // A form comes in one piece, which is then not copied.
        if first.is_empty() {
            first = data;
        } else {
            more.extend_from_slice(&data);
        }
    }
    if more.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + more.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&more);
    Ok(whole.freeze())
}
