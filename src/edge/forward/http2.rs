//! A connection to a bank that carries many exchanges at once, in HTTP/2.
//!
//! This file decides what a stream's end means for its call: what was surely not processed, what
//! may have been, and what is one whole answer. Nothing queues here: where the bank has no stream
//! free, the call is told so. It must not know what a request means.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::frame_limited::FrameLimited;
use super::{Fate, Unsent};
use crate::dialect::ProviderAnswer;
use crate::echoes::{SentId, Strange};
use crate::fault::Fault;
use crate::framing::answer::{ANSWER_HEAD_BYTES_MAX, INTERIM_MAX};
use crate::framing::content_length;
use crate::ids::ClientKey;
use crate::wiped::Wiped;

/// Flow control: what a bank may send ahead of our reading, on one stream and on all.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// A connection.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    sender: SendRequest<Bytes>,
    pub(super) condition: Rc<Condition>,
    pub(super) endpoint: usize,
    /// Where it leads, if that came from a name.
    pub(super) address: Option<IpAddr>,
}

/// What is known of a connection beside what the library tells.
#[derive(Debug, Default)]
pub(super) struct Condition {
    /// Calls that are on it.
    calls: Cell<usize>,
    /// So many of them are a client's.
    held: RefCell<HashMap<ClientKey, usize, foldhash::fast::RandomState>>,
    /// So many calls were ever sent on it; one more than one is not counted.
    carried: Cell<u8>,
    is_settled: Cell<bool>,
    is_leaving: Cell<bool>,
    is_flooding: Cell<bool>,
    is_over: Cell<bool>,
    /// The ids of the calls that it carried last.
    sent: RefCell<VecDeque<SentId>>,
    waiting: RefCell<Option<Waker>>,
}

/// So many ids of a connection's calls are kept: more than it carries at once, as a rule.
const SENT_ON_ONE: usize = 128;

/// A call that is on a connection; it counts until this is dropped.
struct Call(Rc<Condition>, Option<ClientKey>);

impl Condition {
    /// The bank's settings came.
    pub(super) fn settle(&self) {
        if !self.is_settled.replace(true) {
            self.wake();
        }
    }

    /// The bank takes no new calls.
    pub(super) fn leave(&self) {
        self.is_leaving.set(true);
    }

    /// The bank sends more frames than its answers need.
    pub(super) fn flood(&self) {
        self.is_flooding.set(true);
    }

    fn end(&self) {
        self.is_over.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waiting.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until the bank has said what it allows: it does so first of all (RFC 9113 section
    /// 3.4), and so nothing is sent to who does not speak HTTP/2, nor more than may be.
    async fn settled(&self) -> Result<(), Fault> {
        poll_fn(|cx| {
            if self.is_over.get() || self.is_flooding.get() {
                return Poll::Ready(Err(Fault::ConnectFailed));
            }
            if self.is_settled.get() {
                return Poll::Ready(Ok(()));
            }
            *self.waiting.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn enter(self: &Rc<Self>, client: Option<ClientKey>) -> Call {
        self.calls.set(self.calls.get() + 1);
        if let Some(client) = client {
            *self.held.borrow_mut().entry(client).or_default() += 1;
        }
        self.carried.set(self.carried.get().saturating_add(1).min(2));
        Call(self.clone(), client)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Self(condition, client) = self;
        condition.calls.set(condition.calls.get().saturating_sub(1));
        let mut held = condition.held.borrow_mut();
        if let Some(client) = client
            && let Some(count) = held.get_mut(client)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(client);
            }
        }
    }
}

/// Begins to speak on a stream, and waits for the bank's settings. `driving` is held until the
/// connection ends.
pub(super) async fn open<S>(
    stream: S,
    endpoint: usize,
    address: Option<IpAddr>,
    driving: impl Sized + 'static,
) -> Result<Shared, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let condition = Rc::<Condition>::default();
    let socket = FrameLimited::new(stream, condition.clone());
    let (sender, driver) = Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(ANSWER_HEAD_BYTES_MAX as u32)
        .handshake(socket)
        .await
        .map_err(|_| Fault::ConnectFailed)?;
    let seen = condition.clone();
    tokio::task::spawn_local(async move {
        // How it ended is told to the calls that were on it.
        let _ = driver.await;
        seen.end();
        drop(driving);
    });
    condition.settled().await?;
    Ok(Shared { sender, condition, endpoint, address })
}

impl Shared {
    /// Whether it takes calls, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        let Condition { is_leaving, is_flooding, is_over, .. } = &*self.condition;
        !(is_leaving.get() || is_flooding.get() || is_over.get())
    }

    /// Whether a stream is free.
    pub(super) fn has_room(&self) -> bool {
        self.condition.calls.get() < self.sender.current_max_send_streams()
    }

    /// How many streams it has, how many are taken, and how many of these are this client's.
    pub(super) fn streams(&self, client: ClientKey) -> (usize, usize, usize) {
        let Condition { calls, held, .. } = &*self.condition;
        let held = held.borrow().get(&client).copied().unwrap_or_default();
        (self.sender.current_max_send_streams(), calls.get(), held)
    }

    /// Whether the bank allows no stream at all.
    pub(super) fn allows_none(&self) -> bool {
        self.sender.current_max_send_streams() == 0
    }

    /// Whether a call was sent on it.
    pub(super) fn is_used(&self) -> bool {
        self.condition.carried.get() > 0
    }

    /// Whether more than one call was, be it at once: an answer may be another's.
    pub(super) fn carried_others(&self) -> bool {
        self.condition.carried.get() > 1
    }

    /// It carries a call under this id.
    pub(super) fn note_sent(&self, id: SentId) {
        let mut sent = self.condition.sent.borrow_mut();
        if sent.len() == SENT_ON_ONE {
            sent.pop_front();
        }
        sent.push_back(id);
    }

    /// Whether it carried a call lately whose id is in an answer.
    pub(super) fn has_sent(&self, strange: &Strange) -> bool {
        self.condition.sent.borrow().iter().any(|sent| strange.has(sent))
    }

    /// Whether both are the same connection.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.condition, &other.condition)
    }

    /// Sends a request and waits for the head of its answer, and then for all of it.
    pub(super) async fn exchange(
        mut self,
        request: Request<()>,
        body: Bytes,
        bytes_max: usize,
        end: tokio::time::Instant,
        fate: &Fate,
        client: Option<ClientKey>,
    ) -> Result<ProviderAnswer, Unsent> {
        let busy = || Unsent::Untouched(Fault::RequestRefused);
        let ready = poll_fn(|cx| self.sender.poll_ready(cx)).await;
        ready.map_err(|_| Unsent::Untouched(Fault::ConnectionLost))?;
        if !self.has_room() {
            return Err(busy());
        }
        let _call = self.condition.enter(client);
        fate.send();
        let sent = self.sender.send_request(request, body.is_empty());
        // What the library refuses has not left it.
        let (mut answer, mut stream) = sent.map_err(|_| busy())?;
        if !body.is_empty() {
            // The library keeps what the bank's windows do not yet allow.
            let _ = stream.send_data(body, true);
        }
        let head = tokio::time::timeout_at(end, final_head(&mut answer)).await;
        let response = match head {
            Ok(Ok(response)) => response,
            Ok(Err(Interrupted::Interims)) => {
                return Err(Unsent::Lost(Fault::ResponseMalformed("interim answers")));
            }
            Ok(Err(Interrupted::Ended(error))) => return Err(self.before_the_head(&error)),
            Err(_) => return Err(Unsent::Lost(Fault::ResponseTimeout)),
        };
        fate.note(|trail| trail.status = Some(response.status()));
        let flooding = self.condition.clone();
        read(response, bytes_max).await.map_err(|fault| {
            let flooded = flooding.is_flooding.get();
            Unsent::Lost(if flooded { FLOODED } else { fault })
        })
    }

    /// What a stream's end before the answer's head means. What the bank refused, and what is above
    /// the last stream of its GOAWAY, was not processed: it says so (RFC 9113 section 8.7).
    fn before_the_head(&self, error: &h2::Error) -> Unsent {
        if self.condition.is_flooding.get() {
            return Unsent::Lost(FLOODED);
        }
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        if error.is_remote() && (refused || error.is_go_away()) {
            return Unsent::Untouched(Fault::RequestRefused);
        }
        // The library's own word: the bank broke a rule.
        let broken = error.is_library() && error.reason().is_some();
        Unsent::Lost(if broken { Fault::ResponseMalformed("head") } else { Fault::ConnectionLost })
    }
}

const FLOODED: Fault = Fault::ResponseMalformed("too many frames");

enum Interrupted {
    /// More than there may be.
    Interims,
    Ended(h2::Error),
}

/// Passes over interim answers, of which there may be as many as over HTTP/1.1.
async fn final_head(answer: &mut ResponseFuture) -> Result<Response<RecvStream>, Interrupted> {
    let mut interims = 0;
    poll_fn(|cx| {
        while let Poll::Ready(Some(interim)) = answer.poll_informational(cx) {
            interim.map_err(Interrupted::Ended)?;
            interims += 1;
            if interims > INTERIM_MAX {
                return Poll::Ready(Err(Interrupted::Interims));
            }
        }
        std::pin::Pin::new(&mut *answer).poll(cx).map_err(Interrupted::Ended)
    })
    .await
}

/// Reads the answer to its end. Nothing less than all of it is passed on (CONTRACT H20): whole is
/// what has its END_STREAM, and is as long as it said.
async fn read(response: Response<RecvStream>, bytes_max: usize) -> Result<ProviderAnswer, Fault> {
    let (head, mut stream) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Fault::ResponseMalformed("101"));
    }
    let length = declared_length(&head.headers)?;
    if length.is_some_and(|length| length > bytes_max) {
        return Err(Fault::ResponseTooLarge);
    }
    let (mut first, mut whole) = (Bytes::new(), Wiped::default());
    while let Some(data) = stream.data().await {
        let data = data.map_err(|error| body_fault(&error))?;
        // The next window update; that the connection has gone is told with the next piece.
        let _ = stream.flow_control().release_capacity(data.len());
        if first.len().max(whole.len()) + data.len() > bytes_max {
            return Err(Fault::ResponseTooLarge);
        }
        // A small answer comes in one piece, which is then not copied: it lies in the library's
        // memory.
        if first.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.extend(&first);
        }
        whole.extend(&data);
    }
    // Trailers are not the answer's fields, and nothing here asked for them.
    stream.trailers().await.map_err(|error| body_fault(&error))?;
    let bytes = first.len().max(whole.len());
    let bodiless = matches!(head.status.as_u16(), 204 | 304);
    let disagrees = !bodiless && length.is_some_and(|length| length != bytes);
    if disagrees || !stream.is_end_stream() {
        return Err(Fault::ResponseTruncated);
    }
    let body = if whole.is_empty() { first } else { whole.into() };
    Ok(ProviderAnswer { status: head.status, headers: head.headers.into(), body })
}

/// `Content-Length`; said twice, it has to be the same (RFC 9110 section 8.6).
fn declared_length(headers: &HeaderMap) -> Result<Option<usize>, Fault> {
    let mut declared = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let length = content_length(value.as_bytes()).and_then(|length| length.try_into().ok());
        let length: usize = length.ok_or(Fault::ResponseMalformed("Content-Length"))?;
        if declared.replace(length).is_some_and(|before| before != length) {
            return Err(Fault::ResponseMalformed("Content-Length"));
        }
    }
    Ok(declared)
}

/// What an error inside the answer's body means.
fn body_fault(error: &h2::Error) -> Fault {
    // The library's own word: the bank broke a rule, as with a length that does not agree.
    let broken = error.is_library() && error.reason().is_some();
    if broken { Fault::ResponseMalformed("body") } else { Fault::ResponseTruncated }
}
