//! DIALECTS 6: bLink in front, Oxlin behind, whose refresh tokens rotate.

use std::fs;
use std::time::Duration;

use corgate::sim::oxlin::{CLIENT_SECRET, Oxlin, OxlinConfig};
use corgate::sim::server::Received;
use serde_json::json;
use tempfile::TempDir;

use crate::answer::Answer;
use crate::ask::{Ask, Http, unique};
use crate::world::{Setup, World, listening};

const BANK: &str = "IIDX00006";
const PROFILE: &str = "username = \"profile\"\nterms_uri = \"https://hub.example/terms\"";
const TERMS: &str = "user must accept the provider's terms";

/// A gateway, and Oxlin behind it.
struct Scene {
    world: World,
    oxlin: Oxlin,
    _secrets: TempDir,
}

impl Scene {
    /// With these lines in `[target.oxlin]`.
    fn new(lines: &str) -> Self {
        Self::with(|config| config, CLIENT_SECRET, lines)
    }

    fn with(tune: impl FnOnce(OxlinConfig) -> OxlinConfig, secret: &str, lines: &str) -> Self {
        let oxlin = Oxlin::start(tune(OxlinConfig::new(listening()))).unwrap();
        let port = oxlin.address().port();
        let (world, secrets) = start(port, port, secret, lines);
        Self { world, oxlin, _secrets: secrets }
    }

    fn call(&self, http: Http, ask: Ask) -> Answer {
        self.world.call(http, ask.bank(BANK))
    }

    /// Tokens of a new user that the gateway has seen.
    fn refreshed(&self, http: Http, user: &str) -> String {
        let refresh = self.oxlin.add_user(user).refresh;
        let answer = self.call(http, Ask::refresh().param("refresh_token", &refresh)).good();
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    fn heard(&self, path: &str) -> Vec<Received> {
        let mut requests = self.oxlin.requests();
        requests.retain(|request| request.path == path);
        requests
    }
}

fn start(api: u16, auth: u16, secret: &str, lines: &str) -> (World, TempDir) {
    let secrets = tempfile::tempdir().unwrap();
    let file = secrets.path().join("secret");
    fs::write(&file, secret).unwrap();
    let lines = format!(
        "dialect = \"oxlin\"\nauth_upstream = \"https://127.0.0.1:{auth}\"\n[target.oxlin]\n\
         client_id = \"oxlin-hub\"\nclient_secret = \"${{file:{}}}\"\n{lines}",
        file.display()
    );
    let world = Setup::new().target_at(BANK, api, &lines).start();
    world.notes().learn(secret);
    (world, secrets)
}

fn username(token: &str, name: &str) -> Ask {
    Ask::username().set("Authorization", format!("Bearer {token}")).param("username", name)
}

over_both! {
    fn a_refresh_token_rotates(http) {
        let scene = Scene::new("");
        let first = scene.oxlin.add_user("anna").refresh;
        let ask = Ask::refresh().param("refresh_token", &first);
        let answer = scene.call(http, ask.clone().with("X-PSU-IP-Address", "192.0.2.7")).good();
        let json = answer.json();
        assert_eq!(json, json!({
            "access_token": json["access_token"],
            "token_type": "bearer",
            "expires_in": 3600,
            "refresh_token": json["refresh_token"],
            "id_token": "simulated.id.token",
        }));
        let second = json["refresh_token"].as_str().unwrap();
        assert_ne!(second, first);
        scene.call(http, Ask::refresh().param("refresh_token", second)).good();
        let answer = scene.call(http, ask).provided(400);
        assert_eq!(answer.json()["error"], "invalid_grant");

        let request = &scene.oxlin.requests()[0];
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        assert!(body.ends_with("&client_id=oxlin-hub&client_secret=oxlin-hub-secret"), "{body}");
        assert!(!body.contains("username"), "{body}");
        assert_eq!(request.header("user-agent"), Some("corgate"));
        assert_eq!(request.header("authorization"), None);
        let ours = |name: &str| name.starts_with("x-corapi-") || name.starts_with("x-psu-");
        assert!(!request.headers.iter().any(|(name, _)| ours(&name.to_lowercase())));
    }

    fn what_oxlin_does_not_have_is_refused_before_anything_is_sent(http) {
        let scene = Scene::new("");
        scene
            .call(http, Ask::token())
            .refused(
                400,
                "unsupported_grant_type",
                "provider takes no authorization codes; its users consent in its own widget",
            )
            .logged("grant_not_spoken");
        scene
            .call(http, Ask::revoke())
            .refused(400, "unsupported_token_type", "target cannot revoke tokens")
            .logged("revoke_not_spoken");
        scene
            .call(http, Ask::username())
            .refused(404, "invalid_request", "target has no username validation")
            .logged("username_not_spoken");
        assert_eq!(scene.oxlin.requests(), []);
    }

    fn a_username_is_checked_once_the_terms_are_accepted(http) {
        let scene = Scene::new(PROFILE);
        let token = scene.refreshed(http, "anna.of.oxlin");
        let answer = scene.call(http, username(&token, "anna.of.oxlin")).provided(403);
        assert_eq!(answer.json(), json!({
            "error": "access_denied",
            "error_description": TERMS,
            "error_uri": "https://hub.example/terms",
        }));
        scene.oxlin.accept_terms("anna.of.oxlin");
        for (name, valid) in [("anna.of.oxlin", true), ("beat.of.oxlin", false)] {
            let answer = scene.call(http, username(&token, name)).good();
            assert_eq!(answer.json(), json!({ "valid_username": valid }));
        }
        let request = &scene.heard("/v2.1/users/me")[0];
        assert_eq!(request.method, "GET");
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {token}")));
        assert!(request.body.is_empty());
    }
}

#[test]
fn a_401_to_a_token_that_the_gateway_never_saw_is_the_clients() {
    let scene = Scene::new(PROFILE);
    let unseen = scene.oxlin.add_user("anna.of.oxlin").access;
    let answer = scene.call(Http::One, username(&unseen, "anna.of.oxlin")).provided(401);
    assert_eq!(answer.json()["error"], "invalid_token");
    assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
}

#[test]
fn a_code_is_passed_on_where_the_table_says_so() {
    let codes = |config| OxlinConfig { takes_codes: true, ..config };
    let scene = Scene::with(codes, CLIENT_SECRET, "authorization_code = \"upstream\"");
    let answer = scene.call(Http::One, Ask::token()).good();
    assert!(answer.json()["refresh_token"].is_string());
    let body = scene.oxlin.requests()[0].body.clone();
    assert!(body.starts_with(b"grant_type=authorization_code&code=demo-code-"), "{body:?}");
}

#[test]
fn tokens_come_from_the_authorization_servers_own_host() {
    let (api, auth) = [(); 2].map(|()| Oxlin::start(OxlinConfig::new(listening())).unwrap()).into();
    let (world, _secrets) =
        start(api.address().port(), auth.address().port(), CLIENT_SECRET, PROFILE);
    let refresh = auth.add_user("anna").refresh;
    let ask = Ask::refresh().param("refresh_token", &refresh).bank(BANK);
    world.call(Http::One, ask).good();
    world.call(Http::One, username("sim-static", &unique("user")).bank(BANK)).good();
    assert_eq!((api.requests().len(), auth.requests().len()), (1, 1));
    assert_eq!(auth.requests()[0].path, "/token");
}

#[test]
fn concurrent_refreshes_of_one_token_are_one() {
    let slow = |config| OxlinConfig { token_wait: Duration::from_millis(300), ..config };
    let scene = Scene::with(slow, CLIENT_SECRET, "");
    let refresh = scene.oxlin.add_user("anna").refresh;
    let one = Ask::refresh().param("refresh_token", &refresh).bank(BANK);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let ask = one.clone().set("X-Correlation-ID", unique("id"));
            scene.world.client(Http::One, 1).call_meanwhile(ask)
        })
        .collect();
    let answers: Vec<_> = calls.into_iter().map(|call| call.join().unwrap().good()).collect();
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    assert_eq!(scene.oxlin.requests().len(), 1);
}

#[test]
fn a_refused_secret_is_the_hubs_affair() {
    let scene = Scene::with(|config| config, "another-secret", "");
    scene
        .call(Http::One, Ask::refresh())
        .refused(502, "server_error", "target rejected the hub's credentials")
        .logged("credentials_rejected");
    assert_eq!(scene.oxlin.requests().len(), 1);
}

#[test]
fn what_oxlin_refuses_is_told_by_whose_fault_it_is() {
    let scene = Scene::new(PROFILE);
    let refresh = |magic: &str| scene.call(Http::One, Ask::refresh().param("refresh_token", magic));
    refresh("sim-status-404").platform(502).logged("response_malformed");
    refresh("sim-no-token").platform(502).logged("response_malformed");
    refresh("sim-html-500").platform(502).logged("provider_failed");
    let profile = |magic: &str| scene.call(Http::One, username(magic, &unique("user")));
    assert_eq!(profile("sim-status-403").provided(403).json()["error"], "access_denied");
    profile("sim-status-404").platform(404).logged("username_not_spoken");
    profile("sim-status-500").platform(502).logged("provider_failed");
}

#[test]
fn an_oxlin_that_is_busy_is_told_as_such() {
    let scene = Scene::new("");
    let refresh = |magic: &str| scene.call(Http::One, Ask::refresh().param("refresh_token", magic));
    refresh("sim-status-429").platform(503).logged("provider_busy");
    refresh("sim-retry-after-7").platform(503).says("retry-after", "7").logged("provider_busy");
    assert_eq!(scene.oxlin.requests().len(), 2, "each was sent once");
}
