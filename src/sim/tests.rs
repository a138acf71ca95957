//! The simulated world against itself: the client calls the bank, without a gateway.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use super::bank::{Bank, BankConfig, Temper};
use super::client::{CallError, Client, ClientTls};
use super::form;
use super::pki::DevPki;
use super::server::{Listening, ServerTls};

fn request(path: &str, pairs: &[(&str, &str)]) -> Request<Bytes> {
    Request::post(path)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("X-CorAPI-Client-ID", "CIDX1")
        .header("X-Correlation-ID", "id-1")
        .header("User-Agent", "test/1")
        .body(Bytes::from(form::encode(pairs.iter().copied())))
        .unwrap()
}

fn exchange(code: &str) -> Request<Bytes> {
    let grant = ("grant_type", "authorization_code");
    request("/oauth/token", &[grant, ("code", code), ("client_id", "CIDX1"), ("username", "anna")])
}

fn plain() -> (Bank, Client) {
    let bank = Bank::start(BankConfig::new(Listening::plain())).unwrap();
    let client = Client::plain(bank.address()).timeout(Duration::from_secs(5));
    (bank, client)
}

fn json(answer: &Response<Bytes>) -> serde_json::Value {
    serde_json::from_slice(answer.body()).unwrap()
}

#[tokio::test]
async fn a_consent_lives_from_code_to_revocation() {
    let (bank, mut client) = plain();
    let code = bank.issue_code("CIDX1", "anna", None);
    let answer = client.call(exchange(&code)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["x-correlation-id"], "id-1");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let access = json(&answer)["access_token"].as_str().unwrap().to_owned();

    let mut asked = request("/oauth/username", &[("username", "beat")]);
    let bearer = format!("Bearer {access}").parse().unwrap();
    asked.headers_mut().insert("authorization", bearer);
    let answer = client.call(asked.clone()).await.unwrap();
    assert_eq!(json(&answer)["valid_username"], false);

    let revoked = request("/oauth/revoke", &[("token", &access), ("client_id", "CIDX1")]);
    let answer = client.call(revoked).await.unwrap();
    assert_eq!((answer.status(), answer.body().len()), (StatusCode::OK, 0));
    let answer = client.call(asked).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.headers().contains_key("www-authenticate"));

    let paths: Vec<String> = bank.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/oauth/token", "/oauth/username", "/oauth/revoke", "/oauth/username"]);
    assert_eq!(bank.connections(), 1);
}

#[tokio::test]
async fn what_the_seed_requires_is_required() {
    let (_bank, mut client) = plain();
    for (name, status) in
        [("x-corapi-client-id", 400), ("x-correlation-id", 400), ("content-type", 415)]
    {
        let mut asked = exchange("demo-code-1");
        asked.headers_mut().remove(name);
        assert_eq!(client.call(asked).await.unwrap().status(), status, "{name}");
    }
    let answer = client.call(exchange("unknown")).await.unwrap();
    assert_eq!(
        (answer.status(), json(&answer)["error"].as_str()),
        (StatusCode::BAD_REQUEST, Some("invalid_grant"))
    );
    let asked = Request::get("/oauth/token").body(Bytes::new()).unwrap();
    assert_eq!(client.call(asked).await.unwrap().headers()["allow"], "POST");
}

#[tokio::test]
async fn codes_expire_by_the_banks_clock() {
    let (bank, mut client) = plain();
    let code = bank.issue_code("CIDX1", "anna", None);
    bank.advance(Duration::from_secs(30));
    assert_eq!(client.call(exchange(&code)).await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_bank_that_loses_a_refresh_calls_its_repetition_invalid() {
    let config = BankConfig { temper: Temper::LosesRefresh, ..BankConfig::new(Listening::plain()) };
    let bank = Bank::start(config).unwrap();
    let mut client = Client::plain(bank.address());
    let refresh =
        json(&client.call(exchange("demo-code-1")).await.unwrap())["refresh_token"].clone();
    let refresh = request(
        "/oauth/token",
        &[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.as_str().unwrap()),
            ("client_id", "CIDX1"),
            ("username", "anna"),
        ],
    );
    assert_eq!(client.call(refresh.clone()).await.unwrap().status(), 504);
    let answer = client.call(refresh).await.unwrap();
    assert_eq!(json(&answer)["error"], "invalid_grant");
}

#[tokio::test]
async fn mischief_that_is_an_answer() {
    let (_bank, mut client) = plain();
    for (magic, status) in [
        ("sim-static", 200),
        ("sim-status-418", 418),
        ("sim-retry-after-7", 503),
        ("sim-delay-1", 200),
        ("sim-drip-0", 200),
        ("sim-html-500", 500),
        ("sim-bad-json", 200),
        ("sim-redirect", 302),
        ("sim-100", 200),
        ("sim-huge-body", 200),
        ("sim-no-token", 200),
        ("sim-wrong-correlation", 200),
        ("sim-cookie", 200),
        ("sim-close", 200),
    ] {
        let answer = client.call(exchange(magic)).await;
        let answer = answer.unwrap_or_else(|error| panic!("{magic}: {error}"));
        assert_eq!(answer.status(), status, "{magic}");
    }
    // The connection that `sim-close` left may or may not be seen as closed by now.
    client.close();
    let answer = client.call(exchange("sim-retry-after-7")).await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "7");
}

#[tokio::test]
async fn mischief_that_is_no_answer() {
    let (bank, mut client) = plain();
    client = client.timeout(Duration::from_millis(200));
    for magic in ["sim-truncate", "sim-reset", "sim-reset-mid", "sim-bad-http", "sim-hang"] {
        let error = client.call(exchange(magic)).await.map(|answer| answer.status());
        assert!(error.is_err(), "{magic}: {error:?}");
    }
    assert!(matches!(client.call(exchange("sim-hang")).await, Err(CallError::Timeout)));
    assert_eq!(bank.requests().len(), 6);
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let (_bank, client) = plain();
    let asked = exchange("sim-reset");
    let mut text =
        format!("POST /oauth/token HTTP/1.1\r\nContent-Length: {}\r\n", asked.body().len());
    for (name, value) in asked.headers() {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    let mut stream = client.raw().await.unwrap();
    stream.send(format!("{text}\r\n").as_bytes()).await.unwrap();
    stream.send(asked.body()).await.unwrap();
    let error = stream.read(Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_surplus_answer_follows_the_first() {
    let (_bank, client) = plain();
    let mut stream = client.raw().await.unwrap();
    let form = "token=sim-surplus&client_id=CIDX1";
    let head = "POST /oauth/revoke HTTP/1.1\r\nX-CorAPI-Client-ID: CIDX1\r\nX-Correlation-ID: 1\r\n\
                User-Agent: t\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let text = format!("{head}Content-Length: {}\r\n\r\n{form}", form.len());
    stream.send(text.as_bytes()).await.unwrap();
    let answers = stream.read_all(Duration::from_millis(200)).await;
    assert!(String::from_utf8_lossy(&answers).ends_with(r#"{"access_token":"at-other"}"#));
}

#[tokio::test]
async fn http2_by_prior_knowledge_has_its_own_mischief() {
    let (bank, client) = plain();
    let mut client = client.http2();
    assert_eq!(client.call(exchange("demo-code-1")).await.unwrap().status(), 200);
    assert_eq!(client.call(exchange("sim-drip-0")).await.unwrap().status(), 200);
    for magic in ["sim-truncate", "sim-bad-http", "sim-reset"] {
        assert!(client.call(exchange(magic)).await.is_err(), "{magic}");
    }
    assert_eq!(bank.requests()[0].version, "HTTP/2.0");
}

#[tokio::test]
async fn over_tls_the_hubs_certificate_is_required() {
    let pki = DevPki::new().unwrap();
    let tls = ServerTls::mutual(&pki.bank("alpine").unwrap(), pki.hub_ca.cert()).unwrap();
    let bank = Bank::start(BankConfig::new(Listening::tls(tls))).unwrap();
    let connect = |identity| {
        let tls = ClientTls::new(pki.banks_ca.cert(), identity).unwrap();
        Client::tls(bank.address(), tls.server_name("alpine.bank.test").unwrap())
    };
    for mut client in [connect(Some(&pki.hub)), connect(Some(&pki.hub)).http2()] {
        assert_eq!(client.call(exchange("sim-static")).await.unwrap().status(), 200);
    }
    assert_eq!(bank.requests()[0].certificate, Some(pki.hub.fingerprint()));
    let stranger = pki.stranger("hub").unwrap();
    for identity in [None, Some(&stranger)] {
        let error = connect(identity).call(exchange("sim-static")).await.unwrap_err();
        assert!(error.is_tls_refusal(), "{error}");
    }
}

#[tokio::test]
async fn bad_bank_certificates_are_refused_by_who_checks() {
    let pki = DevPki::new().unwrap();
    for identity in [pki.expired_bank("old").unwrap(), pki.stranger_bank("odd").unwrap()] {
        let tls = ServerTls::one_sided(&identity).unwrap();
        let bank = Bank::start(BankConfig::new(Listening::tls(tls))).unwrap();
        let tls = ClientTls::new(pki.banks_ca.cert(), None).unwrap();
        let answer = Client::tls(bank.address(), tls).call(exchange("sim-static")).await;
        assert!(matches!(answer, Err(CallError::Handshake(_))));
    }
}

#[tokio::test]
async fn the_control_listener_tells_and_forgets() {
    let any = "127.0.0.1:0".parse().unwrap();
    let listening = Listening { control: Some(any), ..Listening::plain() };
    let bank = Bank::start(BankConfig::new(listening)).unwrap();
    let mut client = Client::plain(bank.address());
    client.call(exchange("demo-code-1")).await.unwrap();
    let mut control = Client::plain(bank.control().unwrap());
    let seen = Request::get("/__sim/requests").body(Bytes::new()).unwrap();
    let answer = control.call(seen.clone()).await.unwrap();
    assert_eq!(json(&answer)[0]["path"], "/oauth/token");
    let reset = Request::post("/__sim/reset").body(Bytes::new()).unwrap();
    assert_eq!(control.call(reset).await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(json(&control.call(seen).await.unwrap()), serde_json::json!([]));
    assert_eq!(client.call(exchange("demo-code-1")).await.unwrap().status(), 200);
    let on_the_front = Request::get("/__sim/requests").body(Bytes::new()).unwrap();
    assert_eq!(client.call(on_the_front).await.unwrap().status(), StatusCode::NOT_FOUND);

    let public = Listening { control: Some("0.0.0.0:0".parse().unwrap()), ..Listening::plain() };
    assert!(Bank::start(BankConfig::new(public)).is_err());
}
