//! Where a simulated party listens, and how, as every `corgate sim` spells it.
//!
//! This file decides that. It must not know who listens.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::cli::Failure;
use crate::sim::server::{JOURNAL_MAX, Listening, ServerTls};

/// Where and how.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("transport").required(true).args(["tls_dir", "plain"])))]
pub(super) struct Place {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7443")]
    listen: SocketAddr,
    /// Folder with NAME.pem, NAME.key and hub-ca.pem: mutual TLS
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<PathBuf>,
    /// Plain HTTP, without TLS
    #[arg(long)]
    plain: bool,
    /// Its name, in the files of --tls-dir
    #[arg(long, default_value = "alpine")]
    name: String,
    /// Where /__sim/requests and /__sim/reset are served, in plain HTTP; loopback only
    #[arg(long, value_name = "ADDRESS")]
    control: Option<SocketAddr>,
    /// How many requests it remembers; 0 for a load test
    #[arg(long, value_name = "REQUESTS", default_value_t = JOURNAL_MAX)]
    journal: usize,
}

impl Place {
    /// `http` or `https`.
    pub(super) const fn scheme(&self) -> &'static str {
        if self.plain { "http" } else { "https" }
    }

    /// The same for the server; reads the certificates.
    pub(super) fn listening(&self) -> Result<Listening, Failure> {
        let tls = |folder: &PathBuf| {
            let file = |suffix: &str| folder.join(format!("{}.{suffix}", self.name));
            ServerTls::from_files(&file("pem"), &file("key"), &folder.join("hub-ca.pem"))
                .map_err(Failure::new)
        };
        let tls = self.tls_dir.as_ref().map(tls).transpose()?;
        let (address, control, journal_max) = (self.listen, self.control, self.journal);
        Ok(Listening { address, tls, control, journal_max })
    }
}
