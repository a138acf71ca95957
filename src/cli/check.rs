//! `corgate check`: what a routing table means, or everything that is wrong with it.
//!
//! This file decides where that is printed, and how the command ends. It must not know what is
//! right or wrong.

use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use super::{Failure, Verdict, gateway};

/// Loads the table and prints what it means on `out`. Files that were set aside, and certificates
/// and keys that `run` could not use, are told on `err` and make it end with 1; a broken operator
/// file is a [`Failure`].
pub(super) fn run(
    config: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let loaded = gateway::load(config)?;
    write!(out, "{}{}", loaded.table.describe(), loaded.table.describe_windows(unix_seconds()))?;
    if !loaded.warnings.is_empty() {
        write!(err, "{}", gateway::show(&loaded.warnings))?;
    }
    for file in &loaded.quarantined {
        write!(err, "{}", gateway::show(&file.report))?;
    }
    let files = gateway::check(&loaded);
    for warning in &files.warnings {
        writeln!(err, "warning: {warning}")?;
    }
    for error in &files.errors {
        writeln!(err, "error: {error}")?;
    }
    let is_good = loaded.quarantined.is_empty() && files.errors.is_empty();
    Ok(if is_good { Verdict::Good } else { Verdict::Refused })
}

/// The wall clock, for the windows that come next.
#[expect(clippy::disallowed_methods, reason = "the command is where time is read")]
fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
