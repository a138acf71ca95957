//! The law of the fault matrix: each row of `tests/faults.toml` names tests that exist, or says why
//! there is none; the table of `tests/README.md` is what it says.

use std::fmt::Write as _;
use std::fs;

use regex::Regex;
use serde_json::Value;

use super::source::{read, top};
use super::tables::between;

const PAGE: &str = "tests/README.md";
const BEGIN: &str = "<!-- faults:begin -->\n";
const END: &str = "<!-- faults:end -->";

/// One row.
struct Row {
    group: String,
    fault: String,
    inject: String,
    promise: String,
    tests: Vec<String>,
    open: Option<String>,
}

fn rows() -> Vec<Row> {
    let file: toml::Table = read("tests/faults.toml").parse().unwrap();
    let file = serde_json::to_value(file).unwrap();
    let rows = file.get("fault").and_then(Value::as_array).unwrap();
    let rows: Vec<Row> = rows.iter().map(row).collect();
    assert!(rows.len() > 40, "the matrix has {} rows", rows.len());
    rows
}

fn row(value: &Value) -> Row {
    let text = |key: &str| {
        value.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("no {key}: {value}"))
    };
    Row {
        group: text("group").to_owned(),
        fault: text("fault").to_owned(),
        inject: text("inject").to_owned(),
        promise: text("promise").to_owned(),
        tests: serde_json::from_value(value.get("tests").unwrap().clone()).unwrap(),
        open: value.get("open").and_then(Value::as_str).map(str::to_owned),
    }
}

/// The file that a test is in, and its name.
fn place(test: &str) -> (String, &str) {
    let (module, name) = test.rsplit_once("::").unwrap_or_else(|| panic!("{test}: no module"));
    let is_path = module.contains('/');
    (if is_path { module.to_owned() } else { format!("tests/it/{module}.rs") }, name)
}

/// Whether a test exists; else its name, and the file that should have it.
pub(super) fn find(test: &str) -> Result<(), String> {
    let (file, name) = place(test);
    let text = fs::read_to_string(top().join(&file)).unwrap_or_default();
    // A function, or a row of a macro that makes one.
    let defined = Regex::new(&format!(r"(?m)(fn {name}\(|^ *{name}:)")).unwrap();
    let missing = || format!("{test}, which {file} does not have");
    defined.is_match(&text).then_some(()).ok_or_else(missing)
}

#[test]
fn each_row_of_the_matrix_has_tests_that_exist_or_says_why_not() {
    let mut broken = Vec::new();
    for row in rows() {
        if row.tests.is_empty() && row.open.is_none() {
            broken.push(format!("`{}` has no test and does not say why", row.fault));
        }
        for test in &row.tests {
            if let Err(missing) = find(test) {
                broken.push(format!("`{}` names {missing}", row.fault));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn markdown() -> String {
    let mut text = String::new();
    let mut group = String::new();
    for row in rows() {
        if row.group != group {
            group.clone_from(&row.group);
            write!(text, "\n### {group}\n\n").unwrap();
            text.push_str("| fault | how it is made | promise | tests |\n|---|---|---|---|\n");
        }
        let tests: Vec<_> = row.tests.iter().map(|test| format!("`{test}`")).collect();
        let open = row.open.map(|why| format!("({why})"));
        let cell = tests.into_iter().chain(open).collect::<Vec<_>>().join("<br>");
        let Row { fault, inject, promise, .. } = row;
        writeln!(text, "| {fault} | {inject} | {promise} | {cell} |").unwrap();
    }
    text
}

#[test]
fn the_table_of_faults_is_up_to_date() {
    let page = read(PAGE);
    let (there, wanted) = (between(&page, BEGIN, END), format!("{}\n", markdown()));
    if there == wanted {
        return;
    }
    if std::env::var_os("UPDATE").is_some() {
        let (old, new) = (format!("{BEGIN}{there}{END}"), format!("{BEGIN}{wanted}{END}"));
        fs::write(top().join(PAGE), page.replace(&old, &new)).unwrap();
        return;
    }
    panic!("{PAGE} is out of date; write it with:  UPDATE=1 cargo test --test tidy");
}
