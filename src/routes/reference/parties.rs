//! The reference of contracts, clients and banks.
//!
//! This file decides names, ranges and defaults. It must not know anything else.

use super::{Row, Section};

pub(in crate::routes) static API: Section = Section {
    name: "api",
    heading: "[[api]]",
    meaning: "A contract, mounted under a base path.",
    rows: &[
        Row::other(
            "contract",
            "name of a built-in contract, or a file ending in `.yaml`, `.yml` or `.json`",
            "required",
            "The OpenAPI document that is enforced.",
        ),
        Row::other("base_path", "path", "\"\"", "Where it is mounted."),
        Row::choice("query", &["refuse", "drop"], "What happens to a query string."),
        Row::choice(
            "authorization",
            &["refuse", "forward"],
            "What happens to `Authorization` where the contract does not ask for it.",
        ),
        Row::flag("strict_statuses", "Keep to the statuses that the contract names by number."),
        Row::flag(
            "validate_token_response",
            "Refuse a 200 token answer without `access_token` and `token_type`.",
        ),
        Row::other(
            "error_uri",
            "URL",
            "",
            "`error_uri` of the errors that the gateway makes itself.",
        ),
        Row::other(
            "target",
            "target id",
            "",
            "Native contracts need one of the three: all calls go to this target,",
        ),
        Row::other("target_header", "field name", "", "or to the one that this field names,"),
        Row::other(
            "target_query",
            "parameter name",
            "",
            "or to the one that this query parameter names. A call that names none goes to the \
             client's default or only target.",
        ),
    ],
};

pub(in crate::routes) static CLIENT: Section = Section {
    name: "client",
    heading: "[[client]]",
    meaning: "A third party that calls.",
    rows: &[
        Row::other("id", "1 to 30 of `A-Z a-z 0-9 . _ -`", "required", "Its OAuth client id."),
        Row::other("name", "text", "", "A name for people."),
        Row::other(
            "certificates",
            "list of `sha256:` and 64 hexadecimal digits, or `${file:path}`",
            "[]",
            "SHA-256 of the certificates it may show; two during a roll-over. May be left out \
             only with `insecure_header_identity`.",
        ),
        Row::other("targets", "list of target ids, or `[\"*\"]`", "required", "Where it may go."),
        Row::other("default_target", "target id", "", "The target of a call that names none."),
        Row::choice(
            "status",
            &["active", "suspended"],
            "The suspended may only use operations that are open to them, such as revoke.",
        ),
        Row::table("limit", "", "All its calls together."),
        Row::table("target_limit", "", "Its calls to each target."),
        Row::choice(
            "username_on_refresh",
            &["required", "optional"],
            "Whether a refresh must carry `username`.",
        ),
        Row::other(
            "redirect_uris",
            "list of URLs",
            "[]",
            "Where native authorization calls may redirect to, compared exactly.",
        ),
        Row::other(
            "native_client_ids",
            "list of texts",
            "[]",
            "Other client ids that it goes by in native authorization calls.",
        ),
    ],
};

pub(in crate::routes) static LIMIT: Section = Section {
    name: "limit",
    heading: "limit, target_limit",
    meaning: "A quota: `{ rate = \"50/s\", burst = 100 }`.",
    rows: &[
        Row::other(
            "rate",
            "number (1 to 1000000), `/`, and `s`, `m` or `h`",
            "required",
            "Calls a second, a minute or an hour.",
        ),
        Row::count(
            "burst",
            None,
            1,
            1_000_000,
            "How many may come at once; what a second brings, at least 1, if left out.",
        ),
        Row::flag("shadow", "Count and log, do not enforce."),
    ],
};

pub(in crate::routes) static TARGET_DEFAULTS: Section = Section {
    name: "target_defaults",
    heading: "[target_defaults]",
    meaning: "What a `[[target]]` may leave out, in every file. `tls`, `timeouts` and `breaker` \
              are filled in key by key (`tls` without `server_name`).",
    rows: &[
        Row::table("tls", "", "As in a target."),
        Row::table("timeouts", "", "As in a target."),
        Row::table("limit", "", "As in a target."),
        Row::count("concurrency", Some(64), 1, 100_000, "As in a target."),
        Row::time("retry_after_max", 60_000, 0, 86_400_000, "As in a target."),
        Row::time("resolve_every", 5_000, 1_000, 3_600_000, "As in a target."),
        Row::table("breaker", "", "As in a target."),
        Row::choice("http", &["1.1", "2"], "As in a target."),
        Row::choice("reuse", &["idle", "never"], "As in a target."),
        Row::bytes("response_bytes_max", 1_048_576, 1_024, 67_108_864, "As in a target."),
        Row::count("idle_connections_max", Some(32), 0, 10_000, "As in a target."),
    ],
};

pub(in crate::routes) static TARGET: Section = Section {
    name: "target",
    heading: "[[target]]",
    meaning: "A bank.",
    rows: &[
        Row::other(
            "id",
            "1 to 30 of `A-Z a-z 0-9 . _ -`",
            "required",
            "Its id, the value of `X-CorAPI-Target-ID`.",
        ),
        Row::other("name", "text", "", "A name for people."),
        Row::choice(
            "dialect",
            &["blink", "oauth2", "flinks", "konsentus", "oxlin"],
            "The language it speaks.",
        ),
        Row::table("oauth2", "", "What there is to know about the dialect of that name."),
        Row::table("flinks", "", "What there is to know about the dialect of that name."),
        Row::table("konsentus", "", "What there is to know about the dialect of that name."),
        Row::table("oxlin", "", "What there is to know about the dialect of that name."),
        Row::other(
            "answers",
            "list of tables",
            "",
            "Answers of this bank that mean something else than its dialect says.",
        ),
        Row::other(
            "default_expires_in",
            "duration in whole seconds, 1s to 8784h",
            "",
            "`expires_in` of a translated token answer that has none.",
        ),
        Row::flag(
            "rotates_refresh_tokens",
            "Whether a refresh token is good once: concurrent refreshes of one become one.",
        ),
        Row::other(
            "replay_window",
            "duration, 1s to 5m",
            "",
            "How long the answer to a refresh is given again to the same client. It needs \
             `rotates_refresh_tokens`.",
        ),
        Row::flag(
            "assert_username",
            "Answer the username check from what was said at the token call. It proves that the \
             name is the same, and no more.",
        ),
        Row::choice(
            "unknown_tokens",
            &["learn", "refuse", "pass"],
            "What becomes of a token that nobody is known to have got, where clients share the \
             hub's registration. `learn` passes it until `state_dir` has kept owners for 190 days.",
        ),
        Row::other(
            "upstream",
            "`https://host:port`, or a list",
            "required",
            "Where it is. The port is 443 if left out.",
        ),
        Row::other(
            "auth_upstream",
            "`https://host:port`, or a list",
            "",
            "Where its authorization server is, where that is another host. `oxlin` alone.",
        ),
        Row::flag("insecure_plain_upstream", "Allow `http://` in `upstream`."),
        Row::flag(
            "allow_private_addresses",
            "Whether its name may resolve to loopback, link-local or private addresses.",
        ),
        Row::other("base_path", "path", "\"\"", "What stands before the paths that `paths` omits."),
        Row::table("paths", "", "Where each call goes."),
        Row::table("tls", "", "The hub's side of TLS with it."),
        Row::choice("http", &["1.1", "2"], "The HTTP that it is spoken to in."),
        Row::choice(
            "reuse",
            &["idle", "never"],
            "Whether a connection that is idle carries the next call; `never` is for a bank that \
             gives no correlation ids back and may send an answer too many.",
        ),
        Row::other(
            "headers",
            "table of names and values, with `${env:NAME}` and `${file:path}`",
            "{}",
            "Fields added to each request to it.",
        ),
        Row::table("timeouts", "", "Its deadlines."),
        Row::table("limit", "", "Calls to it, from all clients together."),
        Row::count("concurrency", Some(64), 1, 100_000, "Calls to it at once."),
        Row::table("breaker", "", "When to stop calling it."),
        Row::time(
            "retry_after_max",
            60_000,
            0,
            86_400_000,
            "How long its own `Retry-After` (429, 503) is believed: until then nobody calls \
             it (503), or not the client that got it (429). `0ms` lets calls through.",
        ),
        Row::time(
            "resolve_every",
            5_000,
            1_000,
            3_600_000,
            "How often its name is looked up again while it is in use.",
        ),
        Row::table("probe", "", "Whether it is looked at while nobody calls it; not, if left out."),
        Row::other("maintenance", "list of tables", "", "When it is closed on purpose."),
        Row::count(
            "idle_connections_max",
            Some(32),
            0,
            10_000,
            "Idle connections kept by a worker.",
        ),
        Row::bytes("response_bytes_max", 1_048_576, 1_024, 67_108_864, "An answer's body."),
        Row::choice(
            "status",
            &["active", "onboarding", "maintenance", "suspended"],
            "Whether it is open to clients.",
        ),
        Row::time(
            "maintenance_retry_after",
            60_000,
            1_000,
            86_400_000,
            "`Retry-After` while it is in maintenance.",
        ),
    ],
};

pub(in crate::routes) static PATHS: Section = Section {
    name: "target.paths",
    heading: "[target.paths]",
    meaning: "The whole path of each call. `base_path` stands only before one that is left out. \
              `false` where the bank has no such call. The defaults are those of `blink`; of \
              `oauth2`, `username` is `/oauth/introspect` or `/oauth/userinfo`; of `flinks`, they \
              are `/api/v1/token` and `/api/v1/revoke`.",
    rows: &[
        Row::path("token", "\"/oauth/token\"", "The token endpoint."),
        Row::path("revoke", "\"/oauth/revoke\"", "The revocation endpoint."),
        Row::path("username", "\"/oauth/username\"", "The username validation endpoint."),
    ],
};

pub(in crate::routes) static TARGET_TLS: Section = Section {
    name: "target.tls",
    heading: "[target.tls]",
    meaning: "The hub's side of TLS with the bank. PEM files. `cert` and `key` come together.",
    rows: &[
        Row::file(
            "ca",
            "",
            "The CAs that the bank's certificate chains to; the system's if left out.",
        ),
        Row::file("cert", "", "The certificate that the hub shows."),
        Row::file("key", "", "Its private key."),
        Row::flag(
            "cert_optional",
            "Go on with a bank that does not ask for `cert`. Otherwise it is refused, because it \
             can't know who calls.",
        ),
        Row::other(
            "server_name",
            "host name",
            "",
            "The name to ask for and to find in the certificate; the upstream's if left out.",
        ),
    ],
};

pub(in crate::routes) static TIMEOUTS: Section = Section {
    name: "target.timeouts",
    heading: "[target.timeouts]",
    meaning: "How long the bank may take. `connect` and `first_byte` are at most `total`.",
    rows: &[
        Row::time("connect", 1_000, 10, 60_000, "Name look-up, TCP and TLS together."),
        Row::time("first_byte", 5_000, 10, 300_000, "From the request's last byte to the head."),
        Row::time("total", 8_000, 10, 300_000, "The whole exchange with the bank."),
        Row::time("idle", 15_000, 100, 600_000, "An idle connection; below the bank's keep-alive."),
    ],
};

pub(in crate::routes) static BREAKER: Section = Section {
    name: "target.breaker",
    heading: "[target.breaker]",
    meaning: "When to stop calling a bank that fails, or one of its addresses while another is \
              good.",
    rows: &[
        Row::count("failures", Some(5), 1, 1_000, "So many failures in a row open it."),
        Row::time("open_for", 5_000, 100, 600_000, "For so long; then one call is let through."),
    ],
};

pub(in crate::routes) static PROBE: Section = Section {
    name: "target.probe",
    heading: "[target.probe]",
    meaning: "How a bank that nobody calls is looked at: over its own TLS and connections, address \
              by address, while it is `active`. A look that fails counts for the breaker as a call \
              does.",
    rows: &[
        Row::time("after", 30_000, 100, 3_600_000, "So long without a call, or after a look."),
        Row::other(
            "path",
            "path",
            "",
            "What is asked for with GET; below 500 is well. If left out, a connection is enough.",
        ),
    ],
};

pub(in crate::routes) static MAINTENANCE: Section = Section {
    name: "target.maintenance",
    heading: "[[target.maintenance]]",
    meaning: "A window in which a bank is closed on purpose: calls are 503 `target_maintenance`, \
              with `Retry-After` to its end. Once (`start`, `end`) or each week (`day`, `from`, \
              `to`, `offset`).",
    rows: &[
        Row::other("start", "RFC 3339 moment", "", "When it begins."),
        Row::other("end", "RFC 3339 moment", "", "The first moment after it; at most 31 days."),
        Row::other("day", "`monday` to `sunday`", "", "The day on which it begins each week."),
        Row::other("from", "`hh:mm`", "", "When it begins on that day."),
        Row::other("to", "`hh:mm`", "", "When it ends; before `from` is on the next day."),
        Row::other(
            "offset",
            "`Z` or `+hh:mm`",
            "\"Z\"",
            "The offset from UTC that these are meant in. Summer time is not known here.",
        ),
    ],
};
