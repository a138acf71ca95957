//! The law, as a test: what the sources and README must keep to, read as text.
//!
//! Each law is a test of its own, so that a failure names it. What the compiler, clippy or rustfmt
//! can see (lengths of functions, `unwrap`, formatting) is theirs; that floors 0 to 2 build without
//! the edge is `make lint`'s. Parts of README are generated: `UPDATE=1 cargo test --test tidy`
//! writes them.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a law that can't be read is broken")]

#[path = "tidy/contracts.rs"]
mod contracts;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/matrix.rs"]
mod matrix;
#[path = "tidy/readme.rs"]
mod readme;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tables.rs"]
mod tables;
#[path = "tidy/threats.rs"]
mod threats;
