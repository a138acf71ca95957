//! What the sources say in tables of their own: faults, access fields, metrics.
//!
//! This file decides how they are found in the text. It must not know README.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::source::{read, sources};

/// One fault, as README shows it.
pub(crate) struct FaultRow {
    pub(crate) code: String,
    pub(crate) status: String,
    pub(crate) error: String,
    pub(crate) origin: String,
    pub(crate) sentence: String,
    pub(crate) meaning: String,
}

/// Every fault of `src/fault.rs`, in its order.
pub(crate) fn faults() -> Vec<FaultRow> {
    let text = read("src/fault.rs");
    let meanings = fault_meanings(between(&text, "pub enum Fault {", "\n}"));
    let sentences = fault_sentences(between(&text, "pub fn sentence(", "pub fn detail("));
    let rows = between(&text, "pub const fn row(", "Row { code,");
    let row = Regex::new(concat!(
        r#"Self::([A-Za-z]+)[^=;"]*=>[ \n{]*\(\s*"([a-z_]+)","#,
        r"\s*([0-9]+),\s*\*?([A-Za-z]+),\s*([A-Za-z]+)",
    ));
    let rows: Vec<_> = row
        .unwrap()
        .captures_iter(rows)
        .map(|row| FaultRow {
            code: row[2].to_owned(),
            status: row[3].to_owned(),
            // The one fault whose contract names its `error`.
            error: if &row[4] == "error" { "…".to_owned() } else { snake_case(&row[4]) },
            origin: row[5].to_lowercase(),
            sentence: sentences.get(&row[1]).cloned().unwrap_or_default(),
            meaning: meanings.get(&row[1]).cloned().unwrap_or_default(),
        })
        .collect();
    assert_eq!(rows.len(), meanings.len(), "not every fault's row was found");
    for row in &rows {
        assert!(!row.sentence.is_empty(), "the sentence of {} was not found", row.code);
    }
    rows
}

/// The doc comment of each variant.
fn fault_meanings(body: &str) -> BTreeMap<String, String> {
    let (mut meanings, mut doc) = (BTreeMap::new(), Vec::new());
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            doc.push(text);
        } else if line.starts_with(char::is_alphabetic) {
            let end = line.find(|char: char| !char.is_alphanumeric()).unwrap_or(line.len());
            meanings.insert(line[..end].to_owned(), doc.join(" "));
            doc.clear();
        }
    }
    meanings
}

/// The `error_description` of each variant. Arms may share one, and some take it from a contract
/// or a dialect.
fn fault_sentences(body: &str) -> BTreeMap<String, String> {
    let token = r#"Self::([A-Za-z]+)|"([^"]+)"|(sentence)\.to_string|=> (sentence),"#;
    let token = Regex::new(token).unwrap();
    let (mut sentences, mut waiting) = (BTreeMap::new(), Vec::new());
    for found in token.captures_iter(body) {
        if let Some(variant) = found.get(1) {
            waiting.push(variant.as_str().to_owned());
            continue;
        }
        let text = match (found.get(2), found.get(3)) {
            (Some(text), _) => text.as_str(),
            (None, Some(_)) => "(the contract's own sentence)",
            (None, None) => "(the dialect's own sentence)",
        };
        for variant in waiting.drain(..) {
            sentences.insert(variant, text.to_owned());
        }
    }
    sentences
}

/// Every field of an access line and its type.
pub(crate) fn access_fields() -> BTreeMap<String, &'static str> {
    let field = Regex::new(r#"line\.(text|maybe|number|flag)\(\s*"([a-z_]+)""#).unwrap();
    let text = read("src/record.rs");
    let kind_of = |writer: &str| match writer {
        "number" => "number",
        "flag" => "`true`",
        _ => "text",
    };
    field.captures_iter(&text).map(|field| (field[2].to_owned(), kind_of(&field[1]))).collect()
}

/// Every metric's name, without prefix and suffix: what stands before a help text.
pub(crate) fn metrics() -> BTreeSet<String> {
    let metric = Regex::new(r#""([a-z_]+)",\s*(?:"[A-Z]|help\b)"#).unwrap();
    let files = sources(&["src/edge"]).into_iter();
    let files = files.filter(|source| source.path.starts_with("src/edge/metrics"));
    files
        .flat_map(|source| {
            let found = metric.captures_iter(&source.text);
            found.map(|metric| metric[1].to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

/// The text between two others.
pub(crate) fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let (_, after) = text.split_once(from).unwrap_or_else(|| panic!("`{from}` is gone"));
    after.split_once(to).unwrap_or_else(|| panic!("`{to}` is gone")).0
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for char in name.chars() {
        if char.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(char.to_lowercase());
    }
    text
}

#[test]
fn the_tables_of_the_sources_are_found() {
    assert!(faults().iter().any(|fault| {
        (&*fault.code, &*fault.status, &*fault.error, &*fault.origin)
            == ("grant_unsupported", "400", "unsupported_grant_type", "client")
    }));
    assert_eq!(access_fields().get("correlation_id"), Some(&"text"));
    assert_eq!(access_fields().get("status"), Some(&"number"));
    let metrics = metrics();
    for name in ["answers", "exchange_seconds", "oddities", "connections_open", "target_breaker"] {
        assert!(metrics.contains(name), "{name}");
    }
}
