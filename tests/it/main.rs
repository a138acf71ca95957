//! The integration tests: the real gateway over real sockets with real TLS, and simulated banks.
//!
//! One binary, so that it links once. Each test starts a [`world::World`] of its own on free ports,
//! with certificates made at run time, and says what is special about its `routes.toml`. What no
//! test may forget is in the harness: every answer's marks (CONTRACT 4.3), one access line for each
//! answer, and no secret in any log, metric or status page.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends where its world is not as it says"
)]

#[macro_use]
mod both;

mod answer;
mod ask;
mod wire;
mod world;

mod bodies;
mod heads;
mod identity;
mod knobs;
mod native;
mod native_flinks;
mod native_konsentus;
mod native_oxlin;
mod rates;
mod targets;
mod transport;
