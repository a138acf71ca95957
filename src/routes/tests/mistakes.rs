//! One file with many mistakes: all of them are found in one run, and each is said clearly. The
//! texts are kept in `tests/golden`; `UPDATE_GOLDEN=1 cargo test` writes them anew.

use std::path::PathBuf;

use super::load;
use crate::routes::MemorySources;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[expect(clippy::disallowed_methods, reason = "the one switch of the golden files")]
fn check_golden(name: &str, text: &str) {
    let path = golden(name);
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{} is out of date:\n{text}", path.display());
}

#[test]
fn all_mistakes_are_found_at_once() {
    let text = std::fs::read_to_string(golden("routes-mistakes.toml")).unwrap();
    let sources = MemorySources::default()
        .file("routes.toml", &text)
        .file("hub/cards.yaml", "broken")
        .present("certs/edge.pem");
    let report = load(&sources).expect_err("this must be wrong");
    assert!(report.errors() >= 25, "{}", report.errors());
    // Each mistake is marked in the file by a comment, so that none goes unfound.
    for (number, line) in text.lines().enumerate().filter(|(_, line)| line.contains("# wrong")) {
        let found = |line: usize| {
            report.problems.iter().any(|p| p.place.as_ref().is_some_and(|at| at.line == line))
        };
        assert!(found(number + 1), "line {}: {line}\n{report}", number + 1);
    }
    check_golden("routes-mistakes.txt", &report.to_string());
}

#[test]
fn syntax_errors_are_found_at_once() {
    let text = "[gateway\nlisten = 0.0.0.0:8443\nadmin = \"127.0.0.1:9443\n\n[[client]]\nid = 'C'\n\
                id = 'D'\nlimit = { rate = }\n";
    let report = load(&MemorySources::default().file("routes.toml", text)).unwrap_err();
    check_golden("routes-syntax.txt", &report.to_string());
}
