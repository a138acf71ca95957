//! What a table says about itself: insecure switches, `describe`, and which keys go together.

use super::{GATEWAY, bad, good, load, load_text, target};
use crate::routes::{MemorySources, grammar};

const FINGERPRINT: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

#[test]
fn every_insecure_switch_has_a_sentence() {
    let text = "[gateway]
insecure_plain_listen = ['127.0.0.1:8080', '[::1]:8081']
insecure_header_identity = true
insecure_public_admin = true
admin = '0.0.0.0:9443'
[[api]]
contract = 'blink-fi'
[[target]]
id = 'PLAIN'
upstream = 'http://bank.example'
insecure_plain_upstream = true
";
    let switches = load_text(text).unwrap().table.insecure_switches();
    let names: Vec<_> = switches.iter().map(|said| said.split(':').next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "insecure_plain_listen",
            "insecure_plain_listen",
            "insecure_header_identity",
            "insecure_public_admin",
            "insecure_plain_upstream",
        ]
    );
    assert!(switches[4].ends_with("1 of the targets without TLS: PLAIN"), "{switches:?}");
}

#[test]
fn what_is_insecure_must_be_asked_for() {
    let gateway = |more: &str| format!("[gateway]\n{more}\n[[api]]\ncontract = 'blink-fi'\n");
    let report = load_text(&gateway("listen = '0.0.0.0:1'\nadmin = '0.0.0.0:2'")).unwrap_err();
    let text = report.to_string();
    assert!(text.contains("insecure_public_admin"), "{text}");
    assert!(text.contains("needs `[gateway.tls]`"), "{text}");
    assert!(load_text(&gateway("")).unwrap_err().to_string().contains("listens nowhere"));
    let problems = bad("[[target]]\nid = 'T'\nupstream = 'http://bank.example'\n");
    assert_eq!(problems, ["`http://bank.example:80` is reached without TLS"]);
    for host in ["localhost", "bank.localhost", "10.0.0.1", "[::1]"] {
        let target = format!("[[target]]\nid = 'T'\nupstream = 'https://{host}'\n");
        assert_eq!(bad(&target).len(), 1, "{host}");
        good(&format!("{target}allow_private_addresses = true\n"));
    }
}

#[test]
fn a_switch_without_effect_is_said_to_be_one() {
    let tls = "tls = { cert = 'c', key = 'k', client_ca = 'a' }";
    let world = |gateway: &str| {
        let text = format!("[gateway]\n{gateway}\n[[api]]\ncontract = 'blink-fi'\n");
        load(
            &["c", "k", "a"]
                .iter()
                .fold(MemorySources::default(), |world, name| world.present(name))
                .file("routes.toml", &text),
        )
    };
    let listen = "listen = '0.0.0.0:8443'\n";
    assert!(world(&format!("{listen}{tls}")).unwrap().warnings.is_empty());
    let report = world(&format!("{listen}{tls}\ninsecure_header_identity = true")).unwrap_err();
    assert!(report.to_string().contains("has no use"), "{report}");
    let optional = tls.replace(" }", ", client_auth = 'optional' }");
    assert!(world(&format!("{listen}{optional}\ninsecure_header_identity = true")).is_ok());
    let plain = "insecure_plain_listen = '127.0.0.1:8080'";
    let loaded = world(plain).unwrap();
    assert!(loaded.warnings.to_string().contains("no caller can be identified"));
    let loaded = world(&format!("{plain}\ninsecure_header_identity = true\n{tls}")).unwrap();
    assert!(loaded.warnings.to_string().contains("no listener speaks TLS"));
}

#[test]
fn a_certificate_belongs_to_one_client() {
    let client = |id: &str, certificates: &str| {
        format!("[[client]]\nid = '{id}'\ntargets = ['*']\ncertificates = [{certificates}]\n")
    };
    let one = format!("'{FINGERPRINT}'");
    let table = good(&client("A", &one)).table;
    assert_eq!(table.certificates.values().next().unwrap().id.as_str(), "A");
    assert_eq!(bad(&(client("A", &one) + &client("B", &one))).len(), 1);
    assert_eq!(bad(&client("A", &format!("{one}, {one}"))).len(), 1);
    assert_eq!(bad(&client("A", "'sha256:12'")).len(), 1);
    let text = GATEWAY.replace("identity = true", "identity = false") + &client("A", "");
    let report = load_text(&text).unwrap_err();
    assert!(report.to_string().contains("can never call"), "{report}");
}

#[test]
fn paths_are_whole_or_below_the_base_path() {
    let paths = |more: &str| {
        let paths = good(&target("T", more)).table.targets["T"].paths.clone();
        [paths.token, paths.revoke, paths.username].map(|path| path.map(|path| path.to_string()))
    };
    let some = |path: &str| Some(path.to_owned());
    assert_eq!(
        paths("base_path = '/v2'\npaths = { revoke = '/revoke', username = false }"),
        [some("/v2/oauth/token"), some("/revoke"), None]
    );
    assert_eq!(bad(&target("T", "paths = { token = true }")).len(), 1);
    let none = "paths = { token = false, revoke = false, username = false }";
    assert_eq!(bad(&target("T", none)).len(), 1);
}

#[test]
fn a_description_has_all_that_is_in_the_table() {
    let text = format!(
        "{}{}{}",
        "[[client]]\nid = 'CIDX1'\ntargets = ['A', 'B']\n\
         limit = { rate = '50/s', shadow = true }\n",
        target("A", "name = 'Alpine'\nheaders = { X-Key = 'hunter2' }\nlimit = { rate = '9/m' }"),
        target("B", "status = 'maintenance'\npaths = { username = false }"),
    );
    let said = good(&text).table.describe();
    let expected = "\
LISTENERS
  127.0.0.1:8080  plain HTTP
  127.0.0.1:9443  admin

CONTRACTS
  (none of them has an operation)

CLIENTS
  id     status  certificates  targets  limit                   limit per target
  CIDX1  active  0             A B      50/s, burst 50, shadow  -

BANKS
  id  name    dialect  status       limit         upstream
  A   Alpine  blink    active       9/m, burst 1  https://a.example:443 (1 header added)
  B   -       blink    maintenance  -             https://b.example:443

CAPABILITIES
  id  token authorization_code  token refresh_token  revoke         username
  A   /oauth/token              /oauth/token         /oauth/revoke  /oauth/username
  B   /oauth/token              /oauth/token         /oauth/revoke  -
";
    assert_eq!(said, expected, "\n{said}");
}

#[test]
fn a_contract_that_declares_what_the_hub_writes_is_a_warning() {
    let document = "
openapi: 3.1.0
info: {title: Own, version: '1'}
x-corgate-native: true
paths:
  /a:
    get:
      operationId: a
      parameters: [{name: X-Forwarded-For, in: header, schema: {type: string}}]
      responses: {'200': {description: good}}
";
    let api = "[[api]]\ncontract = 'own.yaml'\nbase_path = '/own'\ntarget = 'A'\n";
    let text = format!("{GATEWAY}{api}{}", target("A", ""));
    let world = MemorySources::default().file("routes.toml", &text);
    let world = world.file("own.yaml", document);
    let loaded = crate::routes::load(std::path::Path::new("routes.toml"), &world).unwrap();
    let warnings = loaded.warnings.to_string();
    assert!(warnings.contains("sends no such field"), "{warnings}");
}

#[test]
fn a_name_is_shown_as_it_is_written() {
    for good in ["Bank", "Banque Générale", "銀行", "بنك", "A & B (2)"] {
        assert_eq!(grammar::parse_name(good).as_deref(), Ok(good));
    }
    let long = "x".repeat(101);
    for bad in [
        "",
        "a\nb",
        "a\u{1b}[31mb",
        "\u{202e}knab",
        "a\u{2028}b",
        "a\u{200b}b",
        "a\u{feff}",
        "\u{2066}x",
        &long,
    ] {
        assert!(grammar::parse_name(bad).is_err(), "{bad:?}");
    }
}
