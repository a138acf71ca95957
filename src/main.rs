//! The `corgate` command: reads the command line, starts the log, maps the outcome to an exit
//! code.
//!
//! Exit codes: 0 is good; 1 is a refusal (a file set aside, an answer that was not expected); 2 is
//! a usage or configuration error; 3 is a gateway that could not go on. This file must not know what any command does.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use corgate::cli::{Cli, LogFormat, run};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

// Many small, short-lived allocations on every thread are what it is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.log_format, cli.command.log_level());
    match run(cli.command) {
        Ok(code) => code,
        Err(failure) => {
            // Standard error is closed only when nobody wants to know.
            let _ = writeln!(std::io::stderr(), "corgate: {failure}");
            ExitCode::from(2)
        }
    }
}

/// The process's log: to standard error, at the level of `RUST_LOG`.
fn start_log(format: LogFormat, default: LevelFilter) {
    let asked = std::env::var_os("RUST_LOG").is_some();
    let filter = if asked {
        EnvFilter::from_default_env()
    } else {
        // The chassis speaks of signals that corgate made up for it; what matters is said by us.
        EnvFilter::new(format!("{default},pingora_core=warn"))
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
