//! The reference of a bank behind Oxlin.
//!
//! This file decides names, ranges and defaults. It must not know anything else.

use super::{Row, Section};

pub(in crate::routes) static OXLIN: Section = Section {
    name: "target.oxlin",
    heading: "[target.oxlin]",
    meaning: "Oxlin (Linxo Connect). Its refresh tokens are taken to be good once.",
    rows: &[
        Row::other("client_id", "text", "required", "The hub's id there."),
        Row::other(
            "client_secret",
            "`${env:NAME}` or `${file:path}`",
            "required",
            "The hub's secret there.",
        ),
        Row::other("redirect_uri", "URL", "", "`redirect_uri` of a token call that brings none."),
        Row::other("provider", "text", "", "`provider` of a token call."),
        Row::choice(
            "authorization_code",
            &["none", "upstream"],
            "Whether codes are passed on. Oxlin does not document the grant.",
        ),
        Row::choice(
            "username",
            &["none", "profile"],
            "How a username is checked: by the user's own entry, read with the client's token.",
        ),
        Row::other("username_field", "text", "\"email\"", "The member that has the name."),
        Row::flag("username_ignores_case", "Whether `Anna` and `anna` are the same."),
        Row::other(
            "terms_marker",
            "text",
            "",
            "What stands in the body of a 401 where, and only where, the user has not accepted \
             the terms.",
        ),
        Row::other("terms_uri", "URL", "", "`error_uri` of the answer that says so."),
    ],
};
