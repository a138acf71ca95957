//! The routing table of the demo, written for people to read and to use with `corgate run`.
//!
//! This file decides what the demo's gateway is told. It must not know who listens.

use super::story::{
    ALPINE, BASE_PATH, FJORD, GHOST, LAKESIDE, LEDGER, MAPLE, PENSION, PIGGY, VIGNE, VIGNE_API,
};
use crate::ids::Fingerprint;

/// The ports of loopback that the table names.
pub(super) struct Ports {
    pub(super) gateway: u16,
    pub(super) admin: u16,
    pub(super) alpine: u16,
    pub(super) lakeside: u16,
    pub(super) ghost: u16,
}

/// A client and its certificate.
pub(super) struct ClientEntry {
    pub(super) id: &'static str,
    pub(super) fingerprint: Fingerprint,
}

/// The text of `routes.toml`. File names in it are relative to it.
pub(super) fn text(ports: &Ports, clients: &[ClientEntry]) -> String {
    let clients: String = clients.iter().map(client).collect();
    [head(ports), clients, targets(ports)].concat()
}

fn head(Ports { gateway, admin, .. }: &Ports) -> String {
    format!(
        r#"# Written by `corgate demo`. Loopback alone, development certificates.
# Not for production.

[gateway]
listen = "127.0.0.1:{gateway}"
admin = "127.0.0.1:{admin}"

[gateway.tls]
cert = "edge.pem"
key = "edge.key"
client_ca = "clients-ca.pem"
client_crl = ["clients.crl.pem"]

[gateway.access_log]
path = "access.log"

[[api]]
contract = "blink-fi"
base_path = "{BASE_PATH}"

# What the clients of SIX's hub call: the same banks, by another header set.
[[api]]
contract = "blink-six"
base_path = "/six{BASE_PATH}"

# The systems behind three of the banks, as they are: nothing is translated.
[[api]]
contract = "flinks"
base_path = "/flinks"
target = "{MAPLE}"

[[api]]
contract = "konsentus"
base_path = "/konsentus"
target = "{FJORD}"

# Oxlin has several hosts, and is mounted once for each.
[[api]]
contract = "oxlin"
base_path = "/oxlin/auth"
target = "{VIGNE}"

[[api]]
contract = "oxlin"
base_path = "/oxlin/api"
target = "{VIGNE_API}"
"#
    )
}

fn client(entry: &ClientEntry) -> String {
    let (name, targets, limit) = match entry.id {
        LEDGER => ("Ledger app", "*", r#"{ rate = "50/s", burst = 100 }"#),
        PIGGY => ("Piggy bank app", "*", r#"{ rate = "2/h", burst = 2 }"#),
        PENSION => ("Pension app", ALPINE, r#"{ rate = "50/s", burst = 100 }"#),
        _ => ("", "*", r#"{ rate = "1/s" }"#),
    };
    // Flinks redirects errors of an authorization to these alone.
    let native = match entry.id {
        LEDGER => {
            "redirect_uris = [\"https://app.example/cb\"]\nnative_client_ids = [\"dc-hub\"]\n"
        }
        _ => "",
    };
    let ClientEntry { id, fingerprint } = entry;
    format!(
        r#"
[[client]]
id = "{id}"
name = "{name}"
certificates = ["{fingerprint}"]
targets = ["{targets}"]
limit = {limit}
{native}"#
    )
}

fn targets(Ports { alpine, lakeside, ghost, .. }: &Ports) -> String {
    format!(
        r#"
[target_defaults]
tls = {{ ca = "banks-ca.pem", cert = "hub.pem", key = "hub.key" }}

# By itself: corgate sim blink --tls-dir . --name alpine --listen 127.0.0.1:{alpine}
[[target]]
id = "{ALPINE}"
name = "Alpine Cantonal Bank"
dialect = "blink"
upstream = "https://127.0.0.1:{alpine}"
allow_private_addresses = true
tls = {{ server_name = "alpine.bank.test" }}

# By itself: corgate sim blink --tls-dir . --name lakeside --listen 127.0.0.1:{lakeside} \
#   --base-path /auth
[[target]]
id = "{LAKESIDE}"
name = "Lakeside Bank"
dialect = "blink"
upstream = "https://127.0.0.1:{lakeside}"
allow_private_addresses = true
paths = {{ token = "/auth/token", revoke = "/auth/revoke", username = "/auth/username" }}
tls = {{ server_name = "lakeside.bank.test" }}
timeouts = {{ connect = "1s", first_byte = "1s", total = "1s" }}

# Nobody listens there.
[[target]]
id = "{GHOST}"
name = "Ghost Bank"
dialect = "blink"
upstream = "https://127.0.0.1:{ghost}"
allow_private_addresses = true
"#
    )
}
