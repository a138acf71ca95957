//! One file of the configuration: its text, what was found wrong in it, and what must stay unseen.
//!
//! This file decides how places are counted and what a shown line hides. It must not know which
//! keys a file may have.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::grants::Granted;
use super::problem::{PROBLEMS_MAX, Problem, Report, Severity};
use super::secret::{References, is_reference};
use super::shown::{LineCounter, misleads};
use super::sources::Sources;
use super::unshown;

/// A stretch of a file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl Span {
    /// The same stretch, counted from where its piece of the file begins.
    pub(super) fn after(self, base: usize) -> Self {
        Self { start: base + self.start, end: base + self.end }
    }
}

/// A value, with the place it was written at.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// What was wrong with a text, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) right: Option<String>,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), right: None }
    }

    pub(super) fn right(mut self, right: impl Into<String>) -> Self {
        self.right = Some(right.into());
        self
    }
}

/// A file under the reader's eyes.
pub(super) struct Page<'p> {
    pub(super) file: Arc<Path>,
    pub(super) text: &'p str,
    pub(super) sources: &'p dyn Sources,
    /// What an included file may do; the operator's own may do all.
    pub(super) granted: Option<Granted>,
    /// Which named files exist: a certificate that 100,000 targets share is asked for once.
    existing: RefCell<HashMap<PathBuf, bool>>,
    found: RefCell<Found>,
}

#[derive(Default)]
struct Found {
    problems: Vec<(Severity, Span, Wrong)>,
    omitted: usize,
    errors: usize,
    masks: Vec<Span>,
    /// Every key asked for, where a test wants to know.
    #[cfg(test)]
    asked: Option<std::collections::BTreeSet<(&'static str, &'static str)>>,
}

impl<'p> Page<'p> {
    pub(super) fn new(file: Arc<Path>, text: &'p str, sources: &'p dyn Sources) -> Self {
        let (existing, found) = Default::default();
        Self { file, text, sources, granted: None, existing, found }
    }

    /// The same, of a file that the operator's includes.
    pub(super) fn included(self, granted: Granted) -> Self {
        Self { granted: Some(granted), ..self }
    }

    /// Where its references lead.
    pub(super) fn references(&self) -> References<'_> {
        let (directory, granted) = (self.directory(), self.granted.as_ref());
        References { directory, sources: self.sources, granted }
    }

    /// Parses the file as TOML. After a syntax error the rest of a file can't be trusted to mean
    /// what it seems to, so it is reported alone (all of them at once, one for each line).
    pub(super) fn parse(&self) -> Option<DeTable<'p>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if errors.is_empty() {
            return Some(table.into_inner());
        }
        let mut spans: Vec<(Span, String)> = errors
            .iter()
            .map(|error| (error.span().map_or(Span { start: 0, end: 0 }, Span::from), error))
            .map(|(span, error)| (span, format!("this is no TOML: {}", error.message())))
            .collect();
        spans.sort_by_key(|(span, _)| span.start);
        self.report_unparsed(spans);
        None
    }

    /// Reports an error.
    pub(super) fn error(&self, span: Span, wrong: Wrong) {
        self.report(Severity::Error, span, wrong);
    }

    /// Reports a warning.
    pub(super) fn warn(&self, span: Span, wrong: Wrong) {
        self.report(Severity::Warning, span, wrong);
    }

    /// Forgets all that was found: the file is read anew.
    pub(super) fn forget(&self) {
        self.found.take();
    }

    /// Whether another problem would be kept: what costs time to say is said only then.
    pub(super) fn has_room(&self) -> bool {
        self.found.borrow().problems.len() < PROBLEMS_MAX
    }

    /// The top of the file.
    pub(super) fn top(&self) -> Span {
        Span { start: 0, end: 0 }
    }

    /// How many errors have been found.
    pub(super) fn errors(&self) -> usize {
        self.found.borrow().errors
    }

    /// Hides a stretch of the file in every line that is shown.
    pub(super) fn mask(&self, span: Span) {
        self.found.borrow_mut().masks.push(span);
    }

    /// Hides every scalar within a value that may hold a secret; a reference to one is shown.
    /// The value's places count from `base`.
    pub(super) fn mask_within(&self, value: &toml::Spanned<DeValue<'_>>, base: usize) {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().for_each(|item| self.mask_within(item, base)),
            DeValue::Table(table) => table.values().for_each(|item| self.mask_within(item, base)),
            DeValue::String(text) if is_reference(text) => {}
            _ => self.mask(Span::from(value.span()).after(base)),
        }
    }

    /// Where a relative file name of this file starts.
    pub(super) fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// Whether a named file exists.
    pub(super) fn exists(&self, path: &Path) -> bool {
        if let Some(known) = self.existing.borrow().get(path) {
            return *known;
        }
        let exists = self.sources.exists(path);
        self.existing.borrow_mut().insert(path.to_owned(), exists);
        exists
    }

    /// From now on, notes every key that the reader asks for.
    #[cfg(test)]
    pub(super) fn note_keys(&self) {
        self.found.borrow_mut().asked = Some(Default::default());
    }

    /// Notes that the reader knows a key; a test holds it against the reference.
    #[cfg(test)]
    pub(super) fn note_asked(&self, place: &'static str, key: &'static str) {
        if let Some(asked) = &mut self.found.borrow_mut().asked {
            asked.insert((place, key));
        }
    }

    /// Every key that the reader asked for, with its section.
    #[cfg(test)]
    pub(super) fn asked(&self) -> std::collections::BTreeSet<(&'static str, &'static str)> {
        self.found.borrow().asked.clone().unwrap_or_default()
    }

    /// Everything that was found, in the order of the file.
    pub(super) fn into_report(self) -> Report {
        let mut found = self.found.into_inner();
        // Spans are compared by their start; one place keeps the order of finding.
        found.problems.sort_by_key(|(_, span, _)| span.start);
        found.masks.sort();
        let mut counter = LineCounter::new(self.text);
        let problems = found
            .problems
            .into_iter()
            .map(|(severity, span, wrong)| Problem {
                severity,
                file: Arc::clone(&self.file),
                place: Some(counter.place(span, &found.masks)),
                what: printable(wrong.what),
                right: wrong.right.map(printable),
            })
            .collect();
        Report { problems, omitted: found.omitted }
    }

    /// Reports a problem.
    pub(super) fn report(&self, severity: Severity, span: Span, wrong: Wrong) {
        let mut found = self.found.borrow_mut();
        found.errors += usize::from(severity == Severity::Error);
        if found.problems.len() < PROBLEMS_MAX {
            found.problems.push((severity, span, wrong));
        } else {
            found.omitted += 1;
        }
    }

    /// Reports syntax errors, one for each line, and hides what may be a secret in those lines:
    /// all of it where the table that the line belongs to has named one before.
    fn report_unparsed(&self, spans: Vec<(Span, String)>) {
        let mut spans = spans.into_iter().peekable();
        let mut start = 0;
        let mut sensitive = false;
        for line in self.text.split_inclusive('\n') {
            let end = start + line.len();
            if line.trim_start().starts_with('[') {
                sensitive = false;
            }
            sensitive |= unshown::makes_suspect(line);
            let mut first = true;
            // What is missing behind a last line without an end belongs to that line.
            let reach = if line.ends_with('\n') { end } else { end + 1 };
            while let Some((span, what)) = spans.next_if(|(span, _)| span.start < reach) {
                if std::mem::take(&mut first) {
                    self.error(span, Wrong::new(what));
                    let whole = || Span { start: 0, end: line.trim_end().len() };
                    let hidden = unshown::hidden_in(line).or_else(|| sensitive.then(whole));
                    hidden.into_iter().for_each(|hidden| self.mask(hidden.after(start)));
                }
            }
            start = end;
        }
        // What is missing at the very end of the file has no line of its own.
        if let Some((span, what)) = spans.next() {
            self.error(span, Wrong::new(what));
        }
    }
}

/// A sentence that may quote the file, on one line and without what a terminal would obey.
fn printable(text: String) -> String {
    if !text.contains(misleads) {
        return text;
    }
    text.chars().map(|c| if misleads(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
