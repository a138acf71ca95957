//! What a bank's language is told by the table, and what a table may not say about it.

use super::{GATEWAY, bad, load, load_text, target};
use crate::routes::table::dialect::{Authentication, UsernameCheck};
use crate::routes::{Colour, Dialect, Loaded, MemorySources, Report};

fn with_key(more: &str) -> Loaded {
    let sources = MemorySources::default()
        .file("routes.toml", &format!("{GATEWAY}{more}"))
        .with_variable("KEY", "hunter2");
    load(&sources).unwrap_or_else(|report| panic!("{report}"))
}

#[test]
fn a_bank_that_speaks_oauth2() {
    let loaded = with_key(&target(
        "T",
        "dialect = 'oauth2'
default_expires_in = '1h'
rotates_refresh_tokens = true
replay_window = '30s'
answers = [{ status = 401, code = 'x', becomes = 400, error = 'invalid_grant' }]
[target.oauth2]
client_id = 'hub'
client_secret = '${env:KEY}'
clients = { C2 = { client_id = 'two', client_secret = '${env:KEY}' } }
username = 'userinfo'
username_claim = 'email'
username_ignores_case = true
correlation_header = 'X-Correlation-ID'",
    ));
    let target = &loaded.table.targets["T"];
    let Dialect::OAuth2(oauth2) = &target.dialect else { panic!("{:?}", target.dialect) };
    assert_eq!(oauth2.authentication, Authentication::SecretBasic);
    let claim = "email".into();
    assert_eq!(oauth2.username, UsernameCheck::Userinfo { claim, folds_case: true });
    let client_id = |client: &str| {
        let client = crate::ids::ClientId::parse(client).unwrap();
        oauth2.registrations.of(&client).map(|registration| registration.client_id.to_string())
    };
    assert_eq!(client_id("C1").as_deref(), Some("hub"));
    assert_eq!(client_id("C2").as_deref(), Some("two"));
    assert_eq!(target.paths.username.as_deref(), Some("/oauth/userinfo"));
    assert_eq!(target.translation.default_expires_in.unwrap().as_secs(), 3_600);
    assert_eq!(target.translation.overrides.len(), 1);
    assert!(!format!("{:?}{}", loaded.table, loaded.table.describe()).contains("hunter"));
}

#[test]
fn a_bank_behind_flinks_has_its_own_paths_and_no_username_check() {
    let flinks = "dialect = 'flinks'\nflinks = { client_id = 'a', client_secret = '${env:KEY}' }";
    let loaded = with_key(&target("T", flinks));
    let paths = &loaded.table.targets["T"].paths;
    assert_eq!(paths.token.as_deref(), Some("/api/v1/token"));
    assert_eq!(paths.revoke.as_deref(), Some("/api/v1/revoke"));
    assert_eq!(paths.username, None);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let oauth2 = |keys: &str| format!("dialect = 'oauth2'\noauth2 = {{ {keys} }}");
    let open = "authentication = 'none', client_id = 'x'";
    for (lines, problem) in [
        ("dialect = 'oauth2'".to_owned(), "there is no `oauth2`"),
        ("oauth2 = {}".to_owned(), "`oauth2` has no use: the dialect is `blink`"),
        ("default_expires_in = '1h'".to_owned(), "`blink` is not translated"),
        ("replay_window = '30s'".to_owned(), "refresh tokens do not rotate here"),
        ("replay_window = '301s'\nrotates_refresh_tokens = true".to_owned(), "out of its range"),
        (oauth2("client_id = 'x'"), "has no `client_secret` with it"),
        (oauth2(""), "the hub has no `client_id` at this bank"),
        (oauth2("authentication = 'none', clients = { C = {} }"), "has no `client_id`"),
        (oauth2(&format!("{open}, username_claim = 'x'")), "`username` is `none`"),
        (oauth2(&format!("{open}, correlation_header = 'Host'")), "can't be set"),
        (format!("{}\nanswers = [{{ status = 401 }}]", oauth2(open)), "has no `becomes`"),
    ] {
        let problems = bad(&target("T", &lines));
        assert!(problems.iter().any(|what| what.contains(problem)), "{lines}: {problems:?}");
    }
}

/// A table with a bank that the hub signs for; `${file:key.pem}` holds this text.
fn signed(key: &str, keys: &str) -> Result<Loaded, Report> {
    let bank = format!(
        "dialect = 'oauth2'
oauth2 = {{ authentication = 'private_key_jwt', client_id = 'hub'{keys} }}"
    );
    let text = format!("{GATEWAY}{}", target("T", &bank));
    load(&MemorySources::default().file("routes.toml", &text).file("key.pem", key))
}

#[test]
fn a_bank_that_takes_signed_assertions() {
    let key = include_str!("../../../tests/keys/es256.pem");
    let keys = ", private_key = '${file:key.pem}', key_id = 'hub-1', audience = 'bank'";
    let loaded = signed(key, keys).unwrap_or_else(|report| panic!("{report}"));
    let Dialect::OAuth2(oauth2) = &loaded.table.targets["T"].dialect else { panic!("no oauth2") };
    let Authentication::PrivateKeyJwt(signer) = &oauth2.authentication else { panic!("no key") };
    assert_eq!(signer.key_id.as_deref(), Some("hub-1"));
    assert_eq!(signer.audience.as_deref(), Some("bank"));
    let shown = format!("{:?}{}", loaded.table, loaded.table.describe());
    assert!(key.lines().all(|line| !shown.contains(line)), "{shown}");
}

#[test]
fn a_key_that_can_not_sign_is_refused_and_never_shown() {
    let good = include_str!("../../../tests/keys/es256.pem");
    let rsa = include_str!("../../../tests/keys/rsa.pem");
    let reference = ", private_key = '${file:key.pem}'";
    let literal = format!(", private_key = '''{good}'''");
    let torn = format!(", private_key = '{good}'");
    for (key, keys, told) in [
        ("", "", "there is no `private_key`"),
        ("hunter2", reference, "`private_key` is no private key in PEM"),
        (rsa, reference, "`private_key` is an RSA key, and only ES256 is spoken"),
        (good, ", private_key = 'hunter2'", "`private_key` holds a secret itself"),
        (good, &literal, "`private_key` holds a secret itself"),
        (good, &torn, "routes.toml"),
        (good, ", private_key = '${file:key.pem}', audience = ''", "this is no audience"),
        (good, ", private_key = '${file:key.pem}', client_secret = '${file:key.pem}'", "no use"),
        (good, ", private_key = '${file:key.pem}' }\npaths = { token = false", "no `audience`"),
    ] {
        let report = signed(key, keys).unwrap_err();
        let shown = format!("{report:?}{}", report.render(Colour::Never));
        assert!(shown.contains(told), "{told}: {shown}");
        for line in good.lines().chain(rsa.lines()).chain(["hunter2"]) {
            assert!(line.starts_with("-----") || !shown.contains(line), "{shown}");
        }
    }
    for key in ["private_key = '${env:KEY}'", "key_id = 'x'", "audience = 'x'"] {
        let lines = format!(
            "dialect = 'oauth2'\noauth2 = {{ authentication = 'none', client_id = 'x', {key} }}"
        );
        let problems = bad(&target("T", &lines));
        let told = "has no use: `authentication` is `none`";
        assert!(problems.iter().any(|what| what.contains(told)), "{problems:?}");
    }
}

#[test]
fn a_secret_stands_by_reference_alone_and_is_never_shown() {
    for secret in
        ["'hunter2'", "['hunter2']", "'hunter2${env:KEY}'", "'${hunter2}'", "{ a = 'hunter2' }"]
    {
        for table in [
            format!("oauth2 = {{ client_id = 'x', client_secret = {secret} }}"),
            format!(
                "oauth2 = {{ clients = {{ C = {{ client_id = 'x', client_secret = {secret} }} }} }}"
            ),
            format!("oauth2 = {{ clients = {{ C = {secret} }} }}"),
            format!("oauth2 = {{ clients = {secret} }}"),
        ] {
            let text = format!("{GATEWAY}{}", target("T", &format!("dialect = 'oauth2'\n{table}")));
            let report = load_text(&text).unwrap_err();
            let shown = format!("{report:?}{}", report.render(Colour::Never));
            assert!(!shown.contains("hunter"), "{shown}");
        }
    }
}

#[test]
fn a_secret_is_not_shown_in_a_line_that_is_no_toml() {
    for table in [
        "oauth2 = { client_id = 'x', client_secret = 'hunter2 }",
        "[target.oauth2]\nclient_secret = 'hunter2",
        "[target.oauth2]\nclient_secret = hunter2",
        "[target.oauth2]\nclients.C.client_secret = \"hunter2\\q\"",
        "[target.oauth2]\nclient_secrets = 'hunter2'",
    ] {
        let text = format!("{GATEWAY}{}", target("T", &format!("dialect = 'oauth2'\n{table}")));
        let report = load_text(&text).unwrap_err();
        let shown = format!("{report:?}{}", report.render(Colour::Never));
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
