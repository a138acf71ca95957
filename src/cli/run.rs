//! `corgate run`: the gateway, until it is told to stop.
//!
//! This file decides nothing: the process is the edge's. It must not know what is served.

use std::path::Path;
use std::process::ExitCode;

use super::{Failure, gateway};
use crate::edge::chassis::Start;

/// Runs the gateway.
pub(super) fn run(config: &Path, upgrade: bool) -> Result<ExitCode, Failure> {
    gateway::serve(config, if upgrade { Start::Upgrade } else { Start::Alone })
}
