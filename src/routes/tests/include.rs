//! Files of banks: what they may say, and that a broken one falls alone.

use std::path::Path;

use super::{GATEWAY, load, target};
use crate::ids::TargetId;
use crate::routes::{Loaded, MemorySources, Severity};

fn world(operator: &str, files: &[(&str, &str)]) -> MemorySources {
    let text = format!("include = ['routes.d/*.toml']\n{GATEWAY}{operator}");
    files
        .iter()
        .fold(MemorySources::default(), |world, (name, text)| world.file(name, text))
        .file("routes.toml", &text)
}

fn loaded(operator: &str, files: &[(&str, &str)]) -> Loaded {
    load(&world(operator, files)).unwrap_or_else(|report| panic!("{report}"))
}

fn ids(loaded: &Loaded) -> Vec<&str> {
    let mut ids: Vec<_> = loaded.table.targets.keys().map(TargetId::as_str).collect();
    ids.sort_unstable();
    ids
}

fn quarantined(loaded: &Loaded) -> Vec<&str> {
    loaded.quarantined.iter().map(|broken| broken.file.to_str().unwrap()).collect()
}

#[test]
fn a_file_of_targets_is_included() {
    let (a, b) = (target("A", ""), target("B", ""));
    let files = [("routes.d/a.toml", &*a), ("routes.d/b.toml", &*b), ("routes.d/x.bak", "]")];
    let loaded = loaded("", &files);
    assert_eq!(ids(&loaded), ["A", "B"]);
    assert_eq!(&*loaded.table.targets["A"].source, Path::new("routes.d/a.toml"));
    assert!(loaded.quarantined.is_empty() && loaded.warnings.is_empty());
}

#[test]
fn a_broken_file_is_set_aside_alone() {
    let good = target("GOOD", "");
    for broken in [
        "this is no TOML",
        "[[target]]\nid = 'HALF'\n",
        "[gateway]\nlisten = '0.0.0.0:1'\n",
        "include = ['../more.toml']\n",
        "[[client]]\nid = 'C'\ntargets = ['*']\n",
        "[target_defaults]\nconcurrency = 1\n",
        "[[target]]\nid = 'OK'\nupstream = 'https://ok.example'\n[[target]]\nid = 'HALF'\n",
        "unknown = 1\n",
    ] {
        let loaded = loaded("", &[("routes.d/a.toml", broken), ("routes.d/b.toml", &good)]);
        assert_eq!(ids(&loaded), ["GOOD"], "{broken}");
        assert_eq!(quarantined(&loaded), ["routes.d/a.toml"], "{broken}");
        assert!(loaded.quarantined[0].report.errors() > 0);
    }
}

#[test]
fn a_file_that_is_named_and_missing_is_set_aside() {
    let text = format!("include = ['bank.toml']\n{GATEWAY}");
    let loaded = load(&MemorySources::default().file("routes.toml", &text)).unwrap();
    assert_eq!(quarantined(&loaded), ["bank.toml"]);
}

#[test]
fn a_pattern_that_fits_nothing_is_a_warning() {
    let loaded = loaded("", &[]);
    assert_eq!(loaded.warnings.errors(), 0);
    assert!(loaded.warnings.to_string().contains("no file fits"), "{}", loaded.warnings);
}

#[test]
fn the_including_file_does_not_include_itself() {
    let text = format!("include = ['*.toml', 'a.toml']\n{GATEWAY}");
    let world =
        MemorySources::default().file("routes.toml", &text).file("a.toml", &target("A", ""));
    let loaded = load(&world).unwrap();
    assert_eq!(ids(&loaded), ["A"]);
    assert!(loaded.quarantined.is_empty());
}

#[test]
fn the_operators_target_can_not_be_taken() {
    let mine = target("MINE", "");
    let loaded = loaded(&mine, &[("routes.d/thief.toml", &mine)]);
    assert_eq!(ids(&loaded), ["MINE"]);
    assert_eq!(&*loaded.table.targets["MINE"].source, Path::new("routes.toml"));
    assert_eq!(quarantined(&loaded), ["routes.d/thief.toml"]);
}

#[test]
fn of_two_files_that_claim_an_id_neither_is_believed() {
    let (one, two, three) = (target("ID", ""), target("ID", "name = 'x'"), target("OTHER", ""));
    let files =
        [("routes.d/1.toml", &*one), ("routes.d/2.toml", &*two), ("routes.d/3.toml", &*three)];
    let loaded = loaded("", &files);
    assert_eq!(ids(&loaded), ["OTHER"]);
    assert_eq!(quarantined(&loaded), ["routes.d/1.toml", "routes.d/2.toml"]);
    // A claim counts even where the rest of the entry is wrong.
    let half = [("routes.d/1.toml", "[[target]]\nid = 'ID'\n"), ("routes.d/2.toml", &*two)];
    assert_eq!(ids(&self::loaded("", &half)), Vec::<&str>::new());
}

#[test]
fn the_operators_file_stands_when_a_client_names_a_target_that_was_set_aside() {
    let client = "[[client]]\nid = 'C'\ntargets = ['LOST', 'HALF']\ndefault_target = 'LOST'\n";
    let broken = [("routes.d/a.toml", "[[target]]\nid = 'HALF'\n")];
    let loaded = loaded(client, &broken);
    let warnings: Vec<_> =
        loaded.warnings.problems.iter().map(|p| (p.severity, &*p.what)).collect();
    assert_eq!(warnings, [(Severity::Warning, "there is no target `LOST`")]);
    // With every file in order it is a mistake.
    let good = target("LOSS", "");
    let report = load(&world(client, &[("routes.d/a.toml", &good)])).unwrap_err();
    assert!(report.to_string().contains("did you mean `LOSS`?"), "{report}");
    assert_eq!(report.errors(), 2);
}

#[test]
fn a_broken_operators_file_is_reported_together_with_the_banks_files() {
    let report = load(&world("oops = 1", &[("routes.d/a.toml", "oops = 1")])).unwrap_err();
    let files: Vec<_> = report.problems.iter().map(|p| p.file.to_str().unwrap()).collect();
    assert_eq!(files, ["routes.toml", "routes.d/a.toml"]);
}

#[test]
fn the_last_good_entry_stays() {
    let (a, b) = (target("A", "concurrency = 1"), target("B", ""));
    let before = loaded("", &[("routes.d/a.toml", &a), ("routes.d/b.toml", &b)]).table;
    let path = Path::new("routes.toml");
    let keep = |operator: &str, files: &[(&str, &str)]| {
        let mut now = loaded(operator, files);
        let kept = now.keep_last_good(path, &before);
        let kept: Vec<_> = kept.iter().map(ToString::to_string).collect();
        (now, kept)
    };
    // Broken: its entry stays, the other file reloads.
    let b_new = target("B", "concurrency = 9");
    let (now, kept) = keep("", &[("routes.d/a.toml", "oops"), ("routes.d/b.toml", &b_new)]);
    assert_eq!(kept, ["A"]);
    assert_eq!(now.table.targets["A"], before.targets["A"]);
    assert_eq!(now.table.targets["B"].concurrency.get(), 9);
    // Removed, not broken: gone.
    let (now, kept) = keep("", &[("routes.d/b.toml", &b)]);
    assert_eq!((ids(&now), kept.len()), (vec!["B"], 0));
    // Another bank's file can't take the id while its owner's is broken; the operator can.
    let thief = target("A", "concurrency = 7");
    let (now, kept) = keep("", &[("routes.d/a.toml", "oops"), ("routes.d/b.toml", &thief)]);
    assert_eq!(kept, ["A"]);
    assert_eq!(now.table.targets["A"].concurrency.get(), 1);
    let (now, kept) = keep(&thief, &[("routes.d/a.toml", "oops"), ("routes.d/b.toml", &b)]);
    assert_eq!(kept, Vec::<String>::new());
    assert_eq!(now.table.targets["A"].concurrency.get(), 7);
}
