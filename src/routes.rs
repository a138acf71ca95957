//! The routing table: `routes.toml` and the files it includes, parsed into types that can only
//! hold what is right.
//!
//! This module decides what a table means and says what is wrong with a bad one. It must not know
//! how requests travel.
//!
//! [`load()`] asks [`Sources`] for the files, `page` and `pieces` parse one, `reader` walks its
//! tables by the [`mod@reference`], and `gateway`, `api`, `client` and `target` make the
//! [`mod@table`] of them.

mod api;
mod before;
mod claims;
mod client;
mod describe;
mod diff;
mod facts;
mod gateway;
mod grammar;
mod grants;
mod include;
mod insecure;
mod load;
mod origin;
mod page;
mod pieces;
mod problem;
mod reader;
pub mod reference;
mod secret;
mod sharing;
mod shown;
mod sources;
mod suggest;
pub mod table;
mod target;
#[cfg(test)]
mod tests;
mod unshown;

pub use before::{AskBefore, Before};
pub use diff::{CHANGES_MAX, Change, Diff, How, KeyChange, Part};
pub use gateway::admin_address;
#[doc(hidden)]
pub use load::load_text;
pub use load::{Compile, Loaded, Quarantined, load, load_after, load_with};
pub use origin::{is_own_address, is_private_address};
pub use problem::{Colour, PROBLEMS_MAX, Place, Problem, Report, Severity};
pub use secret::Secret;
#[cfg(feature = "edge")]
pub(crate) use sources::open_regular;
pub use sources::{FILE_BYTES_MAX, MemorySources, Sources, SystemSources};
pub use table::{
    AccessLog, Admin, Api, Breaker, Client, ClientAuth, ClientStatus, Dialect, EdgeLimits, EdgeTls,
    Gateway, Listen, Maintenance, NativeTarget, Origin, Paths, Probe, QueryPolicy, Quota, Reuse,
    RouteTable, SOCKETS_MAX, Scheme, Target, TargetSet, TargetStatus, TargetTls, Timeouts,
    UnknownTokens, UpstreamHttp, Watch,
};
