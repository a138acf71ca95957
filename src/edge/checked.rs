//! What a start would find in the files of a table, without starting.
//!
//! `corgate check` asks it, so that it says what `corgate run` would say: both read certificates,
//! keys and lists through the same code. This file decides what of it keeps a gateway from
//! starting, and what only has to be known. It must not know where it is printed.

use std::collections::{BTreeMap, BTreeSet};

use super::clients::{ClientConfigs, setting};
use super::tls::{EdgeSide, Papers, Shelf, target_notices};
use super::unix_now;
use crate::routes::RouteTable;

/// Most targets that are named for one file.
const TARGETS_SHOWN_MAX: usize = 10;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What a start refuses, or serves no bank with.
    pub errors: Vec<String>,
    /// What is served all the same.
    pub warnings: Vec<String>,
}

/// Reads every certificate, key, CA and list that a table names, as a start does.
pub fn check(table: &RouteTable) -> Checked {
    let shelf = Shelf::new(unix_now());
    let mut checked = Checked::default();
    let mut papers = Papers::default();
    if let Some(tls) = &table.gateway.tls {
        match EdgeSide::build(tls, &shelf, None, None) {
            Err(error) => checked.errors.push(format!("the edge's TLS can't be set up: {error}")),
            Ok(side) => {
                papers.append(&side.papers);
                checked.warnings.extend(side.trust.notices.iter().map(ToString::to_string));
            }
        }
    }
    let configs = ClientConfigs::default();
    let staged = configs.stage(table.targets.values(), &shelf, None);
    papers.append(&staged.papers());
    let told = table.targets.values().filter_map(|target| setting(target));
    let told: BTreeSet<_> = told
        .flat_map(|(tls, _)| target_notices(&tls, &shelf))
        .map(|notice| notice.to_string())
        .collect();
    checked.warnings.extend(told);
    let mut broken: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for target in table.targets.values() {
        if let Some(error) = setting(target).and_then(|setting| staged.broken.get(&setting)) {
            broken.entry(error.to_string()).or_default().push(target.id.as_str());
        }
    }
    for (error, mut targets) in broken {
        targets.sort_unstable();
        let more = targets.len().saturating_sub(TARGETS_SHOWN_MAX);
        targets.truncate(TARGETS_SHOWN_MAX);
        let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = targets.join(", ");
        checked.errors.push(format!("can't be called: {names}{and_more}: {error}"));
    }
    for paper in papers.iter().filter(|paper| paper.not_after.is_some_and(|end| end < shelf.now()))
    {
        let (file, role, end) = (paper.file.display(), paper.role, paper.end().unwrap_or_default());
        checked.warnings.push(format!("{file}: its time is over since {end} ({role})"));
    }
    checked
}
