//! Loads the operator's file and the files it includes into one table.
//!
//! This file decides which file may say what, and what a broken one takes down: a bank's file
//! itself, the operator's file everything. It must not know how a single table is read.

use std::cell::RefCell;
use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::before::AskBefore;
use super::claims::{Claims, check_claims, check_mentions};
use super::grants::Grants;
use super::include;
use super::page::{Page, Wrong};
use super::pieces;
use super::problem::Report;
use super::reader::Reader;
use super::sharing::Reach;
use super::sources::{FILE_BYTES_MAX, MemorySources, Sources};
use super::table::{Gateway, RouteTable, Target};
use super::target::{Defaults, Entry, Shared};
use super::{api, client, gateway, target};
use crate::contract::{CompileError, Contract};
use crate::ids::TargetId;

/// Longest included file, in bytes: to parse a text takes many times its length.
const INCLUDED_BYTES_MAX: u64 = 1_048_576;

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
    /// The targets that stand as their file, which is set aside, had them when it was good, by id.
    pub kept: Vec<TargetId>,
    /// The included files that are right, with their texts: what is to be kept of them.
    pub good: Vec<(Arc<Path>, String)>,
    /// All included files.
    pub included: Vec<Arc<Path>>,
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
    /// The ids of the targets that stand as this file had them when it was good.
    pub fn kept_of(&self, file: &Path) -> Vec<&str> {
        let is_of = |id: &&TargetId| {
            self.table.targets.get(*id).is_some_and(|target| *target.source == *file)
        };
        self.kept.iter().filter(is_of).map(TargetId::as_str).collect()
    }

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
    load_all(path, sources, compile, &|_| Box::new(()))
}

/// Loads by what was known before: see [`load`].
///
/// # Errors
/// As [`load`].
pub fn load_after(
    path: &Path,
    sources: &dyn Sources,
    before: AskBefore<'_>,
) -> Result<Loaded, Report> {
    load_all(path, sources, &mut Contract::compile, before)
}

pub(super) fn load_all(
    path: &Path,
    sources: &dyn Sources,
    compile: &mut dyn Compile,
    before: AskBefore<'_>,
) -> Result<Loaded, Report> {
    let file: Arc<Path> = Arc::from(path);
    let text = sources.read(path, FILE_BYTES_MAX).map_err(|error| unreadable(&file, &error))?;
    let page = Page::new(file, &text, sources);
    let shared = RefCell::default();
    let Some(operator) = OperatorFile::read(&page, compile, &shared) else {
        return Err(page.into_report());
    };
    let before = operator.gateway.as_ref().map_or_else(|| Box::new(()) as _, before);

    let (texts, quarantined) = read_texts(&operator.included, sources);
    let read = |file: &Arc<Path>, text| {
        let page = Page::new(Arc::clone(file), text, sources).included(operator.grants.of(file));
        let entries = read_targets_only(&page, &operator.defaults, &shared);
        File { page, entries }
    };
    let mut files = vec![File { page, entries: operator.entries }];
    files.extend(texts.iter().map(|(file, text)| read(file, text)));
    // A file that is broken is known by what it was.
    let mut old_texts = Vec::new();
    let broken = quarantined.iter().map(|broken| &broken.file);
    let broken = broken.chain(files.iter().skip(1).filter(|f| f.is_wrong()).map(|f| &f.page.file));
    let broken: HashSet<Arc<Path>> = broken.cloned().collect();
    let old_text = |file: &Arc<Path>| Some((Arc::clone(file), before.text(file)?));
    old_texts.extend(broken.iter().filter_map(old_text));
    let mut old: Vec<_> = old_texts.iter().map(|(file, text)| read(file, text)).collect();
    old.retain(|file| !file.is_wrong());

    let claims = check_claims(&files, &old, &broken, &*before);
    let rest = files.iter().skip(1).filter(|f| f.is_wrong() && !broken.contains(&f.page.file));
    let rest: Vec<_> = rest.filter_map(|file| old_text(&file.page.file)).collect();
    let more = rest.iter().map(|(file, text)| read(file, text)).filter(|file| !file.is_wrong());
    let old: Vec<_> = old.into_iter().chain(more).flat_map(|file| file.entries).collect();
    let any_broken = !quarantined.is_empty() || files.iter().skip(1).any(File::is_wrong);
    if let Some(operators) = files.first() {
        check_mentions(&operators.page, &operator.clients.mentions, &claims, any_broken);
    }
    let durable = operator.gateway.as_ref().is_some_and(|gateway| gateway.state_dir.is_some());
    check_sharing(&files, &Reach::of(&operator.clients.clients, durable));
    let Finished { targets, kept, good, quarantined, warnings, failed } =
        finish(files, old, quarantined, &claims);
    let good = texts.into_iter().filter(|(file, _)| good.contains(file)).collect();
    match operator.gateway {
        Some(gateway) if !failed => {
            let client::Clients { clients, certificates, .. } = operator.clients;
            let table = RouteTable { gateway, apis: operator.apis, clients, certificates, targets };
            let included = operator.included;
            Ok(Loaded { table, quarantined, warnings, kept, good, included })
        }
        _ => {
            let mut warnings = warnings;
            quarantined.into_iter().for_each(|broken| warnings.append(broken.report));
            Err(warnings)
        }
    }
}

/// What the files come to.
struct Finished {
    targets: HashMap<TargetId, Arc<Target>>,
    kept: Vec<TargetId>,
    good: HashSet<Arc<Path>>,
    quarantined: Vec<Quarantined>,
    warnings: Report,
    /// The operator's own file is wrong.
    failed: bool,
}

/// Takes the targets of all that is right, then those of `old` whose ids are free.
fn finish(
    files: Vec<File<'_>>,
    old: Vec<Entry>,
    mut quarantined: Vec<Quarantined>,
    claims: &Claims,
) -> Finished {
    let mut targets = HashMap::with_capacity(claims.len());
    let (mut warnings, mut failed) = (Report::default(), false);
    let mut good = HashSet::new();
    for (index, file) in files.into_iter().enumerate() {
        let wrong = file.is_wrong();
        let File { page, entries } = file;
        let file = Arc::clone(&page.file);
        let report = page.into_report();
        if index == 0 || !wrong {
            failed |= wrong;
            targets.extend(entries.into_iter().filter_map(keyed));
            warnings.append(report);
            good.insert(file);
        } else {
            quarantined.push(Quarantined { file, report });
        }
    }
    quarantined.sort_by(|left, right| left.file.cmp(&right.file));
    let mut kept = Vec::new();
    for (id, target) in old.into_iter().filter_map(keyed) {
        if let Slot::Vacant(slot) = targets.entry(id) {
            kept.push(slot.key().clone());
            slot.insert(target);
        }
    }
    kept.sort();
    Finished { targets, kept, good, quarantined, warnings, failed }
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
pub(super) struct File<'p> {
    pub(super) page: Page<'p>,
    pub(super) entries: Vec<Entry>,
}

impl File<'_> {
    pub(super) fn is_wrong(&self) -> bool {
        self.page.errors() > 0
    }
}

/// What the operator's file says.
struct OperatorFile {
    included: Vec<Arc<Path>>,
    grants: Grants,
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
            let mut defaults = Defaults::read(root);
            defaults.own = gateway.as_ref().map(Gateway::addresses).unwrap_or_default();
            Self {
                included: include::read(root),
                grants: Grants::read(root),
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
    let mut left = FILE_BYTES_MAX;
    for file in included {
        let file = Arc::clone(file);
        match sources.read_included(&file, INCLUDED_BYTES_MAX.min(left)) {
            Ok(text) => {
                left = left.saturating_sub(text.len() as u64);
                texts.push((file, text));
            }
            Err(error) => {
                let full = left < INCLUDED_BYTES_MAX && error.kind() == ErrorKind::InvalidData;
                let report = if full {
                    let what = "all included files together are longer than 256 MiB";
                    Report::of_file(&file, what.to_owned(), None)
                } else {
                    unreadable(&file, &error)
                };
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
    let entries = entries.unwrap_or_default();
    let most = page.granted.as_ref().map_or(usize::MAX, |granted| granted.targets_max);
    if entries.len() > most {
        let what = format!("there are {} targets in this file", entries.len());
        let right = format!("at most {most}, or `targets_max` in an `[[included]]`");
        page.error(page.top(), Wrong::new(what).right(right));
    }
    entries
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
