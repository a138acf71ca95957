//! The chapters of the banks that do not speak bLink.
//!
//! This file decides what is called there and what must come of it.

use http::StatusCode;

use super::{ANNA, CLIENT_ID, CODE_GRANT, GOOD, HARBOUR, MAPLE, REVOKE, USERNAME};
use crate::cli::demo::step::{ACCESS, Body, REFRESH, Step, provided, provided_error, refused};

const REFRESH_FORM: &[(&str, &str)] =
    &[("grant_type", "refresh_token"), ("refresh_token", REFRESH), CLIENT_ID, ANNA];
const REVOKE_ACCESS: &[(&str, &str)] =
    &[("token", ACCESS), ("token_type_hint", "access_token"), CLIENT_ID];
const REVOKE_REFRESH: &[(&str, &str)] =
    &[("token", REFRESH), ("token_type_hint", "refresh_token"), CLIENT_ID];

/// A good code exchange at Harbour Bank.
const AT_HARBOUR: Step =
    Step { target: HARBOUR, form: &[CODE_GRANT, ("code", "demo-code-7"), CLIENT_ID, ANNA], ..GOOD };

/// A good code exchange at Maple Credit Union.
const AT_MAPLE: Step = Step {
    target: MAPLE,
    form: &[
        CODE_GRANT,
        ("code", "demo-code-8"),
        ("redirect_uri", "https://app.example/cb"),
        CLIENT_ID,
        ANNA,
    ],
    ..GOOD
};

/// OAuth 2.0 as it is written.
pub(super) const OAUTH2: &[Step] = &[
    Step {
        title: "Harbour Bank speaks plain OAuth 2.0; the client's call is the same",
        because: "the hub calls by its own id and secret, and answers in bLink's words",
        ..AT_HARBOUR
    },
    Step {
        title: "The client refreshes",
        form: REFRESH_FORM,
        because: "the bank has rotated the refresh token, and was asked once",
        ..AT_HARBOUR
    },
    Step {
        title: "Is it Anna's account?",
        path: USERNAME,
        bearer: Some(ACCESS),
        form: &[ANNA],
        expect: provided(Body::ValidUsername(true)),
        because: "the bank's introspection names the user of a token",
        ..AT_HARBOUR
    },
    Step {
        title: "The client revokes the access token",
        path: REVOKE,
        form: REVOKE_ACCESS,
        expect: provided(Body::Empty),
        because: "RFC 7009 has the call that bLink has",
        ..AT_HARBOUR
    },
    Step {
        title: "The token is worth nothing now",
        path: USERNAME,
        bearer: Some(ACCESS),
        form: &[ANNA],
        expect: provided_error(StatusCode::UNAUTHORIZED, "invalid_token").with("WWW-Authenticate"),
        because: "the introspection says that it is not active",
        ..AT_HARBOUR
    },
    Step {
        title: "Harbour Bank answers with a page for people",
        form: &[CODE_GRANT, ("code", "sim-html-404"), CLIENT_ID, ANNA],
        expect: refused(StatusCode::BAD_GATEWAY, "server_error").reaching(1),
        because: "a page is no answer, and is never passed on",
        ..AT_HARBOUR
    },
];

/// Flinks.
pub(super) const FLINKS: &[Step] = &[
    Step {
        title: "Maple Credit Union is behind Flinks, which takes JSON",
        because: "the hub writes the client's form anew, with its own credentials in it",
        ..AT_MAPLE
    },
    Step {
        title: "The same without redirect_uri, which bLink leaves open",
        form: &[CODE_GRANT, ("code", "demo-code-9"), CLIENT_ID, ANNA],
        expect: refused(StatusCode::BAD_REQUEST, "invalid_request"),
        because: "Flinks needs it; the bank is not asked, and the code stays good",
        ..AT_MAPLE
    },
    Step {
        title: "The client refreshes",
        form: REFRESH_FORM,
        because: "Flinks answers no refresh token, for the old one stays: the hub says it again",
        ..AT_MAPLE
    },
    Step {
        title: "The client revokes the refresh token …",
        path: REVOKE,
        form: REVOKE_REFRESH,
        expect: provided(Body::Empty).reaching(2),
        because: "Flinks ends a connection by its access token: the hub fetches one first",
        ..AT_MAPLE
    },
    Step {
        title: "… and the access token",
        path: REVOKE,
        form: REVOKE_ACCESS,
        expect: provided(Body::Empty).reaching(2),
        because: "it has ended already: Flinks knows the token as neither kind",
        ..AT_MAPLE
    },
    Step {
        title: "Is it Anna's account?",
        path: USERNAME,
        bearer: Some(ACCESS),
        form: &[ANNA],
        expect: refused(StatusCode::NOT_FOUND, "invalid_request"),
        because: "Flinks has no such call, and the hub does not pretend",
        ..AT_MAPLE
    },
];
