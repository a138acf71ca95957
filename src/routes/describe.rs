//! A table in words: what `corgate check` prints.
//!
//! This file decides which of a table's facts are worth a line. It must not show a secret: of
//! `headers` it counts the fields.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};

use super::reference::ShortTime;
use super::table::{
    Client, ClientAuth, ClientStatus, EdgeTls, Quota, RouteTable, Target, TargetSet,
};
use crate::ids::TargetId;
use crate::oauth::Call;

/// Most clients, and most targets, that are listed; the rest is counted.
const ROWS_MAX: usize = 1_000;
/// Most targets that are named in a client's row.
const NAMED_MAX: usize = 4;

impl RouteTable {
    /// Listeners, contracts with their operations, clients, banks, and which call each bank serves
    /// on which path, in columns.
    pub fn describe(&self) -> String {
        let sections = [
            ("LISTENERS", self.describe_listeners()),
            ("CONTRACTS", self.describe_contracts()),
            ("CLIENTS", self.describe_clients()),
            ("BANKS", self.describe_targets()),
            ("CAPABILITIES", self.describe_capabilities()),
        ];
        let mut text = String::new();
        for (heading, columns) in sections {
            let blank = if text.is_empty() { "" } else { "\n" };
            // Writing to a String can't fail.
            let _ = write!(text, "{blank}{heading}\n{columns}");
        }
        text
    }

    /// For each bank with windows of maintenance, the one that `now` (in seconds since 1970) is in
    /// and the next one. Nothing where no bank has any.
    pub fn describe_windows(&self, now: i64) -> String {
        let targets = self.targets_by_id();
        let with: Vec<_> = targets.iter().filter(|target| !target.maintenance.is_empty()).collect();
        if with.is_empty() {
            return String::new();
        }
        let moment = |at: i64| {
            let moment = DateTime::from_timestamp(at, 0).unwrap_or_default();
            moment.to_rfc3339_opts(SecondsFormat::Secs, true)
        };
        let mut columns = Columns::default();
        columns.row(["id", "in maintenance until", "next from", "next until"].map(str::to_owned));
        for target in with.iter().take(ROWS_MAX) {
            let until = target.maintenance.end(now).map(moment);
            let next = target.maintenance.next(now);
            let next = next.map(|(start, end)| [moment(start), moment(end)]);
            let [from, to] = next.unwrap_or_else(|| ["-".to_owned(), "-".to_owned()]);
            let until = until.unwrap_or_else(|| "-".to_owned());
            columns.row([target.id.to_string(), until, from, to]);
        }
        format!("\nMAINTENANCE\n{}", columns.to_text_of(with.len()))
    }

    fn describe_listeners(&self) -> String {
        let gateway = &self.gateway;
        let mut columns = Columns::default();
        for listen in &gateway.listen {
            let kind = match (&gateway.tls, listen.tls) {
                (_, false) => "plain HTTP",
                (Some(EdgeTls { client_auth: ClientAuth::Optional, .. }), true) => {
                    "TLS, client certificate optional"
                }
                (_, true) => "TLS, client certificate required",
            };
            columns.row([listen.address.to_string(), kind.to_owned()]);
        }
        columns.row([gateway.admin.address.to_string(), "admin".to_owned()]);
        columns.to_text()
    }

    fn describe_contracts(&self) -> String {
        let mut columns = Columns::default();
        for api in &self.apis {
            for operation in &api.contract.operations {
                columns.row([
                    api.contract.name.to_string(),
                    api.contract.version.to_string(),
                    format!("{} {}{}", operation.method, api.base_path, operation.path),
                    operation.id.to_string(),
                    operation.call().map_or("native", Call::as_str).to_owned(),
                ]);
            }
        }
        if columns.rows.is_empty() {
            return "  (none of them has an operation)\n".to_owned();
        }
        columns.to_text()
    }

    fn describe_clients(&self) -> String {
        let mut clients: Vec<_> = self.clients.values().collect();
        clients.sort_by(|left, right| left.id.cmp(&right.id));
        let mut columns = Columns::default();
        columns.row(
            ["id", "status", "certificates", "targets", "limit", "limit per target"]
                .map(str::to_owned),
        );
        for client in clients.iter().take(ROWS_MAX) {
            let status = match client.status {
                ClientStatus::Active => "active",
                ClientStatus::Suspended => "suspended",
            };
            columns.row([
                client.id.to_string(),
                status.to_owned(),
                client.certificates.len().to_string(),
                describe_target_set(client),
                describe_quota(client.limit),
                describe_quota(client.target_limit),
            ]);
        }
        columns.to_text_of(clients.len())
    }

    fn describe_targets(&self) -> String {
        let targets = self.targets_by_id();
        let mut columns = Columns::default();
        columns.row(["id", "name", "dialect", "status", "limit", "upstream"].map(str::to_owned));
        for target in targets.iter().take(ROWS_MAX) {
            columns.row([
                target.id.to_string(),
                target.name.as_deref().unwrap_or("-").to_owned(),
                target.dialect.as_str().to_owned(),
                target.status.as_str().to_owned(),
                describe_quota(target.limit),
                describe_upstream(target),
            ]);
        }
        columns.to_text_of(targets.len())
    }

    fn describe_capabilities(&self) -> String {
        let targets = self.targets_by_id();
        let mut columns = Columns::default();
        columns.row(
            ["id", "token authorization_code", "token refresh_token", "revoke", "username"]
                .map(str::to_owned),
        );
        for target in targets.iter().take(ROWS_MAX) {
            let path = |call| target.paths.of(call).map_or("-", |path| &**path).to_owned();
            // A token endpoint serves both grants of the seed, in most languages.
            let token = |serves: bool| if serves { path(Call::Token) } else { "-".to_owned() };
            columns.row([
                target.id.to_string(),
                token(target.dialect.exchanges_codes()),
                token(target.dialect.refreshes_tokens()),
                path(Call::Revoke),
                path(Call::Username),
            ]);
        }
        columns.to_text_of(targets.len())
    }

    fn targets_by_id(&self) -> Vec<&Target> {
        let mut targets: Vec<_> = self.targets.values().map(|target| &**target).collect();
        targets.sort_by(|left, right| left.id.cmp(&right.id));
        targets
    }
}

fn describe_target_set(client: &Client) -> String {
    let mut text = match &client.targets {
        TargetSet::All => "all".to_owned(),
        TargetSet::Only(targets) => {
            let mut names: Vec<_> = targets.iter().map(TargetId::as_str).collect();
            names.sort_unstable();
            let more = names.len().saturating_sub(NAMED_MAX);
            names.truncate(NAMED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{}{more}", names.join(" "))
        }
    };
    if let Some(target) = &client.default_target {
        let _ = write!(text, " (default {target})");
    }
    text
}

fn describe_quota(quota: Option<Quota>) -> String {
    let Some(quota) = quota else { return "-".to_owned() };
    let period = match quota.period.as_secs() {
        1 => "s".to_owned(),
        60 => "m".to_owned(),
        3_600 => "h".to_owned(),
        _ => ShortTime(quota.period).to_string(),
    };
    let shadow = if quota.shadow { ", shadow" } else { "" };
    format!("{}/{period}, burst {}{shadow}", quota.rate, quota.burst)
}

fn describe_upstream(target: &Target) -> String {
    let upstream: Vec<_> = target.upstream.iter().map(ToString::to_string).collect();
    let headers = match target.headers.len() {
        0 => String::new(),
        1 => " (1 header added)".to_owned(),
        count => format!(" ({count} headers added)"),
    };
    format!("{}{headers}", upstream.join(" "))
}

/// Rows of cells, each column as wide as its widest cell.
#[derive(Default)]
struct Columns {
    rows: Vec<Vec<String>>,
}

impl Columns {
    fn row<const CELLS: usize>(&mut self, cells: [String; CELLS]) {
        self.rows.push(cells.into());
    }

    fn to_text(&self) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::from(" ");
            for (width, cell) in widths.iter().zip(row) {
                let _ = write!(line, " {cell:<width$} ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn to_text_of(&self, total: usize) -> String {
        let mut text = self.to_text();
        if total > ROWS_MAX {
            let _ = writeln!(text, "  and {} more", total - ROWS_MAX);
        }
        text
    }
}
