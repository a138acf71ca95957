//! Reads `[target.konsentus]`: the hub's credentials as the FI, and the PSPs.
//!
//! This file decides what is accepted there. It must not show a secret, nor know how one is used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};

use super::{basic, read_time};
use crate::fault::Name;
use crate::ids::ClientId;
use crate::routes::Secret;
use crate::routes::client::parse_client_id;
use crate::routes::grammar;
use crate::routes::page::Wrong;
use crate::routes::reader::Reader;
use crate::routes::reference::{self, CCG_BODY};
use crate::routes::table::Dialect;
use crate::routes::table::dialect::{Ccg, CcgFetch, Konsentus};
use crate::routes::target::headers;

/// How long a token may be kept whose answer does not say how long it lives.
const TTL: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(24 * 3_600)];

/// Reads the table.
pub(super) fn read(section: &Reader<'_>) -> Option<Dialect> {
    section.require("basic", "\"${env:KONSENTUS_BASIC}\"");
    section.require("fi_reference_id", "\"PSDGB-FCA-111111\"");
    let basic = read_basic(section);
    let fi_reference_id = section.parse("fi_reference_id", parse_reference_id);
    let version = section.choice("version").unwrap_or("1");
    let ccg = section.table("ccg", &reference::KONSENTUS_CCG).and_then(|ccg| read_ccg(&ccg));
    let psp = read_psps(section);
    if !section.has("ccg") && !section.has("psp") {
        let what = "no client is a PSP there: every call would be refused";
        let right = "add `psp = { CLIENT = { ccg = { … } } }`, or one `ccg` for all clients";
        section.page.error(section.span, Wrong::new(what).right(right));
    }
    Some(Dialect::Konsentus(Box::new(Konsentus {
        basic: basic?,
        fi_reference_id: fi_reference_id?.value,
        version: HeaderValue::from_static(version),
        psp,
        ccg,
    })))
}

fn read_basic(section: &Reader<'_>) -> Option<HeaderValue> {
    let value = basic::parse(&section.secret("basic")?);
    if value.is_none() {
        let what = "`basic` refers to no credential for Basic";
        let right = "`client:password`, or the same in base64, without `Basic`";
        section.page.error(section.key_span("basic"), Wrong::new(what).right(right));
    }
    value
}

fn read_psps(section: &Reader<'_>) -> HashMap<ClientId, Ccg> {
    let mut psps = HashMap::new();
    for (client, psp) in section.named_tables("psp", &reference::KONSENTUS_PSP) {
        psp.require("ccg", "{ token = \"${env:CCG_TOKEN}\" }");
        let ccg = psp.table("ccg", &reference::KONSENTUS_CCG).and_then(|ccg| read_ccg(&ccg));
        let client = section.parsed(client, parse_client_id).map(|client| client.value);
        psps.extend(client.zip(ccg));
    }
    psps
}

fn read_ccg(section: &Reader<'_>) -> Option<Ccg> {
    let token = section.secret("token");
    let fetch = read_fetch(section);
    if !section.has("token") {
        return fetch.map(|fetch| Ccg::Fetch(Box::new(fetch)));
    }
    for row in section.section.rows.iter().filter(|row| row.key != "token") {
        if section.has(row.key) {
            let what = format!("`{}` has no use beside `token`", row.key);
            let right = "the token, or the way to fetch one";
            section.page.error(section.key_span(row.key), Wrong::new(what).right(right));
        }
    }
    let token = token?;
    if HeaderValue::from_str(token.expose()).is_err() {
        let what = "`token` refers to what can't stand in a header field";
        let span = section.key_span("token");
        section.page.error(span, Wrong::new(what).right("visible ASCII characters"));
    }
    Some(Ccg::Static(token))
}

fn read_fetch(section: &Reader<'_>) -> Option<CcgFetch> {
    let path = section.parse("path", grammar::parse_path).map(|path| path.value);
    let pointer = |key, default: &str| {
        let read = section.parse(key, parse_pointer).map(|pointer| pointer.value);
        read.unwrap_or_else(|| Arc::from(default))
    };
    let method = match section.choice("method") {
        Some("GET") => Method::GET,
        _ => Method::POST,
    };
    Some(CcgFetch {
        path: path.unwrap_or_else(|| Arc::from("/v1/oauth2/tokens")),
        method,
        headers: headers::read(section),
        body: read_body(section)?,
        token_pointer: pointer("token_pointer", "/data/access_token"),
        expires_pointer: pointer("expires_pointer", "/data/expires_in"),
        default_ttl: read_time(section, "default_ttl", TTL)
            .map_or(Duration::from_secs(300), |time| time.value),
    })
}

/// The body may hold secrets among other things, as the fields may: by reference.
fn read_body(section: &Reader<'_>) -> Option<Secret> {
    let written = section.template("body");
    if section.has("body") {
        return written;
    }
    section.page.references().resolve(CCG_BODY).ok()
}

/// A JSON pointer (RFC 6901).
fn parse_pointer(text: &str) -> Result<Name, Wrong> {
    let tildes = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    if text.starts_with('/') && text.len() <= 200 && tildes {
        return Ok(Arc::from(text));
    }
    Err(Wrong::new("this is no JSON pointer").right("one of RFC 6901: `/data/access_token`"))
}

/// "A string representing the FI" (seed), such as `PSDGB-FCA-111111`.
fn parse_reference_id(text: &str) -> Result<HeaderValue, Wrong> {
    let shaped = (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    HeaderValue::from_str(text).ok().filter(|_| shaped).ok_or_else(|| {
        Wrong::new("this is no `fi_reference_id`").right("1 to 100 visible ASCII characters")
    })
}
