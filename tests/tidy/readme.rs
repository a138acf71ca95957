//! The law of README: what it says of keys, faults, fields and metrics is what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use corgate::contract::Contract;
use corgate::ids::Fingerprint;
use corgate::routes::reference::{self, Section};
use corgate::routes::{MemorySources, load_with};
use regex::Regex;

use super::source::{read, top};
use super::tables;

/// How to write the parts that are generated.
const UPDATE: &str = "UPDATE=1 cargo test --test tidy";

/// The part of README between two markers.
fn part<'r>(readme: &'r str, name: &str) -> &'r str {
    let (begin, end) = markers(name);
    tables::between(readme, &begin, &end)
}

fn markers(name: &str) -> (String, String) {
    (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"))
}

/// The rows of a part's table by their first cell, which is code; the other cells as they are.
fn rows(readme: &str, name: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for line in part(readme, name).lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned());
        let key = cells.next().unwrap_or_default().trim_matches('`').to_owned();
        assert!(rows.insert(key.clone(), cells.collect()).is_none(), "`{key}` stands twice");
    }
    rows
}

/// The parts that are generated: their names and what they must be.
fn generated() -> [(&'static str, String); 2] {
    [("routes", reference::markdown()), ("faults", faults_markdown())]
}

fn faults_markdown() -> String {
    let mut text = "| code | status | `error` | whose | `error_description` | when |\n\
                    |---|---|---|---|---|---|\n"
        .to_owned();
    for fault in tables::faults() {
        let tables::FaultRow { code, status, error, origin, sentence, meaning } = fault;
        // What follows a semicolon is for whoever reads the code: what the variant carries.
        let meaning = meaning.split(';').next().unwrap_or_default().trim_end_matches('.');
        text.push_str(&format!(
            "| `{code}` | {status} | `{error}` | {origin} | {sentence} | {meaning} |\n"
        ));
    }
    text
}

#[test]
fn generated_parts_are_up_to_date() {
    let mut readme = read("README.md");
    let mut stale = Vec::new();
    for (name, wanted) in generated() {
        let wanted = format!("\n{wanted}\n");
        let (begin, end) = markers(name);
        let there = part(&readme, name).to_owned();
        if there != wanted {
            stale.push(name);
            let (old, new) = (format!("{begin}{there}{end}"), format!("{begin}{wanted}{end}"));
            readme = readme.replace(&old, &new);
        }
    }
    if stale.is_empty() {
        return;
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(top().join("README.md"), readme).unwrap();
        return;
    }
    panic!("README's generated parts {stale:?} are out of date; write them with:  {UPDATE}");
}

#[test]
fn the_log_contract_has_every_field_and_its_type() {
    let readme = read("README.md");
    let written = rows(&readme, "fields");
    let fields = tables::access_fields();
    let names: BTreeSet<_> = fields.keys().collect();
    assert_eq!(written.keys().collect::<BTreeSet<_>>(), names, "README's fields of the access log");
    for (name, kind) in &fields {
        assert_eq!(written[name].first().map(String::as_str), Some(*kind), "the type of {name}");
    }
}

#[test]
fn every_metric_is_in_the_table_of_metrics() {
    let readme = read("README.md");
    let bare = |name: &String| {
        let name = name.strip_prefix("corgate_").unwrap_or_else(|| panic!("{name}: no prefix"));
        name.trim_end_matches("_total").to_owned()
    };
    let written: BTreeSet<_> = rows(&readme, "metrics").keys().map(bare).collect();
    assert_eq!(written, tables::metrics(), "README's metrics");
}

#[test]
fn the_table_of_limits_has_every_limit_and_its_default() {
    let readme = read("README.md");
    let written = rows(&readme, "limits");
    let limits: &Section =
        reference::ALL.iter().find(|section| section.name == "gateway.limits").unwrap();
    for row in limits.rows {
        let cells = written.get(row.key).unwrap_or_else(|| panic!("{} is not there", row.key));
        let default = row.kind.default_text().unwrap_or_default();
        let written = cells.first().map(|cell| cell.trim_matches('`'));
        assert_eq!(written, Some(&*default), "{}", row.key);
    }
}

#[test]
fn links_lead_to_files() {
    let link = Regex::new(r"\]\(([^)#:]+)(?:#[^)]*)?\)").unwrap();
    for page in [
        "README.md",
        ".github/CONTRIBUTING.md",
        "certs/README.md",
        "contracts/README.md",
        "contracts/DIALECTS.md",
        "docs/threat-model.md",
        "tests/README.md",
    ] {
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        for found in link.captures_iter(&read(page)) {
            let path = top().join(folder).join(&found[1]);
            assert!(path.exists(), "{page} links to {}, which there is not", &found[1]);
        }
    }
}

#[test]
fn make_has_the_targets_that_readme_names() {
    let makefile = read("Makefile");
    let command = Regex::new("`make ([a-z-]+)`").unwrap();
    for found in command.captures_iter(&read("README.md")) {
        assert!(makefile.contains(&format!("\n{}:", &found[1])), "`make {}`", &found[1]);
    }
}

#[test]
fn routes_toml_at_the_top_level_loads() {
    let text = read("routes.toml");
    let mentioned = Regex::new(r"certs/dev/([A-Za-z0-9.-]+)").unwrap();
    let mut world = MemorySources::default().file("routes.toml", &text);
    for file in mentioned.captures_iter(&text) {
        world = if file[1].ends_with(".sha256") {
            let fingerprint = Fingerprint::of_der(file[1].as_bytes());
            world.file(&file[0], &fingerprint.to_string())
        } else {
            world.present(&file[0])
        };
        // What it names is what the script makes.
        let made = read("certs/README.md").replace("000000000N", "0000000001");
        let name = file[1].replace("0000000002", "0000000001");
        assert!(made.contains(&format!("`{name}`")), "certs/README.md does not know {name}");
    }
    let loaded = load_with("routes.toml".as_ref(), &world, &mut Contract::compile);
    let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty() && loaded.quarantined.is_empty(), "{}", loaded.warnings);
}
