//! The `routes.toml` of a world: what a test leaves out is sensible.
//!
//! This file decides the defaults. It must not know what they are tested for.

use std::fs;
use std::sync::Arc;

use corgate::edge::names::{Names, SystemNames};
use corgate::edge::{self, Given};
use corgate::routes::{self, Colour, Loaded, RouteTable, SystemSources};
use corgate::sim::bank::Bank;

use super::{Notes, Program, World, bank, entry, notes, pki};
use crate::ask::{BANK, BASE};

/// What is special about a world. Each text is TOML, for the section of that name.
pub(crate) struct Setup {
    gateway: String,
    tls: String,
    limits: String,
    api: String,
    contract: String,
    client: String,
    target: String,
    upstream: Option<String>,
    more: String,
    bank: Option<Bank>,
    edit: Option<Edit>,
    names: Arc<dyn Names>,
    top: String,
    files: Vec<(String, String)>,
}

/// A change of the table after it was loaded.
type Edit = Box<dyn FnOnce(&mut RouteTable)>;

impl Setup {
    pub(crate) fn new() -> Self {
        let none = String::new;
        Self {
            gateway: none(),
            tls: none(),
            limits: none(),
            api: none(),
            contract: "blink-fi".to_owned(),
            client: "targets = [\"*\"]".to_owned(),
            target: none(),
            upstream: None,
            more: none(),
            bank: None,
            edit: None,
            names: Arc::new(SystemNames),
            top: none(),
            files: Vec::new(),
        }
    }

    pub(crate) fn gateway(self, lines: &str) -> Self {
        Self { gateway: lines.to_owned(), ..self }
    }

    pub(crate) fn tls(self, lines: &str) -> Self {
        Self { tls: lines.to_owned(), ..self }
    }

    pub(crate) fn limits(self, lines: &str) -> Self {
        Self { limits: lines.to_owned(), ..self }
    }

    pub(crate) fn api(self, lines: &str) -> Self {
        Self { api: lines.to_owned(), ..self }
    }

    pub(crate) fn contract(self, name: &str) -> Self {
        Self { contract: name.to_owned(), ..self }
    }

    /// The lines of client 1; `targets` among them.
    pub(crate) fn client(self, lines: &str) -> Self {
        Self { client: lines.to_owned(), ..self }
    }

    pub(crate) fn target(self, lines: &str) -> Self {
        Self { target: lines.to_owned(), ..self }
    }

    /// Where the bank is, for the gateway; its real place if left out.
    pub(crate) fn upstream(self, upstream: &str) -> Self {
        Self { upstream: Some(upstream.to_owned()), ..self }
    }

    /// Tables at the end of the file.
    pub(crate) fn more(mut self, tables: &str) -> Self {
        self.more.push_str(tables);
        self
    }

    /// One more bank.
    pub(crate) fn target_at(self, id: &str, port: u16, lines: &str) -> Self {
        self.more(&format!(
            "\n[[target]]\nid = \"{id}\"\nupstream = \"https://127.0.0.1:{port}\"\n\
             allow_private_addresses = true\n{lines}\n"
        ))
    }

    /// One more client.
    pub(crate) fn and_client(self, number: usize, lines: &str) -> Self {
        let entry = entry(number, lines);
        self.more(&entry)
    }

    /// Lines before the first table.
    pub(crate) fn top(self, lines: &str) -> Self {
        Self { top: lines.to_owned(), ..self }
    }

    /// One more file beside the table.
    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Another bank than a correct one.
    pub(crate) fn bank(self, bank: Bank) -> Self {
        Self { bank: Some(bank), ..self }
    }

    /// Changes the table after it was loaded: into what no file could say.
    pub(crate) fn edit(self, edit: impl FnOnce(&mut RouteTable) + 'static) -> Self {
        Self { edit: Some(Box::new(edit)), ..self }
    }

    /// Another resolver than the system's.
    pub(crate) fn names(self, names: Arc<dyn Names>) -> Self {
        Self { names, ..self }
    }

    fn text(&self, bank: &Bank) -> String {
        let Self { gateway, tls, limits, api, contract, client, target, more, top, .. } = self;
        let place = format!("\"https://127.0.0.1:{}\"", bank.address().port());
        let upstream = self.upstream.as_ref().unwrap_or(&place);
        let client = entry(1, client);
        let own_drain = gateway.contains("drain_timeout");
        let drain = if own_drain { "" } else { "drain_timeout = \"2s\"" };
        // Worlds end often, and some with connections that are open and quiet.
        let own_quiet = gateway.contains("drain_quiet");
        let quiet = if own_quiet { "" } else { "drain_quiet = \"50ms\"" };
        let workers = if gateway.contains("workers") { "" } else { "workers = 1" };
        // A test that changes files says when they are looked at.
        let watch = if gateway.contains("watch") { "" } else { "watch = \"off\"" };
        format!(
            r#"
{top}
[gateway]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
{workers}
{drain}
{quiet}
{watch}
{gateway}
[gateway.tls]
cert = "edge.pem"
key = "edge.key"
client_ca = "clients-ca.pem"
{tls}
[gateway.limits]
{limits}
[gateway.access_log]
path = "access.log"
[[api]]
contract = "{contract}"
base_path = "{BASE}"
{api}
{client}
[target_defaults]
tls = {{ ca = "banks-ca.pem", cert = "hub.pem", key = "hub.key" }}
timeouts = {{ connect = "10s", first_byte = "20s", total = "20s" }}
[[target]]
id = "{BANK}"
upstream = {upstream}
allow_private_addresses = true
{target}
{more}
"#
        )
    }

    /// Whether the table loads; what is wrong with it, if not.
    pub(crate) fn load(&self, bank: &Bank) -> Result<RouteTable, String> {
        let folder = tempfile::tempdir().unwrap();
        self.load_in(folder.path(), bank).map(|loaded| loaded.table)
    }

    fn load_in(&self, folder: &std::path::Path, bank: &Bank) -> Result<Loaded, String> {
        pki().write(folder).unwrap();
        let file = folder.join("routes.toml");
        fs::write(&file, self.text(bank)).unwrap();
        self.write_files(folder);
        let loaded = routes::load(&file, &SystemSources);
        loaded.map_err(|report| report.render(Colour::Never))
    }

    /// Starts the program itself, in a process of its own, and the bank if the test brings none.
    #[track_caller]
    pub(crate) fn launch(self) -> Program {
        self.launch_from("true")
    }

    /// The same, from a shell that was told something before.
    #[track_caller]
    pub(crate) fn launch_from(self, shell: &str) -> Program {
        let folder = tempfile::tempdir().unwrap();
        let bank = self.write(folder.path());
        Program::start(folder, bank, shell)
    }

    /// Writes the table and its certificates, for a gateway in a process of its own; starts the
    /// bank if the test brings none.
    pub(super) fn write(mut self, folder: &std::path::Path) -> Bank {
        let bank = self.bank.take().unwrap_or_else(bank);
        pki().write(folder).unwrap();
        fs::write(folder.join("routes.toml"), self.text(&bank)).unwrap();
        self.write_files(folder);
        bank
    }

    fn write_files(&self, folder: &std::path::Path) {
        for (name, text) in &self.files {
            fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            fs::write(folder.join(name), text).unwrap();
        }
    }

    /// Starts the gateway, and the bank if the test brings none.
    #[track_caller]
    pub(crate) fn start(mut self) -> World {
        notes::listen();
        let bank = self.bank.take().unwrap_or_else(bank);
        let folder = tempfile::tempdir().unwrap();
        let loaded = self.load_in(folder.path(), &bank);
        let mut loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
        let given = match self.edit {
            Some(edit) => {
                edit(&mut loaded.table);
                loaded.table.into()
            }
            None => Given::from_file(loaded, &folder.path().join("routes.toml")),
        };
        let running = edge::start(given.with_names(self.names)).unwrap();
        World { bank, notes: Notes::default(), running: Some(running), folder }
    }
}
