//! Files of banks: what their writer can reach, with and without the operator's grant.

use super::{GATEWAY, load, target};
use crate::routes::{Loaded, MemorySources};

/// A world with secrets of the hub and of two banks. `grant` are lines of an `[[included]]`.
fn world(grant: &str, file: &str, text: &str) -> MemorySources {
    let grant = if grant.is_empty() { String::new() } else { format!("[[included]]\n{grant}\n") };
    MemorySources::default()
        .with_variable("HUB_KEY", "of-the-hub")
        .with_variable("BANK_a_KEY", "of-a")
        .with_variable("BANK_ab_KEY", "of-ab")
        .file("edge.key", "of-the-hub")
        .file("secrets/a/key", "of-a")
        .file("secrets/b/key", "of-b")
        .present("secrets/a/ca.pem")
        .present("certs/hub.pem")
        .present("certs/hub.key")
        .file(&format!("routes.d/{file}"), text)
        .file("routes.toml", &format!("include = ['routes.d/*.toml']\n{GATEWAY}{grant}"))
}

fn loaded(grant: &str, file: &str, lines: &str) -> Loaded {
    load(&world(grant, file, &target("A", lines))).unwrap_or_else(|report| panic!("{report}"))
}

/// What is wrong with a file; nothing where it is taken.
fn problems(grant: &str, file: &str, lines: &str) -> String {
    let loaded = loaded(grant, file, lines);
    let shown = loaded.quarantined.iter().map(|file| file.report.to_string());
    let shown = shown.collect::<String>();
    for secret in ["of-the-hub", "of-a", "of-b"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert_eq!(shown.is_empty(), loaded.table.targets.contains_key("A"), "{shown}");
    shown
}

fn header(value: &str) -> String {
    format!("headers = {{ X-Key = '{value}' }}")
}

#[test]
fn a_banks_file_reads_no_secret_that_is_not_granted() {
    for value in [
        "${env:HUB_KEY}",
        "${env:BANK_a_KEY}",
        "${file:../edge.key}",
        "${file:edge.key}",
        "${file:/proc/self/environ}",
        "${file:/proc/kmsg}",
        "${file:../secrets/a/key}",
        "x ${env:HUB_KEY}",
    ] {
        let shown = problems("", "a.toml", &header(value));
        assert!(shown.contains("`[[included]]` grants it to this file"), "{value}: {shown}");
    }
    let dialect = |secret: &str| {
        format!("dialect = 'oxlin'\noxlin = {{ client_id = 'c', client_secret = '{secret}' }}")
    };
    for secret in ["${env:HUB_KEY}", "${file:../edge.key}"] {
        assert!(problems("", "a.toml", &dialect(secret)).contains("grants it"));
    }
    let body = "dialect = 'konsentus'\nkonsentus = { basic = '${env:BANK_a_KEY}', \
                fi_reference_id = 'x', ccg = { body = '${env:HUB_KEY}' } }";
    let shown = problems("env_prefix = 'BANK_{stem}_'", "a.toml", body);
    assert!(shown.contains("`HUB_KEY` is not this file's"), "{shown}");
}

#[test]
fn a_granted_secret_is_of_this_bank_alone() {
    let env = "env_prefix = 'BANK_{stem}_'";
    assert_eq!(problems(env, "a.toml", &header("${env:BANK_a_KEY}")), "");
    // The prefix of one bank is not the beginning of another one's.
    for name in ["BANK_ab_KEY", "BANK_a_", "BANK_a", "HUB_KEY", "bank_a_KEY"] {
        let shown = problems(env, "a.toml", &header(&format!("${{env:{name}}}")));
        assert!(shown.contains("its own begin with `BANK_a_`"), "{name}: {shown}");
    }
    for file in ["a_b.toml", "a-b.toml", "a.b.toml"] {
        let shown = problems(env, file, &header("${env:BANK_a_KEY}"));
        assert!(shown.contains("letters and digits alone"), "{file}: {shown}");
    }
    let folder = "folder = 'secrets/{stem}'";
    assert_eq!(problems(folder, "a.toml", &header("${file:key}")), "");
    let value =
        loaded(folder, "a.toml", &header("${file:key}")).table.targets["A"].headers[0].1.clone();
    assert_eq!(value, "of-a");
    for name in ["../b/key", "../../edge.key", "/proc/self/environ", "secrets/a/key", "", "."] {
        assert_ne!(problems(folder, "a.toml", &header(&format!("${{file:{name}}}"))), "", "{name}");
    }
    // A grant for other files is none for this one, and the first that fits holds.
    let others = format!("files = ['b*.toml', 'c.toml']\n{folder}");
    assert!(problems(&others, "a.toml", &header("${file:key}")).contains("grants it"));
    let second = format!("files = ['a.toml']\n[[included]]\n{folder}");
    assert!(problems(&second, "a.toml", &header("${file:key}")).contains("grants it"));
}

#[test]
fn a_banks_file_names_no_certificate_that_is_not_granted() {
    let shown = problems("", "a.toml", "tls = { ca = '../certs/hub.pem' }");
    assert!(shown.contains("`folder` of an `[[included]]`"), "{shown}");
    let hubs = "tls = { cert = '../../certs/hub.pem', key = '../../certs/hub.key' }";
    let folder = "folder = 'secrets/{stem}'";
    assert!(problems(folder, "a.toml", hubs).contains("leads out of the folder"));
    assert_eq!(problems(folder, "a.toml", "tls = { ca = 'ca.pem' }"), "");
    let table = loaded(folder, "a.toml", "tls = { ca = 'ca.pem' }").table;
    let ca = table.targets["A"].tls.ca.clone().unwrap();
    assert_eq!(ca, std::path::Path::new("secrets/a/ca.pem"));
}

#[test]
fn a_banks_file_has_no_insecure_switch_that_is_not_granted() {
    let plain = "insecure_plain_upstream = true";
    let private = "allow_private_addresses = true";
    for (switch, more) in [(plain, ""), (private, "")] {
        let shown = problems("", "a.toml", &format!("{switch}\n{more}"));
        assert!(shown.contains("is not granted to this file"), "{shown}");
        assert_eq!(problems(switch, "a.toml", switch), "");
    }
    let at = |upstream: &str, more: &str| {
        format!("[[target]]\nid = 'A'\nupstream = '{upstream}'\n{more}\n")
    };
    let world = |grant: &str, text: &str| load(&world(grant, "a.toml", text)).unwrap();
    assert_eq!(world("", &at("http://bank.example", plain)).quarantined.len(), 1);
    assert_eq!(world(plain, &at("http://bank.example", plain)).quarantined.len(), 0);
    for host in ["10.0.0.1", "169.254.169.254", "localhost", "192.0.0.8", "[64:ff9b::a00:1]"] {
        let text = at(&format!("https://{host}"), private);
        assert_eq!(world("", &text).quarantined.len(), 1, "{host}");
        assert_eq!(world(private, &text).quarantined.len(), 0, "{host}");
    }
}

#[test]
fn no_target_is_the_gateway_itself_whatever_is_granted() {
    let listen = |text: &str| {
        format!(
            "[gateway]\ninsecure_plain_listen = ['0.0.0.0:8080', '192.0.2.1:8081']\n\
             insecure_header_identity = true\n[[api]]\ncontract = 'blink-fi'\n[[target]]\n\
             id = 'T'\nallow_private_addresses = true\ninsecure_plain_upstream = true\n\
             upstream = '{text}'\n"
        )
    };
    for own in [
        "http://127.0.0.1:9443",
        "http://localhost:9443",
        "http://x.localhost:9443",
        "http://[::ffff:7f00:1]:9443",
        "http://0.0.0.0:9443",
        "http://[::]:9443",
        "https://127.0.0.1:8080",
        "https://127.0.0.5:8080",
        "https://192.0.2.1:8081",
    ] {
        let report = super::load_text(&listen(own)).unwrap_err().to_string();
        assert!(report.contains("is the gateway itself"), "{own}: {report}");
    }
    for other in ["http://127.0.0.1:9444", "http://192.0.2.2:8081", "http://127.0.0.1:8081"] {
        super::load_text(&listen(other)).unwrap_or_else(|report| panic!("{other}: {report}"));
    }
}

#[test]
fn a_banks_file_takes_no_more_of_what_all_share_than_a_bank_needs() {
    for (lines, key) in [
        ("concurrency = 100000", "concurrency"),
        ("timeouts = { total = '5m' }", "timeouts"),
        ("idle_connections_max = 10000", "idle_connections_max"),
        ("response_bytes_max = 67108864", "response_bytes_max"),
        ("probe = { after = '100ms' }", "probe"),
    ] {
        let shown = problems("", "a.toml", lines);
        assert!(shown.contains(&format!("`{key}` is more than is granted")), "{shown}");
        assert_eq!(problems("wide_limits = true", "a.toml", lines), "");
    }
    let fits = "concurrency = 1024\ntimeouts = { total = '60s' }\nidle_connections_max = 256\n\
                response_bytes_max = 8388608\nprobe = { after = '5s' }";
    assert_eq!(problems("", "a.toml", fits), "");
    // What the operator gives to all, a bank may have.
    let defaults = "files = ['none']\n[target_defaults]\nconcurrency = 5000";
    assert_eq!(problems(defaults, "a.toml", "concurrency = 5000"), "");
    assert_ne!(problems(defaults, "a.toml", "concurrency = 5001"), "");
}

#[test]
fn a_banks_file_has_a_bound_on_its_length_and_its_targets() {
    let targets = |count: usize| {
        (0..count).map(|number| target(&format!("T{number}"), "")).collect::<String>()
    };
    let count = |grant: &str, text: &str| {
        let loaded = load(&world(grant, "a.toml", text)).unwrap();
        (loaded.table.targets.len(), loaded.quarantined.len())
    };
    assert_eq!(count("", &targets(1_000)), (1_000, 0));
    assert_eq!(count("", &targets(1_001)), (0, 1));
    assert_eq!(count("targets_max = 1001", &targets(1_001)), (1_001, 0));
    let padded =
        |bytes: usize| format!("{}#{}", targets(1), " ".repeat(bytes - targets(1).len() - 1));
    assert_eq!(count("", &padded(1_048_576)), (1, 0));
    assert_eq!(count("", &padded(1_048_577)), (0, 1));
}

#[test]
fn a_banks_file_has_the_ids_that_are_granted() {
    let ids = "ids = ['{stem}-*', 'A']";
    assert_eq!(problems(ids, "a.toml", ""), "");
    let file = |id: &str| load(&world(ids, "alpine.toml", &target(id, ""))).unwrap();
    assert!(file("alpine-1").quarantined.is_empty());
    // A name that would be a pattern itself grants nothing.
    assert_eq!(load(&world(ids, "*.toml", &target("x-1", ""))).unwrap().quarantined.len(), 1);
    for id in ["B", "alpine", "other-1"] {
        let shown = file(id).quarantined[0].report.to_string();
        assert!(shown.contains("is not granted to this file"), "{shown}");
    }
}

/// What a stranger writes costs what it is long, not the square of it.
#[test]
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn a_file_of_a_mebibyte_costs_no_more_than_a_moment() {
    let list = |item: &dyn Fn(usize) -> String, count: usize| {
        (0..count).map(item).collect::<Vec<_>>().join(", ")
    };
    let upstreams = list(&|n| format!("'https://a{n}.b'"), 50_000);
    let headers = list(&|n| format!("a{n} = '1'"), 70_000);
    let windows =
        list(&|n| format!("{{ day = 'monday', from = '00:00', to = '{:02}:01' }}", n % 24), 20_000);
    let answers =
        list(&|_| "{ status = 401, becomes = 400, error = 'invalid_grant' }".to_owned(), 18_000);
    let references = "${env:BANK_a_KEY}".repeat(55_000);
    let deep = |open: &str, close: &str, count: usize| {
        format!("x = {}{}", open.repeat(count), close.repeat(count))
    };
    for text in [
        target("A", "")
            .replace("upstream = \"https://A.example\"", &format!("upstream = [{upstreams}]")),
        target("A", &format!("headers = {{ {headers} }}")),
        target("A", &format!("maintenance = [{windows}]")),
        target(
            "A",
            &format!("dialect = 'flinks'\nflinks = {{ client_id = 'x' }}\nanswers = [{answers}]"),
        ),
        target("A", &header(&references)),
        (0..15_000).map(|_| target("A", "")).collect(),
        deep("[", "]", 500_000),
        deep("{a=", "}", 200_000),
        format!("{} = 1", vec!["a"; 500_000].join(".")),
        format!("[{}]", vec!["a"; 500_000].join(".")),
        "[a]\n".repeat(250_000),
        "= =\n".repeat(250_000),
    ] {
        assert!(text.len() <= 1_048_576, "{}", text.len());
        let begun = std::time::Instant::now();
        let loaded = load(&world("env_prefix = 'BANK_{stem}_'", "a.toml", &text)).unwrap();
        assert_eq!(loaded.quarantined.len(), 1, "{}", &text[..100]);
        let spent = begun.elapsed();
        assert!(spent.as_secs() < 20, "{spent:?}: {}", &text[..100]);
    }
}
