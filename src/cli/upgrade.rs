//! `corgate upgrade`: the gateway that serves is replaced by the program as it is now.
//!
//! This file decides what is looked at before. It must not know how the two come to terms.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use super::{Failure, gateway};

/// Asks the process that serves with this table to give way to a new one.
pub(super) fn run(config: &Path, out: &mut dyn io::Write) -> Result<ExitCode, Failure> {
    // A table that can't be used is known here, before anybody has to move.
    let loaded = gateway::load(config)?;
    let told = gateway::upgrade(&loaded)?;
    writeln!(out, "{told}")?;
    Ok(ExitCode::SUCCESS)
}
