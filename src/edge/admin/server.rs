//! The admin listener's connections: how many there are, and how long each may take.
//!
//! This file decides that silent ones starve nobody: at the limit the one goes that has been still
//! longest, before a request or while it takes an answer, and whoever takes nothing of an answer is
//! cut. It must not know what is asked.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, spawn_local, yield_now};
use tokio::time::{Instant, interval, sleep};
use tower::ServiceExt as _;

use super::{PARTING, access};
use crate::edge::hub::Hub;

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// From the end of an answer, or the beginning of a connection, to the end of the next head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing of an answer may be taken.
const STALL_MAX: Duration = Duration::from_secs(5);
/// How long an answer may take to be taken.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How often that is looked at.
const TICK: Duration = Duration::from_millis(500);
/// How long accepting rests when the process has no descriptors left.
const ACCEPT_REST: Duration = Duration::from_millis(20);
/// The longest head, and what may wait to be sent besides a piece of a page.
const BUFFER_BYTES_MAX: usize = 16 * 1024;
const HEAD_FIELDS_MAX: usize = 64;

/// Serves until it is told to stop; then what is under way is answered, but not for ever.
pub(super) async fn serve(
    hub: Arc<Hub>,
    router: Router,
    listener: TcpListener,
    mut stopped: oneshot::Receiver<()>,
) {
    let (leave, leaving) = watch::channel(false);
    let connections = Connections::default();
    let mut ticks = interval(TICK);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ticks.tick() => {
                connections.cut_the_slow();
                continue;
            }
            _ = &mut stopped => break,
        };
        match accepted {
            Ok((socket, _)) => {
                let (hub, router, leaving) = (hub.clone(), router.clone(), leaving.clone());
                connections.open(|activity| connection(socket, hub, router, activity, leaving));
                // What has come is read before the next one could take its place.
                yield_now().await;
            }
            Err(_) => sleep(ACCEPT_REST).await,
        }
    }
    drop(listener);
    leave.send_replace(true);
    let end = Instant::now() + PARTING;
    while !connections.is_empty() && Instant::now() < end {
        sleep(Duration::from_millis(5)).await;
    }
}

async fn connection(
    socket: TcpStream,
    hub: Arc<Hub>,
    router: Router,
    activity: Rc<Activity>,
    mut leaving: watch::Receiver<bool>,
) {
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let (hub, router, activity) = (hub.clone(), router.clone(), activity.clone());
        async move {
            activity.enter(Phase::Working);
            let response = answer(&hub, router, request).await;
            activity.enter(Phase::Answering);
            Ok::<_, Infallible>(response.map(|body| Taken { body, activity }))
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_headers(HEAD_FIELDS_MAX)
        .serve_connection(TokioIo::new(socket), service);
    let mut serving = pin!(serving);
    tokio::select! {
        _ = &mut serving => return,
        _ = leaving.wait_for(|leaving| *leaving) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

async fn answer(hub: &Hub, router: Router, request: Request<Incoming>) -> Response<Body> {
    let checked = {
        let snapshot = hub.snapshot.load();
        access::check(&request, &snapshot.table.gateway.admin_hosts)
    };
    match checked {
        Err(refusal) => refusal.response(),
        Ok(()) => match router.oneshot(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
    }
}

/// The open connections.
#[derive(Debug, Clone, Default)]
struct Connections(Rc<RefCell<Open>>);

#[derive(Debug, Default)]
struct Open {
    last: u64,
    entries: BTreeMap<u64, (Rc<Activity>, AbortHandle)>,
}

impl Connections {
    /// Begins a connection, if there is room for it or somebody has to go.
    fn open<F: Future<Output = ()> + 'static>(&self, begin: impl FnOnce(Rc<Activity>) -> F) {
        let mut open = self.0.borrow_mut();
        if open.entries.len() >= CONNECTIONS_MAX {
            let still = open.entries.iter().filter(|(_, (activity, _))| activity.may_go());
            let oldest = still.min_by_key(|(_, (activity, _))| activity.moved.get());
            let Some(oldest) = oldest.map(|(number, _)| *number) else {
                tracing::warn!("the admin listener is full: nobody is let in");
                return;
            };
            open.cut(oldest);
        }
        open.last += 1;
        let number = open.last;
        let activity = Rc::new(Activity::new());
        let closing = Closing { connections: self.clone(), number };
        let serving = begin(activity.clone());
        let task = spawn_local(async move {
            let _closing = closing;
            serving.await;
        });
        open.entries.insert(number, (activity, task.abort_handle()));
    }

    fn cut_the_slow(&self) {
        let mut open = self.0.borrow_mut();
        let now = Instant::now();
        let slow: Vec<_> = open
            .entries
            .iter()
            .filter_map(|(number, (activity, _))| activity.is_slow(now).then_some(*number))
            .collect();
        slow.into_iter().for_each(|number| open.cut(number));
    }

    fn is_empty(&self) -> bool {
        self.0.borrow().entries.is_empty()
    }
}

impl Open {
    fn cut(&mut self, number: u64) {
        if let Some((_, task)) = self.entries.remove(&number) {
            task.abort();
        }
    }
}

/// Takes a connection out of the list, however it ends.
struct Closing {
    connections: Connections,
    number: u64,
}

impl Drop for Closing {
    fn drop(&mut self) {
        // It may be dropped while the list is at work on it: then it is out already.
        if let Ok(mut open) = self.connections.0.try_borrow_mut() {
            open.entries.remove(&self.number);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For a request, or to be read to the end of an answer that is all written.
    Waiting,
    /// Its answer is being made; that has deadlines of its own.
    Working,
    /// Its answer is being taken.
    Answering,
}

/// What a connection does.
#[derive(Debug)]
struct Activity {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// When something of the answer was last taken.
    moved: Cell<Instant>,
}

impl Activity {
    fn new() -> Self {
        let now = Cell::new(Instant::now());
        Self { phase: Cell::new(Phase::Waiting), since: now.clone(), moved: now }
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
        self.moved.set(self.since.get());
    }

    /// Whether nothing of ours is lost when it goes.
    fn may_go(&self) -> bool {
        self.phase.get() != Phase::Working
    }

    fn is_slow(&self, now: Instant) -> bool {
        let (since, moved) = (self.since.get(), self.moved.get());
        match self.phase.get() {
            Phase::Working => false,
            Phase::Answering => now - moved > STALL_MAX || now - since > ANSWER_MAX,
            // The head has its deadline in hyper. This is for the last bytes of an answer.
            Phase::Waiting => now - since > HEAD_TIMEOUT + STALL_MAX,
        }
    }
}

/// An answer's body: it notes when something of it is taken.
struct Taken {
    body: Body,
    activity: Rc<Activity>,
}

impl HttpBody for Taken {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.activity.moved.set(Instant::now());
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.activity.enter(Phase::Waiting);
    }
}
