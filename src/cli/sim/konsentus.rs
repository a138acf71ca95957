//! `corgate sim konsentus`.
//!
//! This file decides how it is spelled. It must not know how it behaves.

use std::time::Duration;

use super::place::Place;
use crate::cli::Failure;
use crate::sim::konsentus::{CcgTokens, Konsentus, KonsentusConfig};

/// A simulated Konsentus.
#[derive(Debug, clap::Args)]
pub struct KonsentusArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// Give out another ccg_token each time, instead of always good-access-token
    #[arg(long)]
    distinct_ccg_tokens: bool,
    /// How long a ccg_token lives
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    ccg_life: u64,
    /// Its tokens follow from this number
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(super) fn start(args: &KonsentusArgs) -> Result<Konsentus, Failure> {
    let ccg_tokens =
        if args.distinct_ccg_tokens { CcgTokens::Distinct } else { CcgTokens::Hardcoded };
    Ok(Konsentus::start(KonsentusConfig {
        ccg_tokens,
        ccg_life: Duration::from_secs(args.ccg_life),
        seed: args.seed,
        ..KonsentusConfig::new(args.place.listening()?)
    })?)
}
