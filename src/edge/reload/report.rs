//! What became of a reload, for the log, for whoever asked, and for the status pages.
//!
//! This file decides the words. No secret is in them: problems and differences hold none.

use serde::Serialize;

use crate::edge::hub::Hub;
use crate::routes::Diff;

/// Most changes that are logged one by one.
const LOGGED_MAX: usize = 50;

/// How a reload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::edge) enum Outcome {
    /// All of it is taken up.
    Applied,
    /// It is taken up, but for what was set aside.
    Partial,
    /// There was nothing to take up.
    Unchanged,
    /// It is broken, and nothing changed.
    Refused,
}

impl Outcome {
    /// All of them.
    pub(in crate::edge) const ALL: [Self; 4] =
        [Self::Applied, Self::Partial, Self::Unchanged, Self::Refused];

    /// Its name in logs and metrics.
    pub(in crate::edge) const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Partial => "partial",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// A file that was set aside, and the banks that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::edge) struct Aside {
    /// The file.
    pub(in crate::edge) file: String,
    /// The banks that are served by their last good entries, or with their last good certificates.
    pub(in crate::edge) targets: Vec<String>,
    /// What is wrong.
    pub(in crate::edge) problems: Vec<String>,
}

/// What became of a reload, or would become of one.
#[derive(Debug, Clone, Serialize)]
pub(in crate::edge) struct Report {
    /// How it ended.
    pub(in crate::edge) outcome: Outcome,
    /// The operator's file.
    pub(in crate::edge) config: String,
    /// The generation that serves now.
    pub(in crate::edge) generation: u64,
    /// What is wrong, when it was refused.
    pub(in crate::edge) problems: Vec<String>,
    /// What was set aside.
    pub(in crate::edge) set_aside: Vec<Aside>,
    /// The keys of the gateway that wait for a new process.
    pub(in crate::edge) needs_new_process: Vec<String>,
    /// What is different from what served before.
    #[serde(flatten)]
    pub(in crate::edge) diff: Diff,
}

impl Report {
    /// Nothing was taken up.
    pub(super) fn refused(hub: &Hub, problems: Vec<String>) -> Self {
        Self {
            outcome: Outcome::Refused,
            config: config_of(hub),
            generation: hub.standing.generation(),
            problems,
            set_aside: Vec::new(),
            needs_new_process: Vec::new(),
            diff: Diff::default(),
        }
    }

    pub(super) fn log(&self, cause: &str) {
        let (outcome, generation) = (self.outcome.as_str(), self.generation);
        let changes = self.diff.changes.len() + self.diff.omitted;
        match self.outcome {
            Outcome::Refused => {
                let problems = self.problems.join("; ");
                tracing::error!(
                    cause,
                    outcome,
                    generation,
                    problems,
                    "RELOAD REFUSED, the old table is served on"
                );
                return;
            }
            Outcome::Unchanged => tracing::info!(cause, outcome, generation, "reload"),
            Outcome::Applied | Outcome::Partial => {
                tracing::info!(cause, outcome, generation, changes, "reload");
            }
        }
        for change in self.diff.changes.iter().take(LOGGED_MAX) {
            let change = change.to_string().replace("\n    ", "; ");
            tracing::info!(change, "reload");
        }
        if changes > LOGGED_MAX {
            tracing::info!(more = changes - LOGGED_MAX, "reload");
        }
        for Aside { file, targets, problems } in self.set_aside.iter().take(LOGGED_MAX) {
            let shown: Vec<_> = targets.iter().take(LOGGED_MAX).map(String::as_str).collect();
            let (kept, problems) = (shown.join(" "), problems.join("; "));
            tracing::error!(file, kept, problems, "set aside; what was good of it is served on");
        }
        if self.set_aside.len() > LOGGED_MAX {
            tracing::error!(more = self.set_aside.len() - LOGGED_MAX, "set aside");
        }
        if !self.needs_new_process.is_empty() {
            let keys = self.needs_new_process.join(" ");
            tracing::warn!(keys, "these keys wait for a new process");
        }
    }
}

pub(super) fn config_of(hub: &Hub) -> String {
    let reloader = hub.reloader.get();
    reloader.map_or_else(String::new, |reloader| reloader.config.display().to_string())
}
