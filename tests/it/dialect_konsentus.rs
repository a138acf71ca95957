//! DIALECTS 4: bLink in front, Konsentus behind, which has one call.

use std::fs;
use std::time::Duration;

use corgate::sim::konsentus::{CcgTokens, Konsentus, KonsentusConfig, STUB_BASIC};
use corgate::sim::server::Received;
use serde_json::json;
use tempfile::TempDir;

use crate::answer::Answer;
use crate::ask::{Ask, Http};
use crate::world::{Setup, World, client_id, listening};

const BANK: &str = "IIDX00005";
const TOKENS: &str = "/v1/obie/tokens";
const CCG: &str = "/v1/oauth2/tokens";
const URI: &str = "https://app.example/cb";

/// A gateway, and Konsentus behind it.
struct Scene {
    world: World,
    konsentus: Konsentus,
    _secrets: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self::with(|config| config, "")
    }

    /// Clients 1 and 2 are PSPs, whose tokens are fetched; client 3 is none.
    fn with(tune: impl FnOnce(KonsentusConfig) -> KonsentusConfig, lines: &str) -> Self {
        let config = KonsentusConfig::new(listening());
        let konsentus = Konsentus::start(tune(config)).unwrap();
        let secrets = tempfile::tempdir().unwrap();
        let secret = |name: &str, value: &str| {
            let file = secrets.path().join(name);
            fs::write(&file, value).unwrap();
            format!("\"${{file:{}}}\"", file.display())
        };
        let (basic, ccg) = (secret("basic", STUB_BASIC), secret("ccg", "ccg-agreed-on"));
        let (one, two) = (secret("one", "eidas-of-one"), secret("two", "eidas-of-two"));
        let (first, second) = (client_id(1), client_id(2));
        let lines = format!(
            "dialect = \"konsentus\"\n{lines}\n[target.konsentus]\nbasic = {basic}\n\
             fi_reference_id = \"PSDGB-FCA-111111\"\n[target.konsentus.psp]\n\
             {first} = {{ ccg = {{ headers = {{ eidas = {one} }} }} }}\n\
             {second} = {{ ccg = {{ headers = {{ eidas = {two} }} }} }}\n\
             {fourth} = {{ ccg = {{ token = {ccg} }} }}",
            fourth = client_id(4)
        );
        let world = Setup::new()
            .and_client(2, "targets = [\"*\"]")
            .and_client(3, "targets = [\"*\"]")
            .and_client(4, "targets = [\"*\"]")
            .target_at(BANK, konsentus.address().port(), &lines)
            .start();
        for secret in [STUB_BASIC, "ccg-agreed-on", "eidas-of-one", "eidas-of-two"] {
            world.notes().learn(secret);
        }
        world.notes().learn("good-access-token");
        Self { world, konsentus, _secrets: secrets }
    }

    fn call(&self, http: Http, number: usize, ask: Ask) -> Answer {
        let ask = ask.client(&client_id(number)).bank(BANK);
        self.world.client(http, number).call(ask)
    }

    /// A code of the PSP that client 1 is.
    fn code(&self) -> String {
        self.konsentus.issue_code("eidas-of-one", URI)
    }

    fn heard(&self, path: &str) -> Vec<Received> {
        let mut requests = self.konsentus.requests();
        requests.retain(|request| request.path == path);
        requests
    }
}

over_both! {
    fn a_code_becomes_an_access_token(http) {
        let scene = Scene::new();
        let ask = Ask::token()
            .param("code", &scene.code())
            .with("X-PSU-IP-Address", "192.0.2.7");
        let answer = scene.call(http, 1, ask).good();
        let json = answer.json();
        assert_eq!(json, json!({
            "access_token": json["access_token"],
            "token_type": "bearer",
            "expires_in": 31_104_000,
        }));
        let [ccg, token] = scene.konsentus.requests().try_into().unwrap();
        assert_eq!((ccg.path.as_str(), token.path.as_str()), (CCG, TOKENS));
        assert_eq!(ccg.header("eidas"), Some("eidas-of-one"));
        assert_eq!(token.header("ccg_token"), Some("good-access-token"));
        assert_eq!(token.header("eidas"), None);
        for request in [ccg, token] {
            assert_eq!(request.header("authorization"), Some(&*format!("Basic {STUB_BASIC}")));
            assert_eq!(request.header("fi_reference_id"), Some("PSDGB-FCA-111111"));
            assert_eq!(request.header("version"), Some("1"));
            assert_eq!(request.header("user-agent"), Some("corgate"));
            assert!(request.header("traceparent").is_some());
            let ours = |name: &str| name.starts_with("x-corapi-") || name.starts_with("x-psu-");
            assert!(!request.headers.iter().any(|(name, _)| ours(&name.to_lowercase())));
        }
    }

    fn what_konsentus_does_not_have_is_refused_before_anything_is_sent(http) {
        let scene = Scene::new();
        scene
            .call(http, 1, Ask::refresh())
            .refused(
                400,
                "unsupported_grant_type",
                "provider issues no refresh tokens; request new consent",
            )
            .logged("grant_not_spoken");
        scene
            .call(http, 1, Ask::revoke())
            .refused(400, "unsupported_token_type", "target cannot revoke tokens")
            .logged("revoke_not_spoken");
        scene
            .call(http, 1, Ask::username())
            .refused(404, "invalid_request", "target has no username validation")
            .logged("username_not_spoken");
        scene
            .call(http, 1, Ask::token().without_param("redirect_uri"))
            .refused(400, "invalid_request", "redirect_uri is required by this target")
            .logged("parameter_needed");
        let answer = scene.call(http, 3, Ask::token()).platform(401).logged("client_unmapped");
        assert_eq!(answer.json()["error"], "invalid_client");
        assert_eq!(scene.konsentus.requests(), []);
    }

    fn a_code_that_is_no_good_is_the_clients_affair(http) {
        let scene = Scene::new();
        let code = scene.code();
        scene.call(http, 1, Ask::token().param("code", &code)).good();
        let answer = scene.call(http, 1, Ask::token().param("code", &code)).provided(400);
        let json = answer.json();
        assert_eq!(json["error"], "invalid_grant");
        let text = json["error_description"].as_str().unwrap();
        let (one, two) = text.split_once("; ").unwrap();
        assert!(one.starts_with("invalid_auth_code: auth_code has been used (id error-"), "{one}");
        assert!(two.starts_with("consent_required: a new consent is needed (id error-"), "{two}");
        assert_eq!(json["error_uri"], "https://docs.konsentus.test/errors#invalid_auth_code");
        let late = scene.code();
        scene.konsentus.advance(Duration::from_secs(60));
        let answer = scene.call(http, 1, Ask::token().param("code", &late)).provided(400);
        assert_eq!(answer.json()["error"], "invalid_grant");
    }
}

#[test]
fn what_konsentus_refuses_is_told_by_whose_fault_it_is() {
    let scene = Scene::new();
    let ask = |code: &str| scene.call(Http::One, 1, Ask::magic(code));
    let denied = ask("sim-status-403").provided(403);
    assert_eq!(denied.json()["error"], "access_denied");
    let bad = ask("sim-status-400").provided(400);
    assert_eq!(bad.json()["error"], "invalid_request");
    for code in ["sim-status-404", "sim-status-405", "sim-status-406", "sim-status-413"] {
        ask(code).platform(502).logged("response_malformed");
    }
    for code in ["sim-bad-json", "sim-no-token", "sim-redirect", "sim-html-200"] {
        ask(code).platform(502).logged("response_malformed");
    }
}

#[test]
fn a_konsentus_that_is_busy_or_fails_is_told_as_such() {
    let scene = Scene::new();
    let ask = |code: &str| scene.call(Http::One, 1, Ask::magic(code));
    ask("sim-status-429").platform(503).logged("provider_busy");
    ask("sim-status-500").platform(502).logged("provider_failed");
    ask("sim-html-500").platform(502).logged("provider_failed");
    ask("sim-truncate").platform(502).logged("response_truncated");
    // The last, because nobody calls the bank until then.
    ask("sim-retry-after-7").platform(503).says("retry-after", "7").logged("provider_busy");
    assert_eq!(scene.heard(TOKENS).len(), 5, "each was sent once");
    assert_eq!(scene.heard(CCG).len(), 1);
}

#[test]
fn each_psp_has_a_token_of_its_own_and_a_code_belongs_to_one() {
    let distinct = |config| KonsentusConfig { ccg_tokens: CcgTokens::Distinct, ..config };
    let scene = Scene::with(distinct, "");
    let code = scene.code();
    let answer = scene.call(Http::One, 2, Ask::token().param("code", &code)).provided(400);
    assert_eq!(answer.json()["error"], "invalid_grant");
    scene.call(Http::One, 1, Ask::token().param("code", &code)).good();
    let fetched = scene.heard(CCG);
    let eidas: Vec<_> = fetched.iter().map(|request| request.header("eidas").unwrap()).collect();
    assert_eq!(eidas, ["eidas-of-two", "eidas-of-one"]);
}

#[test]
fn a_token_of_the_table_is_not_fetched() {
    let scene = Scene::new();
    scene.konsentus.agree_on("eidas-of-four", "ccg-agreed-on");
    let code = scene.konsentus.issue_code("eidas-of-four", URI);
    scene.call(Http::One, 4, Ask::token().param("code", &code)).good();
    let requests = scene.konsentus.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("ccg_token"), Some("ccg-agreed-on"));
}

#[test]
fn a_401_forgets_the_token_and_the_next_call_fetches_another() {
    let distinct = |config| KonsentusConfig { ccg_tokens: CcgTokens::Distinct, ..config };
    let scene = Scene::with(distinct, "");
    scene.call(Http::One, 1, Ask::token().param("code", &scene.code())).good();
    scene.konsentus.withdraw_ccg_tokens();
    let code = scene.code();
    let ask = || Ask::token().param("code", &code);
    scene
        .call(Http::One, 1, ask())
        .refused(502, "server_error", "target rejected the hub's credentials")
        .logged("credentials_rejected");
    assert_eq!((scene.heard(CCG).len(), scene.heard(TOKENS).len()), (1, 2), "nothing is repeated");
    scene.call(Http::One, 1, ask()).good();
    assert_eq!((scene.heard(CCG).len(), scene.heard(TOKENS).len()), (2, 3));
    let tokens = scene.heard(TOKENS);
    assert_eq!(tokens[0].header("ccg_token"), tokens[1].header("ccg_token"));
    assert_ne!(tokens[1].header("ccg_token"), tokens[2].header("ccg_token"));
}

#[test]
fn a_token_that_one_host_gave_is_not_shown_to_the_host_that_upstream_moved_to() {
    let distinct = |config| KonsentusConfig { ccg_tokens: CcgTokens::Distinct, ..config };
    let scene = Scene::with(distinct, "");
    scene.call(Http::One, 1, Ask::token().param("code", &scene.code())).good();
    let [given] = scene.heard(TOKENS).try_into().unwrap();
    let given = given.header("ccg_token").unwrap().to_owned();
    scene.world.notes().learn(&given);
    let other = KonsentusConfig { seed: 7_777, ..distinct(KonsentusConfig::new(listening())) };
    let other = Konsentus::start(other).unwrap();
    let host = |konsentus: &Konsentus| format!("127.0.0.1:{}", konsentus.address().port());
    scene.world.rewrite(&host(&scene.konsentus), &host(&other));
    assert_eq!(scene.world.reload().0, 200);
    for http in [Http::One, Http::Two] {
        let code = other.issue_code("eidas-of-one", URI);
        scene.call(http, 1, Ask::token().param("code", &code)).good();
    }
    assert_eq!(scene.konsentus.requests().len(), 2, "the host before is not called any more");
    let heard = other.requests();
    let paths: Vec<_> = heard.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, [CCG, TOKENS, TOKENS]);
    for request in &heard {
        assert!(!format!("{request:?}").contains(&given), "{request:?}");
    }
    // Who comes back to the first host is given a token of its own, old or new.
    scene.world.rewrite(&host(&other), &host(&scene.konsentus));
    assert_eq!(scene.world.reload().0, 200);
    scene.call(Http::One, 1, Ask::token().param("code", &scene.code())).good();
    assert_eq!(other.requests().len(), 3);
}

#[test]
fn fifty_calls_that_find_the_token_ended_fetch_one() {
    let short = |config| KonsentusConfig {
        ccg_tokens: CcgTokens::Distinct,
        ccg_life: Duration::from_secs(1),
        ccg_wait: Duration::from_millis(100),
        ..config
    };
    let scene = Scene::with(short, "concurrency = 100");
    scene.call(Http::One, 1, Ask::magic("sim-static")).good();
    // The gateway's clock is the real one.
    std::thread::sleep(Duration::from_secs(1));
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let client = scene.world.client(Http::One, 1);
            client.call_meanwhile(Ask::magic("sim-static").bank(BANK))
        })
        .collect();
    for call in calls {
        call.join().unwrap().good();
    }
    let mut used: Vec<_> = scene.heard(TOKENS).into_iter().skip(1).collect();
    used.dedup_by_key(|request| request.header("ccg_token").unwrap().to_owned());
    assert_eq!((scene.heard(CCG).len(), scene.heard(TOKENS).len(), used.len()), (2, 51, 1));
}
