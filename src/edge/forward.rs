//! The way to the banks: for each worker and bank, a stack of layers over pooled connections.
//!
//! The stack reads from the outside in: shed when all places are taken, refuse while the bank asked
//! to be left alone or the breaker is open, cut at the deadline, exchange. This file decides that
//! order. It must not know what a request means, and it sees every request at most once.

mod breaker;
mod deadline;
mod dial;
mod dials;
mod frame_limited;
mod http;
mod http2;
mod look;
mod pool;
mod recorded;
mod shed;
mod wire;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tower::{Service as _, ServiceBuilder};

use self::breaker::BreakerLayer;
use self::deadline::DeadlineLayer;
use self::dial::Dialer;
use self::http::Exchange;
use self::look::Looks;
pub(super) use self::pool::Idle;
use self::pool::Pool;
use self::shed::ShedLayer;
use super::clients::ClientConfigs;
use super::commons::{BankKey, Commons};
use super::flights::{Flights, Receipt};
use super::held::HeldTokens;
use super::now;
use super::progress::Progress;
use super::stay::Stay;
use crate::conversation::{Flight, Outcome};
use crate::dialect::held::read_answer;
use crate::dialect::{Held, Host, ProviderAnswer, ProviderRequest, Recipe};
use crate::exchange::Banks;
use crate::fault::Fault;
use crate::ids::ClientKey;
use crate::limiter::Permit;
use crate::record::Trail;
use crate::snapshot::Route;

/// What a caller's departure means to its exchange: once bytes went to a bank, the exchange is
/// finished without it (CONTRACT 4.6), because the bank may have acted.
#[derive(Debug, Default)]
pub(super) struct Fate {
    sent: Cell<bool>,
    gone: Cell<bool>,
    /// The connection that it came on.
    connection: Option<Rc<Progress>>,
    /// When its record was written.
    ended: Cell<Option<tokio::time::Instant>>,
    trail: Cell<Trail>,
    /// For an answer that is kept until its caller has it.
    receipt: RefCell<Option<Receipt>>,
}

impl Fate {
    /// Of an exchange on this connection.
    pub(super) fn on(connection: Rc<Progress>) -> Self {
        Self { connection: Some(connection), ..Self::default() }
    }

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

    /// What has to be told when the answer was written.
    pub(super) fn take_receipt(&self) -> Option<Receipt> {
        self.receipt.take()
    }

    /// It is over, and its record written.
    pub(super) fn end(&self, now: tokio::time::Instant) {
        self.ended.set(Some(now));
    }

    /// Since when it is over.
    pub(super) fn ended(&self) -> Option<tokio::time::Instant> {
        self.ended.get()
    }

    /// Whether nobody takes the answer any more.
    pub(super) fn is_left(&self) -> bool {
        self.gone.get()
    }

    /// Whether the caller left, or may have: it has ended its side of the connection. Its answer is
    /// written then, and nobody knows whether it was read.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.get() || self.connection.as_ref().is_some_and(|it| it.is_half_closed())
    }
}

/// Most banks that are swept at once.
const SWEPT_MAX: usize = 2_000;

/// A request on its way through the stack.
#[derive(Debug)]
struct Outbound {
    request: ProviderRequest,
    fate: Rc<Fate>,
    started: Instant,
    client: ClientKey,
}

/// Why there is no answer.
enum Unsent {
    /// The bank has not processed the request: there was no connection, it died before it took a
    /// byte, or the bank says so. It may be sent again.
    Untouched(Fault),
    /// It may have.
    Lost(Fault),
}

impl From<Unsent> for Fault {
    fn from(unsent: Unsent) -> Self {
        let (Unsent::Untouched(fault) | Unsent::Lost(fault)) = unsent;
        fault
    }
}

type Stack = shed::Shed<breaker::Guarded<deadline::Deadline<Exchange>>>;

/// One worker's way to one bank.
struct Bank {
    route: Arc<Route>,
    host: Host,
    exchange: Exchange,
    stack: RefCell<Stack>,
    dialer: Rc<Dialer>,
    pool: Rc<Pool>,
}

/// One worker's ways to all banks. An entry is made at the first call.
pub(super) struct Forwarder {
    configs: Arc<ClientConfigs>,
    tokens: Arc<HeldTokens>,
    flights: Flights,
    commons: Arc<Commons>,
    worker: usize,
    /// The keys are the table's own, so a fast hash is safe for them.
    banks: RefCell<HashMap<BankKey, Rc<Bank>, foldhash::fast::RandomState>>,
    /// Those of them that this round of sweeping has not come to.
    unswept: RefCell<Vec<BankKey>>,
    looks: Looks,
    /// Held by each task that drives a connection, too.
    driving: Rc<()>,
}

/// The [`Banks`] of one exchange.
pub(super) struct Way<'w> {
    pub(super) forwarder: &'w Forwarder,
    pub(super) fate: &'w Rc<Fate>,
    /// Whether the caller is still a client.
    pub(super) stay: &'w Stay,
}

impl Forwarder {
    pub(super) fn new(
        configs: Arc<ClientConfigs>,
        tokens: Arc<HeldTokens>,
        flights: Flights,
        commons: Arc<Commons>,
        worker: usize,
    ) -> Self {
        let (banks, looks, driving) = (RefCell::default(), Looks::default(), Rc::new(()));
        let unswept = RefCell::default();
        Self { configs, tokens, flights, commons, worker, banks, unswept, looks, driving }
    }

    fn bank(&self, route: &Arc<Route>, host: Host) -> Rc<Bank> {
        let mut banks = self.banks.borrow_mut();
        banks.entry((route.number, host)).or_insert_with(|| self.open(route, host)).clone()
    }

    fn open(&self, route: &Arc<Route>, host: Host) -> Rc<Bank> {
        let (target, worker) = (&route.target, self.worker);
        let shelves = self.commons.shelves((route.number, host));
        let (idle_max, idle) = (target.idle_connections_max, target.timeouts.idle);
        let pool = Rc::new(Pool::new(shelves, worker, idle_max, idle));
        let (configs, commons) = (self.configs.clone(), self.commons.clone());
        let driving = Rc::downgrade(&self.driving);
        let dialer = Rc::new(Dialer::new(route.clone(), host, configs, commons, driving));
        let exchange = Exchange::new(route.clone(), host, dialer.clone(), pool.clone());
        let stack = ServiceBuilder::new()
            .layer(ShedLayer::new(route.places.clone()))
            .layer(BreakerLayer::new(route.clone(), host))
            .layer(DeadlineLayer::new(target.timeouts.total))
            .service(exchange.clone());
        let stack = RefCell::new(stack);
        Rc::new(Bank { route: route.clone(), host, exchange, stack, dialer, pool })
    }

    /// Gives all connections up. Those in HTTP/2 are closed by the tasks that drive them.
    pub(super) fn close(&self) {
        self.banks.borrow_mut().drain().for_each(|(_, bank)| bank.pool.close());
    }

    /// Whether a connection is still driven.
    pub(super) fn is_driving(&self) -> bool {
        Rc::strong_count(&self.driving) > 1
    }

    /// Closes what was idle too long or leads to where a name does not any more, and forgets banks
    /// that `is_current` no longer knows. Where there are many, one call does a part of them, and
    /// the next one goes on: the worker's calls wait for it.
    pub(super) fn sweep(&self, is_current: impl Fn(&Arc<Route>) -> bool) {
        let mut banks = self.banks.borrow_mut();
        let mut unswept = self.unswept.borrow_mut();
        if unswept.is_empty() {
            unswept.extend(banks.keys().copied());
        }
        let rest = unswept.len().saturating_sub(SWEPT_MAX);
        for key in unswept.drain(rest..) {
            let Some(bank) = banks.get(&key) else { continue };
            if !bank.pool.is_empty() {
                bank.pool.sweep(|endpoint, address| bank.dialer.leads_right(endpoint, address));
            }
            if !is_current(&bank.route) {
                self.commons.forget(key);
                banks.remove(&key);
            }
        }
    }
}

impl Way<'_> {
    /// Whether this call may still go to a bank: one that none has seen, of a client that is out
    /// meanwhile, may not.
    fn check_stay(&self) -> Result<(), Fault> {
        if self.stay.is_out() && !self.fate.is_sent() {
            return Err(Fault::CertificateEnded);
        }
        Ok(())
    }

    async fn carry(
        &self,
        permit: &Permit,
        route: &Arc<Route>,
        request: ProviderRequest,
    ) -> (Result<ProviderAnswer, Fault>, Trail) {
        let started = now();
        let bank = self.forwarder.bank(route, request.host);
        // Every layer is always ready: a full bank sheds, it does not queue.
        let outbound =
            Outbound { request, fate: self.fate.clone(), started, client: permit.client() };
        let call = bank.stack.borrow_mut().call(outbound);
        let outcome = call.await;
        self.fate.note(|trail| trail.duration = Some(started.elapsed()));
        (outcome, self.fate.trail.get())
    }
}

impl Banks for Way<'_> {
    async fn forward(
        &self,
        permit: &Permit,
        route: &Arc<Route>,
        request: ProviderRequest,
    ) -> (Result<ProviderAnswer, Fault>, Trail) {
        match self.check_stay() {
            Ok(()) => self.carry(permit, route, request).await,
            Err(fault) => (Err(fault), self.fate.trail.get()),
        }
    }

    async fn held(
        &self,
        permit: &Permit,
        route: &Arc<Route>,
        recipe: Recipe,
    ) -> Result<Held, Fault> {
        let (key, request, token_pointer, expires_pointer, default_life) = match recipe {
            Recipe::Static(held) => return Ok(held),
            Recipe::Fetch { key, request, token_pointer, expires_pointer, default_life } => {
                (key, request, token_pointer, expires_pointer, default_life)
            }
        };
        // Asked before: a failed fetch stands for all who wait for it.
        self.check_stay()?;
        let fetch = async {
            let (answer, _) = self.carry(permit, route, *request).await;
            let fetched = answer.and_then(|answer| {
                read_answer(key, &answer, &token_pointer, &expires_pointer, default_life)
            });
            if let Err(fault) = &fetched {
                let (target, fault) = (&route.target.id, fault.row().code);
                tracing::error!(target_id = %target, fault, "no token of our own for this target");
            }
            fetched
        };
        self.forwarder.tokens.get(key, fetch).await
    }

    fn evict(&self, held: &Held) {
        self.forwarder.tokens.evict(held);
    }

    async fn alone(
        &self,
        flight: Flight,
        replay: Duration,
        exchange: impl Future<Output = Outcome>,
    ) -> Outcome {
        let (outcome, receipt) = self.forwarder.flights.alone(flight, replay, exchange).await;
        // Who waited for another call may be out by now.
        if let Err(fault) = self.check_stay() {
            return (Err(fault), outcome.1);
        }
        self.fate.receipt.replace(receipt);
        outcome
    }
}
