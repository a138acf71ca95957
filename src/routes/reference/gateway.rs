//! The reference of what belongs to the process.
//!
//! This file decides names, ranges and defaults. It must not know anything else.

use super::{Row, Section};

pub(in crate::routes) static ROOT: Section = Section {
    name: "",
    heading: "Top of the file",
    meaning: "A file that is included holds `[[target]]` tables and nothing else.",
    rows: &[
        Row::other(
            "include",
            "list of file names, `*` in the last part",
            "[]",
            "Files of targets, relative to this file, each of at most 1 MiB. A broken one is set \
             aside; the rest loads.",
        ),
        Row::table("included", "", "What included files may do beyond their own entries."),
        Row::table("gateway", "required", "The process: listeners, TLS, limits."),
        Row::table("api", "required", "The contracts that are served."),
        Row::table("client", "", "Who may call."),
        Row::table("target_defaults", "", "What a target may leave out."),
        Row::table("target", "", "The banks."),
    ],
};

pub(in crate::routes) static INCLUDED: Section = Section {
    name: "included",
    heading: "[[included]]",
    meaning: "What an included file may do beyond its own entries; nothing of it where none fits. \
              Of several that fit a file, the first holds. `{stem}` stands for the file's name \
              without what is behind its last dot, so that each bank has what is its own.",
    rows: &[
        Row::other(
            "files",
            "list of file names with `*`, without folders",
            "",
            "Which files; all, if left out.",
        ),
        Row::other(
            "env_prefix",
            "text, such as `BANK_{stem}_`",
            "",
            "`${env:NAME}` may name variables that begin so; none, if left out.",
        ),
        Row::other(
            "folder",
            "folder name, such as `secrets/{stem}`",
            "",
            "`${file:path}` and the files of `tls` may name files in it, and are named from there; \
             none, if left out. A link out of it is refused.",
        ),
        Row::other(
            "ids",
            "list of target ids with `*` and `{stem}`",
            "",
            "Which ids its targets may have; any that is free, if left out.",
        ),
        Row::flag("allow_private_addresses", "Its targets may allow private addresses."),
        Row::flag("insecure_plain_upstream", "Its targets may allow `http://`."),
        Row::flag(
            "wide_limits",
            "Beyond what `[target_defaults]` say: more than 1024 calls at once, 60 s in all, 256 \
             idle connections or 8 MiB of answer, and looks more often than every 5 s.",
        ),
        Row::count("targets_max", Some(1_000), 1, 100_000, "Targets in one file."),
    ],
};

pub(in crate::routes) static GATEWAY: Section = Section {
    name: "gateway",
    heading: "[gateway]",
    meaning: "What belongs to the process. At least one of `listen` and `insecure_plain_listen`.",
    rows: &[
        Row::other("listen", "address and port, or a list", "", "Where to listen for TLS."),
        Row::other(
            "insecure_plain_listen",
            "address and port, or a list",
            "",
            "Where to listen for plain HTTP, without TLS.",
        ),
        Row::other(
            "admin",
            "address and port",
            "\"127.0.0.1:9443\"",
            "The admin listener: health, metrics, status page. Plain HTTP.",
        ),
        Row::other(
            "admin_hosts",
            "list of names",
            "[]",
            "Names of the admin listener; addresses and names without a dot need not be listed.",
        ),
        Row::flag("insecure_public_admin", "Allow `admin` on an address that is not loopback."),
        Row::flag(
            "insecure_header_identity",
            "Believe `X-CorAPI-Client-ID` where a caller shows no certificate.",
        ),
        Row::count("workers", None, 1, 1_024, "Worker threads; one for each core if left out."),
        Row::time("drain_timeout", 30_000, 100, 3_600_000, "How long a drain may take."),
        Row::time(
            "drain_delay",
            0,
            0,
            600_000,
            "From unready to the end of accepting, so that load balancers see it in between.",
        ),
        Row::time(
            "drain_quiet",
            1_000,
            10,
            60_000,
            "How long a connection may be quiet in a drain before it is closed.",
        ),
        Row::other(
            "run_dir",
            "folder name",
            "",
            "A private folder for the upgrade socket, made if it is not there. No upgrade without.",
        ),
        Row::other(
            "state_dir",
            "folder name",
            "",
            "A private folder for what has to live longer than the process, made if it is not \
             there: whose a token is, and each included file as it was when it was good. If left \
             out, the first is in memory only, and the files are in `state` in `run_dir`.",
        ),
        Row::other(
            "watch",
            "duration, 100ms to 1h, or `\"off\"`",
            "\"2s\"",
            "How often the files of this table are looked at; a change is taken up.",
        ),
        Row::table("tls", "", "Certificates; required with `listen`."),
        Row::table("limits", "", "A limit on everything a stranger can send, hold or delay."),
        Row::table("access_log", "", "Where one line for each exchange goes; none if left out."),
    ],
};

pub(in crate::routes) static TLS: Section = Section {
    name: "gateway.tls",
    heading: "[gateway.tls]",
    meaning: "The edge's own certificate, and whose client certificates it trusts. PEM files.",
    rows: &[
        Row::file("cert", "required", "The edge's certificate chain."),
        Row::file("key", "required", "Its private key."),
        Row::file("client_ca", "required", "The CAs that client certificates chain to."),
        Row::other(
            "client_crl",
            "list of file names",
            "[]",
            "Certificate revocation lists of those CAs; a file may hold several.",
        ),
        Row::choice(
            "client_crl_expired",
            &["refuse", "accept"],
            "A list past its `nextUpdate`: nobody of its CA is let in, or it still counts.",
        ),
        Row::choice(
            "client_auth",
            &["required", "optional"],
            "Whether a handshake without a client certificate fails, or the call is refused.",
        ),
    ],
};

pub(in crate::routes) static LIMITS: Section = Section {
    name: "gateway.limits",
    heading: "[gateway.limits]",
    meaning: "What a stranger can send, hold or delay. Sizes are in bytes.",
    rows: &[
        Row::time(
            "handshake_timeout",
            5_000,
            100,
            60_000,
            "From accept to a finished TLS handshake.",
        ),
        Row::time("head_timeout", 5_000, 100, 60_000, "The whole head, from its first byte."),
        Row::time("body_timeout", 5_000, 100, 300_000, "The whole body, from the end of the head."),
        Row::time(
            "answer_timeout",
            30_000,
            100,
            300_000,
            "How long a client may leave answers untaken.",
        ),
        Row::time("idle_timeout", 60_000, 1_000, 3_600_000, "A connection without a request."),
        Row::time("connection_age_max", 3_600_000, 1_000, 86_400_000, "A connection's whole life."),
        Row::bytes("head_bytes_max", 16_384, 8_192, 1_048_576, "Request line and header section."),
        Row::count("head_fields_max", Some(64), 16, 1_000, "Header lines."),
        Row::bytes(
            "uri_bytes_max",
            8_192,
            256,
            65_536,
            "Request target; at most `head_bytes_max`.",
        ),
        Row::bytes("body_bytes_max", 65_536, 1_024, 16_777_216, "Body."),
        Row::count(
            "connections_max",
            Some(10_000),
            1,
            1_000_000,
            "Open connections, all together.",
        ),
        Row::count(
            "connections_per_address_max",
            Some(1_000),
            1,
            1_000_000,
            "Open connections from one address.",
        ),
        Row::count(
            "connections_per_certificate_max",
            Some(2_500),
            1,
            1_000_000,
            "Open connections with one client certificate.",
        ),
        Row::count(
            "handshakes_max",
            Some(1024),
            1,
            10_000,
            "TLS handshakes under way in a worker.",
        ),
        Row::count(
            "handshakes_pending_max",
            Some(1_024),
            1,
            100_000,
            "Connections in a worker whose handshake has not begun: silent ones, and who waits.",
        ),
        Row::count("h2_streams_max", Some(100), 1, 10_000, "HTTP/2 streams open on a connection."),
        Row::count(
            "h2_resets_max",
            Some(100),
            1,
            100_000,
            "HTTP/2 streams reset by the peer before their answer, over a connection's life.",
        ),
        Row::count(
            "h2_frames_max",
            Some(1_000),
            100,
            1_000_000,
            "HTTP/2 frames that carry no request, beyond 16 for each request and 10 a second.",
        ),
        Row::bytes(
            "h2_untaken_bytes_max",
            33_554_432,
            65_536,
            1_073_741_824,
            "Answers over HTTP/2 that wait for their client, of a connection; above 16 KiB each.",
        ),
        Row::bytes(
            "buffered_bytes_max",
            268_435_456,
            1_048_576,
            1_099_511_627_776,
            "Requests under way and answers that wait, of all clients together.",
        ),
        Row::bytes(
            "client_buffered_bytes_max",
            67_108_864,
            65_536,
            1_099_511_627_776,
            "The same of one client certificate, or of an address without one.",
        ),
    ],
};

pub(in crate::routes) static ACCESS_LOG: Section = Section {
    name: "gateway.access_log",
    heading: "[gateway.access_log]",
    meaning: "One JSON line for each exchange.",
    rows: &[
        Row::other(
            "path",
            "file name",
            "\"-\"",
            "The file, appended to; `\"-\"` is standard output.",
        ),
        Row::bytes(
            "buffer_bytes_max",
            4_194_304,
            65_536,
            1_073_741_824,
            "What may wait for the disk before lines are dropped and counted.",
        ),
    ],
};
