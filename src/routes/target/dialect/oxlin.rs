//! Reads `[target.oxlin]`: the hub's credentials there, and how much of bLink is served.
//!
//! This file decides what is accepted there. It must not show a secret, nor know how they are used.

use super::credential::{self, parse_pointer};
use crate::routes::grammar;
use crate::routes::page::Wrong;
use crate::routes::reader::Reader;
use crate::routes::reference;
use crate::routes::table::dialect::oxlin::{Oxlin, Profile};

/// Reads the section of a target whose dialect is `oxlin`. `auth_upstream` is the target's.
pub(super) fn read(target: &Reader<'_>) -> Option<Oxlin> {
    target.require("oxlin", "{ client_id = \"…\", client_secret = \"${env:OXLIN_SECRET}\" }");
    let section = target.table("oxlin", &reference::OXLIN)?;
    section.require("client_id", "\"…\"");
    section.require("client_secret", "\"${env:OXLIN_SECRET}\"");
    let client_id = section.parse("client_id", grammar::parse_name);
    let client_secret = credential::read(&section, "client_secret");
    let redirect_uri = section.parse("redirect_uri", grammar::parse_error_uri);
    let provider = section.parse("provider", grammar::parse_name);
    let code_grant = section.choice("authorization_code") == Some("upstream");
    let profile = read_profile(&section);
    Some(Oxlin {
        client_id: client_id?.value,
        client_secret: client_secret?,
        redirect_uri: redirect_uri.map(|uri| uri.value),
        provider: provider.map(|provider| provider.value),
        code_grant,
        profile,
    })
}

fn read_profile(section: &Reader<'_>) -> Option<Profile> {
    let wanted = section.choice("username") == Some("profile");
    let pointer = section.parse("username_pointer", parse_pointer).map(|at| at.value);
    let terms_marker = section.parse("terms_marker", grammar::parse_name).map(|at| at.value);
    let terms_uri = section.parse("terms_uri", grammar::parse_error_uri).map(|at| at.value);
    for key in ["username_pointer", "terms_marker", "terms_uri"] {
        if section.has(key) && !wanted {
            let what = format!("`{key}` has no use without a username check");
            let right = "`username = \"profile\"`";
            section.page.error(section.key_span(key), Wrong::new(what).right(right));
        }
    }
    let username_pointer = pointer.unwrap_or_else(|| "/email".into());
    wanted.then_some(Profile { username_pointer, terms_marker, terms_uri })
}
