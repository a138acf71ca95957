//! The command line: what can be asked of `corgate`, and which code it ends with.
//!
//! This module decides how commands are spelled and what they print. It must not know how they do
//! their work: it wires, and decides nothing.

mod check;
mod diff;
mod gateway;
mod run;
mod upgrade;

#[cfg(feature = "sim")]
mod demo;
#[cfg(feature = "sim")]
mod sim;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use tracing_subscriber::filter::LevelFilter;

/// A gateway for open-banking consent flows: one edge, many banks, each in its own language.
#[derive(Debug, clap::Parser)]
#[command(name = "corgate", version)]
pub struct Cli {
    /// How the process's log is written (to standard error; its level is in RUST_LOG)
    #[arg(long, value_enum, global = true, default_value_t)]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How the process's log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Run the gateway
    Run {
        /// The routing table
        #[arg(long, value_name = "FILE", default_value = "routes.toml")]
        config: PathBuf,
        /// Take the sockets of the process that serves, which then drains and ends
        #[arg(long)]
        upgrade: bool,
    },
    /// Replace the gateway that serves by the program as it is now; no call is lost
    Upgrade {
        /// The routing table
        #[arg(long, value_name = "FILE", default_value = "routes.toml")]
        config: PathBuf,
        /// Also where a bank's file is broken and no last good entry of it is known
        #[arg(long)]
        force: bool,
    },
    /// Say what a routing table means, or everything that is wrong with it
    Check {
        /// The routing table
        #[arg(value_name = "FILE", default_value = "routes.toml")]
        config: PathBuf,
    },
    /// Say what a reload would change, key by key; secrets are not shown
    #[command(after_help = diff::EXIT_CODES)]
    Diff {
        /// The routing table
        #[arg(value_name = "FILE", default_value = "routes.toml")]
        config: PathBuf,
        /// What to compare with: the admin address of a running gateway, which then reads its own
        /// file and says what a reload would do; or an older table. Left out, it is the gateway
        /// at the admin address that FILE names
        #[arg(long, value_name = "ADDRESS|FILE")]
        against: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Play a consent, its refusals and its failures against the gateway and simulated banks
    #[cfg(feature = "sim")]
    Demo(demo::DemoArgs),
    /// Run a simulated party
    #[cfg(feature = "sim")]
    #[command(subcommand)]
    Sim(sim::SimCommand),
}

impl Command {
    /// The log level where `RUST_LOG` says nothing.
    pub fn log_level(&self) -> LevelFilter {
        match self {
            Self::Run { .. } => LevelFilter::INFO,
            // What they print is the point; the log would stand between its lines.
            _ => LevelFilter::ERROR,
        }
    }
}

/// Why a command could not do its work: a usage or configuration error.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error)
    }
}

/// How a command that judges ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Refused,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Good => Self::SUCCESS,
            Verdict::Refused => Self::from(1),
        }
    }
}

/// Does it.
///
/// # Errors
/// [`Failure`], for exit code 2.
pub fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Run { config, upgrade } => run::run(&config, upgrade),
        Command::Upgrade { config, force } => {
            upgrade::run(&config, force, &mut io::stdout(), &mut io::stderr())
        }
        Command::Check { config } => {
            check::run(&config, &mut io::stdout(), &mut io::stderr()).map(Into::into)
        }
        Command::Diff { config, against, json } => {
            let asked = diff::Asked { config: &config, against: against.as_deref(), json };
            diff::run(&asked, &mut io::stdout(), &mut io::stderr()).map(Into::into)
        }
        #[cfg(feature = "sim")]
        Command::Demo(args) => demo::run(&args, &mut io::stdout()).map(Into::into),
        #[cfg(feature = "sim")]
        Command::Sim(command) => sim::run(command, &mut io::stdout()).map(Into::into),
    }
}
