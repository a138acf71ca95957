//! `corgate upgrade`: the gateway that serves is replaced by the program as it is now.
//!
//! This file decides what is looked at before: whether the table can be used, and whether a bank
//! that is served now would not be afterwards. It must not know how the two come to terms.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use super::{Failure, gateway};
use crate::routes::Loaded;

/// Asks the process that serves with this table to give way to a new one. Unless `forced`, not
/// where a file is set aside of which nothing good is known.
pub(super) fn run(
    config: &Path,
    forced: bool,
    out: &mut dyn io::Write,
    err: &mut dyn io::Write,
) -> Result<ExitCode, Failure> {
    // A table that can't be used is known here, before anybody has to move.
    let loaded = gateway::load_to_run(config)?;
    let lost = tell_quarantined(&loaded, err)?;
    if lost > 0 && !forced {
        return Err(Failure::new(format_args!(
            "nothing was upgraded: the banks of {lost} broken files would be gone; mend them, or \
             go on without them by --force"
        )));
    }
    let told = gateway::upgrade(&loaded)?;
    writeln!(out, "{told}")?;
    Ok(ExitCode::SUCCESS)
}

/// Tells what is set aside, and returns of how many files nothing is left.
fn tell_quarantined(loaded: &Loaded, err: &mut dyn io::Write) -> io::Result<usize> {
    let mut lost = 0;
    for file in &loaded.quarantined {
        write!(err, "{}", gateway::show(&file.report))?;
        let kept = loaded.kept_of(&file.file);
        let name = file.file.display();
        if kept.is_empty() {
            lost += 1;
            writeln!(err, "set aside: {name}; no last good entry of it is known\n")?;
        } else {
            writeln!(
                err,
                "set aside: {name}; served by their last good entries: {}\n",
                kept.join(" ")
            )?;
        }
    }
    Ok(lost)
}
