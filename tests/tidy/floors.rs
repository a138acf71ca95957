//! The law of floors: imports run one way, downwards, and the rules know no engine.

use std::collections::BTreeMap;

use super::source::{Source, read, sources};

/// The engines that no rule may name, whatever Cargo.toml says about them.
const ENGINES: [&str; 7] = ["axum", "hyper", "pingora_core", "rustls", "tokio", "tower", "tracing"];
/// The first floor that may name what is optional in Cargo.toml.
const EDGE_FLOOR: u32 = 3;
/// The one file below the edge that reads files, behind a trait (`routes::Sources`).
const FILE_READER: &str = "src/routes/sources.rs";

/// Which floor a module stands on, from the table in `src/lib.rs`.
fn floors() -> BTreeMap<String, u32> {
    let mut floors = BTreeMap::new();
    for line in read("src/lib.rs").lines() {
        let cells: Vec<_> = line.trim_start_matches("//! ").split('|').map(str::trim).collect();
        let [_, floor, modules, ..] = cells[..] else { continue };
        let Ok(floor) = floor.parse() else { continue };
        for module in modules.split(',') {
            let module = module.trim().trim_matches(['[', ']', '`']).to_owned();
            floors.insert(module, floor);
        }
    }
    assert!(floors.len() > 10, "no table of floors in src/lib.rs");
    floors
}

/// The module of `src/lib.rs` that a file belongs to; none for `src/lib.rs` itself.
fn module_of(source: &Source) -> Option<&str> {
    let below = source.path.strip_prefix("src/")?;
    let module = below.split('/').next()?.trim_end_matches(".rs");
    (module != "lib").then_some(module)
}

/// The modules that a file names by their path from the crate's root.
fn named_modules(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for root in ["crate::", "corgate::"] {
        for (at, _) in code.match_indices(root) {
            let rest = &code[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(group) => named.extend(group_heads(group)),
                None => named.push(word(rest).to_owned()),
            }
        }
    }
    named
}

/// The first words of a group's members, `{` gone: of `a::{b, c}, d}` they are `a` and `d`.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut head_comes) = (0, Vec::new(), true);
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => head_comes = true,
            _ if head_comes && char.is_alphabetic() => {
                heads.push(word(&group[at..]).to_owned());
                head_comes = false;
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> &str {
    let end = text.find(|char: char| !char.is_alphanumeric() && char != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The crates that the `edge` and `sim` features bring, as code names them.
fn optional_crates() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let names = manifest.split("\"dep:").skip(1).filter_map(|rest| rest.split('"').next());
    names.map(|name| name.replace('-', "_")).collect()
}

/// Whether code names a crate: as the root of a path, not as a part of one.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let is_root = before.is_none_or(|char| !char.is_alphanumeric() && !"_:".contains(char));
        let after = &code[at + name.len()..];
        is_root && (after.starts_with("::") || after.starts_with(';'))
    })
}

/// The files of floors 0 to 2.
fn rules() -> Vec<Source> {
    let floors = floors();
    let is_rule = |source: &Source| {
        module_of(source).is_some_and(|module| floors.get(module) < Some(&EDGE_FLOOR))
    };
    sources(&["src"]).into_iter().filter(is_rule).collect()
}

#[test]
fn every_module_stands_on_one_floor() {
    let floors = floors();
    let lib = read("src/lib.rs");
    let modules: Vec<_> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    for module in &modules {
        assert!(floors.contains_key(*module), "`{module}` is in no row of src/lib.rs's table");
    }
    for module in floors.keys() {
        let known = modules.contains(&module.as_str()) || module == "main";
        assert!(known, "src/lib.rs's table names `{module}`, which there is not");
    }
}

#[test]
fn imports_run_downwards() {
    let floors = floors();
    let mut broken = Vec::new();
    for source in sources(&["src"]) {
        let Some(module) = module_of(&source) else { continue };
        let floor = floors[module];
        for named in named_modules(&source.code()) {
            if floors.get(&named).is_some_and(|above| *above > floor) {
                broken.push(format!("{} (floor {floor}) names {named}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "imports run one way, downwards:\n{}", broken.join("\n"));
}

#[test]
fn the_rules_name_no_engine() {
    let optional = optional_crates();
    for engine in ENGINES {
        assert!(optional.iter().any(|name| name == engine), "{engine} is not optional any more");
    }
    let mut broken = Vec::new();
    for source in rules() {
        let code = source.code();
        for name in optional.iter().filter(|name| names_crate(&code, name)) {
            broken.push(format!("{} names {name}", source.path));
        }
    }
    assert!(broken.is_empty(), "floors 0 to 2 build without the edge:\n{}", broken.join("\n"));
}

#[test]
fn the_rules_touch_nothing() {
    let mut broken = Vec::new();
    for source in rules().iter().filter(|source| !source.is_test()) {
        let code = source.code();
        // Tests at a file's end may have a clock; they are not part of the rules.
        let code = code.split("\nmod tests {").next().unwrap_or_default();
        for touch in [
            "std::fs",
            "std::process",
            "std::thread",
            "std::env",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "Instant::now",
            "SystemTime::now",
        ] {
            if code.contains(touch) && source.path != FILE_READER {
                broken.push(format!("{} names {touch}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "no files, sockets, threads or clocks:\n{}", broken.join("\n"));
}

#[test]
fn names_are_found_in_groups_and_paths() {
    let code = "use crate::{edge, routes::{a, b}, sim};\nlet x = crate::ids::Y;";
    assert_eq!(named_modules(code), ["edge", "routes", "sim", "ids"]);
    assert!(names_crate("use tokio::net;", "tokio"));
    assert!(!names_crate("use std::time::Duration;", "time"));
    assert!(!names_crate("mod my_tokio;", "tokio"));
}
