//! The chapters of the banks behind Konsentus and Oxlin, which do not have all that bLink has.
//!
//! This file decides what is called there and what must come of it.

use http::StatusCode;

use super::{ANNA, CLIENT_ID, CODE_GRANT, FJORD, GOOD, REVOKE, USERNAME, VIGNE};
use crate::cli::demo::step::{ACCESS, Body, REFRESH, Step, provided, provided_error, refused};

const REDIRECT_URI: (&str, &str) = ("redirect_uri", "https://app.example/cb");
const REFRESH_GRANT: (&str, &str) = ("grant_type", "refresh_token");

/// A good code exchange at Fjord Bank.
const AT_FJORD: Step = Step {
    target: FJORD,
    form: &[CODE_GRANT, ("code", "demo-code-10"), REDIRECT_URI, CLIENT_ID, ANNA],
    expect: provided(Body::AccessToken),
    ..GOOD
};

/// A good refresh at Vigne Bank.
const AT_VIGNE: Step = Step {
    target: VIGNE,
    form: &[REFRESH_GRANT, ("refresh_token", "demo-refresh-1"), CLIENT_ID, ANNA],
    ..GOOD
};

/// Konsentus: one call.
pub(super) const KONSENTUS: &[Step] = &[
    Step {
        title: "Fjord Bank is behind Konsentus, where the client is a PSP",
        expect: provided(Body::AccessToken).reaching(2),
        because: "the hub fetches the ccg_token that stands for the PSP, then redeems the code",
        ..AT_FJORD
    },
    Step {
        title: "Another code",
        form: &[CODE_GRANT, ("code", "demo-code-11"), REDIRECT_URI, CLIENT_ID, ANNA],
        because: "the ccg_token is kept for as long as it lives",
        ..AT_FJORD
    },
    Step {
        title: "The same code again",
        form: &[CODE_GRANT, ("code", "demo-code-11"), REDIRECT_URI, CLIENT_ID, ANNA],
        expect: provided_error(StatusCode::BAD_REQUEST, "invalid_grant"),
        because: "what Konsentus lists in `errors` is said in bLink's words",
        ..AT_FJORD
    },
    Step {
        title: "The client refreshes",
        form: &[REFRESH_GRANT, ("refresh_token", "demo-refresh"), CLIENT_ID, ANNA],
        expect: refused(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        because: "there are no refresh tokens; nobody is asked",
        ..AT_FJORD
    },
];

/// Oxlin: refresh tokens that rotate, and the user's own entry.
pub(super) const OXLIN: &[Step] = &[
    Step {
        title: "Vigne Bank is behind Oxlin; Anna consented there in its own widget",
        because: "the hub refreshes by its own id and secret, on the authorization server's host",
        ..AT_VIGNE
    },
    Step {
        title: "The client refreshes again",
        form: &[REFRESH_GRANT, ("refresh_token", REFRESH), CLIENT_ID, ANNA],
        because: "the refresh token has rotated, and what the hub does not know passes",
        ..AT_VIGNE
    },
    Step {
        title: "Is it Anna's account?",
        path: USERNAME,
        bearer: Some(ACCESS),
        form: &[ANNA],
        expect: provided(Body::ValidUsername(true)),
        because: "the user's own entry, read with the client's token, has the name",
        ..AT_VIGNE
    },
    Step {
        title: "The client revokes the access token",
        path: REVOKE,
        form: &[("token", ACCESS), ("token_type_hint", "access_token"), CLIENT_ID],
        expect: refused(StatusCode::BAD_REQUEST, "unsupported_token_type"),
        because: "Oxlin has no such call, and a 200 would be a lie",
        ..AT_VIGNE
    },
];
