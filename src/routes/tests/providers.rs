//! What a bank behind Konsentus or Oxlin may say of itself.

use std::time::Duration;

use super::{GATEWAY, load};
use crate::ids::ClientId;
use crate::routes::table::dialect::Ccg;
use crate::routes::{Dialect, Loaded, MemorySources, Report};

const KONSENTUS: &str = "dialect = 'konsentus'
[target.konsentus]
basic = '${env:BASIC}'
fi_reference_id = 'PSDGB-FCA-111111'
";
const OXLIN: &str = "dialect = 'oxlin'
auth_upstream = 'https://auth.example'
[target.oxlin]
client_id = 'hub'
client_secret = '${env:SECRET}'
";

fn try_load(lines: &str) -> Result<Loaded, Report> {
    let text = format!("{GATEWAY}[[target]]\nid = 'T'\nupstream = 'https://t.example'\n{lines}\n");
    load(
        &MemorySources::default()
            .file("routes.toml", &text)
            .with_variable("BASIC", "fi:hunter2")
            .with_variable("ODD", "no credential")
            .with_variable("SECRET", "hunter2")
            .with_variable("NEWLINE", "hunter2\nX: 1"),
    )
}

fn good(lines: &str) -> Loaded {
    try_load(lines).unwrap_or_else(|report| panic!("{report}"))
}

#[track_caller]
fn bad(lines: &str, wanted: &str) {
    let report = try_load(lines).expect_err(lines).to_string();
    assert!(report.contains(wanted), "{report}");
    assert!(!report.contains("hunter"), "{report}");
}

#[test]
fn each_client_of_konsentus_has_its_ccg_token_or_the_shared_one() {
    let lines = format!(
        "{KONSENTUS}psp.C = {{ ccg = {{ token = '${{env:SECRET}}' }} }}\n\
         ccg = {{ headers = {{ eidas = '${{env:SECRET}}' }}, default_ttl = '1m' }}"
    );
    let table = good(&lines).table;
    let target = &table.targets["T"];
    let Dialect::Konsentus(konsentus) = &target.dialect else { panic!() };
    assert_eq!(konsentus.basic, "Basic Zmk6aHVudGVyMg==");
    assert_eq!(konsentus.version, "1");
    let ccg = |client: &str| konsentus.ccg_of(&ClientId::parse(client).unwrap()).unwrap();
    assert!(matches!(ccg("C"), Ccg::Static(token) if token.expose() == "hunter2"));
    let Ccg::Fetch(fetch) = ccg("D") else { panic!() };
    assert_eq!((&*fetch.path, fetch.method.as_str()), ("/v1/oauth2/tokens", "POST"));
    assert_eq!(&*fetch.token_pointer, "/data/access_token");
    assert_eq!(&*fetch.expires_pointer, "/data/expires_in");
    assert_eq!(fetch.default_ttl, Duration::from_secs(60));
    assert!(fetch.headers[0].1.is_sensitive());
    assert_eq!(target.paths.token.as_deref(), Some("/v1/obie/tokens"));
    assert_eq!((&target.paths.revoke, &target.paths.username), (&None, &None));
    assert!(!format!("{table:?}").contains("hunter"));
    let said = table.describe();
    assert!(
        said.contains("T   /v1/obie/tokens           -                    -       -"),
        "{said}"
    );
}

#[test]
fn oxlin_rotates_and_remembers_what_it_needs() {
    let table = good(OXLIN).table;
    let target = &table.targets["T"];
    assert!(target.translation.rotates_refresh_tokens && !target.translation.remembers_tokens);
    assert_eq!(target.auth_upstream[0].to_string(), "https://auth.example:443");
    assert_eq!((&target.paths.revoke, &target.paths.username), (&None, &None));
    let table = good(&format!("{OXLIN}username = 'profile'")).table;
    let target = &table.targets["T"];
    assert!(target.translation.remembers_tokens);
    assert_eq!(target.paths.username.as_deref(), Some("/v2.1/users/me"));
    assert_eq!(target.paths.token.as_deref(), Some("/token"));
    assert!(!format!("{table:?}").contains("hunter"));
    good(&format!("replay_window = '30s'\n{OXLIN}"));
}

#[test]
fn a_secret_in_the_file_is_refused_and_hidden() {
    let literal = KONSENTUS.replace("${env:BASIC}", "fi:hunter2");
    bad(&format!("{literal}ccg = {{}}"), "`basic` holds a secret itself");
    bad(&format!("{KONSENTUS}ccg = {{ token = 'hunter2' }}"), "`token` holds a secret itself");
    let psp = "psp = { C = { ccg = { token = 'hunter2' } } }";
    bad(&format!("{KONSENTUS}{psp}"), "`token` holds a secret itself");
    let literal = OXLIN.replace("${env:SECRET}", "hunter2");
    bad(&literal, "`client_secret` holds a secret itself");
    let fetch = "ccg = { headers = { eidas = 'hunter2', Host = 'x' }, body = 'hunter2 ${env:NO}' }";
    bad(&format!("{KONSENTUS}{fetch}"), "the environment variable `NO` is not set");
    bad(&format!("{KONSENTUS}ccg = {{ body = ['hunter2'] }}"), "`body` can't be a list");
}

#[test]
fn what_is_of_no_use_is_refused() {
    bad(KONSENTUS, "no client is a PSP there");
    bad("dialect = 'konsentus'", "there is no `konsentus`");
    bad("dialect = 'konsentus'\nkonsentus = { ccg = {} }", "has no `basic`");
    let odd = KONSENTUS.replace("env:BASIC", "env:ODD");
    bad(&format!("{odd}ccg = {{}}"), "`basic` refers to no credential");
    let ccg = |ccg: &str| format!("{KONSENTUS}ccg = {ccg}");
    bad(&ccg("{ token = '${env:SECRET}', path = '/x' }"), "`path` has no use beside `token`");
    bad(&ccg("{ token = '${env:NEWLINE}' }"), "can't stand in a header field");
    bad(&ccg("{ token_pointer = 'data' }"), "this is no JSON pointer");
    bad(&ccg("{ default_ttl = '25h' }"), "`default_ttl` is out of its range");
    bad(&format!("{KONSENTUS}psp = {{ 'a b' = {{ ccg = {{}} }} }}"), "client");
    bad("dialect = 'oxlin'\noxlin = {}", "has no `client_secret`");
    bad(&format!("{OXLIN}terms_marker = 'X'"), "`terms_marker` has no use");
    bad(&format!("oxlin = {{}}\n{KONSENTUS}ccg = {{}}"), "`oxlin` has no use");
    bad("auth_upstream = 'https://auth.example'", "`auth_upstream` has no use");
    let plain = OXLIN.replace("https://auth", "http://auth");
    bad(&plain, "`http://auth.example:80` is reached without TLS");
}
