//! Reads which language a bank speaks, and what is special about it.
//!
//! This file decides which tables go with which dialect, and reads the keys that all dialects
//! share. It must not know how a dialect is spoken.

mod basic;
mod flinks;
mod konsentus;
mod oauth2;
mod oxlin;
mod private_key;
mod registrations;

use std::time::Duration;

use http::{HeaderName, StatusCode};

use crate::answer::X_CORRELATION_ID;
use crate::oauth::ErrorCode;
use crate::routes::grammar;
use crate::routes::page::{At, Wrong};
use crate::routes::reader::Reader;
use crate::routes::reference::{self, ShortTime};
use crate::routes::table::dialect::{Authentication, UsernameCheck};
use crate::routes::table::{Dialect, Override, Paths, Translation, UnknownTokens};

/// Every dialect that has a table of its own, which has its name.
const WITH_TABLE: [&str; 4] = ["oauth2", "flinks", "konsentus", "oxlin"];

/// Most rows of `answers`: each refusal of the bank is compared with them.
const OVERRIDES_MAX: usize = 64;
const EXPIRES_IN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(8_784 * 3_600)];
const REPLAY_WINDOW: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(300)];

/// Reads the dialect and what translating it may do.
pub(super) fn read(section: &Reader<'_>) -> (Dialect, Translation) {
    let name = section.choice("dialect").unwrap_or("blink");
    refuse_unused(section, name);
    let oauth2 = section.table("oauth2", &reference::OAUTH2);
    let flinks = section.table("flinks", &reference::FLINKS);
    let konsentus = section.table("konsentus", &reference::KONSENTUS);
    let oxlin = section.table("oxlin", &reference::OXLIN);
    let dialect = match name {
        "oauth2" => oauth2.as_ref().map(oauth2::read),
        "flinks" => flinks.as_ref().map(flinks::read),
        "konsentus" => konsentus.as_ref().and_then(konsentus::read),
        "oxlin" => oxlin.as_ref().and_then(oxlin::read),
        _ => None,
    };
    let dialect = dialect.unwrap_or(Dialect::Blink);
    let translation = read_translation(section, name, &dialect);
    (dialect, translation)
}

/// Where the calls are, unless the table says otherwise: token, revoke, username.
pub(super) fn default_paths(dialect: &Dialect) -> [&'static str; 3] {
    match dialect {
        Dialect::Blink => ["/oauth/token", "/oauth/revoke", "/oauth/username"],
        Dialect::OAuth2(oauth2) => {
            let username = match oauth2.username {
                UsernameCheck::Userinfo { .. } => "/oauth/userinfo",
                UsernameCheck::None | UsernameCheck::Introspection { .. } => "/oauth/introspect",
            };
            ["/oauth/token", "/oauth/revoke", username]
        }
        Dialect::Flinks(_) => ["/api/v1/token", "/api/v1/revoke", ""],
        Dialect::Konsentus(_) => ["/v1/obie/tokens", "", ""],
        Dialect::Oxlin(_) => ["/token", "", "/v2.1/users/me"],
    }
}

/// Without a token call there is no URL for an assertion to name.
pub(super) fn check_audience(section: &Reader<'_>, dialect: &Dialect, paths: &Paths) {
    let Dialect::OAuth2(oauth2) = dialect else { return };
    let Authentication::PrivateKeyJwt(key) = &oauth2.authentication else { return };
    if key.audience.is_none() && paths.token.is_none() && section.has("paths") {
        let what = "`private_key_jwt` has no `audience`, and there is no token call to name";
        let right = "add `audience = \"…\"`";
        section.page.error(section.key_span("oauth2"), Wrong::new(what).right(right));
    }
}

fn refuse_unused(section: &Reader<'_>, name: &str) {
    for own in WITH_TABLE {
        if own != name && section.has(own) {
            let what = format!("`{own}` has no use: the dialect is `{name}`");
            section.page.error(section.key_span(own), Wrong::new(what).right("take it out"));
        }
        if own == name && !section.has(own) {
            let what = format!("the dialect is `{own}`, and there is no `{own}`");
            let key = if own == "konsentus" { "basic" } else { "client_id" };
            let right = format!("add `{own} = {{ {key} = \"…\" }}`");
            section.page.error(section.key_span("dialect"), Wrong::new(what).right(right));
        }
    }
}

fn read_translation(section: &Reader<'_>, name: &str, dialect: &Dialect) -> Translation {
    let overrides = section.tables("answers", &reference::ANSWER);
    if overrides.len() > OVERRIDES_MAX {
        let what = format!("`answers` has {} rows", overrides.len());
        let right = format!("at most {OVERRIDES_MAX}");
        section.page.error(section.key_span("answers"), Wrong::new(what).right(right));
    }
    // Oxlin's are taken to: a second refresh with the same one may end the consent.
    let rotates_refresh_tokens = section.flag("rotates_refresh_tokens") || name == "oxlin";
    let replay_window = read_time(section, "replay_window", REPLAY_WINDOW);
    if let Some(window) = replay_window.filter(|_| !rotates_refresh_tokens) {
        let what = "`replay_window` has no use: refresh tokens do not rotate here";
        let right = "add `rotates_refresh_tokens = true`, or take it out";
        section.page.error(window.span, Wrong::new(what).right(right));
    }
    for (key, used) in [
        ("answers", !overrides.is_empty()),
        ("default_expires_in", section.has("default_expires_in")),
    ] {
        if used && name == "blink" {
            let what = format!("`{key}` has no use: `blink` is not translated");
            section.page.error(section.key_span(key), Wrong::new(what).right("take it out"));
        }
    }
    Translation {
        overrides: overrides.iter().filter_map(read_override).collect(),
        default_expires_in: read_time(section, "default_expires_in", EXPIRES_IN)
            .map(|time| Duration::from_secs(time.value.as_secs())),
        rotates_refresh_tokens,
        replay_window: replay_window.map(|window| window.value),
        assert_username: section.flag("assert_username"),
        remembers_tokens: remembers_tokens(dialect),
        unknown_tokens: match section.choice("unknown_tokens") {
            Some("refuse") => UnknownTokens::Refuse,
            Some("pass") => UnknownTokens::Pass,
            _ => UnknownTokens::Learn,
        },
    }
}

/// Whether a dialect has to know until when a token lives.
fn remembers_tokens(dialect: &Dialect) -> bool {
    matches!(dialect, Dialect::Oxlin(oxlin) if oxlin.profile.is_some())
}

fn read_override(row: &Reader<'_>) -> Option<Override> {
    row.require("status", "401");
    row.require("becomes", "400");
    row.require("error", "\"invalid_grant\"");
    let status = |key| {
        let number = row.count(key).and_then(|count| u16::try_from(count.value).ok());
        number.and_then(|number| StatusCode::from_u16(number).ok())
    };
    let (status, becomes) = (status("status"), status("becomes"));
    let code = row.parse("code", grammar::parse_name).map(|code| code.value);
    let error = row.choice("error").and_then(ErrorCode::parse);
    Some(Override { status: status?, code, becomes: becomes?, error: error? })
}

fn read_time(
    section: &Reader<'_>,
    key: &'static str,
    [min, max]: [Duration; 2],
) -> Option<At<Duration>> {
    section.parse(key, |text| {
        let time = grammar::parse_duration(text)?;
        if (min..=max).contains(&time) {
            return Ok(time);
        }
        let what = format!("`{key}` is out of its range");
        let right = format!("a duration from {} to {}", ShortTime(min), ShortTime(max));
        Err(Wrong::new(what).right(right))
    })
}

/// Reads the name of the field that the correlation id goes along in.
fn read_correlation_header(section: &Reader<'_>) -> Option<HeaderName> {
    let name = section.parse("correlation_header", |text| {
        if X_CORRELATION_ID.as_str().eq_ignore_ascii_case(text) {
            return Ok(X_CORRELATION_ID);
        }
        super::headers::parse_field_name(text)
    });
    name.map(|name| name.value)
}
