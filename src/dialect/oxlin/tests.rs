//! Every row of DIALECTS 6.2, as a golden file.

use crate::dialect::golden::{self, Ended, Scene};
use crate::oauth::Call;

/// As little as Oxlin documents.
const PLAIN: &str = "dialect = 'oxlin'
upstream = 'https://sandbox-api.oxlin.io'
auth_upstream = 'https://sandbox-auth.oxlin.io'
[target.oxlin]
client_id = 'hub'
client_secret = '${env:SECRET}'
";
/// With all that can be switched on.
const FULL: &str = "dialect = 'oxlin'
upstream = 'https://sandbox-api.oxlin.io'
auth_upstream = 'https://sandbox-auth.oxlin.io'
answers = [{ status = 400, code = 'invalid_scope', becomes = 403, error = 'access_denied' }]
[target.oxlin]
client_id = 'hub'
client_secret = '${env:SECRET}'
redirect_uri = 'https://hub.example/cb'
provider = 'linxoConnect'
authorization_code = 'upstream'
username = 'profile'
username_ignores_case = true
terms_marker = 'TERMS_NOT_ACCEPTED'
terms_uri = 'https://hub.example/terms'
";

const NOTHING: &[(&str, &str)] = &[];

const REFRESH: Scene = Scene {
    name: "refresh",
    shows: "A refresh, with the hub's credentials put in; the refresh token rotates, the id_token \
            is dropped.",
    target: PLAIN,
    call: Call::Token,
    form: "grant_type=refresh_token&refresh_token=3495142fgte56fb3f13b\
           &redirect_uri=https%3A%2F%2Fapp.example%2Fcb&client_id=CIDX0000000002&username=u1",
    bearer: None,
    told: None,
    answers: &[(
        200,
        NOTHING,
        r#"{"access_token":"at-2","token_type":"Bearer","expires_in":3600,"refresh_token":"rt-2","id_token":"e30.e30.x"}"#,
    )],
};
const USERNAME: Scene = Scene {
    name: "username",
    shows: "The user's own entry, read with the client's token, has the name.",
    target: FULL,
    call: Call::Username,
    form: "username=Anna%40example.com",
    bearer: Some("at-1"),
    told: None,
    answers: &[(200, NOTHING, r#"{"id":"1234","email":"anna@example.com"}"#)],
};

#[test]
fn every_row_is_as_its_golden_file_says() {
    golden::check("oxlin", &[TOKENS, TOKEN_ERRORS, USERNAMES, USERNAME_ERRORS].concat());
}

const TOKENS: &[Scene] = &[
    REFRESH,
    Scene {
        name: "refresh-without-a-new-one",
        shows: "No new refresh token: the presented one stays good. The table's redirect_uri and \
                provider stand where the client says none.",
        target: FULL,
        form: "grant_type=refresh_token&refresh_token=rt-1&client_id=CIDX0000000002&username=u1",
        answers: &[(200, NOTHING, r#"{"access_token":"at-2","token_type":"Bearer"}"#)],
        ..REFRESH
    },
    Scene {
        name: "code-none",
        shows: "Codes are not passed on unless the table says so.",
        form: "grant_type=authorization_code&code=c-1&client_id=CIDX0000000002&username=u1",
        answers: &[],
        ..REFRESH
    },
    Scene {
        name: "code-upstream",
        shows: "A code, where the table passes it on.",
        target: FULL,
        form: "grant_type=authorization_code&code=c-1\
               &redirect_uri=https%3A%2F%2Fapp.example%2Fcb&client_id=CIDX0000000002&username=u1",
        ..REFRESH
    },
    Scene {
        name: "revoke",
        shows: "There is no revocation; deleting a user or a connection is another thing.",
        call: Call::Revoke,
        form: "token=at-1&client_id=CIDX0000000002",
        answers: &[],
        ..REFRESH
    },
];

const TOKEN_ERRORS: &[Scene] = &[
    Scene {
        name: "token-400-invalid-grant",
        shows: "The refresh token is no good.",
        answers: &[(
            400,
            NOTHING,
            r#"{"error":"invalid_grant","error_description":"3495142fgte56fb3f13b was used"}"#,
        )],
        ..REFRESH
    },
    Scene {
        name: "token-400-invalid-request",
        shows: "The request is no good.",
        answers: &[(
            400,
            NOTHING,
            r#"{"error":"invalid_request","error_description":"redirect_uri does not match"}"#,
        )],
        ..REFRESH
    },
    Scene {
        name: "token-400-invalid-scope",
        shows: "The scope is no good.",
        answers: &[(400, NOTHING, r#"{"error":"invalid_scope"}"#)],
        ..REFRESH
    },
    Scene {
        name: "token-400-overridden",
        shows: "The target's own row decides before the dialect.",
        target: FULL,
        answers: &[(400, NOTHING, r#"{"error":"invalid_scope"}"#)],
        ..REFRESH
    },
    Scene {
        name: "token-400-html",
        shows: "A page for people, with a code of the closed set in it.",
        answers: &[(400, NOTHING, "<html><p>invalid_grant</p></html>")],
        ..REFRESH
    },
    Scene {
        name: "token-400-invalid-client",
        shows: "The hub's credentials are refused: an alert, and not the client's 401.",
        answers: &[(400, NOTHING, r#"{"error":"invalid_client"}"#)],
        ..REFRESH
    },
    Scene {
        name: "token-401-invalid-client",
        shows: "The same with the other status.",
        answers: &[(
            401,
            NOTHING,
            r#"{"error":"invalid_client","error_description":"the-hubs-own-secret is wrong"}"#,
        )],
        ..REFRESH
    },
    Scene { name: "token-403", shows: "Denied.", answers: &[(403, NOTHING, "")], ..REFRESH },
    Scene {
        name: "token-404",
        shows: "The hub calls the wrong place.",
        answers: &[(404, NOTHING, r#"{"error":"invalid_request"}"#)],
        ..REFRESH
    },
    Scene {
        name: "token-405",
        shows: "The hub calls it wrongly.",
        answers: &[(405, NOTHING, "")],
        ..REFRESH
    },
    Scene {
        name: "token-415",
        shows: "The hub sends what is not taken.",
        answers: &[(415, NOTHING, r#"{"error":"invalid_request"}"#)],
        ..REFRESH
    },
    Scene {
        name: "token-429",
        shows: "Busy, and it says until when.",
        answers: &[(429, &[("retry-after", "7")], "")],
        ..REFRESH
    },
    Scene { name: "token-503", shows: "Down for now.", answers: &[(503, NOTHING, "")], ..REFRESH },
    Scene {
        name: "token-500",
        shows: "It failed.",
        answers: &[(500, NOTHING, r#"{"error":"server_error"}"#)],
        ..REFRESH
    },
    Scene {
        name: "token-200-no-access-token",
        shows: "200 without an access token is no token answer.",
        answers: &[(200, NOTHING, r#"{"token_type":"Bearer"}"#)],
        ..REFRESH
    },
    Scene {
        name: "token-200-not-json",
        shows: "A page for people is none either.",
        answers: &[(200, NOTHING, "<html>")],
        ..REFRESH
    },
];

const USERNAMES: &[Scene] = &[
    USERNAME,
    Scene {
        name: "username-another",
        shows: "Another name is a 200 too.",
        form: "username=beat%40example.com",
        ..USERNAME
    },
    Scene {
        name: "username-none",
        shows: "No username check unless the table says so.",
        target: PLAIN,
        answers: &[],
        ..USERNAME
    },
    Scene {
        name: "username-field-missing",
        shows: "An entry without the member is of no use.",
        answers: &[(200, NOTHING, r#"{"id":"1234"}"#)],
        ..USERNAME
    },
];

const UNAUTHORIZED: &str = r#"{"error":"unauthorized"}"#;

const USERNAME_ERRORS: &[Scene] = &[
    Scene {
        name: "username-401-live-token",
        shows: "401 to a token that the hub knows to live: the user has something to do first.",
        told: Some(Ended(false)),
        answers: &[(401, NOTHING, UNAUTHORIZED)],
        ..USERNAME
    },
    Scene {
        name: "username-401-marker",
        shows: "401 that says so, in the configured words.",
        answers: &[(401, NOTHING, r#"{"error":"TERMS_NOT_ACCEPTED"}"#)],
        ..USERNAME
    },
    Scene {
        name: "username-401-ended-token",
        shows: "401 to a token that has ended.",
        told: Some(Ended(true)),
        answers: &[(401, NOTHING, UNAUTHORIZED)],
        ..USERNAME
    },
    Scene {
        name: "username-401-unknown-token",
        shows: "401 to a token that the hub does not remember.",
        answers: &[(401, NOTHING, UNAUTHORIZED)],
        ..USERNAME
    },
    Scene {
        name: "username-403",
        shows: "The token's scope does not reach so far.",
        answers: &[(403, NOTHING, r#"{"error":"insufficient_scope"}"#)],
        ..USERNAME
    },
    Scene {
        name: "username-404",
        shows: "No such entry: the documented way to say that names are not checked.",
        answers: &[(404, NOTHING, "")],
        ..USERNAME
    },
    Scene {
        name: "username-405",
        shows: "The hub calls it wrongly.",
        answers: &[(405, NOTHING, "")],
        ..USERNAME
    },
    Scene {
        name: "username-503",
        shows: "Down for now.",
        answers: &[(503, &[("retry-after", "30")], "")],
        ..USERNAME
    },
    Scene { name: "username-500", shows: "It failed.", answers: &[(500, NOTHING, "")], ..USERNAME },
];
