//! The routing table: `routes.toml` and the files it includes, parsed into types that can only
//! hold what is right.
//!
//! This module decides what a table means and says what is wrong with a bad one. It must not know
//! how requests travel.

pub mod table;

pub use table::{
    AccessLog, Admin, Api, Breaker, Client, ClientAuth, ClientStatus, Dialect, EdgeLimits, EdgeTls,
    Gateway, Listen, Origin, Paths, QueryPolicy, Quota, RouteTable, Scheme, Target, TargetSet,
    TargetStatus, TargetTls, Timeouts, UpstreamHttp,
};
