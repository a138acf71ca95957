//! What two tables differ in, key by key: what a reload changes, said so that people can check it.
//!
//! This file decides what counts as a change, in which order changes are told, and which of them
//! need a new process. A secret's value is never in it. It must not know how tables are loaded or
//! put to work.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::facts::{Facts, ITS_FILE, Value};
use super::table::RouteTable;

/// Most changes that are told; the rest is counted.
pub const CHANGES_MAX: usize = 1_000;
/// All differences between two tables, in the order of the file, parties by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// The changes that are told.
    pub changes: Vec<Change>,
    /// How many more there are.
    pub omitted: usize,
}

/// One part of the table that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it is.
    pub part: Part,
    /// Its id, base path or file name; empty for the gateway.
    pub name: String,
    /// What happened to it.
    pub how: How,
    /// Its keys that differ. None where it is new or gone as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyChange>,
}

/// A part of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// `[gateway]`.
    Gateway,
    /// An `[[api]]`.
    Api,
    /// A `[[client]]`.
    Client,
    /// A `[[target]]`.
    Target,
    /// A file with certificates, a key or a revocation list.
    File,
}

/// What happened to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
}

/// One key that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Its name, dotted, from the part's table.
    pub key: String,
    /// What it was; none where it was not set, or is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it is; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether its value is not shown: a secret, or a whole document.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hidden: bool,
    /// Whether only a new process takes it up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub needs_new_process: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Diff {
    /// What became of `old` in `new`.
    pub fn between(old: &RouteTable, new: &RouteTable) -> Self {
        let mut diff = Self::default();
        let [before, after] = [old, new].map(|table| Facts::of_gateway(&table.gateway));
        diff.compare(Part::Gateway, "", Some(&before), Some(&after));
        let taken_up = Facts::of_gateway(&new.gateway.taken_up_by(&old.gateway));
        for key in diff.changes.iter_mut().flat_map(|gateway| &mut gateway.keys) {
            key.needs_new_process = find(&taken_up, &key.key) == find(&before, &key.key);
        }

        let apis = |table: &RouteTable| -> BTreeSet<String> {
            table.apis.iter().map(|api| api.base_path.to_string()).collect()
        };
        for path in apis(old).union(&apis(new)) {
            let [before, after] = [old, new].map(|table| {
                let api = table.apis.iter().find(|api| *api.base_path == **path);
                api.map(Facts::of_api)
            });
            let name = if path.is_empty() { "/" } else { path };
            diff.compare(Part::Api, name, before.as_ref(), after.as_ref());
        }
        for id in old.clients.keys().chain(new.clients.keys()).collect::<BTreeSet<_>>() {
            let (before, after) = (old.clients.get(id), new.clients.get(id));
            // Most parties do not change: no text is made of those.
            if before != after {
                let [before, after] =
                    [before, after].map(|client| client.map(|client| Facts::of_client(client)));
                diff.compare(Part::Client, id.as_str(), before.as_ref(), after.as_ref());
            }
        }
        for id in old.targets.keys().chain(new.targets.keys()).collect::<BTreeSet<_>>() {
            let (before, after) = (old.targets.get(id), new.targets.get(id));
            if before != after {
                let [before, after] =
                    [before, after].map(|target| target.map(|target| Facts::of_target(target)));
                diff.compare(Part::Target, id.as_str(), before.as_ref(), after.as_ref());
            }
        }
        diff
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.omitted == 0
    }

    /// Forgets that targets moved to another file: two tables that are compared side by side are in
    /// two files to begin with.
    pub fn forget_files(&mut self) {
        for change in &mut self.changes {
            change.keys.retain(|key| key.key != ITS_FILE);
        }
        self.changes.retain(|change| change.how != How::Changed || !change.keys.is_empty());
    }

    /// Adds a change, while there is room.
    pub fn push(&mut self, change: Change) {
        if self.changes.len() < CHANGES_MAX {
            self.changes.push(change);
        } else {
            self.omitted += 1;
        }
    }

    /// The keys that only a new process takes up.
    pub fn needs_new_process(&self) -> impl Iterator<Item = &KeyChange> {
        let keys = self.changes.iter().flat_map(|change| &change.keys);
        keys.filter(|key| key.needs_new_process)
    }

    /// Whether something differs that takes effect in this process.
    pub fn takes_effect(&self) -> bool {
        let now = |change: &Change| {
            change.keys.is_empty() || change.keys.iter().any(|key| !key.needs_new_process)
        };
        self.omitted > 0 || self.changes.iter().any(now)
    }

    fn compare(&mut self, part: Part, name: &str, old: Option<&Facts>, new: Option<&Facts>) {
        let (how, keys) = match (old, new) {
            (Some(old), Some(new)) if old == new => return,
            (Some(old), Some(new)) => (How::Changed, compare_keys(old, new)),
            (None, Some(_)) => (How::Added, Vec::new()),
            (Some(_), None) => (How::Removed, Vec::new()),
            (None, None) => return,
        };
        self.push(Change { part, name: name.to_owned(), how, keys });
    }
}

fn compare_keys(old: &Facts, new: &Facts) -> Vec<KeyChange> {
    let mut keys: Vec<&String> = new.0.iter().map(|(key, _)| key).collect();
    keys.extend(old.0.iter().map(|(key, _)| key).filter(|key| find(new, key).is_none()));
    let mut changes = Vec::new();
    for key in keys {
        let (from, to) = (find(old, key), find(new, key));
        if from == to {
            continue;
        }
        let is_hidden = |value: Option<&Value>| matches!(value, Some(Value::Hidden(_)));
        changes.push(KeyChange {
            key: key.clone(),
            hidden: is_hidden(from) || is_hidden(to),
            needs_new_process: false,
            from: shown(from),
            to: shown(to),
        });
    }
    changes
}

fn find<'f>(facts: &'f Facts, key: &str) -> Option<&'f Value> {
    facts.0.iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

fn shown(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Shown(text) => Some(text.clone()),
        Value::Hidden(_) => None,
    }
}

impl Part {
    /// Its name in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Api => "api",
            Self::Client => "client",
            Self::Target => "target",
            Self::File => "file",
        }
    }
}

/// As people read it: a line for each part, one below it for each key.
impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            writeln!(f, "{change}")?;
        }
        if self.omitted > 0 {
            writeln!(f, "and {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.how {
            How::Added => '+',
            How::Removed => '-',
            How::Changed => '~',
        };
        let blank = if self.name.is_empty() { "" } else { " " };
        write!(f, "{sign} {}{blank}{}", self.part.as_str(), self.name)?;
        self.keys.iter().try_for_each(|key| write!(f, "\n    {key}"))
    }
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, from, to, hidden, needs_new_process } = self;
        match (from, to) {
            (Some(from), Some(to)) => write!(f, "{key}: {from} -> {to}")?,
            (None, Some(to)) => write!(f, "{key}: (not set) -> {to}")?,
            (Some(from), None) => write!(f, "{key}: {from} -> (not set)")?,
            (None, None) => write!(f, "{key}: changed")?,
        }
        if *hidden {
            f.write_str(" (not shown)")?;
        }
        if *needs_new_process {
            f.write_str(" (needs a new process)")?;
        }
        Ok(())
    }
}
