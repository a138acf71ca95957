//! Reads `[target.konsentus]`: the hub's credentials as the FI, and the PSPs.
//!
//! This file decides what is accepted there. It must not show a secret, nor know how they are used.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderValue, Method};

use super::credential::{self, parse_pointer};
use super::headers;
use crate::fault::Name;
use crate::ids::ClientId;
use crate::routes::grammar;
use crate::routes::page::Wrong;
use crate::routes::reader::Reader;
use crate::routes::reference::{self, Kind};
use crate::routes::secret::Secret;
use crate::routes::table::dialect::konsentus::{Ccg, CcgFetch, Konsentus};

/// Reads the section of a target whose dialect is `konsentus`.
pub(super) fn read(target: &Reader<'_>) -> Option<Konsentus> {
    target.require("konsentus", "{ basic = \"${env:KONSENTUS_BASIC}\", … }");
    let section = target.table("konsentus", &reference::KONSENTUS)?;
    section.require("basic", "\"${env:KONSENTUS_BASIC}\"");
    section.require("fi_reference_id", "\"PSDGB-FCA-111111\"");
    let basic = credential::read_with(&section, "basic", credential::parse_basic);
    let fi_reference_id = section.parse("fi_reference_id", parse_reference_id);
    let version = section.choice("version").unwrap_or("1");
    let ccg = section.table("ccg", &reference::KONSENTUS_CCG).map(|ccg| read_ccg(&ccg));
    let psp = read_psps(&section);
    if psp.is_empty() && !section.has("ccg") && !section.has("psp") {
        let what = "no client is a PSP there: every call would be refused";
        let right = "a `psp` for each client, or a `ccg` for all of them";
        section.page.error(section.span, Wrong::new(what).right(right));
    }
    Some(Konsentus {
        basic: basic?,
        fi_reference_id: fi_reference_id?.value,
        version: HeaderValue::from_static(version),
        psp,
        ccg: ccg.flatten(),
    })
}

fn read_psps(section: &Reader<'_>) -> HashMap<ClientId, Ccg> {
    let mut psps = HashMap::new();
    for (name, psp) in section.tables_by_name("psp", &reference::KONSENTUS_PSP) {
        psp.require("ccg", "{ token = \"${env:CCG_TOKEN}\" }");
        let ccg = psp.table("ccg", &reference::KONSENTUS_CCG).and_then(|ccg| read_ccg(&ccg));
        let parse = |text: &str| {
            ClientId::parse(text).map_err(|_| {
                Wrong::new("this is no client id").right("the `id` of a `[[client]]`")
            })
        };
        let client = section.parsed(name, parse).map(|client| client.value);
        psps.extend(client.zip(ccg));
    }
    psps
}

fn read_ccg(section: &Reader<'_>) -> Option<Ccg> {
    let token = credential::read_with(section, "token", |token| {
        HeaderValue::from_str(token.expose()).map(|_| token.clone()).map_err(|_| {
            Wrong::new("this token can't stand in a header field").right("visible ASCII")
        })
    });
    let fetch = read_fetch(section);
    if !section.has("token") {
        return fetch.map(|fetch| Ccg::Fetch(Box::new(fetch)));
    }
    for row in section.section.rows.iter().filter(|row| row.key != "token") {
        if section.has(row.key) {
            let what = format!("`{}` has no use beside `token`", row.key);
            let right = "a token that is there, or the way to fetch one";
            section.page.error(section.key_span(row.key), Wrong::new(what).right(right));
        }
    }
    token.map(Ccg::Static)
}

fn read_fetch(section: &Reader<'_>) -> Option<CcgFetch> {
    let parsed = |key, parse: fn(&str) -> Result<Name, Wrong>| match section.has(key) {
        true => section.parse(key, parse).map(|name| name.value),
        false => Some(default_text(section, key)),
    };
    let path = parsed("path", grammar::parse_path);
    let token_pointer = parsed("token_pointer", parse_pointer);
    let expires_pointer = parsed("expires_pointer", parse_pointer);
    let method = match section.choice("method") {
        Some("GET") => Method::GET,
        _ => Method::POST,
    };
    let body = match section.has("body") {
        true => credential::read_template(section, "body"),
        false => Secret::plain(&default_text(section, "body")),
    };
    Some(CcgFetch {
        path: path?,
        method,
        headers: headers::read(section),
        body: body?,
        token_pointer: token_pointer?,
        expires_pointer: expires_pointer?,
        default_ttl: section.time_or_default("default_ttl"),
    })
}

/// The reference's own default of a text, without its quotes.
fn default_text(section: &Reader<'_>, key: &str) -> Name {
    let text = match section.section.row(key).map(|row| row.kind) {
        Some(Kind::Other { default, .. }) => default.trim_matches(['"', '\'']),
        _ => "",
    };
    Arc::from(text)
}

/// "A string representing the FI" (seed), such as `PSDGB-FCA-111111`.
fn parse_reference_id(text: &str) -> Result<HeaderValue, Wrong> {
    let shaped = (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    HeaderValue::from_str(text).ok().filter(|_| shaped).ok_or_else(|| {
        Wrong::new("this is no `fi_reference_id`").right("1 to 100 visible ASCII characters")
    })
}
