//! The table that the gateway runs on: every value parsed, every reference resolved.
//!
//! This file decides what a loaded table holds. It must not know TOML.

pub mod dialect;
mod gateway;
mod maintenance;
mod target;

pub use dialect::{Dialect, Override, Translation, UnknownTokens};
pub use gateway::{
    AccessLog, Admin, ClientAuth, EdgeLimits, EdgeTls, Gateway, Listen, SOCKETS_MAX, Watch,
};
pub use maintenance::{Maintenance, WEEK_S, Window};
pub use target::{
    Breaker, Origin, Paths, Probe, Reuse, Scheme, Target, TargetStatus, TargetTls, Timeouts,
    UpstreamHttp,
};

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::contract::{AuthorizationPolicy, Contract};
use crate::fault::Name;
use crate::ids::{ClientId, Fingerprint, TargetId};

/// A whole table: what one gateway process serves.
#[derive(Debug)]
pub struct RouteTable {
    /// Listeners, deadlines and limits of the process.
    pub gateway: Gateway,
    /// The mounted contracts.
    pub apis: Vec<Api>,
    /// Every client, by id.
    pub clients: HashMap<ClientId, Arc<Client>>,
    /// Which client a certificate belongs to. A certificate belongs to one client.
    pub certificates: HashMap<Fingerprint, Arc<Client>>,
    /// Every target, by id.
    pub targets: HashMap<TargetId, Arc<Target>>,
}

/// What happens to a query string on an operation that declares none (CONTRACT row 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueryPolicy {
    /// 400 `invalid_request`.
    #[default]
    Refuse,
    /// Accept the call, forward it without the query.
    Drop,
}

/// `[[api]]`: a contract mounted under a base path.
#[derive(Debug)]
pub struct Api {
    /// The rules.
    pub contract: Arc<Contract>,
    /// SHA-256 of the document that they were compiled from: to tell a changed one.
    pub document: [u8; 32],
    /// Empty, or starting with `/` and not ending with one.
    pub base_path: Name,
    /// CONTRACT row 3.
    pub query: QueryPolicy,
    /// CONTRACT row 19.
    pub authorization: AuthorizationPolicy,
    /// Keep to the statuses that the contract lists (CONTRACT decision 5).
    pub strict_statuses: bool,
    /// Refuse a 200 token answer without `access_token` and `token_type`.
    pub validate_token_response: bool,
    /// `error_uri` of the gateway's own errors.
    pub error_uri: Option<Name>,
    /// How a call finds its target, where the contract is native.
    pub native_target: Option<NativeTarget>,
}

/// How a native call finds its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NativeTarget {
    /// `target`: always this one.
    Fixed(TargetId),
    /// `target_header`: the value of this field.
    Header(HeaderName),
    /// `target_query`: the value of this query parameter.
    Query(Name),
}

/// A rate: so many calls a period, so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Calls a period.
    pub rate: NonZeroU32,
    /// The period: a second, a minute or an hour.
    pub period: Duration,
    /// How many may come at once.
    pub burst: NonZeroU32,
    /// Counted and logged, not enforced.
    pub shadow: bool,
}

/// Whether a client may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientStatus {
    /// It may.
    #[default]
    Active,
    /// Only operations that are open to the suspended.
    Suspended,
}

/// The targets that a client may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetSet {
    /// `["*"]`.
    All,
    /// Those named.
    Only(HashSet<TargetId>),
}

impl TargetSet {
    /// Whether the client may call `target`.
    pub fn allows(&self, target: &TargetId) -> bool {
        match self {
            Self::All => true,
            Self::Only(targets) => targets.contains(target),
        }
    }
}

/// `[[client]]`: a third party that calls us.
#[derive(Debug, PartialEq, Eq)]
pub struct Client {
    /// Its OAuth client id.
    pub id: ClientId,
    /// A name for people.
    pub name: Option<Name>,
    /// The certificates it may present; two during a roll-over.
    pub certificates: Vec<Fingerprint>,
    /// Where it may go.
    pub targets: TargetSet,
    /// The target of a call that names none.
    pub default_target: Option<TargetId>,
    /// Whether it may call.
    pub status: ClientStatus,
    /// All its calls together.
    pub limit: Option<Quota>,
    /// Its calls to each target.
    pub target_limit: Option<Quota>,
    /// `username_on_refresh = "optional"` (CONTRACT decision 7).
    pub username_on_refresh_optional: bool,
    /// Where native calls may redirect to, exactly as written.
    pub redirect_uris: Vec<Name>,
    /// Other client ids that it goes by in native calls.
    pub native_client_ids: Vec<Name>,
}

impl Client {
    /// Whether a native call may name it so.
    pub fn goes_by(&self, id: &str) -> bool {
        self.id.as_str() == id || self.native_client_ids.iter().any(|known| **known == *id)
    }

    /// The target of a call that names none: the default, or the only one there is.
    pub fn implied_target(&self) -> Option<&TargetId> {
        self.default_target.as_ref().or_else(|| match &self.targets {
            TargetSet::Only(targets) if targets.len() == 1 => targets.iter().next(),
            TargetSet::Only(_) | TargetSet::All => None,
        })
    }
}
