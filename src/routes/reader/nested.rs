//! Reads what only few tables have: a secret under a known key, tables under free names, a moment.
//!
//! This file decides that a secret stands there by reference alone. It must not show one.

use std::borrow::Cow;

use toml::de::DeValue;

use super::{At, Reader, Section, Wrong};
use crate::routes::secret::{Secret, is_reference};

impl<'d> Reader<'d> {
    /// A secret: a reference and nothing else. What is written in its place is never shown.
    pub(in crate::routes) fn secret(&self, key: &'static str) -> Option<Secret> {
        let value = self.value(key)?;
        self.page.mask_within(value, self.base);
        let text = self.as_text(value, key)?;
        self.parsed(text, |text| {
            let right = "`${env:NAME}` or `${file:path}`, set and not empty";
            if !is_reference(text) {
                let what = format!("`{key}` holds a secret itself");
                return Err(Wrong::new(what).right(right));
            }
            self.page.references().resolve(text).map_err(|what| Wrong::new(what).right(right))
        })
        .map(|secret| secret.value)
    }

    /// A text that may hold references to secrets among other things. It is never shown.
    pub(in crate::routes) fn template(&self, key: &'static str) -> Option<Secret> {
        let value = self.value(key)?;
        self.page.mask_within(value, self.base);
        let text = self.as_text(value, key)?;
        self.parsed(text, |text| {
            self.page.references().resolve(text).map_err(|what| {
                Wrong::new(what).right("`${env:NAME}` or `${file:path}`, set and not empty")
            })
        })
        .map(|secret| secret.value)
    }

    /// A text, or a date of TOML's own as its text.
    pub(in crate::routes) fn text_or_date(&self, key: &'static str) -> Option<At<Cow<'d, str>>> {
        let value = self.value(key)?;
        if let DeValue::Datetime(date) = value.get_ref() {
            return Some(At { value: Cow::Owned(date.to_string()), span: self.at(value) });
        }
        let text = self.as_text(value, key)?;
        Some(At { value: Cow::Borrowed(text.value), span: text.span })
    }

    /// The tables of a table whose keys are names.
    pub(in crate::routes) fn named_tables(
        &self,
        key: &'static str,
        section: &'static Section,
    ) -> Vec<(At<&'d str>, Self)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let right = "a table of tables";
        let DeValue::Table(table) = value.get_ref() else {
            self.page.mask_within(value, self.base);
            self.wrong_type(value, key, right);
            return Vec::new();
        };
        table
            .iter()
            .filter_map(|(name, value)| match value.get_ref() {
                DeValue::Table(table) => {
                    let span = self.at(value);
                    let name = At { value: name.get_ref().as_ref(), span: self.at(name) };
                    Some((name, Reader::new(self.page, table, self.base, span, section)))
                }
                _ => {
                    self.page.mask_within(value, self.base);
                    self.wrong_type(value, key, right);
                    None
                }
            })
            .collect()
    }
}
