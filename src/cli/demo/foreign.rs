//! The demo's banks that do not speak bLink.
//!
//! This file decides who they are and what the table says of them. It must not know what they are
//! asked.

use std::fs;
use std::path::Path;

use super::story::{HARBOUR, MAPLE};
use crate::cli::Failure;
use crate::sim::flinks::{Flinks, FlinksConfig};
use crate::sim::oauth2::{OAuth2Bank, OAuth2Config};
use crate::sim::pki::DevPki;
use crate::sim::server::{Listening, ServerTls};

/// All of them.
pub(super) struct ForeignBanks {
    harbour: OAuth2Bank,
    maple: Flinks,
}

impl ForeignBanks {
    /// Starts them, and writes their certificates and the hub's secrets into `folder`.
    pub(super) fn start(pki: &DevPki, folder: &Path) -> Result<Self, Failure> {
        let harbour = OAuth2Config::new(listening(pki, folder, "harbour")?);
        let maple = FlinksConfig::new(listening(pki, folder, "maple")?);
        let secret = harbour.client_secret.clone().unwrap_or_default();
        fs::write(folder.join("harbour.secret"), secret)?;
        fs::write(folder.join("maple.secret"), &maple.client_secret)?;
        Ok(Self { harbour: OAuth2Bank::start(harbour)?, maple: Flinks::start(maple)? })
    }

    /// How many requests they have received.
    pub(super) fn received(&self) -> usize {
        self.harbour.requests().len() + self.maple.requests().len()
    }

    /// Their part of `routes.toml`.
    pub(super) fn targets(&self) -> String {
        let (harbour, maple) = (self.harbour.address().port(), self.maple.address().port());
        format!(
            r#"
# By itself: corgate sim oauth2 --tls-dir . --name harbour --listen 127.0.0.1:{harbour}
[[target]]
id = "{HARBOUR}"
name = "Harbour Bank"
dialect = "oauth2"
upstream = "https://127.0.0.1:{harbour}"
allow_private_addresses = true
rotates_refresh_tokens = true
tls = {{ server_name = "harbour.bank.test" }}
[target.oauth2]
client_id = "hub"
client_secret = "${{file:harbour.secret}}"
username = "introspection"

# By itself: corgate sim flinks --tls-dir . --name maple --listen 127.0.0.1:{maple}
[[target]]
id = "{MAPLE}"
name = "Maple Credit Union"
dialect = "flinks"
upstream = "https://127.0.0.1:{maple}"
allow_private_addresses = true
tls = {{ server_name = "maple.bank.test" }}
[target.flinks]
client_id = "dc-hub"
client_secret = "${{file:maple.secret}}"
"#
        )
    }
}

fn listening(pki: &DevPki, folder: &Path, name: &str) -> Result<Listening, Failure> {
    let identity = pki.bank(name).map_err(Failure::new)?;
    identity.write(folder, name).map_err(Failure::new)?;
    let tls = ServerTls::mutual(&identity, pki.hub_ca.cert()).map_err(Failure::new)?;
    Ok(Listening::tls(tls))
}
