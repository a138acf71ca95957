//! What the commands ask of the gateway.
//!
//! This file decides which of its doors are used. It must not know what is behind them.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::Failure;
use crate::edge::chassis::Ended;
use crate::routes::{Sources, SystemSources};
use crate::{edge, routes};

#[cfg(feature = "sim")]
pub(super) use edge::Running;

/// Loads a routing table.
pub(super) fn load(config: &Path) -> Result<routes::Loaded, Failure> {
    let sources = CommandSources { config };
    routes::load(config, &sources).map_err(|report| unusable(config, &report))
}

/// The system's files; but the table itself may come out of a pipe, which is waited for: whoever
/// gave the command is there to end it.
struct CommandSources<'c> {
    config: &'c Path,
}

impl Sources for CommandSources<'_> {
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<String> {
        if path != self.config || std::fs::metadata(path)?.is_file() {
            return SystemSources.read(path, bytes_max);
        }
        let mut text = String::new();
        std::fs::File::open(path)?.take(bytes_max + 1).read_to_string(&mut text)?;
        if text.len() as u64 > bytes_max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
        }
        Ok(text)
    }

    fn locate(&self, folder: &Path, name: &str) -> io::Result<PathBuf> {
        SystemSources.locate(folder, name)
    }

    fn read_within(&self, folder: &Path, name: &str, bytes_max: u64) -> io::Result<String> {
        SystemSources.read_within(folder, name, bytes_max)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        SystemSources.list(directory)
    }

    fn exists(&self, path: &Path) -> bool {
        SystemSources.exists(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        SystemSources.variable(name)
    }
}

/// Loads what a new process would serve: with the last good entries of files that are broken.
pub(super) fn load_to_run(config: &Path) -> Result<routes::Loaded, Failure> {
    edge::load(config).map_err(|report| unusable(config, &report))
}

fn unusable(config: &Path, report: &routes::Report) -> Failure {
    let report = show(report);
    Failure::new(format_args!("{} can't be used\n\n{report}", config.display()))
}

/// A report, for standard error: in colour where people read it.
pub(super) fn show(report: &routes::Report) -> String {
    let people = io::stderr().is_terminal();
    report.render(if people { routes::Colour::Always } else { routes::Colour::Never })
}

/// What a start would find in the files that a table names.
pub(super) fn check(loaded: &routes::Loaded) -> edge::Checked {
    edge::check(&loaded.table)
}

/// Runs the gateway as the process, until a signal ends it.
pub(super) fn serve(config: &Path, start: edge::chassis::Start) -> Result<ExitCode, Failure> {
    // Before the table is read: that may take a while.
    let signals = edge::signals::SignalStreams::open().map_err(Failure::new)?;
    let loaded = load_to_run(config)?;
    for file in &loaded.quarantined {
        let (name, errors) = (file.file.display(), file.report.errors());
        let kept = loaded.kept_of(&file.file).join(" ");
        tracing::error!(file = %name, errors, kept, "set aside; what was good of it is served on");
    }
    let given = edge::Given::from_file(loaded, config);
    match edge::chassis::run(given, start, signals).map_err(Failure::new)? {
        Ended::Told => Ok(ExitCode::SUCCESS),
        Ended::Failed => Ok(ExitCode::from(GAVE_OUT)),
    }
}

/// The exit code of a process that could not go on: whoever supervises it starts another. It is not
/// 2, which says that another start would fail in the same way.
const GAVE_OUT: u8 = 3;

/// Has the process that serves with this table replaced.
pub(super) fn upgrade(loaded: &routes::Loaded) -> Result<String, Failure> {
    edge::chassis::upgrade(&loaded.table.gateway).map_err(Failure::new)
}

/// Starts a gateway inside this process.
#[cfg(feature = "sim")]
pub(super) fn start(loaded: routes::Loaded) -> Result<Running, Failure> {
    edge::start(loaded.table).map_err(Failure::new)
}
