//! What two tables differ in: every key by its name, and no secret.

use super::{GATEWAY, good, load, load_text, target};
use crate::routes::{CHANGES_MAX, Diff, MemorySources, RouteTable};

fn table(text: &str) -> RouteTable {
    good(text).table
}

fn diff(old: &str, new: &str) -> String {
    Diff::between(&table(old), &table(new)).to_string()
}

#[test]
fn a_table_does_not_differ_from_itself() {
    let text = target("T", "headers = { A = 'x' }");
    assert_eq!(diff(&text, &text), "");
    let both = Diff::between(&table(&text), &table(&text));
    assert!(both.is_empty() && !both.takes_effect());
}

#[test]
fn parties_come_and_go() {
    let client = "[[client]]\nid = 'C'\ntargets = ['*']\n";
    let (old, new) = (target("A", ""), format!("{client}{}", target("B", "")));
    assert_eq!(diff(&old, &new), "+ client C\n- target A\n+ target B\n");
    assert_eq!(diff(&new, &old), "- client C\n+ target A\n- target B\n");
}

#[test]
fn keys_are_told_one_by_one() {
    let old = target("T", "timeouts = { total = '8s' }\nlimit = { rate = '5/s', burst = 9 }");
    let new = target("T", "name = 'Bank'\ntimeouts = { total = '9s' }\nstatus = 'maintenance'");
    assert_eq!(
        diff(&old, &new),
        "~ target T\n    name: (not set) -> Bank\n    timeouts.total: 8s -> 9s\n    \
         status: active -> maintenance\n    maintenance_retry_after: (not set) -> 1m\n    \
         limit: 5 in 1s, burst 9 -> (not set)\n"
    );
    let old = "[[client]]\nid = 'C'\ntargets = ['*']\n";
    let new = "[[client]]\nid = 'C'\ntargets = ['T']\nstatus = 'suspended'\n";
    let bank = target("T", "");
    assert_eq!(
        diff(&format!("{old}{bank}"), &format!("{new}{bank}")),
        "~ client C\n    targets: * -> T\n    status: active -> suspended\n"
    );
}

#[test]
fn every_dialect_has_its_keys_and_hides_its_secrets() {
    let settings = |secret: &str, more: &str| {
        [
            format!(
                "dialect = 'oauth2'\n[target.oauth2]\nclient_id = 'hub'\n\
                 client_secret = '${{env:{secret}}}'\n{more}"
            ),
            format!(
                "dialect = 'flinks'\n[target.flinks]\n\
                 clients = {{ C = {{ client_id = 'x', client_secret = '${{env:{secret}}}' }} }}\n\
                 {more}"
            ),
            format!(
                "dialect = 'konsentus'\n[target.konsentus]\nbasic = '${{env:{secret}}}'\n\
                 fi_reference_id = 'F'\nccg = {{ token = '${{env:{secret}}}' }}\n"
            ),
            format!(
                "dialect = 'oxlin'\nauth_upstream = 'https://a.example'\n[target.oxlin]\n\
                 client_id = 'x'\nclient_secret = '${{env:{secret}}}'\nprovider = '{secret}'\n"
            ),
            format!("headers = {{ X-Key = 'a ${{env:{secret}}}' }}"),
        ]
    };
    let load = |settings: &str| {
        let client = "[[client]]\nid = 'C'\ntargets = ['*']\n";
        let world = MemorySources::default()
            .file("routes.toml", &format!("{GATEWAY}{client}{}", target("T", settings)))
            .with_variable("ONE", "hub:hunter2-one")
            .with_variable("TWO", "hub:hunter2-two");
        load(&world).unwrap_or_else(|report| panic!("{report}")).table
    };
    let wanted = [
        "oauth2.client_secret: changed (not shown)",
        "flinks.clients.C.client_secret: changed (not shown)",
        "konsentus.basic: changed (not shown)\n    konsentus.ccg.token: changed (not shown)",
        "oxlin.client_secret: changed (not shown)\n    oxlin.provider: ONE -> TWO",
        "headers.x-key: changed (not shown)",
    ];
    for ((old, new), wanted) in settings("ONE", "").iter().zip(settings("TWO", "")).zip(wanted) {
        let diff = Diff::between(&load(old), &load(&new));
        assert_eq!(diff.to_string(), format!("~ target T\n    {wanted}\n"));
        let json = serde_json::to_string(&diff).unwrap();
        assert!(!json.contains("hunter2"), "{json}");
        assert_eq!(serde_json::from_str::<Diff>(&json).unwrap(), diff);
    }
}

#[test]
fn what_needs_a_new_process_says_so_and_alone_has_no_effect() {
    let gateway = |lines: &str| {
        let text = format!("[gateway]\ninsecure_header_identity = true\n{lines}\n");
        load_text(&format!("{text}[[api]]\ncontract = \"blink-fi\"\n")).unwrap().table
    };
    let old = gateway("insecure_plain_listen = '127.0.0.1:1'\nadmin = '127.0.0.1:2'");
    let new = gateway("insecure_plain_listen = '127.0.0.1:3'\nadmin = '127.0.0.1:4'\nworkers = 5");
    let diff = Diff::between(&old, &new);
    assert!(!diff.takes_effect() && !diff.is_empty());
    let keys: Vec<_> = diff.needs_new_process().map(|key| key.key.as_str()).collect();
    assert_eq!(keys, ["insecure_plain_listen", "admin", "workers"]);
    let taken_up = new.gateway.taken_up_by(&old.gateway);
    assert_eq!(taken_up, old.gateway);

    let new =
        gateway("insecure_plain_listen = '127.0.0.1:1'\nadmin = '127.0.0.1:2'\nwatch = 'off'");
    let diff = Diff::between(&old, &new);
    assert!(diff.takes_effect());
    assert_eq!(diff.to_string(), "~ gateway\n    watch: 2s -> off\n");
    assert_eq!(new.gateway.taken_up_by(&old.gateway), new.gateway);
}

#[test]
fn a_contract_is_another_when_its_document_is() {
    let load = |document: &str| {
        let text = GATEWAY.replace("blink-fi", "own.yaml");
        let world = MemorySources::default().file("routes.toml", &text).file("own.yaml", document);
        load(&world).unwrap_or_else(|report| panic!("{report}")).table
    };
    let diff = Diff::between(&load("one"), &load("two"));
    assert_eq!(diff.to_string(), "~ api /\n    (its document): changed (not shown)\n");
    assert!(Diff::between(&load("one"), &load("one")).is_empty());
}

#[test]
fn changes_are_told_up_to_a_limit() {
    let many = |count: usize| -> String {
        (0..count).map(|number| target(&format!("T{number}"), "")).collect()
    };
    let told = Diff::between(&table(""), &table(&many(CHANGES_MAX)));
    assert_eq!((told.changes.len(), told.omitted), (CHANGES_MAX, 0));
    let told = Diff::between(&table(""), &table(&many(CHANGES_MAX + 1)));
    assert_eq!((told.changes.len(), told.omitted), (CHANGES_MAX, 1));
    assert!(told.to_string().ends_with("and 1 more\n"));
}
