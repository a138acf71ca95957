//! The hub: what all workers of a process share.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::access_log::{LogCounters, LogSender};
use super::clients::ClientConfigs;
use super::commons::Commons;
use super::doors::Doors;
use super::flights::Flights;
use super::hands::Hands;
use super::held::HeldTokens;
use super::meters::Meters;
use super::names::Names;
use super::reload::Reloader;
use super::standing::Standing;
use super::tls::EdgeSide;
use crate::snapshot::Snapshot;

/// How a process stands to new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Everything is served.
    Serving,
    /// Everything is still served, but `/readyz` says no: load balancers look elsewhere.
    Unready,
    /// No new connections; requests on open ones are served and their connections closed.
    Leaving,
    /// What still arrives is refused; what is under way may still end.
    Refusing,
    /// The workers end, whatever is open.
    Over,
}

impl Stage {
    /// Whether nothing new is accepted any more.
    pub(super) const fn is_leaving(self) -> bool {
        !matches!(self, Self::Serving | Self::Unready)
    }
}

/// What all workers share.
#[derive(Debug)]
pub(super) struct Hub {
    /// The table and its state; swapped whole.
    pub snapshot: ArcSwap<Snapshot>,
    /// The edge's TLS; swapped whole. `None` while every listener is plain.
    pub tls: ArcSwap<Option<Arc<EdgeSide>>>,
    /// How it stands to its configuration.
    pub standing: Standing,
    /// Who reloads it; nobody where its table is in no file.
    pub reloader: OnceLock<Reloader>,
    /// The hub's TLS towards banks.
    pub configs: Arc<ClientConfigs>,
    /// What workers share on their ways to banks.
    pub commons: Arc<Commons>,
    /// The hub's own tokens for banks.
    pub(crate) tokens: Arc<HeldTokens>,
    /// Refreshes that must not happen twice at once.
    pub(crate) flights: Flights,
    /// Where access lines go.
    pub log: Option<LogSender>,
    /// What became of access lines.
    pub log_counters: Arc<LogCounters>,
    /// What the workers count.
    pub meters: Meters,
    /// Connections by who serves them.
    pub hands: Hands,
    /// Connections by whose they are.
    pub doors: Doors,
    /// Bytes of requests and answers.
    pub buffered: Arc<AtomicUsize>,
    /// Another process has copies of the listening sockets: they may live on when this one lets go.
    pub handed_over: Arc<AtomicBool>,
    stage: AtomicU8,
    stage_changed: Notify,
    /// Set when it can't go on.
    failed: watch::Sender<bool>,
}

impl Hub {
    /// A serving hub.
    pub(super) fn new(
        snapshot: Snapshot,
        tls: Option<Arc<EdgeSide>>,
        log: Option<LogSender>,
        log_counters: Arc<LogCounters>,
        names: Arc<dyn Names>,
        workers: usize,
    ) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            tls: ArcSwap::from_pointee(tls),
            standing: Standing::default(),
            reloader: OnceLock::new(),
            configs: Arc::new(ClientConfigs::default()),
            commons: Arc::new(Commons::new(names, workers)),
            tokens: Arc::default(),
            flights: Flights::default(),
            log,
            log_counters,
            meters: Meters::new(workers),
            hands: Hands::new(workers),
            doors: Doors::default(),
            buffered: Arc::default(),
            handed_over: Arc::default(),
            stage: AtomicU8::new(0),
            stage_changed: Notify::new(),
            failed: watch::channel(false).0,
        }
    }

    /// How it stands to new work.
    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Unready,
            2 => Stage::Leaving,
            3 => Stage::Refusing,
            _ => Stage::Over,
        }
    }

    /// Moves on; there is no way back.
    pub(super) fn advance(&self, stage: Stage) {
        let number = match stage {
            Stage::Serving => 0,
            Stage::Unready => 1,
            Stage::Leaving => 2,
            Stage::Refusing => 3,
            Stage::Over => 4,
        };
        self.stage.fetch_max(number, Ordering::AcqRel);
        self.stage_changed.notify_waiters();
    }

    /// It can't go on: it is not ready, and whoever carries the process ends it. Says whether this
    /// is the first to say so.
    pub(super) fn fail(&self) -> bool {
        self.advance(Stage::Unready);
        !self.failed.send_replace(true)
    }

    /// Whether it can't go on.
    pub(super) fn has_failed(&self) -> bool {
        *self.failed.borrow()
    }

    /// Waits until it can't go on.
    pub(super) async fn failed(&self) {
        let mut failed = self.failed.subscribe();
        // The sender lives as long as the hub.
        let _ = failed.wait_for(|failed| *failed).await;
    }

    /// Waits until the hub is leaving.
    pub(super) async fn leaving(&self) {
        loop {
            let changed = self.stage_changed.notified();
            if self.stage().is_leaving() {
                return;
            }
            changed.await;
        }
    }
}
