//! The law of files: each says what it decides, is short, and has a name that says something.

use super::source::{Source, scripts, sources};

/// Every folder with Rust of ours.
const FOLDERS: [&str; 3] = ["benches", "src", "tests"];
/// Every folder with Python of ours.
const SCRIPT_FOLDERS: [&str; 1] = ["benches"];
/// The longest file, in lines.
const LINES_MAX: usize = 400;
/// The longest line, in characters.
const COLUMNS_MAX: usize = 100;
/// Files that may be longer, and why.
const LONG_FILES: [(&str, &str); 1] =
    [("src/fault.rs", "the one fault table: to split it would make it two")];
/// Names that say nothing about what is in a file.
const EMPTY_NAMES: [&str; 11] = [
    "common", "error", "errors", "helper", "helpers", "misc", "mod", "prelude", "types", "util",
    "utils",
];
/// What moments are called.
const MOMENTS: [&str; 10] = [
    "now()",
    "now",
    "started",
    "since",
    "opened",
    "asked_at",
    "failed_at",
    "said_at",
    "begun",
    "deadline()",
];
/// How many lines an expectation and its reason may take before the word that it allows.
const EXPECTATION_LINES: usize = 6;

fn all() -> Vec<Source> {
    sources(&FOLDERS)
}

fn all_scripts() -> Vec<Source> {
    scripts(&SCRIPT_FOLDERS)
}

fn none(broken: &[String], law: &str) {
    assert!(broken.is_empty(), "{law}:\n{}", broken.join("\n"));
}

#[test]
fn every_file_begins_with_what_it_decides() {
    let silent = |source: Source| (!source.text.starts_with("//! ")).then_some(source.path);
    let broken: Vec<_> = all().into_iter().filter_map(silent).collect();
    none(&broken, "the first line is `//! …`: what the file decides");
}

#[test]
fn every_script_begins_with_what_it_decides() {
    let mut broken = Vec::new();
    for script in all_scripts() {
        let first = script.text.lines().find(|line| !line.starts_with("#!"));
        if !first.is_some_and(|line| line.starts_with("\"\"\"")) {
            broken.push(script.path);
        }
    }
    none(&broken, "a script begins with its doc string: what the file decides");
}

#[test]
fn no_file_is_long() {
    let mut broken = Vec::new();
    for source in all().into_iter().chain(all_scripts()) {
        let lines = source.text.lines().count();
        let excepted = LONG_FILES.iter().any(|(path, _)| *path == source.path);
        if lines > LINES_MAX && !excepted {
            broken.push(format!("{}: {lines} lines", source.path));
        }
    }
    none(&broken, "a file has at most 400 lines; tests can go into a file beside it");
}

#[test]
fn no_line_is_long() {
    let mut broken = Vec::new();
    for source in all().into_iter().chain(all_scripts()) {
        for (number, line) in (1..).zip(source.text.lines()) {
            if line.chars().count() > COLUMNS_MAX && !is_table_row(line) {
                broken.push(format!("{}:{number}", source.path));
            }
        }
    }
    none(&broken, "a line has at most 100 columns");
}

/// A row of a table in a doc comment can't be broken.
fn is_table_row(line: &str) -> bool {
    let line = line.trim_start();
    ["//! | ", "/// | "].iter().any(|start| line.starts_with(start))
}

#[test]
fn no_name_says_nothing() {
    let mut broken = Vec::new();
    for source in all().into_iter().chain(all_scripts()) {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        let name = name.trim_end_matches(".rs").trim_end_matches(".py");
        if EMPTY_NAMES.contains(&name) {
            broken.push(source.path);
        }
    }
    none(&broken, "a module is `name.rs` beside `name/`, and its name says what it decides");
}

#[test]
fn no_moment_is_added_to_without_a_bound() {
    let mut broken = Vec::new();
    for source in sources(&["src"]) {
        if source.is_test() || source.path.starts_with("src/sim/") {
            continue;
        }
        // A moment of a test is the test's own.
        let code = source.code();
        let code = code.split("mod tests {").next().unwrap_or_default();
        for (at, line) in code.lines().enumerate() {
            if MOMENTS.iter().any(|moment| adds_to(line, moment)) {
                broken.push(format!("{}:{}", source.path, at + 1));
            }
        }
    }
    none(&broken, "`Instant + Duration` panics on a large number: `deadline::later` does not");
}

/// Whether something that is no constant is added to a moment of this name.
fn adds_to(line: &str, moment: &str) -> bool {
    line.match_indices(&format!("{moment} + ")).any(|(at, found)| {
        let before = line[..at].chars().next_back();
        let is_part = before.is_some_and(|char| char.is_alphanumeric() || char == '_');
        let added = line[at + found.len()..].chars().next();
        let is_constant =
            added.is_some_and(|char| char.is_ascii_uppercase() || char.is_ascii_digit());
        !is_part && !is_constant
    })
}

#[test]
fn what_is_added_to_a_moment_is_seen() {
    assert!(adds_to("let end = Instant::now() + life;", "now()"));
    assert!(adds_to("until: now + self.rule.open_for", "now"));
    assert!(!adds_to("let end = now() + CLOSING;", "now()"));
    assert!(!adds_to("let at = known + life", "now"));
}

#[test]
fn unsafe_stands_only_where_it_is_expected() {
    let mut broken = Vec::new();
    for source in all() {
        let code = source.code();
        let (code, text) = (code.lines(), source.text.lines().collect::<Vec<_>>());
        for (at, line) in code.enumerate() {
            let words = line.split(|char: char| !char.is_alphanumeric() && char != '_');
            if !words.into_iter().any(|word| word == "unsafe") {
                continue;
            }
            let near = &text[at.saturating_sub(EXPECTATION_LINES)..at];
            let expected = near.iter().any(|line| line.contains("#[expect(unsafe_code"));
            let argued = near.iter().any(|line| line.contains("// SAFETY:"));
            if !(expected && argued) {
                broken.push(format!("{}:{}", source.path, at + 1));
            }
        }
    }
    none(&broken, "`unsafe` has `#[expect(unsafe_code, reason = …)]` and `// SAFETY:` before it");
}

#[test]
fn exceptions_are_still_needed() {
    for (path, reason) in LONG_FILES {
        let source = all().into_iter().find(|source| source.path == path);
        let lines = source.map_or(0, |source| source.text.lines().count());
        assert!(lines > LINES_MAX, "{path} is no exception any more ({reason})");
    }
}
