//! `corgate sim oauth2` and `corgate sim flinks`: banks that do not speak bLink.
//!
//! This file decides how they are spelled on the command line. It must not know how they behave.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::Failure;
use crate::sim::flinks::{Flinks, FlinksConfig};
use crate::sim::oauth2::{OAuth2Bank, OAuth2Config};
use crate::sim::server::{JOURNAL_MAX, Listening, ServerTls};

/// How a simulated bank listens.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("transport").required(true).args(["tls_dir", "plain"])))]
pub(super) struct ListenArgs {
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
    /// Its tokens follow from this number
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    /// How many requests it remembers; 0 for a load test
    #[arg(long, value_name = "REQUESTS", default_value_t = JOURNAL_MAX)]
    journal: usize,
}

/// A simulated bank that speaks OAuth 2.0.
#[derive(Debug, clap::Args)]
pub struct OAuth2Args {
    #[command(flatten)]
    listen: ListenArgs,
    /// The client that it knows
    #[arg(long, value_name = "ID", default_value = "hub")]
    client_id: String,
    /// That client's secret, made up for this bank
    #[arg(long, value_name = "TEXT", default_value = "hub-secret")]
    client_secret: String,
    /// A refresh token stays good when it is used
    #[arg(long)]
    no_rotation: bool,
    /// Milliseconds that it thinks about a token call
    #[arg(long, value_name = "MS", default_value_t = 0)]
    think: u64,
}

/// A simulated Flinks.
#[derive(Debug, clap::Args)]
pub struct FlinksArgs {
    #[command(flatten)]
    listen: ListenArgs,
    /// The recipient that it knows
    #[arg(long, value_name = "ID", default_value = "dc-hub")]
    client_id: String,
    /// That recipient's secret, made up for this bank
    #[arg(long, value_name = "TEXT", default_value = "dc-secret")]
    client_secret: String,
}

impl ListenArgs {
    /// `http` or `https`.
    pub(super) fn scheme(&self) -> &'static str {
        if self.plain { "http" } else { "https" }
    }

    pub(super) fn listening(&self) -> Result<Listening, Failure> {
        let tls = match &self.tls_dir {
            None => None,
            Some(folder) => {
                let file = |ending: &str| folder.join(format!("{}.{ending}", self.name));
                let hub_ca = folder.join("hub-ca.pem");
                let tls = ServerTls::from_files(&file("pem"), &file("key"), &hub_ca);
                Some(tls.map_err(Failure::new)?)
            }
        };
        let (address, control) = (self.listen, self.control);
        Ok(Listening { address, tls, control, journal_max: self.journal })
    }
}

impl OAuth2Args {
    pub(super) fn start(self) -> Result<(OAuth2Bank, &'static str), Failure> {
        let bank = OAuth2Bank::start(OAuth2Config {
            client_id: self.client_id,
            client_secret: Some(self.client_secret),
            rotates: !self.no_rotation,
            think: Duration::from_millis(self.think),
            seed: self.listen.seed,
            ..OAuth2Config::new(self.listen.listening()?)
        })?;
        Ok((bank, self.listen.scheme()))
    }
}

impl FlinksArgs {
    pub(super) fn start(self) -> Result<(Flinks, &'static str), Failure> {
        let flinks = Flinks::start(FlinksConfig {
            client_id: self.client_id,
            client_secret: self.client_secret,
            seed: self.listen.seed,
            ..FlinksConfig::new(self.listen.listening()?)
        })?;
        Ok((flinks, self.listen.scheme()))
    }
}
