//! The sources and scripts as text.
//!
//! This file decides what is read and what of it is code. It must not know any law.

use std::fs;
use std::path::{Path, PathBuf};

/// One file of Rust, or of Python.
pub(crate) struct Source {
    /// Its path from the top level, with `/`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

/// The top level of the project.
pub(crate) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A text file, by its path from the top level.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of Rust below these folders, in the order of their paths.
pub(crate) fn sources(folders: &[&str]) -> Vec<Source> {
    files(folders, "rs")
}

/// Every file of Python below these folders, in the order of their paths.
pub(crate) fn scripts(folders: &[&str]) -> Vec<Source> {
    files(folders, "py")
}

fn files(folders: &[&str], extension: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| gather(&top().join(folder), extension, &mut paths));
    paths.sort();
    let sources: Vec<_> = paths
        .iter()
        .map(|path| {
            let path = path.strip_prefix(top()).unwrap().to_str().unwrap().replace('\\', "/");
            Source { text: read(&path), path }
        })
        .collect();
    assert!(!sources.is_empty(), "nothing to check below {folders:?}");
    sources
}

fn gather(folder: &Path, wanted: &str, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // What cargo builds for the fuzz package is not ours.
            if path.file_name().is_some_and(|name| name != "target") {
                gather(&path, wanted, paths);
            }
        } else if path.extension().is_some_and(|extension| extension == wanted) {
            paths.push(path);
        }
    }
}

impl Source {
    /// Its code: without comments, and with nothing inside of its strings. Lines stay lines.
    pub(crate) fn code(&self) -> String {
        code_of(&self.text)
    }

    /// Whether it holds tests and nothing else.
    pub(crate) fn is_test(&self) -> bool {
        ["/tests.rs", "/golden.rs"].iter().any(|name| self.path.ends_with(name))
            || self.path.contains("/tests/")
    }
}

fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = skip(rest, code.chars().next_back());
        if skipped == 0 {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            let (gone, after) = rest.split_at(skipped);
            code.extend(gone.chars().filter(|char| *char == '\n'));
            code.push(' ');
            rest = after;
        }
    }
    code
}

/// How many bytes of a comment, a string or a character stand at the beginning; 0 for code.
fn skip(rest: &str, before: Option<char>) -> usize {
    let to = |end: &str, from: usize| {
        rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len())
    };
    let raw = rest.trim_start_matches('b').strip_prefix('r').map(|rest| {
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        (hashes, rest[hashes..].starts_with('"'))
    });
    let in_word = before.is_some_and(|char| char.is_alphanumeric() || char == '_');
    match rest.as_bytes() {
        [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => to("*/", 2),
        [b'"', ..] => string_end(rest),
        [b'r' | b'b', ..] if !in_word && matches!(raw, Some((_, true))) => {
            let hashes = raw.map_or(0, |(hashes, _)| hashes);
            let opening = rest.find('"').unwrap() + 1;
            to(&format!("\"{}", "#".repeat(hashes)), opening)
        }
        [b'\'', b'\\', ..] => to("'", 3),
        // A character and not a lifetime: its quote closes at once.
        [b'\'', ..] => {
            let length = rest[1..].chars().next().map_or(0, char::len_utf8);
            if rest[1 + length..].starts_with('\'') { length + 2 } else { 0 }
        }
        _ => 0,
    }
}

fn string_end(rest: &str) -> usize {
    let mut escaped = false;
    for (at, char) in rest.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[test]
fn code_is_what_is_left_of_comments_and_strings() {
    for (text, code) in [
        ("a // b\nc", "a  \nc"),
        ("a(\"tokio::x \\\" y\", b)", "a( , b)"),
        ("/* a\nb */ c", "\n  c"),
        ("r#\"a\"b\"# c", "  c"),
        ("for<'a> '\"' b", "for<'a>   b"),
        ("'\\'' a", "  a"),
        ("let bar = \"x\";", "let bar =  ;"),
    ] {
        assert_eq!(code_of(text), code, "{text}");
    }
}
