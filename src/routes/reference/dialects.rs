//! The reference of what is special about a bank's language.
//!
//! This file decides names, ranges and defaults. It must not know anything else.

use super::{Row, Section};

pub(in crate::routes) static ANSWER: Section = Section {
    name: "target.answers",
    heading: "answers",
    meaning: "What an error of this bank becomes: `answers = [{ status = 401, code = \"x\", \
              becomes = 400, error = \"invalid_grant\" }]`. The first that fits counts.",
    rows: &[
        Row::count("status", None, 400, 599, "The bank's status. Required."),
        Row::other("code", "text", "", "The bank's own error code; any if left out."),
        Row::count("becomes", None, 400, 599, "The client's status. Required."),
        Row::choice(
            "error",
            &[
                "invalid_request",
                "invalid_grant",
                "invalid_scope",
                "unauthorized_client",
                "unsupported_grant_type",
                "unsupported_token_type",
                "access_denied",
                "consent_required",
                "interaction_required",
                "insufficient_user_authentication",
                "invalid_target",
                "invalid_authorization_details",
                "invalid_token",
                "server_error",
                "temporarily_unavailable",
            ],
            "The client's `error`.",
        ),
    ],
};

const CLIENT_ID: Row = Row::other(
    "client_id",
    "text",
    "",
    "The hub's id at the bank, for every client that is not in `clients`.",
);
const CLIENT_SECRET: Row = Row::other(
    "client_secret",
    "`${env:NAME}` or `${file:path}`",
    "",
    "The secret that belongs to `client_id`.",
);
const CLIENTS: Row = Row::other(
    "clients",
    "table of client ids and registrations",
    "",
    "The ids at the bank of the hub's clients, one by one.",
);
const CORRELATION_HEADER: Row = Row::other(
    "correlation_header",
    "name of a header field",
    "",
    "The field that the correlation id goes along in; not at all if left out.",
);

pub(in crate::routes) static OAUTH2: Section = Section {
    name: "target.oauth2",
    heading: "[target.oauth2]",
    meaning: "A bank that speaks OAuth 2.0 as RFC 6749, RFC 7009 and RFC 7662 have it.",
    rows: &[
        Row::choice(
            "authentication",
            &[
                "client_secret_basic",
                "client_secret_post",
                "tls_client_auth",
                "private_key_jwt",
                "none",
            ],
            "How the hub authenticates. `private_key_jwt` is RFC 7523 section 2.2, by ES256 alone.",
        ),
        Row::other(
            "private_key",
            "`${env:NAME}` or `${file:path}`",
            "",
            "The key of `private_key_jwt`: on P-256, in PKCS#8, as PEM. It signs by ES256; RSA \
             keys are refused.",
        ),
        Row::other("key_id", "text", "", "The `kid` by which the bank finds the public key."),
        Row::other(
            "audience",
            "text",
            "",
            "The `aud` of an assertion; the token call's URL at the first upstream if left out.",
        ),
        CLIENT_ID,
        CLIENT_SECRET,
        CLIENTS,
        Row::choice(
            "username",
            &["none", "introspection", "userinfo"],
            "How a username is checked, at the path `username`.",
        ),
        Row::other(
            "username_claim",
            "text",
            "\"preferred_username\"",
            "The claim of userinfo that holds the username.",
        ),
        Row::flag("username_ignores_case", "Whether case counts for nothing in a username."),
        Row::other(
            "username_parameter",
            "text",
            "",
            "The name under which `username` goes along with a token call; left out if not given.",
        ),
        CORRELATION_HEADER,
    ],
};

pub(in crate::routes) static FLINKS: Section = Section {
    name: "target.flinks",
    heading: "[target.flinks]",
    meaning: "A bank behind Flinks.",
    rows: &[
        CLIENT_ID,
        CLIENT_SECRET,
        CLIENTS,
        Row::choice("body_encoding", &["json", "form"], "How a token call is written."),
        Row::choice("authentication", &["body", "basic"], "Where the credentials stand."),
        Row::choice("revoke_method", &["DELETE", "POST"], "How a connection is ended."),
        CORRELATION_HEADER,
    ],
};

pub(in crate::routes) static REGISTRATION: Section = Section {
    name: "target.clients",
    heading: "clients",
    meaning: "What one client of the hub is at the bank: `clients = { CIDX0000000001 = { client_id \
              = \"x\", client_secret = \"${env:X}\" } }`.",
    rows: &[Row::other("client_id", "text", "required", "Its id at the bank."), CLIENT_SECRET],
};
