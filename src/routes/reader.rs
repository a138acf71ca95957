//! Reads one table of `routes.toml`, key by key, and reports whatever is not as the reference says.
//!
//! This file decides what a wrong type, an unknown key, a missing key or a value out of its range
//! is called. It must not know what the values are for.

mod nested;

use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::grammar;
use super::page::{At, Page, Span, Wrong};
use super::reference::{Kind, Section, ShortTime};
use super::suggest::nearest;

/// A table that is being read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'d> {
    pub(super) page: &'d Page<'d>,
    pub(super) section: &'static Section,
    /// Where the table is: its header, or itself where it is written inline.
    pub(super) span: Span,
    table: &'d DeTable<'d>,
    /// Where the piece of the file begins that the table's places count from.
    base: usize,
}

impl<'d> Reader<'d> {
    /// Begins to read a table: reports the keys that the reference does not have.
    pub(super) fn new(
        page: &'d Page<'d>,
        table: &'d DeTable<'d>,
        base: usize,
        span: Span,
        section: &'static Section,
    ) -> Self {
        let reader = Self { page, section, span, table, base };
        reader.refuse_unknown();
        reader
    }

    /// Whether a key is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A key's own place; the table's where it is not written.
    pub(super) fn key_span(&self, key: &str) -> Span {
        self.table.get_key_value(key).map_or(self.span, |(key, _)| self.at(key))
    }

    /// Reports a key that must be written and is not.
    pub(super) fn require(&self, key: &'static str, example: &str) {
        if !self.has(key) {
            let what = format!("{} has no `{key}`", self.title());
            self.page.error(self.span, Wrong::new(what).right(format!("add `{key} = {example}`")));
        }
    }

    /// A text.
    pub(super) fn text(&self, key: &'static str) -> Option<At<&'d str>> {
        let value = self.value(key)?;
        self.as_text(value, key)
    }

    /// A text that `parse` makes something of.
    pub(super) fn parse<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&'d str) -> Result<T, Wrong>,
    ) -> Option<At<T>> {
        let text = self.text(key)?;
        self.parsed(text, parse)
    }

    /// What `parse` makes of a text that has been read.
    pub(super) fn parsed<'t, T>(
        &self,
        text: At<&'t str>,
        parse: impl FnOnce(&'t str) -> Result<T, Wrong>,
    ) -> Option<At<T>> {
        match parse(text.value) {
            Ok(value) => Some(At { value, span: text.span }),
            Err(wrong) => {
                self.page.error(text.span, wrong);
                None
            }
        }
    }

    /// A list of texts; an empty one where it is not written.
    pub(super) fn texts(&self, key: &'static str) -> Vec<At<&'d str>> {
        match self.value(key) {
            None => Vec::new(),
            Some(value) => match value.get_ref() {
                DeValue::Array(items) => {
                    items.iter().filter_map(|item| self.as_text(item, key)).collect()
                }
                _ => {
                    self.wrong_type(value, key, "a list, such as `[\"…\"]`");
                    Vec::new()
                }
            },
        }
    }

    /// One text, or a list of them; an empty list where it is not written.
    pub(super) fn text_or_texts(&self, key: &'static str) -> Vec<At<&'d str>> {
        match self.value(key).map(toml::Spanned::get_ref) {
            Some(DeValue::Array(_)) => self.texts(key),
            _ => self.text(key).into_iter().collect(),
        }
    }

    /// `true` or `false`; `false` where it is not written.
    pub(super) fn flag(&self, key: &'static str) -> bool {
        let Some(value) = self.value(key) else { return false };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong_type(value, key, "`true` or `false`");
            false
        })
    }

    /// Whether a key is written as `false`.
    pub(super) fn is_false(&self, key: &'static str) -> bool {
        self.value(key).is_some_and(|value| value.get_ref().as_bool() == Some(false))
    }

    /// A number within the reference's range.
    pub(super) fn count(&self, key: &'static str) -> Option<At<u64>> {
        let value = self.value(key)?;
        let Some(Kind::Count { min, max, .. }) = self.kind(key) else { return None };
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(value, key, "a number without quotes");
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            let what = format!("`{key}` is out of its range");
            let right = format!("a number from {min} to {max}");
            self.page.error(self.at(value), Wrong::new(what).right(right));
        }
        number.map(|value_| At { value: value_, span: self.at(value) })
    }

    /// A number, or the reference's default.
    pub(super) fn count_or_default(&self, key: &'static str) -> u64 {
        self.count(key).map_or_else(|| default_count(self.section, key), |count| count.value)
    }

    /// A duration within the reference's range.
    pub(super) fn time(&self, key: &'static str) -> Option<At<Duration>> {
        let text = self.text(key)?;
        let Some(Kind::Time { min_ms, max_ms, .. }) = self.kind(key) else { return None };
        let [min, max] = [min_ms, max_ms].map(Duration::from_millis);
        self.parsed(text, |text| {
            let time = grammar::parse_duration(text)?;
            if (min..=max).contains(&time) {
                return Ok(time);
            }
            let what = format!("`{key}` is out of its range");
            let right = format!("a duration from {} to {}", ShortTime(min), ShortTime(max));
            Err(Wrong::new(what).right(right))
        })
    }

    /// A duration, or the reference's default.
    pub(super) fn time_or_default(&self, key: &'static str) -> Duration {
        self.time(key).map_or_else(|| default_time(self.section, key), |time| time.value)
    }

    /// One of the reference's words.
    pub(super) fn choice(&self, key: &'static str) -> Option<&'static str> {
        let text = self.text(key)?;
        let Some(Kind::Choice(names)) = self.kind(key) else { return None };
        let chosen = names.iter().copied().find(|name| *name == text.value);
        if chosen.is_none() {
            let what = format!("`{key}` can't be `{}`", shorten(text.value));
            let right = did_you_mean(text.value, names.iter().copied())
                .unwrap_or_else(|| one_of(names.iter().copied()));
            self.page.error(text.span, Wrong::new(what).right(right));
        }
        chosen
    }

    /// The name of a file that must exist, taken from where this file is.
    pub(super) fn file(&self, key: &'static str) -> Option<PathBuf> {
        self.text(key).and_then(|name| self.existing(name))
    }

    /// Names of files that must exist.
    pub(super) fn files(&self, key: &'static str) -> Vec<PathBuf> {
        self.texts(key).into_iter().filter_map(|name| self.existing(name)).collect()
    }

    /// A table within this one.
    pub(super) fn table(&self, key: &'static str, section: &'static Section) -> Option<Self> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => {
                Some(Reader::new(self.page, table, self.base, self.at(value), section))
            }
            _ => {
                self.wrong_type(value, key, &format!("a table, such as `{}`", section.heading));
                None
            }
        }
    }

    /// The tables of a list, such as all `[[target]]`.
    pub(super) fn tables(&self, key: &'static str, section: &'static Section) -> Vec<Self> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let right = format!("a list of tables: `{}`", section.heading);
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(value, key, &right);
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| match item.get_ref() {
                DeValue::Table(table) => {
                    Some(Reader::new(self.page, table, self.base, self.at(item), section))
                }
                _ => {
                    self.wrong_type(item, key, &right);
                    None
                }
            })
            .collect()
    }

    /// The names and values of a table that may hold any key. All values stay unseen: they may be
    /// secrets.
    pub(super) fn secrets(&self, key: &'static str) -> Vec<(At<&'d str>, At<&'d str>)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        self.page.mask_within(value, self.base);
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(value, key, "a table of names and values");
            return Vec::new();
        };
        table
            .iter()
            .filter_map(|(name, value)| {
                let text = self.as_text(value, key)?;
                Some((At { value: name.get_ref().as_ref(), span: self.at(name) }, text))
            })
            .collect()
    }

    /// Refuses every key but one, with a reason of its own: a file of targets holds targets only.
    pub(super) fn refuse_but(&self, allowed: &str, reason: &str) {
        for (key, value) in self.table {
            if key.get_ref() != allowed && self.section.row(key.get_ref()).is_some() {
                self.page.mask_within(value, self.base);
                let what = format!("`{}` can't stand in this file", key.get_ref());
                self.page.error(self.at(key), Wrong::new(what).right(reason));
            }
        }
    }

    fn refuse_unknown(&self) {
        for (key, value) in self.table {
            let name = key.get_ref().as_ref();
            if self.section.row(name).is_some() {
                continue;
            }
            // What it was meant to be is not known: it may be a secret under a mistyped name.
            self.page.mask_within(value, self.base);
            let what = format!("{} has no key `{}`", self.title(), shorten(name));
            let keys = || self.section.rows.iter().map(|row| row.key);
            let right = did_you_mean(name, keys()).unwrap_or_else(|| one_of(keys()));
            self.page.error(self.at(key), Wrong::new(what).right(right));
        }
    }

    fn at<T>(&self, value: &toml::Spanned<T>) -> Span {
        Span::from(value.span()).after(self.base)
    }

    fn value(&self, key: &'static str) -> Option<&'d toml::Spanned<DeValue<'d>>> {
        #[cfg(test)]
        self.page.note_asked(self.section.name, key);
        self.table.get(key)
    }

    fn as_text(
        &self,
        value: &'d toml::Spanned<DeValue<'d>>,
        key: &'static str,
    ) -> Option<At<&'d str>> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            if matches!(value.get_ref(), DeValue::Array(_) | DeValue::Table(_)) {
                // A table that was meant for elsewhere, say a `[[target]]`, may hold secrets.
                self.page.mask_within(value, self.base);
            }
            self.wrong_type(value, key, "a text in quotes");
        }
        text.map(|text| At { value: text, span: self.at(value) })
    }

    fn wrong_type(&self, value: &toml::Spanned<DeValue<'_>>, key: &str, right: &str) {
        let what = format!("`{key}` can't be {}", type_name(value.get_ref()));
        self.page.error(self.at(value), Wrong::new(what).right(right));
    }

    fn existing(&self, name: At<&str>) -> Option<PathBuf> {
        if let Some(granted) = &self.page.granted {
            let located = self.parsed(name, |name| granted.locate(name, self.page.sources));
            return located.map(|path| path.value);
        }
        let path = self.page.directory().join(name.value);
        if self.page.exists(&path) {
            return Some(path);
        }
        let what = format!("there is no file `{}`", shorten(name.value));
        let right = format!("it was looked for as `{}`", path.display());
        self.page.error(name.span, Wrong::new(what).right(right));
        None
    }

    fn kind(&self, key: &str) -> Option<Kind> {
        self.section.row(key).map(|row| row.kind)
    }

    /// The table's name in a message.
    fn title(&self) -> String {
        match self.section.name {
            "" => "the top of the file".to_owned(),
            name => format!("`{name}`"),
        }
    }
}

/// The reference's default of a number; 0 where it gives none.
pub(super) fn default_count(section: &Section, key: &str) -> u64 {
    match section.row(key).map(|row| row.kind) {
        Some(Kind::Count { default: Some(default), .. }) => default,
        _ => 0,
    }
}

/// The reference's default of a duration; zero where it gives none.
pub(super) fn default_time(section: &Section, key: &str) -> Duration {
    match section.row(key).map(|row| row.kind) {
        Some(Kind::Time { default_ms, .. }) => Duration::from_millis(default_ms),
        _ => Duration::ZERO,
    }
}

/// A text from the file for use in a sentence, cut where it is very long.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// "did you mean", when one of the names is near.
pub(super) fn did_you_mean<'c>(
    name: &str,
    names: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    nearest(name, names).map(|near| format!("did you mean `{near}`?"))
}

fn one_of<'c>(names: impl Iterator<Item = &'c str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [only] => format!("it is {only}"),
        names => format!("one of {}", names.join(", ")),
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
