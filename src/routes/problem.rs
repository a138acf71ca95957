//! What is wrong with a configuration, said so that it can be put right.
//!
//! This file decides how a problem looks. It must not know what can be wrong.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// Most problems that are kept for one file; the rest is counted.
pub const PROBLEMS_MAX: usize = 200;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file can't be used.
    Error,
    /// The file can be used, and likely does not say what was meant.
    Warning,
}

/// Whether terminal colours are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// ANSI colours.
    Always,
    /// Plain text.
    #[default]
    Never,
}

/// One thing that is wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The file, as it was named to the loader.
    pub file: Arc<Path>,
    /// Where in the file; `None` when the whole file is meant.
    pub place: Option<Place>,
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
    /// What would be right.
    pub right: Option<String>,
}

/// A place in a file, with the line that stands there. What could be a secret is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The line, secrets masked.
    pub text: String,
    /// The bytes of `text` that are meant.
    pub marked: Range<usize>,
}

impl Problem {
    /// The problem as an editor's quickfix list reads it: `file:line:column: error: what`.
    pub fn one_line(&self) -> String {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let file = self.file.display();
        match &self.place {
            Some(place) => {
                format!("{file}:{}:{}: {severity}: {}", place.line, place.column, self.what)
            }
            None => format!("{file}: {severity}: {}", self.what),
        }
    }

    /// The problem with its line and a caret under what is meant.
    pub fn render(&self, colour: Colour) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let file = self.file.display().to_string();
        let mut group = Group::with_title(level.primary_title(self.what.as_str()));
        group = match &self.place {
            Some(place) => group.element(
                Snippet::source(place.text.as_str())
                    .line_start(place.line)
                    .annotation(AnnotationKind::Primary.span(place.marked.clone())),
            ),
            None => group.element(Origin::path(file.as_str())),
        };
        if let Some(right) = &self.right {
            group = group.element(Level::HELP.message(right.as_str()));
        }
        let renderer = match colour {
            Colour::Always => Renderer::styled(),
            Colour::Never => Renderer::plain(),
        };
        let text = renderer.render(&[group]);
        // The place is put in by hand: the snippet would count columns in the line as it is
        // shown, and a mask or a cut moves them.
        match (&self.place, text.split_once('\n')) {
            (Some(place), Some((title, snippet))) => {
                let indent = place.line.to_string().len();
                let (line, column) = (place.line, place.column);
                format!("{title}\n{:indent$}--> {file}:{line}:{column}\n{snippet}", "")
            }
            _ => text,
        }
    }
}

/// Everything that is wrong, file by file in the order of reading, line by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The problems that were kept.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub omitted: usize,
}

impl Report {
    /// A report on a file as a whole.
    pub(super) fn of_file(file: &Arc<Path>, what: String, right: Option<String>) -> Self {
        let problem =
            Problem { severity: Severity::Error, file: Arc::clone(file), place: None, what, right };
        Self { problems: vec![problem], omitted: 0 }
    }

    /// How many errors there are, those that were not kept included.
    pub fn errors(&self) -> usize {
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        self.problems.iter().filter(is_error).count() + self.omitted
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty() && self.omitted == 0
    }

    /// Adds another report's problems behind one's own.
    pub fn append(&mut self, mut other: Self) {
        self.problems.append(&mut other.problems);
        self.omitted += other.omitted;
    }

    /// All problems, a blank line between two, a count at the end.
    pub fn render(&self, colour: Colour) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(problem.render(colour).trim_end());
            text.push_str("\n\n");
        }
        let errors = self.errors();
        let warnings = self.problems.len() + self.omitted - errors;
        let mut counts = Vec::new();
        for (count, noun) in [(errors, "error"), (warnings, "warning")] {
            match count {
                0 => {}
                1 => counts.push(format!("1 {noun}")),
                _ => counts.push(format!("{count} {noun}s")),
            }
        }
        text.push_str(&counts.join(", "));
        if self.omitted > 0 {
            text.push_str(&format!(" ({} not shown)", self.omitted));
        }
        text.push('\n');
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Colour::Never))
    }
}

impl std::error::Error for Report {}
