//! Reads `[gateway]`: listeners, TLS, limits, the access log.
//!
//! This file decides which listeners, certificates and switches go together. It must not know how
//! they are put to work.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use super::grammar;
use super::page::{At, Wrong};
use super::reader::Reader;
use super::reference;
use super::table::{
    AccessLog, Admin, ClientAuth, EdgeLimits, EdgeTls, Gateway, Listen, SOCKETS_MAX, Watch,
};

/// Most listening sockets.
const LISTENERS_MAX: usize = 32;
/// The longest name of the folder for the upgrade socket: a socket's whole path has at most 107.
const RUN_DIR_BYTES_MAX: usize = 80;
/// Where the admin listener is when nothing is said: loopback.
const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9443);
/// How often files are looked at when nothing is said.
const WATCH_DEFAULT: std::time::Duration = std::time::Duration::from_secs(2);

/// Reads `[gateway]`. What it returns counts only where no error was reported.
pub(super) fn read(root: &Reader<'_>) -> Option<Gateway> {
    root.require("gateway", "{ listen = \"0.0.0.0:8443\" }");
    let section = root.table("gateway", &reference::GATEWAY)?;
    let listen = read_listeners(&section);
    let admin = read_admin(&section, &listen);
    let tls = read_tls(&section, &listen);
    let header_identity = section.flag("insecure_header_identity");
    let workers = section.count("workers").and_then(|count| u32::try_from(count.value).ok());
    let workers = workers.and_then(NonZeroU32::new);
    let run_dir = read_run_dir(&section);
    if run_dir.is_some() {
        check_sockets(&section, workers, listen.len());
    }
    check_identity(&section, &listen, tls.as_ref(), header_identity);
    Some(Gateway {
        listen: listen.into_iter().map(|listen| listen.value).collect(),
        admin,
        admin_hosts: read_admin_hosts(&section),
        workers,
        tls,
        limits: read_limits(&section),
        access_log: read_access_log(&section),
        insecure_header_identity: header_identity,
        drain_timeout: section.time_or_default("drain_timeout"),
        drain_delay: section.time_or_default("drain_delay"),
        drain_quiet: section.time_or_default("drain_quiet"),
        run_dir,
        state_dir: read_state_dir(&section),
        watch: section
            .parse("watch", grammar::parse_watch)
            .map_or(Watch::Every(WATCH_DEFAULT), |watch| watch.value),
    })
}

/// Where a table's admin listener is, whatever else is right or wrong in it. `None` when the text
/// is no TOML or names no address.
pub fn admin_address(text: &str) -> Option<SocketAddr> {
    let root: toml::Table = text.parse().ok()?;
    match root.get("gateway").and_then(|gateway| gateway.get("admin")) {
        None => Some(ADMIN_DEFAULT),
        Some(address) => address.as_str()?.parse().ok(),
    }
}

/// Reports more sockets than a successor takes.
fn check_sockets(section: &Reader<'_>, workers: Option<NonZeroU32>, listeners: usize) {
    let workers = workers.map_or(1, |workers| workers.get() as usize);
    let sockets = workers * listeners + 1;
    if sockets > SOCKETS_MAX {
        let what = format!(
            "{workers} workers on {listeners} listeners make {sockets} sockets with the admin's: \
             too many to hand over"
        );
        let right = format!("at most {SOCKETS_MAX}, or no `run_dir`");
        section.page.error(section.key_span("workers"), Wrong::new(what).right(right));
    }
}

fn read_run_dir(section: &Reader<'_>) -> Option<PathBuf> {
    let folder = section.parse("run_dir", |name| {
        let folder = section.page.directory().join(name);
        let bytes = folder.as_os_str().len();
        if name.is_empty() {
            Err(Wrong::new("`run_dir` is empty").right("a folder name"))
        } else if bytes > RUN_DIR_BYTES_MAX {
            let what = format!("`run_dir` has {bytes} bytes with the folder of this file");
            Err(Wrong::new(what).right(format!("at most {RUN_DIR_BYTES_MAX}: it holds a socket")))
        } else {
            Ok(folder)
        }
    });
    folder.map(|folder| folder.value)
}

fn read_state_dir(section: &Reader<'_>) -> Option<PathBuf> {
    let folder = section.parse("state_dir", |name| {
        if name.is_empty() {
            return Err(Wrong::new("`state_dir` is empty").right("a folder name"));
        }
        Ok(section.page.directory().join(name))
    });
    folder.map(|folder| folder.value)
}

fn read_listeners(section: &Reader<'_>) -> Vec<At<Listen>> {
    let mut listen: Vec<At<Listen>> = Vec::new();
    for (key, tls) in [("listen", true), ("insecure_plain_listen", false)] {
        for text in section.text_or_texts(key) {
            let Some(address) = section.parsed(text, grammar::parse_listen) else { continue };
            check_unused(section, &listen, address);
            let At { value: address, span } = address;
            listen.push(At { value: Listen { address, tls }, span });
        }
    }
    if !section.has("listen") && !section.has("insecure_plain_listen") {
        let right = "add `listen = \"0.0.0.0:8443\"`";
        section.page.error(section.span, Wrong::new("`gateway` listens nowhere").right(right));
    }
    if listen.len() > LISTENERS_MAX {
        let what = format!("`gateway` has {} listeners", listen.len());
        let right = format!("at most {LISTENERS_MAX}");
        section.page.error(section.key_span("listen"), Wrong::new(what).right(right));
    }
    listen
}

/// Reports an address that another listener has. Port 0 is a new port each time.
fn check_unused(section: &Reader<'_>, listen: &[At<Listen>], address: At<SocketAddr>) {
    let taken = |other: &At<Listen>| other.value.address == address.value;
    if address.value.port() != 0 && listen.iter().any(taken) {
        let what = format!("two listeners share `{}`", address.value);
        section.page.error(address.span, Wrong::new(what).right("an address of its own for each"));
    }
}

fn read_admin(section: &Reader<'_>, listen: &[At<Listen>]) -> Admin {
    let public = section.flag("insecure_public_admin");
    let admin = section.parse("admin", grammar::parse_listen);
    let address = admin.map_or(ADMIN_DEFAULT, |admin| admin.value);
    if let Some(admin) = admin {
        check_unused(section, listen, admin);
        if !public && !admin.value.ip().is_loopback() {
            let what = format!("the admin listener at `{}` is open to others", admin.value);
            let right = "a loopback address, or `insecure_public_admin = true`";
            section.page.error(admin.span, Wrong::new(what).right(right));
        }
    }
    Admin { address }
}

/// The names that the admin listener is asked by, as a `Host` field has them.
fn read_admin_hosts(section: &Reader<'_>) -> Vec<String> {
    let names = section.text_or_texts("admin_hosts");
    let parsed =
        names.into_iter().filter_map(|name| section.parsed(name, grammar::parse_host_name));
    parsed.map(|name| name.value).collect()
}

fn read_tls(section: &Reader<'_>, listen: &[At<Listen>]) -> Option<EdgeTls> {
    let first_tls = listen.iter().find(|listen| listen.value.tls);
    let Some(tls) = section.table("tls", &reference::TLS) else {
        if let Some(listen) = first_tls.filter(|_| !section.has("tls")) {
            let what = "a TLS listener needs `[gateway.tls]`";
            let right = "add `[gateway.tls]` with `cert`, `key` and `client_ca`";
            section.page.error(listen.span, Wrong::new(what).right(right));
        }
        return None;
    };
    if first_tls.is_none() && !section.has("listen") {
        let what = "`gateway.tls` has no use: no listener speaks TLS";
        section.page.warn(tls.span, Wrong::new(what).right("add `listen = \"0.0.0.0:8443\"`"));
    }
    for key in ["cert", "key", "client_ca"] {
        tls.require(key, "\"certs/….pem\"");
    }
    let (cert, key, client_ca) = (tls.file("cert"), tls.file("key"), tls.file("client_ca"));
    let client_crl = tls.files("client_crl");
    let client_auth = match tls.choice("client_auth") {
        Some("optional") => ClientAuth::Optional,
        _ => ClientAuth::Required,
    };
    let accepts_expired_crl = tls.choice("client_crl_expired") == Some("accept");
    Some(EdgeTls {
        cert: cert?,
        key: key?,
        client_ca: client_ca?,
        client_crl,
        client_auth,
        accepts_expired_crl,
    })
}

/// Reports switches of identity that do not go together.
fn check_identity(
    section: &Reader<'_>,
    listen: &[At<Listen>],
    tls: Option<&EdgeTls>,
    header_identity: bool,
) {
    let plain = listen.iter().find(|listen| !listen.value.tls);
    let optional = tls.is_some_and(|tls| tls.client_auth == ClientAuth::Optional);
    let key = "insecure_header_identity";
    if header_identity && plain.is_none() && !optional && tls.is_some() {
        // A switch that opens nothing today opens something on the day a listener is added.
        let what = format!("`{key}` has no use: every listener requires a client certificate");
        let right = "take it out, or set `client_auth = \"optional\"`";
        section.page.error(section.key_span(key), Wrong::new(what).right(right));
    }
    if let Some(plain) = plain.filter(|_| !header_identity && !section.has(key)) {
        let what = "no caller can be identified on a plain listener: there are no certificates";
        let right = "`insecure_header_identity = true`, if whoever can reach it may be believed";
        section.page.warn(plain.span, Wrong::new(what).right(right));
    }
}

fn read_limits(section: &Reader<'_>) -> EdgeLimits {
    // Read as an empty table where it is not written, so that there is one list of the fields.
    let limits = section.table("limits", &reference::LIMITS);
    let time = |key| match &limits {
        Some(limits) => limits.time_or_default(key),
        None => super::reader::default_time(&reference::LIMITS, key),
    };
    let count = |key| match &limits {
        Some(limits) => limits.count_or_default(key),
        None => super::reader::default_count(&reference::LIMITS, key),
    };
    let size = |key| usize::try_from(count(key)).unwrap_or(usize::MAX);
    let small = |key| u32::try_from(count(key)).unwrap_or(u32::MAX);
    let read = EdgeLimits {
        handshake_timeout: time("handshake_timeout"),
        head_timeout: time("head_timeout"),
        body_timeout: time("body_timeout"),
        answer_timeout: time("answer_timeout"),
        idle_timeout: time("idle_timeout"),
        connection_age_max: time("connection_age_max"),
        head_bytes_max: size("head_bytes_max"),
        head_fields_max: size("head_fields_max"),
        uri_bytes_max: size("uri_bytes_max"),
        body_bytes_max: size("body_bytes_max"),
        connections_max: size("connections_max"),
        connections_per_address_max: size("connections_per_address_max"),
        connections_per_certificate_max: size("connections_per_certificate_max"),
        handshakes_max: size("handshakes_max"),
        handshakes_pending_max: size("handshakes_pending_max"),
        h2_streams_max: small("h2_streams_max"),
        h2_resets_max: small("h2_resets_max"),
        h2_frames_max: small("h2_frames_max"),
        h2_untaken_bytes_max: size("h2_untaken_bytes_max"),
        buffered_bytes_max: size("buffered_bytes_max"),
        client_buffered_bytes_max: size("client_buffered_bytes_max"),
    };
    if let Some(limits) = limits.filter(|_| read.uri_bytes_max > read.head_bytes_max) {
        let what = "`uri_bytes_max` is more than `head_bytes_max`, which holds it";
        let right = format!("at most {}, or a larger `head_bytes_max`", read.head_bytes_max);
        limits.page.error(limits.key_span("uri_bytes_max"), Wrong::new(what).right(right));
    }
    read
}

fn read_access_log(section: &Reader<'_>) -> Option<AccessLog> {
    let log = section.table("access_log", &reference::ACCESS_LOG)?;
    let path = log.parse("path", |path| match path {
        "" => Err(Wrong::new("`path` is empty").right("a file name, or `-`")),
        "-" => Ok(None),
        path => Ok(Some(log.page.directory().join(path))),
    });
    let buffer = log.count_or_default("buffer_bytes_max");
    Some(AccessLog {
        path: path.and_then(|path| path.value),
        buffer_bytes_max: usize::try_from(buffer).unwrap_or(usize::MAX),
    })
}
