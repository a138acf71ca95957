//! Which file has which target.
//!
//! This file decides whose an id is. The operator's own file is always right. Among the included
//! files it stays with the one that had it: a newcomer that claims it is set aside alone. Where
//! nobody is known to have had it and two files claim it, both are set aside: which of them is
//! right can't be known, and the wrong one would be sent the other bank's tokens.

use std::cell::RefCell;
use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::before::Before;
use super::load::File;
use super::page::{At, Page, Span, Wrong};
use super::problem::Severity;
use super::reader::did_you_mean;
use crate::ids::TargetId;

/// Who claims each id.
pub(super) type Claims = HashMap<TargetId, Claim>;

/// The claims to one id, in the order of the files.
#[derive(Default)]
pub(super) struct Claim {
    first: Option<(usize, Span)>,
    more: Vec<(usize, Span)>,
    /// The file that is set aside and had it when it was good.
    kept_by: Option<Arc<Path>>,
}

/// Finds out which file has which target, and reports every claim that does not hold. `old` are
/// files that are `broken`, as they were when they were good.
pub(super) fn check_claims(
    files: &[File<'_>],
    old: &[File<'_>],
    broken: &HashSet<Arc<Path>>,
    before: &dyn Before,
) -> Claims {
    let mut claims = Claims::new();
    for (index, File { page, entries }) in files.iter().enumerate() {
        for entry in entries {
            let place = (index, entry.id.span);
            match claims.entry(entry.id.value.clone()) {
                Slot::Vacant(slot) => {
                    slot.insert(Claim { first: Some(place), ..Claim::default() });
                }
                Slot::Occupied(slot) if slot.get().last() == Some(index) => {
                    let what = format!("two targets have the id `{}`", slot.key());
                    page.error(place.1, Wrong::new(what).right("an id of its own for each"));
                }
                Slot::Occupied(mut slot) => slot.get_mut().more.push(place),
            }
        }
    }
    for File { page, entries } in old {
        for entry in entries {
            let claim = claims.entry(entry.id.value.clone()).or_default();
            claim.kept_by.get_or_insert_with(|| Arc::clone(&page.file));
        }
    }
    let owners = Owners { broken, before, old_ids: RefCell::default() };
    for (id, claim) in &claims {
        claim.settle(id, files, &owners);
    }
    claims
}

/// Who had which target.
struct Owners<'o> {
    broken: &'o HashSet<Arc<Path>>,
    before: &'o dyn Before,
    /// The ids in the last good texts that were asked for.
    old_ids: RefCell<HashMap<Arc<Path>, HashSet<String>>>,
}

impl Owners<'_> {
    /// Whether a file had the target when it was last good, as far as its text is kept.
    fn had(&self, file: &Arc<Path>, id: &TargetId) -> bool {
        let mut known = self.old_ids.borrow_mut();
        let ids = known.entry(Arc::clone(file));
        let read = || self.before.text(file).map_or_else(HashSet::new, |text| ids_of(&text));
        ids.or_insert_with(read).contains(id.as_str())
    }
}

/// The ids of a text's targets.
fn ids_of(text: &str) -> HashSet<String> {
    let Ok(table) = text.parse::<toml::Table>() else { return HashSet::new() };
    let targets = table.get("target").and_then(toml::Value::as_array);
    let id = |target: &toml::Value| Some(target.get("id")?.as_str()?.to_owned());
    targets.into_iter().flatten().filter_map(id).collect()
}

impl Claim {
    fn all(&self) -> impl Iterator<Item = (usize, Span)> {
        self.first.iter().chain(&self.more).copied()
    }

    fn files(&self) -> impl Iterator<Item = usize> {
        self.all().map(|(file, _)| file)
    }

    fn last(&self) -> Option<usize> {
        self.more.last().or(self.first.as_ref()).map(|(file, _)| *file)
    }

    /// Reports the claims that do not hold.
    fn settle(&self, id: &TargetId, files: &[File<'_>], owners: &Owners<'_>) {
        let page_of = |index: usize| files.get(index).map(|file| &file.page);
        let refuse = |(index, span): (usize, Span), other: &Path, had: &str| {
            let Some(page) = page_of(index) else { return };
            let what = format!("the target `{id}` is in `{}`, {had}", other.display());
            let right = "an id of its own for each bank; the operator gives them out";
            page.error(span, Wrong::new(what).right(right));
        };
        if self.files().next() == Some(0) {
            let Some(operators) = page_of(0) else { return };
            self.more.iter().for_each(|claim| refuse(*claim, &operators.file, "too"));
        } else if let Some(holder) = self.holder(id, files, owners) {
            for claim in self.all() {
                if page_of(claim.0).is_some_and(|page| page.file != holder) {
                    refuse(claim, &holder, "which had it before");
                }
            }
        } else if let (Some(first), Some(last)) = (self.first, self.more.last()) {
            let file = |index| page_of(index).map_or(Path::new(""), |page| &page.file);
            refuse(first, file(last.0), "too");
            self.more.iter().for_each(|claim| refuse(*claim, file(first.0), "too"));
        }
    }

    /// The included file that the id stays with, if one is known.
    fn holder(&self, id: &TargetId, files: &[File<'_>], owners: &Owners<'_>) -> Option<Arc<Path>> {
        let claimants = || self.files().filter_map(|index| files.get(index)).map(|f| &f.page.file);
        if let Some(owner) = self.kept_by.clone().or_else(|| owners.before.owner(id)) {
            // One that does not claim it any more has given it back, unless it is broken.
            if owners.broken.contains(&owner) || claimants().any(|file| *file == owner) {
                return Some(owner);
            }
        }
        if self.more.is_empty() {
            return None;
        }
        let mut had = claimants().filter(|file| owners.had(file, id));
        had.next().filter(|_| had.next().is_none()).cloned()
    }
}

/// Reports clients' targets that no file defines. While a file is set aside they may well be in
/// it, and the operator's file must not fall with a bank's.
pub(super) fn check_mentions(
    page: &Page<'_>,
    mentions: &[At<TargetId>],
    claims: &Claims,
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
