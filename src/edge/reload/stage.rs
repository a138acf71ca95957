//! Stages a reload: reads, checks, and builds all that the new table needs, beside the one that
//! serves; then swaps.
//!
//! This file decides what a broken file takes down: the operator's file or the edge's own
//! certificates everything, so that nothing changes; a bank's file that bank alone, which is served
//! on as before; a bank's certificates no more than those certificates. Nothing of what serves is
//! touched before all is built.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Texts;
use super::report::{Aside, Outcome, Report, config_of};
use super::watch::Recorder;
use crate::edge::clients::{Setting, StagedConfigs, setting};
use crate::edge::hub::Hub;
use crate::edge::standing::Now;
use crate::edge::tls::{EdgeSide, Paper, Papers, Shelf, TlsError};
use crate::edge::unix_now;
use crate::ids::TargetId;
use crate::routes::{
    self, Change, Diff, How, KeyChange, Loaded, Part, Problem, Quarantined, RouteTable, Target,
    TargetStatus,
};
use crate::snapshot::Snapshot;

/// Most problems that are told of a reload that is refused.
const REFUSED_PROBLEMS_MAX: usize = 200;
/// Most problems that are told of one file that is set aside: they are told at each of its banks.
const ASIDE_PROBLEMS_MAX: usize = 5;

/// Why nothing can be taken up.
#[derive(Debug)]
pub(super) struct Refused {
    /// What is wrong.
    pub(super) problems: Vec<String>,
    /// When it can be by itself, in Unix seconds.
    pub(super) again_at: Option<i64>,
}

impl Refused {
    /// For reasons that don't pass by themselves.
    pub(super) const fn new(problems: Vec<String>) -> Self {
        Self { problems, again_at: None }
    }
}

/// All that a reload needs, built and not yet in use.
pub(super) struct Staged {
    previous: Arc<Snapshot>,
    /// As this process takes it up.
    table: RouteTable,
    edge: Option<Arc<EdgeSide>>,
    configs: StagedConfigs,
    diff: Diff,
    aside: Vec<Aside>,
    papers: Papers,
    /// Of the included files, to be kept once this is taken up.
    pub(super) texts: Texts,
    /// When something of what was set aside comes to be good by itself, in Unix seconds.
    pub(super) again_at: Option<i64>,
}

/// Reads the files and builds.
///
/// # Errors
/// [`Refused`] when nothing of it can be taken up.
pub(super) fn stage(hub: &Hub, config: &Path, recorder: &Recorder) -> Result<Staged, Refused> {
    let previous = hub.snapshot.load_full();
    let loaded = routes::load_after(config, recorder, &|_| Box::new(&previous.table));
    let mut loaded = loaded.map_err(|report| Refused::new(lines(&report, REFUSED_PROBLEMS_MAX)))?;
    let kept = loaded.keep_last_good(config, &previous.table);
    let mut aside = set_aside(&loaded, &kept);
    let Loaded { mut table, good, included, .. } = loaded;
    let texts = Texts { good, included };
    let shelf = Shelf::new(unix_now());

    let wanted = table.gateway.clone();
    let taken_up = wanted.taken_up_by(&previous.table.gateway);
    let old_edge = Option::clone(&hub.tls.load());
    let mut in_use = hub.configs.papers_in_use();
    old_edge.iter().for_each(|side| in_use.append(&side.papers));
    let edge = match &taken_up.tls {
        None => None,
        Some(tls) => {
            let side = EdgeSide::build(tls, &shelf, old_edge.as_ref(), Some(&in_use));
            Some(side.map_err(|error| Refused {
                problems: vec![format!("the edge's TLS: {error}")],
                again_at: error.good_from,
            })?)
        }
    };
    let mut configs = hub.configs.stage(table.targets.values(), &shelf, Some(&in_use));
    let again_at = configs.broken.values().filter_map(|error| error.good_from).min();
    let (broken, kept) = keep_broken(&mut table, &previous.table, &configs);
    aside.extend(broken);
    for setting in kept {
        hub.configs.stage_one(&mut configs, setting, &shelf, Some(&in_use));
    }

    let mut diff = Diff::between(&previous.table, &table);
    let mut papers = configs.papers();
    let mut old_papers = hub.configs.papers();
    for (all, side) in [(&mut papers, &edge), (&mut old_papers, &old_edge)] {
        side.iter().for_each(|side| all.append(&side.papers));
    }
    compare_papers(&mut diff, &old_papers, &papers);
    table.gateway = taken_up;
    Ok(Staged { previous, table, edge, configs, diff, aside, papers, texts, again_at })
}

/// Lets every target whose certificates can't be used keep those that it has. Where its new entry
/// names them as the old one did, that is all, and the rest of the entry holds: who was suspended
/// must not be called because of a broken file. Else it keeps its last good entry, still with the
/// new one's word that it is not to be called. The settings of entries that were kept are given
/// back, too.
fn keep_broken(
    table: &mut RouteTable,
    previous: &RouteTable,
    configs: &StagedConfigs,
) -> (Vec<Aside>, Vec<Setting>) {
    let mut aside: BTreeMap<String, Aside> = BTreeMap::new();
    let mut kept = Vec::new();
    for target in table.targets.values() {
        let Some(wanted) = setting(target) else { continue };
        let Some(error) = configs.broken.get(&wanted) else { continue };
        let TlsError { file, .. } = error;
        let file = file.as_deref().map_or_else(String::new, |file| file.display().to_string());
        let entry = aside.entry(file.clone()).or_insert_with(|| Aside {
            file,
            targets: Vec::new(),
            problems: vec![error.to_string()],
        });
        entry.targets.push(target.id.to_string());
        let old = previous.targets.get(&target.id);
        let Some(old) = old.filter(|old| setting(old).as_ref() != Some(&wanted)) else { continue };
        kept.push(if target.status == TargetStatus::Active {
            old.clone()
        } else {
            Arc::new(Target { status: target.status, ..Target::clone(old) })
        });
    }
    let settings = kept.iter().filter_map(|old| setting(old)).collect();
    table.targets.extend(kept.into_iter().map(|old| (old.id.clone(), old)));
    aside.values_mut().for_each(|aside| aside.targets.sort());
    (aside.into_values().collect(), settings)
}

/// The files that the loader set aside.
pub(in crate::edge) fn set_aside(loaded: &Loaded, kept: &[TargetId]) -> Vec<Aside> {
    let of = |Quarantined { file, report }: &Quarantined| {
        let is_of = |id: &&TargetId| {
            loaded.table.targets.get(*id).is_some_and(|target| target.source == *file)
        };
        Aside {
            file: file.display().to_string(),
            targets: kept.iter().filter(is_of).map(ToString::to_string).collect(),
            problems: lines(report, ASIDE_PROBLEMS_MAX),
        }
    };
    loaded.quarantined.iter().map(of).collect()
}

fn lines(report: &routes::Report, most: usize) -> Vec<String> {
    let mut lines: Vec<_> = report.problems.iter().take(most).map(Problem::one_line).collect();
    let more = report.problems.len() - lines.len() + report.omitted;
    if more > 0 {
        lines.push(format!("and {more} more; `corgate check` tells all"));
    }
    lines
}

/// Adds the files that are new, gone, or hold something else.
fn compare_papers(diff: &mut Diff, old: &Papers, new: &Papers) {
    let mut files: Vec<_> = old.iter().chain(new.iter()).map(|paper| &paper.file).collect();
    files.sort();
    files.dedup();
    for file in files {
        let (how, keys) = match (old.get(file), new.get(file)) {
            (Some(_), Some(_)) if old.same(new, file) => continue,
            (Some(before), Some(after)) => (How::Changed, compare_paper(before, after)),
            (None, _) => (How::Added, Vec::new()),
            (Some(_), None) => (How::Removed, Vec::new()),
        };
        diff.push(Change { part: Part::File, name: file.display().to_string(), how, keys });
    }
}

fn compare_paper(old: &Paper, new: &Paper) -> Vec<KeyChange> {
    let mut keys = Vec::new();
    let mut compare = |key: &str, from: Option<String>, to: Option<String>| {
        if from != to {
            let key = key.to_owned();
            keys.push(KeyChange { key, from, to, hidden: false, needs_new_process: false });
        }
    };
    compare("serial", old.serial.clone(), new.serial.clone());
    compare("until", old.end(), new.end());
    keys
}

impl Staged {
    /// What is taken up.
    pub(super) fn report(&self, hub: &Hub) -> Report {
        let takes_effect = self.diff.takes_effect();
        let outcome = match (self.aside.is_empty(), takes_effect) {
            (false, _) => Outcome::Partial,
            (true, true) => Outcome::Applied,
            (true, false) => Outcome::Unchanged,
        };
        Report {
            outcome,
            config: config_of(hub),
            generation: hub.standing.generation(),
            problems: Vec::new(),
            set_aside: self.aside.clone(),
            needs_new_process: self.waiting(),
            diff: self.diff.clone(),
        }
    }

    fn waiting(&self) -> Vec<String> {
        self.diff.needs_new_process().map(|key| key.key.clone()).collect()
    }

    /// Puts it to use; what is left to do can't fail. Gives back what served before, where it does
    /// not any more.
    pub(super) fn take_up(self, hub: &Hub) -> Option<Arc<Snapshot>> {
        let waiting = self.waiting();
        let now = Now { good_at: unix_now(), aside: self.aside, waiting, papers: self.papers };
        if self.diff.takes_effect() {
            let stale = &self.configs.stale;
            let snapshot = Snapshot::build_anew(self.table, Some(&self.previous), |target| {
                setting(target).is_some_and(|setting| stale.contains(&setting))
            });
            // Certificates before the table: a new entry never meets an old certificate.
            hub.configs.replace(self.configs);
            if let Some(side) = &self.edge {
                side.tell(Option::as_deref(&hub.tls.load()));
            }
            hub.tls.store(Arc::new(self.edge));
            hub.snapshot.store(Arc::new(snapshot));
            hub.standing.set_now(now);
            hub.standing.take_up();
            Some(self.previous)
        } else {
            hub.standing.set_now(now);
            None
        }
    }
}
