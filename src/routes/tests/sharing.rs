//! What `check` says of banks where clients share the hub's registration.

use super::{GATEWAY, load};
use crate::routes::MemorySources;

const CLIENTS: &str =
    "[[client]]\nid = 'A'\ntargets = ['*']\n[[client]]\nid = 'B'\ntargets = ['T']\n";
const ONE: &str = "[[client]]\nid = 'A'\ntargets = ['*']\n[[client]]\nid = 'B'\ntargets = ['U']\n";

/// The warnings of a table with these clients and this bank.
fn warnings(state: &str, clients: &str, lines: &str, more: &str) -> String {
    let gateway = GATEWAY.replacen("[gateway]\n", &format!("[gateway]\n{state}\n"), 1);
    let text = format!(
        "{gateway}{clients}[[target]]\nid = 'U'\nupstream = 'https://u.example'\n[[target]]\n\
         id = 'T'\nupstream = 'https://t.example'\n{lines}\ndialect = 'oauth2'\n\
         [target.oauth2]\nauthentication = 'none'\nclient_id = 'hub'\n{more}\n"
    );
    let loaded = load(&MemorySources::default().file("routes.toml", &text));
    loaded.unwrap_or_else(|report| panic!("{report}")).warnings.to_string()
}

#[test]
fn a_shared_registration_without_a_record_that_lasts_is_told() {
    let told = warnings("", CLIENTS, "", "");
    assert!(told.contains("clients share the hub's registration at this bank (A, B)"), "{told}");
    assert!(told.contains("is forgotten at a restart"), "{told}");
    let lasts = "state_dir = 'state'";
    assert_eq!(warnings(lasts, CLIENTS, "", "").trim(), "");
    let passes = warnings(lasts, CLIENTS, "unknown_tokens = 'pass'", "");
    assert!(passes.contains("passes for any of them"), "{passes}");
    assert_eq!(warnings("", ONE, "", "").trim(), "", "one client shares with nobody");
    let own = "clients = { B = { client_id = 'own' } }";
    assert_eq!(warnings("", CLIENTS, "", own).trim(), "");
    let same = "clients = { A = { client_id = 'hub' }, B = { client_id = 'hub' } }";
    assert!(warnings("", CLIENTS, "", same).contains("(A, B)"));
}
