//! `corgate sim`: a simulated party in a process of its own.
//!
//! This file decides how one is spelled on the command line. It must not know how it behaves.

mod foreign;
mod konsentus;
mod oxlin;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use self::konsentus::KonsentusArgs;
use self::oxlin::OxlinArgs;
use super::{Failure, Verdict};
use crate::sim::bank::{Bank, BankConfig, BankPaths, Temper};
use crate::sim::server::{JOURNAL_MAX, Listening, ServerTls};

/// Which party.
#[derive(Debug, clap::Subcommand)]
pub enum SimCommand {
    /// A bLink bank (bLink 2.0.15.1-fi, the provider's side)
    Blink(BlinkArgs),
    /// A bank that speaks OAuth 2.0 (RFC 6749, RFC 7009, RFC 7662)
    #[command(name = "oauth2")]
    OAuth2(foreign::OAuth2Args),
    /// Flinks' open banking
    Flinks(foreign::FlinksArgs),
    /// Konsentus: the OBIE token endpoint, and where a ccg_token comes from
    Konsentus(KonsentusArgs),
    /// Oxlin: its authorization server, and the user's entry of its API
    Oxlin(OxlinArgs),
}

/// A simulated bLink bank.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("transport").required(true).args(["tls_dir", "plain"])))]
pub struct BlinkArgs {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7443")]
    listen: SocketAddr,
    /// Folder with NAME.pem, NAME.key and hub-ca.pem: mutual TLS
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<PathBuf>,
    /// Plain HTTP, without TLS
    #[arg(long)]
    plain: bool,
    /// The bank's name, in the files of --tls-dir
    #[arg(long, default_value = "alpine")]
    name: String,
    /// Where /__sim/requests and /__sim/reset are served, in plain HTTP; loopback only
    #[arg(long, value_name = "ADDRESS")]
    control: Option<SocketAddr>,
    /// What stands before /token, /revoke and /username
    #[arg(long, value_name = "PATH", default_value = "/oauth")]
    base_path: String,
    /// What kind of bank it is
    #[arg(long, value_enum, default_value = "correct")]
    temper: TemperName,
    /// Its tokens follow from this number
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many requests it remembers; 0 for a load test
    #[arg(long, value_name = "REQUESTS", default_value_t = JOURNAL_MAX)]
    journal: usize,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum TemperName {
    /// As the seed and RFC 6749 say
    Correct,
    /// A second consent of a user ends the first
    OneConsent,
    /// The first refresh of a consent is carried out, and answered with 504
    LosesRefresh,
}

impl From<TemperName> for Temper {
    fn from(name: TemperName) -> Self {
        match name {
            TemperName::Correct => Self::Correct,
            TemperName::OneConsent => Self::OneConsent,
            TemperName::LosesRefresh => Self::LosesRefresh,
        }
    }
}

/// Runs the party until Ctrl-C.
pub(super) fn run(command: SimCommand, out: &mut dyn Write) -> Result<Verdict, Failure> {
    match command {
        SimCommand::Blink(args) => {
            let scheme = if args.plain { "http" } else { "https" };
            let bank = Bank::start(config(&args)?)?;
            let place = format!("bLink bank on {scheme}://{}", bank.address());
            wait(bank.control(), &place, out)
        }
        SimCommand::OAuth2(args) => {
            let (bank, scheme) = args.start()?;
            let place = format!("OAuth 2.0 bank on {scheme}://{}", bank.address());
            wait(bank.control(), &place, out)
        }
        SimCommand::Flinks(args) => {
            let (bank, scheme) = args.start()?;
            let place = format!("Flinks on {scheme}://{}", bank.address());
            wait(bank.control(), &place, out)
        }
        SimCommand::Konsentus(args) => {
            let (party, scheme) = args.start()?;
            let place = format!("Konsentus on {scheme}://{}", party.address());
            wait(party.control(), &place, out)
        }
        SimCommand::Oxlin(args) => {
            let (party, scheme) = args.start()?;
            let place = format!("Oxlin on {scheme}://{}", party.address());
            wait(party.control(), &place, out)
        }
    }
}

/// Says where the party is, and lets it run.
fn wait(control: Option<SocketAddr>, place: &str, out: &mut dyn Write) -> Result<Verdict, Failure> {
    writeln!(out, "{place}")?;
    if let Some(control) = control {
        writeln!(out, "what it received: http://{control}/__sim/requests")?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::signal::ctrl_c())?;
    Ok(Verdict::Good)
}

fn config(args: &BlinkArgs) -> Result<BankConfig, Failure> {
    let tls = match &args.tls_dir {
        None => None,
        Some(folder) => {
            let file = |name: &str| folder.join(name);
            let (cert, key) =
                (file(&format!("{}.pem", args.name)), file(&format!("{}.key", args.name)));
            let tls = ServerTls::from_files(&cert, &key, &file("hub-ca.pem"));
            Some(tls.map_err(Failure::new)?)
        }
    };
    let listening =
        Listening { address: args.listen, tls, control: args.control, journal_max: args.journal };
    Ok(BankConfig {
        paths: BankPaths::below(&args.base_path),
        temper: args.temper.into(),
        seed: args.seed,
        ..BankConfig::new(listening)
    })
}
