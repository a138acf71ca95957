//! The story of the demo: chapters of steps, as data.
//!
//! This file decides what is called and what must come of it. It must not know how a call is made
//! or printed. A bank in a new language gets a chapter here.

mod foreign;
mod providers;

use http::StatusCode;

use super::step::{
    ACCESS, Body, Certificate, Chapter, Expect, REFRESH, Step, provided, provided_error, refused,
};

/// A client that may call every bank.
pub(super) const LEDGER: &str = "CIDX0000000001";
/// A client with a quota of two calls an hour.
pub(super) const PIGGY: &str = "CIDX0000000002";
/// A client that may call Alpine Cantonal Bank alone.
pub(super) const PENSION: &str = "CIDX0000000003";

/// Alpine Cantonal Bank.
pub(super) const ALPINE: &str = "IIDX00001";
/// Lakeside Bank: it has other paths, and one second for each call.
pub(super) const LAKESIDE: &str = "IIDX00002";
/// Ghost Bank: nobody listens there.
pub(super) const GHOST: &str = "IIDX00003";

/// Harbour Bank: it speaks OAuth 2.0.
pub(super) const HARBOUR: &str = "IIDX00004";
/// Maple Credit Union: it is behind Flinks.
pub(super) const MAPLE: &str = "IIDX00005";

/// Fjord Bank: it is behind Konsentus.
pub(super) const FJORD: &str = "IIDX00006";
/// Vigne Bank: it is behind Oxlin.
pub(super) const VIGNE: &str = "IIDX00007";
/// Vigne Bank's API, for who speaks Oxlin's own language.
pub(super) const VIGNE_API: &str = "IIDX00008";

/// Where the contract is mounted.
pub(super) const BASE_PATH: &str = "/consent-flow/v2";
const TOKEN: &str = "/consent-flow/v2/oauth/token";
const REVOKE: &str = "/consent-flow/v2/oauth/revoke";
const USERNAME: &str = "/consent-flow/v2/oauth/username";

const CODE_GRANT: (&str, &str) = ("grant_type", "authorization_code");
const CLIENT_ID: (&str, &str) = ("client_id", LEDGER);
const ANNA: (&str, &str) = ("username", "anna.muster");

/// A good code exchange, which the other steps vary.
const GOOD: Step = Step {
    title: "",
    certificate: Certificate::Of(LEDGER),
    client: LEDGER,
    target: ALPINE,
    path: TOKEN,
    correlated: true,
    bearer: None,
    form: &[CODE_GRANT, ("code", "demo-code-1"), CLIENT_ID, ANNA],
    times: 1,
    expect: provided(Body::Tokens),
    because: "",
};

/// The story.
pub(super) const STORY: &[Chapter] = &[
    Chapter { title: "A consent, from code to revocation", steps: CONSENT },
    Chapter { title: "Calls that the gateway refuses", steps: REFUSALS },
    Chapter { title: "Banks that refuse, hang, break off or are away", steps: FAILURES },
    Chapter { title: "A bank that speaks OAuth 2.0", steps: foreign::OAUTH2 },
    Chapter { title: "A bank behind Flinks", steps: foreign::FLINKS },
    Chapter { title: "A bank behind Konsentus", steps: providers::KONSENTUS },
    Chapter { title: "A bank behind Oxlin", steps: providers::OXLIN },
];

const CONSENT: &[Step] = &[
    Step {
        title: "Anna has consented at Alpine Cantonal Bank; the client redeems the code",
        because: "the bank's answer is passed on, with the caller's correlation id",
        ..GOOD
    },
    Step {
        title: "The client refreshes",
        form: &[("grant_type", "refresh_token"), ("refresh_token", REFRESH), CLIENT_ID, ANNA],
        because: "the bank has rotated the refresh token, and was asked once",
        ..GOOD
    },
    Step {
        title: "Is it Anna's account?",
        path: USERNAME,
        bearer: Some(ACCESS),
        form: &[ANNA],
        expect: provided(Body::ValidUsername(true)),
        because: "the access token stands for Anna's consent",
        ..GOOD
    },
    Step {
        title: "Is it Beat's account?",
        path: USERNAME,
        bearer: Some(ACCESS),
        form: &[("username", "beat.muster")],
        expect: provided(Body::ValidUsername(false)),
        because: "it does not stand for Beat's",
        ..GOOD
    },
    Step {
        title: "Anna ends her consent: the client revokes the refresh token …",
        path: REVOKE,
        form: &[("token", REFRESH), ("token_type_hint", "refresh_token"), CLIENT_ID],
        expect: provided(Body::Empty),
        because: "a revocation is answered with 200 and no body",
        ..GOOD
    },
    Step {
        title: "… and the access token, which is a call of its own",
        path: REVOKE,
        form: &[("token", ACCESS), ("token_type_hint", "access_token"), CLIENT_ID],
        expect: provided(Body::Empty),
        because: "bLink revokes the two separately",
        ..GOOD
    },
    Step {
        title: "The token is worth nothing now",
        path: USERNAME,
        bearer: Some(ACCESS),
        form: &[ANNA],
        expect: provided_error(StatusCode::UNAUTHORIZED, "invalid_token").with("WWW-Authenticate"),
        because: "the bank's 401 is passed on as the bank's",
        ..GOOD
    },
    Step {
        title: "The same call at Lakeside Bank, which serves it under another path",
        target: LAKESIDE,
        form: &[CODE_GRANT, ("code", "demo-code-2"), CLIENT_ID, ANNA],
        because: "the route knows the bank's paths; the client does not",
        ..GOOD
    },
];

const REFUSALS: &[Step] = &[
    Step {
        title: "No X-Correlation-ID",
        correlated: false,
        expect: refused(StatusCode::BAD_REQUEST, "invalid_request"),
        because: "the contract requires it; the answer still carries one, a fresh one",
        ..GOOD
    },
    Step {
        title: "A parameter that stands twice",
        form: &[CODE_GRANT, ("code", "demo-code-3"), ("code", "demo-code-4"), CLIENT_ID, ANNA],
        expect: refused(StatusCode::BAD_REQUEST, "invalid_request"),
        because: "RFC 6749: parameters must not be included more than once",
        ..GOOD
    },
    Step {
        title: "A bank that nobody knows",
        target: "IIDX99999",
        expect: refused(StatusCode::BAD_REQUEST, "invalid_request"),
        because: "there is no such route",
        ..GOOD
    },
    Step {
        title: "A bank that this client may not call",
        certificate: Certificate::Of(PENSION),
        client: PENSION,
        target: LAKESIDE,
        form: &[CODE_GRANT, ("code", "demo-code-5"), ("client_id", PENSION), ANNA],
        expect: refused(StatusCode::FORBIDDEN, "unauthorized_client"),
        because: "its entry names Alpine Cantonal Bank alone",
        ..GOOD
    },
    Step {
        title: "Another client's id, with a certificate that is good in itself",
        certificate: Certificate::Of(PENSION),
        expect: refused(StatusCode::UNAUTHORIZED, "invalid_client").with("WWW-Authenticate"),
        because: "who calls is what the certificate says, not what a header says",
        ..GOOD
    },
    Step {
        title: "A certificate with the right name, from an authority that is not trusted",
        certificate: Certificate::Stranger,
        expect: Expect::NoTls,
        because: "TLS is refused: there is no connection to call on",
        ..GOOD
    },
    Step {
        title: "The third call of a client that may make two an hour",
        certificate: Certificate::Of(PIGGY),
        client: PIGGY,
        path: REVOKE,
        form: &[("token", "demo-token"), ("client_id", PIGGY)],
        times: 3,
        expect: refused(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable")
            .with("Retry-After")
            .reaching(2),
        because: "two calls reached the bank; the answer says when to come back",
        ..GOOD
    },
];

const FAILURES: &[Step] = &[
    Step {
        title: "The code of the first step again",
        expect: provided_error(StatusCode::BAD_REQUEST, "invalid_grant"),
        because: "a code is good once; the bank says so, and the gateway passes it on",
        ..GOOD
    },
    Step {
        title: "Lakeside Bank takes four seconds; its route allows one",
        target: LAKESIDE,
        form: &[CODE_GRANT, ("code", "sim-delay-4000"), CLIENT_ID, ANNA],
        expect: refused(StatusCode::GATEWAY_TIMEOUT, "server_error").reaching(1),
        because: "the bank was asked once: what may have been carried out is not repeated",
        ..GOOD
    },
    Step {
        title: "Alpine Cantonal Bank breaks off in the middle of its answer",
        form: &[CODE_GRANT, ("code", "sim-truncate"), CLIENT_ID, ANNA],
        expect: refused(StatusCode::BAD_GATEWAY, "server_error").reaching(1),
        because: "half an answer is never passed on as a whole one",
        ..GOOD
    },
    Step {
        title: "Ghost Bank is away",
        target: GHOST,
        expect: refused(StatusCode::BAD_GATEWAY, "server_error"),
        because: "nobody listens there; the other banks are not affected",
        ..GOOD
    },
    Step {
        title: "… as this call shows",
        form: &[CODE_GRANT, ("code", "demo-code-6"), CLIENT_ID, ANNA],
        because: "each bank has connections, limits and a breaker of its own",
        ..GOOD
    },
];
