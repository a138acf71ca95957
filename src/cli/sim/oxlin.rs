//! `corgate sim oxlin`.
//!
//! This file decides how it is spelled. It must not know how it behaves.

use super::foreign::ListenArgs;
use crate::cli::Failure;
use crate::sim::oxlin::{Oxlin, OxlinConfig};

/// A simulated Oxlin.
#[derive(Debug, clap::Args)]
pub struct OxlinArgs {
    #[command(flatten)]
    listen: ListenArgs,
    /// Take authorization codes, which Oxlin's documents do not have
    #[arg(long)]
    takes_codes: bool,
}

impl OxlinArgs {
    pub(super) fn start(self) -> Result<(Oxlin, &'static str), Failure> {
        let (takes_codes, seed) = (self.takes_codes, self.listen.seed);
        let config = OxlinConfig::new(self.listen.listening()?);
        let oxlin = Oxlin::start(OxlinConfig { takes_codes, seed, ..config })?;
        Ok((oxlin, self.listen.scheme()))
    }
}
