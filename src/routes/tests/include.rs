//! Files of banks: what they may say, and that a broken one falls alone.

use std::path::Path;
use std::sync::Arc;

use super::{GATEWAY, load, no_operations, target};
use crate::ids::TargetId;
use crate::routes::load::load_all;
use crate::routes::{Before, Loaded, MemorySources, Severity};

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
fn a_file_whose_name_would_forge_a_line_of_the_log_is_left_out() {
    let (a, b) = (target("A", ""), target("B", ""));
    let forged = "routes.d/a\n2026-01-01 INFO all is well.toml";
    let loaded = loaded("", &[(forged, &a), ("routes.d/b.toml", &b)]);
    assert_eq!(ids(&loaded), ["B"]);
    let warned = loaded.warnings.to_string();
    assert!(warned.contains("left out") && !warned.contains("all is well"), "{warned}");
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

/// What is known of the files as they were: by their texts, as a new process knows it.
struct Texts(Vec<(&'static str, String)>);

impl Before for Texts {
    fn owner(&self, _: &TargetId) -> Option<Arc<Path>> {
        None
    }

    fn text(&self, file: &Path) -> Option<String> {
        let known = self.0.iter().find(|(name, _)| Path::new(name) == file);
        known.map(|(_, text)| text.clone())
    }
}

/// Loads what a new process would serve.
fn loaded_after(operator: &str, files: &[(&str, &str)], before: &[(&'static str, &str)]) -> Loaded {
    let texts = || before.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    let world = world(operator, files);
    let loaded =
        load_all("routes.toml".as_ref(), &world, &mut no_operations, &|_| Box::new(Texts(texts())));
    loaded.unwrap_or_else(|report| panic!("{report}"))
}

fn kept(loaded: &Loaded) -> Vec<&str> {
    loaded.kept.iter().map(TargetId::as_str).collect()
}

#[test]
fn a_new_process_serves_a_broken_file_as_it_was_when_it_was_good() {
    let (old, b) = (target("A", "concurrency = 1"), target("B", ""));
    let before = [("routes.d/a.toml", &*old), ("routes.d/b.toml", &*b)];
    for broken in ["oops", "[[target]]\nid = 'A'\n", "", "[[target]]\nid = 'OTHER'\n"] {
        let files = [("routes.d/a.toml", broken), ("routes.d/b.toml", &*b)];
        let now = loaded_after("", &files, &before);
        if broken.is_empty() {
            // It is not broken: it holds no target any more.
            assert_eq!((ids(&now), kept(&now).len()), (vec!["B"], 0));
            continue;
        }
        assert_eq!((ids(&now), kept(&now)), (vec!["A", "B"], vec!["A"]), "{broken}");
        assert_eq!(now.table.targets["A"].concurrency.get(), 1);
        assert_eq!(&*now.table.targets["A"].source, Path::new("routes.d/a.toml"));
        assert_eq!(now.kept_of(Path::new("routes.d/a.toml")), ["A"]);
        assert_eq!(quarantined(&now), ["routes.d/a.toml"]);
        let good: Vec<_> = now.good.iter().map(|(file, _)| &**file).collect();
        assert_eq!(good, [Path::new("routes.d/b.toml")]);
    }
    // The operator may have taken the id, and has the last word.
    let mine = target("A", "concurrency = 9");
    let now = loaded_after(&mine, &[("routes.d/a.toml", "oops")], &before);
    assert_eq!((ids(&now), kept(&now).len()), (vec!["A"], 0));
    assert_eq!(now.table.targets["A"].concurrency.get(), 9);
}

#[test]
fn what_is_kept_is_read_by_todays_rules() {
    for old in [
        "nonsense",
        "[gateway]\nlisten = '0.0.0.0:1'\n",
        "[[client]]\nid = 'THIEF'\ntargets = ['*']\n",
        &target("A", "allow_private_addresses = true"),
        &target("A", "headers = { X = '${env:HUB_KEY}' }"),
    ] {
        let now = loaded_after("", &[("routes.d/a.toml", "oops")], &[("routes.d/a.toml", old)]);
        assert_eq!((ids(&now), kept(&now).len()), (Vec::new(), 0), "{old}");
        assert_eq!(quarantined(&now), ["routes.d/a.toml"]);
        assert!(now.table.clients.is_empty());
    }
}

#[test]
fn an_id_stays_with_the_file_that_had_it() {
    let (a, b) = (target("A", ""), target("B", ""));
    let thief = format!("{}{b}", target("A", "concurrency = 7"));
    let before = [("routes.d/a.toml", &*a), ("routes.d/b.toml", &*b)];
    // Both ways of knowing it: a table that serves, and the texts that a process has left.
    let table = loaded("", &before).table;
    let by_table = |files: &[(&str, &str)]| {
        let mut now =
            load_all("routes.toml".as_ref(), &world("", files), &mut no_operations, &|_| {
                Box::new(&table)
            })
            .unwrap_or_else(|report| panic!("{report}"));
        now.kept = now.keep_last_good(Path::new("routes.toml"), &table);
        now
    };
    let by_text = |files: &[(&str, &str)]| loaded_after("", files, &before);
    for load in [&by_table as &dyn Fn(&[(&str, &str)]) -> Loaded, &by_text] {
        // The newcomer claims it beside its owner, or while its owner is broken. It is set aside,
        // and serves as it did before.
        for owners in [&*a, "oops", "[[target]]\nid = 'A'\n"] {
            let now = load(&[("routes.d/a.toml", owners), ("routes.d/b.toml", &thief)]);
            assert_eq!(ids(&now), ["A", "B"], "{owners}");
            assert_eq!(&*now.table.targets["A"].source, Path::new("routes.d/a.toml"));
            assert_ne!(now.table.targets["A"].concurrency.get(), 7);
            let aside = now.quarantined.iter().find(|f| f.file.ends_with("b.toml")).unwrap();
            let told = aside.report.to_string();
            assert!(told.contains("`A` is in `routes.d/a.toml`, which had it before"), "{told}");
            let broken = usize::from(owners != a);
            assert_eq!(now.quarantined.len(), 1 + broken, "{owners}");
            assert!(kept(&now).contains(&"B"), "{owners}");
        }
        // A new file that was never good comes to nothing, and nobody else is touched.
        let new = [before[0], before[1], ("routes.d/0.toml", &*thief)];
        let now = load(&new);
        assert_eq!((ids(&now), quarantined(&now)), (vec!["A", "B"], vec!["routes.d/0.toml"]));
        // Who gives an id back, or is gone, has no claim.
        let now = load(&[("routes.d/a.toml", ""), ("routes.d/b.toml", &thief)]);
        assert_eq!((ids(&now), now.quarantined.len()), (vec!["A", "B"], 0));
        let now = load(&[("routes.d/b.toml", &thief)]);
        assert_eq!((ids(&now), now.quarantined.len()), (vec!["A", "B"], 0));
    }
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
