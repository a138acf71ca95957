//! What a table says, key by key, as text: what two tables are compared by.
//!
//! This file decides which keys there are and how a value is shown. It takes every type apart field
//! by field, so that a new key does not compile until it is compared. A secret is a hash here,
//! which is compared and never shown. It must not know what a difference means.

mod dialect;
mod target;

use std::fmt::Display;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::reference::ShortTime;
use super::table::{
    AccessLog, Admin, Api, Client, ClientAuth, ClientStatus, EdgeLimits, EdgeTls, Gateway, Listen,
    NativeTarget, QueryPolicy, Quota, TargetSet, Watch,
};
use crate::contract::AuthorizationPolicy;

/// What a target's file is called among its keys, though it is none.
pub(super) const ITS_FILE: &str = "(its file)";

/// What a key is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// As it may be shown.
    Shown(String),
    /// A secret, or what may hold one: its SHA-256.
    Hidden([u8; 32]),
}

/// The keys of one table of the file that are set, in the order of the reference.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts(pub(super) Vec<(String, Value)>);

impl Facts {
    fn show(&mut self, key: &str, value: impl Display) {
        self.0.push((key.to_owned(), Value::Shown(value.to_string())));
    }

    fn maybe(&mut self, key: &str, value: Option<impl Display>) {
        value.into_iter().for_each(|value| self.show(key, value));
    }

    fn time(&mut self, key: &str, time: Duration) {
        self.show(key, ShortTime(time));
    }

    fn maybe_time(&mut self, key: &str, time: Option<Duration>) {
        self.maybe(key, time.map(ShortTime));
    }

    /// A list; an empty one is not set.
    fn list(&mut self, key: &str, items: impl IntoIterator<Item = impl Display>) {
        let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
        if !items.is_empty() {
            self.show(key, items.join(", "));
        }
    }

    /// A list whose order says nothing.
    fn set(&mut self, key: &str, items: impl IntoIterator<Item = impl Display>) {
        let mut items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
        items.sort_unstable();
        self.list(key, items);
    }

    fn hide(&mut self, key: &str, secret: impl AsRef<[u8]>) {
        self.0.push((key.to_owned(), Value::Hidden(Sha256::digest(secret.as_ref()).into())));
    }

    fn quota(&mut self, key: &str, quota: Option<Quota>) {
        let Some(Quota { rate, period, burst, shadow }) = quota else { return };
        let shadow = if shadow { ", shadow" } else { "" };
        self.show(key, format_args!("{rate} in {}, burst {burst}{shadow}", ShortTime(period)));
    }

    /// `[gateway]` with its tables.
    pub(super) fn of_gateway(gateway: &Gateway) -> Self {
        let Gateway {
            listen,
            admin: Admin { address: admin },
            admin_hosts,
            workers,
            tls,
            limits,
            access_log,
            insecure_header_identity,
            drain_timeout,
            drain_delay,
            drain_quiet,
            run_dir,
            state_dir,
            watch,
        } = gateway;
        let mut facts = Self::default();
        let speaks =
            |tls: bool| listen.iter().filter(move |listen| listen.tls == tls).map(address_of);
        facts.list("listen", speaks(true));
        facts.list("insecure_plain_listen", speaks(false));
        facts.show("admin", admin);
        facts.set("admin_hosts", admin_hosts);
        facts.show("insecure_header_identity", insecure_header_identity);
        facts.maybe("workers", *workers);
        facts.time("drain_timeout", *drain_timeout);
        facts.time("drain_delay", *drain_delay);
        facts.time("drain_quiet", *drain_quiet);
        facts.maybe("run_dir", run_dir.as_ref().map(|folder| folder.display()));
        facts.maybe("state_dir", state_dir.as_ref().map(|folder| folder.display()));
        match watch {
            Watch::Off => facts.show("watch", "off"),
            Watch::Every(interval) => facts.time("watch", *interval),
        }
        if let Some(tls) = tls {
            facts.add_edge_tls(tls);
        }
        facts.add_limits(limits);
        if let Some(AccessLog { path, buffer_bytes_max }) = access_log {
            let path = path.as_ref().map_or_else(|| "-".into(), |path| path.to_string_lossy());
            facts.show("access_log.path", path);
            facts.show("access_log.buffer_bytes_max", buffer_bytes_max);
        }
        facts
    }

    fn add_edge_tls(&mut self, tls: &EdgeTls) {
        let EdgeTls { cert, key, client_ca, client_crl, client_auth, accepts_expired_crl } = tls;
        self.show("tls.cert", cert.display());
        self.show("tls.key", key.display());
        self.show("tls.client_ca", client_ca.display());
        self.list("tls.client_crl", client_crl.iter().map(|file| file.display()));
        let client_auth = match client_auth {
            ClientAuth::Required => "required",
            ClientAuth::Optional => "optional",
        };
        self.show("tls.client_auth", client_auth);
        let expired = if *accepts_expired_crl { "accept" } else { "refuse" };
        self.show("tls.client_crl_expired", expired);
    }

    fn add_limits(&mut self, limits: &EdgeLimits) {
        let EdgeLimits {
            handshake_timeout,
            head_timeout,
            body_timeout,
            answer_timeout,
            idle_timeout,
            connection_age_max,
            head_bytes_max,
            head_fields_max,
            uri_bytes_max,
            body_bytes_max,
            connections_max,
            connections_per_address_max,
            connections_per_certificate_max,
            handshakes_max,
            handshakes_pending_max,
            h2_streams_max,
            h2_resets_max,
            h2_frames_max,
            h2_untaken_bytes_max,
            buffered_bytes_max,
            client_buffered_bytes_max,
        } = limits;
        for (key, time) in [
            ("handshake_timeout", handshake_timeout),
            ("head_timeout", head_timeout),
            ("body_timeout", body_timeout),
            ("answer_timeout", answer_timeout),
            ("idle_timeout", idle_timeout),
            ("connection_age_max", connection_age_max),
        ] {
            self.time(&format!("limits.{key}"), *time);
        }
        for (key, size) in [
            ("head_bytes_max", head_bytes_max),
            ("head_fields_max", head_fields_max),
            ("uri_bytes_max", uri_bytes_max),
            ("body_bytes_max", body_bytes_max),
            ("connections_max", connections_max),
            ("connections_per_address_max", connections_per_address_max),
            ("connections_per_certificate_max", connections_per_certificate_max),
            ("handshakes_max", handshakes_max),
            ("handshakes_pending_max", handshakes_pending_max),
            ("h2_untaken_bytes_max", h2_untaken_bytes_max),
            ("buffered_bytes_max", buffered_bytes_max),
            ("client_buffered_bytes_max", client_buffered_bytes_max),
        ] {
            self.show(&format!("limits.{key}"), size);
        }
        self.show("limits.h2_streams_max", h2_streams_max);
        self.show("limits.h2_resets_max", h2_resets_max);
        self.show("limits.h2_frames_max", h2_frames_max);
    }

    /// One `[[api]]`. Its contract is compared by the document's bytes.
    pub(super) fn of_api(api: &Api) -> Self {
        let Api {
            contract,
            document,
            base_path: _,
            query,
            authorization,
            strict_statuses,
            validate_token_response,
            error_uri,
            native_target,
        } = api;
        let mut facts = Self::default();
        facts.show("contract", &contract.name);
        facts.hide("(its document)", document);
        let query = match query {
            QueryPolicy::Refuse => "refuse",
            QueryPolicy::Drop => "drop",
        };
        facts.show("query", query);
        let authorization = match authorization {
            AuthorizationPolicy::Refuse => "refuse",
            AuthorizationPolicy::Forward => "forward",
        };
        facts.show("authorization", authorization);
        facts.show("strict_statuses", strict_statuses);
        facts.show("validate_token_response", validate_token_response);
        facts.maybe("error_uri", error_uri.as_ref());
        match native_target {
            None => {}
            Some(NativeTarget::Fixed(target)) => facts.show("target", target),
            Some(NativeTarget::Header(name)) => facts.show("target_header", name),
            Some(NativeTarget::Query(name)) => facts.show("target_query", name),
        }
        facts
    }

    /// One `[[client]]`.
    pub(super) fn of_client(client: &Client) -> Self {
        let Client {
            id: _,
            name,
            certificates,
            targets,
            default_target,
            status,
            limit,
            target_limit,
            username_on_refresh_optional,
            redirect_uris,
            native_client_ids,
        } = client;
        let mut facts = Self::default();
        facts.maybe("name", name.as_ref());
        facts.set("certificates", certificates);
        match targets {
            TargetSet::All => facts.show("targets", "*"),
            TargetSet::Only(targets) => facts.set("targets", targets),
        }
        facts.maybe("default_target", default_target.as_ref());
        let status = match status {
            ClientStatus::Active => "active",
            ClientStatus::Suspended => "suspended",
        };
        facts.show("status", status);
        facts.quota("limit", *limit);
        facts.quota("target_limit", *target_limit);
        let word = if *username_on_refresh_optional { "optional" } else { "required" };
        facts.show("username_on_refresh", word);
        facts.list("redirect_uris", redirect_uris);
        facts.list("native_client_ids", native_client_ids);
        facts
    }
}

fn address_of(listen: &Listen) -> std::net::SocketAddr {
    listen.address
}
