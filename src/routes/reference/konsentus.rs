//! The reference of a bank behind Konsentus.
//!
//! This file decides names, ranges and defaults. It must not know anything else.

use super::{Row, Section};

/// What is sent to fetch a `ccg_token`, unless the table says otherwise.
pub(in crate::routes) const CCG_BODY: &str =
    "{\"client_request_query_parameters\":{\"grant_type\":\"client_credentials\"}}";

pub(in crate::routes) static KONSENTUS: Section = Section {
    name: "target.konsentus",
    heading: "[target.konsentus]",
    meaning: "Konsentus: the hub is the FI, and each client is a PSP.",
    rows: &[
        Row::other(
            "basic",
            "`${env:NAME}` or `${file:path}`",
            "required",
            "The hub's credentials: `client:password`, or the same in base64, without `Basic`.",
        ),
        Row::other("fi_reference_id", "text", "required", "The FI's id, such as its PSD2 number."),
        Row::choice("version", &["1", "latest"], "The version of the API."),
        Row::other(
            "psp",
            "table of a client's id and `{ ccg = … }`",
            "{}",
            "The clients that are PSPs there. Any other is refused, unless there is a `ccg`.",
        ),
        Row::table("ccg", "", "The `ccg_token` of every client that `psp` does not name."),
    ],
};

pub(in crate::routes) static KONSENTUS_PSP: Section = Section {
    name: "target.konsentus.psp",
    heading: "psp",
    meaning: "A client that is a PSP at Konsentus: `psp = { CIDX0000000001 = { ccg = … } }`.",
    rows: &[Row::table("ccg", "", "Its `ccg_token`. Required.")],
};

pub(in crate::routes) static KONSENTUS_CCG: Section = Section {
    name: "target.konsentus.ccg",
    heading: "ccg",
    meaning: "Where a `ccg_token` comes from: `token` alone, or else how it is fetched. It is \
              kept for as long as it lives, for each client.",
    rows: &[
        Row::other("token", "`${env:NAME}` or `${file:path}`", "", "The token itself."),
        Row::other("path", "path", "\"/v1/oauth2/tokens\"", "Where it is fetched."),
        Row::choice("method", &["POST", "GET"], "With which method."),
        Row::other(
            "headers",
            "table of names and values, with `${env:NAME}` and `${file:path}`",
            "{}",
            "Fields added to that request, such as `eidas`, the PSP's certificate.",
        ),
        Row::other(
            "body",
            "text, with `${env:NAME}` and `${file:path}`",
            "",
            "Its JSON body; the grant `client_credentials` if left out.",
        ),
        Row::other(
            "token_pointer",
            "JSON pointer",
            "\"/data/access_token\"",
            "Where the token is in the answer.",
        ),
        Row::other(
            "expires_pointer",
            "JSON pointer",
            "\"/data/expires_in\"",
            "Where its life in seconds is.",
        ),
        Row::other(
            "default_ttl",
            "duration, 1s to 24h",
            "\"5m\"",
            "Its life where the answer does not say.",
        ),
    ],
};
