//! Reads `[target.oauth2]`.
//!
//! This file decides which of its keys go together. It must not know how OAuth is spoken.

use super::{private_key, read_correlation_header, registrations};
use crate::fault::Name;
use crate::routes::grammar;
use crate::routes::page::Wrong;
use crate::routes::reader::Reader;
use crate::routes::table::Dialect;
use crate::routes::table::dialect::{Authentication, OAuth2, UsernameCheck};

/// Reads the table.
pub(super) fn read(section: &Reader<'_>) -> Dialect {
    let authentication = read_authentication(section);
    let name = |key| section.parse(key, grammar::parse_name).map(|name| name.value);
    Dialect::OAuth2(Box::new(OAuth2 {
        registrations: registrations::read(section, authentication.wants_secret()),
        authentication,
        username: read_username(section),
        username_parameter: name("username_parameter"),
        correlation_header: read_correlation_header(section),
    }))
}

fn read_authentication(section: &Reader<'_>) -> Authentication {
    let written = section.choice("authentication").unwrap_or("client_secret_basic");
    let key = private_key::read(section, written);
    match written {
        "client_secret_post" => Authentication::SecretPost,
        "tls_client_auth" => Authentication::Tls,
        // Without its key the table is refused: it does not matter what stands here.
        "private_key_jwt" => {
            key.map_or(Authentication::None, |key| Authentication::PrivateKeyJwt(Box::new(key)))
        }
        "none" => Authentication::None,
        _ => Authentication::SecretBasic,
    }
}

fn read_username(section: &Reader<'_>) -> UsernameCheck {
    let folds_case = section.flag("username_ignores_case");
    let claim = section.parse("username_claim", grammar::parse_name);
    let strategy = section.choice("username").unwrap_or("none");
    for (key, strategies) in [
        ("username_claim", &["userinfo"][..]),
        ("username_ignores_case", &["introspection", "userinfo"]),
    ] {
        if section.has(key) && !strategies.contains(&strategy) {
            let what = format!("`{key}` has no use: `username` is `{strategy}`");
            section.page.error(section.key_span(key), Wrong::new(what).right("take it out"));
        }
    }
    match strategy {
        "introspection" => UsernameCheck::Introspection { folds_case },
        "userinfo" => {
            let claim = claim.map_or_else(|| Name::from("preferred_username"), |name| name.value);
            UsernameCheck::Userinfo { claim, folds_case }
        }
        _ => UsernameCheck::None,
    }
}
