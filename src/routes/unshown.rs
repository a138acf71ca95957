//! What of a file is hidden in every line that is shown, whoever reads it or does not.
//!
//! A line is shown because something in it is wrong, and beside that may stand a secret: in a table
//! that nobody reads, under a key that nobody knows, or where the file is no TOML. This file
//! decides by the reference which keys are known to hold none; what is not known so is hidden. It
//! must not know what is wrong.

use std::collections::HashMap;
use std::sync::OnceLock;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::page::{Page, Span};
use super::reference::{self, Kind};

/// Tables whose keys are names that the file gives.
const FREE: [&str; 2] = ["clients", "psp"];

/// What a key holds, wherever it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Holds {
    /// A secret, or a text with one in it.
    secret: bool,
    /// A table and nothing else.
    table: bool,
}

/// Hides what may hold a secret in a table of the file. Its places count from `base`.
pub(super) fn hide(page: &Page<'_>, table: &DeTable<'_>, base: usize) {
    hide_within(page, table, base, "");
}

fn hide_within(page: &Page<'_>, table: &DeTable<'_>, base: usize, parent: &str) {
    let free = FREE.contains(&parent);
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        match holds(name, parent) {
            // A client may be called as a key is.
            _ if free => hide_value(page, value, base, "", true),
            Some(Holds { secret: false, table }) => hide_value(page, value, base, name, table),
            Some(_) | None => page.mask_within(value, base),
        }
    }
}

/// Hides what may be a secret in a value whose key is known to hold none.
fn hide_value(
    page: &Page<'_>,
    value: &Spanned<DeValue<'_>>,
    base: usize,
    name: &str,
    is_table: bool,
) {
    match value.get_ref() {
        DeValue::Table(table) => hide_within(page, table, base, name),
        DeValue::Array(items) => {
            items.iter().for_each(|item| hide_value(page, item, base, name, is_table));
        }
        // A text where a table should be, or a password in a URL.
        DeValue::String(text) if is_table || has_user(text) => page.mask_within(value, base),
        _ => {}
    }
}

fn has_user(text: &str) -> bool {
    text.contains("://") && text.contains('@')
}

/// What stays unseen of a line that is no TOML: nothing where all keys in it are known to hold no
/// secret, else what is behind the first one, or all of it.
pub(super) fn hidden_in(line: &str) -> Option<Span> {
    let text = line.trim();
    if text.is_empty() || is_heading(text) {
        return None;
    }
    let keys = keys_of(line);
    if !keys.is_empty() && keys.iter().all(|key| is_plain(key)) && !has_user(text) {
        return None;
    }
    // What stands before the first `=` is a key only if it is one that there is.
    let first = line.find('=').filter(|_| keys.first().is_some_and(|key| is_known(key)));
    Some(Span { start: first.map_or(0, |at| at + 1), end: line.trim_end().len() })
}

/// Whether a line makes all that follows suspect, up to the next table: a text of several lines may
/// have begun in it.
pub(super) fn makes_suspect(line: &str) -> bool {
    let words = ["header", "secret", "private_key", "PRIVATE KEY"];
    words.iter().any(|word| line.contains(word)) || !keys_of(line).iter().all(|key| is_plain(key))
}

fn is_plain(key: &str) -> bool {
    key.split('.').all(|part| holds(part.trim(), "").is_some_and(|holds| !holds.secret))
}

fn is_known(key: &str) -> bool {
    key.split('.').all(|part| holds(part.trim(), "").is_some())
}

/// The texts that stand where a key of this line would: right before an `=`.
fn keys_of(line: &str) -> Vec<&str> {
    let before = line.match_indices('=').filter_map(|(at, _)| line.get(..at));
    let keys = before.filter_map(|before| {
        let from = before.rfind(['{', ',', '[', '=']).map_or(0, |at| at + 1);
        before.get(from..)
    });
    keys.map(|key| key.trim().trim_matches(['"', '\''])).collect()
}

/// `[table]`, closed or not, and nothing else.
fn is_heading(text: &str) -> bool {
    let name = text.trim_start_matches('[').trim_end_matches(']');
    text.starts_with('[') && is_known(name)
}

/// What a key of the reference holds; nothing of a key that is not in it.
fn holds(key: &str, parent: &str) -> Option<Holds> {
    static KNOWN: OnceLock<HashMap<&'static str, Holds>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let mut known = HashMap::new();
        for row in reference::ALL.iter().flat_map(|section| section.rows) {
            let Holds { secret, table } = of_kind(row.kind);
            let entry = known.entry(row.key).or_insert(Holds { secret, table });
            entry.secret |= secret;
            entry.table &= table;
        }
        known
    });
    let holds = *known.get(key)?;
    // Where a token is fetched is none.
    Some(Holds { secret: holds.secret && parent != "paths", ..holds })
}

fn of_kind(kind: Kind) -> Holds {
    let Kind::Other { form, .. } = kind else { return Holds::default() };
    Holds { secret: form.contains("${env:NAME}"), table: form == "table" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_says_which_keys_hold_secrets() {
        let secret = |key| holds(key, "").is_some_and(|holds| holds.secret);
        for key in ["basic", "body", "client_secret", "headers", "private_key", "token"] {
            assert!(secret(key), "{key}");
        }
        assert!(!holds("token", "paths").unwrap().secret);
        for key in ["id", "upstream", "certificates", "client_id", "oauth2", "name"] {
            assert!(!secret(key) && holds(key, "").is_some(), "{key}");
        }
        assert_eq!(holds("hunter2", ""), None);
    }

    #[test]
    fn a_line_that_is_no_toml_shows_what_is_known_to_be_no_secret() {
        let shown = |line: &str| match hidden_in(line) {
            None => line.to_owned(),
            Some(Span { start, end }) => format!("{}…{}", &line[..start], &line[end..]),
        };
        for line in ["[gateway", "[[target]]", "id = 'D'", "limit = { rate = }", "", "name = \"x"] {
            assert_eq!(shown(line), line);
        }
        for (line, kept) in [
            ("basic = 'hunter2", "basic =…"),
            ("konsentus = { basic = 'hunter2 }", "konsentus =…"),
            ("headers = { A = 'hunter2 }", "headers =…"),
            ("name = 'x', hunter2 = 'hunter2", "name =…"),
            ("hunter2 = 'x", "…"),
            ("aHVudGVyMg==", "…"),
            ("['hunter2'", "…"),
            ("[hunter2", "…"),
            ("hunter2", "…"),
            ("upstream = 'https://user:hunter2@bank", "upstream =…"),
        ] {
            assert_eq!(shown(line), kept, "{line}");
        }
    }
}
