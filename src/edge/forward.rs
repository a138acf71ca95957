//! The way to the banks: for each worker and bank, a stack of layers over pooled connections.
//!
//! The stack reads from the outside in: shed when all places are taken, refuse while the breaker
//! is open, cut at the deadline, exchange. This file decides that order. It must not know what a
//! request means, and it sees every request at most once.

mod breaker;
mod deadline;
mod dial;
mod http;
mod pool;
mod shed;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tower::{Service as _, ServiceBuilder};

use self::breaker::BreakerLayer;
use self::deadline::DeadlineLayer;
use self::dial::Dialer;
use self::http::Exchange;
use self::pool::Pool;
use self::shed::ShedLayer;
use super::clients::ClientConfigs;
use crate::dialect::{ProviderAnswer, ProviderRequest};
use crate::exchange::Banks;
use crate::fault::Fault;
use crate::limiter::Permit;
use crate::record::Trail;
use crate::snapshot::Route;

/// What a caller's departure means to its exchange: once bytes went to a bank, the exchange is
/// finished without it (CONTRACT 4.6), because the bank may have acted.
#[derive(Debug, Default)]
pub(super) struct Fate {
    sent: Cell<bool>,
    gone: Cell<bool>,
    trail: Cell<Trail>,
}

impl Fate {
    /// The request is about to be handed to a connection.
    fn send(&self) {
        self.sent.set(true);
    }

    /// Notes what happened on the way, as it happens: a deadline leaves no time for it later.
    fn note(&self, note: impl FnOnce(&mut Trail)) {
        let mut trail = self.trail.get();
        note(&mut trail);
        self.trail.set(trail);
    }

    /// Whether a bank may have seen it.
    pub(super) fn is_sent(&self) -> bool {
        self.sent.get()
    }

    /// The caller left.
    pub(super) fn leave(&self) {
        self.gone.set(true);
    }

    /// Whether the caller left.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.get()
    }
}

/// A request on its way through the stack.
#[derive(Debug)]
struct Outbound {
    request: ProviderRequest,
    fate: Rc<Fate>,
}

type Stack = shed::Shed<breaker::Guarded<deadline::Deadline<Exchange>>>;

/// One worker's way to one bank.
struct Bank {
    route: Arc<Route>,
    stack: RefCell<Stack>,
    pool: Rc<Pool>,
}

/// One worker's ways to all banks. An entry is made at the first call.
pub(super) struct Forwarder {
    configs: Arc<ClientConfigs>,
    banks: RefCell<HashMap<u64, Rc<Bank>>>,
}

/// The [`Banks`] of one exchange.
pub(super) struct Way<'w> {
    pub(super) forwarder: &'w Forwarder,
    pub(super) fate: &'w Rc<Fate>,
}

impl Forwarder {
    pub(super) fn new(configs: Arc<ClientConfigs>) -> Self {
        Self { configs, banks: RefCell::new(HashMap::new()) }
    }

    fn bank(&self, route: &Arc<Route>) -> Rc<Bank> {
        let mut banks = self.banks.borrow_mut();
        banks.entry(route.number).or_insert_with(|| self.open(route)).clone()
    }

    fn open(&self, route: &Arc<Route>) -> Rc<Bank> {
        let target = route.target.clone();
        let pool = Rc::new(Pool::new(target.idle_connections_max, target.timeouts.idle));
        let dialer = Dialer::new(target.clone(), self.configs.clone());
        let stack = ServiceBuilder::new()
            .layer(ShedLayer::new(route.places.clone()))
            .layer(BreakerLayer::new(route.breaker.clone()))
            .layer(DeadlineLayer::new(target.timeouts.total))
            .service(Exchange::new(target, dialer, pool.clone()));
        Rc::new(Bank { route: route.clone(), stack: RefCell::new(stack), pool })
    }

    /// Closes what was idle too long, and forgets banks that `is_current` no longer knows.
    pub(super) fn sweep(&self, is_current: impl Fn(&Arc<Route>) -> bool) {
        self.banks.borrow_mut().retain(|_, bank| {
            bank.pool.sweep();
            is_current(&bank.route)
        });
    }
}

impl Banks for Way<'_> {
    async fn forward(
        &self,
        _permit: Permit,
        route: &Arc<Route>,
        request: ProviderRequest,
    ) -> (Result<ProviderAnswer, Fault>, Trail) {
        #[expect(clippy::disallowed_methods, reason = "the edge is where time is read")]
        let started = std::time::Instant::now();
        let bank = self.forwarder.bank(route);
        // Every layer is always ready: a full bank sheds, it does not queue.
        let call = bank.stack.borrow_mut().call(Outbound { request, fate: self.fate.clone() });
        let outcome = call.await;
        self.fate.note(|trail| trail.duration = Some(started.elapsed()));
        (outcome, self.fate.trail.get())
    }
}
