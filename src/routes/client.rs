//! Reads `[[client]]`: who may call, with which certificates, where to, how often.
//!
//! This file decides that an id and a certificate belong to one client. It must not know how a
//! caller is recognised.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use super::grammar::{self, Rate};
use super::page::{At, Wrong};
use super::reader::{Reader, shorten};
use super::reference;
use super::table::{Client, ClientStatus, Quota, TargetSet};
use crate::fault::Name;
use crate::ids::{ClientId, Fingerprint, TargetId};

/// Most certificates of one client.
const CERTIFICATES_MAX: usize = 16;
/// Most redirection URIs, or other ids, of one client.
const LISTED_MAX: usize = 64;

/// What the clients' tables say, and which targets they name.
#[derive(Default)]
pub(super) struct Clients {
    pub(super) clients: HashMap<ClientId, Arc<Client>>,
    pub(super) certificates: HashMap<Fingerprint, Arc<Client>>,
    /// Each mention of a target. Whether it exists is known when all files have been read.
    pub(super) mentions: Vec<At<TargetId>>,
}

/// Reads every `[[client]]`. What it returns counts only where no error was reported.
pub(super) fn read_all(root: &Reader<'_>, header_identity: bool) -> Clients {
    let mut all = Clients::default();
    let mut owners: HashMap<Fingerprint, Option<ClientId>> = HashMap::new();
    for section in root.tables("client", &reference::CLIENT) {
        section.require("id", "\"CIDX0000000001\"");
        let id = section.parse("id", parse_client_id);
        if let Some(id) = id.as_ref().filter(|id| all.clients.contains_key(&id.value)) {
            let what = format!("two clients have the id `{}`", id.value);
            section.page.error(id.span, Wrong::new(what).right("an id of its own for each"));
        }
        let certificates = read_certificates(&section, header_identity);
        for certificate in &certificates {
            // Claimed even by a client whose entry is wrong otherwise.
            let claim = id.as_ref().map(|id| id.value.clone());
            let Some(other) = owners.insert(certificate.value, claim) else { continue };
            let other = other.map_or_else(|| "another client".to_owned(), |id| format!("`{id}`"));
            let what = format!("{other} has this certificate, too");
            let right = "a certificate belongs to one client";
            section.page.error(certificate.span, Wrong::new(what).right(right));
        }
        let Some(client) = read(&section, id, &certificates, &mut all.mentions) else { continue };
        let client = Arc::new(client);
        for certificate in &client.certificates {
            all.certificates.insert(*certificate, Arc::clone(&client));
        }
        all.clients.insert(client.id.clone(), client);
    }
    all
}

fn read(
    section: &Reader<'_>,
    id: Option<At<ClientId>>,
    certificates: &[At<Fingerprint>],
    mentions: &mut Vec<At<TargetId>>,
) -> Option<Client> {
    let name = section.parse("name", grammar::parse_name).map(|name| name.value);
    let targets = read_targets(section, mentions);
    let default_target = section.parse("default_target", parse_target_id);
    if let Some(target) = &default_target {
        if !targets.allows(&target.value) {
            let what = format!(
                "`default_target` is not one of this client's `targets`: `{}`",
                target.value
            );
            section.page.error(target.span, Wrong::new(what).right("add it to `targets`"));
        } else if targets == TargetSet::All {
            mentions.push(target.clone());
        }
    }
    let status = match section.choice("status") {
        Some("suspended") => ClientStatus::Suspended,
        _ => ClientStatus::Active,
    };
    Some(Client {
        name,
        certificates: certificates.iter().map(|certificate| certificate.value).collect(),
        targets,
        default_target: default_target.map(|target| target.value),
        status,
        limit: read_quota(section, "limit"),
        target_limit: read_quota(section, "target_limit"),
        redirect_uris: read_list(section, "redirect_uris", grammar::parse_redirect_uri),
        native_client_ids: read_list(section, "native_client_ids", grammar::parse_native_client_id),
        username_on_refresh_optional: section.choice("username_on_refresh") == Some("optional"),
        id: id?.value,
    })
}

/// A list of texts, each of which is right.
fn read_list(
    section: &Reader<'_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<Name, Wrong>,
) -> Vec<Name> {
    let texts = section.texts(key);
    if texts.len() > LISTED_MAX {
        let what = format!("`{key}` has {} entries", texts.len());
        let right = format!("at most {LISTED_MAX}");
        section.page.error(section.key_span(key), Wrong::new(what).right(right));
        return Vec::new();
    }
    let parsed = texts.into_iter().filter_map(|text| section.parsed(text, &parse));
    parsed.map(|text| text.value).collect()
}

fn read_certificates(section: &Reader<'_>, header_identity: bool) -> Vec<At<Fingerprint>> {
    let texts = section.texts("certificates");
    if texts.len() > CERTIFICATES_MAX {
        let what = format!("{} certificates for one client", texts.len());
        let right = format!("at most {CERTIFICATES_MAX}");
        section.page.error(section.key_span("certificates"), Wrong::new(what).right(right));
    }
    if texts.is_empty() && !header_identity {
        let what = "a client without certificates can never call";
        let right = "add `certificates = [\"sha256:…\"]`: `openssl x509 -noout -fingerprint \
                     -sha256 -in client.pem`";
        let span = section.key_span("certificates");
        section.page.error(span, Wrong::new(what).right(right));
    }
    let mut certificates: Vec<At<Fingerprint>> = Vec::new();
    for text in texts {
        let resolve = |text: &str| {
            // By reference, too: whoever issues certificates can write their fingerprints.
            let text = section
                .page
                .references()
                .resolve(text)
                .map_err(|what| Wrong::new(what).right("`${file:path}`, or `sha256:…`"))?;
            parse_fingerprint(text.expose())
        };
        let Some(certificate) = section.parsed(text, resolve) else { continue };
        if certificates.iter().any(|other| other.value == certificate.value) {
            let what = "this certificate is listed twice";
            section.page.error(certificate.span, Wrong::new(what).right("take one out"));
            continue;
        }
        certificates.push(certificate);
    }
    certificates
}

fn read_targets(section: &Reader<'_>, mentions: &mut Vec<At<TargetId>>) -> TargetSet {
    section.require("targets", "[\"*\"]");
    let texts = section.texts("targets");
    if let [only] = texts.as_slice()
        && only.value == "*"
    {
        return TargetSet::All;
    }
    if texts.is_empty() && section.has("targets") {
        let what = "a client without targets can call nobody";
        let right = "`[\"*\"]` for all, or the ids of those it may call";
        section.page.error(section.key_span("targets"), Wrong::new(what).right(right));
    }
    let mut targets = HashSet::new();
    for text in texts {
        if text.value == "*" {
            let what = "`*` stands for all targets, and others are listed beside it";
            section.page.error(text.span, Wrong::new(what).right("`[\"*\"]`, or the ids alone"));
            continue;
        }
        let Some(target) = section.parsed(text, parse_target_id) else { continue };
        if !targets.insert(target.value.clone()) {
            let what = format!("the target `{}` is listed twice", target.value);
            section.page.error(target.span, Wrong::new(what).right("take one out"));
        }
        mentions.push(target);
    }
    TargetSet::Only(targets)
}

/// Reads a quota: `{ rate = "50/s", burst = 100, shadow = false }`.
pub(super) fn read_quota(section: &Reader<'_>, key: &'static str) -> Option<Quota> {
    let quota = section.table(key, &reference::LIMIT)?;
    quota.require("rate", "\"50/s\"");
    let rate = quota.parse("rate", grammar::parse_rate);
    let burst = quota.count("burst").and_then(|burst| u32::try_from(burst.value).ok());
    let shadow = quota.flag("shadow");
    let Rate { calls, period } = rate?.value;
    let burst = burst.and_then(NonZeroU32::new);
    Some(Quota {
        rate: calls,
        period,
        burst: burst.unwrap_or_else(|| Rate { calls, period }.burst()),
        shadow,
    })
}

/// Parses a target id as it stands in the file.
pub(super) fn parse_target_id(text: &str) -> Result<TargetId, Wrong> {
    TargetId::parse(text).map_err(|_| malformed_id("target", text))
}

pub(super) fn parse_client_id(text: &str) -> Result<ClientId, Wrong> {
    ClientId::parse(text).map_err(|_| malformed_id("client", text))
}

fn malformed_id(party: &str, text: &str) -> Wrong {
    Wrong::new(format!("`{}` is no {party} id", shorten(text)))
        .right("1 to 30 of the characters `A-Z a-z 0-9 . _ -`")
}

fn parse_fingerprint(text: &str) -> Result<Fingerprint, Wrong> {
    Fingerprint::parse(text).map_err(|_| {
        Wrong::new("this is no certificate fingerprint").right(
            "`sha256:` and 64 hexadecimal digits, colons between them allowed, as `openssl x509 \
             -noout -fingerprint -sha256` prints them",
        )
    })
}
