//! Warns where clients share the hub's registration at a bank, and whose a token is is not certain.
//!
//! This file decides what is worth a warning. It must not know how owners are remembered.

use std::collections::HashMap;
use std::sync::Arc;

use super::page::{Page, Span, Wrong};
use super::table::{Client, Target, TargetSet, UnknownTokens};
use crate::ids::{ClientId, TargetId};

/// Clients by where they may go.
pub(super) struct Reach<'c> {
    everywhere: Vec<&'c Client>,
    to: HashMap<&'c TargetId, Vec<&'c Client>>,
    /// Whether owners are remembered over restarts.
    durable: bool,
}

impl<'c> Reach<'c> {
    pub(super) fn of(clients: &'c HashMap<ClientId, Arc<Client>>, durable: bool) -> Self {
        let mut reach = Self { everywhere: Vec::new(), to: HashMap::new(), durable };
        let mut clients: Vec<_> = clients.values().collect();
        clients.sort_by(|left, right| left.id.cmp(&right.id));
        for client in clients {
            match &client.targets {
                TargetSet::All => reach.everywhere.push(client),
                TargetSet::Only(targets) => {
                    for target in targets {
                        reach.to.entry(target).or_default().push(client);
                    }
                }
            }
        }
        reach
    }

    /// Warns about one target, at the place of its id.
    pub(super) fn check(&self, page: &Page<'_>, span: Span, target: &Target) {
        let there = self.to.get(&target.id).into_iter().flatten();
        let sharing = there.chain(&self.everywhere).map(|client| &client.id);
        let sharing = sharing.filter(|client| target.dialect.shares_registration(client));
        let mut sharing: Vec<_> = sharing.take(SHOWN + 1).map(ClientId::as_str).collect();
        if sharing.len() < 2 {
            return;
        }
        sharing.sort_unstable();
        let more = if sharing.len() > SHOWN { ", …" } else { "" };
        sharing.truncate(SHOWN);
        let names = sharing.join(", ");
        let who = format!("clients share the hub's registration at this bank ({names}{more})");
        let policy = target.translation.unknown_tokens;
        let wrong = if policy == UnknownTokens::Pass {
            let what = format!(
                "{who}, and a token that nobody is known to have got passes for any of them"
            );
            Wrong::new(what)
                .right("no `unknown_tokens = \"pass\"`, or a registration for each client")
        } else if !self.durable {
            let what = format!("{who}, and whose a token is is forgotten at a restart");
            Wrong::new(what)
                .right("`gateway.state_dir`, or a registration for each client (`clients`)")
        } else {
            return;
        };
        page.warn(span, wrong);
    }
}

/// Most clients that are named.
const SHOWN: usize = 4;
