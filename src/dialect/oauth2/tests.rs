//! Every row of DIALECTS 3 as a golden file.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use serde_json::{Value, json};

use crate::dialect::golden::{Case, Said, check};
use crate::oauth::Call::{Revoke, Token, Username};

const BASIC: &str = "oauth2 = { client_id = 'hub id', client_secret = '${env:SECRET}' }";
const POST: &str = "oauth2 = { authentication = 'client_secret_post', client_id = 'hub', \
                    client_secret = '${env:SECRET}', correlation_header = 'X-Request-ID' }";
const INTROSPECTION: &str = "oauth2 = { client_id = 'hub', client_secret = '${env:SECRET}', \
                             username = 'introspection' }";
const USERINFO: &str = "oauth2 = { client_id = 'hub', client_secret = '${env:SECRET}', username = \
                        'userinfo', username_claim = 'email', username_ignores_case = true }";
const SIGNED: &str = "oauth2 = { authentication = 'private_key_jwt', client_id = 'hub', \
                      private_key = '${file:hub.pem}', username = 'introspection' }";
const SIGNED_FULL: &str = "oauth2 = { authentication = 'private_key_jwt', client_id = 'hub', \
                           private_key = '${file:hub.pem}', key_id = 'hub-1', audience = \
                           'https://bank.example', clients = { CIDX1 = { client_id = 'own' } } }";
const OVERRIDES: &str = "answers = [{ status = 422, code = 'consent_expired', becomes = 400, \
                         error = 'invalid_grant' }, { status = 404, becomes = 503, error = \
                         'temporarily_unavailable' }]
oauth2 = { client_id = 'hub', client_secret = '${env:SECRET}' }";

const CODE: &str = "grant_type=authorization_code&code=code-1&\
                    redirect_uri=https%3A%2F%2Fapp.example%2Fcb&client_id=CIDX1&username=anna&\
                    code_verifier=verifier-1&client_secret=forged";
const REFRESH: &str = "grant_type=refresh_token&refresh_token=RT-old&client_id=CIDX1&username=anna";
const TOKEN: &str = "token=AT-1&token_type_hint=access_token&client_id=CIDX1";
const ANNA: &str = "username=anna";

const TOKENS: Said = (
    200,
    &[("content-type", "application/json"), ("set-cookie", "a=b")],
    "{\"access_token\":\"AT-1\",\"token_type\":\"Bearer\",\"expires_in\":60,\
     \"refresh_token\":\"RT-1\",\"scope\":\"ais\",\"id_token\":\"x\"}",
);
const FEW: Said = (200, &[], r#"{"access_token":"AT-2","token_type":"bearer"}"#);
const USED: &str = "{\"error\":\"invalid_grant\",\"error_description\":\"code code-1 was used: \
                    \\\"x\\\"\",\"error_uri\":\"https://bank.example/errors/7\"}";
const CHATTY: &str = "{\"error\":\"invalid_grant\",\"error_description\":\"verifier-1 of anna, \
                      CH93 0076 2011 6238 5295 7, \
                      key test-secret:1, eyJhbGciOiJSUzI1NiJ9.e30.c2ln\"\
                      ,\"error_uri\":\"https://bank.example/?user=anna\"}";
const HTML: &str = "<html><body>Session <b>expired</b> for anna</body></html>";

/// A call with [`BASIC`], and what the bank says to it.
const fn case(name: &'static str, form: &'static str, said: &'static [Said]) -> Case {
    Case::of(name, BASIC, Token, form, said)
}

const fn at(target: &'static str, case: Case) -> Case {
    Case { target, ..case }
}

/// A code exchange that the bank refuses.
const fn refused(name: &'static str, said: &'static [Said]) -> Case {
    case(name, CODE, said)
}

const fn revoke(name: &'static str, said: &'static [Said]) -> Case {
    Case { call: Revoke, ..case(name, TOKEN, said) }
}

const fn username(name: &'static str, target: &'static str, said: &'static [Said]) -> Case {
    Case { call: Username, target, ..case(name, ANNA, said) }
}

#[test]
fn requests_and_good_answers() {
    check(
        "oauth2",
        "good",
        &[
            case("token-code-basic", CODE, &[TOKENS]),
            at(POST, case("token-code-post", CODE, &[TOKENS])),
            at(
                "oauth2 = { authentication = 'tls_client_auth', client_id = 'hub', \
             username_parameter = 'login' }",
                case("token-code-tls", CODE, &[TOKENS]),
            ),
            at(
                "headers = { X-Api-Key = 'key' }\noauth2 = { authentication = 'none', clients = { \
             CIDX1 = { client_id = 'own' } } }",
                case("token-code-none-own-client", CODE, &[TOKENS]),
            ),
            case("token-refresh-rotated", REFRESH, &[TOKENS]),
            case("token-refresh-echoed", REFRESH, &[FEW]),
            at(
                "default_expires_in = '2h'\n\
                 oauth2 = { authentication = 'none', client_id = 'hub' }",
                case("token-default-expires-in", CODE, &[FEW]),
            ),
            case(
                "token-expires-in-text",
                CODE,
                &[(200, &[], r#"{"access_token":"A","token_type":"BEARER","expires_in":"90"}"#)],
            ),
            case("token-without-type", CODE, &[(200, &[], r#"{"access_token":"A"}"#)]),
            revoke("revoke", &[(200, &[], "ok")]),
            revoke("revoke-no-content", &[(204, &[], "")]),
            Case {
                form: "token=AT-1&client_id=CIDX1",
                ..revoke("revoke-no-hint", &[(200, &[], "")])
            },
            username(
                "username-introspection",
                INTROSPECTION,
                &[(200, &[], r#"{"active":true,"username":"anna","client_id":"hub"}"#)],
            ),
            username(
                "username-introspection-other",
                INTROSPECTION,
                &[(200, &[], r#"{"active":true,"username":"Anna"}"#)],
            ),
            username("username-userinfo", USERINFO, &[(200, &[], r#"{"sub":"1","email":"ANNA"}"#)]),
            username("username-userinfo-other", USERINFO, &[(200, &[], r#"{"email":"beat"}"#)]),
        ],
    );
}

/// What some bank or other says with a 200, and the code is spent: words of OAuth's extensions,
/// and of nobody's.
#[test]
fn good_answers_in_other_words() {
    let odd = |name, said| case(name, CODE, said);
    check(
        "oauth2",
        "lenient",
        &[
            odd("token-type-dpop", &[DPOP]),
            odd("token-type-apigee", &[APIGEE]),
            odd("token-type-null", &[(200, &[], r#"{"access_token":"A","token_type":null}"#)]),
            odd("token-type-empty", &[(200, &[], r#"{"access_token":"A","token_type":""}"#)]),
            odd("token-type-of-their-own", &[(200, &[], USER_ACCESS)]),
            odd(
                "mark-of-byte-order",
                &[(200, &[], "\u{feff}{\"access_token\":\"A\",\"token_type\":\"Bearer\"}")],
            ),
            odd("extensions", &[(200, &[], EXTENSIONS)]),
            odd("the-hubs-own-members", &[(200, &[], HUBS_OWN)]),
            odd("no-json-to-a-strict-reader", &[(200, &[], LENIENT)]),
        ],
    );
}

const DPOP: Said = (
    200,
    &[("dpop-nonce", "nonce-1"), ("content-encoding", "identity")],
    r#"{"access_token":"A","token_type":"DPoP"}"#,
);
/// Apigee's default answer.
const APIGEE: Said = (
    200,
    &[],
    r#"{"issued_at":"1420262924658","scope":"READ","status":"approved","expires_in":"1799",
        "developer.email":"t@w.example","token_type":"BearerToken","refresh_token":"R",
        "client_id":"hub id","access_token":"A","refresh_count":"0"}"#,
);
const USER_ACCESS: &str = r#"{"access_token":"A","token_type":"user_access"}"#;
const EXTENSIONS: &str = r#"{"access_token":"A","token_type":"bearer","id_token":"e.y.J",
    "grant_id":"g-1",
    "authorization_details":[{"type":"account_information","amount":12345678901234567890.10}],
    "consent_id":null}"#;
const HUBS_OWN: &str = r#"{"access_token":"A","token_type":"bearer","client_id":"hub id",
    "client_secret":"s","debug":"sent test-secret:1","sid":"s-1"}"#;
const LENIENT: &str =
    r#"{"access_token":"A","token_type":"bearer","a":"\ud800","b":1e999,"c\"":1,"d":1,"d":2}"#;

#[test]
fn calls_that_are_signed() {
    let active: &[Said] = &[(200, &[], r#"{"active":true,"username":"anna","client_id":"hub"}"#)];
    let forged = "token=AT-1&client_id=CIDX1&client_assertion=forged&client_assertion_type=forged";
    check(
        "oauth2",
        "signed",
        &[
            at(SIGNED, case("token-code", CODE, &[TOKENS])),
            at(SIGNED_FULL, case("token-refresh-own-client", REFRESH, &[TOKENS])),
            at(SIGNED, Case { form: forged, ..revoke("revoke", &[(200, &[], "")]) }),
            username("username", SIGNED, active),
            at(
                SIGNED,
                case("invalid-client", CODE, &[(401, &[], r#"{"error":"invalid_client"}"#)]),
            ),
        ],
    );
}

/// The assertion of a golden file: its header and its claims, once its signature is found good.
fn verified(case: &str) -> (Value, Value) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/oauth2/signed");
    let file = std::fs::read_to_string(format!("{folder}/{case}.txt")).unwrap();
    let (_, rest) = file.split_once("&client_assertion=").unwrap();
    let assertion = rest.lines().next().unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let key = VerifyingKey::from_public_key_pem(include_str!("../../../tests/keys/es256.pub.pem"));
    let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    key.unwrap().verify(signed.as_bytes(), &signature).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let read = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (read(header), read(claims))
}

#[test]
fn an_assertion_holds_before_the_public_key() {
    let (header, claims) = verified("token-code");
    assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT" }));
    let expected = json!({
        "iss": "hub",
        "sub": "hub",
        "aud": "https://bank.example/oauth/token",
        "jti": "0000000000000000123456789abcdef0",
        "iat": 1_790_000_000,
        "exp": 1_790_000_060,
    });
    assert_eq!(claims, expected);
    let (header, claims) = verified("token-refresh-own-client");
    assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT", "kid": "hub-1" }));
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("own"), &json!("own")));
    assert_eq!(claims["aud"], "https://bank.example");
}

#[test]
fn what_is_said_without_the_bank() {
    check(
        "oauth2",
        "unasked",
        &[
            username("username-none", BASIC, &[]),
            at(
                "paths = { revoke = false }\n\
                 oauth2 = { authentication = 'none', client_id = 'hub' }",
                revoke("revoke-no-path", &[]),
            ),
            at(
                "paths = { token = false }\n\
                 oauth2 = { authentication = 'none', client_id = 'hub' }",
                case("token-no-path", CODE, &[]),
            ),
            at(
                "oauth2 = { authentication = 'none', clients = { CIDX2 = { client_id = 'two' } } }",
                case("client-unmapped", CODE, &[]),
            ),
        ],
    );
}

#[test]
fn refusals_by_code() {
    check(
        "oauth2",
        "refused",
        &[
            refused("invalid-grant", &[(400, &[], USED)]),
            refused("invalid-grant-401", &[(401, &[], r#"{"error":"invalid_grant"}"#)]),
            refused("invalid-request", &[(400, &[], r#"{"error":"invalid_request"}"#)]),
            refused("invalid-scope", &[(400, &[], r#"{"error":"invalid_scope"}"#)]),
            refused(
                "unsupported-grant-type",
                &[(400, &[], r#"{"error":"unsupported_grant_type"}"#)],
            ),
            refused("unauthorized-client", &[(400, &[], r#"{"error":"unauthorized_client"}"#)]),
            refused("access-denied", &[(403, &[], r#"{"error":"access_denied"}"#)]),
            refused(
                "invalid-client-401",
                &[(
                    401,
                    &[("www-authenticate", "Basic realm=\"bank\"")],
                    r#"{"error":"invalid_client"}"#,
                )],
            ),
            refused("invalid-client-400", &[(400, &[], r#"{"error":"invalid_client"}"#)]),
            refused("unknown-code", &[(400, &[], r#"{"error":"consent_expired"}"#)]),
            refused("consent-required", &[(400, &[], r#"{"error":"consent_required"}"#)]),
            refused("interaction-required", &[(400, &[], r#"{"error":"interaction_required"}"#)]),
            refused(
                "insufficient-user-authentication",
                &[(401, &[], r#"{"error":"insufficient_user_authentication"}"#)],
            ),
            refused("invalid-target", &[(400, &[], r#"{"error":"invalid_target"}"#)]),
            refused(
                "invalid-authorization-details",
                &[(400, &[], r#"{"error":"invalid_authorization_details"}"#)],
            ),
            refused("invalid-dpop-proof", &[(400, &[], r#"{"error":"invalid_dpop_proof"}"#)]),
            refused(
                "use-dpop-nonce",
                &[(
                    400,
                    &[("dpop-nonce", "nonce-1")],
                    r#"{"error":"use_dpop_nonce","error_description":"nonce required"}"#,
                )],
            ),
            refused("redacted", &[(400, &[], CHATTY)]),
            revoke(
                "revoke-unsupported-token-type",
                &[(400, &[], r#"{"error":"unsupported_token_type"}"#)],
            ),
            revoke("revoke-no-endpoint", &[(404, &[], HTML)]),
            revoke("revoke-busy", &[(503, &[("retry-after", "30")], "")]),
            at(
                OVERRIDES,
                refused("override-by-code", &[(422, &[], r#"{"error":"consent_expired"}"#)]),
            ),
            at(OVERRIDES, refused("override-by-status", &[(404, &[("retry-after", "9")], "")])),
            at(OVERRIDES, refused("override-other-code", &[(422, &[], r#"{"error":"else"}"#)])),
        ],
    );
}

#[test]
fn refusals_of_a_username_check() {
    check(
        "oauth2",
        "username",
        &[
            username("inactive", INTROSPECTION, &[(200, &[], r#"{"active":false}"#)]),
            username(
                "of-another-client",
                INTROSPECTION,
                &[(200, &[], r#"{"active":true,"username":"anna","client_id":"else"}"#)],
            ),
            username("introspection-401", INTROSPECTION, &[(401, &[], "")]),
            username("introspection-odd", INTROSPECTION, &[(200, &[], r#"{"active":true}"#)]),
            username("userinfo-401", USERINFO, &[(401, &[], r#"{"error":"invalid_token"}"#)]),
            username("userinfo-403", USERINFO, &[(403, &[], r#"{"error":"insufficient_scope"}"#)]),
            username("userinfo-odd", USERINFO, &[(200, &[], r#"{"sub":"1"}"#)]),
        ],
    );
}

#[test]
fn refusals_by_status_and_odd_bodies() {
    check(
        "oauth2",
        "odd",
        &[
            refused("status-400-html", &[(400, &[("content-type", "text/html")], HTML)]),
            refused("status-401-bare", &[(401, &[], "")]),
            refused("status-403-html", &[(403, &[], HTML)]),
            refused("status-403-bare", &[(403, &[], "")]),
            refused("status-404", &[(404, &[], HTML)]),
            refused("status-405", &[(405, &[], "")]),
            refused("status-415", &[(415, &[], "")]),
            refused("status-429", &[(429, &[("retry-after", "7")], "")]),
            refused("status-500", &[(500, &[], r#"{"error":"invalid_grant"}"#)]),
            refused("status-502-description", &[(502, &[], r#"{"description":"Bad Gateway"}"#)]),
            refused("status-503", &[(503, &[], HTML)]),
            refused(
                "status-503-date",
                &[(503, &[("retry-after", "Sat, 21 Nov 2026 10:00:00 GMT")], "")],
            ),
            refused(
                "redirect",
                &[(302, &[("location", "https://login.bank.example/?code=1")], "")],
            ),
            refused(
                "errors-array",
                &[(400, &[], r#"{"errors":["invalid_grant - token is expired"]}"#)],
            ),
            refused(
                "fault-string",
                &[(400, &[], r#"{"faultcode":"x","faultstring":"Bad invalid_requests"}"#)],
            ),
            refused("html-with-a-code", &[(400, &[], "<p>error: <b>invalid_grant</b></p>")]),
            refused(
                "html-description",
                &[(400, &[], r#"{"error":"invalid_request","error_description":"<b>no</b>"}"#)],
            ),
            refused("token-html", &[(200, &[("content-type", "text/html")], HTML)]),
            refused("token-no-access-token", &[(200, &[], r#"{"token_type":"bearer"}"#)]),
            refused("token-array", &[(200, &[], "[1]")]),
            refused(
                "token-type-no-name",
                &[(200, &[], r#"{"access_token":"A","token_type":"be\"arer"}"#)],
            ),
            refused("token-type-number", &[(200, &[], r#"{"access_token":"A","token_type":7}"#)]),
            refused("mark-of-byte-order", &[(400, &[], "\u{feff}{\"error\":\"invalid_grant\"}")]),
            refused("content-coding", &[(200, &[("content-encoding", "br")], "x")]),
        ],
    );
}
