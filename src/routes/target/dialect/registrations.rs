//! Reads what the hub and its clients are at a bank.
//!
//! This file decides which of id and secret must be there. It must not show a secret.

use crate::routes::client::parse_client_id;
use crate::routes::grammar;
use crate::routes::page::Wrong;
use crate::routes::reader::Reader;
use crate::routes::reference;
use crate::routes::table::dialect::{Registration, Registrations};

/// Reads `client_id`, `client_secret` and `clients`. `wants_secret` says whether an id is of use
/// without its secret.
pub(super) fn read(section: &Reader<'_>, wants_secret: bool) -> Registrations {
    let shared = read_one(section, wants_secret);
    let mut registrations = Registrations { shared, ..Registrations::default() };
    for (client, table) in section.named_tables("clients", &reference::REGISTRATION) {
        table.require("client_id", "\"…\"");
        let registration = read_one(&table, wants_secret);
        let client = section.parsed(client, parse_client_id);
        if let (Some(client), Some(registration)) = (client, registration) {
            registrations.own.insert(client.value, registration);
        }
    }
    if !section.has("client_id") && !section.has("clients") {
        let what = "the hub has no `client_id` at this bank, for all its clients or for one";
        let right = "add `client_id = \"…\"`, or `clients = { CLIENT = { client_id = \"…\" } }`";
        section.page.error(section.span, Wrong::new(what).right(right));
    }
    registrations.compared()
}

fn read_one(section: &Reader<'_>, wants_secret: bool) -> Option<Registration> {
    let client_id = section.parse("client_id", grammar::parse_name);
    let client_secret = section.secret("client_secret");
    match (section.has("client_id"), section.has("client_secret")) {
        (true, false) if wants_secret => {
            let what = "`client_id` has no `client_secret` with it";
            let right = "add `client_secret = \"${env:NAME}\"`";
            section.page.error(section.key_span("client_id"), Wrong::new(what).right(right));
        }
        (_, true) if !wants_secret => {
            let what = "`client_secret` has no use: the hub does not authenticate by one";
            let right = "take it out";
            section.page.error(section.key_span("client_secret"), Wrong::new(what).right(right));
        }
        (false, true) => {
            let what = "`client_secret` has no `client_id` with it";
            let right = "add `client_id = \"…\"`";
            section.page.error(section.key_span("client_secret"), Wrong::new(what).right(right));
        }
        _ => {}
    }
    Some(Registration { client_id: client_id?.value, client_secret })
}
