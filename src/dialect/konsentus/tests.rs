//! Every row of DIALECTS 4.2, as a golden file; and which words mean a code that is no longer good.

use crate::dialect::golden::{Case, Said, check};
use crate::oauth::Call;

/// The token that stands for the PSP is in the table.
const FIXED: &str = "[target.konsentus]
basic = '${env:SECRET}'
fi_reference_id = 'PSDGB-FCA-111111'
psp = { CIDX1 = { ccg = { token = '${env:SECRET}' } } }
";
/// It is fetched with the PSP's certificate.
const FETCHED: &str = "headers = { X-Api-Key = 'key' }
[target.konsentus]
basic = '${env:SECRET}'
fi_reference_id = 'PSDGB-FCA-111111'
version = 'latest'
psp = { CIDX1 = { ccg = { headers = { eidas = '${env:SECRET}' } } } }
";
const OVERRIDDEN: &str = "default_expires_in = '1h'
answers = [{ status = 400, code = 'KON-7', becomes = 403, error = 'access_denied' }]
[target.konsentus]
basic = '${env:SECRET}'
fi_reference_id = 'PSDGB-FCA-111111'
ccg = { token = '${env:SECRET}' }
";
const OTHERS: &str = "[target.konsentus]
basic = '${env:SECRET}'
fi_reference_id = 'PSDGB-FCA-111111'
psp = { CIDX9 = { ccg = { token = '${env:SECRET}' } } }
";

/// DIALECTS 4.3.
const FORM: &str = "grant_type=authorization_code&code=333a5720w2jhklq14t\
&redirect_uri=https%3A%2F%2Fwww.google.com&client_id=CIDX1&username=u1";

const GOOD: Case = Case {
    name: "code",
    shows: "A code becomes an access token: 201 is 200, `data` is unwrapped, `state` is dropped.",
    target: FIXED,
    call: Call::Token,
    form: FORM,
    told: None,
    said: &[(
        201,
        &[("content-type", "application/json")],
        concat!(
            r#"{"data":{"access_token":"8c9378f8-e27f-4e0a-a643-d73585d1249f","#,
            r#""expires_in":31104000,"token_type":"bearer","state":"example-state"}}"#,
        ),
    )],
};

const CCG: Said = (
    201,
    &[],
    r#"{"data":{"access_token":"good-access-token","expires_in":3600,"token_type":"bearer"}}"#,
);
const NOTHING: &[(&str, &str)] = &[];

#[test]
fn codes() {
    check("konsentus", "code", CODES);
}

#[test]
fn refused_here() {
    check("konsentus", "refused-here", REFUSED_HERE);
}

#[test]
fn refused_there() {
    check("konsentus", "refused-there", REFUSED_THERE);
}

#[test]
fn broken() {
    check("konsentus", "broken", BROKEN);
}

const CODES: &[Case] = &[
    GOOD,
    Case {
        name: "code-fetched-ccg-token",
        shows: "The ccg_token is fetched first, with the PSP's certificate.",
        target: FETCHED,
        said: &[CCG, (201, NOTHING, r#"{"data":{"access_token":"at-1","expires_in":60}}"#)],
        ..GOOD
    },
    Case {
        name: "code-lifetime-missing",
        shows: "Any 2xx is taken; without expires_in the table's default stands.",
        target: OVERRIDDEN,
        said: &[(200, NOTHING, r#"{"data":{"access_token":"at-1","token_type":"Bearer"}}"#)],
        ..GOOD
    },
];

const REFUSED_HERE: &[Case] = &[
    Case {
        name: "refresh",
        shows: "There are no refresh tokens: nothing is sent, and no ccg_token is fetched.",
        target: FETCHED,
        form: "grant_type=refresh_token&refresh_token=rt-1&client_id=CIDX1&username=u1",
        said: &[],
        ..GOOD
    },
    Case {
        name: "revoke",
        shows: "There is no revocation: a 200 would be a lie.",
        target: FETCHED,
        call: Call::Revoke,
        form: "token=at-1&client_id=CIDX1",
        said: &[],
        ..GOOD
    },
    Case {
        name: "username",
        shows: "There is no username check.",
        target: FETCHED,
        call: Call::Username,
        form: "username=u1",
        said: &[],
        ..GOOD
    },
    Case {
        name: "redirect-uri-missing",
        shows: "redirect_uri is required there, and optional in bLink.",
        target: FETCHED,
        form: "grant_type=authorization_code&code=c-1&client_id=CIDX1&username=u1",
        said: &[],
        ..GOOD
    },
    Case {
        name: "client-unmapped",
        shows: "The client is no PSP there.",
        target: OTHERS,
        said: &[],
        ..GOOD
    },
];

const REFUSED_THERE: &[Case] = &[
    Case {
        name: "400-code-expired",
        shows: "400 that speaks of the code: the grant is no good.",
        said: &[(
            400,
            NOTHING,
            concat!(
                r#"{"errors":[{"id":"5d1f","code":"KON-4001","#,
                r#""title":"auth_code has expired","#,
                r#""link":"https://docs.konsentus.test/errors#4001"},{"id":"5d20","#,
                r#""code":"KON-4002","title":"A \"new\" consent is needed","#,
                r#""link":""}]}"#,
            ),
        )],
        ..GOOD
    },
    Case {
        name: "400-field-missing",
        shows: "400 for anything else: the request is no good. At most three errors are told.",
        said: &[(
            400,
            NOTHING,
            concat!(
                r#"{"errors":[{"id":"1","code":"MISSING","#,
                r#""title":"auth_code is required","link":"/relative"},{"id":"2","#,
                r#""code":"MISSING","title":"redirect_uri is required"},{"id":"3","#,
                r#""code":"X"},{"id":"4","code":"Y"}]}"#,
            ),
        )],
        ..GOOD
    },
    Case {
        name: "400-no-errors",
        shows: "400 without a word of why.",
        said: &[(400, NOTHING, "<html>Bad Request</html>")],
        ..GOOD
    },
    Case {
        name: "400-echoes-the-code",
        shows: "What the client sent does not come back in the provider's words.",
        said: &[(
            400,
            NOTHING,
            r#"{"errors":[{"id":"1","code":"KON-1","title":"code 333a5720w2jhklq14t was used"}]}"#,
        )],
        ..GOOD
    },
    Case {
        name: "400-echoes-the-ccg-token",
        shows: "Nor does what the hub sent.",
        target: FETCHED,
        said: &[
            CCG,
            (
                400,
                NOTHING,
                r#"{"errors":[{"id":"1","code":"KON-2","title":"good-access-token and more"}]}"#,
            ),
        ],
        ..GOOD
    },
    Case {
        name: "400-overridden",
        shows: "The target's own row decides before the dialect.",
        target: OVERRIDDEN,
        said: &[(
            400,
            NOTHING,
            r#"{"errors":[{"id":"1","code":"KON-7","title":"auth_code is invalid"}]}"#,
        )],
        ..GOOD
    },
    Case {
        name: "401",
        shows: "401 is about the hub's credentials: the ccg_token is forgotten, nothing is sent \
                again, and the client is told 502.",
        target: FETCHED,
        said: &[
            CCG,
            (
                401,
                NOTHING,
                r#"{"errors":[{"id":"1","code":"KON-401","title":"Unable to Authorize"}]}"#,
            ),
        ],
        ..GOOD
    },
    Case {
        name: "401-ccg-token",
        shows: "The ccg_token itself is refused: the code is not spent on it.",
        target: FETCHED,
        said: &[(401, NOTHING, r#"{"errors":[]}"#)],
        ..GOOD
    },
    Case {
        name: "403",
        shows: "403: the PSP is not authorised, or was withdrawn.",
        said: &[(
            403,
            NOTHING,
            concat!(
                r#"{"errors":[{"id":"9","code":"KON-403","title":"PSP withdrawn","#,
                r#""link":"http://docs.konsentus.test/403"}]}"#,
            ),
        )],
        ..GOOD
    },
    Case {
        name: "403-no-errors",
        shows: "403 without a word of why.",
        said: &[(403, NOTHING, "")],
        ..GOOD
    },
];

const BROKEN: &[Case] = &[
    Case {
        name: "404",
        shows: "404: the hub calls the wrong place.",
        said: &[(404, NOTHING, r#"{"errors":[]}"#)],
        ..GOOD
    },
    Case {
        name: "405",
        shows: "405: the hub calls it wrongly.",
        said: &[(405, NOTHING, "")],
        ..GOOD
    },
    Case {
        name: "406",
        shows: "406: \"content-type sent is not accepted\", which is the hub's.",
        said: &[(406, NOTHING, "")],
        ..GOOD
    },
    Case {
        name: "413",
        shows: "413: the hub sends too much.",
        said: &[(413, NOTHING, "")],
        ..GOOD
    },
    Case {
        name: "429",
        shows: "429: busy, and it says until when.",
        said: &[(429, &[("retry-after", "7")], "")],
        ..GOOD
    },
    Case { name: "503", shows: "503: down for now.", said: &[(503, NOTHING, "")], ..GOOD },
    Case {
        name: "500",
        shows: "500: it failed.",
        said: &[(500, NOTHING, "<html>oops</html>")],
        ..GOOD
    },
    Case {
        name: "302",
        shows: "A redirect is not followed.",
        said: &[(302, &[("location", "https://elsewhere.test/")], "")],
        ..GOOD
    },
    Case {
        name: "201-no-access-token",
        shows: "201 without an access token is no token answer.",
        said: &[(201, NOTHING, r#"{"data":{"token_type":"bearer","expires_in":1}}"#)],
        ..GOOD
    },
    Case {
        name: "201-no-data",
        shows: "201 without `data` is none either.",
        said: &[(201, NOTHING, r#"{"access_token":"at-1"}"#)],
        ..GOOD
    },
    Case {
        name: "201-not-json",
        shows: "A page for people is none at all.",
        said: &[(201, NOTHING, "<html>")],
        ..GOOD
    },
    Case {
        name: "201-other-token-type",
        shows: "A type of token that the hub does not know passes: the code is spent.",
        said: &[(201, NOTHING, r#"{"data":{"access_token":"at-1","token_type":"DPoP"}}"#)],
        ..GOOD
    },
];
