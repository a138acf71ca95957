//! The reference: every key of `routes.toml`, with its form, range, default and meaning.
//!
//! This file decides which keys there are. The reader takes ranges, defaults and the names that a
//! choice has from here, and what is not here is an unknown key: the reference can't be wrong. It
//! must not know how a value is read.

mod dialects;
mod gateway;
mod konsentus;
mod oxlin;
mod parties;

pub(super) use dialects::{ANSWER, FLINKS, OAUTH2, REGISTRATION};
pub(super) use gateway::{ACCESS_LOG, GATEWAY, INCLUDED, LIMITS, ROOT, TLS};
pub(super) use konsentus::{CCG_BODY, KONSENTUS, KONSENTUS_CCG, KONSENTUS_PSP};
pub(super) use oxlin::OXLIN;
pub(super) use parties::{
    API, BREAKER, CLIENT, LIMIT, MAINTENANCE, PATHS, PROBE, TARGET, TARGET_DEFAULTS, TARGET_TLS,
    TIMEOUTS,
};

use std::fmt;
use std::time::Duration;

/// Every section, in the order of the reference.
pub static ALL: &[&Section] = &[
    &ROOT,
    &INCLUDED,
    &GATEWAY,
    &TLS,
    &LIMITS,
    &ACCESS_LOG,
    &API,
    &CLIENT,
    &LIMIT,
    &TARGET_DEFAULTS,
    &TARGET,
    &PATHS,
    &TARGET_TLS,
    &TIMEOUTS,
    &BREAKER,
    &PROBE,
    &MAINTENANCE,
    &ANSWER,
    &OAUTH2,
    &FLINKS,
    &REGISTRATION,
    &KONSENTUS,
    &KONSENTUS_PSP,
    &KONSENTUS_CCG,
    &OXLIN,
];

/// A table of `routes.toml`.
#[derive(Debug)]
pub struct Section {
    /// Its name in messages, for example `target.timeouts`; empty for the top of the file.
    pub name: &'static str,
    /// How it is written, for example `[[target]]`.
    pub heading: &'static str,
    /// What it is for.
    pub meaning: &'static str,
    /// Its keys.
    pub rows: &'static [Row],
}

impl Section {
    /// The row of a key.
    pub fn row(&self, key: &str) -> Option<&'static Row> {
        self.rows.iter().find(|row| row.key == key)
    }
}

/// A key.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub key: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it means.
    pub meaning: &'static str,
}

impl Row {
    pub(super) const fn flag(key: &'static str, meaning: &'static str) -> Self {
        Self { key, kind: Kind::Flag, meaning }
    }

    pub(super) const fn choice(
        key: &'static str,
        names: &'static [&'static str],
        meaning: &'static str,
    ) -> Self {
        Self { key, kind: Kind::Choice(names), meaning }
    }

    pub(super) const fn count(
        key: &'static str,
        default: Option<u64>,
        min: u64,
        max: u64,
        meaning: &'static str,
    ) -> Self {
        Self { key, kind: Kind::Count { default, min, max }, meaning }
    }

    pub(super) const fn bytes(
        key: &'static str,
        default: u64,
        min: u64,
        max: u64,
        meaning: &'static str,
    ) -> Self {
        Self::count(key, Some(default), min, max, meaning)
    }

    pub(super) const fn time(
        key: &'static str,
        default_ms: u64,
        min_ms: u64,
        max_ms: u64,
        meaning: &'static str,
    ) -> Self {
        Self { key, kind: Kind::Time { default_ms, min_ms, max_ms }, meaning }
    }

    pub(super) const fn other(
        key: &'static str,
        form: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self { key, kind: Kind::Other { form, default }, meaning }
    }

    pub(super) const fn table(
        key: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self::other(key, "table", default, meaning)
    }

    pub(super) const fn file(
        key: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self::other(key, "file name", default, meaning)
    }

    pub(super) const fn path(
        key: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self::other(key, "path, or `false`", default, meaning)
    }
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// One of a few words; the first is the default.
    Choice(&'static [&'static str]),
    /// A whole number within a range.
    Count {
        /// What it is when it is not written.
        default: Option<u64>,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// `true` or `false`; `false` is the default.
    Flag,
    /// Anything else, described in words.
    Other {
        /// The form, in words.
        form: &'static str,
        /// The default as it would be written; `required`; or empty for none.
        default: &'static str,
    },
    /// A duration within a range, in milliseconds.
    Time {
        /// What it is when it is not written.
        default_ms: u64,
        /// The least.
        min_ms: u64,
        /// The most.
        max_ms: u64,
    },
}

impl Kind {
    /// The default as it would be written; `None` when there is none.
    pub fn default_text(&self) -> Option<String> {
        match *self {
            Self::Choice(names) => names.first().map(|name| format!("\"{name}\"")),
            Self::Count { default, .. } => default.map(|count| count.to_string()),
            Self::Flag => Some("false".to_owned()),
            Self::Other { default: "" | "required", .. } => None,
            Self::Other { default, .. } => Some(default.to_owned()),
            Self::Time { default_ms, .. } => {
                Some(format!("\"{}\"", ShortTime(Duration::from_millis(default_ms))))
            }
        }
    }

    /// The form, in words.
    pub fn form(&self) -> String {
        match *self {
            Self::Choice(names) => {
                names.iter().map(|name| format!("`\"{name}\"`")).collect::<Vec<_>>().join(" or ")
            }
            Self::Count { min, max, .. } => format!("number, {min} to {max}"),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Other { form, .. } => form.to_owned(),
            Self::Time { min_ms, max_ms, .. } => {
                let [min, max] = [min_ms, max_ms].map(|ms| ShortTime(Duration::from_millis(ms)));
                format!("duration, {min} to {max}")
            }
        }
    }
}

/// A duration in the largest unit that holds it in whole numbers: `1h`, `90s`, `250ms`.
#[derive(Debug, Clone, Copy)]
pub struct ShortTime(pub Duration);

impl fmt::Display for ShortTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
            if ms >= size && ms.is_multiple_of(size) {
                return write!(f, "{}{unit}", ms / size);
            }
        }
        write!(f, "{ms}ms")
    }
}

/// The whole reference as Markdown, one table for each section: the README's own text.
pub fn markdown() -> String {
    let mut text = String::new();
    for section in ALL {
        text.push_str(&format!("### {}\n\n{}\n\n", section.heading, section.meaning));
        text.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
        for row in section.rows {
            let default = match (row.kind.default_text(), row.kind) {
                (Some(text), _) => format!("`{text}`"),
                (None, Kind::Other { default: "required", .. }) => "required".to_owned(),
                (None, _) => String::new(),
            };
            let (key, form, meaning) = (row.key, row.kind.form(), row.meaning);
            text.push_str(&format!("| `{key}` | {form} | {default} | {meaning} |\n"));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
