//! That no secret is shown, whatever is wrong around it.

use super::{GATEWAY, load, target};
use crate::routes::{Colour, MemorySources};

const SECRET: &str = "hunter2";

fn check_hidden(text: &str) -> String {
    let sources = MemorySources::default()
        .file("routes.toml", &format!("{GATEWAY}{text}"))
        .file("keys/alpine", SECRET)
        .with_variable("KEY", SECRET)
        .with_variable("NEWLINE", &format!("{SECRET}\nX-More: 1"));
    let report = load(&sources).expect_err("this must be wrong");
    for problem in &report.problems {
        let shown = format!("{problem:?}{}{}", problem.render(Colour::Always), problem.one_line());
        assert!(!shown.contains("hunter"), "{shown}");
    }
    report.to_string()
}

#[test]
fn a_secret_is_not_shown_beside_a_mistake() {
    for headers in [
        "headers = { A = 'hunter2', B = '${env:MISSING}' }",
        "headers = { Host = 'hunter2' }",
        "headers = { A = 'hunter2', a = 'hunter2' }",
        "headers = { A = '${env:NEWLINE}' }",
        "headers = { A = 'hunter2ä' }",
        "headers = { A = ['hunter2'] }",
        "headers = { A = { B = 'hunter2' } }",
        "headers = 'hunter2'",
        "headers = ['hunter2']",
        "headers = { 'A b' = 'hunter2' }",
        "headers = { A = '${hunter2}' }",
        "headers = { A = '${env:KEY' , B = \"\"\"\nhunter2\nhunter2\"\"\" }",
        "header = { A = 'hunter2' }",
        "api_key = 'hunter2'",
        "tls = { headers = { A = 'hunter2' } }",
        "[target.headers]\nA = 'hunter2'\nHost = 'hunter2'",
        "[target.header]\nA = 'hunter2'",
    ] {
        check_hidden(&target("T", headers));
    }
    for unread in [
        "konsentus = { basic = 'u:hunter2', fi_reference_id = 'x' }",
        "oauth2 = { client_id = 'x', client_secret = 'hunter2' }",
        "oauth2 = { clients = { C = { client_id = 'x', client_secret = 'hunter2' } } }",
        "oauth2 = { clients = { name = { client_id = 'x', client_secret = 'hunter2' } } }",
        "oauth2 = { clients = { C = 'hunter2' } }",
        "oauth2 = { private_key = 'hunter2', authentication = 'private_key_jwt' }",
        "oauth2 = { private_key = 'hunter2', authentication = 'none', client_id = 'x' }",
        "oauth2 = 'hunter2'",
        "oauth2 = ['hunter2']",
        "flinks = { client_id = 'x', client_secret = 'hunter2' }",
        "oxlin = { client_id = 'x', client_secret = 'hunter2' }",
        "konsentus = { ccg = { token = 'hunter2' } }",
        "konsentus = { ccg = { body = 'hunter2', headers = { A = 'hunter2' } } }",
        "konsentus = { psp = { C = { ccg = { token = 'hunter2' } } } }",
        "konsentus = { psp = { C = { token = 'hunter2' } } }",
        "konsentus = { psp = { C = 'hunter2' } }",
        "konsentus = { hunted = 'hunter2' }",
        "paths = { token = { token = 'hunter2' } }",
        "tls = { client_secret = 'hunter2' }",
        "limit = { rate = { token = 'hunter2' } }",
        "name = { basic = 'hunter2' }",
    ] {
        // Beside each dialect: its own, another one, and none.
        for dialect in ["", "dialect = 'oauth2'", "dialect = 'konsentus'", "dialect = 'hunted'"] {
            check_hidden(&format!("[[target]]\nid = 'T T'\n{dialect}\n{unread}\nx = 1\n"));
            let inline = format!("{dialect}, {unread}").trim_start_matches(", ").to_owned();
            check_hidden(&format!("target = [{{ id = 'T T', {inline}, x = 1 }}]"));
        }
    }
    check_hidden("target = [{ id = 'T', headers = { A = 'hunter2' }, wrong = 1 }]");
    check_hidden("[[target]]\nid = 'T'\nupstream = 'https://user:hunter2@bank.example'\n");
    check_hidden("[[target]]\nid = 'T'\nupstream = ['https://hunter2@bank.example/x']\n");
    check_hidden("[target_defaults]\nheaders = { A = 'hunter2' }\n");
}

#[test]
fn a_secret_is_not_shown_in_a_line_that_is_no_toml() {
    for headers in [
        "headers = { A = 'hunter2 }",
        "headers = { A = hunter2 }",
        "headers = { A 'hunter2' }",
        "headers = {\n A = \"hunter2\\q\" }",
        "headers = { A = 'hunter2' } }",
        "headers = { A = 'x' }\nheaders = { A = 'hunter2' }",
        "[target.headers]\nA = 'hunter2",
        "[target.headers]\nA 'hunter2'",
        "[target.headers]\nA = 'x'\nA = 'hunter2'",
        "header = { A = 'hunter2",
        "konsentus = { basic = 'u:hunter2",
        "konsentus = { ccg = { token = 'hunter2 } }",
        "basic = hunter2",
        "[target.konsentus]\nbasic = 'u:hunter2",
        "[target.konsentus.ccg]\ntoken = 'hunter2\nid = hunter2",
        "[target.konsentus.ccg]\nbody = \"\"\"\nhunter2\"\"\" x",
        "oauth2 = { client_id = 'x', client_secret = 'hunter2 }",
        "upstream = 'https://user:hunter2@bank.example",
        "password = 'hunter2",
        "hunter2",
        "= hunter2",
    ] {
        check_hidden(&target("T", headers));
        // The last line of a file may have no end.
        check_hidden(target("T", headers).trim_end());
    }
}

/// A long file is read in pieces: places and masks still count from its top.
#[test]
fn a_secret_is_not_shown_far_down_a_long_file() {
    let comment = format!("# {}\n", "-".repeat(98)).repeat(5_000);
    let long = format!("{}{comment}{}{comment}", target("A", ""), target("B", ""));
    let text = format!("{long}{}", target("C", "headers = { A = 'hunter2', Host = 'hunter2' }"));
    let shown = check_hidden(&text);
    let line = format!("{GATEWAY}{text}").lines().position(|line| line.contains("Host")).unwrap();
    assert!(shown.contains(&format!("--> routes.toml:{}:28\n", line + 1)), "{shown}");
    assert!(shown.contains("| headers = { A = …, Host = … }\n"), "{shown}");
}

#[test]
fn a_missing_reference_is_named() {
    let shown = check_hidden(&target("T", "headers = { A = '${env:MISSING} hunter2' }"));
    assert!(shown.contains("the environment variable `MISSING` is not set"), "{shown}");
    let shown = check_hidden(&target("T", "headers = { A = '${file:keys/none}' }"));
    assert!(shown.contains("the file `keys/none` can't be read"), "{shown}");
}

#[test]
fn a_good_secret_reaches_the_table_marked() {
    let headers = "headers = { X-Api-Key = '${env:KEY}', X-Other = 'a ${file:keys/alpine}' }";
    let sources = MemorySources::default()
        .file("routes.toml", &format!("{GATEWAY}{}", target("T", headers)))
        .file("keys/alpine", "from-file\n")
        .with_variable("KEY", SECRET);
    let table = load(&sources).unwrap_or_else(|report| panic!("{report}")).table;
    let headers = &table.targets["T"].headers;
    let values: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value)).collect();
    assert_eq!(values[0].0, "x-api-key");
    assert_eq!(values[0].1, SECRET);
    assert_eq!(values[1].1, "a from-file");
    assert!(headers.iter().all(|(_, value)| value.is_sensitive()));
    assert!(!format!("{table:?}").contains("hunter"));
    assert!(!table.describe().contains("hunter"));
}
