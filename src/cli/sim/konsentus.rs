//! `corgate sim konsentus`.
//!
//! This file decides how it is spelled. It must not know how it behaves.

use std::time::Duration;

use super::foreign::ListenArgs;
use crate::cli::Failure;
use crate::sim::konsentus::{CcgTokens, Konsentus, KonsentusConfig};

/// A simulated Konsentus.
#[derive(Debug, clap::Args)]
pub struct KonsentusArgs {
    #[command(flatten)]
    listen: ListenArgs,
    /// Give out another ccg_token each time, instead of always good-access-token
    #[arg(long)]
    distinct_ccg_tokens: bool,
    /// How long a ccg_token lives
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    ccg_life: u64,
}

impl KonsentusArgs {
    pub(super) fn start(self) -> Result<(Konsentus, &'static str), Failure> {
        let ccg_tokens =
            if self.distinct_ccg_tokens { CcgTokens::Distinct } else { CcgTokens::Hardcoded };
        let konsentus = Konsentus::start(KonsentusConfig {
            ccg_tokens,
            ccg_life: Duration::from_secs(self.ccg_life),
            seed: self.listen.seed,
            ..KonsentusConfig::new(self.listen.listening()?)
        })?;
        Ok((konsentus, self.listen.scheme()))
    }
}
