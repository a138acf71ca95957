//! Reads `[target.oxlin]`: the hub's credentials there, and how much of bLink is served.
//!
//! This file decides which of its keys go together. It must not show a secret, nor know how Oxlin
//! is spoken to.

use std::sync::Arc;

use crate::routes::grammar;
use crate::routes::page::Wrong;
use crate::routes::reader::Reader;
use crate::routes::table::Dialect;
use crate::routes::table::dialect::{Oxlin, Profile};

/// Reads the table.
pub(super) fn read(section: &Reader<'_>) -> Option<Dialect> {
    section.require("client_id", "\"…\"");
    section.require("client_secret", "\"${env:OXLIN_SECRET}\"");
    let client_id = section.parse("client_id", grammar::parse_name);
    let client_secret = section.secret("client_secret");
    let redirect_uri = section.parse("redirect_uri", grammar::parse_error_uri);
    let provider = section.parse("provider", grammar::parse_name);
    let code_grant = section.choice("authorization_code") == Some("upstream");
    let profile = read_profile(section);
    Some(Dialect::Oxlin(Box::new(Oxlin {
        client_id: client_id?.value,
        client_secret: client_secret?,
        redirect_uri: redirect_uri.map(|uri| uri.value),
        provider: provider.map(|provider| provider.value),
        code_grant,
        profile,
    })))
}

fn read_profile(section: &Reader<'_>) -> Option<Profile> {
    let wanted = section.choice("username") == Some("profile");
    let name = |key| section.parse(key, grammar::parse_name).map(|name| name.value);
    let field = name("username_field").unwrap_or_else(|| Arc::from("email"));
    let folds_case = section.flag("username_ignores_case");
    let terms_marker = name("terms_marker");
    let terms_uri = section.parse("terms_uri", grammar::parse_error_uri).map(|uri| uri.value);
    for key in ["username_field", "username_ignores_case", "terms_marker", "terms_uri"] {
        if section.has(key) && !wanted {
            let what = format!("`{key}` has no use: usernames are not checked");
            let right = "add `username = \"profile\"`, or take it out";
            section.page.error(section.key_span(key), Wrong::new(what).right(right));
        }
    }
    wanted.then_some(Profile { field, folds_case, terms_marker, terms_uri })
}
