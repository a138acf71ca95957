//! The reference against the reader: the same keys, the same defaults; and `routes.toml` itself.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::{GATEWAY, good, load, load_text, target};
use crate::ids::Fingerprint;
use crate::routes::page::Page;
use crate::routes::reference::{self, Kind, Section};
use crate::routes::{MemorySources, TargetStatus};

const ROUTES: &str = include_str!("../../../routes.toml");

/// The world of the demo: `routes.toml`, and the files that `certs/make.sh` makes.
fn demo() -> MemorySources {
    let fingerprint = |name: &str| format!("{}\n", Fingerprint::of_der(name.as_bytes()));
    ["edge.pem", "edge.key", "clients-ca.pem", "banks-ca.pem", "hub.pem", "hub.key"]
        .iter()
        .fold(MemorySources::default(), |world, name| world.present(&format!("certs/dev/{name}")))
        .file("certs/dev/CIDX0000000001.sha256", &fingerprint("1"))
        .file("certs/dev/CIDX0000000002.sha256", &fingerprint("2"))
        .file("routes.toml", ROUTES)
}

#[test]
fn the_file_at_the_top_level_loads_without_a_warning() {
    let loaded = load(&demo()).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(loaded.table.insecure_switches(), Vec::<String>::new());
    assert_eq!(loaded.table.clients.len(), 2);
    assert_eq!(loaded.table.certificates.len(), 2);
    let lakeside = &loaded.table.targets["IIDX00002"];
    assert_eq!(lakeside.paths.token.as_deref(), Some("/consent/v2/oauth/token"));
    assert_eq!(lakeside.paths.username, None);
    assert_eq!(lakeside.timeouts.first_byte, lakeside.timeouts.total);
    assert!(Arc::ptr_eq(&lakeside.tls, &loaded.table.targets["IIDX00001"].tls));
    assert_eq!(lakeside.status, TargetStatus::Active);
}

/// With every comment that looks like a key made into one, the file shows every key there is, and
/// the defaults it shows are the defaults.
#[test]
fn the_file_at_the_top_level_shows_every_key() {
    for section in reference::ALL {
        for row in section.rows {
            let shown =
                [format!("{} = ", row.key), format!(".{}]", row.key), format!("[{}]", row.key)]
                    .iter()
                    .any(|form| ROUTES.contains(form.as_str()));
            assert!(shown, "`{}` of `{}` is not in routes.toml", row.key, section.name);
            let Some(default) = row.kind.default_text() else { continue };
            let commented = format!("# {} = ", row.key);
            if let Some((_, after)) = ROUTES.split_once(&commented)
                && !matches!(row.key, "include" | "insecure_plain_listen" | "headers" | "dialect")
            {
                assert!(after.starts_with(&default), "`{}` is not {default}", row.key);
            }
        }
    }
}

/// A file that has every section, so that the reader asks for every key.
const EVERY_SECTION: &str = "
[[included]]
[gateway]
[gateway.tls]
[gateway.limits]
[gateway.access_log]
[[api]]
[[client]]
id = 'C'
limit = {}
[target_defaults]
[[target]]
id = 'T'
paths = {}
tls = {}
timeouts = {}
breaker = {}
probe = {}
maintenance = [{}]
limit = {}
answers = [{}]
[[target]]
dialect = 'oauth2'
oauth2 = { clients = { C = {} } }
[[target]]
dialect = 'flinks'
flinks = {}
[[target]]
dialect = 'konsentus'
konsentus = { ccg = {}, psp = { C = { ccg = {} } } }
[[target]]
dialect = 'oxlin'
oxlin = {}
";

#[test]
fn the_reader_asks_for_every_key_of_the_reference_and_no_other() {
    let sources = MemorySources::default();
    let page = Page::new(Arc::from(Path::new("routes.toml")), EVERY_SECTION, &sources);
    page.note_keys();
    let mut compile = |_: &str, _: &str| Err(Vec::new());
    crate::routes::load::read_operator_file(&page, &mut compile);
    let written: BTreeSet<_> = reference::ALL
        .iter()
        .flat_map(|section| section.rows.iter().map(|row| (section.name, row.key)))
        .collect();
    assert_eq!(page.asked(), written);
}

/// Every default of a section, as it would be written, inline.
fn defaults_of(section: &Section) -> String {
    let row =
        |row: &reference::Row| row.kind.default_text().map(|text| format!("{} = {text}", row.key));
    section.rows.iter().filter_map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn to_write_a_default_changes_nothing() {
    let name = |name: &str| reference::ALL.iter().find(|section| section.name == name).unwrap();
    let inline =
        |section: &str| format!("{{ {} }}", defaults_of(name(section)).replace('\n', ", "));
    let bare = good(&target("T", ""));
    let gateway = defaults_of(name("gateway")).replace("insecure_header_identity = false", "");
    let written = format!(
        "{}\n[gateway]\ninsecure_plain_listen = '127.0.0.1:8080'\ninsecure_header_identity = true\n\
         {gateway}\nlimits = {}\n[[api]]\ncontract = \"blink-fi\"\n{}\n[target_defaults]\n{}\n{}",
        defaults_of(name("")),
        inline("gateway.limits"),
        defaults_of(name("api")),
        defaults_of(name("target_defaults")),
        target(
            "T",
            &format!(
                "{}\npaths = {}\ntls = {}\ntimeouts = {}\nbreaker = {}",
                defaults_of(name("target")),
                inline("target.paths"),
                inline("target.tls"),
                inline("target.timeouts"),
                inline("target.breaker"),
            )
        ),
    );
    let written = load_text(&written).unwrap_or_else(|report| panic!("{report}\n{written}"));
    assert_eq!(written.table.gateway, bare.table.gateway);
    assert_eq!(written.table.targets, bare.table.targets);
    let [one, other] = [&written, &bare].map(|loaded| &loaded.table.apis[0]);
    assert_eq!(
        (one.query, one.authorization, one.strict_statuses, one.validate_token_response),
        (other.query, other.authorization, other.strict_statuses, other.validate_token_response),
    );
    assert_eq!(one.base_path, other.base_path);
}

#[test]
fn a_client_that_says_little_may_do_what_the_reference_says() {
    let loaded = good("[[client]]\nid = 'C'\ntargets = ['*']\n");
    let client = &loaded.table.clients["C"];
    let said = "certificates = []\nstatus = 'active'\nusername_on_refresh = 'required'\n";
    let loaded = good(&format!("[[client]]\nid = 'C'\ntargets = ['*']\n{said}"));
    assert_eq!(loaded.table.clients["C"], *client);
}

#[test]
fn a_target_takes_what_it_leaves_out_from_the_defaults() {
    let defaults = "[target_defaults]
timeouts = { first_byte = '7s', total = '9s' }
breaker = { failures = 3 }
limit = { rate = '7/s' }
http = '2'
concurrency = 5
";
    let loaded = good(&format!(
        "{defaults}{}{}",
        target("A", ""),
        target("B", "timeouts = { total = '2s' }\nbreaker = { open_for = '9s' }\nhttp = '1.1'"),
    ));
    let (a, b) = (&loaded.table.targets["A"], &loaded.table.targets["B"]);
    assert_eq!((a.timeouts.first_byte.as_secs(), a.timeouts.total.as_secs()), (7, 9));
    // B's own total is shorter than the first_byte that it leaves out.
    assert_eq!((b.timeouts.first_byte.as_secs(), b.timeouts.total.as_secs()), (2, 2));
    assert_eq!((b.breaker.failures.get(), b.breaker.open_for.as_secs()), (3, 9));
    assert_eq!(a.limit, b.limit);
    assert_eq!(a.concurrency.get(), 5);
    assert_ne!(a.http, b.http);
}

#[test]
fn the_markdown_has_a_row_for_each_key() {
    let markdown = reference::markdown();
    for section in reference::ALL {
        assert!(markdown.contains(&format!("### {}\n", section.heading)));
        for row in section.rows {
            assert!(markdown.contains(&format!("| `{}` | ", row.key)), "{}", row.key);
        }
    }
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    for line in markdown.lines().filter(|line| line.starts_with('|')) {
        assert_eq!(cells(line), 5, "{line}");
    }
}

#[test]
fn every_range_holds_its_default() {
    for row in reference::ALL.iter().flat_map(|section| section.rows) {
        match row.kind {
            Kind::Count { default: Some(default), min, max } => {
                assert!((min..=max).contains(&default), "{}", row.key);
            }
            Kind::Time { default_ms, min_ms, max_ms } => {
                assert!((min_ms..=max_ms).contains(&default_ms), "{}", row.key);
            }
            _ => {}
        }
    }
    assert!(load_text(GATEWAY).is_ok());
}
