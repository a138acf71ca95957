//! corgate: a gateway for open-banking consent flows.
//!
//! One request is one straight walk, written once in [`exchange`]. The modules stand on floors,
//! and imports run one way, downwards:
//!
//! | floor | modules | knows |
//! |---|---|---|
//! | 4 | `main`, [`cli`], [`sim`] | everything; wires, decides nothing |
//! | 3 | [`edge`] | tokio, hyper, tower, rustls, pingora: sockets and the process |
//! | 2 | [`exchange`], [`conversation`], [`breaker`], [`callers`], [`concurrency`], [`echoes`], [`endpoints`], [`limiter`], [`patience`], [`record`], [`snapshot`], [`trace_context`] | the walk, with the edge behind two traits |
//! | 1 | [`answer`], [`contract`], [`dialect`], [`frames`], [`framing`], [`routes`], [`x509`] | the rules: documents and tables in, decisions out |
//! | 0 | [`deadline`], [`fault`], [`ids`], [`oauth`], [`octets`], [`wiped`] | words |
//!
//! Floors 0 to 2 are pure: no sockets, no clock they were not handed, no logging. They build
//! without any feature (`cargo check --no-default-features`), and `tests/tidy.rs` keeps it so.
//!
//! Where a comment says CONTRACT, a row, a decision or a rule such as C5, it means
//! `contracts/README.md`; DIALECTS means `contracts/DIALECTS.md`. The *seed* is what the project
//! was given: the bLink consent-flow module 2.0.15.1-fi, and the public pages of Konsentus (seed
//! 001), Flinks (seeds 002 and 004) and Oxlin (seed 003).

pub mod answer;
pub mod breaker;
pub mod callers;
pub mod concurrency;
pub mod contract;
pub mod conversation;
pub mod deadline;
pub mod dialect;
pub mod echoes;
pub mod endpoints;
pub mod exchange;
pub mod fault;
pub mod frames;
pub mod framing;
pub mod ids;
pub mod limiter;
pub mod oauth;
pub mod octets;
pub mod patience;
pub mod record;
pub mod routes;
pub mod snapshot;
pub mod trace_context;
pub mod wiped;
pub mod x509;

#[cfg(feature = "edge")]
pub mod edge;

#[cfg(feature = "edge")]
pub mod cli;

#[cfg(feature = "sim")]
pub mod sim;
