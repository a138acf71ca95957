//! The integration tests: the real gateway over real sockets with real TLS, and simulated banks.
//!
//! One binary, so that it links once. Each test starts a [`world::World`] of its own on free ports,
//! with certificates made at run time, and says what is special about its `routes.toml`. What no
//! test may forget is in the harness: every answer's marks (CONTRACT 4.3), one access line for each
//! answer, and no secret in any log, metric or status page.
//!
//! CONTRACT is `contracts/README.md`, DIALECTS `contracts/DIALECTS.md`: `row_4_4_05_…` is row 5 of
//! its section 4.4.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test ends where its world is not as it says"
)]

#[macro_use]
mod both;

mod answer;
mod ask;
mod h2;
mod h2_bank;
mod wire;
mod world;

mod admin;
mod answers;
mod attacks;
mod attacks_h1;
mod attacks_h2;
mod authorities;
mod bank_bytes;
mod bank_faults;
mod bank_http2;
mod bank_reach;
mod bank_words;
mod bodies;
mod breaker;
mod budgets;
mod canary;
mod certificate_files;
mod chains;
mod consent;
mod crash;
mod dialect_flinks;
mod dialect_konsentus;
mod dialect_oauth2;
mod dialect_oxlin;
mod draining;
mod echoes;
mod endings;
mod endpoints;
mod goodbyes;
mod half_closed;
mod hang;
mod heads;
mod http2;
mod http2_frames;
mod identity;
mod included;
mod knobs;
mod learned;
mod leaving;
mod limits;
mod load;
mod logs;
mod looks;
mod mixed_echoes;
mod names;
mod native;
mod native_correlation;
mod native_flinks;
mod native_identity;
mod native_konsentus;
mod native_oxlin;
mod order;
mod pipelines;
mod pool;
mod process;
mod rates;
mod record;
mod reload;
mod reload_certificates;
mod reload_clients;
mod reload_process;
mod requests;
mod room;
mod seats;
mod shake;
mod shared_fate;
mod signals;
mod smuggling;
mod storm;
mod systemd;
mod taken_over;
mod targets;
mod tokens;
mod tokens_kept;
mod tokens_shared;
mod transport;
mod upgrade;
mod upgrade_flights;
mod whole_requests;
mod windows;
