//! What a bank says, whatever it says: bounded, decoded, and with the token that a code was spent
//! for.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use corgate::sim::server::{Answer as Said, Party, Received, Reply, Server};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;

use crate::ask::{Ask, Http, unique};
use crate::world::{FOREIGN, Setup, World, listening};

const OAUTH2: &str = "breaker = { failures = 1000 }\ndialect = \"oauth2\"\n[target.oauth2]\n\
                      authentication = \"none\"\nclient_id = \"hub\"";
const FLINKS: &str = "breaker = { failures = 1000 }\ndialect = \"flinks\"\n[target.flinks]\n\
                      client_id = \"dc-hub\"\nclient_secret = \"${file:flinks.secret}\"";
const KONSENTUS: &str = "breaker = { failures = 1000 }\ndialect = \"konsentus\"\n\
                         [target.konsentus]\nbasic = \"${file:flinks.secret}\"\n\
                         fi_reference_id = \"FI\"\nccg = { token = \"${file:flinks.secret}\" }";
const BLINK: &str = "breaker = { failures = 1000 }";

/// A bank that says one thing after the other; the last again and again.
struct Scripted {
    world: World,
    server: Server,
    script: Arc<Script>,
}

struct Script(Mutex<VecDeque<Said>>);

impl Party for Script {
    fn answer(&self, _: &Received) -> Reply {
        let mut lines = self.0.lock().unwrap();
        let line = if lines.len() > 1 { lines.pop_front() } else { lines.front().cloned() };
        line.unwrap().into()
    }

    fn reset(&self) {}
}

impl Scripted {
    fn new(entry: &str) -> Self {
        let script = Arc::new(Script(Mutex::default()));
        let server = Server::start(listening(), Arc::clone(&script) as Arc<dyn Party>).unwrap();
        let setup = Setup::new().file("flinks.secret", "id:dc-secret");
        let world = setup.target_at(FOREIGN, server.address().port(), entry).start();
        Self { world, server, script }
    }

    fn says(&self, lines: impl IntoIterator<Item = Said>) {
        *self.script.0.lock().unwrap() = lines.into_iter().collect();
    }

    /// The methods and paths that it heard since.
    fn heard_since(&self, before: usize) -> Vec<String> {
        let heard = self.server.requests().split_off(before);
        heard.iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    fn heard(&self) -> usize {
        self.server.requests().len()
    }
}

fn said(status: u16, body: impl Into<bytes::Bytes>) -> Said {
    let answer = Said::new(StatusCode::from_u16(status).unwrap()).body(body);
    answer.with("Content-Type", "application/json")
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn redeem() -> Ask {
    Ask::token().bank(FOREIGN)
}

over_both! {
    // Once, 64 parameters that stand in each other's marks made gigabytes of a bank's sentence.
    fn values_that_multiply_each_other_make_no_answer_longer(http) {
        let word = "unknown ".repeat(20_000);
        for entry in [OAUTH2, FLINKS, KONSENTUS] {
            let bank = Scripted::new(entry);
            let errors = format!("{{\"errors\":[{{\"code\":\"{word}\",\"title\":\"{word}\"}}]}}");
            let oauth = format!("{{\"error\":\"invalid_grant\",\"error_description\":\"{word}\"}}");
            bank.says([said(400, if entry == KONSENTUS { errors } else { oauth })]);
            let mut ask = redeem().again("p", "unknown");
            for number in 0..29 {
                ask = ask.again(&format!("q{number}"), "[red").again(&format!("r{number}"), "acte");
            }
            let answer = bank.world.call(http, ask).provided(400);
            assert!(answer.body.len() < 1_000, "{}", answer.body.len());
            assert!(!answer.json()["error_description"].to_string().contains("unknown"));
        }
    }

    fn an_answer_that_is_compressed_is_decoded_in_every_dialect(http) {
        let token = "{\"access_token\":\"{}\",\"token_type\":\"Bearer\"}";
        for entry in [BLINK, OAUTH2, FLINKS] {
            let bank = Scripted::new(entry);
            let token = token.replace("{}", &unique("at"));
            bank.says([said(200, gzip(token.as_bytes())).with("Content-Encoding", "gzip")]);
            let answer = bank.world.call(http, redeem()).good();
            assert_eq!(answer.header("content-encoding"), None);
            assert!(token.contains(answer.json()["access_token"].as_str().unwrap()));
            let refusal = gzip(b"{\"error\":\"invalid_grant\"}");
            bank.says([said(400, refusal).with("Content-Encoding", "x-gzip")]);
            let answer = bank.world.call(http, redeem()).provided(400);
            assert_eq!(answer.json()["error"], "invalid_grant");
        }
    }

    fn a_coding_that_nobody_decodes_and_a_bomb_are_the_banks_fault(http) {
        for entry in [BLINK, OAUTH2] {
            let bank = Scripted::new(entry);
            let coded = |coding: &str, body| [said(200, body).with("Content-Encoding", coding)];
            let whole = gzip(b"{\"access_token\":\"a\",\"token_type\":\"bearer\"}");
            for (coding, body, fault) in [
                ("br", whole.clone(), "response_malformed"),
                ("gzip, gzip", whole.clone(), "response_malformed"),
                ("gzip", b"{}".to_vec(), "response_malformed"),
                ("gzip", whole[..whole.len() - 4].to_vec(), "response_malformed"),
                ("gzip", gzip(&vec![b' '; 5_000_000]), "response_too_large"),
            ] {
                bank.says(coded(coding, body));
                bank.world.call(http, redeem()).platform(502).logged(fault);
            }
        }
    }

    fn a_token_of_any_type_reaches_the_client_whose_code_was_spent(http) {
        let bank = Scripted::new(OAUTH2);
        for (body, kind) in [
            (r#"{"access_token":"at","token_type":"BearerToken"}"#, "bearer"),
            (r#"{"access_token":"at","token_type":null}"#, "bearer"),
            ("\u{feff}{\"access_token\":\"at\",\"token_type\":\"Bearer\"}", "bearer"),
            (r#"{"access_token":"at","token_type":"DPoP"}"#, "DPoP"),
        ] {
            bank.says([said(200, body).with("DPoP-Nonce", "a-nonce-of-the-banks")]);
            let answer = bank.world.call(http, redeem()).good();
            let json = answer.json();
            assert_eq!((&json["access_token"], &json["token_type"]), (&"at".into(), &kind.into()));
            assert_eq!(answer.header("dpop-nonce"), Some("a-nonce-of-the-banks"));
        }
        let body = r#"{"access_token":"at","grant_id":"g","authorization_details":[{"type":"x"}]}"#;
        bank.says([said(200, body)]);
        let json = bank.world.call(http, redeem()).good().json();
        assert_eq!(json["grant_id"], "g");
        assert_eq!(json["authorization_details"][0]["type"], "x");
    }

    fn registered_error_codes_are_kept(http) {
        let bank = Scripted::new(OAUTH2);
        for error in [
            "consent_required", "interaction_required", "insufficient_user_authentication",
            "invalid_target", "invalid_authorization_details", "invalid_dpop_proof",
            "use_dpop_nonce",
        ] {
            bank.says([said(400, format!("{{\"error\":\"{error}\"}}"))]);
            assert_eq!(bank.world.call(http, redeem()).provided(400).json()["error"], error);
        }
    }

    fn a_revocation_under_a_wrong_hint_goes_on_to_the_other_kind(http) {
        let bank = Scripted::new(FLINKS);
        let over = || said(401, r#"{"message":"The access token expired"}"#);
        let none = || said(400, r#"{"error":"invalid_grant"}"#);
        let fresh = || said(200, r#"{"access_token":"fresh-token","token_type":"Bearer"}"#);
        let (token, end) = ("POST /api/v1/token", "DELETE /api/v1/revoke");
        let ended = || Said::new(StatusCode::NO_CONTENT);
        for (hint, says, heard) in [
            ("access_token", vec![over(), fresh(), ended()], vec![end, token, end]),
            ("refresh_token", vec![none(), ended()], vec![token, end]),
            ("access_token", vec![over(), none()], vec![end, token]),
            ("refresh_token", vec![none(), over()], vec![token, end]),
        ] {
            let before = bank.heard();
            bank.says(says);
            let ask = Ask::revoke().bank(FOREIGN).param("token_type_hint", hint);
            bank.world.call(http, ask).good();
            assert_eq!(bank.heard_since(before), heard);
        }
    }

    fn a_revocation_that_the_hub_was_not_let_to_is_none(http) {
        let bank = Scripted::new(FLINKS);
        let basic = || said(401, "{}").with("WWW-Authenticate", "Basic realm=\"x\"");
        for (hint, says) in [
            ("refresh_token", basic()),
            ("access_token", basic()),
            ("refresh_token", Said::new(StatusCode::UNAUTHORIZED)),
            ("access_token", Said::new(StatusCode::UNAUTHORIZED)),
        ] {
            bank.says([says]);
            let ask = Ask::revoke().bank(FOREIGN).param("token_type_hint", hint);
            bank.world
                .call(http, ask)
                .refused(502, "server_error", "target rejected the hub's credentials")
                .logged("credentials_rejected");
        }
    }
}

#[test]
fn a_refresh_that_the_hub_was_not_let_to_ends_no_consent() {
    let bank = Scripted::new(FLINKS);
    bank.says([Said::new(StatusCode::UNAUTHORIZED)]);
    let ask = Ask::refresh().bank(FOREIGN).param("refresh_token", &unique("rt"));
    bank.world.call(Http::One, ask).platform(502).logged("credentials_rejected");
}
