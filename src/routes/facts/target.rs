//! What a `[[target]]` says, key by key.
//!
//! This file decides what each of a bank's keys is called. It must not know what they do.

use http::{HeaderName, HeaderValue};

use super::{Facts, ITS_FILE};
use crate::routes::table::{
    Breaker, Override, Paths, Probe, Target, TargetStatus, TargetTls, Timeouts, Translation,
    UpstreamHttp,
};

impl Facts {
    /// One `[[target]]`.
    pub(in crate::routes) fn of_target(target: &Target) -> Self {
        let Target {
            id: _,
            source,
            name,
            dialect,
            translation,
            upstream,
            auth_upstream,
            base_path,
            paths,
            tls,
            http,
            reuse,
            headers,
            timeouts,
            limit,
            concurrency,
            breaker: Breaker { failures, open_for },
            retry_after_max,
            resolve_every,
            probe,
            maintenance,
            idle_connections_max,
            response_bytes_max,
            allow_private_addresses,
            status,
        } = target;
        let mut facts = Self::default();
        facts.show(ITS_FILE, source.display());
        facts.maybe("name", name.as_ref());
        facts.show("dialect", dialect.as_str());
        facts.add_translation(translation);
        facts.list("upstream", upstream);
        facts.list("auth_upstream", auth_upstream);
        facts.show("base_path", base_path);
        facts.add_paths(paths);
        facts.add_tls(tls);
        let http = match http {
            UpstreamHttp::Http1 => "1.1",
            UpstreamHttp::Http2 => "2",
        };
        facts.show("http", http);
        facts.show("reuse", reuse.as_str());
        facts.add_headers("headers", headers);
        let Timeouts { connect, first_byte, total, idle } = timeouts;
        facts.time("timeouts.connect", *connect);
        facts.time("timeouts.first_byte", *first_byte);
        facts.time("timeouts.total", *total);
        facts.time("timeouts.idle", *idle);
        facts.quota("limit", *limit);
        facts.show("concurrency", concurrency);
        facts.show("breaker.failures", failures);
        facts.time("breaker.open_for", *open_for);
        facts.time("retry_after_max", *retry_after_max);
        facts.time("resolve_every", *resolve_every);
        if let Some(Probe { after, path }) = probe {
            facts.time("probe.after", *after);
            facts.maybe("probe.path", path.as_ref());
        }
        facts.set("maintenance", &maintenance.0);
        facts.show("idle_connections_max", idle_connections_max);
        facts.show("response_bytes_max", response_bytes_max);
        facts.show("allow_private_addresses", allow_private_addresses);
        facts.show("status", status.as_str());
        if let TargetStatus::Maintenance(retry_after) = status {
            facts.time("maintenance_retry_after", *retry_after);
        }
        facts.add_dialect(dialect);
        facts
    }

    fn add_translation(&mut self, translation: &Translation) {
        let Translation {
            overrides,
            default_expires_in,
            rotates_refresh_tokens,
            replay_window,
            assert_username,
            // Follows from the dialect's own keys.
            remembers_tokens: _,
            unknown_tokens,
        } = translation;
        self.list("answers", overrides.iter().map(describe_override));
        self.maybe_time("default_expires_in", *default_expires_in);
        self.show("rotates_refresh_tokens", rotates_refresh_tokens);
        self.maybe_time("replay_window", *replay_window);
        self.show("assert_username", assert_username);
        self.show("unknown_tokens", unknown_tokens.as_str());
    }

    fn add_paths(&mut self, paths: &Paths) {
        let Paths { token, revoke, username } = paths;
        for (key, path) in [("token", token), ("revoke", revoke), ("username", username)] {
            let path = path.as_ref().map_or("false", |path| path);
            self.show(&format!("paths.{key}"), path);
        }
    }

    fn add_tls(&mut self, tls: &TargetTls) {
        let TargetTls { ca, cert, key, server_name, cert_optional } = tls;
        for (name, file) in [("ca", ca), ("cert", cert), ("key", key)] {
            self.maybe(&format!("tls.{name}"), file.as_ref().map(|file| file.display()));
        }
        self.maybe("tls.server_name", server_name.as_ref());
        self.show("tls.cert_optional", cert_optional);
    }

    /// Header fields; their values may hold secrets.
    pub(super) fn add_headers(&mut self, key: &str, headers: &[(HeaderName, HeaderValue)]) {
        for (name, value) in headers {
            self.hide(&format!("{key}.{name}"), value.as_bytes());
        }
    }
}

fn describe_override(rule: &Override) -> String {
    let Override { status, code, becomes, error } = rule;
    let code = code.as_ref().map_or_else(String::new, |code| format!(" {code}"));
    format!("{}{code} becomes {} {}", status.as_u16(), becomes.as_u16(), error.as_str())
}
