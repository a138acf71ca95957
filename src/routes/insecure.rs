//! The insecure switches that a table has on, each in a sentence for the log.
//!
//! This file decides what counts as insecure. It must not know where the sentences go.

use super::table::{RouteTable, Scheme, Target};

/// Most targets that one sentence names.
const NAMED_MAX: usize = 5;

impl RouteTable {
    /// A sentence for each insecure switch that is on and has an effect; said at each start.
    pub fn insecure_switches(&self) -> Vec<String> {
        let mut switches = Vec::new();
        for listen in self.gateway.listen.iter().filter(|listen| !listen.tls) {
            switches.push(format!(
                "insecure_plain_listen: {} takes calls without TLS; tokens can be read on the way",
                listen.address
            ));
        }
        if self.gateway.insecure_header_identity {
            switches.push(
                "insecure_header_identity: a caller without a certificate is believed to be the \
                 client that it says it is"
                    .to_owned(),
            );
        }
        let admin = self.gateway.admin.address;
        if !admin.ip().is_loopback() {
            switches.push(format!(
                "insecure_public_admin: the admin listener at {admin} is open to whoever can \
                 reach it"
            ));
        }
        switches.extend(self.plain_upstreams());
        switches
    }

    fn plain_upstreams(&self) -> Option<String> {
        let is_plain = |target: &Target| {
            let mut origins = target.upstream.iter().chain(&target.auth_upstream);
            origins.any(|origin| origin.scheme == Scheme::Http)
        };
        let mut plain: Vec<&str> = self
            .targets
            .values()
            .filter(|target| is_plain(target))
            .map(|target| target.id.as_str())
            .collect();
        plain.sort_unstable();
        let count = plain.len();
        plain.truncate(NAMED_MAX);
        let more = if count > NAMED_MAX { ", …" } else { "" };
        (count > 0).then(|| {
            let names = plain.join(", ");
            format!("insecure_plain_upstream: {count} of the targets without TLS: {names}{more}")
        })
    }
}
