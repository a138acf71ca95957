//! The law of the threat model: each line of `docs/threat-model.md` says what somebody can do at
//! worst, and names the tests that hold them to it, or says that nothing does.

use regex::Regex;

use super::matrix::find;
use super::source::read;

const PAGE: &str = "docs/threat-model.md";
/// What the last cell of a line without a test begins with.
const OPEN: &str = "Open: ";
/// Who the page speaks of, each in a section of its own.
const ACTORS: [&str; 4] = ["A stranger", "A client", "A bank", "The writer of a bank's file"];

#[test]
fn each_line_of_the_threat_model_has_tests_that_exist_or_says_that_it_is_open() {
    let page = read(PAGE);
    let name = Regex::new("`([^`]+::[^`]+)`").unwrap();
    let mut broken = Vec::new();
    let lines = page.lines().filter(|line| line.starts_with("| "));
    for line in lines.filter(|line| !line.starts_with("| at worst")) {
        let cell = line.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let tests: Vec<_> = name.captures_iter(cell).map(|found| found[1].to_owned()).collect();
        if tests.is_empty() && !cell.starts_with(OPEN) {
            broken.push(format!("no test, and no \"{OPEN}\": {line}"));
        }
        broken.extend(tests.iter().filter_map(|test| find(test).err()));
    }
    assert!(broken.is_empty(), "{PAGE}:\n{}", broken.join("\n"));
}

#[test]
fn the_threat_model_speaks_of_everybody() {
    let page = read(PAGE);
    for actor in ACTORS {
        assert!(page.contains(&format!("\n## {actor}\n")), "{PAGE} has no section for: {actor}");
    }
}
