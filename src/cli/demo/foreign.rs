//! The demo's banks that do not speak bLink.
//!
//! This file decides who they are and what the table says of them. It must not know what they are
//! asked.

use std::fs;
use std::path::Path;

use super::story::{FJORD, HARBOUR, LEDGER, MAPLE, VIGNE, VIGNE_API};
use crate::cli::Failure;
use crate::sim::flinks::{Flinks, FlinksConfig};
use crate::sim::konsentus::{Konsentus, KonsentusConfig, STUB_BASIC};
use crate::sim::oauth2::{OAuth2Bank, OAuth2Config};
use crate::sim::oxlin::{self, Oxlin, OxlinConfig};
use crate::sim::pki::DevPki;
use crate::sim::server::{Listening, ServerTls};

/// All of them.
pub(super) struct ForeignBanks {
    harbour: OAuth2Bank,
    maple: Flinks,
    fjord: Konsentus,
    vigne: Oxlin,
}

impl ForeignBanks {
    /// Starts them, and writes their certificates and the hub's secrets into `folder`.
    pub(super) fn start(pki: &DevPki, folder: &Path) -> Result<Self, Failure> {
        let harbour = OAuth2Config::new(listening(pki, folder, "harbour")?);
        let maple = FlinksConfig::new(listening(pki, folder, "maple")?);
        let secret = harbour.client_secret.clone().unwrap_or_default();
        fs::write(folder.join("harbour.secret"), secret)?;
        fs::write(folder.join("maple.secret"), &maple.client_secret)?;
        fs::write(folder.join("fjord.basic"), STUB_BASIC)?;
        fs::write(folder.join("fjord.eidas"), "certificate-of-the-psp")?;
        fs::write(folder.join("vigne.secret"), oxlin::CLIENT_SECRET)?;
        Ok(Self {
            harbour: OAuth2Bank::start(harbour)?,
            maple: Flinks::start(maple)?,
            fjord: Konsentus::start(KonsentusConfig::new(listening(pki, folder, "fjord")?))?,
            vigne: Oxlin::start(OxlinConfig::new(listening(pki, folder, "vigne")?))?,
        })
    }

    /// How many requests they have received.
    pub(super) fn received(&self) -> usize {
        let one = self.harbour.requests().len() + self.maple.requests().len();
        one + self.fjord.requests().len() + self.vigne.requests().len()
    }

    /// Their part of `routes.toml`.
    pub(super) fn targets(&self) -> String {
        [self.spoken_alike(), self.spoken_otherwise()].concat()
    }

    fn spoken_otherwise(&self) -> String {
        let (fjord, vigne) = (self.fjord.address().port(), self.vigne.address().port());
        format!(
            r#"
# By itself: corgate sim konsentus --tls-dir . --name fjord --listen 127.0.0.1:{fjord}
[[target]]
id = "{FJORD}"
name = "Fjord Bank"
dialect = "konsentus"
upstream = "https://127.0.0.1:{fjord}"
allow_private_addresses = true
tls = {{ server_name = "fjord.bank.test" }}
[target.konsentus]
basic = "${{file:fjord.basic}}"
fi_reference_id = "PSDGB-FCA-111111"
psp = {{ {LEDGER} = {{ ccg = {{ headers = {{ eidas = "${{file:fjord.eidas}}" }} }} }} }}

# By itself: corgate sim oxlin --tls-dir . --name vigne --listen 127.0.0.1:{vigne}
[[target]]
id = "{VIGNE}"
name = "Vigne Bank"
dialect = "oxlin"
upstream = "https://127.0.0.1:{vigne}"
auth_upstream = "https://127.0.0.1:{vigne}"
allow_private_addresses = true
tls = {{ server_name = "vigne.bank.test" }}
[target.oxlin]
client_id = "oxlin-hub"
client_secret = "${{file:vigne.secret}}"
username = "profile"

# The same system, for calls in its own words.
[[target]]
id = "{VIGNE_API}"
name = "Vigne Bank (Oxlin's API)"
upstream = "https://127.0.0.1:{vigne}"
base_path = "/v2.1"
allow_private_addresses = true
tls = {{ server_name = "vigne.bank.test" }}
"#
        )
    }

    fn spoken_alike(&self) -> String {
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
