//! `corgate sim oxlin`.
//!
//! This file decides how it is spelled. It must not know how it behaves.

use super::place::Place;
use crate::cli::Failure;
use crate::sim::oxlin::{Oxlin, OxlinConfig};

/// A simulated Oxlin.
#[derive(Debug, clap::Args)]
pub struct OxlinArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// Take authorization codes, which Oxlin's documents do not have
    #[arg(long)]
    takes_codes: bool,
    /// Its tokens follow from this number
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(super) fn start(args: &OxlinArgs) -> Result<Oxlin, Failure> {
    let (takes_codes, seed) = (args.takes_codes, args.seed);
    let config = OxlinConfig::new(args.place.listening()?);
    Ok(Oxlin::start(OxlinConfig { takes_codes, seed, ..config })?)
}
