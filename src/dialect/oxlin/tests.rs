//! Every row of DIALECTS 6.2, as a golden file.

use crate::dialect::golden::{Case, Ended, check};
use crate::oauth::Call;

/// As little as Oxlin documents.
const PLAIN: &str = "auth_upstream = 'https://auth.bank.example'
[target.oxlin]
client_id = 'hub'
client_secret = '${env:SECRET}'
";
/// With all that can be switched on.
const FULL: &str = "auth_upstream = 'https://auth.bank.example'
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

const REFRESH: Case = Case {
    name: "refresh",
    shows: "A refresh, with the hub's credentials put in; the refresh token rotates, the id_token \
            is dropped.",
    target: PLAIN,
    call: Call::Token,
    form: "grant_type=refresh_token&refresh_token=3495142fgte56fb3f13b\
           &redirect_uri=https%3A%2F%2Fapp.example%2Fcb&client_id=CIDX1&username=u1",
    told: None,
    said: &[(
        200,
        NOTHING,
        concat!(
            r#"{"access_token":"at-2","token_type":"Bearer","expires_in":3600,"#,
            r#""refresh_token":"rt-2","id_token":"e30.e30.x"}"#,
        ),
    )],
};
const USERNAME: Case = Case {
    name: "username",
    shows: "The user's own entry, read with the client's token, has the name.",
    target: FULL,
    call: Call::Username,
    form: "username=Anna%40example.com",
    told: None,
    said: &[(200, NOTHING, r#"{"id":"1234","email":"anna@example.com"}"#)],
};

#[test]
fn tokens() {
    check("oxlin", "token", TOKENS);
}

#[test]
fn token_errors() {
    check("oxlin", "token-errors", TOKEN_ERRORS);
}

#[test]
fn usernames() {
    check("oxlin", "username", USERNAMES);
}

#[test]
fn username_errors() {
    check("oxlin", "username-errors", USERNAME_ERRORS);
}

const TOKENS: &[Case] = &[
    REFRESH,
    Case {
        name: "refresh-without-a-new-one",
        shows: "No new refresh token: the presented one stays good. The table's redirect_uri and \
                provider stand where the client says none.",
        target: FULL,
        form: "grant_type=refresh_token&refresh_token=rt-1&client_id=CIDX1&username=u1",
        said: &[(200, NOTHING, r#"{"access_token":"at-2","token_type":"Bearer"}"#)],
        ..REFRESH
    },
    Case {
        name: "code-none",
        shows: "Codes are not passed on unless the table says so.",
        form: "grant_type=authorization_code&code=c-1&client_id=CIDX1&username=u1",
        said: &[],
        ..REFRESH
    },
    Case {
        name: "code-upstream",
        shows: "A code, where the table passes it on.",
        target: FULL,
        form: "grant_type=authorization_code&code=c-1\
               &redirect_uri=https%3A%2F%2Fapp.example%2Fcb&client_id=CIDX1&username=u1",
        ..REFRESH
    },
    Case {
        name: "revoke",
        shows: "There is no revocation; deleting a user or a connection is another thing.",
        call: Call::Revoke,
        form: "token=at-1&client_id=CIDX1",
        said: &[],
        ..REFRESH
    },
];

const TOKEN_ERRORS: &[Case] = &[
    Case {
        name: "400-invalid-grant",
        shows: "The refresh token is no good.",
        said: &[(
            400,
            NOTHING,
            r#"{"error":"invalid_grant","error_description":"3495142fgte56fb3f13b was used"}"#,
        )],
        ..REFRESH
    },
    Case {
        name: "400-invalid-request",
        shows: "The request is no good.",
        said: &[(
            400,
            NOTHING,
            r#"{"error":"invalid_request","error_description":"redirect_uri does not match"}"#,
        )],
        ..REFRESH
    },
    Case {
        name: "400-invalid-scope",
        shows: "The scope is no good.",
        said: &[(400, NOTHING, r#"{"error":"invalid_scope"}"#)],
        ..REFRESH
    },
    Case {
        name: "400-overridden",
        shows: "The target's own row decides before the dialect.",
        target: FULL,
        said: &[(400, NOTHING, r#"{"error":"invalid_scope"}"#)],
        ..REFRESH
    },
    Case {
        name: "400-html",
        shows: "A page for people, with a code of the closed set in it.",
        said: &[(400, NOTHING, "<html><p>invalid_grant</p></html>")],
        ..REFRESH
    },
    Case {
        name: "400-invalid-client",
        shows: "The hub's credentials are refused: an alert, and not the client's 401.",
        said: &[(400, NOTHING, r#"{"error":"invalid_client"}"#)],
        ..REFRESH
    },
    Case {
        name: "401-invalid-client",
        shows: "The same with the other status.",
        said: &[(
            401,
            NOTHING,
            r#"{"error":"invalid_client","error_description":"test-secret:1 is wrong"}"#,
        )],
        ..REFRESH
    },
    Case { name: "403", shows: "Denied.", said: &[(403, NOTHING, "")], ..REFRESH },
    Case {
        name: "404",
        shows: "The hub calls the wrong place.",
        said: &[(404, NOTHING, r#"{"error":"invalid_request"}"#)],
        ..REFRESH
    },
    Case {
        name: "405",
        shows: "The hub calls it wrongly.",
        said: &[(405, NOTHING, "")],
        ..REFRESH
    },
    Case {
        name: "415",
        shows: "The hub sends what is not taken.",
        said: &[(415, NOTHING, r#"{"error":"invalid_request"}"#)],
        ..REFRESH
    },
    Case {
        name: "429",
        shows: "Busy, and it says until when.",
        said: &[(429, &[("retry-after", "7")], "")],
        ..REFRESH
    },
    Case { name: "503", shows: "Down for now.", said: &[(503, NOTHING, "")], ..REFRESH },
    Case {
        name: "500",
        shows: "It failed.",
        said: &[(500, NOTHING, r#"{"error":"server_error"}"#)],
        ..REFRESH
    },
    Case {
        name: "200-no-access-token",
        shows: "200 without an access token is no token answer.",
        said: &[(200, NOTHING, r#"{"token_type":"Bearer"}"#)],
        ..REFRESH
    },
    Case {
        name: "200-not-json",
        shows: "A page for people is none either.",
        said: &[(200, NOTHING, "<html>")],
        ..REFRESH
    },
];

const USERNAMES: &[Case] = &[
    USERNAME,
    Case {
        name: "username-another",
        shows: "Another name is a 200 too.",
        form: "username=beat%40example.com",
        ..USERNAME
    },
    Case {
        name: "username-none",
        shows: "No username check unless the table says so.",
        target: PLAIN,
        said: &[],
        ..USERNAME
    },
    Case {
        name: "username-field-missing",
        shows: "An entry without the member is of no use.",
        said: &[(200, NOTHING, r#"{"id":"1234"}"#)],
        ..USERNAME
    },
];

const UNAUTHORIZED: &str = r#"{"error":"unauthorized"}"#;

const USERNAME_ERRORS: &[Case] = &[
    Case {
        name: "401-live-token",
        shows: "401 to a token that the hub knows to live: the user has something to do first.",
        told: Some(Ended(false)),
        said: &[(401, NOTHING, UNAUTHORIZED)],
        ..USERNAME
    },
    Case {
        name: "401-marker",
        shows: "401 that says so, in the configured words.",
        said: &[(401, NOTHING, r#"{"error":"TERMS_NOT_ACCEPTED"}"#)],
        ..USERNAME
    },
    Case {
        name: "401-ended-token",
        shows: "401 to a token that has ended.",
        told: Some(Ended(true)),
        said: &[(401, NOTHING, UNAUTHORIZED)],
        ..USERNAME
    },
    Case {
        name: "401-unknown-token",
        shows: "401 to a token that the hub does not remember.",
        said: &[(401, NOTHING, UNAUTHORIZED)],
        ..USERNAME
    },
    Case {
        name: "403",
        shows: "The token's scope does not reach so far.",
        said: &[(403, NOTHING, r#"{"error":"insufficient_scope"}"#)],
        ..USERNAME
    },
    Case {
        name: "404",
        shows: "No such entry: the documented way to say that names are not checked.",
        said: &[(404, NOTHING, "")],
        ..USERNAME
    },
    Case {
        name: "405",
        shows: "The hub calls it wrongly.",
        said: &[(405, NOTHING, "")],
        ..USERNAME
    },
    Case {
        name: "503",
        shows: "Down for now.",
        said: &[(503, &[("retry-after", "30")], "")],
        ..USERNAME
    },
    Case { name: "500", shows: "It failed.", said: &[(500, NOTHING, "")], ..USERNAME },
];
