//! The `corgate` command: reads the command line, starts the log, maps the outcome to an exit
//! code.
//!
//! Exit codes: 0 is good; 1 is a refusal (a file set aside, an answer that was not expected); 2 is
//! a usage or configuration error; 3 is a gateway that could not go on. This file must not know
//! what any command does.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use corgate::cli::{Cli, Command, Failure, LogFormat, run};
use corgate::edge::process_log::{LineLimit, ProcessLog};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

// Many small, short-lived allocations on every thread are what it is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (format, level) = (cli.log_format, cli.command.log_level());
    // A gateway waits for nobody who reads its log; the other commands are read by who started
    // them.
    let log = match cli.command {
        Command::Run { .. } => ProcessLog::start().ok(),
        _ => None,
    };
    match &log {
        Some(log) => start_log(format, level, log.lines()),
        None => start_log(format, level, std::io::stderr),
    }
    let outcome = run(cli.command);
    let last_word = outcome.as_ref().err().map(|failure: &Failure| format!("corgate: {failure}\n"));
    let last_word = last_word.unwrap_or_default();
    match log {
        Some(log) => log.end(&last_word),
        // Standard error is closed only when nobody wants to know.
        None => drop(std::io::stderr().write_all(last_word.as_bytes())),
    }
    outcome.unwrap_or(ExitCode::from(2))
}

/// The process's log, at the level of `RUST_LOG`.
fn start_log<W>(format: LogFormat, default: LevelFilter, lines: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let asked = std::env::var_os("RUST_LOG").is_some();
    let filter = if asked {
        EnvFilter::from_default_env()
    } else {
        // The chassis speaks of signals that corgate made up for it; what matters is said by us.
        EnvFilter::new(format!("{default},pingora_core=warn"))
    };
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(lines);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => Box::new(layer),
        LogFormat::Json => Box::new(layer.json()),
    };
    tracing_subscriber::registry().with(layer).with(LineLimit::default()).with(filter).init();
}
