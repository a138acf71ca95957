//! The snapshot: one table with all that its exchanges share, swapped whole.
//!
//! This file decides what of the old snapshot lives on in a new one: buckets, breakers, places and
//! counts, each while the rule behind it is the same. It must not know how snapshots are read or
//! when they are swapped.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

use crate::breaker::Breaker;
use crate::callers::{Callers, keep_or_make, wire_id};
use crate::concurrency::ConcurrencyLimit;
use crate::dialect::Host;
use crate::dialect::told::Memory;
use crate::echoes::Echoes;
use crate::endpoints::Endpoints;
use crate::fault::{Fault, Origin};
use crate::ids::{ClientId, ClientKey, TargetId};
use crate::limiter::{Gate, clock};
use crate::patience::{Asker, Patience};
use crate::routes::{Api, RouteTable, Target};

/// A loaded table, ready to serve.
#[derive(Debug)]
pub struct Snapshot {
    /// The table.
    pub table: RouteTable,
    /// Who may call.
    pub callers: Callers,
    /// What was told at token calls; it outlives every table.
    pub memory: Arc<Memory>,
    /// Where calls go.
    routes: HashMap<TargetId, Arc<Route>, foldhash::fast::RandomState>,
    /// Those of them that are looked at while nobody calls them.
    pub probed: Vec<Arc<Route>>,
}

/// A target with the state that all workers share.
#[derive(Debug)]
pub struct Route {
    /// Its entry in the table.
    pub target: Arc<Target>,
    /// Its id, as the value of a header field.
    pub wire_id: HeaderValue,
    /// Its addresses as text, for the record.
    pub origins: Vec<Box<str>>,
    /// Different for each entry that ever was: what a worker keys its connections by, so that a
    /// changed entry gets new ones.
    pub number: u64,
    /// All calls to it.
    pub gate: Option<Arc<Gate>>,
    /// Whether it is being called at all.
    pub breaker: Arc<Breaker>,
    /// What is known of how it answers with correlation ids.
    pub echoes: Echoes,
    /// Whether it asked to be left alone.
    pub patience: Arc<Patience>,
    /// Its addresses, and those of its authorization server.
    endpoints: [Arc<Endpoints>; 2],
    /// Calls to it at once.
    pub places: ConcurrencyLimit,
    /// The clients that the bank can tell from all others; none where that is every client.
    own_registrations: Option<HashSet<ClientKey, foldhash::fast::RandomState>>,
    /// What became of its calls.
    pub tally: Arc<Tally>,
}

/// What became of the calls to one target, by whose fault.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls that were forwarded or tried to be.
    pub calls: AtomicU64,
    /// The bank answered 4xx: the client's fault.
    pub client_errors: AtomicU64,
    /// The bank answered 5xx, or failed on the way.
    pub provider_errors: AtomicU64,
    /// The hub refused: breaker open, all places taken, or its own fault.
    pub platform_errors: AtomicU64,
    /// Microseconds spent waiting for the bank.
    pub wait_us: AtomicU64,
    /// Connections to it that were dialled, well or not.
    pub dials: AtomicU64,
    /// Calls over an idle connection of another worker.
    pub taken_over: AtomicU64,
    /// Looks at it while nobody called.
    pub probes: AtomicU64,
    /// Those of them that failed.
    pub probes_failed: AtomicU64,
}

impl Tally {
    /// Counts one call by the status that the client gets and the fault behind it.
    pub fn count(&self, provider_status: Option<u16>, fault: Option<&Fault>, wait_us: u64) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.wait_us.fetch_add(wait_us, Ordering::Relaxed);
        let origin = fault.map(|fault| fault.row().origin);
        let counter = match (origin, provider_status) {
            (Some(Origin::Platform), _) => &self.platform_errors,
            (Some(Origin::Provider), _) | (None, Some(500..)) => &self.provider_errors,
            (Some(Origin::Client), _) | (None, Some(400..=499)) => &self.client_errors,
            (None, Some(_) | None) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

impl Snapshot {
    /// Makes the snapshot of a table; what did not change since `previous` keeps its state.
    pub fn build(table: RouteTable, previous: Option<&Self>) -> Self {
        Self::build_anew(table, previous, |_| false)
    }

    /// The same; a target whose certificates are others than before, which the table does not show,
    /// gets new connections.
    pub fn build_anew(
        table: RouteTable,
        previous: Option<&Self>,
        is_stale: impl Fn(&Target) -> bool,
    ) -> Self {
        let callers = Callers::build(&table, previous.map(|snapshot| &snapshot.callers));
        let several_clients = table.clients.len() > 1;
        let routes: HashMap<_, _, _> = table
            .targets
            .values()
            .map(|target| {
                let old = previous.and_then(|snapshot| snapshot.routes.get(&target.id));
                let route = Route::build(target, old, is_stale(target));
                route.places.set_several_clients(several_clients);
                (target.id.clone(), route)
            })
            .collect();
        let memory = previous.map_or_else(Arc::default, |snapshot| snapshot.memory.clone());
        let is_probed = |route: &&Arc<Route>| route.target.probe.is_some();
        let probed = routes.values().filter(is_probed).cloned().collect();
        Self { table, callers, memory, routes, probed }
    }

    /// Finds a target's route by its id.
    pub fn route(&self, target: &str) -> Option<&Arc<Route>> {
        self.routes.get(target)
    }

    /// Every route, in no order.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// The mounted contract that a path belongs to, and the path below its base.
    pub fn api<'p>(&self, path: &'p str) -> Option<(&Api, &'p str)> {
        self.table.apis.iter().find_map(|api| {
            let below = path.strip_prefix(&*api.base_path)?;
            below.starts_with('/').then_some((api, below))
        })
    }
}

impl Route {
    /// The addresses of one of its hosts.
    pub const fn endpoints(&self, host: Host) -> &Arc<Endpoints> {
        let [main, auth] = &self.endpoints;
        match host {
            Host::Main => main,
            Host::Auth => auth,
        }
    }

    /// A client, as this bank sees it.
    pub fn asker(&self, client: ClientKey) -> Asker {
        let own = self.own_registrations.as_ref();
        Asker { client, shares_registration: own.is_some_and(|own| !own.contains(&client)) }
    }

    fn build(target: &Arc<Target>, old: Option<&Arc<Self>>, stale: bool) -> Arc<Self> {
        if let Some(old) = old.filter(|old| old.target == *target && !stale) {
            return old.clone();
        }
        let gate = keep_or_make(
            target.limit,
            old.and_then(|old| old.gate.as_ref()),
            Gate::quota,
            |quota| Gate::new(quota, clock()),
        );
        // A bank in the same place is the same bank, whatever else of its entry changed; and what
        // was learned about it under a rule holds while that is its rule.
        let same_place = old.filter(|old| {
            old.target.upstream == target.upstream
                && old.target.auth_upstream == target.auth_upstream
        });
        let same_rule = same_place.filter(|old| old.target.breaker == target.breaker);
        let places_max = target.concurrency.get();
        Arc::new(Self {
            target: target.clone(),
            wire_id: wire_id(target.id.as_str()),
            origins: [&target.upstream, &target.auth_upstream]
                .into_iter()
                .flatten()
                .map(|origin| origin.to_string().into())
                .collect(),
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            gate,
            breaker: same_rule
                .map_or_else(|| Arc::new(Breaker::new(target.breaker)), |old| old.breaker.clone()),
            echoes: Echoes::default(),
            patience: same_place.map_or_else(Arc::default, |old| {
                old.patience.shorten(target.retry_after_max);
                old.patience.clone()
            }),
            endpoints: [Host::Main, Host::Auth].map(|host| {
                let count = target.origins(host).len();
                let new = || Arc::new(Endpoints::new(count, target.breaker));
                same_rule.map_or_else(new, |old| old.endpoints(host).clone())
            }),
            places: old.map_or_else(
                || ConcurrencyLimit::new(places_max),
                |old| old.places.resized(places_max),
            ),
            own_registrations: (!target.dialect.names_each_client())
                .then(|| target.dialect.registered().map(ClientId::key).collect()),
            tally: old.map_or_else(Arc::default, |old| old.tally.clone()),
        })
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's first instant has to come from somewhere")]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::routes::{MemorySources, load};

    fn table(upstream: &str, more: &str) -> RouteTable {
        let text = format!(
            "[gateway]\ninsecure_plain_listen = '127.0.0.1:0'\ninsecure_header_identity = true\n\
             [[api]]\ncontract = 'blink-fi'\nbase_path = '/v'\n[[target]]\nid = 'T'\n\
             upstream = {upstream}\n{more}\n"
        );
        let sources = MemorySources::default().file("routes.toml", &text);
        let loaded = load("routes.toml".as_ref(), &sources);
        loaded.unwrap_or_else(|report| panic!("{report}")).table
    }

    fn client() -> ClientKey {
        ClientId::parse("C1").unwrap().key()
    }

    #[test]
    fn calls_under_way_count_for_a_limit_that_was_changed_meanwhile() {
        let of = |concurrency: u32, before: Option<&Snapshot>| {
            let lines = format!("concurrency = {concurrency}");
            Snapshot::build(table("'https://a.example'", &lines), before)
        };
        let places = |snapshot: &Snapshot| snapshot.route("T").unwrap().places.clone();
        let before = of(3, None);
        let mut under_way: Vec<_> =
            (0..3).map(|_| places(&before).acquire(client()).unwrap()).collect();
        let lowered = of(2, Some(&before));
        assert!(places(&lowered).acquire(client()).is_err(), "three are under way, two may be");
        under_way.pop();
        assert!(places(&lowered).acquire(client()).is_err(), "two are, and two may be");
        under_way.pop();
        under_way.push(places(&lowered).acquire(client()).unwrap());
        let raised = of(4, Some(&lowered));
        under_way.extend((0..2).map(|_| places(&raised).acquire(client()).unwrap()));
        assert!(places(&raised).acquire(client()).is_err(), "four are under way");
        // A bank that moved is called by the same hub, within the same limit.
        let moved = table("'https://b.example'", "concurrency = 4");
        let moved = Snapshot::build(moved, Some(&raised));
        assert_eq!(places(&moved).taken(), 4);
        drop(under_way);
        assert_eq!([&before, &lowered, &raised, &moved].map(|each| places(each).taken()), [0; 4]);
    }

    #[test]
    fn a_bank_in_the_same_place_is_left_alone_after_a_reload_too() {
        let now = Instant::now();
        let two = "['https://a.example', 'https://b.example']";
        let before = Snapshot::build(table(two, ""), None);
        let route = before.route("T").unwrap();
        route.patience.learn(now, Duration::from_secs(30));
        route.endpoints(Host::Main).unreached(0, now);

        let after = Snapshot::build(table(two, "concurrency = 7"), Some(&before));
        let changed = after.route("T").unwrap();
        assert_ne!(changed.number, route.number);
        assert_eq!(changed.patience.wait(now), Some(Duration::from_secs(30)));
        assert!(changed.endpoints(Host::Main).views()[0].ejected);

        // A wait is believed for as long as the rule of now says, also one that was learned before.
        let lowered = "concurrency = 7\nretry_after_max = '5s'";
        let lowered = Snapshot::build(table(two, lowered), Some(&after));
        let shorter = lowered.route("T").unwrap().patience.wait(now);
        assert_eq!(shorter, Some(Duration::from_secs(5)));

        let moved = Snapshot::build(table("'https://c.example'", ""), Some(&after));
        assert_eq!(moved.route("T").unwrap().patience.wait(now), None);
        assert!(!moved.route("T").unwrap().endpoints(Host::Main).views()[0].ejected);
    }
}
