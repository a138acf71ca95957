//! One request on one connection: from hyper's types to the walk and back, and into the record.
//!
//! This file decides nothing about the request. It sees to it that every exchange ends in exactly
//! one record, and that one which a bank may have seen is finished though its caller left.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::request;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response, Version};
use tokio::time::Instant;

use super::body::TimedBody;
use super::buffered::{Buffered, Kept, STREAM_BYTES};
use super::forward::{Fate, Way};
use super::hub::Stage;
use super::progress::Progress;
use super::stay::Stay;
use super::untaken::Untaken;
use super::worker::{Unfinished, Worker};
use crate::answer::{Answer, Manner};
use crate::callers::Peer;
use crate::exchange::{Entropy, Setting, correlation_for_the_answer, exchange, mark};
use crate::fault::Fault;
use crate::ids::CorrelationId;
use crate::record::{Connection, Record};

/// What all exchanges of one connection know.
pub(super) struct Link {
    pub(super) worker: Rc<Worker>,
    pub(super) peer: Peer,
    /// The peer's address as text: each of its lines has it.
    pub(super) peer_text: Rc<str>,
    pub(super) tls: Option<&'static str>,
    /// Whether its client is still a client.
    pub(super) stay: Rc<Stay>,
    pub(super) opened: Instant,
    pub(super) age_max: Duration,
    pub(super) body_timeout: Duration,
    pub(super) progress: Rc<Progress>,
    /// HTTP/2 streams that their peer reset before the answer.
    pub(super) resets: std::cell::Cell<u32>,
    /// Large answers.
    pub(super) untaken: Untaken,
    /// Requests that are not answered.
    pub(super) buffered: Rc<Buffered>,
}

/// Random bits from the worker's own generator, and the system's time.
#[derive(Debug)]
struct Random;

impl Entropy for Random {
    fn bits(&mut self) -> u128 {
        fastrand::u128(..)
    }

    #[expect(clippy::disallowed_methods, reason = "the edge hands the time in")]
    fn unix_seconds(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default().as_secs()
    }
}

/// Serves one request.
pub(super) fn serve(link: &Rc<Link>, request: Request<Incoming>) -> Served {
    link.progress.begin();
    let fate = Rc::new(Fate::on(link.progress.clone()));
    Served { request: Some(request), exchange: None, fate, link: link.clone() }
}

/// Writes the record of a request whose caller left before anybody looked at it.
fn note_unheard(link: &Link, fate: Rc<Fate>, request: &Request<Incoming>) {
    let mut record = Record::default();
    record.correlation =
        Some(correlation_for_the_answer(request.headers(), &mut Random, &mut record));
    let protocol = protocol(request.version());
    let line = Line { peer: link.peer_text.clone(), protocol, tls: link.tls };
    drop(Entry { record, worker: &link.worker, line, started: Instant::now(), fate });
}

/// Writes the record of a bare 431 of the HTTP/2 library, whose head was too large for it to read:
/// the client was sent no body and none of our marks.
pub(super) fn note_bare_answer(link: &Link) {
    // A head that large is no request: whoever goes on with them is shown out.
    link.resets.set(link.resets.get() + 1);
    let correlation = fresh_correlation();
    let mut answer = Answer::of_fault(&Fault::HeadTooLarge, Manner::default());
    answer.body = Bytes::new();
    note_refused(link, "h2", Fault::HeadTooLarge, correlation, &answer);
}

/// The bytes of a head beyond what each stream counts for.
fn beyond_a_usual_head(head: &request::Parts) -> usize {
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    fields.sum::<usize>().saturating_sub(STREAM_BYTES)
}

/// Runs a walk to its end; nothing where it panicked. It is not polled again then.
async fn catch_panic(walk: impl Future<Output = Answer>) -> Option<Answer> {
    let mut walk = pin!(walk);
    poll_fn(|cx| {
        // What the walk has borrowed is dropped with it, and no lock here stays poisoned.
        match catch_unwind(AssertUnwindSafe(|| walk.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// The answer for a walk that panicked: a bug, whose client is told so, and whose line says so.
/// What the bank was asked it was asked.
#[cold]
fn answer_of_panic(head: &request::Parts, record: &mut Record<'_>) -> Answer {
    let correlation = match record.correlation.take() {
        Some(correlation) => correlation,
        None => correlation_for_the_answer(&head.headers, &mut Random, record),
    };
    tracing::error!(
        correlation_id = correlation.as_str(),
        "a call panicked, and is answered with 500"
    );
    let fault = Fault::Internal("panic");
    let mut answer = Answer::of_fault(&fault, Manner::default());
    mark(&mut answer, &correlation, record.operation);
    record.correlation = Some(correlation);
    record.fault = Some(fault);
    record.answered(&answer);
    answer
}

fn fresh_correlation() -> CorrelationId {
    let bits = Random.bits().to_ne_bytes();
    CorrelationId::fresh(uuid::Builder::from_random_bytes(bits).into_uuid())
}

/// Writes the record and the answer of a request that never became one: its head was refused.
pub(super) fn refuse_head(link: &Link, fault: Fault) -> Answer {
    let correlation = fresh_correlation();
    let mut answer = Answer::of_fault(&fault, Manner::default());
    answer.mark(&correlation);
    answer.announce_close();
    note_refused(link, "http/1.1", fault, correlation, &answer);
    answer
}

fn note_refused(
    link: &Link,
    protocol: &'static str,
    fault: Fault,
    correlation: CorrelationId,
    answer: &Answer,
) {
    let mut record =
        Record { correlation: Some(correlation), fault: Some(fault), ..Record::default() };
    record.answered(answer);
    drop(Entry {
        record,
        worker: &link.worker,
        line: Line { peer: link.peer_text.clone(), protocol, tls: link.tls },
        started: Instant::now(),
        fate: Rc::new(Fate::default()),
    });
}

async fn run(link: Rc<Link>, fate: Rc<Fate>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let started = Instant::now();
    let (head, incoming) = request.into_parts();
    let worker = &*link.worker;
    let snapshot = worker.hub.snapshot.load_full();
    let stage = worker.hub.stage();
    let line =
        Line { peer: link.peer_text.clone(), protocol: protocol(head.version), tls: link.tls };
    let mut entry = Entry { record: Record::default(), worker, line, started, fate: fate.clone() };
    let banks = Way { forwarder: &worker.forwarder, fate: &fate, stay: &link.stay };
    let out = link.stay.is_out().then(|| Peer { ended: true, ..link.peer.clone() });
    let setting = Setting {
        hub: &snapshot,
        peer: out.as_ref().unwrap_or(&link.peer),
        banks: &banks,
        entropy: Random,
        refusing: matches!(stage, Stage::Refusing | Stage::Over),
        now: started.into_std(),
    };
    let taker = (head.version == Version::HTTP_2).then(|| link.worker.clone());
    let kept = Kept::new(&link.buffered);
    // Over HTTP/2 heads wait beside each other, too.
    let room = taker.as_ref().map_or(Ok(()), |_| kept.keep(beyond_a_usual_head(&head)));
    let body = TimedBody::new(incoming, link.body_timeout, taker, &kept, room);
    // In a block of its own: what panicked is dropped before anybody looks at its record.
    let walked = { catch_panic(exchange(setting, &head, body, &mut entry.record)).await };
    let mut answer = walked.unwrap_or_else(|| answer_of_panic(&head, &mut entry.record));
    let old = started.saturating_duration_since(link.opened) > link.age_max;
    // Asked again: the drain may have begun meanwhile, and this is the last chance to say so.
    answer.close |= old || worker.hub.stage().is_leaving() || link.stay.is_over();
    if head.version < Version::HTTP_2 {
        answer.announce_close();
    } else if head.method == http::Method::HEAD {
        // hyper drops a body that answers HEAD in HTTP/1.1 alone; in HTTP/2 it would break the
        // stream (RFC 9110 section 9.3.2).
        answer.body = Bytes::new();
    }
    if !fate.is_left() {
        answer.body = link.untaken.hold(answer.body, head.version == Version::HTTP_2);
    }
    drop(entry);
    // A caller that left has no use for its answer now, and may come back for it.
    if let Some(receipt) = fate.take_receipt().filter(|_| !fate.is_gone()) {
        link.progress.owed.push(receipt);
    }
    into_response(answer)
}

/// The answer in hyper's type.
pub(super) fn into_response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "h2",
        Version::HTTP_10 => "http/1.0",
        _ => "http/1.1",
    }
}

/// What a line says about the connection.
#[derive(Debug, Clone)]
struct Line {
    peer: Rc<str>,
    protocol: &'static str,
    tls: Option<&'static str>,
}

/// An exchange's place in the log. Dropping it writes the line, so no exchange is without one:
/// also when the caller leaves and the walk is dropped half way.
struct Entry<'s> {
    record: Record<'s>,
    worker: &'s Worker,
    line: Line,
    started: Instant,
    fate: Rc<Fate>,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let ended = Instant::now();
        let duration = ended.saturating_duration_since(self.started);
        self.fate.end(ended);
        let record = &self.record;
        let Line { peer, protocol, tls } = &self.line;
        let (protocol, tls) = (*protocol, *tls);
        let client_gone = self.fate.is_gone() || record.status.is_none();
        self.worker.log.line(|out| {
            self.worker.stamp.now(|time| {
                let connection = Connection { peer, protocol, tls, time, duration, client_gone };
                record.write_line(&connection, out);
            });
        });
        self.worker.meters().count(record, duration);
        if let (Some(route), Some(waited)) = (record.route, record.trail.duration) {
            let status = record.trail.status.map(|status| status.as_u16());
            let waited_us = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
            route.tally.count(status, record.fault.as_ref(), waited_us);
        }
    }
}

type Running = Pin<Box<dyn Future<Output = Response<Full<Bytes>>>>>;

/// An exchange under way. Dropped early (the caller left), it is finished in the background once a
/// bank may have seen its request, and given up otherwise.
pub(super) struct Served {
    /// The request, until it is first looked at.
    request: Option<Request<Incoming>>,
    exchange: Option<Running>,
    fate: Rc<Fate>,
    link: Rc<Link>,
}

impl Future for Served {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(request) = self.request.take() {
            let exchange = run(self.link.clone(), self.fate.clone(), request);
            self.exchange = Some(Box::pin(exchange));
        }
        // Taken out while it is polled: if that panics, nobody polls it again.
        let Some(mut exchange) = self.exchange.take() else { return Poll::Pending };
        let Poll::Ready(response) = exchange.as_mut().poll(cx) else {
            self.exchange = Some(exchange);
            return Poll::Pending;
        };
        self.link.progress.end(self.fate.ended().unwrap_or_else(Instant::now));
        Poll::Ready(Ok(response))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let (request, exchange) = (self.request.take(), self.exchange.take());
        if request.is_none() && exchange.is_none() {
            return;
        }
        self.link.progress.end(Instant::now());
        self.link.resets.set(self.link.resets.get() + 1);
        self.fate.leave();
        if let Some(request) = request {
            note_unheard(&self.link, self.fate.clone(), &request);
        }
        let Some(exchange) = exchange else { return };
        if self.fate.is_sent() && self.link.worker.is_alive() {
            let unfinished = Unfinished::new(self.link.worker.clone());
            tokio::task::spawn_local(async move {
                exchange.await;
                drop(unfinished);
            });
        }
    }
}
