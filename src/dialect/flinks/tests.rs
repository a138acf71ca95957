//! Every row of DIALECTS 5.2 as a golden file.

use crate::dialect::golden::{Case, Said, check};
use crate::oauth::Call::{Revoke, Token, Username};

const PLAIN: &str = "flinks = { client_id = 'dc-hub', client_secret = '${env:SECRET}' }";
const OPTIONS: &str = "flinks = { clients = { CIDX1 = { client_id = 'dc-own', client_secret = \
                       '${env:SECRET}' } }, body_encoding = 'form', authentication = 'basic', \
                       revoke_method = 'POST', correlation_header = 'X-Request-ID' }";
const OVERRIDES: &str = "answers = [{ status = 403, becomes = 403, error = 'access_denied' }]
flinks = { client_id = 'dc-hub', client_secret = '${env:SECRET}' }";

const CODE: &str = "grant_type=authorization_code&code=C-1&redirect_uri=https%3A%2F%2Fapp.example\
                    %2Fcb&client_id=CIDX1&username=anna&code_verifier=v-1";
const REFRESH: &str = "grant_type=refresh_token&refresh_token=R1&client_id=CIDX1&username=anna";
const ACCESS: &str = "token=AT-1&token_type_hint=access_token&client_id=CIDX1";
const BY_REFRESH: &str = "token=R1&token_type_hint=refresh_token&client_id=CIDX1";
/// `{"client_id":"dc-hub","sub":"u1"}` and `{"client_id":"dc-else"}`.
const JWT: &str = "token=eyJhbGciOiJub25lIn0.eyJjbGllbnRfaWQiOiJkYy1odWIiLCJzdWIiOiJ1MSJ9.c2ln&\
                   client_id=CIDX1";
const FOREIGN_JWT: &str =
    "token=eyJhbGciOiJub25lIn0.eyJjbGllbnRfaWQiOiJkYy1lbHNlIn0.c2ln&client_id=CIDX1";

const TOKENS: Said = (
    200,
    &[("content-type", "application/json")],
    r#"{"access_token":"A1","token_type":"Bearer","expires_in":300,"refresh_token":"R1"}"#,
);
const REFRESHED: Said =
    (200, &[], r#"{"access_token":"A2","token_type":"Bearer","expires_in":299}"#);
const ENDED: Said = (204, &[], "");
const BAD_GRANT: Said = (400, &[], r#"{"error":"invalid_grant","error_description":"revoked"}"#);
const BAD_CLIENT: Said = (400, &[], r#"{"error":"invalid_client"}"#);
const OVER: Said = (401, &[], MESSAGE);
const BASIC: &[(&str, &str)] = &[("www-authenticate", "Basic realm=\"flinks\"")];
const MESSAGE: &str = r#"{"message":"The access token expired"}"#;

const fn code(name: &'static str, said: &'static [Said]) -> Case {
    Case::of(name, PLAIN, Token, CODE, said)
}

const fn refresh(name: &'static str, said: &'static [Said]) -> Case {
    Case { form: REFRESH, ..code(name, said) }
}

const fn revoke(name: &'static str, form: &'static str, said: &'static [Said]) -> Case {
    Case { call: Revoke, form, ..code(name, said) }
}

const fn at(target: &'static str, case: Case) -> Case {
    Case { target, ..case }
}

#[test]
fn tokens() {
    check(
        "flinks",
        "token",
        &[
            code("code", &[TOKENS]),
            refresh("refresh", &[REFRESHED]),
            at(OPTIONS, code("code-form-basic", &[TOKENS])),
            at(OPTIONS, refresh("refresh-form-basic", &[REFRESHED])),
            code(
                "scope",
                &[(200, &[], r#"{"access_token":"A","token_type":"Bearer","scope":"STATEMENTS"}"#)],
            ),
            Case {
                form: "grant_type=authorization_code&code=C-1&client_id=CIDX1&username=anna",
                ..code("code-without-redirect-uri", &[])
            },
            at(
                "flinks = { clients = { X = { client_id = 'x', \
                 client_secret = '${env:SECRET}' } } }",
                code("client-unmapped", &[]),
            ),
            Case { call: Username, form: "username=anna", ..code("username", &[]) },
        ],
    );
}

#[test]
fn refusals() {
    check(
        "flinks",
        "refused",
        &[
            code("invalid-grant", &[BAD_GRANT]),
            code("invalid-request", &[(400, &[], r#"{"error":"invalid_request"}"#)]),
            code("invalid-scope", &[(400, &[], r#"{"error":"invalid_scope"}"#)]),
            code("unsupported-grant-type", &[(400, &[], r#"{"error":"unsupported_grant_type"}"#)]),
            code("access-denied", &[(400, &[], r#"{"error":"access_denied"}"#)]),
            code("unauthorized-client", &[(400, &[], r#"{"error":"unauthorized_client"}"#)]),
            code("invalid-client", &[BAD_CLIENT]),
            refresh("refresh-invalid-client", &[BAD_CLIENT]),
            refresh("refresh-401", &[(401, &[], MESSAGE)]),
            refresh("refresh-403", &[(403, &[], MESSAGE)]),
            refresh("refresh-401-basic", &[(401, BASIC, "{}")]),
            refresh("refresh-401-bare", &[(401, &[], "")]),
            refresh("refresh-403-bare", &[(403, &[], "")]),
            refresh("refresh-invalid-grant", &[BAD_GRANT]),
            code("code-401", &[(401, &[], MESSAGE)]),
            code("code-403", &[(403, &[], MESSAGE)]),
            at(OVERRIDES, refresh("refresh-403-overridden", &[(403, &[], MESSAGE)])),
            code("server-error", &[(500, &[], r#"{"error":"server_error"}"#)]),
            code(
                "temporarily-unavailable",
                &[(503, &[("retry-after", "12")], r#"{"error":"temporarily_unavailable"}"#)],
            ),
            code("too-many", &[(429, &[], "")]),
            code("html", &[(200, &[("content-type", "text/html")], "<html>")]),
        ],
    );
}

#[test]
fn revocations() {
    check(
        "flinks",
        "revoke",
        &[
            revoke("access", ACCESS, &[ENDED]),
            revoke("jwt-without-hint", JWT, &[ENDED]),
            revoke("opaque-without-hint", "token=R1&client_id=CIDX1", &[REFRESHED, ENDED]),
            revoke("refresh", BY_REFRESH, &[REFRESHED, ENDED]),
            at(OPTIONS, revoke("refresh-post", BY_REFRESH, &[REFRESHED, ENDED])),
            revoke("refresh-over", BY_REFRESH, &[BAD_GRANT, OVER]),
            revoke("refresh-over-401", BY_REFRESH, &[OVER, OVER]),
            revoke("refresh-then-over", BY_REFRESH, &[REFRESHED, OVER, BAD_GRANT]),
            revoke("refresh-then-refused", BY_REFRESH, &[REFRESHED, OVER, REFRESHED]),
            revoke("refresh-that-is-an-access-token", BY_REFRESH, &[BAD_GRANT, ENDED]),
            revoke("refresh-401-basic", BY_REFRESH, &[(401, BASIC, "{}")]),
            revoke("refresh-401-bare", BY_REFRESH, &[(401, &[], "")]),
            revoke("refresh-401-page", BY_REFRESH, &[(401, &[], "<html>log in</html>")]),
            revoke("refresh-403-bare", BY_REFRESH, &[(403, &[], "")]),
            revoke("refresh-then-busy", BY_REFRESH, &[REFRESHED, (503, &[], "")]),
            revoke("refresh-without-token", BY_REFRESH, &[(200, &[], "{}")]),
            revoke("refresh-invalid-client", BY_REFRESH, &[BAD_CLIENT]),
            revoke("access-over", ACCESS, &[OVER, BAD_GRANT]),
            revoke("access-over-bare", ACCESS, &[(401, &[], ""), BAD_GRANT]),
            revoke("access-expired-403", ACCESS, &[(403, &[], MESSAGE), BAD_GRANT]),
            revoke("access-that-is-a-refresh-token", ACCESS, &[OVER, REFRESHED, ENDED]),
            revoke("access-that-never-ends", ACCESS, &[OVER, REFRESHED, OVER, REFRESHED]),
            revoke("access-then-bad-client", ACCESS, &[OVER, BAD_CLIENT]),
            revoke("access-then-401-bare", ACCESS, &[OVER, (401, &[], "")]),
            revoke("access-401-basic", ACCESS, &[(401, BASIC, "")]),
            revoke(
                "access-denied-403",
                ACCESS,
                &[(403, &[], r#"{"message":"Customer not authorized"}"#)],
            ),
            revoke("access-invalid-grant", ACCESS, &[BAD_GRANT, BAD_GRANT]),
            revoke(
                "access-unsupported-token-type",
                ACCESS,
                &[(400, &[], r#"{"error":"unsupported_token_type"}"#)],
            ),
            revoke("access-server-error", ACCESS, &[(500, &[], r#"{"error":"server_error"}"#)]),
            revoke("of-another-client", FOREIGN_JWT, &[]),
            revoke(
                "no-header-value",
                "token=a%0Ab&token_type_hint=access_token&client_id=CIDX1",
                &[],
            ),
            at(
                "paths = { revoke = false }\nflinks = { client_id = 'x', client_secret = \
            '${env:SECRET}' }",
                revoke("no-path", ACCESS, &[]),
            ),
        ],
    );
}
