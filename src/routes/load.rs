//! Loads the operator's file and the files it includes into one table.
//!
//! This file decides which file may say what, and what a broken one takes down: a bank's file
//! itself, the operator's file everything. It must not know how a single table is read.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::path::Path;
use std::sync::Arc;

use super::include;
use super::page::{At, Page, Wrong};
use super::pieces;
use super::problem::{Report, Severity};
use super::reader::{Reader, did_you_mean};
use super::sharing::Reach;
use super::sources::{MemorySources, Sources};
use super::table::{Gateway, RouteTable, Target};
use super::target::{Defaults, Entry, Shared};
use super::{api, client, gateway, target};
use crate::contract::{CompileError, Contract};
use crate::ids::TargetId;

/// What makes a contract of an OpenAPI document.
pub trait Compile {
    /// Compiles the document that `routes.toml` mounts by `name`.
    ///
    /// # Errors
    /// Everything that can't be enforced.
    fn compile(&mut self, name: &str, document: &str) -> Result<Contract, Vec<CompileError>>;
}

impl<F: FnMut(&str, &str) -> Result<Contract, Vec<CompileError>>> Compile for F {
    fn compile(&mut self, name: &str, document: &str) -> Result<Contract, Vec<CompileError>> {
        self(name, document)
    }
}

/// A table, and what is wrong around it.
#[derive(Debug)]
pub struct Loaded {
    /// The table: the operator's file and every included file that is right.
    pub table: RouteTable,
    /// The included files that are not, by name.
    pub quarantined: Vec<Quarantined>,
    /// What is likely not meant, in the files that the table was made from.
    pub warnings: Report,
}

/// An included file that was set aside, whole: none of its targets is in the table.
#[derive(Debug)]
pub struct Quarantined {
    /// The file.
    pub file: Arc<Path>,
    /// What is wrong with it.
    pub report: Report,
}

impl Loaded {
    /// Takes over the last good entries of the files that are now set aside, and returns their
    /// ids, sorted. An id stays with the bank's file that had it, whatever another bank's file
    /// says about it meanwhile; only the operator's own file, `path`, can take it.
    pub fn keep_last_good(&mut self, path: &Path, previous: &RouteTable) -> Vec<TargetId> {
        let mut kept = Vec::new();
        for target in previous.targets.values() {
            let broken = self.quarantined.iter().any(|broken| broken.file == target.source);
            let now = self.table.targets.get(&target.id);
            let taken = now.is_some_and(|now| *now.source == *path);
            if broken && !taken {
                kept.push(target.id.clone());
            }
        }
        kept.sort();
        for id in &kept {
            if let Some(target) = previous.targets.get(id) {
                self.table.targets.insert(id.clone(), Arc::clone(target));
            }
        }
        kept
    }
}

/// Loads `path` and what it includes.
///
/// # Errors
/// Everything that is wrong, when the operator's own file is: what is wrong with the included
/// files follows.
pub fn load(path: &Path, sources: &dyn Sources) -> Result<Loaded, Report> {
    load_with(path, sources, &mut Contract::compile)
}

/// Loads with another way to compile contracts: see [`load`].
///
/// # Errors
/// As [`load`].
pub fn load_with(
    path: &Path,
    sources: &dyn Sources,
    compile: &mut dyn Compile,
) -> Result<Loaded, Report> {
    let file: Arc<Path> = Arc::from(path);
    let text = sources.read(path).map_err(|error| unreadable(&file, &error))?;
    let page = Page::new(file, &text, sources);
    let shared = RefCell::default();
    let Some(operator) = OperatorFile::read(&page, compile, &shared) else {
        return Err(page.into_report());
    };

    let (texts, mut quarantined) = read_texts(&operator.included, sources);
    let mut files = vec![File { page, entries: operator.entries }];
    for (file, text) in &texts {
        let page = Page::new(Arc::clone(file), text, sources);
        let entries = read_targets_only(&page, &operator.defaults, &shared);
        files.push(File { page, entries });
    }
    let claims = check_claims(&files);
    let broken = !quarantined.is_empty() || files.iter().skip(1).any(|f| f.page.errors() > 0);
    if let Some(operators) = files.first() {
        check_mentions(&operators.page, &operator.clients.mentions, &claims, broken);
    }

    let durable = operator.gateway.as_ref().is_some_and(|gateway| gateway.state_dir.is_some());
    check_sharing(&files, &Reach::of(&operator.clients.clients, durable));

    let mut targets = HashMap::with_capacity(claims.len());
    let mut warnings = Report::default();
    let mut failed = false;
    for (index, File { page, entries }) in files.into_iter().enumerate() {
        let file = Arc::clone(&page.file);
        let wrong = page.errors() > 0;
        let report = page.into_report();
        if index == 0 || !wrong {
            failed |= wrong;
            targets.extend(entries.into_iter().filter_map(keyed));
            warnings.append(report);
        } else {
            quarantined.push(Quarantined { file, report });
        }
    }
    quarantined.sort_by(|left, right| left.file.cmp(&right.file));
    match operator.gateway {
        Some(gateway) if !failed => {
            let client::Clients { clients, certificates, .. } = operator.clients;
            let table = RouteTable { gateway, apis: operator.apis, clients, certificates, targets };
            Ok(Loaded { table, quarantined, warnings })
        }
        _ => {
            quarantined.into_iter().for_each(|broken| warnings.append(broken.report));
            Err(warnings)
        }
    }
}

/// Loads a text as if it were the operator's file in a world without other files, with a contract
/// that is never right: whatever the text is, this returns. For fuzzing.
#[doc(hidden)]
pub fn load_text(text: &str) -> Result<Loaded, Report> {
    let sources = MemorySources::default().file("routes.toml", text);
    load_with(Path::new("routes.toml"), &sources, &mut |_: &str, _: &str| {
        Err(vec![CompileError { pointer: String::new(), message: "not compiled".to_owned() }])
    })
}

/// Reads the operator's file alone, for what the reader asks for.
#[cfg(test)]
pub(super) fn read_operator_file(page: &Page<'_>, compile: &mut dyn Compile) {
    let _ = OperatorFile::read(page, compile, &RefCell::default());
}

/// A file that is being loaded; the operator's is the first.
struct File<'p> {
    page: Page<'p>,
    entries: Vec<Entry>,
}

/// What the operator's file says.
struct OperatorFile {
    included: Vec<Arc<Path>>,
    gateway: Option<Gateway>,
    apis: Vec<super::table::Api>,
    clients: client::Clients,
    defaults: Defaults,
    entries: Vec<Entry>,
}

impl OperatorFile {
    /// `None` when it is no TOML.
    fn read(page: &Page<'_>, compile: &mut dyn Compile, shared: &RefCell<Shared>) -> Option<Self> {
        let read_top = |root: &Reader<'_>| {
            let gateway = gateway::read(root);
            // Where `[gateway]` is missing altogether, a second complaint helps nobody.
            let by_header = gateway.as_ref().is_none_or(|gateway| gateway.insecure_header_identity);
            let mut clients = client::read_all(root, by_header);
            let defaults = Defaults::read(root);
            Self {
                included: include::read(root),
                apis: api::read_all(root, compile, &mut clients.mentions),
                entries: target::read_all(root, &defaults, &mut shared.borrow_mut()),
                gateway,
                clients,
                defaults,
            }
        };
        let read_more = |root: &Reader<'_>, read: &mut Self| {
            let shared = &mut shared.borrow_mut();
            read.entries.extend(target::read_all(root, &read.defaults, shared));
        };
        pieces::walk(page, read_top, read_more)
    }
}

/// Reads the included files; those that can't be read are set aside.
fn read_texts(
    included: &[Arc<Path>],
    sources: &dyn Sources,
) -> (Vec<(Arc<Path>, String)>, Vec<Quarantined>) {
    let mut texts = Vec::new();
    let mut quarantined = Vec::new();
    for file in included {
        let file = Arc::clone(file);
        match sources.read(&file) {
            Ok(text) => texts.push((file, text)),
            Err(error) => {
                let report = unreadable(&file, &error);
                quarantined.push(Quarantined { file, report });
            }
        }
    }
    (texts, quarantined)
}

fn read_targets_only(page: &Page<'_>, defaults: &Defaults, shared: &RefCell<Shared>) -> Vec<Entry> {
    let read = |root: &Reader<'_>| {
        root.refuse_but("target", "an included file holds `[[target]]` tables and nothing else");
        target::read_all(root, defaults, &mut shared.borrow_mut())
    };
    let entries = pieces::walk(page, read, |root, entries| entries.extend(read(root)));
    entries.unwrap_or_default()
}

/// Finds out which file has which target. Two files of banks that claim the same id are both set
/// aside: which of them is right can't be known, and the wrong one would be sent the other bank's
/// tokens. The operator's own file is always right.
fn check_claims(files: &[File<'_>]) -> HashMap<TargetId, Claim> {
    let mut claims: HashMap<TargetId, Claim> = HashMap::new();
    for (index, File { page, entries }) in files.iter().enumerate() {
        for Entry { id, .. } in entries {
            let first = match claims.entry(id.value.clone()) {
                Slot::Vacant(slot) => {
                    slot.insert(Claim { file: index, at: At { value: (), span: id.span } });
                    continue;
                }
                Slot::Occupied(slot) => *slot.get(),
            };
            let what = |other: &Page<'_>| {
                let what =
                    format!("the target `{}` is in `{}`, too", id.value, other.file.display());
                Wrong::new(what)
                    .right("an id of its own for each bank; the operator gives them out")
            };
            let Some(other) = files.get(first.file).map(|file| &file.page) else { continue };
            if first.file == index {
                let what = format!("two targets have the id `{}`", id.value);
                page.error(id.span, Wrong::new(what).right("an id of its own for each"));
            } else {
                page.error(id.span, what(other));
                if first.file != 0 {
                    other.error(first.at.span, what(page));
                }
            }
        }
    }
    claims
}

/// Where an id was first seen.
#[derive(Clone, Copy)]
struct Claim {
    file: usize,
    at: At<()>,
}

/// Reports clients' targets that no file defines. While a file is set aside they may well be in
/// it, and the operator's file must not fall with a bank's.
fn check_mentions(
    page: &Page<'_>,
    mentions: &[At<TargetId>],
    claims: &HashMap<TargetId, Claim>,
    broken: bool,
) {
    for mention in mentions.iter().filter(|mention| !claims.contains_key(&mention.value)) {
        let near = || did_you_mean(mention.value.as_str(), claims.keys().map(TargetId::as_str));
        let mut wrong = Wrong::new(format!("there is no target `{}`", mention.value));
        if broken {
            wrong = wrong.right("it may be in a file that was set aside");
            page.report(Severity::Warning, mention.span, wrong);
        } else {
            wrong.right = page.has_room().then(near).flatten();
            page.report(Severity::Error, mention.span, wrong);
        }
    }
}

fn check_sharing(files: &[File<'_>], reach: &Reach<'_>) {
    for File { page, entries } in files {
        for Entry { id, target } in entries {
            if let Some(target) = target {
                reach.check(page, id.span, target);
            }
        }
    }
}

fn keyed(entry: Entry) -> Option<(TargetId, Arc<Target>)> {
    entry.target.map(|target| (target.id.clone(), Arc::new(target)))
}

fn unreadable(file: &Arc<Path>, error: &std::io::Error) -> Report {
    Report::of_file(file, format!("this file can't be read: {error}"), None)
}
